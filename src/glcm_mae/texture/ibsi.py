"""The co-occurrence features of IBSI, all twenty-five, under IBSI's names.

Here are the three on single levels and products of levels; the others are in
``haralick``, ``information``, ``differences`` and ``clusters``, one function each.
IBSI's joint variance is Haralick's ``sum_of_squares_variance``. Conventions,
symbols and sources are those of ``haralick``.
"""

from collections.abc import Callable
from typing import Final

from torch import Tensor

from glcm_mae.texture.clusters import cluster_prominence, cluster_shade, cluster_tendency
from glcm_mae.texture.differences import (
    difference_average,
    dissimilarity,
    inverse_difference,
    inverse_variance,
    normalised_inverse_difference,
    normalised_inverse_difference_moment,
)
from glcm_mae.texture.haralick import (
    angular_second_moment,
    contrast,
    correlation,
    difference_variance,
    inverse_difference_moment,
    sum_average,
    sum_of_squares_variance,
    sum_variance,
)
from glcm_mae.texture.information import (
    difference_entropy,
    information_correlation_1,
    information_correlation_2,
    joint_entropy,
    sum_entropy,
)
from glcm_mae.texture.marginals import Cooccurrence, Scalars, marginals, mean


def joint_maximum(matrix: Cooccurrence) -> Scalars:
    """Largest p(i, j): how much one pair of gray levels dominates.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, from ``1 / levels²`` where all pairs are alike to 1 for
        a flat patch. Pairs that share the first place share its gradient. IBSI GYBY.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> joint_maximum(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(0.7500)
    """
    return marginals(matrix).largest


def joint_average(matrix: Cooccurrence) -> Scalars:
    """Σ i p(i, j): the brightness of the reference pixel.

    Half the sum average, if the matrix is symmetric.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in levels counted from 1, from 1 for a black patch to
        ``levels`` for a white one. IBSI 60VM.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> joint_average(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(1.2500)
    """
    return mean(marginals(matrix).rows) + 1


def autocorrelation(matrix: Cooccurrence) -> Scalars:
    """Σ i j p(i, j): the mean product of neighbours, large where bright meets bright.

    In plain terms the covariance plus the product of the means.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix, in squared levels counted from 1, from 1 for a black
        patch to ``levels²`` for a white one. IBSI QWB0.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> autocorrelation(torch.tensor([[0.75, 0.0], [0.0, 0.25]]))
        tensor(1.7500)
    """
    found = marginals(matrix)
    return found.covariance + (mean(found.rows) + 1) * (mean(found.columns) + 1)


IBSI_FEATURES: Final[dict[str, Callable[[Cooccurrence], Tensor]]] = {
    "joint_maximum": joint_maximum,
    "joint_average": joint_average,
    "joint_variance": sum_of_squares_variance,
    "joint_entropy": joint_entropy,
    "difference_average": difference_average,
    "difference_variance": difference_variance,
    "difference_entropy": difference_entropy,
    "sum_average": sum_average,
    "sum_variance": sum_variance,
    "sum_entropy": sum_entropy,
    "angular_second_moment": angular_second_moment,
    "contrast": contrast,
    "dissimilarity": dissimilarity,
    "inverse_difference": inverse_difference,
    "normalised_inverse_difference": normalised_inverse_difference,
    "inverse_difference_moment": inverse_difference_moment,
    "normalised_inverse_difference_moment": normalised_inverse_difference_moment,
    "inverse_variance": inverse_variance,
    "correlation": correlation,
    "autocorrelation": autocorrelation,
    "cluster_tendency": cluster_tendency,
    "cluster_shade": cluster_shade,
    "cluster_prominence": cluster_prominence,
    "information_correlation_1": information_correlation_1,
    "information_correlation_2": information_correlation_2,
}
"""The twenty-five features by IBSI's names, in the order of its reference manual."""


def ibsi_features(matrix: Cooccurrence) -> dict[str, Tensor]:
    """Measure all twenty-five features of IBSI.

    Args:
        matrix: Co-occurrence matrices, each summing to one, or their marginals.

    Returns:
        One number per matrix under each name of ``IBSI_FEATURES``, in IBSI's order.

    Raises:
        ValueError: If a matrix is not square or does not sum to one.

    Example:
        >>> import torch
        >>> features = ibsi_features(torch.tensor([[0.5, 0.0], [0.0, 0.5]]))
        >>> len(features), features["autocorrelation"]
        (25, tensor(2.5000))
    """
    found = marginals(matrix)
    return {name: feature(found) for name, feature in IBSI_FEATURES.items()}
