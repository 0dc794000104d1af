"""Paired tests against scipy, statsmodels and values worked out by hand."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from glcm_mae.statistics import (
    cohens_h,
    corrected_resampled_t,
    holm,
    mcnemar_test,
    permutation_test,
    standardised_difference,
    wilcoxon_test,
)

DIFFERENCES = np.array([0.03, -0.01, 0.05, 0.02, 0.04, 0.0, 0.02, -0.02, 0.06, 0.01])


def test_without_a_test_set_it_is_students_t() -> None:
    found = corrected_resampled_t(DIFFERENCES, 1e15, 1)
    expected = stats.ttest_1samp(DIFFERENCES, 0)
    assert found.statistic == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)
    limits = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_the_correction_of_nadeau_and_bengio_by_hand() -> None:
    """Ten folds: variance (1/10 + 1/9) s² in place of s²/10."""
    found = corrected_resampled_t(DIFFERENCES, 90, 10)
    plain = stats.ttest_1samp(DIFFERENCES, 0).statistic
    assert found.statistic == pytest.approx(plain * np.sqrt(0.1 / (0.1 + 1 / 9)))
    assert found.p_value == pytest.approx(2 * stats.t.sf(found.statistic, 9))


def test_folds_without_meaning_are_left_out() -> None:
    with_nan = np.append(DIFFERENCES, np.nan)
    assert corrected_resampled_t(with_nan, 9, 1) == corrected_resampled_t(DIFFERENCES, 9, 1)
    assert wilcoxon_test(with_nan).p_value == wilcoxon_test(DIFFERENCES).p_value


def test_differences_that_do_not_vary() -> None:
    assert corrected_resampled_t(np.zeros(5), 4, 1).p_value == 1
    assert np.isnan(corrected_resampled_t(np.full(5, 0.1), 4, 1).p_value)
    assert np.isnan(corrected_resampled_t(np.array([0.1]), 4, 1).p_value)
    assert wilcoxon_test(np.zeros(5)).p_value == 1
    assert np.isnan(wilcoxon_test(np.array([])).p_value)


@pytest.mark.parametrize("seed", range(3))
def test_signed_ranks_agree_with_scipys_exact_test(seed: int) -> None:
    values = np.random.default_rng(seed).normal(0.5, size=10)
    expected = stats.wilcoxon(values, method="exact")
    found = wilcoxon_test(values)
    assert (found.statistic, found.p_value) == pytest.approx(
        (expected.statistic, expected.pvalue)
    )


def test_signed_ranks_with_ties_agree_with_scipys_enumeration() -> None:
    values = DIFFERENCES[DIFFERENCES != 0][:8]
    method = stats.PermutationMethod(n_resamples=2**10)
    expected = stats.wilcoxon(np.round(values, 12), method=method)
    assert wilcoxon_test(values).p_value == pytest.approx(expected.pvalue)


def test_many_folds_take_the_normal_distribution() -> None:
    values = np.random.default_rng(0).normal(0.3, size=60)
    assert wilcoxon_test(values).p_value == pytest.approx(stats.wilcoxon(values).pvalue)


def test_the_pseudo_median_of_hollander_and_wolfe() -> None:
    """Depression scores, Hollander and Wolfe, table 3.1: R gives pseudo-median -0.46."""
    before = np.array([1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30])
    after = np.array([0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29])
    found = wilcoxon_test(before - after)
    assert found.p_value == pytest.approx(0.0390625)
    assert round(found.difference, 3) == 0.46


def table(both: int, first: int, second: int, none: int) -> tuple[np.ndarray, np.ndarray]:
    counts = [both, first, second, none]
    return np.repeat([True, True, False, False], counts), np.repeat(
        [True, False, True, False], counts
    )


@pytest.mark.parametrize("counts", [(50, 9, 3, 8), (10, 0, 6, 1), (5, 4, 4, 5), (9, 0, 0, 2)])
def test_mcnemar_agrees_with_statsmodels(counts: tuple[int, ...]) -> None:
    a, b = table(*counts)
    expected = mcnemar([[counts[0], counts[1]], [counts[2], counts[3]]], exact=True).pvalue
    assert mcnemar_test(a, b, exact=True).p_value == pytest.approx(expected)


@pytest.mark.parametrize(("first", "second"), [(9, 3), (3, 9), (4, 4), (0, 6), (0, 0)])
def test_mid_p_counts_the_observed_table_half(first: int, second: int) -> None:
    a, b = table(20, first, second, 7)
    total = first + second
    tails = stats.binom(total, 0.5)
    less = min(first, second)
    expected = 2 * tails.cdf(less) - tails.pmf(less) if first != second else (
        1 - tails.pmf(first) / 2 if total else 1.0
    )  # fmt: skip
    assert mcnemar_test(a, b).p_value == pytest.approx(expected)


def test_mcnemar_of_fagerland() -> None:
    """Airway hyper-responsiveness before and after transplantation: 1, 1, 7, 12.

    Fagerland, Lydersen and Laake, doi:10.1186/1471-2288-13-91, table 6: exact conditional
    P = 0.070, mid-P = 0.039.
    """
    a, b = table(1, 1, 7, 12)
    assert round(mcnemar_test(a, b, exact=True).p_value, 3) == 0.070
    assert round(mcnemar_test(a, b).p_value, 3) == 0.039


def test_clusters_of_one_give_the_plain_mcnemar_statistic() -> None:
    a, b = table(20, 12, 5, 7)
    pair = np.repeat(np.arange(len(a)), 2)
    found = mcnemar_test(np.repeat(a, 2), np.repeat(b, 2), pair)
    expected = mcnemar([[20, 12], [5, 7]], exact=False, correction=False)
    assert found.statistic**2 == pytest.approx(expected.statistic)
    assert found.p_value == pytest.approx(expected.pvalue)


def test_exact_is_not_for_clusters() -> None:
    right = np.ones(4, dtype=bool)
    with pytest.raises(ValueError, match="one image a cluster"):
        mcnemar_test(right, ~right, np.zeros(4, dtype=int), exact=True)


def test_all_sign_changes_agree_with_scipys_permutation_test() -> None:
    values = np.array([3.0, 1.0, -2.0, 4.0, 2.0, 2.0, -1.0, 5.0])
    expected = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    found = permutation_test(
        lambda swap: np.where(swap, -values, values).mean(axis=1), np.arange(8)
    )
    assert found.p_value == pytest.approx(expected.pvalue)


def test_drawn_permutations_approach_all() -> None:
    values = np.random.default_rng(0).normal(0.4, size=12)

    def mean(swap: np.ndarray) -> np.ndarray:
        return np.where(swap, -values, values).mean(axis=1)

    every = permutation_test(mean, np.arange(12)).p_value
    some = permutation_test(mean, np.arange(12), permutations=4000, seed=1)
    assert some.p_value == pytest.approx(every, abs=0.02)
    again, other = (
        permutation_test(mean, np.arange(12), permutations=4000, seed=seed) for seed in (1, 2)
    )
    assert some.p_value == again.p_value
    assert some.p_value != other.p_value


def test_swaps_of_a_cluster_go_together() -> None:
    seen = []

    def remember(swap: np.ndarray) -> np.ndarray:
        seen.append(swap)
        return np.ones(len(swap))

    permutation_test(remember, np.array([4, 4, 1, 1, 1]))
    swaps = np.concatenate(seen[1:])
    assert len(swaps) == 4
    assert (swaps[:, 0] == swaps[:, 1]).all()
    assert (swaps[:, 2:] == swaps[:, 2:3]).all()


def test_what_has_no_meaning_has_no_p_value() -> None:
    found = permutation_test(lambda swap: np.full(len(swap), np.nan), np.arange(3))
    assert np.isnan(found.p_value)


@pytest.mark.parametrize("seed", range(3))
def test_holm_agrees_with_statsmodels(seed: int) -> None:
    values = np.random.default_rng(seed).uniform(size=12) ** 3
    np.testing.assert_allclose(holm(values), multipletests(values, method="holm")[1])


def test_holm_passes_over_what_was_not_tested() -> None:
    found = holm([0.01, float("nan"), 0.04])
    np.testing.assert_allclose(found, [0.02, np.nan, 0.04])


def test_effect_size_interval_inverts_the_noncentral_t() -> None:
    found = standardised_difference(DIFFERENCES)
    count = len(DIFFERENCES)
    t = found.estimate * np.sqrt(count)
    assert t == pytest.approx(stats.ttest_1samp(DIFFERENCES, 0).statistic)
    tails = [stats.nct.cdf(t, count - 1, limit * np.sqrt(count)) for limit in found[1:]]
    assert tails == pytest.approx([0.975, 0.025])


def test_effect_size_leaves_zero_out_where_the_t_test_does() -> None:
    for share in (0.0, 0.1, 0.5, 2.0):
        sure = standardised_difference(DIFFERENCES, share).low > 0
        known = corrected_resampled_t(DIFFERENCES, 1, max(share, 1e-12)).low > 0
        assert sure == known


def test_cohens_h_of_his_own_table() -> None:
    """Cohen 1988, table 6.2.2: phi of 0.5 is 1.571, of 0.25 is 1.047."""
    assert round(cohens_h(0.5, 0.25), 3) == 0.524


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: corrected_resampled_t(DIFFERENCES, 0, 1), "sizes must be positive"),
        (lambda: mcnemar_test(np.ones(2, dtype=bool), np.ones(3, dtype=bool)), "same images"),
        (lambda: permutation_test(lambda swap: swap, np.array([])), "there must be images"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_one_cluster_has_no_interval() -> None:
    a, b = np.array([True, True, False]), np.array([False, True, False])
    found = mcnemar_test(a, b, np.zeros(3, dtype=np.int64))
    assert found.difference == pytest.approx(1 / 3)
    assert np.isnan([found.low, found.high]).all()
