"""Tests of the difference of two areas under the ROC curve."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glcm_mae.statistics.interval import check_confidence
from glcm_mae.statistics.paired import PairedTest
from glcm_mae.statistics.roc import areas_under_curves, structural_components

Trial = tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]
"""Rows of the images of one fold, and their scores by the first and the second classifier."""


def delong_test(
    truth: NDArray[np.bool_],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
) -> PairedTest:
    """Test whether two classifiers have the same area under the ROC curve.

    Right for two trained classifiers and the same images. It says nothing of what
    another training, by another seed or of other images, would have given: for that
    there are folds and :func:`corrected_resampled_t`.

    Args:
        truth: Whether each image is positive.
        a: Score of each image by the first classifier.
        b: Score of each image by the second.
        clusters: Number of the patient of each image; none: every image its own.
        confidence: Confidence of the interval of the difference.

    Returns:
        Area of ``a`` minus that of ``b``, z and its two-sided p-value. Equal scores give
        p = 1; a difference that nothing varies around has no p-value (NaN).

    Raises:
        ValueError: If lengths differ.

    Example:
        >>> truth = np.array([False, False, False, True, True, True])
        >>> a = np.array([0.1, 0.3, 0.2, 0.6, 0.25, 0.9])
        >>> b = np.array([0.4, 0.2, 0.5, 0.3, 0.1, 0.6])
        >>> found = delong_test(truth, a, b)
        >>> round(found.difference, 3), round(found.p_value, 3)
        (0.444, 0.1...)
    """
    areas = areas_under_curves(truth, np.stack([a, b]), clusters)
    contrast = np.array([1.0, -1.0])
    return contrast_test(
        float(contrast @ areas.estimates),
        float(contrast @ areas.covariance @ contrast),
        confidence=confidence,
    )


def contrast_test(
    difference: float, variance: float, *, confidence: float = 0.95
) -> PairedTest:
    """Test a difference of areas, such as a mean over folds, by its variance (z test).

    Args:
        difference: What was found.
        variance: Its variance; 0 or NaN where there is none.
        confidence: Confidence of the interval.

    Example:
        >>> contrast_test(0.1, 0.0025).statistic
        2.0
    """
    check_confidence(confidence)
    # Rounding leaves the variance of equal scores at some 1e-18, of either sign.
    if variance <= 1e-15:
        if difference == 0.0:
            return PairedTest(0.0, 0.0, 0.0, 0.0, 1.0)
        variance = float("nan")
    error = float(np.sqrt(variance))
    half = float(stats.norm.ppf(0.5 + confidence / 2)) * error
    statistic = difference / error
    p_value = float(2 * stats.norm.sf(abs(statistic)))
    return PairedTest(difference, difference - half, difference + half, statistic, p_value)


def delong_over_folds(
    truth: NDArray[np.bool_],
    trials: Sequence[Trial],
    clusters: NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
) -> PairedTest:
    """Test the mean difference of areas over folds, repeats or seeds of the same images.

    Scores of different folds come from different models and are not compared with each
    other, as they would be if folds were pooled. What each image, or cluster, adds to the
    mean is summed over all trials first, so images may be tested several times. With
    one trial and one image a cluster it is :func:`delong_test`.

    Args:
        truth: Whether each image is positive.
        trials: One a trained pair of models; rows count in ``truth``.
        clusters: Number of the patient of each image; none: every image its own.
        confidence: Confidence of the interval of the difference.

    Returns:
        As :func:`delong_test`. Trials in which a kind of image occurs in fewer than two
        clusters are left out; NaN where none is left.

    Example:
        >>> truth = np.array([False, False, False, True, True, True])
        >>> a = np.array([0.1, 0.3, 0.2, 0.6, 0.25, 0.9])
        >>> b = np.array([0.4, 0.2, 0.5, 0.3, 0.1, 0.6])
        >>> once = delong_over_folds(truth, [(np.arange(6), a, b)])
        >>> round(once.difference, 3), round(once.p_value, 3)
        (0.444, 0.1...)
    """
    _, number = np.unique(
        np.arange(len(truth)) if clusters is None else clusters, return_inverse=True
    )
    found = [_influence(truth[rows], a, b, number[rows]) for rows, a, b in trials]
    known = [part for part in found if part is not None]
    if not known:
        nan = float("nan")
        return PairedTest(nan, nan, nan, nan, nan)
    added = np.zeros(int(number.max()) + 1)
    for _, where, values in known:
        np.add.at(added, where, values / len(known))
    difference = float(np.mean([part[0] for part in known]))
    return contrast_test(difference, float((added**2).sum()), confidence=confidence)


def _influence(
    truth: NDArray[np.bool_],
    a: NDArray[np.float64],
    b: NDArray[np.float64],
    number: NDArray[np.int64],
) -> tuple[float, NDArray[np.int64], NDArray[np.float64]] | None:
    """Return the difference of the areas, and by how much each image moves it."""
    ill, well = len(np.unique(number[truth])), len(np.unique(number[~truth]))
    if min(ill, well) < 2:
        return None
    contrast = np.array([1.0, -1.0])
    above, below = (contrast @ part for part in structural_components(truth, np.stack([a, b])))
    difference = float(above.mean())
    values = np.empty(len(truth))
    # The roots make the squares of the sums unbiased, as in a sample variance.
    values[truth] = np.sqrt(ill / (ill - 1)) * (above - difference) / len(above)
    values[~truth] = np.sqrt(well / (well - 1)) * (below - difference) / len(below)
    return difference, number, values
