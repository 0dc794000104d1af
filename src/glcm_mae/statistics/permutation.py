"""A test of any difference of scores: predictions change hands."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from glcm_mae.statistics.paired import PairedTest

_ENTRIES = 2**20
"""Swaps held at once."""
_PURPOSE = 2
"""Sets the numbers of permutations apart from those of other purposes of the same seed."""


def permutation_test(
    statistic: Callable[[NDArray[np.bool_]], NDArray[np.float64]],
    clusters: NDArray[np.int64],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> PairedTest:
    """Test any difference of scores by swapping the two classifiers' predictions.

    If the two are alike, it does not matter whose prediction of a patient is whose. All
    images of a cluster are swapped together, all ways where there are at most
    ``permutations`` of them (the p-value is then exact), else as many drawn at random, of
    which the observed one counts as one [1]_. Right for two trained classifiers and any
    score; like DeLong's test it says nothing of another training.

    Args:
        statistic: Given which images are swapped (one row a permutation, one column an
            image), the difference of each row; NaN where it has no meaning.
        clusters: Number of the patient of each image.
        permutations: How many to draw.
        seed: The same seed gives the same p-value.

    Returns:
        The difference without a swap, no interval, the difference again as statistic, and
        the share of permutations whose difference is at least as far from zero.

    Raises:
        ValueError: If there are no images or no permutations.

    Example:
        >>> right = np.array([1.0, 1, 1, 1, 1, 1]) - np.array([0.0, 0, 1, 0, 0, 0])
        >>> def accuracy(swap):
        ...     return np.where(swap, -right, right).mean(axis=1)
        >>> permutation_test(accuracy, np.arange(6)).p_value  # 4 of 64 ways
        0.0625

    References:
        .. [1] Phipson and Smyth, 2010, doi:10.2202/1544-6115.1585
    """
    found = permutation_tests(
        lambda swap: {"": statistic(swap)}, clusters, permutations=permutations, seed=seed
    )
    return found[""]


def permutation_tests(
    statistics: Callable[[NDArray[np.bool_]], Mapping[str, NDArray[np.float64]]],
    clusters: NDArray[np.int64],
    *,
    permutations: int = 10_000,
    seed: int = 0,
) -> dict[str, PairedTest]:
    """Do :func:`permutation_test` for several scores by the same permutations.

    Args:
        statistics: Given which images are swapped, the differences by the score's name.
        clusters: Number of the patient of each image.
        permutations: How many to draw.
        seed: The same seed gives the same p-values.

    Raises:
        ValueError: If there are no images or no permutations.
    """
    if not len(clusters) or permutations < 1:
        raise ValueError("there must be images and at least one permutation")
    names, number = np.unique(clusters, return_inverse=True)
    unswapped = statistics(np.zeros((1, len(clusters)), dtype=bool))
    observed = {name: float(values[0]) for name, values in unswapped.items()}
    exact = len(names) < 30 and 2 ** len(names) <= permutations
    extreme = dict.fromkeys(observed, 0)
    total = 2 ** len(names) if exact else permutations
    for swap in _swaps(len(names), total, seed, exact=exact, step=_ENTRIES // len(clusters)):
        for name, values in statistics(swap[:, number]).items():
            # NaN ones count as extreme: they cannot tell that the observed one is.
            near = np.abs(values) < abs(observed[name]) - 1e-12
            extreme[name] += int((~near).sum())
    return {
        name: _permutation_result(value, extreme[name], total, exact=exact)
        for name, value in observed.items()
    }


def _swaps(
    count: int, total: int, seed: int, *, exact: bool, step: int
) -> Iterator[NDArray[np.bool_]]:
    """Yield which clusters are swapped, block by block: all ways, or drawn ones."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, _PURPOSE])))
    for start in range(0, total, max(1, step)):
        rows = np.arange(start, min(start + max(1, step), total))
        if exact:
            yield (rows[:, None] >> np.arange(count)) & 1 == 1
        else:
            yield rng.random((len(rows), count)) < 0.5


def _permutation_result(
    observed: float, extreme: int, total: int, *, exact: bool
) -> PairedTest:
    nan = float("nan")
    p_value = extreme / total if exact else (extreme + 1) / (total + 1)
    if np.isnan(observed):
        p_value = nan
    return PairedTest(observed, nan, nan, observed, p_value)
