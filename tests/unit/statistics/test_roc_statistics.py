"""Areas under ROC curves against published figures, a second library and slow formulas."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from MLstatkit import Delong_test
from scipy import stats
from sklearn.metrics import roc_auc_score

from glcm_mae.statistics import (
    areas_under_curves,
    auroc_interval,
    contrast_test,
    delong_over_folds,
    delong_test,
    weighted_auroc,
)

GOLDEN = json.loads(
    (Path(__file__).parents[2] / "golden" / "roc_published.json").read_text(encoding="utf-8")
)


def plain_interval(truth: np.ndarray, scores: np.ndarray) -> tuple[float, float, float, float]:
    areas = areas_under_curves(truth, scores[None])
    area, error = areas.estimates[0], np.sqrt(areas.covariance[0, 0])
    half = stats.norm.ppf(0.975) * error
    return area, error, area - half, area + half


def ratings(first: list[int], second: list[int]) -> tuple[np.ndarray, np.ndarray]:
    truth = np.repeat([False, True], [sum(first), sum(second)])
    grades = np.arange(1.0, 6.0)
    return truth, np.concatenate([np.repeat(grades, first), np.repeat(grades, second)])


def ovarian_cancer() -> tuple[np.ndarray, dict[str, np.ndarray]]:
    table = np.array(GOLDEN["delong_1988"]["patients"])
    scores = {"albumin": -table[:, 0], "total protein": -table[:, 1], "K-G score": table[:, 2]}
    return table[:, 3] == 0, scores


@pytest.mark.parametrize("name", ["albumin", "K-G score", "total protein"])
def test_areas_of_delong_1988_as_sas_prints_them(name: str) -> None:
    truth, scores = ovarian_cancer()
    found = np.round(plain_interval(truth, scores[name]), 4)
    np.testing.assert_array_equal(found, GOLDEN["delong_1988"]["areas"][name])


@pytest.mark.parametrize("name", ["albumin", "total protein"])
def test_differences_of_delong_1988_as_sas_prints_them(name: str) -> None:
    truth, scores = ovarian_cancer()
    found = delong_test(truth, scores[name], scores["K-G score"])
    told = [found.difference, found.low, found.high, found.statistic**2, found.p_value]
    np.testing.assert_array_equal(np.round(told, 4), GOLDEN["delong_1988"]["differences"][name])


def test_interval_of_wfns_as_proc_computes_it() -> None:
    golden = GOLDEN["proc_wfns"]
    area, _, low, high = plain_interval(*ratings(golden["good"], golden["poor"]))
    np.testing.assert_allclose([low, area, high], golden["interval"], rtol=1e-13)


def test_interval_of_hanley_and_mcneil_as_stata_prints_it() -> None:
    golden = GOLDEN["hanley_1982"]
    area, error, low, high = plain_interval(*ratings(golden["normal"], golden["abnormal"]))
    assert [round(area, 4), round(error, 4)] == golden["area"][:2]
    assert [round(low, 5), round(high, 5)] == golden["area"][2:]


def drawn(seed: int, count: int = 80, ties: bool = False) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    truth = np.arange(count) % 3 == 0
    a, b = rng.normal(size=(2, count)) + truth
    return (truth, a.round(0), b.round(0)) if ties else (truth, a, b)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_delong_agrees_with_mlstatkit(seed: int, ties: bool) -> None:
    truth, a, b = drawn(seed, ties=ties)
    z, p, _, _, area_a, area_b, facts = Delong_test(truth.astype(int), a, b)
    assert facts["method"] == "delong"
    found = delong_test(truth, a, b)
    assert found.p_value == pytest.approx(p, rel=1e-10)
    assert found.statistic == pytest.approx(-z, rel=1e-10)
    assert found.difference == pytest.approx(area_a - area_b, rel=1e-10)


def obuchowski(truth: np.ndarray, scores: np.ndarray, clusters: np.ndarray) -> float:
    """Variance by the sums of Obuchowski 1997, pair by pair."""
    ill, well = np.flatnonzero(truth), np.flatnonzero(~truth)
    wins = np.array([[(scores[i] > scores[j]) + (scores[i] == scores[j]) / 2 for j in well]
                     for i in ill])  # fmt: skip
    area, names = wins.mean(), np.unique(clusters)
    x = [(wins.mean(axis=1) - area)[clusters[ill] == name].sum() for name in names]
    y = [(wins.mean(axis=0) - area)[clusters[well] == name].sum() for name in names]
    has_ill, has_well, both = len(set(clusters[ill])), len(set(clusters[well])), len(names)
    s10 = has_ill / ((has_ill - 1) * len(ill)) * np.dot(x, x)
    s01 = has_well / ((has_well - 1) * len(well)) * np.dot(y, y)
    s11 = both / (both - 1) * np.dot(x, y)
    return float(s10 / len(ill) + s01 / len(well) + 2 * s11 / (len(ill) * len(well)))


@pytest.mark.parametrize("seed", range(3))
def test_clusters_follow_obuchowski(seed: int) -> None:
    truth, a, _ = drawn(seed, ties=True)
    clusters = np.random.default_rng(seed).integers(0, 25, len(truth))  # of both kinds
    found = areas_under_curves(truth, a[None], clusters).covariance[0, 0]
    assert found == pytest.approx(obuchowski(truth, a, clusters), rel=1e-12)


def test_copies_of_every_image_tell_nothing_new() -> None:
    truth, a, _ = drawn(0)
    once = areas_under_curves(truth, a[None])
    patient = np.arange(len(truth))
    four = areas_under_curves(np.tile(truth, 4), np.tile(a, 4)[None], np.tile(patient, 4))
    np.testing.assert_allclose(once.covariance, four.covariance)
    naive = areas_under_curves(np.tile(truth, 4), np.tile(a, 4)[None])
    assert naive.covariance[0, 0] < once.covariance[0, 0] / 3


def test_one_fold_is_delongs_test() -> None:
    truth, a, b = drawn(1)
    one = delong_over_folds(truth, [(np.arange(len(truth)), a, b)])
    whole = delong_test(truth, a, b)
    assert one.p_value == pytest.approx(whole.p_value)
    assert one.low == pytest.approx(whole.low)


def test_separate_folds_add_their_variances() -> None:
    truth, a, b = drawn(2)
    halves = [np.arange(0, 40), np.arange(40, 80)]
    tests = [delong_test(truth[rows], a[rows], b[rows]) for rows in halves]
    mean = np.mean([test.difference for test in tests])
    error = np.sqrt(sum(((t.high - t.low) / 2 / stats.norm.ppf(0.975)) ** 2 for t in tests)) / 2
    found = delong_over_folds(truth, [(rows, a[rows], b[rows]) for rows in halves])
    assert found.difference == pytest.approx(mean)
    assert found.statistic == pytest.approx(mean / error)


def test_the_same_fold_twice_is_the_fold_once() -> None:
    truth, a, b = drawn(3)
    trial = (np.arange(len(truth)), a, b)
    clusters = np.arange(len(truth)) // 6
    once, twice = (delong_over_folds(truth, [trial] * times, clusters) for times in (1, 2))
    assert once.p_value == pytest.approx(twice.p_value)


def test_folds_of_one_kind_are_left_out() -> None:
    truth, a, b = drawn(4)
    mixed, well = np.arange(40), np.flatnonzero(~truth)[-10:]
    alone = delong_over_folds(truth, [(mixed, a[mixed], b[mixed])])
    both = delong_over_folds(truth, [(r, a[r], b[r]) for r in (mixed, well)])
    assert alone == both
    assert np.isnan(delong_over_folds(truth, [(well, a[well], b[well])]).p_value)


def test_a_difference_without_variance_has_no_p_value() -> None:
    truth = np.arange(20) < 8
    perfect, constant = truth.astype(float), np.zeros(20)
    found = delong_test(truth, perfect, constant)
    assert found.difference == 0.5
    assert np.isnan([found.p_value, found.low]).all()
    assert delong_test(truth, constant, constant).p_value == 1.0
    assert contrast_test(0.0, float("nan")).p_value != 1.0


def test_a_perfect_area_is_not_certain() -> None:
    truth = np.arange(30) < 12
    few, many = (
        auroc_interval(np.tile(truth, n), np.tile(truth, n).astype(float)) for n in (1, 9)
    )
    assert few.estimate == few.high == 1
    assert 0.85 < few.low < many.low < 1
    below = auroc_interval(truth, -truth.astype(float))
    assert (below.low, below.high) == (0, pytest.approx(1 - few.low))


def test_newcombes_limit_is_where_his_equation_holds() -> None:
    truth = np.arange(30) < 12
    low = auroc_interval(truth, truth.astype(float)).low
    middle = 30 / 2 - 1
    variance = low * (1 - low) / (12 * 18) * (
        1 + middle * (1 - low) / (2 - low) + middle * low / (1 + low)
    )  # fmt: skip
    assert 1 - low == pytest.approx(stats.norm.ppf(0.975) * np.sqrt(variance))


def test_areas_without_meaning_are_nan() -> None:
    scores = np.arange(5.0)
    assert np.isnan(auroc_interval(np.ones(5, dtype=bool), scores)).all()
    one = auroc_interval(np.arange(5) == 4, scores)
    assert one.estimate == 1
    assert np.isnan([one.low, one.high]).all()


@pytest.mark.parametrize("ties", [False, True])
def test_weighted_areas_agree_with_scikit_learn(ties: bool) -> None:
    truth, a, _ = drawn(5, ties=ties)
    weights = np.random.default_rng(5).integers(0, 4, (2000, len(truth))).astype(float)
    found = weighted_auroc(truth, a, weights)
    for row in (0, 700, 1999):
        expected = roc_auc_score(truth, a, sample_weight=weights[row])
        assert found[row] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: areas_under_curves(np.ones(3, dtype=bool), np.ones((1, 4))), "must be alike"),
        (
            lambda: areas_under_curves(np.ones(3, dtype=bool), np.ones((1, 3)), np.ones(4)),
            "truth and clusters",
        ),
        (lambda: auroc_interval(np.arange(4) > 1, np.ones(4), confidence=95), "confidence"),
    ],
)
def test_bad_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
