"""What texture is: co-occurrence of gray levels, its features, its distance."""

from glcm_mae.texture.clusters import cluster_prominence, cluster_shade, cluster_tendency
from glcm_mae.texture.counting import (
    VolumeOffset,
    gray_level_cooccurrence,
    image_offsets,
    volume_offsets,
)
from glcm_mae.texture.differences import (
    difference_average,
    dissimilarity,
    inverse_difference,
    inverse_variance,
    normalised_inverse_difference,
    normalised_inverse_difference_moment,
)
from glcm_mae.texture.discretisation import fixed_bin_number, fixed_bin_width
from glcm_mae.texture.distance import Engine, glcm_distance
from glcm_mae.texture.features import texture_features
from glcm_mae.texture.glcm import (
    Offset,
    Scale,
    cooccurrence,
    hard_membership,
    soft_membership,
)
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
from glcm_mae.texture.ibsi import (
    IBSI_FEATURES,
    autocorrelation,
    ibsi_features,
    joint_average,
    joint_maximum,
)
from glcm_mae.texture.information import (
    difference_entropy,
    information_correlation_1,
    information_correlation_2,
    joint_entropy,
    maximal_correlation_coefficient,
    sum_entropy,
)
from glcm_mae.texture.marginals import Marginals, marginals

__all__ = [
    "HARALICK_FEATURES",
    "IBSI_FEATURES",
    "Engine",
    "Marginals",
    "Offset",
    "Scale",
    "VolumeOffset",
    "angular_second_moment",
    "autocorrelation",
    "cluster_prominence",
    "cluster_shade",
    "cluster_tendency",
    "contrast",
    "cooccurrence",
    "correlation",
    "difference_average",
    "difference_entropy",
    "difference_variance",
    "dissimilarity",
    "fixed_bin_number",
    "fixed_bin_width",
    "glcm_distance",
    "gray_level_cooccurrence",
    "haralick_features",
    "hard_membership",
    "ibsi_features",
    "image_offsets",
    "information_correlation_1",
    "information_correlation_2",
    "inverse_difference",
    "inverse_difference_moment",
    "inverse_variance",
    "joint_average",
    "joint_entropy",
    "joint_maximum",
    "marginals",
    "maximal_correlation_coefficient",
    "normalised_inverse_difference",
    "normalised_inverse_difference_moment",
    "soft_membership",
    "sum_average",
    "sum_entropy",
    "sum_of_squares_variance",
    "sum_variance",
    "texture_features",
    "volume_offsets",
]
