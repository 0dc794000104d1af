"""The hidden patches of a prediction and of its target."""

from jaxtyping import Bool, Float
from torch import Tensor


def hidden_patches(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
    mask: Bool[Tensor, "batch patches"],
    *,
    patch_size: int,
) -> tuple[
    Float[Tensor, "hidden channel side side"], Float[Tensor, "hidden channel side side"]
]:
    """Return the hidden patches of both images, in at least float32.

    Args:
        prediction: Predicted images.
        target: True images.
        mask: True where a patch was hidden, in row order.
        patch_size: Side of a patch in pixels.

    Raises:
        ValueError: If the shapes differ, the mask does not match, or hides nothing.
    """
    if prediction.shape != target.shape:
        raise ValueError(
            f"prediction {tuple(prediction.shape)} and target {tuple(target.shape)} differ"
        )
    batch, _, height, width = target.shape
    rows, cols = height // patch_size, width // patch_size
    if mask.shape != (batch, rows * cols) or height % patch_size or width % patch_size:
        raise ValueError(
            f"mask {tuple(mask.shape)} does not match {batch} images of {height} x {width} in "
            f"patches of {patch_size}"
        )
    if not bool(mask.any()):
        raise ValueError("mask hides no patch: there is nothing to judge")

    def select(images: Tensor) -> Tensor:
        images = images if images.dtype.itemsize >= 4 else images.float()
        grid = images.unfold(2, patch_size, patch_size).unfold(3, patch_size, patch_size)
        return grid.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)[mask]

    return select(prediction), select(target)
