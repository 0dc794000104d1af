"""A close look at pairs that look alike from afar: laid over each other, coarse to fine.

Brightness and contrast are evened out everywhere. What then agrees at 128 pixels to one or
two of them is speckle, noise and the edges of vessels: copies share these, images of
different patients do not, however alike they look from afar.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.audit.candidates import Candidates
from glcm_mae.data.audit.signatures import VIEWS, Bytes, Floats, Thumbnails, blocks
from glcm_mae.data.threads import in_threads

ALIKE = 0.5
"""Least correlation of the fine structure of two images that belong together."""

_HIGHEST = 0.75  # of that threshold, after calibration; copies have 0.85 and more
_SPREADS = 4.0  # above the middle of what different images have
_DRAWN, _FEWEST = 1000, 100  # pairs that calibrate the threshold: so many, and at least
_CHUNK = 128  # pairs looked at by one thread at a time
_FINALISTS = 4  # images that each is compared with in detail
_STEPS = 40  # of an evened-out value when it is kept in 8 bits
_ORIENTATIONS = np.array([view.orientation for view in VIEWS])

Numbers = npt.NDArray[np.float64]
Progress = Callable[[int, int], None]


class Level(NamedTuple):
    """How two images are compared at one size.

    Attributes:
        side: Height and width in pixels.
        blur: Neighbourhood over which contrast is evened out, in pixels.
        steps: Most steps of the alignment.
        least: Correlation below which two images are different.
        hopeless: Correlation before the first step below which they are so at once.
    """

    side: int
    blur: float
    steps: int
    least: float
    hopeless: float = -1.0


_START = Level(16, 3.0, 4, -1.0)  # as the view tells, or without a crop
_COARSE = Level(32, 3.0, 10, 0.6)  # copies have 0.8 and more here and in the next
_FINE = (Level(64, 4.0, 6, 0.65, 0.2), Level(128, 1.5, 3, 0.0, 0.2))


class Comparison(NamedTuple):
    """What became of the candidates that stood a chance.

    Attributes:
        candidates: These.
        details: Correlation of the fine structure of each, 0 where a coarser look sufficed.
        places: Placement of each, see :func:`glcm_mae.data.audit.alignment.align`.
    """

    candidates: Candidates
    details: Numbers
    places: Numbers


class Looks:
    """The evened-out images: small ones kept for all rows, large ones made when needed.

    Args:
        thumbnails: All images.
    """

    def __init__(self, thumbnails: Thumbnails) -> None:
        self._thumbnails = thumbnails
        rows = np.arange(thumbnails.shape[0])
        self._kept = {
            level.side: np.concatenate(
                [_packed(images, level) for images in blocks(thumbnails, rows)]
            )
            for level in (_START, _COARSE)
        }

    def at(self, level: Level, rows: npt.NDArray[np.int64]) -> Floats:
        """Return the images of some rows, shape (rows, side, side)."""
        if level.side in self._kept:
            return self._kept[level.side][rows].astype(np.float32) / np.float32(_STEPS)
        return _even_out(np.asarray(self._thumbnails[rows])[:, 0], level)


def _packed(images: Bytes, level: Level) -> npt.NDArray[np.int8]:
    return np.rint(_even_out(images, level) * _STEPS).clip(-127, 127).astype(np.int8)


def _even_out(images: Bytes, level: Level) -> Floats:
    from glcm_mae.data.audit.alignment import even_out  # compiles

    return even_out(images, level.side, level.blur)


def compare(looks: Looks, candidates: Candidates, progress: Progress | None) -> Comparison:
    """Lay candidates over each other, dropping those that disagree as early as possible.

    Args:
        looks: The images.
        candidates: Pairs of them.
        progress: Called with the pairs done and all pairs, first of a coarse look and then
            of a fine one at those that remain.
    """
    places = _PLACEMENTS[candidates.view]
    coarse = _in_chunks(looks, candidates, places, (_START, _COARSE), progress)
    left = _nearest_of_each(candidates, coarse)
    candidates, places = candidates.subset(left), places[left]
    return Comparison(
        candidates, _in_chunks(looks, candidates, places, _FINE, progress), places
    )


def find_threshold(looks: Looks, candidates: Candidates) -> float:
    """Calibrate the threshold on some candidates, whatever a coarse look says of them."""
    count = len(candidates.moving)
    drawn = np.random.default_rng(0).choice(count, min(count, _DRAWN), replace=False)
    levels = [level._replace(least=-1.0, hopeless=-1.0) for level in (_COARSE, *_FINE)]
    sample = candidates.subset(np.sort(drawn))
    places = _PLACEMENTS[sample.view]
    return calibrate(_in_chunks(looks, sample, places, (_START, *levels), None))


def calibrate(details: Numbers) -> float:
    """Choose the least correlation of fine structure by what different images have.

    Images of a set that look alike from afar agree by chance, and a little more where they
    are slices of one body or exposures of one patient; copies must agree still more.

    Args:
        details: Correlations of pairs drawn among those that look alike, of which most
            are no copies.

    Returns:
        At least 0.5, at most 0.75.

    Example:
        >>> calibrate(np.zeros(1000)), round(calibrate(np.linspace(0, 0.28, 1000)), 3)
        (0.5, 0.555)
    """
    if len(details) < _FEWEST:
        return ALIKE
    middle, upper = np.quantile(details, [0.5, 0.75])
    spread = (upper - middle) / 0.6745  # quartile of the normal distribution
    return float(np.clip(middle + _SPREADS * spread, ALIKE, _HIGHEST))


def _nearest_of_each(candidates: Candidates, coarse: Numbers) -> npt.NDArray[np.int64]:
    """Return the candidates that are among the best few of either of their images."""
    kept = np.zeros(len(coarse), dtype=bool)
    order = np.argsort(-coarse, kind="stable")
    for rows in (candidates.moving, candidates.fixed):
        by_row = order[np.argsort(rows[order], kind="stable")]  # best first within a row
        starts = np.flatnonzero(np.diff(rows[by_row], prepend=-1))
        lengths = np.diff(starts, append=len(by_row))
        ranks = np.arange(len(by_row)) - np.repeat(starts, lengths)
        kept[by_row[ranks < _FINALISTS]] = True
    return np.flatnonzero(kept & (coarse >= _COARSE.least))


def _in_chunks(
    looks: Looks,
    candidates: Candidates,
    places: Numbers,
    levels: Sequence[Level],
    progress: Progress | None,
) -> Numbers:
    """Align candidates level by level; return the correlation at the last one, else 0."""
    count = len(places)
    found = np.zeros(count)

    def look(number: int) -> None:
        part = np.arange(number * _CHUNK, min((number + 1) * _CHUNK, count))
        at = places[part]
        found[part] = _align(looks, candidates.subset(part), at, levels)
        places[part] = at

    def tell(number: int) -> None:
        if progress is not None:
            progress(min((number + 1) * _CHUNK, count), count)

    in_threads(look, -(-count // _CHUNK), tell)
    return found


def _align(
    looks: Looks, candidates: Candidates, places: Numbers, levels: Sequence[Level]
) -> Numbers:
    from glcm_mae.data.audit.alignment import align_pairs, choose_starts  # compile

    rows, numbers = np.unique(np.stack(candidates[:2]), return_inverse=True)
    pairs, turns = numbers.reshape(2, -1), _ORIENTATIONS[candidates.view]
    left, correlations = np.arange(len(turns)), np.zeros(len(turns))
    for level in levels:
        needed, own = np.unique(pairs[:, left], return_inverse=True)
        moving, fixed = own.reshape(2, -1)
        images = looks.at(level, rows[needed])
        at, found = places[left], np.zeros(len(left))
        if level is _START:
            choose_starts(images, moving, fixed, turns[left], level.steps, at)
        else:
            align_pairs(
                images, moving, fixed, turns[left], level.steps, level.hopeless, at, found
            )
        places[left] = at
        left, found = left[found >= level.least], found[found >= level.least]
        if not len(left):
            return correlations
    correlations[left] = found
    return correlations


def _placement(window: tuple[float, float]) -> tuple[float, float]:
    """Return scale and shift that show a window of an axis that reaches from -1 to 1."""
    low, high = window
    return high - low, low + high - 1


_PLACEMENTS = np.array([(*_placement(v.rows), *_placement(v.columns)) for v in VIEWS])
