"""The Triton kernel for few levels: matrices as products of shares held in registers."""

from typing import no_type_check

import triton
import triton.language as tl

from glcm_mae.texture.kernels.triton_shares import add, neighbour, position, shares, survey


@triton.jit
@no_type_check
def _look(
    patch, index, valid, level, images, softness,
    levels: tl.constexpr, tile: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Load pixels; return their shares and slopes, and whether a slope is wanted."""
    pixel = tl.load(patch + index, mask=valid, other=0.0).to(tl.float32)
    bins, fraction = position(pixel, levels)
    share, slope = shares(bins, fraction, valid, level, images, softness, levels, tile, wide)
    return share, slope, valid & (pixel >= 0.0) & (pixel <= 1.0)


@triton.jit
@no_type_check
def _rounded(number):
    """Round to the 11 bits that a tensor core reads of a float32."""
    bits = number.to(tl.int32, bitcast=True)
    return ((bits + 4096) & -8192).to(tl.float32, bitcast=True)


@triton.jit
@no_type_check
def _dot(a, b, so_far):
    """Return so_far + a b to 21 bits, as three products on the tensor cores."""
    a_big = _rounded(a)
    b_big = _rounded(b)
    so_far = tl.dot(a - a_big, b_big, so_far, input_precision="tf32")
    so_far = tl.dot(a_big, b - b_big, so_far, input_precision="tf32")
    return tl.dot(a_big, b_big, so_far, input_precision="tf32")


@triton.jit
@no_type_check
def _difference(
    prediction, target, index, other, valid, i, j, images, softness, d,
    levels: tl.constexpr, tile: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Add to d, for a block of pairs, X Yᵀ of the prediction minus that of the target.

    As ΔX Yᵀ + T ΔUᵀ, where T and U are the true shares: so its error is a fraction of
    the differences, however near the prediction is to the target.
    """
    x, _, _ = _look(prediction, index, valid, i, images, softness, levels, tile, wide)
    t, _, _ = _look(target, index, valid, i, images, softness, levels, tile, wide)
    y, _, _ = _look(prediction, other, valid, j, images, softness, levels, tile, wide)
    u, _, _ = _look(target, other, valid, j, images, softness, levels, tile, wide)
    d = _dot(x - t, tl.trans(y), d)
    return _dot(t, tl.trans(y - u), d)


@triton.jit
@no_type_check
def _add_slopes(
    prediction, gradient, index, other, valid, i, j, images, softness, d, weight,
    levels: tl.constexpr, tile: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Add to the gradient what a block of pairs brings, by reference and by neighbour."""
    x, dx, x_moves = _look(prediction, index, valid, i, images, softness, levels, tile, wide)
    y, dy, y_moves = _look(prediction, other, valid, j, images, softness, levels, tile, wide)
    nothing = tl.zeros(x.shape, tl.float32)
    by_x = weight * tl.sum(dx * _dot(d, y, nothing), axis=0)
    by_y = weight * tl.sum(dy * _dot(tl.trans(d), x, nothing), axis=0)
    add(gradient, index, by_x, x_moves)
    add(gradient, other, by_y, y_moves)


@triton.jit(do_not_specialize=["reach", "rows", "cols"])
@no_type_check
def product_kernel(
    prediction, target, gradient, losses, reach, rows, cols,
    sharpness, inside, outside, coarse, fine, pair_weight, loss_weight, gradient_weight,
    height: tl.constexpr, width: tl.constexpr, levels: tl.constexpr, tile: tl.constexpr,
    wide: tl.constexpr, symmetric: tl.constexpr, with_gradient: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Store a patch's part of the distance at one offset, and add to its gradient."""
    single: tl.constexpr = levels <= tile
    pixels: tl.constexpr = height * width
    patch = tl.program_id(0).to(tl.int64)
    prediction += patch * pixels
    target += patch * pixels
    gradient += patch * pixels
    softness = (sharpness, inside, outside, coarse, fine)
    lowest, highest, spoilt = survey(prediction, target, pixels, levels, 64)
    images = (
        tl.floor((lowest - reach) / levels).to(tl.int32),
        tl.floor((highest + reach) / levels).to(tl.int32),
    )
    first_tile = tl.maximum(lowest - reach, 0.0).to(tl.int32) // tile
    last_tile = tl.minimum(highest + reach, levels - 1.0).to(tl.int32) // tile
    loss = spoilt
    for tile_i in range(first_tile, last_tile + 1):
        i = tile_i * tile + tl.arange(0, tile)
        for tile_j in range(first_tile, last_tile + 1):
            j = tile_j * tile + tl.arange(0, tile)
            d = tl.zeros([tile, tile], tl.float32)
            for first in range(0, pixels, block):
                index = first + tl.arange(0, block)
                other, valid = neighbour(index, rows, cols, height, width)
                d = _difference(prediction, target, index, other, valid,
                                i, j, images, softness, d, levels, tile, wide)  # fmt: skip
                if symmetric and not single:
                    d = _difference(prediction, target, other, index, valid,
                                    i, j, images, softness, d, levels, tile, wide)  # fmt: skip
            if symmetric and single:
                d += tl.trans(d)
            d = d * pair_weight + spoilt
            loss += tl.sum(tl.sum(d * d, axis=1), axis=0)
            if with_gradient:
                for first in range(0, pixels, block):
                    index = first + tl.arange(0, block)
                    other, valid = neighbour(index, rows, cols, height, width)
                    _add_slopes(prediction, gradient, index, other, valid, i, j, images,
                                softness, d, gradient_weight, levels, tile, wide)  # fmt: skip
    tl.store(losses + patch, loss * loss_weight)
