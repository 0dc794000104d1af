"""Haralick's fourteen texture features, one function each.

A feature takes normalised co-occurrence matrices ``p`` and gives one number per
matrix. It needs no more than their ``Marginals``, and takes those as well; only
the fourteenth needs the matrices. The eight built on sums and differences of gray
levels are here, the six built on entropy and dependence in ``information``;
``HARALICK_FEATURES`` names all fourteen in Haralick's order. IBSI's further ones
are in ``ibsi``.

Convention:
    As IBSI has it: levels ``i`` and ``j`` are counted from 1, logarithms are to
    base 2, and 0 · log 0 = 0. IBSI measures symmetric matrices; where a matrix is
    not, ``i`` is the level of the reference pixel, the row.

    In formulas ``p_x`` and ``p_y`` are the row and column sums of ``p``,
    ``p_{x+y}`` and ``p_{x-y}`` the distributions of ``i + j`` and ``|i - j|``.

References:
    Haralick et al., 1973, doi:10.1109/TSMC.1973.4309314; the four-letter codes
    are those of IBSI, the Image Biomarker Standardisation Initiative: Zwanenburg
    et al., 2016, arXiv:1612.07003.
"""

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor

from glcm_mae.texture.information import (
    difference_entropy,
    information_correlation_1,
    information_correlation_2,
    joint_entropy,
    maximal_correlation_coefficient,
    sum_entropy,
)
from glcm_mae.texture.marginals import (
    Cooccurrence,
    Marginals,
    Scalars,
    marginals,
    mean,
    values,
    variance,
)


def angular_second_moment(matrix: Cooccurrence) -> Scalars:
    """Σ p(i, j)²: how few pairs of gray levels make up the texture.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``1 / levels²`` where all pairs are alike to 1
        for a flat patch. IBSI 8ZQL.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> angular_second_moment(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(0.5000)
    """
    return marginals(matrix).energy


def contrast(matrix: Cooccurrence) -> Scalars:
    """Σ (i - j)² p(i, j): how strongly neighbours differ.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels, from 0 for a flat patch to
        ``(levels - 1)²``. IBSI ACUI.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> contrast(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.5000)
    """
    differences = marginals(matrix).differences
    return (differences * values(differences).square()).sum(-1)


def correlation(matrix: Cooccurrence) -> Scalars:
    """Σ (i - μ_x) (j - μ_y) p(i, j) / (σ_x σ_y): how linearly neighbours agree.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from -1 to 1. Where either pixel of the pair has a
        single level, as in a flat patch, the ratio is undefined and 1 is given,
        with no gradient. IBSI NI2N.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> correlation(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(1.)
    """
    found = marginals(matrix)
    row_variance, column_variance = variance(found.rows), variance(found.columns)
    flat = (row_variance == 0) | (column_variance == 0)
    # Two roots, for the product of two small variances may underflow.
    row_spread = torch.where(flat, 1.0, row_variance).sqrt()
    column_spread = torch.where(flat, 1.0, column_variance).sqrt()
    return torch.where(flat, 1.0, found.covariance / row_spread / column_spread)


def sum_of_squares_variance(matrix: Cooccurrence) -> Scalars:
    """Σ (i - μ_x)² p(i, j): how far the reference pixel's level spreads.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels, from 0 for a flat patch to
        ``(levels - 1)² / 4``. IBSI UR99, joint variance.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> sum_of_squares_variance(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(0.2500)
    """
    return variance(marginals(matrix).rows)


def inverse_difference_moment(matrix: Cooccurrence) -> Scalars:
    """Σ p(i, j) / (1 + (i - j)²): how alike neighbours are.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``1 / (1 + (levels - 1)²)`` to 1 for a flat
        patch. IBSI WF0Z; scikit-image calls it homogeneity.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> inverse_difference_moment(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.7500)
    """
    differences = marginals(matrix).differences
    return (differences / (1 + values(differences).square())).sum(-1)


def sum_average(matrix: Cooccurrence) -> Scalars:
    """Σ k p_{x+y}(k): the brightness of a pair, twice that of the patch.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in levels counted from 1, from 2 for a black patch
        to ``2 * levels`` for a white one. IBSI ZGXS.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> sum_average(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(3.)
    """
    return mean(marginals(matrix).sums) + 2


def sum_variance(matrix: Cooccurrence) -> Scalars:
    """Σ (k - sum average)² p_{x+y}(k): how far the brightness of a pair spreads.

    About the sum average, as IBSI has it; Haralick's paper prints the sum entropy
    in its place.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels, from 0 for a flat patch to
        ``(levels - 1)²``. IBSI OEEB.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> sum_variance(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        tensor(1.)
    """
    return variance(marginals(matrix).sums)


def difference_variance(matrix: Cooccurrence) -> Scalars:
    """Σ (k - Σ l p_{x-y}(l))² p_{x-y}(k): how unevenly neighbours differ.

    The variance of ``|i - j|``, as IBSI has it; mahotas gives it under
    ``use_x_minus_y_variance=True``.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels, from 0 where all neighbours
        differ alike to ``(levels - 1)² / 4``. IBSI D3YU.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> difference_variance(torch.tensor([[0.5, 0.5], [0.0, 0.0]]))
        tensor(0.2500)
    """
    return variance(marginals(matrix).differences)


_OF_MARGINALS: Final[dict[str, Callable[[Cooccurrence], Tensor]]] = {
    "angular_second_moment": angular_second_moment,
    "contrast": contrast,
    "correlation": correlation,
    "sum_of_squares_variance": sum_of_squares_variance,
    "inverse_difference_moment": inverse_difference_moment,
    "sum_average": sum_average,
    "sum_variance": sum_variance,
    "sum_entropy": sum_entropy,
    "joint_entropy": joint_entropy,
    "difference_variance": difference_variance,
    "difference_entropy": difference_entropy,
    "information_correlation_1": information_correlation_1,
    "information_correlation_2": information_correlation_2,
}

HARALICK_FEATURES: Final[dict[str, Callable[[Cooccurrence], Tensor]]] = {
    **_OF_MARGINALS,
    "maximal_correlation_coefficient": maximal_correlation_coefficient,
}
"""The fourteen features by name, in the order of Haralick's paper."""


def haralick_features(matrix: Cooccurrence) -> dict[str, Tensor]:
    """Measure all fourteen features, or the thirteen that marginals settle.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix under each name of ``HARALICK_FEATURES``, in
        Haralick's order; of marginals, all but the fourteenth,
        ``maximal_correlation_coefficient``.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> features = haralick_features(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        >>> len(features), features["contrast"]
        (14, tensor(0.))
    """
    found = marginals(matrix)
    features = {name: feature(found) for name, feature in _OF_MARGINALS.items()}
    if not isinstance(matrix, Marginals):
        name = "maximal_correlation_coefficient"
        features[name] = maximal_correlation_coefficient(matrix)
    return features
