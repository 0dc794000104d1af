"""Which images look alike from afar: the nearest few of each, among all pairs."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.audit.signatures import VIEWS, Floats, Thumbnails, blocks, describe
from glcm_mae.data.threads import in_threads

NEIGHBOURS = 16
"""Images that each image is compared with closely, beside those that name it."""

_LEAST = 0.5  # similarity of the cosines; cropped by a tenth, a copy keeps 0.8
_FEW = 200  # images; with fewer, their mean says little and none is turned away
_FLOOR = 0.25  # gray levels; coefficients that spread less are noise
_ROWS, _COLUMNS = 128, 256  # images compared at once: their similarities fit into a cache

_Rows = npt.NDArray[np.int64]


class Candidates(NamedTuple):
    """Pairs of images worth a closer look; each pair once.

    Attributes:
        moving: Row of the image that is flipped, turned or cropped.
        fixed: Row of the image that it then resembles.
        view: Number of the view of ``moving``.
    """

    moving: _Rows
    fixed: _Rows
    view: _Rows

    def subset(self, numbers: _Rows) -> "Candidates":
        """Keep some pairs."""
        return Candidates(*(column[numbers] for column in self))


def find_candidates(thumbnails: Thumbnails, rows: _Rows) -> Candidates:
    """Find the nearest images of each image, flipped, turned or cropped.

    Each coefficient counts by how much it tells these images apart: the set's mean is
    taken off and its spread divided out, so that what all of them share (a dark border,
    two lungs) does not make them alike. All pairs are compared, a tile at a time.

    Args:
        thumbnails: Pixels.
        rows: Images to compare.

    Returns:
        The pairs, by rows of ``thumbnails``.
    """
    count = len(rows)
    if count < 2:
        return Candidates(rows[:0], rows[:0], rows[:0])
    plain = np.concatenate([describe(images, VIEWS[0]) for images in blocks(thumbnails, rows)])
    mean = plain.mean(axis=0) * min(1, count / _FEW)
    spread = np.maximum(np.sqrt(np.square(plain - mean).mean(axis=0)), _FLOOR)
    targets = _directions(plain, mean, spread)
    kept = min(NEIGHBOURS, count - 1)
    similarity = np.full((count, kept), -2 if count < _FEW else _LEAST, dtype=np.float32)
    nearest = np.full((count, kept), -1, dtype=np.int64)
    view = np.zeros((count, kept), dtype=np.int64)

    def search(number: int) -> None:
        part = slice(number * _ROWS, (number + 1) * _ROWS)
        (images,) = blocks(thumbnails, rows[part])
        turned = np.stack([_directions(describe(images, seen), mean, spread) for seen in VIEWS])
        found = similarity[part], nearest[part], view[part]
        _search(turned, targets, part.start, found)

    in_threads(search, -(-count // _ROWS))
    return _once_each(rows, similarity, nearest, view)


def _directions(coefficients: Floats, mean: Floats, spread: Floats) -> Floats:
    scaled = (coefficients - mean) / spread
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.maximum(lengths, 1e-6), dtype=np.float32)


def _search(
    turned: Floats, targets: Floats, start: int, found: tuple[Floats, _Rows, _Rows]
) -> None:
    """Compare some images in all views with all images, keeping the nearest of each."""
    from glcm_mae.data.audit.nearest import keep_nearest  # compiles

    views, count, width = turned.shape
    flat = turned.reshape(-1, width)
    for low in range(0, len(targets), _COLUMNS):
        tile = (flat @ targets[low : low + _COLUMNS].T).reshape(views, count, -1)
        keep_nearest(tile, start, low, *found)


def _once_each(rows: _Rows, similarity: Floats, nearest: _Rows, view: _Rows) -> Candidates:
    """Name each pair once, in the direction and the view in which it is more alike."""
    count, kept = nearest.shape
    own = np.repeat(np.arange(count), kept)
    other, views = nearest.ravel(), view.ravel()
    order = np.argsort(-similarity.ravel(), kind="stable")
    order = order[other[order] >= 0]
    own, other, views = own[order], other[order], views[order]
    _, first = np.unique(
        np.minimum(own, other) * count + np.maximum(own, other), return_index=True
    )
    return Candidates(rows[own[first]], rows[other[first]], views[first])
