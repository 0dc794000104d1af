"""The threshold above which an image is called positive, chosen on the inner part."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

Rule = Literal["youden"] | float
"""``youden``, or the least sensitivity that is asked for."""


def choose_threshold(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], rule: Rule
) -> float | None:
    """Return the threshold by Youden's index [1]_, or for a given sensitivity.

    ``youden`` is the greatest sensitivity + specificity - 1. A number is a sensitivity:
    of the thresholds that reach it, the one of the greatest specificity. A threshold
    stands halfway between two neighbouring scores. Of equally good ones the most
    sensitive is taken: to miss is mostly worse than to call once too often.

    Args:
        truth: Whether each image is positive.
        scores: Probability of the positive class.
        rule: ``youden``, or a sensitivity in (0, 1].

    Returns:
        An image is positive if its score is at least this; None if a class is missing.

    Example:
        >>> truth = np.array([False, False, True, True])
        >>> choose_threshold(truth, np.array([0.1, 0.4, 0.6, 0.9]), "youden")
        0.5
        >>> choose_threshold(truth, np.array([0.1, 0.7, 0.6, 0.9]), 0.5)
        0.8

    References:
        .. [1] Youden, 1950, doi:10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3
    """
    if not 0 < truth.sum() < len(truth):
        return None
    false_alarms, sensitivity, reached = roc_curve(truth, scores, drop_intermediate=False)
    # The first point calls nothing; the scores there have no threshold among them.
    false_alarms, sensitivity, reached = false_alarms[1:], sensitivity[1:], reached[1:]
    if rule == "youden":
        gain = sensitivity - false_alarms
    else:
        # Rounding must not lose a sensitivity that is just reached.
        gain = np.where(sensitivity >= rule - 1e-12, -false_alarms, -np.inf)
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    below = reached[best + 1] if best + 1 < len(reached) else 0.0
    return float((reached[best] + below) / 2)
