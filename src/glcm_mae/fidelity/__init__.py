"""How faithful a restored image is to its original: pixels, structure, gray levels, texture.

Science: images in, one number an image out. Images are (batch, channel, height, width) in
[0, 1]; of colour images the mean over the channels is measured, but for squared errors,
SSIM and the GLCM distance, which take the channels one by one.
"""

from glcm_mae.fidelity.gray_levels import (
    BINS,
    gray_histogram,
    histogram_divergence,
    wasserstein_distance,
)
from glcm_mae.fidelity.haralick import (
    FIGURE_FEATURES,
    haralick_errors,
    haralick_values,
    mean_haralick_error,
    mean_of_figure,
    relative_errors,
)
from glcm_mae.fidelity.pixels import mean_squared_error, psnr
from glcm_mae.fidelity.similarity import count_scales, ms_ssim, similarities, ssim
from glcm_mae.fidelity.spectrum import (
    HIGH_FREQUENCY,
    high_frequency_power,
    power_spectrum,
    radial_frequencies,
    radial_power,
)
from glcm_mae.fidelity.texture import glcm_distances

__all__ = [
    "BINS",
    "FIGURE_FEATURES",
    "HIGH_FREQUENCY",
    "count_scales",
    "glcm_distances",
    "gray_histogram",
    "haralick_errors",
    "haralick_values",
    "high_frequency_power",
    "histogram_divergence",
    "mean_haralick_error",
    "mean_of_figure",
    "mean_squared_error",
    "ms_ssim",
    "power_spectrum",
    "psnr",
    "radial_frequencies",
    "radial_power",
    "relative_errors",
    "similarities",
    "ssim",
    "wasserstein_distance",
]
