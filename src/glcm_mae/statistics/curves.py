"""ROC and precision-recall curves on a grid, for many weightings of the images at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def roc_curves(
    truth: NDArray[np.bool_], scores: Floats, weights: Floats, false_alarms: Floats
) -> Floats:
    """Return the sensitivity at given false alarm rates, for every row of weights.

    Between two thresholds the curve is straight, so that the area under it is the AUROC;
    where it rises upright the upper end counts.

    Args:
        truth: Whether each image is positive.
        scores: Score of each image; higher means positive. Equal scores share a threshold.
        weights: One row a resample, one column an image; not negative.
        false_alarms: Rates (1 - specificity) from 0 to 1.

    Returns:
        One row a resample, one column a rate; NaN where positive or negative images weigh
        nothing.

    Example:
        >>> truth, scores = np.array([False, True, False, True]), np.array([0.1, 0.4, 0.6, 0.9])
        >>> roc_curves(truth, scores, np.ones((1, 4)), np.array([0.0, 0.5, 1.0]))
        array([[0.5, 1. , 1. ]])
    """
    found = [
        np.interp(false_alarms, wrong / wrong[-1], right / right[-1])
        if wrong[-1] > 0 and right[-1] > 0
        else np.full(len(false_alarms), np.nan)
        for right, wrong in _called(truth, scores, weights)
    ]
    return np.array(found)


def precision_curves(
    truth: NDArray[np.bool_], scores: Floats, weights: Floats, recalls: Floats
) -> Floats:
    """Return the precision at given recalls (sensitivities), for every row of weights.

    It is that of the highest threshold that reaches the recall: precision is not
    interpolated [1]_, so that the mean over recalls is the average precision.

    Args:
        truth: Whether each image is positive.
        scores: Score of each image; higher means positive.
        weights: One row a resample, one column an image; not negative.
        recalls: Recalls in (0, 1].

    Returns:
        One row a resample, one column a recall; NaN where positive images weigh nothing.

    Example:
        >>> truth, scores = np.array([False, True, False, True]), np.array([0.1, 0.4, 0.6, 0.9])
        >>> precision_curves(truth, scores, np.ones((1, 4)), np.array([0.5, 1.0])).round(3)
        array([[1.   , 0.667]])

    References:
        .. [1] Davis and Goadrich, 2006, doi:10.1145/1143844.1143874
    """
    found = []
    for right, wrong in _called(truth, scores, weights):
        if right[-1] <= 0:
            found.append(np.full(len(recalls), np.nan))
            continue
        # Rounding must not lose a recall that is just reached.
        place = np.searchsorted(right / right[-1], recalls - 1e-12)
        found.append(right[place] / (right[place] + wrong[place]))
    return np.array(found)


def _called(
    truth: NDArray[np.bool_], scores: Floats, weights: Floats
) -> Iterator[tuple[Floats, Floats]]:
    """Yield the weight of true and false alarms from the highest threshold to the lowest."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))
    positive = truth[order]
    for row in weights[:, order]:
        right, wrong = np.cumsum(row * positive)[ends], np.cumsum(row * ~positive)[ends]
        yield np.append(0.0, right), np.append(0.0, wrong)
