"""The six of Haralick's features that measure surprise and dependence.

Conventions, symbols and sources are those of ``haralick``; H is the entropy, in
bits. An entropy has an infinite slope where a probability is zero, and none is
passed on there: every gradient is finite.
"""

import torch

from glcm_mae.texture.marginals import (
    Cooccurrence,
    Marginals,
    Scalars,
    as_probabilities,
    entropy,
    marginals,
)


def sum_entropy(matrix: Cooccurrence) -> Scalars:
    """H(p_{x+y}): how unpredictable the brightness of a pair is.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in bits, from 0 for a flat patch to
        ``log2(2 * levels - 1)``. IBSI P6QZ.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> sum_entropy(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(1.)
    """
    return entropy(marginals(matrix).sums)


def joint_entropy(matrix: Cooccurrence) -> Scalars:
    """H(p): how unpredictable a pair of gray levels is.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in bits, from 0 for a flat patch to
        ``2 * log2(levels)``. IBSI TU9B.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> joint_entropy(torch.tensor([[0.25, 0.25], [0.25, 0.25]]))
        tensor(2.)
    """
    return marginals(matrix).entropy


def difference_entropy(matrix: Cooccurrence) -> Scalars:
    """H(p_{x-y}): how unpredictable the step between neighbours is.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in bits, from 0 where all neighbours differ alike
        to ``log2(levels)``. IBSI NTRS.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> difference_entropy(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(1.)
    """
    return entropy(marginals(matrix).differences)


def information_correlation_1(matrix: Cooccurrence) -> Scalars:
    """(H(p) - H(p_x p_y)) / max(H(p_x), H(p_y)): what neighbours tell of each other.

    The numerator is minus the mutual information: Haralick's HXY1 and HXY2 are
    both ``H(p_x) + H(p_y)``.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from -1 where each pixel settles the other to 0
        where they are independent. For a flat patch the ratio is undefined and 0
        is given, with no gradient. IBSI R8DG.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> information_correlation_1(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(-1.)
    """
    found = marginals(matrix)
    largest = torch.maximum(entropy(found.rows), entropy(found.columns))
    flat = largest == 0
    ratio = -_mutual_information(found) / torch.where(flat, 1.0, largest)
    return torch.where(flat, 0.0, ratio.clamp(max=0))


def information_correlation_2(matrix: Cooccurrence) -> Scalars:
    """√(1 - exp(-2 (H(p_x p_y) - H(p)))): the same on the scale of a correlation.

    Entropies in bits stand under the natural exponential, as IBSI has it.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from 0 where the pixels are independent, as in a
        flat patch, to almost 1. The slope at 0 is infinite, and none is passed
        on; in float32 the root lifts rounding, and about 1e-3 may stand for 0.
        IBSI JN9H.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> information_correlation_2(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(0.9299)
    """
    information = _mutual_information(marginals(matrix))
    dependent = information > 0
    share = -torch.expm1(-2 * torch.where(dependent, information, 1.0))
    return torch.where(dependent, share.sqrt(), 0.0)


def maximal_correlation_coefficient(matrix: Cooccurrence) -> Scalars:
    """√(second largest eigenvalue of Q): the best correlation of relabelled levels.

    ``Q(i, k) = Σ_j p(i, j) p(k, j) / (p_x(i) p_y(j))``; its root is taken as the
    second singular value of ``p(i, j) / √(p_x(i) p_y(j))``, which is the same and
    never complex. mahotas' fourteenth feature is another quantity.

    Args:
        matrix: Co-occurrence matrices, each summing to one; marginals do not do.

    Returns:
        One number per matrix, from 0 where the pixels are independent to 1. Where
        either pixel of the pair has a single level, as in a flat patch, there is
        no second value and 1 is given, with no gradient. Levels that meet only
        each other, however rare, make it 1. IBSI has no code for it.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.
        TypeError: If marginals are given.

    Example:
        >>> maximal_correlation_coefficient(torch.tensor([[0.4, 0.1], [0.1, 0.4]]))
        tensor(0.6000)
    """
    if isinstance(matrix, Marginals):
        raise TypeError(
            "matrix must be the co-occurrence matrix itself for the maximal correlation "
            "coefficient, got Marginals; they do not settle it"
        )
    p = as_probabilities(matrix)
    rows, columns = p.sum(-1, keepdim=True), p.sum(-2, keepdim=True)
    flat = ((rows > 0).sum((-2, -1)) == 1) | ((columns > 0).sum((-2, -1)) == 1)
    # An empty level weighs 1 / √∞ = 0, in value and in gradient.
    row_weight = torch.where(rows > 0, rows, torch.inf).rsqrt()
    column_weight = torch.where(columns > 0, columns, torch.inf).rsqrt()
    second = torch.linalg.svdvals(p * row_weight * column_weight)[..., 1]
    return torch.where(flat, 1.0, second)


def _mutual_information(found: Marginals) -> Scalars:
    """H(p_x) + H(p_y) - H(p), in bits; rounding may take it a little below zero."""
    return entropy(found.rows) + entropy(found.columns) - found.entropy
