"""Bootstrap and jackknife of whole clusters, as weights of the images."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glcm_mae.statistics.interval import Interval, check_confidence

_ENTRIES = 2**22
"""Weights held at once when resamples are made block by block (32 MiB)."""
_PURPOSE = 1
"""Sets the numbers of the bootstrap apart from those of other purposes of the same seed."""


def resample_weights(
    clusters: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> NDArray[np.float64]:
    """Return how often each image counts when whole clusters are drawn with replacement.

    Clusters are drawn within strata, as many as there are, so that no resample lacks a
    class [1]_. A cluster belongs to the stratum of most of its images (of several, to
    the lowest). A statistic that takes weights is then computed for all resamples at once.

    Args:
        clusters: Number of the patient, or other cluster, of each image.
        strata: What is drawn apart, such as the class of each image.
        resamples: How many to draw.
        seed: The same seed gives the same weights.

    Returns:
        Whole numbers, one row a resample and one column an image.

    Raises:
        ValueError: If lengths differ or there is nothing to draw.

    Example:
        >>> clusters, classes = np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1])
        >>> weights = resample_weights(clusters, classes, resamples=50, seed=0)
        >>> weights.shape, bool((weights[:, 0] == weights[:, 1]).all())
        ((50, 4), True)
        >>> sorted(set((weights[:, 1] + weights[:, 2]).tolist()))  # one stratum, two clusters
        [2.0]

    References:
        .. [1] Davison and Hinkley, Bootstrap Methods and their Application, 1997, ch. 3
    """
    blocks = resample_blocks(clusters, strata, resamples=resamples, seed=seed)
    return np.concatenate(list(blocks))


def resample_blocks(
    clusters: NDArray[np.int64],
    strata: NDArray[np.int64],
    *,
    resamples: int,
    seed: int,
) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of :func:`resample_weights` block by block, in bounded memory.

    Raises:
        ValueError: If lengths differ or there is nothing to draw.
    """
    if clusters.shape != strata.shape or len(clusters) == 0 or resamples < 1:
        raise ValueError(
            f"clusters and strata must be alike and not empty, and resamples at least 1, got "
            f"{clusters.shape}, {strata.shape} and {resamples}"
        )
    names, number = np.unique(clusters, return_inverse=True)
    stratum = _strata_of_clusters(number, strata, len(names))
    members = [np.flatnonzero(stratum == value) for value in np.unique(stratum)]
    # A generator a stratum: so the numbers do not depend on the size of a block.
    generators = [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _PURPOSE, place])))
        for place in range(len(members))
    ]
    step = max(1, _ENTRIES // len(clusters))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        counts = np.empty((rows, len(names)))
        for own, generator in zip(members, generators, strict=True):
            counts[:, own] = _draw(generator, rows, len(own))
        yield counts[:, number]


def _draw(generator: np.random.Generator, rows: int, count: int) -> NDArray[np.int64]:
    """Return how often each of some clusters is drawn, one row a resample."""
    # Counting indices is several times faster than multinomial numbers.
    drawn = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count)


def _strata_of_clusters(
    number: NDArray[np.int64], strata: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    values, place = np.unique(strata, return_inverse=True)
    table = np.zeros((count, len(values)), dtype=np.int64)
    np.add.at(table, (number, place), 1)
    return np.asarray(table.argmax(axis=1))


def leave_out_weights(clusters: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return weights that leave out one cluster at a time, for the jackknife.

    Args:
        clusters: Number of the patient, or other cluster, of each image.

    Returns:
        One row a cluster, in the order of their numbers, and one column an image:
        0 for the images of the one that is left out, else 1.

    Example:
        >>> leave_out_weights(np.array([7, 7, 9]))
        array([[0., 0., 1.],
               [1., 1., 0.]])
    """
    return np.concatenate(list(leave_out_blocks(clusters)))


def leave_out_blocks(clusters: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of :func:`leave_out_weights` block by block, in bounded memory."""
    names, number = np.unique(clusters, return_inverse=True)
    step = max(1, _ENTRIES // len(clusters))
    for start in range(0, len(names), step):
        rows = np.arange(start, min(start + step, len(names)))
        yield (number != rows[:, None]).astype(float)


def bca_interval(
    estimate: float,
    replicates: NDArray[np.float64],
    jackknife: NDArray[np.float64],
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the bias-corrected and accelerated bootstrap interval of a score [1]_.

    For a score that has an edge to lean on, such as 1; for differences of two,
    :func:`percentile_interval`.

    With few clusters the bootstrap is too narrow, for it draws from a sample whose
    spread is that of the population times the root of (C - 1) / C, and takes that spread
    for known. As in Hesterberg's expanded interval [2]_, the quantile of Student's
    t with C - 1 degrees of freedom, times the root of C / (C - 1), stands for that of the
    normal distribution.

    Args:
        estimate: The statistic of all images.
        replicates: The statistic of each resample; NaN where it has no meaning.
        jackknife: The statistic without each of the C clusters; NaN likewise.
        confidence: Share of such intervals that hold the truth.

    Returns:
        Estimate and limits. Percentiles where the correction is not defined (no
        replicate on one side of the estimate, fewer than two clusters); NaN limits
        where fewer than half of the replicates have a meaning.

    Example:
        >>> values = np.arange(10.0)
        >>> weights = resample_weights(np.arange(10), np.zeros(10), resamples=2000, seed=0)
        >>> without = leave_out_weights(np.arange(10))
        >>> bca_interval(4.5, weights @ values / 10, without @ values / 9)
        Interval(estimate=4.5, low=2.3..., high=6.8)

    References:
        .. [1] Efron, 1987, doi:10.1080/01621459.1987.10478410
        .. [2] Hesterberg, 2015, doi:10.1080/00031305.2015.1089789
    """
    check_confidence(confidence)
    known = replicates[np.isfinite(replicates)]
    if not np.isfinite(estimate) or 2 * len(known) < max(len(replicates), 1):
        return Interval(float(estimate), float("nan"), float("nan"))
    left_out = jackknife[np.isfinite(jackknife)]
    quantile = _expanded_quantile(confidence, len(left_out))
    # Replicates equal to the estimate are shared out to both sides: scores have ties.
    below = ((known < estimate).sum() + 0.5 * (known == estimate).sum()) / len(known)
    bias = acceleration = 0.0
    if 0.0 < below < 1.0 and len(left_out) > 1:
        bias, acceleration = float(stats.norm.ppf(below)), _acceleration(left_out)
    levels = []
    for side in (-quantile, quantile):
        moved = bias + side
        stretch = 1.0 - acceleration * moved
        # Past the pole the correction has no meaning; the extreme replicate remains.
        levels.append(
            stats.norm.cdf(bias + moved / stretch) if stretch > 0 else float(side > 0)
        )
    low, high = np.quantile(known, levels)
    return Interval(float(estimate), min(float(low), estimate), max(float(high), estimate))


def percentile_interval(
    estimate: float,
    replicates: NDArray[np.float64],
    clusters: int,
    *,
    confidence: float = 0.95,
) -> Interval:
    """Return the percentile bootstrap interval, expanded for few clusters.

    For differences of two scores on the same images: there is no edge that they lean on,
    and the corrections of :func:`bca_interval` add more noise than they take away (in
    simulation with 30 patients 91 to 92 % of its intervals held the truth, of these 93 to
    94 %).

    Args:
        estimate: The statistic of all images.
        replicates: The statistic of each resample; NaN where it has no meaning.
        clusters: Number of clusters that were drawn from.
        confidence: Share of such intervals that hold the truth.

    Returns:
        Estimate and limits; NaN limits where fewer than half of the replicates have a meaning.

    Example:
        >>> values = np.arange(10.0)
        >>> weights = resample_weights(np.arange(10), np.zeros(10), resamples=2000, seed=0)
        >>> percentile_interval(4.5, weights @ values / 10, 10)
        Interval(estimate=4.5, low=2.3, high=6.8)
    """
    check_confidence(confidence)
    known = replicates[np.isfinite(replicates)]
    if not np.isfinite(estimate) or 2 * len(known) < max(len(replicates), 1):
        return Interval(float(estimate), float("nan"), float("nan"))
    tail = float(stats.norm.sf(_expanded_quantile(confidence, clusters)))
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(estimate), min(float(low), estimate), max(float(high), estimate))


def _expanded_quantile(confidence: float, clusters: int) -> float:
    tail = 0.5 + confidence / 2
    if clusters < 2:
        return float(stats.norm.ppf(tail))
    return float(stats.t.ppf(tail, clusters - 1) * np.sqrt(clusters / (clusters - 1)))


def _acceleration(jackknife: NDArray[np.float64]) -> float:
    spread = jackknife.mean() - jackknife
    total = (spread**2).sum()
    return float((spread**3).sum() / (6 * total**1.5)) if total > 0 else 0.0
