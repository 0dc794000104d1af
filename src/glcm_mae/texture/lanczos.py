"""The maximal correlation coefficient of counted tables, by Lanczos' iteration."""

import math
from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled
from glcm_mae.texture.kernels.lanes import (
    Lanes,
    add,
    dot,
    load,
    multiply,
    scaled,
    size,
    splat,
    store,
)

# Of the maximal correlation coefficient; a singular value decomposition of 256 levels would
# take longer than all else together.
_TOLERANCE = 1e-5  # of an eigenvector; its eigenvalue is better by the square
_EXHAUSTED = 1e-9  # no direction is left that the matrix could lead to
_MOST_STEPS = 300  # about fifteen are needed
_FIRST_LOOK, _LOOK_EVERY = 18, 3  # steps between which nothing is tested
_HALVINGS = 7  # until Newton's iteration is fast
_NEWTON_STEPS = 200  # about five are needed, more only where two roots nearly meet
_DENSE = 64  # levels up to which empty entries cost less than finding the others


@compiled
def maximal_correlation(
    starts: Any,
    places: Any,
    counts: Any,
    rows: Any,
    columns: Any,
    pairs: int,
    folded: bool,
    lanes: Lanes,
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
        lanes: How many numbers are taken at once.

    Returns:
        The value, from 0 to 1; 1 where either pixel has a single level.

    References:
        .. [1] Golub and Van Loan, 2013, Matrix Computations, section 10.1
    """
    levels, occupied = len(columns), np.sum(columns > 0)
    if occupied == 1 or np.sum(rows > 0) == 1:
        return 1.0
    entries = _weigh(starts, places, counts, rows, columns, pairs)
    pair = 2 * size(lanes)
    width = int(-(-levels // pair) * pair)  # padded with zeros
    dense = _spread(starts, places, entries, folded, levels if levels <= _DENSE else 0, width)
    steps = min(occupied - 1, _MOST_STEPS)
    basis = np.zeros((steps + 2, width))
    vectors, shares = basis.reshape(-1), np.empty(steps + 2)
    basis[0, :levels] = np.sqrt(columns)
    _first_guess(columns, basis[1])
    _orthogonalise(vectors, 1, width, shares, lanes)
    _divide(vectors, 1, width, math.sqrt(_product(vectors, 1, 1, width, lanes)), lanes)
    diagonal, beside, middle = np.empty(steps), np.empty(steps), np.empty(levels)
    value = 0.0
    for step in range(steps):
        if len(dense) > 0:
            _multiply_dense(dense, vectors, step + 1, middle, width, folded, lanes)
        else:
            _multiply_sparse(
                starts, places, entries, basis[step + 1], basis[step + 2], levels, folded
            )
        diagonal[step] = _product(vectors, step + 2, step + 1, width, lanes)
        _orthogonalise(vectors, step + 2, width, shares, lanes)
        beside[step] = math.sqrt(_product(vectors, step + 2, step + 2, width, lanes))
        last = step == steps - 1 or beside[step] < _EXHAUSTED
        if last or (step + 1 >= _FIRST_LOOK and (step + 1 - _FIRST_LOOK) % _LOOK_EVERY == 0):
            value, doubt = _second_value(diagonal, beside, step + 1, folded)
            if last or doubt < _TOLERANCE:
                break
        _divide(vectors, step + 2, width, beside[step], lanes)
    return min(max(value, 0.0), 1.0)


@compiled
def _spread(
    starts: Any, places: Any, entries: Any, folded: bool, levels: int, width: int
) -> Any:
    """Return the entries as rows of a whole matrix, added to their transpose where folded."""
    dense = np.zeros(levels * width)
    for i in range(levels):
        for k in range(starts[i], starts[i + 1]):
            dense[i * width + places[k]] += entries[k]
            if folded:
                dense[places[k] * width + i] += entries[k]
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
def _multiply_dense(
    dense: Any,
    vectors: Any,
    row: int,
    middle: Any,
    width: int,
    folded: bool,
    lanes: Lanes,
) -> None:
    """Write the matrix times a vector after it, or its transpose times that if not folded."""
    count, zero = size(lanes), splat(0.0, lanes)
    start = row * width
    for i in range(len(middle)):
        # A folded matrix is symmetric: it is its own transpose.
        middle[i] = vectors[start + i]
        if not folded:
            sums = zero
            for k in range(0, width, count):
                part = load(vectors, start + k, lanes)
                sums = add(sums, multiply(load(dense, i * width + k, lanes), part))
            middle[i] = dot(sums, splat(1.0, lanes))
    for k in range(0, width, 2 * count):
        left, right = zero, zero
        for i in range(len(middle)):
            share = middle[i]
            left = scaled(load(dense, i * width + k, lanes), share, left)
            right = scaled(load(dense, i * width + k + count, lanes), share, right)
        store(vectors, start + width + k, left)
        store(vectors, start + width + k + count, right)


@compiled
def _multiply_sparse(
    starts: Any,
    places: Any,
    entries: Any,
    vector: Any,
    image: Any,
    levels: int,
    folded: bool,
) -> None:
    """Write the matrix times a vector, or its transpose times that where it is not folded."""
    one = np.uint64(1)
    image[:] = 0.0
    for i in range(np.uint64(levels)):
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
def _product(vectors: Any, one: int, other: int, width: int, lanes: Lanes) -> Any:
    """Return the inner product of two of the vectors."""
    sums = splat(0.0, lanes)
    for k in range(0, width, size(lanes)):
        part = load(vectors, one * width + k, lanes)
        sums = add(sums, multiply(part, load(vectors, other * width + k, lanes)))
    return dot(sums, splat(1.0, lanes))


@compiled
def _divide(vectors: Any, row: int, width: int, divisor: float, lanes: Lanes) -> None:
    zero, factor = splat(0.0, lanes), 1.0 / divisor
    for k in range(row * width, (row + 1) * width, size(lanes)):
        store(vectors, k, scaled(load(vectors, k, lanes), factor, zero))


@compiled
def _orthogonalise(vectors: Any, row: int, width: int, shares: Any, lanes: Lanes) -> None:
    """Take from a vector its part along each of those before it."""
    # The two newest first: what is left along the others is rounding, taken all at once.
    newest = max(row - 2, 0)
    for known in range(row - 1, newest - 1, -1):
        shares[known] = -_product(vectors, known, row, width, lanes)
        _add_multiples(vectors, known, known + 1, row, width, shares, lanes)
    for known in range(newest):
        shares[known] = -_product(vectors, known, row, width, lanes)
    _add_multiples(vectors, 0, newest, row, width, shares, lanes)


@compiled
def _add_multiples(
    vectors: Any, first: int, end: int, row: int, width: int, shares: Any, lanes: Lanes
) -> None:
    """Add to a vector the given shares of some before it."""
    for k in range(0, width, size(lanes)):
        place = row * width + k
        total = load(vectors, place, lanes)
        for known in range(first, end):
            total = scaled(load(vectors, known * width + k, lanes), shares[known], total)
        store(vectors, place, total)


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
    inverse, slope, total = 1.0, 0.0, 0.0
    for k in range(size):
        share = beside[k - 1] ** 2 * inverse if k > 0 else 0.0
        slope = 1.0 + share * inverse * slope
        value = root - sign * diagonal[k] - share
        if value <= 1e-15:
            return 0.0, slope
        inverse = 1.0 / value
        total += slope * inverse
    return 1.0 / total, slope
