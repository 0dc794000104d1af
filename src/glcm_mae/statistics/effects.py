"""How large a difference is, and p-values of several comparisons."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from glcm_mae.statistics.interval import Interval, check_confidence


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return p-values adjusted for their number by Holm's method [1]_.

    The chance that any of the differences called significant is none stays below the
    level, whatever the dependence between the tests. NaN values are no comparisons: they
    stay NaN and do not count.

    Example:
        >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
        [0.03, 0.06, 0.06]

    References:
        .. [1] Holm, 1979, Scandinavian Journal of Statistics 6(2), 65-70
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted, known = np.full(len(values), np.nan), np.isfinite(values)
    # As statsmodels' multipletests, which halts for a garbage collection at every call.
    order = np.flatnonzero(known)[np.argsort(values[known])]
    raised = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(raised), 1.0)
    return adjusted


def standardised_difference(
    differences: NDArray[np.float64], test_share: float = 0.0, *, confidence: float = 0.95
) -> Interval:
    """Return Cohen's d_z: the mean difference in standard deviations of the differences.

    Args:
        differences: First minus second, one number a fold; NaN ones are left out.
        test_share: n_test / n_train of the folds, as in the corrected resampled t test;
            0 for independent differences.
        confidence: Confidence of the interval, from the noncentral t distribution [1]_.

    Returns:
        d_z and its limits; NaN where the differences do not vary.

    Example:
        >>> standardised_difference(np.array([0.02, 0.05, 0.01, 0.04, 0.03]))
        Interval(estimate=1.897..., low=0.33..., high=3.40...)

    References:
        .. [1] Cumming and Finch, 2001, doi:10.1177/0013164401614002
    """
    check_confidence(confidence)
    known = differences[np.isfinite(differences)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    nan = float("nan")
    if spread <= 1e-12:
        return Interval(0.0 if len(known) and not known.any() else nan, nan, nan)
    scale = float(np.sqrt(1 / len(known) + test_share))
    estimate = float(known.mean()) / spread
    t, freedom, tail = estimate / scale, len(known) - 1, (1 - confidence) / 2
    low, high = (_noncentrality(t, freedom, level) for level in (1 - tail, tail))
    return Interval(estimate, low * scale, high * scale)


def _noncentrality(t: float, freedom: int, level: float) -> float:
    """Return the noncentrality whose distribution has t as this quantile."""

    def miss(noncentrality: float) -> float:
        return float(stats.nct.cdf(t, freedom, noncentrality)) - level

    width = 5.0 + abs(t)
    while miss(t - width) < 0 or miss(t + width) > 0:
        width *= 2
        if width > 1e4:
            return float("nan")
    return float(optimize.brentq(miss, t - width, t + width))


def cohens_h(first: float, second: float) -> float:
    """Return the difference of two proportions on the arcsine scale (Cohen's h).

    0.2 is called small, 0.5 medium, 0.8 large [1]_.

    Example:
        >>> round(cohens_h(0.9, 0.8), 3)
        0.284

    References:
        .. [1] Cohen, Statistical Power Analysis, 2nd ed., 1988, ch. 6
    """
    return float(2 * np.arcsin(np.sqrt(first)) - 2 * np.arcsin(np.sqrt(second)))
