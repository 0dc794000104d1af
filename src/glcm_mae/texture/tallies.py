"""The loops over pixels and over tables of counts, compiled by numba.

Imported on first use, for numba takes a second to import. The functions check
nothing: their callers in ``counting`` and ``discretisation`` do.

All are in one file, for numba keeps machine code on disk until the file of the function
that was called changes, whatever happens to those that it calls.

Indices are unsigned where a loop is hot: a signed one is tested for being negative,
which makes counting three times slower.
"""

import math
from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled

# Of the maximal correlation coefficient; a singular value decomposition of 256 levels would
# take longer than all else together.
_TOLERANCE = 1e-5  # of an eigenvector; its eigenvalue is better by the square
_EXHAUSTED = 1e-9  # no direction is left that the matrix could lead to
_MOST_STEPS = 300  # about fifteen are needed
_FIRST_LOOK, _LOOK_EVERY = 8, 3  # steps between which nothing is tested
_HALVINGS = 7  # until Newton's iteration is fast
_NEWTON_STEPS = 200  # about five are needed, more only where two roots nearly meet
_DENSE = 64  # levels up to which empty entries cost less than finding the others


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
    ``out`` may have on every side of the image, ``top + 1`` is written. Returned is how
    many pixels of the mask are NaN, below ``lowest`` or above ``highest``.
    """
    largest, outside = np.int32(top), np.int32(top + 1)
    stray = np.int32(0)
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
            pixels, inside, line = image[s, r], mask[s, r], plane[r + before[1]]
            line[:left] = outside
            line[left + cols :] = outside
            levels = line[left : left + cols]
            for c in range(cols):
                level = np.int32((pixels[c] - origin) * factor / span + tolerance)
                level = level if level < largest else largest
                levels[c] = level if inside[c] else outside
            for c in range(cols):
                fits = (pixels[c] >= lowest) & (pixels[c] <= highest)  # not so for NaN
                stray += np.int32(inside[c]) & np.int32(not fits)
    return int(stray)


@compiled
def count_pairs(
    padded: Any, shape: Any, reach: Any, steps: Any, places: Any, tables: Any, side: int
) -> None:
    """Count pairs of levels, four directions on each way through the pixels.

    Args:
        padded: Levels, shape (slices, rows, cols), with a margin of ``reach`` on every
            side; the margin, and what is outside the mask, holds ``side - 1``.
        shape: Slices, rows and cols without the margin.
        reach: Margin along each axis.
        steps: Way from a pixel to its neighbour in the flattened ``padded``; their
            number is a multiple of four.
        places: Table of each slice and direction, shape (slices, directions).
        tables: Counts to add to, shape (tables, side, side).
        side: Number of levels, and one more for what does not count.
    """
    flat = padded.ravel()
    plane, row = padded.shape[1] * padded.shape[2], padded.shape[2]
    width = np.uint64(side)
    one = np.uint32(1)
    for s in range(shape[0]):
        for d in range(0, len(steps), 4):
            t0, t1 = tables[places[s, d]].ravel(), tables[places[s, d + 1]].ravel()
            t2, t3 = tables[places[s, d + 2]].ravel(), tables[places[s, d + 3]].ravel()
            # Unsigned numbers wrap around, so a step back works too.
            d0, d1 = np.uint64(steps[d]), np.uint64(steps[d + 1])
            d2, d3 = np.uint64(steps[d + 2]), np.uint64(steps[d + 3])
            for r in range(shape[1]):
                p = np.uint64((s + reach[0]) * plane + (r + reach[1]) * row + reach[2])
                for _ in range(shape[2]):
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
def maximal_correlation(
    starts: Any, places: Any, counts: Any, rows: Any, columns: Any, pairs: int, folded: bool
) -> float:
    """Return the second singular value of ``p(i, j) / √(p_x(i) p_y(j))``, to 1e-6.

    The first is 1, with the vectors √p_x and √p_y. Lanczos' iteration [1]_ finds the
    next among the vectors at right angles to √p_y: on the matrix itself where it is
    symmetric, else on its transpose times itself.

    Args:
        starts: Where each row begins in ``places`` and ``counts``.
        places: Columns of the occupied entries.
        counts: Occupied entries.
        rows: Distribution of the reference pixel's level.
        columns: Distribution of its neighbour's level.
        pairs: Sum of the whole table.
        folded: Whether the entries stand for their sum with their transpose.

    Returns:
        The value, from 0 to 1; 1 where either pixel has a single level.

    References:
        .. [1] Golub and Van Loan, 2013, Matrix Computations, section 10.1
    """
    levels, occupied = len(columns), np.sum(columns > 0)
    if occupied == 1 or np.sum(rows > 0) == 1:
        return 1.0
    entries = _weigh(starts, places, counts, rows, columns, pairs)
    dense = _spread(starts, places, entries, folded, levels if levels <= _DENSE else 0)
    steps = min(occupied - 1, _MOST_STEPS)
    basis = np.empty((steps + 2, levels))
    basis[0] = np.sqrt(columns)
    _first_guess(columns, basis[1])
    _orthogonalise(basis[1], basis, 1)
    basis[1] /= math.sqrt(_dot(basis[1], basis[1]))
    diagonal, beside = np.empty(steps), np.empty(steps)
    value = 0.0
    for step in range(steps):
        image = basis[step + 2]
        _multiply(starts, places, entries, dense, basis[step + 1], image, folded)
        diagonal[step] = _dot(image, basis[step + 1])
        _orthogonalise(image, basis, step + 2)
        beside[step] = math.sqrt(_dot(image, image))
        last = step == steps - 1 or beside[step] < _EXHAUSTED
        if last or (step + 1 >= _FIRST_LOOK and (step + 1 - _FIRST_LOOK) % _LOOK_EVERY == 0):
            value, doubt = _second_value(diagonal, beside, step + 1, folded)
            if last or doubt < _TOLERANCE:
                break
        image /= beside[step]
    return min(max(value, 0.0), 1.0)


@compiled
def _spread(starts: Any, places: Any, entries: Any, folded: bool, levels: int) -> Any:
    """Return the entries as a whole matrix, added to their transpose where folded."""
    dense = np.zeros((levels, levels))
    for i in range(levels):
        for k in range(starts[i], starts[i + 1]):
            dense[i, places[k]] += entries[k]
            if folded:
                dense[places[k], i] += entries[k]
    return dense


@compiled
def _weigh(starts: Any, places: Any, counts: Any, rows: Any, columns: Any, pairs: int) -> Any:
    """Return the occupied entries of ``p(i, j) / √(p_x(i) p_y(j))``."""
    row_weight = 1 / np.sqrt(np.where(rows > 0, rows, 1.0)) / pairs
    column_weight = 1 / np.sqrt(np.where(columns > 0, columns, 1.0))
    entries = np.empty(starts[-1])
    for i in range(len(rows)):
        for k in range(starts[i], starts[i + 1]):
            entries[k] = counts[k] * row_weight[i] * column_weight[places[k]]
    return entries


@compiled
def _first_guess(columns: Any, guess: Any) -> None:
    """Write the levels themselves, which mostly correlate best, and a little of all else."""
    mean, spread = 0.0, 0.0
    for j in range(len(columns)):
        mean += j * columns[j]
    for j in range(len(columns)):
        spread += (j - mean) ** 2 * columns[j]
    for j in range(len(columns)):
        straight = math.sqrt(columns[j] / spread) * (j - mean)
        noise = 0.1 * math.sin(1.0 + j * j) / math.sqrt(len(columns))
        guess[j] = straight + noise if columns[j] > 0 else 0.0


@compiled
def _multiply(
    starts: Any, places: Any, entries: Any, dense: Any, vector: Any, image: Any, folded: bool
) -> None:
    """Write the matrix times a vector, or its transpose times that where it is not folded."""
    image[:] = 0.0
    if len(dense) > 0:
        _multiply_dense(dense, vector, image, folded)
    else:
        _multiply_sparse(starts, places, entries, vector, image, folded)


@compiled
def _multiply_dense(dense: Any, vector: Any, image: Any, folded: bool) -> None:
    for i in range(len(vector)):
        row = dense[i]
        share = vector[i] if folded else _dot(row, vector)  # a folded one is symmetric
        for j in range(len(vector)):
            image[j] += share * row[j]


@compiled
def _multiply_sparse(
    starts: Any, places: Any, entries: Any, vector: Any, image: Any, folded: bool
) -> None:
    one = np.uint64(1)
    for i in range(np.uint64(len(vector))):
        first, end = np.uint64(starts[i]), np.uint64(starts[i + one])
        total, own = 0.0, vector[i]
        for k in range(first, end):
            total += entries[k] * vector[places[k]]
            if folded:
                image[places[k]] += entries[k] * own
        if folded:
            image[i] += total
        else:
            for k in range(first, end):
                image[places[k]] += entries[k] * total


@compiled
def _second_value(diagonal: Any, beside: Any, size: int, folded: bool) -> tuple[float, float]:
    """Return the singular value found so far, and how far its vector may be off."""
    value, doubt = _largest_root(diagonal, beside, size, 1.0)
    if folded:
        # Mostly the other end lies too far off to matter, whatever is still missing.
        bound = value - beside[size - 1]
        if _newton_step(diagonal, beside, size, -1.0, bound)[0] == 0.0:
            opposite, other_doubt = _largest_root(diagonal, beside, size, -1.0)
            if opposite + other_doubt > value:
                doubt = max(doubt, other_doubt) if value + doubt > opposite else other_doubt
            value = max(value, opposite)
    else:
        value = math.sqrt(max(value, 0.0))
    return value, doubt / max(value, 1e-3)


@compiled
def _dot(one: Any, other: Any) -> float:
    """Return the inner product, summed in four strands at a time."""
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = len(one) - len(one) % 4
    for i in range(0, whole, 4):
        a += one[i] * other[i]
        b += one[i + 1] * other[i + 1]
        c += one[i + 2] * other[i + 2]
        d += one[i + 3] * other[i + 3]
    for i in range(whole, len(one)):
        a += one[i] * other[i]
    return (a + b) + (c + d)


@compiled
def _orthogonalise(vector: Any, basis: Any, count: int) -> None:
    """Take from a vector its part along each of the first vectors of a basis."""
    # From the newest on: what the first ones leave, the later ones would bring back.
    for k in range(count - 1, -1, -1):
        known = basis[k]
        share = _dot(known, vector)
        for i in range(len(vector)):
            vector[i] -= share * known[i]


@compiled
def _largest_root(diagonal: Any, beside: Any, size: int, sign: float) -> tuple[float, float]:
    """Return the largest eigenvalue of a tridiagonal matrix, and how far its vector is off.

    Halving and then Newton's iteration on the characteristic polynomial, from above. The
    matrix is that of Lanczos' iteration, times ``sign``; the last number beside the
    diagonal is the norm of what is not in it yet.
    """
    low, root = -math.inf, -math.inf
    for k in range(size):
        reach = (beside[k - 1] if k > 0 else 0.0) + (beside[k] if k + 1 < size else 0.0)
        low = max(low, sign * diagonal[k])
        root = max(root, sign * diagonal[k] + reach)
    root = min(root, 1.0 + 1e-9)  # no singular value is above 1
    for _ in range(_HALVINGS):
        middle = (low + root) / 2
        if _newton_step(diagonal, beside, size, sign, middle)[0] > 0:
            root = middle
        else:
            low = middle
    slope = 1.0
    for _ in range(_NEWTON_STEPS):
        step, slope = _newton_step(diagonal, beside, size, sign, root)
        if step < 1e-13:
            break
        root -= step
    return root, beside[size - 1] / math.sqrt(slope)


@compiled
def _newton_step(
    diagonal: Any, beside: Any, size: int, sign: float, root: float
) -> tuple[float, float]:
    """Return how far to go down from above the largest root, 0 where it is not above.

    And the inverse square of the last number of the eigenvector, as it is at the root.
    """
    value, slope, total = 1.0, 0.0, 0.0
    for k in range(size):
        square = beside[k - 1] ** 2 if k > 0 else 0.0
        slope = 1.0 + square * slope / (value * value)
        value = root - sign * diagonal[k] - square / value
        if value <= 1e-15:
            return 0.0, slope
        total += slope / value
    return 1.0 / total, slope


@compiled
def reduce_tables(
    tables: Any,
    symmetric: bool,
    rows: Any,
    columns: Any,
    sums: Any,
    differences: Any,
    scalars: Any,
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
                starts, places, counts, rows[t], columns[t], pairs, symmetric
            )
