"""Text that may be burned into an image: thin strokes of one height in a row.

Nothing is read. Letters are told from speckle and bone by what all print has in common:
strokes much thinner than they are high, of one gray level, on one line.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

SUSPICIOUS = 4
"""Least letters in a line: fewer stand in line by chance, or are a mark of the side."""

QUIET = 0.1
"""Most strokes right above and below a line, as a share of how dense they are in it, for
each of its letters: the more letters, the less their surroundings count."""

_LONGEST = 1024  # pixels; longer images are halved until they are shorter
_SCALES = (1, 2)  # large print is found in the image of half the size
_LOW, _HIGH = 5, 34  # heights of letters in pixels, at each scale
_SHARE = 0.2  # of the image, the highest letter; ribs are higher
_STROKE = 9  # pixels; wider strokes are background at this scale
_CONTRASTS = (36, 56, 80, 110, 150)  # gray levels of 255 above the background


class Line(NamedTuple):
    """A row of what looks like letters.

    Attributes:
        letters: How many there are.
        box: Top, left, bottom and right in shares of height and width of the image.
    """

    letters: int
    box: tuple[float, float, float, float]


class _Row(NamedTuple):
    """A row of marks, in pixels."""

    letters: int
    top: int
    left: int
    bottom: int
    right: int

    def in_shares(self, shape: tuple[int, ...]) -> Line:
        height, width = shape
        box = self.top / height, self.left / width, self.bottom / height, self.right / width
        return Line(self.letters, box)


@dataclass(frozen=True)
class _Marks:
    """What may be letters: one entry per mark in each array, in pixels."""

    top: npt.NDArray[np.int64]
    bottom: npt.NDArray[np.int64]
    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    level: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.top)

    @property
    def height(self) -> npt.NDArray[np.int64]:
        return self.bottom - self.top


def find_text(image: npt.NDArray[np.floating]) -> tuple[Line, ...]:
    """Find rows of marks that look like letters; a suspicion, never a certainty.

    Only print that runs from left to right is looked for, bright or dark, between 5 and
    about 60 pixels high once the longer side is at most 1024 pixels. Marks of the side
    ("L", "R") and single callipers are too few to tell.

    Args:
        image: Gray levels in ``[0, 1]``, shape (height, width), at its own size.

    Returns:
        Lines of at least `SUSPICIOUS` letters, the longest first; lines that overlap
        are told once.

    Example:
        >>> from PIL import Image, ImageDraw, ImageFont
        >>> picture = Image.new("L", (160, 80), 40)
        >>> font = ImageFont.load_default(16)
        >>> ImageDraw.Draw(picture).text((8, 20), "SMITH 1947", fill=230, font=font)
        >>> lines = find_text(np.asarray(picture) / 255.0)
        >>> len(lines), lines[0].letters
        (1, 9)
    """
    levels = np.rint(np.asarray(image, np.float32) * 255)
    factor = 1
    while max(levels.shape) // factor > _LONGEST:
        factor *= 2
    found = [
        line
        for scale in _SCALES
        for line in _lines_at(_reduced(levels, factor * scale))
        if line.letters >= SUSPICIOUS
    ]
    return _distinct(sorted(found, key=lambda line: -line.letters))


def _reduced(levels: npt.NDArray[np.float32], factor: int) -> npt.NDArray[np.uint8]:
    """Average squares of pixels; what is left over at the edges is dropped."""
    height, width = (side // factor for side in levels.shape)
    squares = levels[: height * factor, : width * factor]
    squares = squares.reshape(height, factor, width, factor)
    reduced: npt.NDArray[np.uint8] = np.rint(squares.mean(axis=(1, 3))).astype(np.uint8)
    return reduced


def _lines_at(levels: npt.NDArray[np.uint8]) -> Iterator[Line]:
    from scipy.ndimage import grey_opening  # slow to import

    if min(levels.shape) < 2 * _LOW:
        return
    for print_ in (levels, 255 - levels):  # bright print, dark print
        above = print_ - grey_opening(print_, size=(_STROKE, _STROKE))
        for contrast in _CONTRASTS:
            stroke = above > contrast
            for line in _rows(_find_marks(stroke, print_)):
                if _stands_out(stroke, line):
                    yield line.in_shares(levels.shape)


def _find_marks(stroke: npt.NDArray[np.bool_], levels: npt.NDArray[np.uint8]) -> _Marks:
    """Find connected strokes that have the size and the thinness of letters."""
    from scipy.ndimage import distance_transform_cdt, label

    labels, count = label(stroke, structure=np.ones((3, 3)))
    top, bottom = _extent(labels, count)
    left, right = _extent(labels.T, count)
    height, width = bottom - top, right - left
    owner = labels[stroke]
    depth = distance_transform_cdt(stroke, metric="chessboard")[stroke]
    rising = np.argsort(depth, kind="stable")
    thick = np.zeros(count + 1, np.int64)
    thick[owner[rising]] = depth[rising]  # the greatest is written last
    area = np.bincount(owner, minlength=count + 1)[1:]
    level = np.bincount(owner, levels[stroke], minlength=count + 1)[1:] / area
    thin = height >= 2.5 * (2 * thick[1:] - 1)
    highest = min(_HIGH, levels.shape[0] * _SHARE)
    sized = (height >= _LOW) & (height <= highest) & (width <= 3 * height)
    kept = thin & sized
    return _Marks(top[kept], bottom[kept], left[kept], right[kept], level[kept])


def _extent(
    labels: npt.NDArray[np.integer], count: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the first row of each label, and the one after its last."""
    owner, row = labels[labels > 0] - 1, np.nonzero(labels)[0]
    first, last = np.zeros((2, count), np.int64)
    first[owner[::-1]] = row[::-1]  # rows rise: what is written last is the end
    last[owner] = row
    return first, last + 1


def _rows(marks: _Marks) -> Iterator[_Row]:
    """Link neighbours of one height, level and line; yield the rows they make."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(marks) < SUSPICIOUS:
        return
    first, second = _neighbours(marks)
    links = coo_array((np.ones(len(first)), (first, second)), shape=(len(marks),) * 2)
    _, row = connected_components(links, directed=False)
    for number in np.flatnonzero(np.bincount(row) >= SUSPICIOUS):
        members = np.flatnonzero(row == number)
        bottoms = marks.bottom[members]
        off = np.abs(bottoms - np.median(bottoms))
        members = members[off <= max(1, 0.12 * np.median(marks.height[members]))]
        if len(members) >= SUSPICIOUS:
            top, bottom = marks.top[members].min(), marks.bottom[members].max()
            left, right = marks.left[members].min(), marks.right[members].max()
            yield _Row(len(members), int(top), int(left), int(bottom), int(right))


def _stands_out(stroke: npt.NDArray[np.bool_], row: _Row) -> bool:
    """Tell whether strokes are rarer above and below a row than in it."""
    margin = max(2, (row.bottom - row.top) // 3)
    columns = slice(row.left, row.right)
    inside = stroke[row.top : row.bottom, columns].mean()
    above = stroke[max(0, row.top - 1 - margin) : max(0, row.top - 1), columns]
    below = stroke[row.bottom + 1 : row.bottom + 1 + margin, columns]
    count = above.size + below.size
    outside = (above.sum() + below.sum()) / count if count else 0.0
    return bool(outside <= min(0.7, QUIET * row.letters) * inside)


def _neighbours(marks: _Marks) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return pairs of marks that could be neighbouring letters of one line."""
    order = np.argsort(marks.bottom, kind="stable")
    bottom = marks.bottom[order]
    reach = np.searchsorted(bottom, bottom + max(1, round(0.12 * _HIGH)), side="right")
    counts = reach - np.arange(len(order)) - 1
    start = np.repeat(np.arange(len(order)), counts)
    step = np.arange(counts.sum()) - np.repeat(counts.cumsum() - counts, counts) + 1
    a, b = order[start], order[start + step]
    tall = np.maximum(marks.height[a], marks.height[b])
    gap = np.maximum(marks.left[a], marks.left[b]) - np.minimum(marks.right[a], marks.right[b])
    fits = (
        (np.abs(marks.bottom[a] - marks.bottom[b]) <= np.maximum(1, 0.12 * tall))
        & (np.abs(marks.height[a] - marks.height[b]) <= 0.45 * tall)
        & (gap <= 0.9 * tall)
        & (gap >= -0.2 * tall)
        & (np.abs(marks.level[a] - marks.level[b]) <= 30)
    )
    return a[fits], b[fits]


def _distinct(lines: list[Line]) -> tuple[Line, ...]:
    """Keep the first of lines whose boxes overlap."""
    kept: list[Line] = []
    for line in lines:
        if not any(_overlap(line.box, other.box) for other in kept):
            kept.append(line)
    return tuple(kept)


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
