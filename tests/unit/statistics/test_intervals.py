"""Intervals of proportions and of resampled statistics."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from glcm_mae.statistics import (
    bca_interval,
    clustered_proportion_interval,
    leave_out_weights,
    proportion_interval,
    resample_blocks,
    resample_weights,
)
from glcm_mae.statistics import resampling as module


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (81, 263), (15, 148), (29, 29)])
def test_wilson_agrees_with_scipy(hits: int, trials: int) -> None:
    expected = stats.binomtest(hits, trials).proportion_ci(method="wilson")
    found = proportion_interval(hits, trials)
    np.testing.assert_allclose(found[1:], [expected.low, expected.high], atol=1e-12)


@pytest.mark.parametrize(
    ("hits", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_of_newcombe_1998(hits: int, trials: int, low: float, high: float) -> None:
    """Table I, method 3, of Newcombe, Statistics in Medicine 17, 857-872."""
    found = proportion_interval(hits, trials)
    assert (round(found.low, 4), round(found.high, 4)) == (low, high)


def test_one_image_a_cluster_is_wilsons_interval() -> None:
    hits = np.arange(40) % 3 > 0
    alone = clustered_proportion_interval(hits, np.arange(40)[::-1])
    assert alone == proportion_interval(int(hits.sum()), 40)


def test_alike_images_of_a_cluster_count_once() -> None:
    """Copies have the design effect of their number: only patients are left."""
    own = np.arange(50) % 4 > 0
    clusters = np.arange(50)
    found = clustered_proportion_interval(np.repeat(own, 3), np.repeat(clusters, 3))
    # C/(C-1) is the unbiased variance; the rest is Korn's and Graubard's factor.
    ratio = stats.norm.ppf(0.975) / stats.t.ppf(0.975, 49)
    trials = 49 * ratio**2
    low, high = proportion_confint(own.mean() * trials, trials, method="wilson")
    assert found == pytest.approx((own.mean(), low, high))


def test_opposite_images_of_a_cluster_add_nothing() -> None:
    hits = np.tile([True, False], 30)
    found = clustered_proportion_interval(hits, np.repeat(np.arange(30), 2))
    wilson = proportion_interval(30, 60)
    assert found.high - found.low >= wilson.high - wilson.low


def test_only_clusters_are_counted_where_all_are_right() -> None:
    found = clustered_proportion_interval(np.ones(60, dtype=bool), np.arange(60) // 6)
    assert found == pytest.approx(proportion_interval(10, 10))


def test_no_images_have_no_interval() -> None:
    assert np.isnan(proportion_interval(0, 0)).all()
    empty = np.empty(0, dtype=int)
    assert np.isnan(clustered_proportion_interval(empty.astype(bool), empty)).all()


def test_resamples_draw_whole_clusters_within_strata() -> None:
    clusters = np.repeat(np.arange(20), np.tile([1, 3], 10))
    strata = np.where(clusters < 8, 0, 1)
    weights = resample_weights(clusters, strata, resamples=300, seed=1)
    first = np.unique(clusters, return_index=True)[1]
    np.testing.assert_array_equal(weights, weights[:, first][:, clusters])
    drawn = weights[:, first]
    assert (drawn[:, :8].sum(axis=1) == 8).all()
    assert (drawn[:, 8:].sum(axis=1) == 12).all()
    np.testing.assert_allclose(drawn.mean(axis=0), 1, atol=0.25)
    # The count of a cluster is binomial: variance 1 - 1/C.
    assert drawn[:, 8:].var() == pytest.approx(1 - 1 / 12, rel=0.05)


def test_a_cluster_of_several_classes_goes_with_the_most() -> None:
    clusters, strata = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 0, 1])
    weights = resample_weights(clusters, strata, resamples=50, seed=0)
    assert (weights[:, 3] == 1).all()  # alone in its stratum
    assert set((weights[:, 0] + weights[:, 4]).tolist()) == {2.0}


def test_blocks_do_not_change_the_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    clusters, strata = np.arange(30) // 2, np.arange(30) // 2 % 2
    whole = resample_weights(clusters, strata, resamples=40, seed=3)
    left_out = leave_out_weights(clusters)
    monkeypatch.setattr(module, "_ENTRIES", 7 * 30)
    blocks = list(resample_blocks(clusters, strata, resamples=40, seed=3))
    assert [len(block) for block in blocks] == [7] * 5 + [5]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    np.testing.assert_array_equal(leave_out_weights(clusters), left_out)
    assert not np.array_equal(whole, resample_weights(clusters, strata, resamples=40, seed=4))


def test_leaving_out_keeps_all_else() -> None:
    weights = leave_out_weights(np.array([5, 5, 2, 9]))
    np.testing.assert_array_equal(weights, [[1, 1, 0, 1], [0, 0, 1, 1], [1, 1, 1, 0]])


def test_bca_is_scipys_but_for_the_expansion(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same replicates and jackknife, with the normal quantile in place of t's."""
    values = np.random.default_rng(0).exponential(size=40)
    whole = stats.bootstrap(
        (values,), np.mean, n_resamples=3000, rng=np.random.default_rng(1), method="BCa"
    )
    jackknife = leave_out_weights(np.arange(40)) @ values / 39
    monkeypatch.setattr(module, "_expanded_quantile", lambda level, _: stats.norm.ppf(0.975))
    found = bca_interval(values.mean(), whole.bootstrap_distribution, jackknife)
    expected = whole.confidence_interval
    np.testing.assert_allclose(found[1:], [expected.low, expected.high], rtol=1e-3)


def test_few_clusters_widen_the_bootstrap() -> None:
    replicates = np.random.default_rng(0).normal(size=20000)
    widths = []
    for clusters in (5, 30, 10**4):
        jackknife = np.random.default_rng(1).normal(size=clusters) * 1e-9
        found = bca_interval(float(np.median(replicates)), replicates, jackknife)
        widths.append(found.high - found.low)
    ratio = stats.t.ppf(0.975, 29) * np.sqrt(30 / 29) / stats.norm.ppf(0.975)
    assert widths[0] > widths[1] > widths[2]
    assert widths[1] / widths[2] == pytest.approx(ratio, rel=0.03)


def test_bca_where_the_correction_is_not_defined() -> None:
    constant = np.full(100, 0.7)
    assert bca_interval(0.7, constant, constant[:5]) == (0.7, 0.7, 0.7)
    above = np.linspace(1, 2, 100)
    assert bca_interval(0.0, above, constant[:5]).low == 0  # the estimate is held in
    nothing = bca_interval(0.5, np.full(10, np.nan), constant[:5])
    assert np.isnan([nothing.low, nothing.high]).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: proportion_interval(3, 2), "between 0 and 2 trials, got 3"),
        (lambda: proportion_interval(1, 2, confidence=1.0), "confidence must lie between"),
        (
            lambda: clustered_proportion_interval(np.ones(2, dtype=bool), np.ones(3)),
            "hits and clusters must be alike",
        ),
        (
            lambda: resample_weights(np.ones(2), np.ones(3), resamples=1, seed=0),
            "clusters and strata must be alike",
        ),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
