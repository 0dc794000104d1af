"""Tests of two classifiers on the same images or the same folds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from glcm_mae.statistics.interval import check_confidence


@dataclass(frozen=True)
class PairedTest:
    """What a paired test found.

    Attributes:
        difference: First minus second.
        low: Lower limit of the difference; NaN where the test gives none.
        high: Upper limit.
        statistic: The test's own number.
        p_value: Two-sided; NaN where the test is not defined.
    """

    difference: float
    low: float
    high: float
    statistic: float
    p_value: float


def corrected_resampled_t(
    differences: NDArray[np.float64],
    train_size: float,
    test_size: float,
    *,
    freedom: int | None = None,
    confidence: float = 0.95,
) -> PairedTest:
    """Test the mean difference over folds, allowing for training sets that overlap.

    Student's t with the variance raised from s²/J to s² (1/J + n_test/n_train) [1]_, and
    J - 1 degrees of freedom; for repeated cross-validation J is the number of all folds
    of all repeats [2]_. It asks whether the *way of training* is better, so it is the one
    to quote from cross-validation. Wrong for seeds that share the same test images (their
    differences know nothing of other patients: average them first), and too careful for
    the folds of a single cross-validation, where it calls 1 to 4 % at a level of 5 %.

    Args:
        differences: First minus second, one number a fold; NaN ones are left out.
        train_size: Images that a fold is trained on, mean over folds.
        test_size: Images that a fold is tested on.
        freedom: Degrees of freedom; none: J - 1. Repeats of few patients tell less than
            their number: with 30 patients of several images and 4 x 5 folds the test calls
            some 9 % of differences where none is, and with 4 degrees of freedom 2 %.
        confidence: Confidence of the interval.

    Returns:
        Mean difference, its interval, t and the p-value. If all differences are zero,
        p = 1; if all are equal but not zero, their spread is not known and p is NaN.

    Raises:
        ValueError: If a size is not positive.

    Example:
        >>> found = corrected_resampled_t(np.array([0.02, 0.05, 0.01, 0.04, 0.03]), 80, 20)
        >>> round(found.difference, 3), round(found.statistic, 3), round(found.p_value, 3)
        (0.03, 2.828, 0.047)

    References:
        .. [1] Nadeau and Bengio, 2003, doi:10.1023/A:1024068626366
        .. [2] Bouckaert and Frank, 2004, doi:10.1007/978-3-540-24775-3_3
    """
    check_confidence(confidence)
    if train_size <= 0 or test_size <= 0:
        raise ValueError(f"sizes must be positive, got {train_size} and {test_size}")
    if freedom is not None and freedom < 1:
        raise ValueError(f"freedom must be at least 1, got {freedom}")
    known = differences[np.isfinite(differences)]
    nan = float("nan")
    if len(known) < 2:
        return PairedTest(float(known.mean()) if len(known) else nan, nan, nan, nan, nan)
    mean, spread = float(known.mean()), float(known.std(ddof=1))
    if not known.any():
        return PairedTest(0.0, 0.0, 0.0, 0.0, 1.0)
    if spread <= 1e-12:  # equal up to rounding
        return PairedTest(mean, nan, nan, nan, nan)
    error = spread * np.sqrt(1 / len(known) + test_size / train_size)
    freedom = len(known) - 1 if freedom is None else freedom
    statistic = float(mean / error)
    half = float(stats.t.ppf(0.5 + confidence / 2, freedom) * error)
    p_value = float(2 * stats.t.sf(abs(statistic), freedom))
    return PairedTest(mean, mean - half, mean + half, statistic, p_value)


def wilcoxon_test(differences: NDArray[np.float64]) -> PairedTest:
    """Test by signed ranks whether differences over folds lie around zero [1]_.

    Robust against a single odd fold, but it takes folds for independent, which those of
    one cross-validation are not quite: stand it beside :func:`corrected_resampled_t`, not
    in its place. Five folds cannot give less than p = 0.0625.

    Args:
        differences: First minus second, one number a fold; NaN ones are left out.

    Returns:
        The pseudo-median of the differences (Hodges and Lehmann), no interval, the sum of
        ranks and the p-value: exact up to 13 folds, also with ties.

    Example:
        >>> wilcoxon_test(np.array([0.02, 0.05, 0.01, 0.04, 0.03])).p_value
        0.0625

    References:
        .. [1] Wilcoxon, 1945, doi:10.2307/3001968
    """
    known = differences[np.isfinite(differences)]
    nan = float("nan")
    if len(known) == 0:
        return PairedTest(nan, nan, nan, nan, nan)
    if not known.any():
        return PairedTest(0.0, nan, nan, 0.0, 1.0)
    rows, columns = np.triu_indices(len(known))
    middle = float(np.median((known[rows] + known[columns]) / 2))
    # Rounding would tell apart differences that are ties.
    rounded = np.round(known, 12)
    if len(known) > 13:
        found = stats.wilcoxon(rounded, zero_method="pratt")
        return PairedTest(middle, nan, nan, float(found.statistic), float(found.pvalue))
    ranks = stats.rankdata(np.abs(rounded)) * (rounded != 0)
    # All ways to give signs: scipy's own enumeration takes a second where this takes none.
    signs = (np.arange(2 ** len(ranks))[:, None] >> np.arange(len(ranks))) & 1
    sums, middle_sum = signs @ ranks, ranks.sum() / 2
    observed = float(ranks[rounded > 0].sum())
    extreme = np.abs(sums - middle_sum) >= abs(observed - middle_sum) - 1e-9
    statistic = min(observed, 2 * middle_sum - observed)
    return PairedTest(middle, nan, nan, statistic, float(extreme.mean()))


def mcnemar_test(
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    clusters: NDArray[np.int64] | None = None,
    *,
    exact: bool = False,
    confidence: float = 0.95,
) -> PairedTest:
    """Test whether two classifiers are right equally often on the same images.

    Right for two trained classifiers. The p-value is the mid-p one: the exact test holds
    its level by being too careful, the mid-p test comes nearer to it and hardly ever
    exceeds it [1]_. Where clusters have several images, signs of whole clusters are
    what is independent, and the statistic is (Σd)² / Σd² over their sums d [2]_.

    Args:
        correct_a: Whether the first was right, of each image.
        correct_b: Whether the second was.
        clusters: Number of the patient of each image; none: every image its own.
        exact: Return the exact p-value instead of mid-p; not with clusters.
        confidence: Confidence of the interval.

    Returns:
        Difference of the accuracies with the adjusted interval of Bonett and Price [3]_
        (with clusters: by the variance between clusters), the number of images on which the
        first alone was right (with clusters: z), and the p-value.

    Raises:
        ValueError: If lengths differ, or exact is asked for with several images a cluster.

    Example:
        >>> a = np.array([True] * 9 + [False] * 3)
        >>> b = np.array([True] * 3 + [False] * 6 + [True] + [False] * 2)
        >>> found = mcnemar_test(a, b)
        >>> found.difference, found.statistic, round(found.p_value, 4)
        (0.416..., 6.0, 0.0703)

    References:
        .. [1] Fagerland et al., 2013, doi:10.1186/1471-2288-13-91
        .. [2] Yang et al., 2010, doi:10.1002/bimj.201000035
        .. [3] Bonett and Price, 2012, doi:10.3102/1076998611411915
    """
    check_confidence(confidence)
    if correct_a.shape != correct_b.shape or not len(correct_a):
        raise ValueError(
            f"both must tell of the same images, got {correct_a.shape}, {correct_b.shape}"
        )
    signs = correct_a.astype(np.int64) - correct_b
    difference = float(signs.mean())
    quantile = float(stats.norm.ppf(0.5 + confidence / 2))
    if clusters is not None and len(np.unique(clusters)) < len(clusters):
        if exact:
            raise ValueError("the exact test is for one image a cluster; leave exact out")
        return _clustered_mcnemar(signs, clusters, quantile)
    images, first, second = len(signs), int((signs > 0).sum()), int((signs < 0).sum())
    p_value = float(mcnemar([[0, first], [second, 0]], exact=True).pvalue)
    if not exact and first != second:
        p_value -= float(stats.binom.pmf(first, first + second, 0.5))
    elif not exact and first:
        p_value = 1.0 - 0.5 * float(stats.binom.pmf(first, first + second, 0.5))
    up, down = (first + 1) / (images + 2), (second + 1) / (images + 2)
    half = quantile * float(np.sqrt((up + down - (up - down) ** 2) / (images + 2)))
    low = min(max(up - down - half, -1.0), difference)
    high = max(min(up - down + half, 1.0), difference)
    return PairedTest(difference, low, high, float(first), p_value)


def _clustered_mcnemar(
    signs: NDArray[np.int64], clusters: NDArray[np.int64], quantile: float
) -> PairedTest:
    _, number = np.unique(clusters, return_inverse=True)
    sums, sizes = np.bincount(number, weights=signs), np.bincount(number)
    difference, count = float(signs.mean()), len(sums)
    if not sums.any() or count < 2:
        return PairedTest(difference, float("nan"), float("nan"), 0.0, 1.0)
    statistic = float(sums.sum() / np.sqrt((sums**2).sum()))
    residuals = sums - difference * sizes
    error = np.sqrt(count / (count - 1) * (residuals**2).sum()) / len(signs)
    half = float(quantile * error)
    p_value = float(2 * stats.norm.sf(abs(statistic)))
    return PairedTest(difference, difference - half, difference + half, statistic, p_value)
