"""The shares of pixels in soft gray levels, as the loops on the processor take them."""

from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled
from glcm_mae.texture.kernels.lanes import (
    Lanes,
    add,
    divide,
    load,
    multiply,
    scaled,
    size,
    splat,
    store,
    subtract,
)

Array = Any  # a NumPy array; numba finds out the rest


@compiled
def write_shares(
    values: Array,
    bins: tuple[int, int, int],
    sharpness: float,
    constants: Array,
    with_slopes: bool,
    edges: Array,
    starts: Array,
    shares: Array,
    slopes: Array,
    lanes: Lanes,
) -> None:
    """Write the shares of each pixel in its bins, and how they change with its value.

    Of the logistic blur of a value the part ``1 / (1 + e^((edge - value) / b))`` lies
    above an edge; a bin has what lies above its lower edge and not above its upper one.
    Of the bins that are touched, the lowest has all below it and the highest all above.

    Args:
        values: Pixels of a patch; outside [0, 1] the nearest edge counts.
        bins: As for ``add_distances``.
        sharpness: One over the bandwidth.
        constants: As for ``add_distances``.
        with_slopes: Whether to write the slopes.
        edges: Scratch: what lies above each edge, and how that changes.
        starts: Written: first bin of each pixel.
        shares: Written: shares of each pixel from that bin on.
        slopes: Written: derivatives of the shares by the value, times ``b / levels``.
        lanes: How many numbers a vector has.
    """
    levels, virtual, window = bins
    count = size(lanes)
    padded, width = -(-window // count) * count, -(-virtual // count) * count
    real = values.dtype.type
    for pixel in range(values.size):
        position = min(max(values[pixel], real(0)), real(1)) * real(levels)
        middle = int(np.floor(position + real(0.5)))
        first = middle - virtual // 2
        start = min(max(first, 0), levels - window)
        starts[pixel] = start
        base = pixel * padded
        skipped = start - first if virtual == window else 0
        # Clipped, so that the sharpest bins do not overflow: e^±80 is all or nothing.
        distance = min(max((real(middle) - position) * real(sharpness), real(-80)), real(80))
        factor = np.exp(distance)
        write_edges(constants, width, skipped, factor, edges, lanes)
        if virtual > window:
            fold(edges, width, 0, first, bins, shares, base, padded)
            if with_slopes:
                fold(edges, width, 1, first, bins, slopes, base, padded)
            continue
        if skipped:
            # What spilt over the end in reach comes back.
            depth = -position if skipped > 0 else position - real(levels)
            factor = np.exp(depth * real(sharpness))
            mirror_edges(constants, width, skipped < 0, factor, edges, lanes)
        for k in range(0, width, count):
            touched = load(constants, 4 * width + k, lanes)
            store(shares, base + k, multiply(touched, drops(edges, k, lanes)))
            if with_slopes:
                slope = multiply(touched, drops(edges, width + 1 + k, lanes))
                store(slopes, base + k, slope)


@compiled
def write_edges(
    constants: Array,
    width: int,
    skipped: int,
    factor: float,
    edges: Array,
    lanes: Lanes,
) -> None:
    """Write what lies above each touched edge, and how that changes with the value.

    All exponentials are one, ``factor``, times constants. ``skipped`` tells how many of
    the touched edges lie below the first one wanted; if negative, how many of the
    wanted ones lie below all that is touched.
    """
    one, zero = splat(edges.dtype.type(1), lanes), splat(edges.dtype.type(0), lanes)
    for k in range(0, width, size(lanes)):
        place = width + skipped + k
        odds = scaled(load(constants, place, lanes), factor, zero)
        above = divide(load(constants, 3 * width + place, lanes), add(one, odds))
        store(edges, k, above)
        store(edges, width + 1 + k, multiply(odds, multiply(above, above)))


@compiled
def mirror_edges(
    constants: Array,
    width: int,
    at_the_top: bool,
    factor: float,
    edges: Array,
    lanes: Lanes,
) -> None:
    """Add what the mirror beyond the bottom, or the top, brings above each edge.

    A share is a drop from one edge to the next, so a constant may be left out: at the
    bottom ``- 1 / (1 + u)`` is written ``u / (1 + u)``.
    """
    real = edges.dtype.type
    one, zero = splat(real(1), lanes), splat(real(0), lanes)
    row = (7 if at_the_top else 6) * width
    sign = real(-1 if at_the_top else 1)
    for k in range(0, width, size(lanes)):
        odds = scaled(load(constants, row + k, lanes), factor, zero)
        below = divide(one, add(one, odds))
        above = multiply(odds, below)
        store(edges, k, scaled(above, sign, load(edges, k, lanes)))
        place = width + 1 + k
        store(edges, place, scaled(multiply(above, below), real(-1), load(edges, place, lanes)))


@compiled
def drops(edges: Array, index: int, lanes: Lanes) -> Any:
    """Return how much less there is above each next edge."""
    return subtract(load(edges, index, lanes), load(edges, index + 1, lanes))


@compiled
def fold(
    edges: Array,
    width: int,
    row: int,
    first: int,
    bins: tuple[int, int, int],
    shares: Array,
    base: int,
    padded: int,
) -> None:
    """Mirror shares back into [0, 1] from both ends, as often as they reach beyond."""
    levels, virtual, _ = bins
    shares[base : base + padded] = 0
    for k in range(row * (width + 1), row * (width + 1) + virtual):
        place = first % (2 * levels)
        first += 1
        shares[base + min(place, 2 * levels - 1 - place)] += edges[k] - edges[k + 1]
