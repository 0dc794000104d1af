"""How far apart two textures are: the distance behind the texture loss."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glcm_mae.texture.glcm import Offset, cooccurrence, soft_membership, soft_reach

Measure = Callable[[Tensor, Tensor], Tensor]


def glcm_distance(
    prediction: Float[Tensor, "*batch height width"],
    target: Float[Tensor, "*batch height width"],
    *,
    levels: int,
    bandwidth: float,
    offsets: Sequence[Offset],
    symmetric: bool = False,
) -> Float[Tensor, ""]:
    """Compare the textures of predicted and true patches.

    The squared difference of the two soft, normalised co-occurrence matrices,
    summed over all pairs of gray levels and averaged over patches and offsets
    (eq. 3 of [1]_). A predicted pixel outside ``[0, 1]`` counts as the nearest
    edge there, and its squared excess, averaged over all pixels, is added: so
    the gradient leads every such pixel back, whatever the target.

    This is the dense formula: ``levels`` numbers per pixel and ``levels ** 2`` per
    patch and offset. It goes through the patches a few at a time, so that these
    numbers stay in the processor's cache and the memory does not grow with the
    batch; where a gradient is asked for, it is computed on the way, and one number
    per pixel is kept for the backward pass. (Second derivatives, and gradients of
    the target, take the plain way through autograd.)

    Args:
        prediction: Patches to judge; may leave ``[0, 1]``.
        target: True patches, in ``[0, 1]``; not checked, a value outside counts
            as the nearest edge.
        levels: Number of gray levels, at least 2.
        bandwidth: Width of the soft bins, positive, in bin widths.
        offsets: Displacements to compare, in pixels.
        symmetric: Count every pair in both directions, as Haralick does.

    Returns:
        A scalar: zero for equal textures, at most 2 for predictions in
        ``[0, 1]``; at least float32, under autocast too.

    Raises:
        ValueError: If the shapes differ or have fewer than two axes, if there is
            no patch, if one input is not of floats, or for the reasons of
            :func:`soft_membership` and :func:`cooccurrence`.

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
    dtype = torch.promote_types(prediction.dtype, target.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    patches = prediction.to(dtype).reshape(-1, *prediction.shape[-2:])
    true = target.to(dtype).reshape(patches.shape)
    measure = partial(
        _dense_distance,
        levels=levels,
        bandwidth=bandwidth,
        offsets=tuple(offsets),
        symmetric=symmetric,
    )
    with torch.autocast(prediction.device.type, enabled=False):
        if target.requires_grad:
            return measure(patches, true)
        chunk = _chunk(patches, levels, bandwidth, len(offsets))
        return cast("Tensor", _ChunkedDistance.apply(patches, true, measure, chunk))


def _dense_distance(
    prediction: Float[Tensor, "patches height width"],
    target: Float[Tensor, "patches height width"],
    *,
    levels: int,
    bandwidth: float,
    offsets: Sequence[Offset],
    symmetric: bool,
) -> Float[Tensor, ""]:
    predicted, true = (
        cooccurrence(soft_membership(patches, levels, bandwidth), offsets, symmetric=symmetric)
        for patches in (prediction, target)
    )
    excess = prediction - prediction.clamp(0, 1)
    return (predicted - true).square().sum((-2, -1)).mean() + excess.square().mean()


def _chunk(patches: Tensor, levels: int, bandwidth: float, offsets: int) -> int:
    """Return how many patches to take at a time: a few MB of memberships and matrices."""
    bins = levels + 2 * soft_reach(bandwidth, patches.dtype)
    numbers = patches[0].numel() * bins + offsets * levels**2
    budget = 2**20 if patches.device.type == "cpu" else 2**28
    return max(1, budget // numbers)


class _ChunkedDistance(torch.autograd.Function):
    """Mean of a distance over patches, chunk by chunk, with its gradient on the way."""

    @staticmethod
    def forward(
        ctx: Any, prediction: Tensor, target: Tensor, measure: Measure, chunk: int
    ) -> Tensor:
        total = prediction.new_zeros(())
        gradients: list[Tensor] = []
        wanted = ctx.needs_input_grad[0]
        for part, true in zip(
            torch.split(prediction, chunk), torch.split(target, chunk), strict=True
        ):
            share = len(part) / len(prediction)
            with torch.set_grad_enabled(wanted):
                leaf = part.detach().requires_grad_(wanted)
                distance = measure(leaf, true) * share
            if wanted:
                gradients += torch.autograd.grad(distance, leaf)
            total += distance.detach()
        if wanted:
            ctx.save_for_backward(torch.cat(gradients))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (saved,) = ctx.saved_tensors
        return gradient * saved, None, None, None


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
