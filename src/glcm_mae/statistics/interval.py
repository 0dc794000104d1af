"""An estimate between its limits, and intervals of proportions."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint


class Interval(NamedTuple):
    """An estimate and the limits of its confidence interval.

    A limit that has no meaning is NaN.
    """

    estimate: float
    low: float
    high: float


def check_confidence(confidence: float) -> None:
    """Refuse a confidence that is no share between 0 and 1.

    Raises:
        ValueError: If it is not.
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie between 0 and 1, such as 0.95, got {confidence}")


def proportion_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Return a proportion with Wilson's interval [1]_.

    Right for independent images. Where a patient has several, use
    :func:`clustered_proportion_interval`.

    Args:
        successes: How often it happened.
        trials: How often it could have happened.
        confidence: Share of such intervals that hold the truth.

    Returns:
        Estimate and limits in [0, 1]; all NaN without trials.

    Raises:
        ValueError: If successes are not between 0 and trials.

    Example:
        >>> proportion_interval(8, 10)
        Interval(estimate=0.8, low=0.490..., high=0.943...)

    References:
        .. [1] Wilson, 1927, doi:10.1080/01621459.1927.10502953
    """
    check_confidence(confidence)
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must lie between 0 and {trials} trials, got {successes}")
    if trials == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    low, high = proportion_confint(successes, trials, alpha=1 - confidence, method="wilson")
    return _around(successes / trials, low, high)


def clustered_proportion_interval(
    hits: NDArray[np.bool_], clusters: NDArray[np.int64], *, confidence: float = 0.95
) -> Interval:
    """Return a proportion over images whose patients have several of them.

    Wilson's interval, with the number of images divided by the design effect: by how
    much the variance between clusters (ratio estimator [1]_) exceeds that of independent
    images. As that is itself an estimate, the effective number is lowered further by the
    square of the ratio of the quantiles of Student's t and of the normal distribution
    (Korn and Graubard [2]_). Where every image is right, or none, nothing tells how
    alike images of one cluster are, and only clusters are counted.

    Args:
        hits: Whether each image counts as a success.
        clusters: Number of the patient, or other cluster, of each image.
        confidence: Share of such intervals that hold the truth.

    Returns:
        Share of the images that are hits, and limits in [0, 1]; NaN without images.

    Raises:
        ValueError: If the lengths differ.

    Example:
        >>> hits = np.array([True, True, False, False, True, True])
        >>> alone = clustered_proportion_interval(hits, np.arange(6))
        >>> together = clustered_proportion_interval(hits, np.array([0, 0, 1, 1, 2, 2]))
        >>> together.high - together.low > alone.high - alone.low
        True

    References:
        .. [1] Rao and Scott, 1992, doi:10.2307/2532311
        .. [2] Korn and Graubard, 1998, Survey Methodology 24(2), 193-201
    """
    check_confidence(confidence)
    if hits.shape != clusters.shape:
        raise ValueError(f"hits and clusters must be alike, got {hits.shape}, {clusters.shape}")
    if len(hits) == 0:
        return Interval(float("nan"), float("nan"), float("nan"))
    share = float(hits.mean())
    trials = _effective_number(hits, clusters, confidence)
    low, high = proportion_confint(
        share * trials, trials, alpha=1 - confidence, method="wilson"
    )
    return _around(share, low, high)


def _effective_number(
    hits: NDArray[np.bool_], clusters: NDArray[np.int64], confidence: float
) -> float:
    """Return how many independent images would tell as much."""
    _, number = np.unique(clusters, return_inverse=True)
    sizes = np.bincount(number).astype(float)
    images, count, share = len(hits), len(sizes), float(hits.mean())
    if count == images:
        return float(images)
    if share in (0.0, 1.0) or count < 2:
        return float(count)
    residuals = np.bincount(number, weights=hits) - share * sizes
    variance = count / (count - 1) * (residuals**2).sum() / images**2
    design_effect = max(1.0, variance / (share * (1 - share) / images))
    tail = 0.5 + confidence / 2
    ratio = stats.norm.ppf(tail) / stats.t.ppf(tail, count - 1)
    return float(images / design_effect * ratio**2)


def _around(estimate: float, low: float, high: float) -> Interval:
    """Hold the limits in [0, 1] and around the estimate, which rounding may miss."""
    return Interval(
        estimate, float(min(max(low, 0.0), estimate)), float(max(min(high, 1.0), estimate))
    )
