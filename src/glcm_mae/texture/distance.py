"""How far apart two textures are: the distance behind the texture loss."""

import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from glcm_mae.texture.dense import chunked_distance, dense_distance
from glcm_mae.texture.glcm import Offset, Scale
from glcm_mae.texture.kernels.fused import fused_distance, lacking
from glcm_mae.texture.requirements import (
    require_bandwidth,
    require_levels,
    require_offsets,
)

Engine = Literal["fused", "dense"]
"""How a distance is computed; both give the same."""


def glcm_distance(
    prediction: Float[Tensor, "*batch height width"],
    target: Float[Tensor, "*batch height width"],
    *,
    levels: int,
    bandwidth: float,
    offsets: Sequence[Offset],
    further_scales: Sequence[Scale] = (),
    symmetric: bool = False,
    engine: Engine = "fused",
) -> Float[Tensor, ""]:
    """Compare the textures of predicted and true patches.

    The squared difference of the two soft, normalised co-occurrence matrices,
    summed over all pairs of gray levels and averaged over patches and offsets
    (eq. 3 of [1]_). A predicted pixel outside ``[0, 1]`` counts as the nearest
    edge there, and its squared excess, averaged over all pixels, is added: so
    the gradient leads every such pixel back, whatever the target.

    The fused engine never holds a matrix per patch nor the shares of all pixels: a
    pixel belongs to few gray levels, so a matrix is a sum of small blocks, and distance
    and gradient are read off it by the same blocks. It runs on the CPU (numba) and on
    CUDA devices (Triton), in float32 or, on the CPU, float64; elsewhere the dense engine
    takes its place, with one warning. Both keep one number per pixel for the backward
    pass. For second derivatives, and for gradients of the target, the dense formula is
    taken through autograd.

    Args:
        prediction: Patches to judge; may leave ``[0, 1]``. NaN makes the distance NaN.
        target: True patches, in ``[0, 1]``; not checked, a value outside counts
            as the nearest edge.
        levels: Number of gray levels, at least 2.
        bandwidth: Width of the soft bins, positive, in bin widths.
        offsets: Displacements to compare, in pixels.
        further_scales: More levels, bandwidths and offsets; their distances are added.
        symmetric: Count every pair in both directions, as Haralick does.
        engine: ``"fused"``, or ``"dense"`` for the formula as it stands.

    Returns:
        A scalar: zero for equal textures, at most 2 for each scale and predictions in
        ``[0, 1]``; at least float32, under autocast too.

    Raises:
        ValueError: If the shapes differ or have fewer than two axes, if there is
            no patch, if one input is not of floats, if the target holds NaN (checked
            on the CPU), for the reasons of :func:`soft_membership` and
            :func:`cooccurrence`, or if there is no such engine.

    Example:
        >>> stripes = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> sharp = dict(levels=2, bandwidth=0.01, offsets=[Offset(0, 1)])
        >>> glcm_distance(stripes, stripes, **sharp)
        tensor(0.)
        >>> glcm_distance(1 - stripes, stripes, **sharp)
        tensor(2.)

    References:
        .. [1] Madan et al., 2025, arXiv:2507.10869
    """
    _require_alike(prediction, target)
    if engine not in ("fused", "dense"):
        raise ValueError(f'engine must be "fused" or "dense", got {engine!r}')
    first = Scale(levels, bandwidth, tuple(offsets))
    scales = tuple(Scale(k, b, tuple(o)) for k, b, o in (first, *further_scales))
    for scale in scales:
        require_levels(scale.levels)
        require_bandwidth(scale.bandwidth)
        require_offsets(scale.offsets, *prediction.shape[-2:])
    with torch.autocast(prediction.device.type, enabled=False):
        patches, true = _in_one_type(prediction, target)
        reason = lacking(patches.device.type, patches.dtype) if engine == "fused" else ""
        if reason:
            _warn_once(f"the GLCM distance is computed by the dense formula: {reason}")
        compute = (
            dense_distance
            if target.requires_grad
            else chunked_distance
            if reason or engine == "dense"
            else fused_distance
        )
        distance = compute(patches, true, scales, symmetric=symmetric)
    _require_known(distance, target)
    return distance


def _in_one_type(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return the patches in a row, in the finer type of the two and at least float32."""
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    shape = (-1, *prediction.shape[-2:])
    return prediction.to(dtype).reshape(shape), target.to(dtype).reshape(shape)


@cache
def _warn_once(message: str) -> None:
    warnings.warn(message, RuntimeWarning, stacklevel=3)


def _require_known(distance: Tensor, target: Tensor) -> None:
    """Refuse a target with NaN where looking at the distance costs nothing."""
    if torch.compiler.is_compiling() or distance.device.type != "cpu":
        return
    if math.isnan(distance.detach()) and target.isnan().any():
        raise ValueError("target must not hold NaN, got NaN; fill the missing pixels first")


def _require_alike(prediction: Tensor, target: Tensor) -> None:
    for name, patches in (("prediction", prediction), ("target", target)):
        if not patches.is_floating_point():
            raise ValueError(
                f"{name} must hold floats, got {patches.dtype}; scale it to [0, 1] first"
            )
    if prediction.shape != target.shape:
        raise ValueError(
            "prediction must have the shape of target, "
            f"got {tuple(prediction.shape)} and {tuple(target.shape)}"
        )
    if prediction.ndim < 2:
        raise ValueError(
            "prediction must have at least the axes (height, width), "
            f"got shape {tuple(prediction.shape)}"
        )
    if prediction.numel() == 0:
        raise ValueError(
            f"prediction must hold at least one patch, got shape {tuple(prediction.shape)}"
        )
