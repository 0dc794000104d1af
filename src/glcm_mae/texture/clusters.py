"""The three features of IBSI on how the brightness of pairs clusters.

Central moments, of order 2 to 4, of the distribution ``p_{x+y}`` of ``i + j``.
Conventions, symbols and sources are those of ``haralick``; μ is the sum average.
"""

from glcm_mae.texture.haralick import sum_variance
from glcm_mae.texture.marginals import Cooccurrence, Scalars, deviations, marginals


def cluster_tendency(matrix: Cooccurrence) -> Scalars:
    """Σ (i + j - μ)² p(i, j): how far the brightness of pairs spreads.

    The same number as ``sum_variance``, whose other name it is.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels, from 0 for a flat patch to
        ``(levels - 1)²``. IBSI DG8W.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> cluster_tendency(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(0.7500)
    """
    return sum_variance(matrix)


def cluster_shade(matrix: Cooccurrence) -> Scalars:
    """Σ (i + j - μ)³ p(i, j): whether bright pairs or dark ones stand out.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in cubed levels, 0 for a flat patch, positive where few
        bright pairs stand out of many dark ones, negative the other way round; within
        ``± 4 * (levels - 1)³ / √27``. IBSI 7NFM.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> cluster_shade(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(0.7500)
    """
    sums = marginals(matrix).sums
    return (sums * deviations(sums).pow(3)).sum(-1)


def cluster_prominence(matrix: Cooccurrence) -> Scalars:
    """Σ (i + j - μ)⁴ p(i, j): how far the few outlying pairs stand out.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in levels to the fourth, from 0 for a flat patch to
        ``4 / 3 * (levels - 1)⁴``. IBSI AE86.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> cluster_prominence(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(1.3125)
    """
    sums = marginals(matrix).sums
    return (sums * deviations(sums).pow(4)).sum(-1)
