"""The distributions inside a co-occurrence matrix, and what is measured on them.

Everything here is plain probability; what it says about texture is in
``haralick`` and ``ibsi``.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Matrices = Float[Tensor, "*batch levels levels"]
Histograms = Float[Tensor, "*batch values"]
Scalars = Float[Tensor, "*batch"]


class Marginals(NamedTuple):
    """All that the features need of a co-occurrence matrix, Haralick's fourteenth excepted.

    A matrix of 256 levels holds 65,536 numbers, its marginals 1,279; so they may
    be had from counted pairs without writing the matrix down.

    Convention:
        ``x`` is the level of the reference pixel, ``y`` that of its neighbour, both
        counted from 0; a distribution starts at the value 0.

    Attributes:
        rows: Distribution of x, over ``levels`` values.
        columns: Distribution of y, over ``levels`` values.
        sums: Distribution of x + y, over ``2 * levels - 1`` values.
        differences: Distribution of ``|x - y|``, over ``levels`` values.
        energy: Sum of the squared probabilities.
        largest: Largest probability.
        entropy: Entropy of the matrix, in bits.
        covariance: Covariance of x and y, in squared levels. It follows from the
            distributions, but not to the last digits: where one pixel varies far
            more than the other, rounding would outweigh it.
    """

    rows: Float[Tensor, "... levels"]
    columns: Float[Tensor, "... levels"]
    sums: Float[Tensor, "... sums"]
    differences: Float[Tensor, "... levels"]
    energy: Float[Tensor, "..."]
    largest: Float[Tensor, "..."]
    entropy: Float[Tensor, "..."]
    covariance: Float[Tensor, "..."]


Cooccurrence = Matrices | Marginals
"""What a feature is measured on: the matrices, or their marginals."""

# A matrix of counts is far from this, one rounded to bfloat16 is well within.
_SUM_TOLERANCE = 1e-2


def as_probabilities(matrix: Matrices) -> Matrices:
    """Refuse what is no joint distribution, and divide out its rounding.

    So a flat patch, whose only entry may be 0.99999994, has exactly one level.

    Args:
        matrix: Co-occurrence matrices, each summing to one but for rounding.

    Returns:
        The matrices, each divided by its sum, in at least float32.

    Raises:
        ValueError: If the matrices are not square with two levels or more, or if
            one does not sum to one.

    Example:
        >>> as_probabilities(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.5000]])
    """
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] < 2:
        raise ValueError(
            "matrix must be square over its last two axes, with at least 2 levels, "
            f"got shape {tuple(matrix.shape)}"
        )
    matrix = matrix.to(torch.promote_types(matrix.dtype, torch.float32))
    total = matrix.sum((-2, -1), keepdim=True)
    # Written so that NaN fails too.
    stray = total[~((total - 1).abs() <= _SUM_TOLERANCE)]
    if stray.numel():
        raise ValueError(
            "matrix must sum to one over its last two axes, "
            f"got {stray[0].item():g}; divide each matrix by its sum"
        )
    return matrix / total


def marginals(matrix: Cooccurrence) -> Marginals:
    """Reduce co-occurrence matrices to what the features need of them.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        The marginals of each matrix, differentiable, in at least float32; marginals
        are given back as they are.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> found = marginals(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        >>> found.rows, found.columns, found.sums
        (tensor([1., 0.]), tensor([0.5000, 0.5000]), tensor([0.5000, 0.5000, 0.0000]))
    """
    if isinstance(matrix, Marginals):
        return matrix
    p = as_probabilities(matrix)
    rows, columns = p.sum(-1), p.sum(-2)
    moments = (p * deviations(columns).unsqueeze(-2)).sum(-1)
    return Marginals(
        rows=rows,
        columns=columns,
        sums=sum_histogram(p),
        differences=difference_histogram(p),
        energy=p.square().sum((-2, -1)),
        largest=p.amax((-2, -1)),
        entropy=entropy(p.flatten(-2)),
        covariance=(moments * deviations(rows)).sum(-1),
    )


def sum_histogram(matrix: Matrices) -> Histograms:
    """Distribution of the sum of two levels counted from zero.

    Args:
        matrix: Joint distributions.

    Returns:
        Probability of each sum from 0 to ``2 * levels - 2``.

    Example:
        >>> sum_histogram(torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
        tensor([0.1000, 0.5000, 0.4000])
    """
    levels = matrix.shape[-1]
    sums = 2 * levels - 1
    # Rows of 2·levels read as rows of one fewer shift row i by i: sums become columns.
    padded = torch.nn.functional.pad(matrix, (0, levels)).flatten(-2)
    return padded[..., : levels * sums].reshape(*matrix.shape[:-2], levels, sums).sum(-2)


def difference_histogram(matrix: Matrices) -> Histograms:
    """Distribution of the absolute difference of two levels.

    Args:
        matrix: Joint distributions.

    Returns:
        Probability of each difference from 0 to ``levels - 1``.

    Example:
        >>> difference_histogram(torch.tensor([[0.1, 0.2], [0.3, 0.4]]))
        tensor([0.5000, 0.5000])
    """
    levels = matrix.shape[-1]
    signed = sum_histogram(matrix.flip(-1))  # the zero difference is at levels - 1
    positive, negative = signed[..., levels:], signed[..., : levels - 1].flip(-1)
    return torch.cat([signed[..., levels - 1 : levels], positive + negative], dim=-1)


def values(histogram: Histograms) -> Float[Tensor, " values"]:
    """The values 0, 1, 2 and so on that a histogram is over.

    Args:
        histogram: Probability of each value.

    Returns:
        The values, in the histogram's type and place.

    Example:
        >>> values(torch.tensor([0.5, 0.0, 0.5]))
        tensor([0., 1., 2.])
    """
    return torch.arange(histogram.shape[-1], dtype=histogram.dtype, device=histogram.device)


def mean(histogram: Histograms) -> Scalars:
    """Mean of a distribution over 0, 1, 2 and so on.

    Args:
        histogram: Probability of each value.

    Returns:
        The mean, from 0 to the largest value.

    Example:
        >>> mean(torch.tensor([0.5, 0.0, 0.5]))
        tensor(1.)
    """
    return (histogram * values(histogram)).sum(-1)


def variance(histogram: Histograms) -> Scalars:
    """Variance of a distribution over 0, 1, 2 and so on.

    Args:
        histogram: Probability of each value.

    Returns:
        The mean squared distance from the mean, at least 0.

    Example:
        >>> variance(torch.tensor([0.5, 0.0, 0.5]))
        tensor(1.)
    """
    return (histogram * deviations(histogram).square()).sum(-1)


def deviations(histogram: Histograms) -> Histograms:
    """Distance of each value 0, 1, 2 and so on from the mean.

    Args:
        histogram: Probability of each value.

    Returns:
        Value minus mean, for each value.

    Example:
        >>> deviations(torch.tensor([0.5, 0.0, 0.5]))
        tensor([-1.,  0.,  1.])
    """
    return values(histogram) - mean(histogram).unsqueeze(-1)


def entropy(histogram: Histograms) -> Scalars:
    """Shannon entropy, in bits.

    Convention:
        Logarithms are to base 2, and 0 · log 0 = 0. An empty value gets no
        gradient, for the true one is infinite.

    Args:
        histogram: Probability of each value.

    Returns:
        Bits, from 0 to the logarithm of the number of values.

    Example:
        >>> entropy(torch.tensor([0.5, 0.0, 0.5]))
        tensor(1.)
    """
    occupied = torch.where(histogram > 0, histogram, 1.0)  # 1 · log 1 adds nothing
    return -(occupied * occupied.log2()).sum(-1)
