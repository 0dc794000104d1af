"""Calibration: by hand, against statsmodels' formulas and scikit-learn, and in the long run."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression

from glcm_mae.evaluation import (
    Cases,
    fit_temperature,
    reliability,
    score_cases,
    slope_and_intercept,
    with_temperature,
)
from glcm_mae.evaluation.bins import (
    bin_members,
    calibration_error,
    cut,
    drift_of_bins,
    error_of_bins,
)


def drawn(count: int, *, factor: float = 1.0, shift: float = 0.0, seed: int = 0) -> Cases:
    """Two classes whose probabilities have factor times the logit that they should have."""
    rng = np.random.default_rng(seed)
    true = rng.normal(0.0, 1.5, count)
    labels = (rng.random(count) < expit(true)).astype(np.int64)
    said = expit(factor * true - shift)
    return Cases.of(labels, np.stack([1 - said, said], axis=1), positive=1)


def plain_error(cases: Cases) -> float:
    members = bin_members(cut(cases.confidence), cases.confidence, cases.came_true)
    return float(error_of_bins(members.sum(axis=0), corrected=False))


def test_the_uncorrected_error_by_a_loop_over_bins() -> None:
    cases = drawn(500, factor=2.0)
    bins, total = cut(cases.confidence), 0.0
    assert np.ptp(np.bincount(bins)) <= 1
    for number in np.unique(bins):
        own = bins == number
        gap = abs(cases.confidence[own].mean() - cases.came_true[own].mean())
        total += own.sum() / 500 * gap
    assert plain_error(cases) == pytest.approx(total)


def test_the_bins_are_scikit_learns() -> None:
    cases = drawn(600)
    share, said = calibration_curve(
        cases.labels, cases.confidence, n_bins=15, strategy="quantile"
    )
    table = reliability(cases, np.arange(600))
    assert [row["images"] for row in table] == [40] * 15
    assert [row["said"] for row in table] == pytest.approx(said)
    assert [row["came_true"] for row in table] == pytest.approx(share)
    assert all(row["low"] <= row["came_true"] <= row["high"] for row in table)


def test_of_several_classes_the_class_called_is_judged() -> None:
    shares = np.tile([0.5, 0.3, 0.2], (40, 1))
    cases = Cases.of(np.arange(40) % 4 % 3, shares)  # the first class half of the time
    (row,) = reliability(cases, np.arange(40))
    assert (row["images"], row["said"], row["came_true"]) == (40, 0.5, 0.5)
    assert score_cases(cases)["ece"] == pytest.approx(0.0)


def test_the_correction_takes_off_most_of_what_chance_adds() -> None:
    plain = np.mean([plain_error(drawn(300, seed=seed)) for seed in range(60)])
    ours = np.mean([score_cases(drawn(300, seed=seed))["ece"] for seed in range(60)])
    assert plain > 0.06
    assert ours < 0.65 * plain


def test_the_corrected_error_is_right_where_there_is_one() -> None:
    large = drawn(200_000, factor=2.5)
    truth = float(np.abs(large.confidence - expit(logit(large.confidence) / 2.5)).mean())
    found = [score_cases(drawn(600, factor=2.5, seed=seed))["ece"] for seed in range(40)]
    assert np.mean(found) == pytest.approx(truth, abs=0.01)


def test_a_certain_share_needs_no_correction() -> None:
    said, truth = np.full(30, 0.75), np.ones(30, dtype=bool)
    assert calibration_error(np.zeros(30, dtype=np.int64), said, truth) == pytest.approx(0.25)


def test_drift_is_measured_from_the_original_gaps() -> None:
    said, truth = np.array([0.2, 0.2, 0.8, 0.8]), np.array([False, True, True, True])
    members = bin_members(np.array([0, 0, 1, 1]), said, truth)
    again = np.array([[2.0, 0, 1, 1]]) @ members  # first bin: nobody now, half before
    assert drift_of_bins(again, members.sum(axis=0)) == pytest.approx([0.5 / 2])


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_temperature_undoes_what_was_done_to_the_logits(factor: float) -> None:
    cases = drawn(20_000, factor=factor)
    found = fit_temperature(cases.labels, cases.probabilities)
    assert found == pytest.approx(factor, rel=0.05)


def test_the_temperature_is_where_the_slope_of_platts_loss_is_zero() -> None:
    cases = drawn(80, factor=2.0)
    ones = int(cases.labels.sum())
    target = np.where(cases.labels == 1, (ones + 1) / (ones + 2), 1 / (80 - ones + 2))
    line = logit(cases.confidence)

    def slope(inverse: float) -> float:
        return float(((expit(inverse * line) - target) * line).sum())

    expected = 1 / brentq(slope, 0.05, 20)
    assert fit_temperature(cases.labels, cases.probabilities) == pytest.approx(
        expected, rel=1e-3
    )


def test_few_images_without_a_mistake_do_not_ask_for_certainty() -> None:
    labels = np.array([0, 1] * 5)
    shares = np.where(np.eye(2)[labels] == 1, 0.8, 0.2)
    temperature = fit_temperature(labels, shares)
    assert with_temperature(shares, temperature).max() == pytest.approx(6 / 7, abs=1e-3)


def test_a_temperature_keeps_sums_and_decisions() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(4), size=50)
    for temperature in (0.1, 1.0, 7.0):
        cooled = with_temperature(shares, temperature)
        assert cooled.sum(axis=1) == pytest.approx(np.ones(50))
        assert np.array_equal(cooled.argmax(axis=1), shares.argmax(axis=1))
    assert with_temperature(shares, 1.0) == pytest.approx(shares)
    assert np.isfinite(with_temperature(np.eye(3), 0.05)).all()


def test_slope_and_intercept_are_those_of_a_logistic_regression() -> None:
    cases = drawn(400, factor=1.7, shift=0.6)
    line = logit(cases.confidence)
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(line[:, None], cases.labels)
    found = slope_and_intercept(cases, np.arange(400))
    assert found["slope"].estimate == pytest.approx(model.coef_[0, 0], rel=1e-4)
    root = brentq(lambda add: float((expit(line + add) - cases.labels).sum()), -5, 5)
    assert found["intercept"].estimate == pytest.approx(root, abs=1e-6)


def test_intervals_of_slope_and_intercept_hold_what_was_done() -> None:
    held = {"slope": 0, "intercept": 0}
    for seed in range(60):
        found = slope_and_intercept(drawn(500, factor=1.5, seed=seed), np.arange(500))
        held["slope"] += found["slope"].low < 1 / 1.5 < found["slope"].high
        found = slope_and_intercept(drawn(500, seed=seed), np.arange(500))
        held["intercept"] += found["intercept"].low < 0.0 < found["intercept"].high
    assert min(held.values()) >= 52  # 57 are expected; fewer come once in 60 such tests


def test_copies_of_a_group_bring_no_certainty() -> None:
    cases = drawn(200)
    copies = cases.rows(np.tile(np.arange(200), 4))
    alone = slope_and_intercept(cases, np.arange(200))["slope"]
    together = slope_and_intercept(copies, np.tile(np.arange(200), 4))["slope"]
    fooled = slope_and_intercept(copies, np.arange(800))["slope"]
    width = alone.high - alone.low
    assert together.high - together.low == pytest.approx(width, rel=0.01)
    assert fooled.high - fooled.low == pytest.approx(width / 2, rel=0.01)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, 0, 1], [0.3, 0.3, 0.3, 0.3]),  # no slope
        ([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9]),  # separated: the slope has no bound
        ([1, 1, 1, 1], [0.1, 0.2, 0.8, 0.9]),  # one class
    ],
)
def test_a_slope_without_meaning_is_nan(labels: list[int], said: list[float]) -> None:
    shares = np.stack([1 - np.array(said), said], axis=1)
    cases = Cases.of(np.array(labels), shares, positive=1)
    assert np.isnan(slope_and_intercept(cases, np.arange(4))["slope"]).all()


def test_several_classes_have_no_slope() -> None:
    with pytest.raises(ValueError, match="slope and intercept need a positive class"):
        slope_and_intercept(Cases.of(np.array([0]), np.full((1, 3), 1 / 3)), np.array([0]))


def test_images_of_one_patient_have_no_slope() -> None:
    rng = np.random.default_rng(0)
    labels, one = np.arange(40) % 2, rng.uniform(0.1, 0.9, 40)
    cases = Cases.of(labels, np.stack([1 - one, one], axis=1), 1)
    found = slope_and_intercept(cases, np.zeros(40, dtype=np.int64))
    assert np.isnan(found["slope"].estimate)
    assert np.isnan(found["intercept"].estimate)
