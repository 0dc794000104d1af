"""Which part of an image is looked at."""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

ENTROPY_LEVELS = 32


class Region(NamedTuple):
    """A rectangle of an image, in pixels.

    Attributes:
        row: First row.
        col: First column.
        height: Rows.
        width: Columns.
    """

    row: int
    col: int
    height: int
    width: int

    def cut(self, image: Float[Tensor, "rows cols"]) -> Float[Tensor, "height width"]:
        """Return the part of an image.

        Example:
            >>> Region(1, 0, 1, 2).cut(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
            tensor([[3., 4.]])
        """
        return image[self.row : self.row + self.height, self.col : self.col + self.width]


def choose_region(
    image: Float[Tensor, "rows cols"],
    wanted: Literal["textured", "whole"] | tuple[int, int, int, int],
    side: int,
) -> Region:
    """Return the part of an image that was asked for.

    Args:
        image: Gray values in [0, 1].
        wanted: The square of most texture, the whole image, or row, column, height, width.
        side: Side of the square.

    Raises:
        ValueError: If the part is not inside the image.

    Example:
        >>> choose_region(torch.zeros(4, 6), "whole", 2)
        Region(row=0, col=0, height=4, width=6)
    """
    rows, cols = image.shape
    if wanted == "whole":
        return Region(0, 0, rows, cols)
    if wanted == "textured":
        if side > min(rows, cols):
            raise ValueError(
                f"side {side} is larger than the image of {rows} x {cols} pixels: pass a "
                "smaller --side, or --region whole"
            )
        return _most_textured(image, side)
    region = Region(*wanted)
    if region.row + region.height > rows or region.col + region.width > cols:
        raise ValueError(
            f"region {list(region)} (row, column, height, width) leaves the image of {rows} x "
            f"{cols} pixels"
        )
    return region


def _most_textured(image: Tensor, side: int) -> Region:
    """Return the square whose gray levels have the highest entropy; of equal ones the first.

    Not that of the largest spread: letters and edges of the field of view have that.
    """
    level = (image * ENTROPY_LEVELS).long().clamp(max=ENTROPY_LEVELS - 1)
    entropy: Tensor | float = 0.0
    for number in range(ENTROPY_LEVELS):
        member = (level == number).to(torch.float64)[None, None]
        share = functional.avg_pool2d(member, side, stride=1)[0, 0]
        entropy = entropy - torch.xlogy(share, share)
    # Sums of floats differ in their last bits: equal ones must stay equal.
    best = int(torch.as_tensor(entropy).round(decimals=9).argmax())
    row, col = divmod(best, image.shape[1] - side + 1)
    return Region(row, col, side, side)
