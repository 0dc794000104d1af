"""The six features that IBSI adds on the difference of neighbouring gray levels.

Each weighs the distribution ``p_{x-y}`` of ``|i - j|``: contrast's kin, that grow
with the difference, and homogeneity's, that shrink with it. Conventions, symbols
and sources are those of ``haralick``; K is the number of levels.
"""

from glcm_mae.texture.marginals import Cooccurrence, Scalars, marginals, mean, values


def dissimilarity(matrix: Cooccurrence) -> Scalars:
    """Σ ``|i - j|`` p(i, j): how far apart neighbours are, far ones not counting more.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in levels, from 0 for a flat patch to ``levels - 1``.
        IBSI 8S9J.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> dissimilarity(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.5000)
    """
    return mean(marginals(matrix).differences)


def difference_average(matrix: Cooccurrence) -> Scalars:
    """Σ k p_{x-y}(k): the mean step between neighbours.

    The same number as ``dissimilarity``, whose other name it is.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in levels, from 0 for a flat patch to ``levels - 1``.
        IBSI TF7R.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> difference_average(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.5000)
    """
    return dissimilarity(matrix)


def inverse_difference(matrix: Cooccurrence) -> Scalars:
    """Σ p(i, j) / (1 + ``|i - j|``): how alike neighbours are.

    Some call it homogeneity, which for scikit-image is the inverse difference moment.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``1 / levels`` where black meets white only to 1
        for a flat patch. IBSI IB1Z.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> inverse_difference(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.7500)
    """
    differences = marginals(matrix).differences
    return (differences / (1 + values(differences))).sum(-1)


def normalised_inverse_difference(matrix: Cooccurrence) -> Scalars:
    """Σ p(i, j) / (1 + ``|i - j|`` / K): the same, whatever the number of levels.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``levels / (2 * levels - 1)`` where black meets
        white only to 1 for a flat patch. IBSI NDRX.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> normalised_inverse_difference(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.8333)
    """
    differences = marginals(matrix).differences
    levels = differences.shape[-1]
    return (differences / (1 + values(differences) / levels)).sum(-1)


def normalised_inverse_difference_moment(matrix: Cooccurrence) -> Scalars:
    """Σ p(i, j) / (1 + (i - j)² / K²): the same for the inverse difference moment.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``levels² / (levels² + (levels - 1)²)`` where
        black meets white only to 1 for a flat patch. IBSI 1QCO.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> normalised_inverse_difference_moment(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.9000)
    """
    differences = marginals(matrix).differences
    levels = differences.shape[-1]
    return (differences / (1 + (values(differences) / levels).square())).sum(-1)


def inverse_variance(matrix: Cooccurrence) -> Scalars:
    """Σ_{i≠j} p(i, j) / (i - j)²: how small the steps are, where there is one.

    IBSI sums twice over ``j > i``, which is the same for a symmetric matrix.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from 0 for a flat patch to 1 where all neighbours
        differ by one level. IBSI E8JP.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> inverse_variance(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.5000)
    """
    steps = marginals(matrix).differences[..., 1:]
    return (steps / (1 + values(steps)).square()).sum(-1)
