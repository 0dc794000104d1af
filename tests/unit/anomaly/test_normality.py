"""Scale, operating point and squashing follow from normal images alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glcm_mae.anomaly.normality import COMBINED, Normality, threshold_at


def inner(seed: int = 0, count: int = 200) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"mse": rng.gamma(2.0, 0.01, count), "glcm": rng.normal(0.3, 0.05, count)}


def test_the_combined_score_is_the_mean_of_the_standard_scores() -> None:
    raw = inner()
    other = inner(seed=1, count=7)
    normality = Normality.measure(raw, 0.95)
    found = normality.scores(other)
    expected = np.mean([stats.zmap(other[name], raw[name], ddof=1) for name in raw], axis=0)
    np.testing.assert_allclose(found[COMBINED], expected)
    np.testing.assert_array_equal(found["mse"], other["mse"])


@given(
    st.lists(st.floats(-100, 100), min_size=2, max_size=60),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
)
def test_the_threshold_is_the_least_that_reaches_the_specificity(
    values: list[float], specificity: float
) -> None:
    scores = np.array(values)
    found = threshold_at(scores, specificity)
    reached = [value for value in values if (scores <= value).mean() >= specificity - 1e-12]
    assert found == min(reached)


def test_above_a_half_is_above_the_threshold_and_order_is_kept_far_away() -> None:
    normality = Normality.measure(inner(), 0.95)
    point = normality.thresholds["mse"]
    scores = np.array([point - 1e6, point - 1, point, point + 1e-9, point + 1, point + 1e6])
    shares = normality.probabilities("mse", scores)
    assert (shares > 0.5).tolist() == [False, False, False, True, True, True]
    assert (np.diff(shares) > 0).all()
    assert shares.min() > 0
    assert shares.max() < 1
    # In either column: the first of two equal ones would win.
    assert np.stack([shares, 1 - shares], 1).argmax(1).tolist() == [1, 1, 1, 0, 0, 0]


def test_equal_normal_images_leave_a_scale() -> None:
    alike = {"mse": np.full(3, 0.2)}
    found = Normality.measure(alike, 0.9).scores({"mse": np.array([0.2, 1.2])})
    np.testing.assert_allclose(found[COMBINED], [0.0, 1.0], atol=1e-12)


def test_one_image_tells_no_spread() -> None:
    with pytest.raises(ValueError, match="at least two inner normal images, got 1"):
        Normality.measure({"mse": np.array([1.0])}, 0.95)
