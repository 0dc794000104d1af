"""Laws of scores and judgements, for any predictions."""

from dataclasses import replace
from math import isnan
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.evaluation import (
    SCORES,
    Cases,
    Judging,
    Predictions,
    WeightedScores,
    judge,
    score_cases,
)
from glcm_mae.evaluation.pooling import Pool, pooled_scores

QUICK = Judging(resamples=20)  # limits play no part in what is asserted
SEEDS = st.integers(0, 2**32 - 1)
RULES: st.SearchStrategy[Any] = st.one_of(st.just("youden"), st.floats(0.1, 1.0))


def drawn(seed: int, *, classes: int, count: int = 60) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % classes)
    logits = rng.normal(size=(count, classes)) * 2 + np.eye(classes)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = tuple("abcd"[:classes])
    groups = rng.integers(0, count // 2, count)
    return Predictions(
        tuple(map(str, range(count))), np.arange(count) % 3, labels, shares, names, groups
    )


def chosen(found: dict[str, Any]) -> tuple[Any, Any]:
    point = found["operating_point"]
    return point and point["thresholds"], found["calibration"]["temperature"]


@given(SEEDS, SEEDS, st.integers(2, 4), RULES)
@settings(max_examples=5, deadline=None)
def test_test_labels_have_no_say_in_thresholds_and_temperatures(
    seed: int, other: int, classes: int, rule: Any
) -> None:
    test, inner = drawn(seed, classes=classes), drawn(seed + 1, classes=classes)
    asked = replace(QUICK, operating_point=rule)
    found = judge(test, inner, positive="a", settings=asked)
    shuffled = np.random.default_rng(other).permutation(test.labels)
    again = judge(replace(test, labels=shuffled), inner, positive="a", settings=asked)
    assert chosen(found) == chosen(again)
    turned = (inner.labels + 1) % classes  # whereas those of the inner part decide
    third = judge(test, replace(inner, labels=turned), positive="a", settings=asked)
    assert chosen(third)[1] != chosen(found)[1]


@st.composite
def few(draw: st.DrawFn) -> tuple[Predictions, Predictions]:
    """A handful of images, classes that do not occur, certainties of 0 and 1, any groups."""
    classes, count = draw(st.integers(2, 3)), draw(st.integers(1, 9))
    parts = []
    for _ in range(2):
        labels = draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count))
        ticks = st.lists(st.integers(0, 2), min_size=classes, max_size=classes).filter(any)
        rows = np.array([draw(ticks) for _ in range(count)], dtype=float)
        groups = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count))
        parts.append(
            Predictions(
                tuple(map(str, range(count))),
                np.arange(count) % 2,
                np.array(labels),
                rows / rows.sum(axis=1, keepdims=True),
                tuple("abc"[:classes]),
                np.array(groups),
            )
        )
    return parts[0], parts[1]


@given(few(), RULES)
@settings(max_examples=12, deadline=None)
def test_any_few_images_are_judged_without_a_warning(
    parts: tuple[Predictions, Predictions], rule: Any
) -> None:
    asked = replace(QUICK, operating_point=rule)
    found = judge(*parts, positive="b", settings=asked)
    assert found["notes"][0].startswith("too few groups")
    for name, value in found["pooled"].items():
        inside = [value[key] for key in ("low", "estimate", "high") if not isnan(value[key])]
        assert inside == sorted(inside), name


@given(SEEDS, SEEDS, st.integers(2, 4))
@settings(max_examples=5, deadline=None)
def test_the_order_of_images_changes_no_score(seed: int, other: int, classes: int) -> None:
    test = drawn(seed, classes=classes)
    order = np.random.default_rng(other).permutation(len(test))
    scores, again = (
        judge(part, positive="b", settings=QUICK)["pooled"] for part in (test, test.rows(order))
    )
    for name in SCORES:
        first, second = scores[name]["estimate"], again[name]["estimate"]
        assert abs(first - second) < 1e-12 or (isnan(first) and isnan(second)), name


@given(SEEDS, st.integers(2, 4))
@settings(max_examples=30, deadline=None)
def test_scores_lie_where_they_can(seed: int, classes: int) -> None:
    test = drawn(seed, classes=classes, count=40)
    cases = Cases.of(test.labels, test.probabilities, 0)
    weights = np.random.default_rng(seed).integers(0, 3, (8, 40)).astype(float)
    for scores in (WeightedScores(cases, SCORES)(weights), score_cases(cases)):
        for name in SCORES:
            values = np.atleast_1d(scores[name])
            values = values[np.isfinite(values)]
            assert (values >= (-1.0 if name == "mcc" else 0.0)).all(), name
            assert name == "log_loss" or (values <= 1.0 + 1e-12).all(), name


@given(SEEDS, st.integers(2, 4))
@settings(max_examples=30, deadline=None)
def test_weights_count_in_proportion_only(seed: int, classes: int) -> None:
    test = drawn(seed, classes=classes, count=40)
    cases = Cases.of(test.labels, test.probabilities, 0)
    weights = np.random.default_rng(seed).gamma(1.0, size=(3, 40))
    names = [name for name in SCORES if name != "ece"]  # its correction knows how many
    scores = WeightedScores(cases, names)
    for name, values in scores(weights).items():
        assert np.allclose(values, scores(7 * weights)[name], equal_nan=True), name


def test_shuffled_labels_give_chance() -> None:
    """Of 200 intervals of 95 %, those that hold 0.5 are 190 on average."""
    held = 0
    for seed in range(200):
        test = drawn(seed, classes=2, count=120)
        shuffled = np.random.default_rng(seed).permutation(test.labels)
        cases = Cases.of(shuffled, test.probabilities, 1)
        pool = Pool(cases, np.arange(120), np.zeros(120, dtype=np.int64))
        area = pooled_scores(pool, ["auroc"], confidence=0.95, resamples=1, seed=0)["auroc"]
        held += area["low"] <= 0.5 <= area["high"]
    assert 181 <= held <= 198
