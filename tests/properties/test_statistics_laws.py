"""Laws of intervals and tests, for any scores and any patients."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.statistics import (
    areas_under_curves,
    auroc_interval,
    bca_interval,
    clustered_proportion_interval,
    corrected_resampled_t,
    delong_over_folds,
    delong_test,
    holm,
    leave_out_weights,
    mcnemar_test,
    percentile_interval,
    permutation_test,
    proportion_interval,
    resample_weights,
    standardised_difference,
    weighted_auroc,
    wilcoxon_test,
)

SCORES = st.integers(0, 12).map(lambda value: value / 12)  # many ties
FINE = st.floats(-1, 1, allow_nan=False, width=32)


@st.composite
def two_classifiers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth with both kinds in two patients at least, two scores, and patients."""
    rows = draw(
        st.lists(
            st.tuples(st.booleans(), SCORES, SCORES, st.integers(0, 8)), min_size=2, max_size=40
        )
    )
    fixed = [(kind, 0.5, 0.25, 20 + number) for number, kind in enumerate([True, False] * 2)]
    truth, a, b, patient = (np.array(column) for column in zip(*rows, *fixed, strict=True))
    return truth, a, b, patient


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.8, 0.95, 0.99]))
def test_proportions_lie_within_their_intervals(hits: int, misses: int, level: float) -> None:
    found = proportion_interval(hits, hits + misses + 1, confidence=level)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    mirrored = proportion_interval(misses + 1, hits + misses + 1, confidence=level)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-12)


@given(two_classifiers())
@settings(max_examples=40)
def test_shares_of_clustered_images_are_never_surer_than_wilsons(
    data: tuple[np.ndarray, ...],
) -> None:
    hits, _, _, patient = data
    found = clustered_proportion_interval(hits, patient)
    wilson = proportion_interval(int(hits.sum()), len(hits))
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert found.high - found.low >= wilson.high - wilson.low - 1e-12


@given(two_classifiers())
@settings(max_examples=40)
def test_areas_lie_within_their_intervals_and_mirror(data: tuple[np.ndarray, ...]) -> None:
    truth, a, _, patient = data
    found = auroc_interval(truth, a, patient)
    mirrored = auroc_interval(~truth, a, patient)
    assert 0 <= found.low <= found.estimate <= found.high <= 1
    assert mirrored == pytest.approx((1 - found.estimate, 1 - found.high, 1 - found.low))


@given(two_classifiers())
@settings(max_examples=40)
def test_only_the_order_of_scores_counts(data: tuple[np.ndarray, ...]) -> None:
    truth, a, b, patient = data
    plain = areas_under_curves(truth, np.stack([a, b]), patient)
    bent = areas_under_curves(truth, np.stack([np.exp(3 * a), b**3]), patient)
    np.testing.assert_allclose(plain.covariance, bent.covariance, atol=1e-12)


@given(two_classifiers())
@settings(max_examples=40)
def test_exchanging_two_classifiers_changes_only_the_sign(
    data: tuple[np.ndarray, ...],
) -> None:
    truth, a, b, patient = data
    right = [(scores > 0.4) == truth for scores in (a, b)]
    pairs = [
        (delong_test(truth, a, b, patient), delong_test(truth, b, a, patient)),
        (mcnemar_test(*right), mcnemar_test(*right[::-1])),
        (mcnemar_test(*right, patient), mcnemar_test(*right[::-1], patient)),
    ]
    for forth, back in pairs:
        assert forth.difference == pytest.approx(-back.difference, abs=1e-12)
        assert forth.p_value == pytest.approx(back.p_value, nan_ok=True)
        assert forth.low == pytest.approx(-back.high, nan_ok=True, abs=1e-12)


@given(two_classifiers())
@settings(max_examples=40)
def test_a_classifier_does_not_differ_from_itself(data: tuple[np.ndarray, ...]) -> None:
    truth, a, _, patient = data
    right = (a > 0.4) == truth
    found = [
        delong_test(truth, a, a.copy(), patient),
        delong_over_folds(truth, [(np.arange(len(truth)), a, a)], patient),
        mcnemar_test(right, right),
        mcnemar_test(right, right, patient),
        corrected_resampled_t(np.zeros(7), 6, 1),
        wilcoxon_test(np.zeros(7)),
        permutation_test(lambda swap: np.zeros(len(swap)), patient, permutations=50),
    ]
    assert [test.p_value for test in found] == [1.0] * len(found)
    assert [test.difference for test in found] == [0.0] * len(found)


@given(two_classifiers())
@settings(max_examples=40)
def test_patients_may_be_called_anything(data: tuple[np.ndarray, ...]) -> None:
    truth, a, b, patient = data
    renamed = 1000 - 7 * patient
    assert auroc_interval(truth, a, patient) == pytest.approx(auroc_interval(truth, a, renamed))
    assert delong_test(truth, a, b, patient).p_value == pytest.approx(
        delong_test(truth, a, b, renamed).p_value, nan_ok=True
    )


@given(st.lists(FINE, min_size=2, max_size=12), st.floats(0.01, 1))
def test_the_t_interval_leaves_zero_out_where_p_is_small(
    values: list[float], share: float
) -> None:
    found = corrected_resampled_t(np.array(values), 1, share)
    if np.isfinite(found.p_value) and found.p_value < 1:
        assert (found.p_value < 0.05) == (found.low > 0 or found.high < 0)
        assert found.low <= found.difference <= found.high
        plain = corrected_resampled_t(np.array(values), 1e12, share)
        assert found.p_value >= plain.p_value


@given(st.lists(FINE, min_size=1, max_size=10))
def test_signed_ranks_do_not_care_for_scale_or_sign(values: list[float]) -> None:
    whole = np.round(np.array(values), 3)
    found = wilcoxon_test(whole)
    assert 0 < found.p_value <= 1
    assert wilcoxon_test(-4 * whole).p_value == found.p_value
    assert found.p_value >= 2 / 2 ** len(values) - 1e-12


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_raises_and_keeps_the_order(values: list[float]) -> None:
    found, plain = holm(values), np.array(values)
    assert (found >= plain).all()
    assert (found <= np.minimum(1, len(values) * plain + 1e-12)).all()
    order = np.argsort(plain, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


@given(st.lists(FINE, min_size=3, max_size=12).filter(lambda v: np.std(v) > 1e-3))
@settings(max_examples=30)
def test_effect_sizes_lie_within_their_intervals(values: list[float]) -> None:
    found = standardised_difference(np.array(values), 0.25)
    if np.isfinite([found.low, found.high]).all():
        assert found.low <= found.estimate <= found.high


@given(two_classifiers(), st.integers(0, 2**31 - 1))
@settings(max_examples=30)
def test_bootstrap_intervals_hold_the_estimate(data: tuple[np.ndarray, ...], seed: int) -> None:
    truth, a, b, patient = data
    drawn = resample_weights(patient, truth.astype(int), resamples=60, seed=seed)
    sizes = np.bincount(np.unique(patient, return_inverse=True)[1])
    assert drawn.sum() > 0
    assert (drawn @ (1 / sizes[np.unique(patient, return_inverse=True)[1]])).round(
        9
    ).tolist() == [len(sizes)] * 60
    whole = np.ones((1, len(truth)))
    area = float(weighted_auroc(truth, a, whole)[0])
    replicates = weighted_auroc(truth, a, drawn)
    own = bca_interval(area, replicates, weighted_auroc(truth, a, leave_out_weights(patient)))
    gain = area - float(weighted_auroc(truth, b, whole)[0])
    difference = percentile_interval(
        gain, replicates - weighted_auroc(truth, b, drawn), len(sizes)
    )
    for found in (own, difference):
        if np.isfinite(found.low):
            assert found.low <= found.estimate <= found.high
