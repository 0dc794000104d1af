"""The area under the ROC curve: its variance, its interval, the difference of two."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

from glcm_mae.statistics.interval import Interval, check_confidence

_ENTRIES = 2**16
"""Weights taken at once, so that they stay near the processor."""


@dataclass(frozen=True)
class Areas:
    """Areas under several ROC curves of the same images.

    Attributes:
        estimates: Area of each curve.
        covariance: Their covariance, over patients like these.
    """

    estimates: NDArray[np.float64]
    covariance: NDArray[np.float64]


def areas_under_curves(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
) -> Areas:
    """Return areas under ROC curves with DeLong's covariance [1]_, by midranks [2]_.

    With clusters (several images of a patient) the components are summed over each
    first, and a patient who has images of both kinds is accounted for [3]_. Without, or
    with one image a cluster, it is DeLong's.

    Args:
        truth: Whether each image is positive.
        scores: One row a classifier, one column an image; higher means positive.
        clusters: Number of the patient of each image; none: every image its own.

    Returns:
        NaN areas where a kind of image does not occur, and NaN covariance where a kind
        occurs in fewer than two clusters.

    Raises:
        ValueError: If lengths differ.

    Example:
        >>> truth = np.array([False, False, True, True])
        >>> areas_under_curves(truth, np.array([[0.1, 0.4, 0.35, 0.8]])).estimates
        array([0.75])

    References:
        .. [1] DeLong et al., 1988, doi:10.2307/2531595
        .. [2] Sun and Xu, 2014, doi:10.1109/LSP.2014.2337313
        .. [3] Obuchowski, 1997, doi:10.2307/2533958
    """
    if scores.ndim != 2 or scores.shape[1:] != truth.shape:
        raise ValueError(f"truth and scores must be alike, got {truth.shape}, {scores.shape}")
    if clusters is not None and clusters.shape != truth.shape:
        raise ValueError(
            f"truth and clusters must be alike, got {truth.shape}, {clusters.shape}"
        )
    curves, positives, negatives = len(scores), int(truth.sum()), int((~truth).sum())
    unknown = np.full((curves, curves), np.nan)
    if not positives or not negatives:
        return Areas(np.full(curves, np.nan), unknown)
    above, below = structural_components(truth, scores)
    areas = above.mean(axis=1)
    _, number = np.unique(
        np.arange(len(truth)) if clusters is None else clusters, return_inverse=True
    )
    ill, well = number[truth], number[~truth]
    spread_ill = _cluster_sums(above - areas[:, None], ill, number) / positives
    spread_well = _cluster_sums(below - areas[:, None], well, number) / negatives
    many_ill, many_well = len(np.unique(ill)), len(np.unique(well))
    if min(many_ill, many_well) < 2:
        return Areas(areas, unknown)
    both = spread_ill @ spread_well.T
    covariance = (
        many_ill / (many_ill - 1) * spread_ill @ spread_ill.T
        + many_well / (many_well - 1) * spread_well @ spread_well.T
        + spread_ill.shape[1] / (spread_ill.shape[1] - 1) * (both + both.T)
    )
    return Areas(areas, covariance)


def structural_components(
    truth: NDArray[np.bool_], scores: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how much of the other kind each image is on the right side of.

    Args:
        truth: Whether each image is positive; both kinds must occur.
        scores: One row a classifier, one column an image; higher means positive.

    Returns:
        Of each positive image the share of negative ones below it, and of each negative
        image the share of positive ones above it; equal scores count half. The mean of
        either, by row, is the area under the curve.

    Example:
        >>> truth = np.array([False, False, True, True])
        >>> structural_components(truth, np.array([[0.1, 0.4, 0.35, 0.8]]))
        (array([[0.5, 1. ]]), array([[1. , 0.5]]))
    """
    positives, negatives = truth.sum(), (~truth).sum()
    ranks = stats.rankdata(scores, axis=1)
    above = (ranks[:, truth] - stats.rankdata(scores[:, truth], axis=1)) / negatives
    below = 1 - (ranks[:, ~truth] - stats.rankdata(scores[:, ~truth], axis=1)) / positives
    return above, below


def _cluster_sums(
    values: NDArray[np.float64], own: NDArray[np.int64], number: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Sum values [curves, images] over clusters: [curves, all clusters]."""
    count = int(number.max()) + 1
    return np.stack([np.bincount(own, weights=row, minlength=count) for row in values])


def auroc_interval(
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    clusters: NDArray[np.int64] | None = None,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the area under the ROC curve with its interval.

    The variance is DeLong's, or with clusters Obuchowski's (see
    :func:`areas_under_curves`); the interval is symmetric on the logit scale, so that it
    stays in [0, 1] and leans towards 0.5. Where clusters have several images, the
    quantile is that of Student's t with one degree of freedom fewer than the rarer kind
    has clusters. Where the kinds are parted without a fault, DeLong's variance is zero
    though the area of other images need not be 1; there the limit is Newcombe's.

    Args:
        truth: Whether each image is positive.
        scores: Score of each image; higher means positive.
        clusters: Number of the patient of each image; none: every image its own.
        confidence: Share of such intervals that hold the truth.

    Returns:
        Estimate and limits; NaN where the area has no meaning.

    Raises:
        ValueError: If lengths differ.

    Example:
        >>> truth = np.arange(20) >= 10
        >>> scores = np.arange(20.0)
        >>> scores[[5, 12]] = scores[[12, 5]]
        >>> auroc_interval(truth, scores)
        Interval(estimate=0.93, low=0.69..., high=0.98...)
    """
    check_confidence(confidence)
    areas = areas_under_curves(truth, scores[None], clusters)
    estimate, variance = float(areas.estimates[0]), float(areas.covariance[0, 0])
    if not np.isfinite(variance):
        return Interval(estimate, float("nan"), float("nan"))
    ill, well = (
        len(truth[kind]) if clusters is None else len(np.unique(clusters[kind]))
        for kind in (truth, ~truth)
    )
    quantile = _quantile(0.5 + confidence / 2, ill, well, len(truth))
    if not 0.0 < estimate < 1.0:
        limit = _limit_beside_one(ill, well, quantile)
        return Interval(1.0, limit, 1.0) if estimate > 0.5 else Interval(0.0, 0.0, 1.0 - limit)
    middle = np.log(estimate / (1 - estimate))
    half = quantile * np.sqrt(variance) / (estimate * (1 - estimate))
    low, high = (float(special.expit(middle + side * half)) for side in (-1, 1))
    return Interval(estimate, low, high)


def _quantile(level: float, ill: int, well: int, images: int) -> float:
    """Return the normal quantile, or Student's where the spread of clusters is estimated."""
    if ill + well == images:
        return float(stats.norm.ppf(level))
    return float(stats.t.ppf(level, min(ill, well) - 1))


def _limit_beside_one(ill: int, well: int, quantile: float) -> float:
    """Return the lowest area that one of 1 does not contradict, by Newcombe's variance [1]_.

    The variance that Hanley and McNeil gave for exponential scores falls to zero only
    where the area itself is 1, as that of a proportion does in Wilson's interval.

    References:
        .. [1] Newcombe, 2006, doi:10.1002/sim.2324 (method 5)
    """
    middle = (ill + well) / 2 - 1

    def excess(area: float) -> float:
        shape = 1 + middle * ((1 - area) / (2 - area) + area / (1 + area))
        return (1 - area) - quantile**2 * area * shape / (ill * well)

    return float(optimize.brentq(excess, 0.0, 1.0))


def weighted_auroc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the area under the ROC curve for every row of weights.

    Args:
        truth: Whether each image is positive.
        scores: Score of each image; higher means positive. Equal scores count half.
        weights: One row a resample, one column an image; not negative.

    Returns:
        One area a row; NaN where positive or negative images weigh nothing.

    Example:
        >>> truth, scores = np.array([False, True, True]), np.array([0.5, 0.4, 0.9])
        >>> weighted_auroc(truth, scores, np.array([[1.0, 1, 1], [1, 3, 1], [0, 1, 1]]))
        array([0.5 , 0.25,  nan])
    """
    positive, negative = np.flatnonzero(truth), np.flatnonzero(~truth)
    negative = negative[np.argsort(scores[negative], kind="stable")]
    # Every positive image beats the negative ones before `low`, and draws with those to `high`.
    low, high = (
        np.searchsorted(scores[negative], scores[positive], side=side)
        for side in ("left", "right")
    )
    areas = np.empty(len(weights))
    step = max(1, _ENTRIES // max(1, len(scores)))
    for start in range(0, len(weights), step):
        rows = weights[start : start + step]
        won = np.zeros((len(rows), len(negative) + 1))
        np.cumsum(rows[:, negative], axis=1, out=won[:, 1:])
        own = rows[:, positive]
        beaten = 0.5 * (won[:, low] + won[:, high])
        pairs = own.sum(axis=1) * won[:, -1]
        total = np.einsum("rp,rp->r", own, beaten)
        areas[start : start + step] = np.divide(
            total, pairs, out=np.full(len(rows), np.nan), where=pairs > 0
        )
    return areas
