"""One way to count pairs of gray levels, and what a gradient gets of it."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from glcm_mae.texture import (
    Offset,
    cooccurrence,
    glcm_distance,
    haralick_features,
    hard_membership,
    soft_membership,
)

NOTICEABLE = 0.001
"""Share of the largest gradient from which on a pixel counts as getting one."""


@dataclass(frozen=True)
class Count:
    """One co-occurrence matrix, and how it compares with the hard one.

    Attributes:
        bandwidth: Of the soft bins, in bin widths; None for hard ones.
        matrix: Shape (levels, levels), summing to one.
        distance: Frobenius norm of the difference to the hard matrix.
        moved: Share of the pairs that lie in another cell than the hard ones.
        features: Haralick's fourteen features of the matrix, by name.
        gradient: Derivative of the squared distance of the two matrices by each pixel of
            the prediction.
        gradient_share: Share of the pixels whose gradient is at least
            :data:`NOTICEABLE` of the largest; 0 where there is none.
        effective_share: (Σ|g|)² / (N Σg²): 1 where all pixels get as much, 1/N where one
            gets all.
    """

    bandwidth: float | None
    matrix: Float[Tensor, "levels levels"]
    distance: float
    moved: float
    features: dict[str, float]
    gradient: Float[Tensor, "height width"]
    gradient_share: float
    effective_share: float


def count_hard(
    patch: Float[Tensor, "height width"],
    *,
    levels: int,
    offset: Offset,
    symmetric: bool = False,
) -> Count:
    """Count every pixel wholly into one gray level; no gradient goes through that.

    Args:
        patch: Gray values in [0, 1].
        levels: Number of gray levels, at least 2.
        offset: Displacement from a pixel to its neighbour.
        symmetric: Count every pair in both directions.

    Raises:
        ValueError: If the patch leaves [0, 1], or the offset does not fit into it.

    Example:
        >>> stripes = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> count_hard(stripes, levels=2, offset=Offset(0, 1)).matrix
        tensor([[0., 1.],
                [0., 0.]])
    """
    membership = hard_membership(patch, levels)
    matrix = cooccurrence(membership, [offset], symmetric=symmetric)[0]
    none = torch.zeros_like(patch)
    return Count(None, matrix, 0.0, 0.0, _features(matrix), none, 0.0, 0.0)


def count_soft(
    patch: Float[Tensor, "height width"],
    prediction: Float[Tensor, "height width"],
    hard: Count,
    *,
    bandwidth: float,
    offset: Offset,
    symmetric: bool = False,
) -> Count:
    """Share every pixel among the gray levels near it, and follow the gradient back.

    Args:
        patch: Gray values in [0, 1].
        prediction: The same patch as a model might predict it, such as blurred.
        hard: What :func:`count_hard` found in the patch.
        bandwidth: Width of the bins' edges, in bin widths; the paper's W is its inverse.
        offset: Displacement from a pixel to its neighbour.
        symmetric: Count every pair in both directions.

    Raises:
        ValueError: If the bandwidth is not positive, or the offset does not fit.

    Example:
        >>> patch = torch.linspace(0, 1, 64).view(8, 8)
        >>> right = Offset(0, 1)
        >>> hard = count_hard(patch, levels=8, offset=right)
        >>> soft = count_soft(patch, patch.flip(0), hard, bandwidth=1.0, offset=right)
        >>> round(soft.matrix.sum().item(), 5), soft.distance > 0, soft.gradient_share > 0.5
        (1.0, True, True)
    """
    levels = len(hard.matrix)
    membership = soft_membership(patch, levels, bandwidth)
    matrix = cooccurrence(membership, [offset], symmetric=symmetric)[0]
    difference = matrix - hard.matrix
    gradient = _gradient(patch, prediction, levels, bandwidth, offset, symmetric)
    return Count(
        bandwidth=bandwidth,
        matrix=matrix,
        distance=float(difference.norm()),
        moved=float(difference.abs().sum()) / 2,
        features=_features(matrix),
        gradient=gradient,
        gradient_share=_noticeable_share(gradient),
        effective_share=_effective_share(gradient),
    )


def blurred(patch: Float[Tensor, "height width"], side: int) -> Float[Tensor, "height width"]:
    """Return the mean over a square around each pixel; the edge goes on beyond the border.

    It is what a model that minimises the squared error tends to where it cannot tell the
    pixels of a texture.

    Args:
        patch: Gray values.
        side: Side of the square, odd.

    Example:
        >>> blurred(torch.tensor([[0.0, 0.9, 0.0]]), 3)
        tensor([[0.3000, 0.3000, 0.3000]])
    """
    wider = functional.pad(patch[None, None], (side // 2,) * 4, mode="replicate")
    return functional.avg_pool2d(wider, side, stride=1)[0, 0]


def _features(matrix: Tensor) -> dict[str, float]:
    return {name: float(value) for name, value in haralick_features(matrix).items()}


def _gradient(
    patch: Tensor,
    prediction: Tensor,
    levels: int,
    bandwidth: float,
    offset: Offset,
    symmetric: bool,
) -> Tensor:
    pixels = prediction.detach().clone().requires_grad_()
    loss = glcm_distance(
        pixels, patch, levels=levels, bandwidth=bandwidth, offsets=[offset], symmetric=symmetric
    )
    (gradient,) = torch.autograd.grad(loss, pixels)
    return gradient


def _noticeable_share(gradient: Tensor) -> float:
    size = gradient.abs()
    if not float(size.max()) > 0:
        return 0.0
    return float((size >= NOTICEABLE * size.max()).double().mean())


def _effective_share(gradient: Tensor) -> float:
    size = gradient.abs().double()
    squares = float((size**2).sum())
    return float(size.sum()) ** 2 / (size.numel() * squares) if squares > 0 else 0.0
