"""The loops over pixels and over tables of counts, compiled by numba.

Imported on first use, for numba takes a second to import. The functions check
nothing: their callers in ``counting`` and ``discretisation`` do.

Indices are unsigned where a loop is hot: a signed one is tested for being negative,
which makes counting three times slower.
"""

import math
from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled
from glcm_mae.texture.kernels.lanes import Lanes
from glcm_mae.texture.lanczos import maximal_correlation

LANES = Lanes(8)
"""How many numbers the loops over vectors take at once."""


@compiled
def place_in_bins(
    image: Any,
    mask: Any,
    origin: Any,
    factor: Any,
    span: Any,
    tolerance: Any,
    lowest: Any,
    highest: Any,
    top: int,
    out: Any,
) -> int:
    """Write ``floor((x - origin) * factor / span + tolerance)``, at most ``top``.

    The arithmetic is in the type of ``origin``. Outside the mask, and in the margin that
    ``out`` may have on every side of the image, ``top + 1`` is written; a mask without any
    pixel at all stands for the whole image. Returned is how
    many pixels of the mask are NaN, below ``lowest`` or above ``highest``.
    """
    largest, outside = np.int32(top), np.int32(top + 1)
    stray = np.int32(0)
    whole = mask.size == 0
    slices, rows, cols = image.shape
    before = (out.shape[0] - slices) // 2, (out.shape[1] - rows) // 2
    left = (out.shape[2] - cols) // 2
    out[: before[0]] = outside
    out[before[0] + slices :] = outside
    for s in range(slices):
        plane = out[s + before[0]]
        plane[: before[1]] = outside
        plane[before[1] + rows :] = outside
        for r in range(rows):
            pixels, line = image[s, r], plane[r + before[1]]
            line[:left] = outside
            line[left + cols :] = outside
            levels = line[left : left + cols]
            _place_row(pixels, origin, factor, span, tolerance, largest, levels)
            if whole:
                for c in range(cols):
                    fits = (pixels[c] >= lowest) & (pixels[c] <= highest)  # not so for NaN
                    stray += np.int32(not fits)
                continue
            inside = mask[s, r]
            for c in range(cols):
                fits = (pixels[c] >= lowest) & (pixels[c] <= highest)
                stray += np.int32(inside[c]) & np.int32(not fits)
                levels[c] = levels[c] if inside[c] else outside
    return int(stray)


@compiled
def _place_row(
    pixels: Any, origin: Any, factor: Any, span: Any, tolerance: Any, largest: Any, levels: Any
) -> None:
    if span == 1 and origin == 0 and tolerance == 0:
        for c in range(len(pixels)):
            level = np.int32(pixels[c] * factor)
            levels[c] = level if level < largest else largest
    else:
        for c in range(len(pixels)):
            level = np.int32((pixels[c] - origin) * factor / span + tolerance)
            levels[c] = level if level < largest else largest


@compiled
def count_pairs(
    padded: Any, reach: Any, ways: Any, places: Any, tables: Any, side: int
) -> None:
    """Count pairs of levels, four directions on each way through the pixels.

    Args:
        padded: Levels, shape (slices, rows, cols), with a margin of ``reach`` on every
            side; the margin, and what is outside the mask, holds ``side - 1``.
        reach: Margin along each axis.
        ways: Displacements to neighbours, shape (ways, 3); their number is a multiple of
            four.
        places: Table of each slice and way, shape (slices, ways).
        tables: Counts to add to, shape (tables, side, side).
        side: Number of levels, and one more for what does not count.
    """
    flat = padded.ravel()
    plane, row = padded.shape[1] * padded.shape[2], padded.shape[2]
    width = np.uint64(side)
    one = np.uint32(1)
    steps = np.empty(len(ways), np.int64)
    for k in range(len(ways)):
        steps[k] = ways[k, 0] * plane + ways[k, 1] * row + ways[k, 2]
    slices, rows = padded.shape[0] - 2 * reach[0], padded.shape[1] - 2 * reach[1]
    cols = padded.shape[2] - 2 * reach[2]
    for s in range(slices):
        for d in range(0, len(steps), 4):
            t0, t1 = tables[places[s, d]].ravel(), tables[places[s, d + 1]].ravel()
            t2, t3 = tables[places[s, d + 2]].ravel(), tables[places[s, d + 3]].ravel()
            # Unsigned numbers wrap around, so a step back works too.
            d0, d1 = np.uint64(steps[d]), np.uint64(steps[d + 1])
            d2, d3 = np.uint64(steps[d + 2]), np.uint64(steps[d + 3])
            for r in range(rows):
                p = np.uint64((s + reach[0]) * plane + (r + reach[1]) * row + reach[2])
                for _ in range(cols):
                    start = np.uint64(flat[p]) * width
                    t0[start + np.uint64(flat[p + d0])] += one
                    t1[start + np.uint64(flat[p + d1])] += one
                    t2[start + np.uint64(flat[p + d2])] += one
                    t3[start + np.uint64(flat[p + d3])] += one
                    p += np.uint64(1)


@compiled
def fold(table: Any) -> None:
    """Add what is below the diagonal to its mirror image above, tile by tile."""
    levels, tile, one = np.uint64(table.shape[0]), np.uint64(16), np.uint64(1)
    for top in range(np.uint64(0), levels, tile):
        for left in range(top, levels, tile):
            for i in range(top, min(top + tile, levels)):
                right = max(left, i + one)
                for j in range(right, min(left + tile, levels)):  # type: ignore[call-overload]
                    table[i, j] += table[j, i]


_LOGARITHMS = np.arange(4096) * np.log2(np.maximum(np.arange(4096), 1))


@compiled
def _information(count: Any) -> Any:
    """Return ``count * log2(count)``."""
    if count < len(_LOGARITHMS):
        return _LOGARITHMS[count]
    return count * math.log2(count)


@compiled
def reduce_table(
    table: Any,
    folded: bool,
    starts: Any,
    places: Any,
    counts: Any,
    rows: Any,
    columns: Any,
    sums: Any,
    differences: Any,
    scalars: Any,
) -> int:
    """Reduce one table of counts to its marginals, in one pass; return the number of pairs.

    Args:
        table: Counts, shape (levels, levels).
        folded: Whether the table stands for its sum with its transpose, and only what
            is on and above the diagonal is to be read.
        starts: Filled with where each row begins in ``places`` and ``counts``.
        places: Filled with the columns of the occupied entries.
        counts: Filled with the occupied entries.
        rows: Filled with the distribution of the reference pixel's level.
        columns: Filled with the distribution of its neighbour's level.
        sums: Filled with the distribution of their sum.
        differences: Filled with the distribution of their absolute difference.
        scalars: Filled with energy, largest probability, entropy and covariance.
    """
    levels = np.uint64(table.shape[0])
    place, products = np.uint64(0), np.int64(0)
    largest = np.int64(0)
    squares, logarithms = 0.0, 0.0
    for i in range(levels):
        starts[i] = first = place
        # Written always, kept where occupied: a branch would be guessed wrong too often.
        for column in range(i if folded else np.uint64(0), levels):
            places[place] = column
            counts[place] = table[i, column]
            place += np.uint64(table[i, column] > 0)
        inside, weighted = np.int64(0), np.int64(0)
        for k in range(first, place):
            j, n = np.uint64(places[k]), np.int64(counts[k])
            inside += n
            weighted += n * np.int64(j)
            columns[j] += n
            sums[i + j] += n
            differences[i - j if i > j else j - i] += n
            # Of a folded table the diagonal counts double, the rest stands in two places.
            entry = n << np.int64(folded and i == j)
            copies = np.int64(1) << np.int64(folded and i < j)
            squares += copies * (np.float64(entry) * np.float64(entry))
            logarithms += copies * _information(entry)
            if entry > largest:
                largest = entry
        rows[i] = inside
        products += np.int64(i) * weighted
    starts[levels] = place
    if folded:
        rows += columns
        columns[:] = rows
        sums *= 2.0
        differences *= 2.0
        products *= 2
    pairs = np.int64(np.sum(rows))
    if pairs > 0:
        scalars[0] = squares / pairs / pairs
        scalars[1] = largest / pairs
        scalars[2] = math.log2(pairs) - logarithms / pairs if largest < pairs else 0.0
        scalars[3] = _covariance(rows, columns, products, pairs)
        rows /= pairs
        columns /= pairs
        sums /= pairs
        differences /= pairs
    return int(pairs)


@compiled
def _covariance(rows: Any, columns: Any, products: Any, pairs: Any) -> Any:
    """Return the covariance of two levels from their counts and the sum of their products."""
    first, second = np.int64(0), np.int64(0)
    for k in range(len(rows)):
        first += k * np.int64(rows[k])
        second += k * np.int64(columns[k])
    # About whole numbers near the means, so that nothing large cancels.
    a, b = first // pairs, second // pairs
    centred = products - a * second - b * first + pairs * a * b
    return centred / pairs - (first / pairs - a) * (second / pairs - b)


@compiled
def reduce_tables(
    tables: Any,
    symmetric: bool,
    rows: Any,
    columns: Any,
    sums: Any,
    differences: Any,
    scalars: Any,
    lanes: Lanes,
) -> None:
    """Reduce tables of counts one by one, as :func:`reduce_table` does; they are used up.

    Args:
        tables: Counts, shape (tables, levels, levels).
        symmetric: Whether to count every pair in both directions.
        rows: Filled, shape (tables, levels), as are the next three.
        columns: Filled.
        sums: Filled, shape (tables, 2 * levels - 1).
        differences: Filled.
        scalars: Filled with energy, largest probability, entropy, covariance, the
            maximal correlation coefficient and the number of pairs, shape (tables, 6).
        lanes: How many numbers are taken at once.
    """
    levels = tables.shape[1]
    starts = np.empty(levels + 1, np.uint32)
    places = np.empty(levels * levels + 1, np.uint32)
    counts = np.empty(levels * levels + 1, np.uint32)
    for t in range(len(tables)):
        if symmetric:
            fold(tables[t])
        pairs = reduce_table(
            tables[t],
            symmetric,
            starts,
            places,
            counts,
            rows[t],
            columns[t],
            sums[t],
            differences[t],
            scalars[t],
        )
        scalars[t, 5] = pairs
        if pairs > 0:
            scalars[t, 4] = maximal_correlation(
                starts, places, counts, rows[t], columns[t], pairs, symmetric, lanes
            )


@compiled
def tally(
    image: Any,
    mask: Any,
    bins: Any,
    levels: int,
    reach: Any,
    ways: Any,
    places: Any,
    symmetric: bool,
    rows: Any,
    columns: Any,
    sums: Any,
    differences: Any,
    scalars: Any,
    lanes: Lanes,
) -> int:
    """Bin the pixels, count their pairs and reduce the tables, in one go.

    Args:
        image: Gray values, shape (slices, rows, cols).
        mask: Pixels that count; of no pixel at all, for the whole image.
        bins: The six numbers by which :func:`place_in_bins` makes levels.
        levels: Number of levels.
        reach: How far the ways lead along each axis.
        ways: As for :func:`count_pairs`.
        places: As for :func:`count_pairs`.
        symmetric: As for :func:`reduce_tables`, like all that follows.
        rows: Filled.
        columns: Filled.
        sums: Filled.
        differences: Filled.
        scalars: Filled.
        lanes: How many numbers are taken at once.

    Returns:
        How many pixels of the mask are out of range; if any, nothing is counted.
    """
    size_of = image.shape
    padded = np.empty(
        (size_of[0] + 2 * reach[0], size_of[1] + 2 * reach[1], size_of[2] + 2 * reach[2]),
        np.uint16,
    )
    origin, factor, span, tolerance, lowest, highest = bins
    stray = place_in_bins(
        image, mask, origin, factor, span, tolerance, lowest, highest, levels - 1, padded
    )
    if stray == 0:
        tables = np.zeros((len(rows) + 1, levels + 1, levels + 1), np.uint32)
        count_pairs(padded, reach, ways, places, tables, levels + 1)
        counted = tables[: len(rows), :levels, :levels]
        reduce_tables(counted, symmetric, rows, columns, sums, differences, scalars, lanes)
    return stray
