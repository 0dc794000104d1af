"""What an image looks like from afar: a few cosine waves, from eight sides and cropped."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

SIDE = 128
"""Height and width of a thumbnail, in pixels."""
ORIENTATIONS = (
    *("as it is", "flipped up-down", "flipped left-right", "turned by 180"),
    *("transposed", "turned by 90", "turned by 270", "transposed across"),
)
"""Names of the eight orientations; the number is what :func:`orient` takes."""

_FREQUENCIES = 8  # cosine coefficients a side: waves of 32 pixels and more
_CROP = 0.08  # of a side; what a cropped view leaves away
_HASH = 16  # a hash has 16 x 16 bits

Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


class Thumbnails(Protocol):
    """Anything that gives gray thumbnails of 128 x 128 pixels by their rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, 1, 128, 128."""

    def __getitem__(self, rows: Any, /) -> Any:
        """Give the pixels of some rows, 8-bit."""


class View(NamedTuple):
    """One way to look at an image.

    Attributes:
        orientation: Number of the flip or turn.
        rows: First and last place of the window along the rows, in shares of the height.
        columns: The same along the columns.
    """

    orientation: int
    rows: tuple[float, float]
    columns: tuple[float, float]


_WHOLE = (0.0, 1.0)
_WINDOWS = (_WHOLE, (_CROP, 1.0), (0.0, 1.0 - _CROP), (_CROP / 2, 1.0 - _CROP / 2))
VIEWS = (
    *(View(number, _WHOLE, _WHOLE) for number in range(8)),
    *(
        View(0, rows, columns)
        for rows in _WINDOWS
        for columns in _WINDOWS
        if (rows, columns) != (_WHOLE, _WHOLE)
    ),
)
"""The ways in which an image is compared with others: eight sides, and fifteen crops."""


def orient(images: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Flip or turn images.

    Args:
        images: Shape (..., height, width).
        orientation: Bit 4 swaps rows and columns first, then bit 1 reverses the rows and
            bit 2 the columns.

    Example:
        >>> orient(np.array([[1, 2], [3, 4]]), 5).tolist()  # a turn against the clock
        [[2, 4], [1, 3]]
    """
    if orientation & 4:
        images = images.swapaxes(-1, -2)
    if orientation & 1:
        images = images[..., ::-1, :]
    if orientation & 2:
        images = images[..., ::-1]
    return images


def blocks(
    thumbnails: Thumbnails, rows: npt.NDArray[np.int64], size: int = 512
) -> Iterator[Bytes]:
    """Yield the pixels of some rows at a time, shape (rows, 128, 128)."""
    for start in range(0, len(rows), size):
        yield np.asarray(thumbnails[rows[start : start + size]])[:, 0]


@cache
def _cosines(window: tuple[float, float]) -> Floats:
    """Return the cosine waves over a window, shape (frequencies, 128)."""
    low, high = window
    places = ((np.arange(SIDE) + 0.5) / SIDE - low) / (high - low)
    waves = np.cos(np.pi * np.arange(_FREQUENCIES)[:, None] * places)
    waves[:, (places < 0) | (places > 1)] = 0
    # without its mean over the window, a wave does not see brightness
    inside = (places >= 0) & (places <= 1)
    waves[1:, inside] -= waves[1:, inside].mean(axis=1, keepdims=True)
    return np.asarray(waves / inside.sum(), dtype=np.float32)


def describe(images: Bytes, view: View) -> Floats:
    """Return the low cosine coefficients of images in a view, without the mean.

    Args:
        images: Shape (images, 128, 128).
        view: How to look at them.

    Returns:
        Shape (images, 63).
    """
    seen = orient(images, view.orientation).astype(np.float32)
    waves = np.asarray(_cosines(view.rows) @ seen @ _cosines(view.columns).T, np.float32)
    return waves.reshape(len(images), -1)[:, 1:]


def difference_hashes(images: Bytes) -> npt.NDArray[np.bool_]:
    """Return 256 bits per image: whether it gets brighter from cell to cell.

    The image is averaged over 16 rows of 17 cells; each bit compares a cell with its right
    neighbour [1]_.

    References:
        .. [1] N. Krawetz, Kind of Like That, 2013 (the difference hash)
    """
    rows = _averages(_HASH)
    columns = _averages(_HASH + 1)
    cells = rows @ images.astype(np.float32) @ columns.T
    bits: npt.NDArray[np.bool_] = (cells[:, :, 1:] > cells[:, :, :-1]).reshape(len(images), -1)
    return bits


def _averages(cells: int) -> Floats:
    """Return the matrix that averages 128 pixels into cells; pixels may be shared out."""
    edges = np.linspace(0, SIDE, cells + 1)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    shares = overlap.clip(0, None)
    return np.asarray(shares / shares.sum(axis=1, keepdims=True), dtype=np.float32)
