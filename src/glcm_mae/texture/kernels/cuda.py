"""The fused GLCM distance on CUDA, in Triton.

Each program takes one patch at a time; neither shares of pixels in levels nor
co-occurrence matrices of patches are ever written to the device's memory, and the
gradient comes with the distance. A scale and offset is one launch, and takes one of
two ways to the difference D of the two matrices and to the gather of the gradient:

Products: the shares of a block of pixels in up to 64 levels are computed in registers,
D is a sum of products of such blocks, and the gradient two products of D with them.
Counted in the machine code for an H100, that is 15,000 cycles of a multiprocessor for
the 240 pairs of a 16 x 16 patch and 32 levels (half of them for the shares, a third
for the tensor cores and what feeds them), 32,000 for 64 levels, and as much for each
of the 16 tiles of 256 levels, of which those that a patch does not touch are left out.

Table: where a pixel touches only W levels, few against all, W² numbers per pair are
added to a table in memory (which stays in the L2 cache), gathered for the gradient, and
cleared on the way to the distance. That is 11,000 cycles for W = 3 in the same count,
and 5 W² accesses to the cache for each pair, some 8 W² cycles of a multiprocessor's
part of it. A table holds integers, whose sum does not depend on the order: so every
result is the same, bit for bit, in every run. One program has one table and goes
through many patches.

So the table is taken where W is below a twentieth of the levels. Wide bins among many
levels (256 of bandwidth 4) are right, but slow.
"""

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
from torch import Tensor

from glcm_mae.texture.glcm import Offset, Scale, soft_reach
from glcm_mae.texture.kernels.triton_products import product_kernel
from glcm_mae.texture.kernels.triton_shares import excess_kernel
from glcm_mae.texture.kernels.triton_table import table_kernel

_EXCESS_BLOCK = 1024
_PIXEL_BLOCK = 32  # 16 shares a thread: more do not fit into its registers
_TABLE_PRODUCTS = 4096  # products of shares that a program holds at a time
_TABLE_BYTES = 64 * 2**20  # what all tables may take; about the L2 cache of an H100


def glcm_distance_cuda(
    prediction: Tensor,
    target: Tensor,
    scales: Sequence[Scale],
    symmetric: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Return the GLCM distance of patches on a CUDA device, and its gradient.

    Args:
        prediction: Patches (patches, height, width), contiguous, in float32, bfloat16
            or float16; a pixel may leave ``[0, 1]``.
        target: True patches, like it.
        scales: Levels, bandwidth and offsets of each scale.
        symmetric: Count every pair in both directions.
        with_gradient: Compute the gradient too.

    Returns:
        The distance (float32, no axes), and its gradient by the prediction (float32;
        empty if not asked for). The same on every run; NaN if a pixel is NaN.
    """
    patches, pixels = prediction.shape[0], prediction.numel()
    blocks = triton.cdiv(pixels, _EXCESS_BLOCK)
    launches = sum(len(scale.offsets) for scale in scales)
    losses = prediction.new_empty(blocks + launches * patches, dtype=torch.float32)
    shape = prediction.shape if with_gradient else (0,)
    gradient = prediction.new_empty(shape, dtype=torch.float32)
    with _on(prediction.device):
        excess_kernel[(blocks,)](
            prediction, gradient, losses, pixels, 1 / pixels,
            with_gradient=with_gradient, block=_EXCESS_BLOCK,
        )  # fmt: skip
        parts = losses[blocks:]
        for scale in scales:
            launch = _launch_tables if _is_narrow(scale) else _launch_products
            for offset in scale.offsets:
                tensors = (prediction, target, gradient, parts)
                launch(tensors, scale, offset, symmetric=symmetric, with_gradient=with_gradient)
                parts = parts[patches:]
    return losses.sum(dtype=torch.float64).float(), gradient


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Launch on this device; on the processor is Triton's interpreter."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _is_narrow(scale: Scale) -> bool:
    """Say whether a table costs less than products (see above)."""
    return 20 * (2 * soft_reach(scale.bandwidth, torch.float32) + 1) < scale.levels


def _is_wide(scale: Scale) -> bool:
    """Say whether a number a level and one a pixel stay exact, and within 2^±126.

    They are exponentials of the way from the middle of the range to its ends, and for
    mirrored pixels as far beyond as these reach.
    """
    farthest = math.ceil(scale.levels / 2) + soft_reach(scale.bandwidth, torch.float32) + 1
    return scale.bandwidth >= 0.1 and farthest * _softness(scale.bandwidth)[0] <= 125


def _launch_products(
    tensors: Sequence[Tensor], scale: Scale, offset: Offset, **flags: bool
) -> None:
    patches, height, width = tensors[0].shape
    pair_weight, *weights = _weights(tensors[0], scale, offset)
    tile = min(64, max(16, triton.next_power_of_2(scale.levels)))
    product_kernel[(patches,)](
        *tensors, soft_reach(scale.bandwidth, torch.float32), *offset,
        *_softness(scale.bandwidth), pair_weight / (2 if flags["symmetric"] else 1), *weights,
        height=height, width=width, levels=scale.levels, tile=tile, wide=_is_wide(scale),
        block=_PIXEL_BLOCK, num_warps=tile // 16, num_stages=1, **flags,
    )  # fmt: skip


def _launch_tables(
    tensors: Sequence[Tensor], scale: Scale, offset: Offset, **flags: bool
) -> None:
    patches, height, width = tensors[0].shape
    pair_weight, *weights = _weights(tensors[0], scale, offset)
    programs = _programs(patches, scale.levels, tensors[0].device)
    tables = tensors[0].new_zeros(programs * scale.levels**2, dtype=torch.int64)
    reach = soft_reach(scale.bandwidth, torch.float32)
    side = triton.next_power_of_2(2 * reach + 1)
    # The sum over all pairs stays far within 64 bits.
    unit = 2.0 ** min(40, 61 - (height * width).bit_length())
    table_kernel[(programs,)](
        *tensors, tables, patches, *offset,
        *_softness(scale.bandwidth)[:3], unit, pair_weight / unit, *weights,
        height=height, width=width, levels=scale.levels, reach=reach, side=side,
        block=_TABLE_PRODUCTS // side**2, num_warps=8, num_stages=1, **flags,
    )  # fmt: skip


def _softness(bandwidth: float) -> tuple[float, ...]:
    """Return 1 / b for exp2, 1 - q and q = exp(-1 / b), and 1 / b in a coarse and fine part."""
    sharpness = math.log2(math.e) / bandwidth
    mantissa, exponent = math.frexp(sharpness)
    coarse = math.ldexp(round(mantissa * 2**12), exponent - 12)
    inside, outside = -math.expm1(-1 / bandwidth), math.exp(-1 / bandwidth)
    return sharpness, inside, outside, coarse, sharpness - coarse


def _weights(patches: Tensor, scale: Scale, offset: Offset) -> tuple[float, float, float]:
    """Return the weights of a pair in its matrix, of a matrix in the loss, and of a slope."""
    count, height, width = patches.shape
    pairs = (height - abs(offset.rows)) * (width - abs(offset.cols))
    matrices = count * len(scale.offsets)
    slope = 2 * scale.levels / (scale.bandwidth * pairs * matrices)
    return 1 / pairs, 1 / matrices, slope


def _programs(patches: int, levels: int, device: torch.device) -> int:
    """Return how many programs go through the patches: two a multiprocessor, if tables fit."""
    cores = 1
    if device.type == "cuda":
        cores = torch.cuda.get_device_properties(device).multi_processor_count
    return max(1, min(patches, 2 * cores, _TABLE_BYTES // (8 * levels**2)))
