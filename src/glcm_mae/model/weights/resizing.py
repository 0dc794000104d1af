"""Fitting tensors to another grid, and to another number of channels."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional


def resize_positions(
    positions: Float[Tensor, "1 old width"],
    old: tuple[int, int],
    new: tuple[int, int],
) -> Float[Tensor, "1 new width"]:
    """Interpolate the positions of patches from one grid to another.

    Bicubic with antialiasing, as timm does it; the same grid returns its argument.

    Args:
        positions: One row per patch, in row order, without the class token.
        old: Rows and columns they were made for.
        new: Rows and columns wanted.

    Raises:
        ValueError: If the old grid does not have that many positions.

    Example:
        >>> ramp = torch.tensor([[[0.0], [1.0]]])
        >>> resize_positions(ramp, (1, 2), (1, 4)).squeeze()
        tensor([-0.0882,  0.2071,  0.7929,  1.0882])
    """
    if positions.shape[1] != old[0] * old[1]:
        raise ValueError(
            f"a grid of {old[0]} x {old[1]} has not {positions.shape[1]} positions"
        )
    if old == new:
        return positions
    image = positions.float().reshape(1, *old, -1).permute(0, 3, 1, 2)
    image = functional.interpolate(image, size=new, mode="bicubic", antialias=True)
    return image.permute(0, 2, 3, 1).flatten(1, 2).to(positions.dtype)


Statistics = tuple[tuple[float, ...], tuple[float, ...]]


class Embedding(NamedTuple):
    """A patch embedding, and the statistics that its images are normalised by."""

    weight: Float[Tensor, "width channel side side"]
    bias: Float[Tensor, "width"] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]


def fold_embedding(source: Embedding, channels: int) -> Embedding:
    r"""Give a patch embedding another number of channels, exactly for gray images.

    With the average mean :math:`\mu` and deviation :math:`\sigma` of the source's channels

    .. math::
        W' = \sum_c \frac{\sigma}{s_c} W_c, \qquad
        b' = b + \sum_c \frac{\mu - m_c}{s_c} \sum_{pq} W_{cpq},

    so that a gray image gives what its copies in all channels gave, normalised by
    :math:`m_c` and :math:`s_c`. One channel becomes several by equal shares.

    Args:
        source: The embedding and what it expects.
        channels: Channels wanted; equal to the source's, or one of the two is one.

    Raises:
        ValueError: If several channels would become several others, or the shift of the
            means needs a bias that the embedding lacks.

    Example:
        >>> gray = fold_embedding(
        ...     Embedding(torch.ones(1, 2, 1, 1), torch.zeros(1), (0.0, 0.5), (1.0, 0.5)), 1)
        >>> gray.weight.item(), gray.bias.item(), gray.mean, gray.std
        (2.25, -0.25, (0.25,), (0.75,))
    """
    given = source.weight.shape[1]
    if given == channels:
        return source
    if given == 1:
        weight = source.weight.double().expand(-1, channels, -1, -1) / channels
        return Embedding(
            weight.to(source.weight.dtype),
            source.bias,
            source.mean * channels,
            source.std * channels,
        )
    if channels != 1:
        raise ValueError(
            f"weights for {given} channels fit {given} or 1 channel; set model.channels to one"
        )
    old, means, stds = source.weight.double(), _column(source.mean), _column(source.std)
    mean, std = means.mean(), stds.mean()
    weight = (old * (std / stds)[:, None, None]).sum(dim=1, keepdim=True)
    shift = (old.sum(dim=(2, 3)) * (mean - means) / stds).sum(dim=1)
    if source.bias is None and bool(shift.abs().max() > 0):
        raise ValueError(
            "the patch embedding has no bias that could take up unequal means of the channels;"
            f" set model.channels to {given}"
        )
    bias = None if source.bias is None else (source.bias.double() + shift).to(source.bias.dtype)
    return Embedding(weight.to(source.weight.dtype), bias, (float(mean),), (float(std),))


def fold_head(
    weight: Float[Tensor, "pixels width"],
    bias: Float[Tensor, "pixels"],
    *,
    source: Statistics,
    target: Statistics,
) -> tuple[Float[Tensor, "values width"], Float[Tensor, "values"]]:
    """Let a head that predicts normalised pixels speak in another normalisation.

    Pixels are ``head * std + mean`` on both sides. Several channels become one by their
    average in gray levels, one becomes several by copies.

    Args:
        weight: Rows in the order channel, row, column of a patch.
        bias: The same order.
        source: Means and deviations of the channels the head was trained with.
        target: Those it shall speak in; as many as the source's, or one of the two is one.

    Example:
        >>> source, target = ((0.25, 0.75), (0.25, 0.75)), ((0.5,), (0.5,))
        >>> weight, bias = fold_head(torch.ones(2, 1), torch.zeros(2),
        ...                          source=source, target=target)
        >>> weight.tolist(), bias.tolist()
        ([[1.0]], [0.0])
    """
    means, stds = (_column(values) for values in source)
    new_means, new_stds = (_column(values) for values in target)
    given, wanted = len(means), len(new_means)
    mix = torch.eye(given, dtype=torch.float64)
    if given != wanted:
        mix = torch.full((wanted, given), 1 / given, dtype=torch.float64)
    scale = mix * stds / new_stds[:, None]
    shift = (mix @ means - new_means) / new_stds
    rows = weight.double().reshape(given, -1, weight.shape[1])
    values = bias.double().reshape(given, -1)
    new_weight = torch.einsum("tc,cpw->tpw", scale, rows)
    new_bias = torch.einsum("tc,cp->tp", scale, values) + shift[:, None]
    return new_weight.flatten(0, 1).to(weight.dtype), new_bias.flatten().to(bias.dtype)


def _column(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)
