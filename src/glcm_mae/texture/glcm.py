"""Gray-level co-occurrence matrices (GLCM): which gray levels lie side by side.

An image becomes a membership (the share of each pixel in each gray level), and
a membership becomes one matrix per offset. Hard memberships count pixels as
Haralick does; soft memberships let gradients through.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Real
from torch import Tensor

from glcm_mae.texture.requirements import (
    require_bandwidth,
    require_float,
    require_gray_levels,
    require_image,
    require_levels,
    require_membership,
    require_offsets,
    require_unit_range,
)


class Offset(NamedTuple):
    """Displacement from a reference pixel to its neighbour, in whole pixels.

    Convention:
        Rows grow downward: ``Offset(1, 0)`` is the pixel below, ``Offset(0, 1)``
        the pixel to the right. The paper's H is ``Offset(0, 1)``, its V is
        ``Offset(1, 0)``; Haralick's 0°, 45°, 90° and 135° are ``Offset(0, 1)``,
        ``Offset(-1, 1)``, ``Offset(1, 0)`` and ``Offset(1, 1)``.

    Attributes:
        rows: Pixels downward; negative is upward.
        cols: Pixels to the right; negative is to the left.

    Example:
        >>> Offset(rows=1, cols=0)
        Offset(rows=1, cols=0)
    """

    rows: int
    cols: int


class Scale(NamedTuple):
    """How coarsely to look at a texture: soft gray levels, and where they meet.

    Attributes:
        levels: Number of gray levels on ``[0, 1]``, at least 2.
        bandwidth: Width of the soft bins' edges, positive, in bin widths.
        offsets: Displacements to compare, in pixels.

    Example:
        >>> Scale(levels=32, bandwidth=0.5, offsets=(Offset(0, 1), Offset(1, 0))).levels
        32
    """

    levels: int
    bandwidth: float
    offsets: tuple[Offset, ...]


def hard_membership(
    image: Real[Tensor, "*batch height width"], levels: int
) -> Float[Tensor, "*batch height width levels"]:
    """Put each pixel wholly into one gray level.

    Convention:
        On ``[0, 1]`` the bins have width ``1 / levels``; each holds its lower
        edge, and the last one holds 1 too. An integer image *is* gray levels.

    Args:
        image: Floats in ``[0, 1]``, or integers from 0 to ``levels - 1``.
        levels: Number of gray levels, at least 2.

    Returns:
        A one for the level of the pixel and zeros elsewhere; float64 for a
        float64 image, float32 for every other.

    Raises:
        ValueError: If the image has fewer than two axes, holds NaN or leaves its
            range, or if ``levels`` is below 2.

    Example:
        >>> hard_membership(torch.tensor([[0.0, 0.49, 0.5, 1.0]]), levels=2)
        tensor([[[1., 0.],
                 [1., 0.],
                 [0., 1.],
                 [0., 1.]]])
    """
    require_image(image)
    require_levels(levels)
    dtype = torch.promote_types(image.dtype, torch.float32)
    if image.is_floating_point():
        require_unit_range(image)
        level = (image.to(dtype) * levels).long().clamp(max=levels - 1)
    else:
        level = image.long()
        require_gray_levels(level, levels)
    return torch.nn.functional.one_hot(level, levels).to(dtype)


def soft_membership(
    image: Float[Tensor, "*batch height width"], levels: int, bandwidth: float
) -> Float[Tensor, "*batch height width levels"]:
    r"""Share each pixel among the gray levels near it, differentiably.

    The share of value ``x`` in level ``k`` of ``K`` is ``r_k(x) + r_k(-x) +
    r_k(2 - x)`` with ``r_k(x) = σ((x K - k) / b) - σ((x K - k - 1) / b)``: a
    pixel blurred by the logistic density of scale ``b``, and what the blur
    spills over an end of ``[0, 1]`` mirrored back [1]_. So the shares of every
    value sum to one, black and white included. Where the blur is wider than
    the range, the mirroring goes on until nothing is left to mirror.

    Convention:
        ``bandwidth`` is in bin widths, and small means sharp. The paper writes
        W for its inverse: W = 30 is ``bandwidth = 1 / 30``.

    Args:
        image: Values in ``[0, 1]``. A value outside counts as the nearest edge,
            and gets no gradient.
        levels: Number of gray levels, at least 2.
        bandwidth: Scale of the sigmoids, positive, in bin widths.

    Returns:
        Shares from 0 to 1, summing to one to rounding; float64 for a float64
        image, float32 for every other, under autocast too. NaN stays NaN.

    Raises:
        ValueError: If the image has fewer than two axes or is not of floats, if
            ``levels`` is below 2, or if ``bandwidth`` is not positive and finite.

    Example:
        >>> soft_membership(torch.tensor([[0.0, 0.25, 0.5]]), levels=2, bandwidth=0.25)
        tensor([[[0.9640, 0.0360],
                 [0.8784, 0.1216],
                 [0.5000, 0.5000]]])

    References:
        .. [1] Madan et al., 2025, arXiv:2507.10869, eq. 2, and the mirroring of its code
    """
    require_image(image)
    require_float(image)
    require_levels(levels)
    require_bandwidth(bandwidth)
    with torch.autocast(image.device.type, enabled=False):
        image = image.to(torch.promote_types(image.dtype, torch.float32))
        margin = soft_reach(bandwidth, image.dtype)
        edges = torch.arange(
            -margin, levels + margin + 1, dtype=image.dtype, device=image.device
        )
        position = image.clamp(0, 1).unsqueeze(-1) * levels
        above_edge = torch.sigmoid((position - edges) / bandwidth)
        return _fold(above_edge[..., :-1] - above_edge[..., 1:], levels, margin)


def soft_reach(bandwidth: float, dtype: torch.dtype) -> int:
    """Return how many bins beyond its own a value touches: there the sigmoid is below eps.

    Args:
        bandwidth: Scale of the sigmoids, positive and finite, in bin widths.
        dtype: Floating-point type of the membership.

    Raises:
        ValueError: If ``bandwidth`` is not positive and finite.

    Example:
        >>> soft_reach(0.5, torch.float32), soft_reach(1 / 30, torch.float32)
        (8, 1)
    """
    require_bandwidth(bandwidth)
    return max(1, math.ceil(-math.log(torch.finfo(dtype).eps) * bandwidth))


def cooccurrence(
    membership: Float[Tensor, "*batch height width levels"],
    offsets: Sequence[Offset],
    *,
    symmetric: bool = False,
) -> Float[Tensor, "*batch offsets levels levels"]:
    """Measure how often gray levels meet at each offset.

    Entry ``[i, j]`` is the probability that the reference pixel has level ``i``
    and its neighbour level ``j`` [1]_. Pairs that leave the image do not count.

    Convention:
        The neighbour is the reference pixel plus the offset, and rows grow
        downward: ``Offset(1, 0)`` is the pixel below. scikit-image counts alike.

    Args:
        membership: Share of each pixel in each gray level, summing to one.
        offsets: Displacements to measure, in pixels, of either sign.
        symmetric: Count every pair in both directions, as Haralick does.

    Returns:
        One matrix per offset, each summing to one; at least float32, under
        autocast too (PyTorch's own rule holds: call ``backward`` outside it).
        Where CUDA may multiply in TF32, soft entries keep three digits.

    Raises:
        ValueError: If the membership has fewer than three axes, if there is no
            offset, or if one is ``Offset(0, 0)`` or as large as the image.

    Example:
        >>> ramp = torch.tensor([[0.0, 0.0, 1.0]])
        >>> cooccurrence(hard_membership(ramp, 2), [Offset(0, 1)])
        tensor([[[0.5000, 0.5000],
                 [0.0000, 0.0000]]])

    References:
        .. [1] Haralick et al., 1973, doi:10.1109/TSMC.1973.4309314
    """
    require_membership(membership)
    require_offsets(offsets, *membership.shape[-3:-1])
    with torch.autocast(membership.device.type, enabled=False):
        membership = membership.to(torch.promote_types(membership.dtype, torch.float32))
        matrices = torch.stack([_meetings(membership, offset) for offset in offsets], dim=-3)
    return (matrices + matrices.mT) / 2 if symmetric else matrices


def _fold(
    bins: Float[Tensor, "*batch height width bins"], levels: int, margin: int
) -> Float[Tensor, "*batch height width levels"]:
    """Mirror the ``margin`` bins beyond each end back among the ``levels``.

    Bin ``-1`` lands on 0 and bin ``levels`` on ``levels - 1``. A margin longer
    than the range is folded once per crossing, turned round each time.
    """
    folded = bins[..., margin : margin + levels].clone()
    for crossing, start in enumerate(range(0, margin, levels)):
        width = min(levels, margin - start)
        below = bins[..., margin - start - width : margin - start]
        above = bins[..., margin + levels + start : margin + levels + start + width]
        if crossing % 2 == 0:
            bottom, top = below.flip(-1), above.flip(-1)
        else:
            bottom, top = above, below
        folded[..., :width] += bottom
        folded[..., levels - width :] += top
    return folded


def _meetings(
    membership: Float[Tensor, "*batch height width levels"], offset: Offset
) -> Float[Tensor, "*batch levels levels"]:
    """Average, over all pairs, the products of the two pixels' shares."""
    height, width = membership.shape[-3:-1]
    rows, cols = offset
    top, bottom = max(0, -rows), height - max(0, rows)
    left, right = max(0, -cols), width - max(0, cols)
    reference = membership[..., top:bottom, left:right, :].flatten(-3, -2)
    neighbour = membership[
        ..., top + rows : bottom + rows, left + cols : right + cols, :
    ].flatten(-3, -2)
    return reference.mT @ neighbour / reference.shape[-2]
