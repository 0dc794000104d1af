"""The Triton kernel for narrow bins among many levels: one table of integers a program."""

from typing import no_type_check

import triton
import triton.language as tl

from glcm_mae.texture.kernels.triton_shares import (
    add,
    neighbour,
    position,
    share_by_edges,
    survey,
)

# A product of two shares below this is lost in the rounding of the larger ones.
_NEGLIGIBLE = tl.constexpr(2.0**-30)
_UNIT = tl.constexpr(2.0**60)  # the sum of squares of D is at most 2


@triton.jit
@no_type_check
def _touch(patch, index, valid, softness, levels: tl.constexpr, reach: tl.constexpr,
           side: tl.constexpr):  # fmt: skip
    """Load pixels; return the levels each touches, with shares and slopes.

    A level mirrored into the range may stand twice.
    """
    pixel = tl.load(patch + index, mask=valid, other=0.0).to(tl.float32)
    bins, fraction = position(pixel, levels)
    up = tl.arange(0, side) - reach
    level = bins[:, None] + up[None, :].to(tl.float32)
    inside = tl.where(up <= reach, softness[1], 0.0)[None, :]
    share, slope = share_by_edges(bins[:, None], fraction[:, None], level, softness)
    level = level.to(tl.int32)
    level = tl.where(level < 0, -1 - level, level)
    level = tl.where(level >= levels, 2 * levels - 1 - level, level)
    share *= inside
    slope *= inside
    return level, share, slope, valid & (pixel >= 0.0) & (pixel <= 1.0)


@triton.jit
@no_type_check
def _cells(level, share, other_level, other_share, valid, levels: tl.constexpr,
           symmetric: tl.constexpr):  # fmt: skip
    """Return where a pair's products of shares stand in the table, and the products.

    A symmetric table has only the cells on and above the diagonal.
    """
    row = level[:, :, None]
    col = other_level[:, None, :]
    if symmetric:
        row, col = tl.minimum(row, col), tl.maximum(row, col)
    product = tl.where(valid[:, None, None], share[:, :, None] * other_share[:, None, :], 0.0)
    return row * levels + col, product, row == col


@triton.jit
@no_type_check
def _scatter(patch, table, first, unit, rows, cols, softness, height: tl.constexpr,
             width: tl.constexpr, levels: tl.constexpr, reach: tl.constexpr,
             side: tl.constexpr, symmetric: tl.constexpr, block: tl.constexpr):  # fmt: skip
    """Add the pairs of a block of pixels to the table, each product times ``unit``."""
    index = first + tl.arange(0, block)
    other, valid = neighbour(index, rows, cols, height, width)
    level, share, _, _ = _touch(patch, index, valid, softness, levels, reach, side)
    other_level, other_share, _, _ = _touch(patch, other, valid, softness, levels, reach, side)
    cell, product, _ = _cells(level, share, other_level, other_share, valid, levels, symmetric)
    amount = (product * unit).to(tl.int64)
    tl.atomic_add(table + cell, amount, mask=product >= _NEGLIGIBLE, sem="relaxed")


@triton.jit
@no_type_check
def _clear(patch, table, first, pair_weight, rows, cols, softness, height: tl.constexpr,
           width: tl.constexpr, levels: tl.constexpr, reach: tl.constexpr,
           side: tl.constexpr, symmetric: tl.constexpr, block: tl.constexpr):  # fmt: skip
    """Put zeros where :func:`_scatter` added; return the sum of squares of what stood there.

    Whoever comes first to a cell takes its number; the squares are summed as integers,
    so it does not matter who.
    """
    index = first + tl.arange(0, block)
    other, valid = neighbour(index, rows, cols, height, width)
    level, share, _, _ = _touch(patch, index, valid, softness, levels, reach, side)
    other_level, other_share, _, _ = _touch(patch, other, valid, softness, levels, reach, side)
    cell, product, diagonal = _cells(
        level, share, other_level, other_share, valid, levels, symmetric
    )
    # Half the limit: a product rounded otherwise than before must not be left behind.
    touched = product >= _NEGLIGIBLE / 2
    nothing = tl.zeros(cell.shape, tl.int64)
    taken = tl.atomic_xchg(table + cell, nothing, mask=touched, sem="relaxed")
    d = tl.where(touched, taken, 0).to(tl.float32) * pair_weight
    square = d * d
    if symmetric:
        square = tl.where(diagonal, square, 0.5 * square)
    return tl.sum((square * _UNIT).to(tl.int64))


@triton.jit(do_not_specialize=["patches", "rows", "cols"])
@no_type_check
def table_kernel(
    prediction, target, gradient, losses, tables, patches, rows, cols,
    sharpness, inside, outside, unit, pair_weight, loss_weight, gradient_weight,
    height: tl.constexpr, width: tl.constexpr, levels: tl.constexpr, reach: tl.constexpr,
    side: tl.constexpr, symmetric: tl.constexpr, with_gradient: tl.constexpr,
    block: tl.constexpr,
):  # fmt: skip
    """Do what :func:`product_kernel` does, patch after patch, in one table a program."""
    softness = (sharpness, inside, outside)
    size = tl.full([], height * width, tl.int64)  # patches times pixels may pass 32 bits
    program = tl.program_id(0)
    table = tables + program.to(tl.int64) * levels * levels
    for number in range(program, patches, tl.num_programs(0)):
        start = number * size
        patch, true = prediction + start, target + start
        _, _, spoilt = survey(patch, true, height * width, levels, 64)
        for first in range(0, height * width, block):
            _scatter(patch, table, first, unit, rows, cols, softness,
                     height, width, levels, reach, side, symmetric, block)  # fmt: skip
            _scatter(true, table, first, -unit, rows, cols, softness,
                     height, width, levels, reach, side, symmetric, block)  # fmt: skip
        tl.debug_barrier()
        if with_gradient:
            for first in range(0, height * width, block):
                index = first + tl.arange(0, block)
                other, valid = neighbour(index, rows, cols, height, width)
                i, x, dx, x_moves = _touch(patch, index, valid, softness, levels, reach, side)
                j, y, dy, y_moves = _touch(patch, other, valid, softness, levels, reach, side)
                cell, product, diagonal = _cells(i, x, j, y, valid, levels, symmetric)
                # Past the L1 cache, which the additions went past too.
                d = tl.load(
                    table + cell, mask=product >= _NEGLIGIBLE, other=0, cache_modifier=".cg"
                ).to(tl.float32)
                if symmetric:
                    d = tl.where(diagonal, d, 0.5 * d)
                d = d * pair_weight + spoilt
                by_x = tl.sum(tl.sum(d * dx[:, :, None] * y[:, None, :], axis=2), axis=1)
                by_y = tl.sum(tl.sum(d * x[:, :, None] * dy[:, None, :], axis=2), axis=1)
                add(gradient + start, index, gradient_weight * by_x, x_moves)
                add(gradient + start, other, gradient_weight * by_y, y_moves)
        squares = tl.zeros([], tl.int64)
        for first in range(0, height * width, block):
            squares += _clear(patch, table, first, pair_weight, rows, cols, softness,
                              height, width, levels, reach, side, symmetric, block)  # fmt: skip
            squares += _clear(true, table, first, pair_weight, rows, cols, softness,
                              height, width, levels, reach, side, symmetric, block)  # fmt: skip
        loss = squares.to(tl.float32) * (1.0 / _UNIT) + spoilt
        tl.store(losses + number, loss * loss_weight)
        # The table is clear before the next patch is added.
        tl.debug_barrier()
