"""Copies among images: equal ones, and near ones whatever was done to them.

An image is compared with its nearest few from afar (``candidates``), laid over each of
them (``alignment``), and called a copy when the fine structure agrees (``comparison``).
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.audit.candidates import find_candidates
from glcm_mae.data.audit.clusters import components, connected
from glcm_mae.data.audit.comparison import (
    ALIKE,
    Comparison,
    Looks,
    Numbers,
    Progress,
    compare,
    find_threshold,
)
from glcm_mae.data.audit.signatures import (
    ORIENTATIONS,
    SIDE,
    VIEWS,
    Thumbnails,
    blocks,
    difference_hashes,
    orient,
)
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.errors import InputError

COPY = 0.85
"""Least correlation of the fine structure of copies; below, images are merely alike."""

Read = Callable[[int], npt.NDArray[np.generic]]


class Pair(NamedTuple):
    """Two images that belong together.

    Attributes:
        a: Row of the first image.
        b: Row of the second one, above ``a``.
        distance: Bits of 256 in which the difference hashes differ, ``a`` turned like ``b``.
        correlation: Of the gray levels, laid over each other.
        detail: Of the fine structure alone; this one decides.
        orientation: What makes ``b`` of ``a``, one of ``signatures.ORIENTATIONS``.
        scale: Height and width of what ``b`` shows in those of ``a``, so turned: below one,
            ``b`` is a crop.
        exact: Whether the pixels are equal at the images' own size.
    """

    a: int
    b: int
    distance: int
    correlation: float
    detail: float
    orientation: str
    scale: tuple[float, float]
    exact: bool

    @property
    def kind(self) -> str:
        """``equal``, ``copy``, or ``alike``: neighbouring slices, frames of one sweep."""
        if self.exact:
            return "equal"
        return "copy" if self.detail >= COPY else "alike"


@dataclass(frozen=True)
class Duplicates:
    """What was found among the images of a table.

    Attributes:
        pairs: Images that belong together, in the order of their rows. Of several equal
            images each is paired with the first one only.
        clusters: Rows of images that are connected by pairs.
        threshold: The least ``detail`` that counted, after calibration.
    """

    pairs: tuple[Pair, ...]
    clusters: tuple[tuple[int, ...], ...]
    threshold: float


def find_duplicates(
    thumbnails: Thumbnails,
    *,
    read: Read | None = None,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Find equal images, and copies that were flipped, turned, scaled, cropped or marked.

    The hash [1]_ is told for people who know it, but does not decide: its distance is
    small for different images that look alike, and large for crops. Images that are not
    copies but share their fine structure, such as neighbouring slices, are found too.

    Args:
        thumbnails: Gray 8-bit thumbnails, shape (images, 1, 128, 128), squeezed to this
            size; anything that gives the pixels of an array of rows.
        read: Gives the pixels of one row at its own size; without it, no pair is called
            exact.
        threshold: Least correlation of the fine structure; None calibrates it on the set:
            0.5, or more where different images agree in part.
        progress: Called with the pairs looked at and all pairs to look at, first for a
            coarse look and then for a fine one at those that remain.

    Returns:
        The pairs and their clusters.

    Raises:
        InputError: If the thumbnails are not of 128 x 128 gray pixels.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> images = generator.integers(0, 256, (3, 1, 128, 128), dtype=np.uint8)
        >>> images[2] = images[0, :, ::-1]
        >>> found = find_duplicates(images)
        >>> found.clusters, found.pairs[0].orientation
        (((0, 2),), 'flipped up-down')

    References:
        .. [1] N. Krawetz, Kind of Like That, 2013 (the difference hash)
    """
    if tuple(thumbnails.shape[1:]) != (1, SIDE, SIDE):
        raise InputError(
            f"thumbnails: must have the shape (images, 1, {SIDE}, {SIDE}), "
            f"got {tuple(thumbnails.shape)}"
        )
    if not thumbnails.shape[0]:
        return Duplicates((), (), ALIKE)
    first = _first_equals(thumbnails)
    rows = np.arange(len(first))
    pairs = [_equal_pair(int(first[row]), row, read) for row in rows[first != rows].tolist()]
    candidates = find_candidates(thumbnails, rows[first == rows])
    looks = Looks(thumbnails)
    least = find_threshold(looks, candidates) if threshold is None else threshold
    pairs += _alike(thumbnails, compare(looks, candidates, progress), least)
    pairs.sort(key=lambda pair: (pair.a, pair.b))
    clusters = components(len(first), ((pair.a, pair.b) for pair in pairs))
    return Duplicates(tuple(pairs), clusters, least)


def duplicate_groups(table: ImageTable, duplicates: Duplicates) -> tuple[str, ...]:
    """Return the groups of a table, joined wherever pairs connect them.

    Args:
        table: The images.
        duplicates: What was found among them.

    Returns:
        A group per image; joined groups have the name of the one that comes first.

    Example:
        >>> from pathlib import Path
        >>> pair = Pair(0, 2, 0, 1.0, 1.0, "as it is", (1.0, 1.0), True)
        >>> table = ImageTable(Path(), ("a", "b", "c", "d"), (), (), ("p", "q", "r", "r"), ())
        >>> duplicate_groups(table, Duplicates((pair,), ((0, 2),), 0.5))
        ('p', 'q', 'p', 'p')
    """
    names = list(dict.fromkeys(table.groups))
    numbers = {name: number for number, name in enumerate(names)}
    links = ((numbers[table.groups[p.a]], numbers[table.groups[p.b]]) for p in duplicates.pairs)
    joined = connected(len(names), links)
    return tuple(names[joined[numbers[group]]] for group in table.groups)


def _first_equals(thumbnails: Thumbnails) -> npt.NDArray[np.int64]:
    """Return for each row the first row whose thumbnail is equal."""
    first: list[int] = []
    seen: dict[bytes, int] = {}
    for images in blocks(thumbnails, np.arange(thumbnails.shape[0])):
        for image in images:
            digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
            first.append(seen.setdefault(digest, len(first)))
    return np.array(first, dtype=np.int64)


def _equal_pair(a: int, b: int, read: Read | None) -> Pair:
    exact = read is not None and np.array_equal(read(a), read(b))
    return Pair(a, b, 0, 1.0, 1.0, ORIENTATIONS[0], (1.0, 1.0), exact)


def _alike(thumbnails: Thumbnails, comparison: Comparison, least: float) -> Iterator[Pair]:
    """Yield the pairs whose fine structure agrees."""
    candidates, details, places = comparison
    for n in np.flatnonzero(details >= least).tolist():
        moving, fixed = int(candidates.moving[n]), int(candidates.fixed[n])
        orientation = VIEWS[candidates.view[n]].orientation
        distance, correlation = _measure(thumbnails, moving, fixed, orientation, places[n])
        scale = (float(places[n, 0]), float(places[n, 2]))
        if moving > fixed:
            orientation, scale = _seen_backwards(orientation, scale)
        yield Pair(
            *(min(moving, fixed), max(moving, fixed), distance, correlation),
            float(details[n]),
            ORIENTATIONS[orientation],
            scale,
            exact=False,
        )


def _measure(
    thumbnails: Thumbnails, moving: int, fixed: int, orientation: int, place: Numbers
) -> tuple[int, float]:
    """Return the distance of the hashes and the correlation of the gray levels."""
    from glcm_mae.data.audit.alignment import align  # compiles

    images = np.asarray(thumbnails[np.array([moving, fixed])])[:, 0]
    images[0] = np.ascontiguousarray(orient(images[0], orientation))
    hashes = difference_hashes(images)
    gray = images.astype(np.float32)
    correlation = align(gray[0], gray[1], place.copy(), 0, -1.0)
    return int((hashes[0] != hashes[1]).sum()), float(correlation)


def _seen_backwards(
    orientation: int, scale: tuple[float, float]
) -> tuple[int, tuple[float, float]]:
    """Turn "b is a, so turned and cropped" round."""
    height, width = scale
    if orientation & 4:
        height, width = width, height
    undone = {5: 6, 6: 5}  # the quarter turns undo each other, all else undoes itself
    return undone.get(orientation, orientation), (1 / height, 1 / width)
