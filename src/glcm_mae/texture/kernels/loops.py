"""The loops of the fused GLCM distance on the processor.

A pixel belongs to few gray levels, so the co-occurrence of a patch is a sum of small
blocks, one per pair of neighbours, scattered into a table; and the gradient of the
distance is gathered from the table by the same blocks. Where the table holds ``C``, the
sum of ``φ(x) φ(y)ᵀ`` over the N pairs of the predicted patch minus the same over the
true one, the distance is ``‖C‖² / N²``, its derivative by a reference pixel ``x`` is
``2 φ'(x)ᵀ C φ(y) / N²`` and by its neighbour ``y`` it is ``2 φ(x)ᵀ C φ'(y) / N²``.

Rows of shares are padded with zeros to whole vectors. Nothing is checked here: the
callers do.
"""

from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled
from glcm_mae.texture.kernels.lanes import (
    Lanes,
    add,
    dot,
    load,
    multiply,
    number,
    scaled,
    size,
    splat,
    store,
)
from glcm_mae.texture.kernels.shares import write_shares

Array = Any  # a NumPy array; numba finds out the rest


@compiled
def add_excess(
    predicted: Array, true: Array, weight: float, distances: Array, gradient: Array
) -> None:
    """Add the squared excess outside [0, 1] and begin the gradient; NaN marks its patch.

    Args:
        predicted: Patches (patches, pixels).
        true: True patches, alike.
        weight: What the excess of one pixel counts.
        distances: One number per patch, added to.
        gradient: Overwritten, shaped as the patches.
    """
    for patch in range(predicted.shape[0]):
        total = 0.0
        for pixel in range(predicted.shape[1]):
            value = predicted[patch, pixel]
            excess = value - min(max(value, 0), 1)
            total += excess * excess
            if np.isnan(value) or np.isnan(true[patch, pixel]):
                total = np.nan
            gradient[patch, pixel] = 2 * weight * excess
        distances[patch] += weight * total
        if np.isnan(total):
            gradient[patch, :] = np.nan


@compiled
def add_distances(
    predicted: Array,
    true: Array,
    shape: tuple[int, int],
    offsets: Array,
    bins: tuple[int, int, int],
    sharpness: float,
    constants: Array,
    symmetric: bool,
    weight: float,
    with_gradient: bool,
    distances: Array,
    gradient: Array,
    lanes: Lanes,
) -> None:
    """Add the distance of each patch, and its gradient.

    Args:
        predicted: Patches (patches, pixels).
        true: True patches, alike.
        shape: Height and width of a patch.
        offsets: Displacements (offsets, 2), rows and columns.
        bins: Levels; bins that a pixel touches on a scale without ends; bins that it
            touches on [0, 1], where the ends mirror.
        sharpness: One over the bandwidth.
        constants: Eight rows as wide as the touched bins are in whole vectors. The first
            three: ``e^((edge - middle) / b)`` of the edges below each bin, from one row
            below the lowest bin on; 0 for those that are not touched. The next three: 1
            up to the highest bin, then 0. The last two: ``e^(-edge / b)`` of the edges
            from the bottom upward, and up to the top.
        symmetric: Count every pair in both directions.
        weight: What the distance of one patch and offset counts.
        with_gradient: Whether to compute the gradient.
        distances: One number per patch, added to; a patch that has NaN there is left.
        gradient: Added to, shaped as the patches.
        lanes: How many numbers a vector has.
    """
    levels, _, window = bins
    count = size(lanes)
    padded = -(-window // count) * count
    pixels = predicted.shape[1]
    stride = levels - window + padded
    table = np.zeros(-(-levels * stride // count) * count, predicted.dtype)
    edges = np.zeros(constants.size // 4 + 2, predicted.dtype)
    shares = np.zeros((3, pixels * padded), predicted.dtype)  # predicted, true, slopes
    starts = np.zeros((2, pixels), np.int64)
    slope = np.zeros(pixels, predicted.dtype)
    for patch in range(predicted.shape[0]):
        values, truth = predicted[patch], true[patch]
        if np.isnan(distances[patch]) or np.array_equal(values, truth):
            continue
        for k in range(2):
            write_shares(
                truth if k else values,
                bins,
                sharpness,
                constants,
                with_gradient and k == 0,
                edges,
                starts[k],
                shares[k],
                shares[2],
                lanes,
            )
        slope[:] = 0
        for k in range(offsets.shape[0]):
            pairs = neighbours(shape, offsets[k, 0], offsets[k, 1])
            distances[patch] += compare(
                table,
                stride,
                pairs,
                window,
                shares,
                starts,
                symmetric,
                weight,
                with_gradient,
                slope,
                lanes,
            )
        factor = predicted.dtype.type(levels * sharpness)
        for pixel in range(pixels):
            if 0 <= values[pixel] <= 1:
                gradient[patch, pixel] += factor * slope[pixel]


@compiled
def compare(
    table: Array,
    stride: int,
    pairs: tuple[int, ...],
    window: int,
    shares: Array,
    starts: Array,
    symmetric: bool,
    weight: float,
    with_gradient: bool,
    slope: Array,
    lanes: Lanes,
) -> float:
    """Return the weighted distance at one offset, and add its slope by the scaled pixels.

    Args:
        table: Scratch, cleared before and after.
        stride: From a row of the table to the next.
        pairs: As ``neighbours`` returns them.
        window: Bins that a pixel touches.
        shares: Of the predicted pixels, of the true ones; slopes of the predicted ones.
        starts: First bins of the predicted and of the true pixels.
        symmetric: Count every pair in both directions.
        weight: What the distance counts.
        with_gradient: Whether to add the slope.
        slope: Added to.
        lanes: How many numbers a vector has.
    """
    weight /= ((pairs[1] - pairs[0]) * (pairs[3] - pairs[2])) ** 2
    for k in range(2):
        scatter(table, stride, pairs, window, shares[k], starts[k], 1 - 2 * k, symmetric, lanes)
    if with_gradient:
        predicted, slopes = shares[0], shares[2]
        gather(
            table, stride, pairs, window, predicted, slopes, starts[0], 2 * weight, slope, lanes
        )
    if table.size <= 4 * shares.shape[1] * window:
        return weight * sweep(table, lanes)
    total = 0.0
    for k in range(2):
        total += clear(table, stride, pairs, window, starts[k], symmetric, lanes)
    return weight * total


@compiled
def neighbours(shape: tuple[int, int], rows: int, cols: int) -> tuple[int, ...]:
    """Return where the reference pixels are whose neighbour is in the patch.

    Returns:
        First row, row after the last, first column, column after the last; pixels
        from the reference pixel to its neighbour, and from a row to the next.
    """
    height, width = shape
    return (
        max(0, -rows),
        height - max(0, rows),
        max(0, -cols),
        width - max(0, cols),
        rows * width + cols,
        width,
    )


@compiled
def scatter(
    table: Array,
    stride: int,
    pairs: tuple[int, ...],
    window: int,
    shares: Array,
    starts: Array,
    sign: int,
    symmetric: bool,
    lanes: Lanes,
) -> None:
    """Add ``sign φ(x) φ(y)ᵀ`` of every pair to the table; symmetric, half of both ways."""
    weight = table.dtype.type(sign * 0.5 if symmetric else sign)
    for row in range(pairs[0], pairs[1]):
        for x in range(row * pairs[5] + pairs[2], row * pairs[5] + pairs[3]):
            y = x + pairs[4]
            add_block(table, stride, window, shares, starts, x, y, weight, lanes)
            if symmetric:
                add_block(table, stride, window, shares, starts, y, x, weight, lanes)


@compiled
def add_block(
    table: Array,
    stride: int,
    window: int,
    shares: Array,
    starts: Array,
    x: int,
    y: int,
    weight: float,
    lanes: Lanes,
) -> None:
    """Add ``weight φ(x) φ(y)ᵀ`` to the table."""
    count = size(lanes)
    padded = -(-window // count) * count
    block = number(starts, x) * stride + number(starts, y)
    for k in range(0, padded, count):
        columns = load(shares, y * padded + k, lanes)
        place = block + k
        for i in range(x * padded, x * padded + window):
            share = weight * number(shares, i)
            store(table, place, scaled(columns, share, load(table, place, lanes)))
            place += stride


@compiled
def gather(
    table: Array,
    stride: int,
    pairs: tuple[int, ...],
    window: int,
    shares: Array,
    slopes: Array,
    starts: Array,
    weight: float,
    gradient: Array,
    lanes: Lanes,
) -> None:
    """Add ``weight φ'(x)ᵀ C φ(y)`` to the gradient of x, and alike for y, over all pairs."""
    count = size(lanes)
    padded = -(-window // count) * count
    zero = splat(table.dtype.type(0), lanes)
    weight = table.dtype.type(weight)
    for row in range(pairs[0], pairs[1]):
        for x in range(row * pairs[5] + pairs[2], row * pairs[5] + pairs[3]):
            y = x + pairs[4]
            block = number(starts, x) * stride + number(starts, y)
            for k in range(0, padded, count):
                by_slopes, by_shares = zero, zero
                place = block + k
                for i in range(x * padded, x * padded + window):
                    cells = load(table, place, lanes)
                    by_slopes = scaled(cells, number(slopes, i), by_slopes)
                    by_shares = scaled(cells, number(shares, i), by_shares)
                    place += stride
                gradient[x] += weight * dot(by_slopes, load(shares, y * padded + k, lanes))
                gradient[y] += weight * dot(by_shares, load(slopes, y * padded + k, lanes))


@compiled
def sweep(table: Array, lanes: Lanes) -> float:
    """Return the sum of squares of the whole table, and clear it."""
    zero = splat(table.dtype.type(0), lanes)
    squares = zero
    for place in range(0, table.size, size(lanes)):
        cells = load(table, place, lanes)
        squares = add(squares, multiply(cells, cells))
        store(table, place, zero)
    return dot(squares, splat(table.dtype.type(1), lanes))


@compiled
def clear(
    table: Array,
    stride: int,
    pairs: tuple[int, ...],
    window: int,
    starts: Array,
    symmetric: bool,
    lanes: Lanes,
) -> float:
    """Return the sum of squares where the pairs have scattered, and clear it there.

    A cell counts once, for the second visit finds it cleared.
    """
    total = 0.0
    for row in range(pairs[0], pairs[1]):
        for x in range(row * pairs[5] + pairs[2], row * pairs[5] + pairs[3]):
            y = x + pairs[4]
            total += clear_block(table, stride, window, starts, x, y, lanes)
            if symmetric:
                total += clear_block(table, stride, window, starts, y, x, lanes)
    return total


@compiled
def clear_block(
    table: Array,
    stride: int,
    window: int,
    starts: Array,
    x: int,
    y: int,
    lanes: Lanes,
) -> float:
    """Return the sum of squares of the block of a pair, and clear it."""
    count = size(lanes)
    zero = splat(table.dtype.type(0), lanes)
    squares = zero
    for k in range(0, window, count):
        place = number(starts, x) * stride + number(starts, y) + k
        for _ in range(window):
            cells = load(table, place, lanes)
            squares = add(squares, multiply(cells, cells))
            store(table, place, zero)
            place += stride
    return dot(squares, splat(table.dtype.type(1), lanes))
