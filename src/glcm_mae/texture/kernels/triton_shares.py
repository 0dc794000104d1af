"""What the Triton kernels share: pixels, their shares in gray levels, their neighbours.

Triton compiles the source of a kernel: annotations and type checks are not for it.
"""

import math
from typing import no_type_check

import triton
import triton.language as tl

NAN = tl.constexpr(math.nan)
# exp2 of more would overflow the products of a share; the share is 1 long before.
_STEEPEST = tl.constexpr(115.0)
_HUGE = tl.constexpr(2.0**100)  # of a share that is 0, and no product overflows


if triton.knobs.runtime.interpret:

    @triton.jit
    @no_type_check
    def _reciprocal(number):
        return 1.0 / number

    @triton.jit
    @no_type_check
    def _exp2(exponent):
        return tl.exp2(exponent)

else:
    # One instruction each, and right to two units in the last place; Triton's own take
    # care of subnormal numbers, of which nothing is left in a share.
    @triton.jit
    @no_type_check
    def _reciprocal(number):
        return tl.inline_asm_elementwise(
            "rcp.approx.ftz.f32 $0, $1;", "=f,f", [number], tl.float32, is_pure=True, pack=1
        )

    @triton.jit
    @no_type_check
    def _exp2(exponent):
        return tl.inline_asm_elementwise(
            "ex2.approx.ftz.f32 $0, $1;", "=f,f", [exponent], tl.float32, is_pure=True, pack=1
        )


@triton.jit
@no_type_check
def position(pixel, levels: tl.constexpr):
    """Return bin and distance past its lower edge, in bins; NaN counts as 0.

    The distance is exact to its own rounding: the upper half of the pixel's bits times
    the levels is exact. (So it may reach a rounding past 1, which no formula minds.)
    """
    pixel = tl.where(pixel == pixel, pixel, 0.0)
    pixel = tl.minimum(tl.maximum(pixel, 0.0), 1.0)
    coarse = (pixel.to(tl.int32, bitcast=True) & -4096).to(tl.float32, bitcast=True)
    position = coarse * levels
    bins = tl.minimum(tl.floor(position), levels - 1.0)
    return bins, (position - bins) + (pixel - coarse) * levels


@triton.jit
@no_type_check
def _share(near, outside):
    """Return the share of a pixel in a bin, and its slope by the position, in bandwidths.

    With a = exp(d / b), d the way from the pixel up to the end of the bin, the share
    σ(u) - σ(u - 1/b) is (1 - q) a / ((1 + a) (1 + q a)), q = exp(-1/b): no difference
    of nearly equal numbers. The factor 1 - q is left to the caller.
    """
    far = outside * near
    inverse = _reciprocal((1.0 + near) * (1.0 + far))
    near *= inverse
    return near, near * (far * near - inverse)


@triton.jit
@no_type_check
def share_by_edges(bins, fraction, level, softness):
    """Return shares and slopes for bandwidths of any size, an exponential each.

    The bin is measured from its end that is nearer to the pixel, lest it overflow.
    """
    step = bins - level
    rising = fraction + step
    falling = (1.0 - step) - fraction
    depth = tl.minimum(tl.minimum(rising, falling) * softness[0], _STEEPEST)
    share, slope = _share(_exp2(depth), softness[2])
    return share, tl.where(rising < falling, -slope, slope)


@triton.jit
@no_type_check
def _power(steps, fraction, softness):
    """Return exp((steps - fraction) / b) for whole steps, exact to a few roundings."""
    exponent = steps * softness[3]
    whole = tl.floor(exponent)
    rest = (exponent - whole) + (steps * softness[4] - fraction * softness[0])
    return _exp2(rest) * _exp2(whole)


@triton.jit
@no_type_check
def _ladder(level, softness, levels: tl.constexpr):
    """Return exp((upper end of the level - middle of the range) / b)."""
    level = tl.minimum(level, levels - 1)  # a tile's surplus must not overflow
    return _power((level + 1 - levels // 2).to(tl.float32), 0.0, softness)


@triton.jit
@no_type_check
def shares(
    bins, fraction, valid, level, images, softness,
    levels: tl.constexpr, tile: tl.constexpr, wide: tl.constexpr,
):  # fmt: skip
    """Return shares and slopes of pixels (columns) in a tile of levels (rows).

    What leaves the range is mirrored back: as if the pixel stood in every image of the
    range, odd ones turned round. Where the bandwidth is wide enough, the exponentials
    are products of one number a level and one a pixel.
    """
    share = level[:, None] * 0.0 + bins[None, :] * 0.0
    slope = share
    for image in range(images[0], images[1] + 1):
        turned = (image & 1) != 0
        sign = tl.where(turned, -1.0, 1.0)
        start = tl.where(turned, (image + 1) * levels, -image * levels)
        seen, part = start + sign * bins, sign * fraction
        if wide:
            ladder = _ladder(level, softness, levels)
            column = _power(levels // 2 - seen, part, softness)
            near = tl.minimum(ladder[:, None] * column[None, :], _HUGE)
            one, one_slope = _share(near, softness[2])
        else:
            one, one_slope = share_by_edges(
                seen[None, :], part[None, :], level[:, None].to(tl.float32), softness
            )
        share += one
        slope += sign * one_slope
    inside = tl.where(valid, softness[1], 0.0)[None, :]
    if levels % tile != 0:
        inside = tl.where((level < levels)[:, None], inside, 0.0)
    return share * inside, slope * inside


@triton.jit
@no_type_check
def neighbour(index, rows, cols, height: tl.constexpr, width: tl.constexpr):
    """Return the index of each pixel's neighbour, and whether there is one."""
    row = index // width + rows
    col = index % width + cols
    valid = (index < height * width) & (row >= 0) & (row < height) & (col >= 0) & (col < width)
    return row * width + col, valid


@triton.jit
@no_type_check
def survey(prediction, target, pixels: tl.constexpr, levels: tl.constexpr, block: tl.constexpr):
    """Return the lowest and highest position in both patches, and NaN if a pixel is NaN."""
    lowest = tl.full([block], levels, tl.float32)
    highest = tl.zeros([block], tl.float32)
    spoilt = tl.zeros([block], tl.float32)
    for first in range(0, pixels, block):
        # Past the end the last pixel counts again.
        index = tl.minimum(first + tl.arange(0, block), pixels - 1)
        predicted = tl.load(prediction + index).to(tl.float32)
        true = tl.load(target + index).to(tl.float32)
        bins, fraction = position(predicted, levels)
        true_bins, true_fraction = position(true, levels)
        lowest = tl.minimum(lowest, tl.minimum(bins + fraction, true_bins + true_fraction))
        highest = tl.maximum(highest, tl.maximum(bins + fraction, true_bins + true_fraction))
        spoilt = tl.where((predicted == predicted) & (true == true), spoilt, NAN)
    return tl.min(lowest, axis=0), tl.max(highest, axis=0), tl.sum(spoilt, axis=0)


@triton.jit
@no_type_check
def add(gradient, index, value, mask):
    """Add to the gradient; each pixel stands once in ``index``, so no atomics are needed.

    After the barrier every thread of the program sees the sum.
    """
    so_far = tl.load(gradient + index, mask=mask, other=0.0)
    tl.store(gradient + index, so_far + value, mask=mask)
    tl.debug_barrier()


@triton.jit(do_not_specialize=["pixels"])
@no_type_check
def excess_kernel(
    prediction, gradient, losses, pixels, weight,
    with_gradient: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Begin the gradient, and store a block's part of the mean squared excess."""
    program = tl.program_id(0)
    index = program.to(tl.int64) * block + tl.arange(0, block)
    within = index < pixels
    pixel = tl.load(prediction + index, mask=within, other=0.0).to(tl.float32)
    excess = tl.where(pixel < 0.0, pixel, tl.where(pixel <= 1.0, 0.0, pixel - 1.0))
    if with_gradient:
        tl.store(gradient + index, 2.0 * weight * excess, mask=within)
    tl.store(losses + program, weight * tl.sum(excess * excess, axis=0))
