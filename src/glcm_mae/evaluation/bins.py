"""Bins of equal numbers of images: how often what was said with a probability came true."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

MOST_BINS = 15
"""Bins at most, as in Guo et al., 2017 (arXiv:1706.04599)."""

IMAGES_A_BIN = 20
"""Images that a bin should have at least; with fewer images there are fewer bins."""


def cut(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each image: bins of equal numbers, equal values in one bin.

    Bins of equal numbers are less biased than bins of equal width [1]_.

    Example:
        >>> cut(np.linspace(0, 1, 40)).tolist() == [0] * 20 + [1] * 20
        True
        >>> set(cut(np.full(100, 0.5)).tolist())
        {0}

    References:
        .. [1] Roelofs et al., 2022, arXiv:2012.08668
    """
    count = min(MOST_BINS, max(1, len(confidence) // IMAGES_A_BIN))
    edges = np.quantile(confidence, np.arange(1, count) / count)
    _, bins = np.unique(np.searchsorted(edges, confidence, side="right"), return_inverse=True)
    return np.asarray(bins, dtype=np.int64)


def bin_members(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], came_true: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return what each image adds to the sums of its bin, for :func:`error_of_bins`.

    Args:
        bins: Bin of each image.
        confidence: Probability given to each image.
        came_true: Whether what was said of it is so.

    Returns:
        One row an image: its membership in each bin, then the same times its
        confidence, then the same times its truth.
    """
    member = np.eye(int(bins.max()) + 1)[bins]
    return np.hstack([member, member * confidence[:, None], member * came_true[:, None]])


def calibration_error(
    bins: NDArray[np.int64], confidence: NDArray[np.float64], came_true: NDArray[np.bool_]
) -> float:
    """Return the expected calibration error: how far shares are from probabilities.

    The mean over bins, by their images, of the distance between the mean probability
    and the share that came true. Chance alone makes every such distance positive;
    what it is expected to add is taken off, so that a calibrated classifier has an
    error near 0 however few its images [1]_.

    Example:
        >>> truth = np.arange(100) % 4 == 0
        >>> error = calibration_error(np.zeros(100, dtype=int), np.full(100, 0.75), truth)
        >>> round(error, 3)
        0.5

    References:
        .. [1] Kumar et al., 2019, arXiv:1909.10155
    """
    return float(error_of_bins(bin_members(bins, confidence, came_true).sum(axis=0)))


def error_of_bins(sums: NDArray[np.float64], *, corrected: bool = True) -> NDArray[np.float64]:
    """Return the expected calibration error from sums over bins.

    Args:
        sums: Weight, confidence and truth summed over each bin, (..., three times bins).
        corrected: Take off what chance is expected to add.
    """
    mass, gap, share = _gaps(sums)
    error = np.abs(gap)
    if corrected:
        # Rounding may leave a share a hair above one.
        error = error - _excess(error, np.sqrt(np.maximum(share * (1 - share), 0) / mass))
    return np.maximum(_mean(error, mass), 0.0)


def drift_of_bins(
    sums: NDArray[np.float64], original: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far the gaps of resamples lie from those of the original images.

    A calibrated classifier would have errors like these, by chance alone.
    """
    mass, gap, _ = _gaps(sums)
    return _mean(np.abs(gap - _gaps(original)[1]), mass)


def _gaps(sums: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Return weight (NaN for none), mean confidence minus share, and share of each bin."""
    mass, confidence, came_true = np.split(sums, 3, axis=-1)
    filled = np.where(mass > 0, mass, np.nan)
    return filled, (confidence - came_true) / filled, came_true / filled


def _mean(values: NDArray[np.float64], mass: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.nansum(values * mass, axis=-1) / np.nansum(mass, axis=-1))


def _excess(distance: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return by how much the absolute value of a normal number exceeds that of its mean."""
    ratio = distance / np.where(spread > 0, spread, 1.0)
    folded = 2 * spread * norm.pdf(ratio) - 2 * distance * norm.cdf(-ratio)
    return np.where(spread > 0, folded, 0.0)
