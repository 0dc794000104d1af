"""The GLCM distance as its formula stands: every share of every pixel, every matrix."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from glcm_mae.texture.glcm import Scale, cooccurrence, soft_membership, soft_reach

Measure = Callable[[Tensor, Tensor], Tensor]


def dense_distance(
    prediction: Float[Tensor, "patches height width"],
    target: Float[Tensor, "patches height width"],
    scales: Sequence[Scale],
    *,
    symmetric: bool,
) -> Float[Tensor, ""]:
    """Compute the distance of all patches at once, differentiable as often as one likes.

    The oracle of the faster ways. It holds ``levels`` numbers per pixel and
    ``levels ** 2`` per patch and offset, several times over for the gradient.

    Args:
        prediction: Patches to judge.
        target: True patches.
        scales: What to compare; the distances are summed.
        symmetric: Count every pair in both directions.

    Returns:
        See :func:`glcm_mae.texture.glcm_distance`.
    """
    excess = prediction - prediction.clamp(0, 1)
    distance = excess.square().mean()
    for levels, bandwidth, offsets in scales:
        predicted, true = (
            cooccurrence(
                soft_membership(patches, levels, bandwidth), offsets, symmetric=symmetric
            )
            for patches in (prediction, target)
        )
        distance = distance + (predicted - true).square().sum((-2, -1)).mean()
    return distance


def chunked_distance(
    prediction: Float[Tensor, "patches height width"],
    target: Float[Tensor, "patches height width"],
    scales: Sequence[Scale],
    *,
    symmetric: bool,
) -> Float[Tensor, ""]:
    """Compute the same a few patches at a time, with the gradient on the way.

    The shares and matrices of a chunk stay in the processor's cache, and the memory
    does not grow with the batch; one number per pixel is kept for the backward pass.
    There are no second derivatives, and no gradient of the target.

    Args:
        prediction: Patches to judge.
        target: True patches.
        scales: What to compare; the distances are summed.
        symmetric: Count every pair in both directions.

    Returns:
        See :func:`glcm_mae.texture.glcm_distance`.
    """
    measure = partial(dense_distance, scales=scales, symmetric=symmetric)
    chunk = min(_chunk(prediction, scale) for scale in scales)
    return cast("Tensor", _ChunkedDistance.apply(prediction, target, measure, chunk))


def _chunk(patches: Tensor, scale: Scale) -> int:
    """Return how many patches to take at a time: a few MB of shares and matrices."""
    bins = scale.levels + 2 * soft_reach(scale.bandwidth, patches.dtype)
    numbers = patches[0].numel() * bins + len(scale.offsets) * scale.levels**2
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
