"""Thresholds: by brute force over all of them, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.evaluation import Cases, choose_threshold

ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(0, 12).map(lambda tick: tick / 12)),
    min_size=2,
    max_size=40,
).filter(lambda rows: len({truth for truth, _ in rows}) == 2)


def at(truth: np.ndarray, scores: np.ndarray, threshold: float) -> tuple[float, float]:
    called = scores >= threshold
    return float(called[truth].mean()), float((~called)[~truth].mean())


def everything(truth: np.ndarray, scores: np.ndarray) -> list[tuple[float, float]]:
    return [at(truth, scores, value) for value in np.unique(scores)]


@given(ROWS)
@settings(max_examples=60)
def test_no_threshold_has_a_greater_youden_index(rows: list[tuple[bool, float]]) -> None:
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = at(truth, scores, choose_threshold(truth, scores, "youden") or 0.0)
    assert sum(found) >= max(sum(pair) for pair in everything(truth, scores)) - 1e-9


@given(ROWS, st.floats(0.05, 1.0))
@settings(max_examples=60)
def test_a_sensitivity_is_reached_with_the_greatest_specificity(
    rows: list[tuple[bool, float]], asked: float
) -> None:
    truth, scores = (np.array(column) for column in zip(*rows, strict=True))
    found = at(truth, scores, choose_threshold(truth, scores, asked) or 0.0)
    enough = [pair for pair in everything(truth, scores) if pair[0] >= asked - 1e-12]
    assert found[0] >= asked - 1e-9
    assert found[1] >= max(specificity for _, specificity in enough) - 1e-9


def test_a_threshold_stands_halfway_to_the_next_score_below() -> None:
    truth = np.array([False, False, True, False, True])
    scores = np.array([0.1, 0.2, 0.5, 0.6, 0.9])
    assert choose_threshold(truth, scores, "youden") == pytest.approx(0.35)
    assert choose_threshold(truth, scores, 0.5) == pytest.approx(0.75)
    assert choose_threshold(truth, scores, 1.0) == pytest.approx(0.35)


def test_of_equal_youden_indices_the_more_sensitive_is_taken() -> None:
    truth = np.array([True, False, True, False])
    scores = np.array([0.9, 0.7, 0.5, 0.3])  # 0.8: 0.5 + 1; 0.4: 1 + 0.5
    assert choose_threshold(truth, scores, "youden") == pytest.approx(0.4)


@pytest.mark.parametrize("truth", [[True, True], [False, False]])
def test_without_both_classes_there_is_no_threshold(truth: list[bool]) -> None:
    assert choose_threshold(np.array(truth), np.array([0.2, 0.6]), "youden") is None


def test_decisions_at_a_threshold_of_each_image() -> None:
    shares = np.array([[0.6, 0.4], [0.6, 0.4], [0.1, 0.9]])
    cases = Cases.of(np.array([1, 1, 0]), shares, positive=1)
    assert cases.called_at(np.array([0.4, 0.5, 0.5])).called.tolist() == [1, 0, 1]
    other = Cases.of(np.array([1, 1, 0]), shares, positive=0)
    assert other.called_at(0.5).called.tolist() == [0, 0, 1]


def test_several_classes_have_no_threshold() -> None:
    with pytest.raises(ValueError, match="a threshold needs a positive class among two"):
        Cases.of(np.array([0]), np.full((1, 3), 1 / 3)).called_at(0.5)
