"""The fused engine as an operator of PyTorch: one for every device, with its gradient.

Registered so that ``torch.compile``, autocast and distributed training take it like
any other operator. The kernels are imported when they are first needed.
"""

from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from glcm_mae.texture.glcm import Offset, Scale


def fused_distance(
    prediction: Tensor, target: Tensor, scales: Sequence[Scale], *, symmetric: bool
) -> Tensor:
    """Compute the distance and, where it is asked for, the gradient in the same pass.

    One number per pixel is kept for the backward pass. There are no second
    derivatives, and no gradient of the target.

    Args:
        prediction: Patches to judge, shape (patches, height, width).
        target: True patches, alike.
        scales: What to compare; the distances are summed.
        symmetric: Count every pair in both directions.

    Returns:
        See :func:`glcm_mae.texture.glcm_distance`.
    """
    distance: Tensor = _distance(
        prediction,
        target,
        [scale.levels for scale in scales],
        [scale.bandwidth for scale in scales],
        [len(scale.offsets) for scale in scales],
        [step for scale in scales for offset in scale.offsets for step in offset],
        symmetric,
        prediction.requires_grad and torch.is_grad_enabled(),
    )[0]
    return distance


@cache
def lacking(device: str, dtype: torch.dtype) -> str:
    """Return why no kernel can run on patches of this kind; empty if one can.

    Args:
        device: Type of the device.
        dtype: Floating-point type of the patches.

    Example:
        >>> lacking("cpu", torch.float32), lacking("meta", torch.float32)
        ('', 'no kernel runs on meta devices')
    """
    module = {"cpu": "numba", "cuda": "triton"}.get(device)
    if module is None:
        return f"no kernel runs on {device} devices"
    if device == "cuda" and torch.version.hip:
        return "no kernel runs on AMD's devices"
    if device == "cuda" and dtype == torch.float64:
        return "no kernel runs in float64 on CUDA devices"
    return "" if find_spec(module) else f"{module} is not installed"


@torch.library.custom_op("glcm_mae::distance", mutates_args=(), device_types="cpu")
def _distance(
    prediction: Tensor,
    target: Tensor,
    levels: Sequence[int],
    bandwidths: Sequence[float],
    counts: Sequence[int],
    steps: Sequence[int],
    symmetric: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    from glcm_mae.texture.kernels.cpu import glcm_distance_cpu

    kind = _kind(prediction)
    scales = _scales(levels, bandwidths, counts, steps)
    return glcm_distance_cpu(
        prediction.to(kind), target.to(kind), scales, symmetric, with_gradient
    )


@_distance.register_kernel("cuda")  # type: ignore[untyped-decorator, unused-ignore]
def _distance_cuda(
    prediction: Tensor,
    target: Tensor,
    levels: Sequence[int],
    bandwidths: Sequence[float],
    counts: Sequence[int],
    steps: Sequence[int],
    symmetric: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    from glcm_mae.texture.kernels.cuda import glcm_distance_cuda

    scales = _scales(levels, bandwidths, counts, steps)
    return glcm_distance_cuda(
        prediction.contiguous(), target.contiguous(), scales, symmetric, with_gradient
    )


@_distance.register_fake  # type: ignore[untyped-decorator, unused-ignore]
def _distance_fake(
    prediction: Tensor,
    target: Tensor,
    levels: Sequence[int],
    bandwidths: Sequence[float],
    counts: Sequence[int],
    steps: Sequence[int],
    symmetric: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    del target, levels, bandwidths, counts, steps, symmetric
    shape = prediction.shape if with_gradient else (0,)
    kind = _kind(prediction)
    return (
        torch.empty((), dtype=kind, device=prediction.device),
        torch.empty(shape, dtype=kind, device=prediction.device),
    )


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(output[1])
    ctx.kind = inputs[0].dtype


@once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
def _backward(ctx: Any, slope: Tensor, _: Any) -> tuple[Any, ...]:
    (gradient,) = ctx.saved_tensors
    return (slope * gradient).to(ctx.kind), None, None, None, None, None, None, None


_distance.register_autograd(_backward, setup_context=_keep)


def _kind(prediction: Tensor) -> torch.dtype:
    return torch.promote_types(prediction.dtype, torch.float32)


def _scales(
    levels: Sequence[int],
    bandwidths: Sequence[float],
    counts: Sequence[int],
    steps: Sequence[int],
) -> tuple[Scale, ...]:
    """Put together what the operator, which knows numbers alone, was told of the scales."""
    offsets = tuple(Offset(*step) for step in zip(steps[::2], steps[1::2], strict=True))
    parts = pairwise(accumulate(counts, initial=0))
    return tuple(
        Scale(level, bandwidth, offsets[first:last])
        for level, bandwidth, (first, last) in zip(levels, bandwidths, parts, strict=True)
    )
