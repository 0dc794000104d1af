"""What texture is: co-occurrence of gray levels, its features, its distance."""

from glcm_mae.texture.distance import glcm_distance
from glcm_mae.texture.glcm import Offset, cooccurrence, hard_membership, soft_membership
from glcm_mae.texture.haralick import (
    HARALICK_FEATURES,
    angular_second_moment,
    contrast,
    correlation,
    difference_variance,
    haralick_features,
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
    maximal_correlation_coefficient,
    sum_entropy,
)

__all__ = [
    "HARALICK_FEATURES",
    "Offset",
    "angular_second_moment",
    "contrast",
    "cooccurrence",
    "correlation",
    "difference_entropy",
    "difference_variance",
    "glcm_distance",
    "haralick_features",
    "hard_membership",
    "information_correlation_1",
    "information_correlation_2",
    "inverse_difference_moment",
    "joint_entropy",
    "maximal_correlation_coefficient",
    "soft_membership",
    "sum_average",
    "sum_entropy",
    "sum_of_squares_variance",
    "sum_variance",
]
