"""What is said of a classifier: which interval each score has, and what decides what."""

import json
from dataclasses import replace
from math import isnan
from pathlib import Path

import numpy as np
import pytest

from glcm_mae.config import EvaluationConfig
from glcm_mae.errors import InputError
from glcm_mae.evaluation import (
    CLASS_SCORES,
    PROBABILITY_SCORES,
    SCORES,
    Judging,
    Predictions,
    choose_threshold,
    concatenate,
    fit_temperature,
    judge,
    score_folds,
)
from glcm_mae.runs import write_json
from glcm_mae.statistics import (
    auroc_interval,
    clustered_proportion_interval,
    proportion_interval,
)

TWO, THREE = ("benign", "malignant"), ("benign", "malignant", "normal")
QUICK = Judging(resamples=200)


def drawn(
    classes: tuple[str, ...] = TWO,
    *,
    count: int = 120,
    seed: int = 0,
    images_a_group: int = 1,
    strength: float = 1.0,
    repeat: int = 0,
) -> Predictions:
    rng = np.random.default_rng([seed, repeat])
    labels = np.arange(count) // images_a_group % len(classes)
    logits = rng.normal(size=(count, len(classes))) + strength * np.eye(len(classes))[labels]
    shares = np.exp(2 * logits) / np.exp(2 * logits).sum(axis=1, keepdims=True)
    groups = np.arange(count) // images_a_group
    return Predictions(
        tuple(f"{row}.png" for row in range(count)),
        groups // len(classes) % 4 + 4 * repeat,
        labels,
        shares,
        classes,
        groups,
        np.full(count, repeat),
    )


def methods(pooled: dict[str, dict[str, object]]) -> dict[str, object]:
    return {name: value["method"] for name, value in pooled.items()}


def test_two_classes_one_pass() -> None:
    test = drawn()
    found = judge(test, positive="malignant", settings=QUICK)
    assert list(found["pooled"]) == list(SCORES)
    named = methods(found["pooled"])
    wilson = ("accuracy", "sensitivity", "specificity", "ppv", "npv")
    assert [named[name] for name in wilson] == ["Wilson"] * 5
    assert named["auroc"] == "DeLong"
    assert named["ece"] == "basic bootstrap"
    rest = set(SCORES) - {*wilson, "auroc", "ece"}
    assert {named[name] for name in rest} == {"BCa bootstrap"}
    called = test.probabilities.argmax(axis=1)
    ill = test.labels == 1
    expected = proportion_interval(int((called[ill] == 1).sum()), int(ill.sum()))
    got = found["pooled"]["sensitivity"]
    assert (got["estimate"], got["low"], got["high"]) == expected
    area = auroc_interval(ill, test.probabilities[:, 1])
    assert found["pooled"]["auroc"]["low"] == pytest.approx(area.low)
    for value in found["pooled"].values():
        assert value["low"] <= value["estimate"] <= value["high"]
    assert (found["images"], found["groups"], found["passes"]) == (120, 120, 1)
    assert found["notes"] == []
    assert "per_class" not in found
    assert score_folds(test, "malignant") == {key: found[key] for key in ("summary", "folds")}


def test_groups_of_several_images_widen_every_interval() -> None:
    single = drawn(count=60, strength=0.7)
    copies = np.repeat(np.arange(60), 3)
    grouped = replace(
        single.rows(copies),
        paths=tuple(f"{row}.png" for row in range(180)),
    )
    alone = replace(grouped, groups=np.arange(180))
    found = judge(grouped, positive="malignant", settings=QUICK)["pooled"]
    fooled = judge(alone, positive="malignant", settings=QUICK)["pooled"]
    for name in SCORES:
        assert found[name]["method"].endswith(", clustered")
        width, other = (value[name]["high"] - value[name]["low"] for value in (found, fooled))
        assert width > 1.3 * other, name
    called = grouped.probabilities.argmax(axis=1) == grouped.labels
    expected = clustered_proportion_interval(called, grouped.clusters)
    assert found["accuracy"]["high"] == expected.high


def test_three_classes_have_means_own_scores_and_a_merge() -> None:
    test = drawn(THREE)
    found = judge(test, positive="malignant", settings=QUICK)
    named = methods(found["pooled"])
    assert named["accuracy"] == "Wilson"
    assert named["sensitivity"] == named["auroc"] == "BCa bootstrap"
    assert list(found["per_class"]) == list(THREE)
    own = found["per_class"]["malignant"]
    assert list(own) == list(CLASS_SCORES)
    assert methods(own)["auroc"] == "DeLong"
    merged = found["merged"]
    assert merged["positive"] == "malignant"
    assert {name: merged["pooled"][name] for name in CLASS_SCORES} == own
    assert "merged" not in judge(test, settings=QUICK)


def test_several_passes_are_averaged_and_drawn_together() -> None:
    passes = [drawn(repeat=number) for number in range(3)]
    alone = [judge(part, positive="malignant", settings=QUICK)["pooled"] for part in passes]
    found = judge(concatenate(passes), positive="malignant", settings=QUICK)
    assert (found["passes"], found["groups"], len(found["folds"])) == (3, 120, 12)
    for name in SCORES:
        value = found["pooled"][name]
        assert value["estimate"] == pytest.approx(
            np.mean([part[name]["estimate"] for part in alone])
        )
        assert "bootstrap" in value["method"]
    # Three passes over the same images are no three times as many images: the same
    # answers again bring nothing.
    same = [
        replace(passes[0], repeat=np.full(120, k), folds=passes[0].folds + 4 * k)
        for k in (0, 1)
    ]
    again = judge(concatenate(same), positive="malignant", settings=QUICK)["pooled"]
    for name in ("f1", "mcc", "brier", "auprc", "ece"):
        assert again[name] == pytest.approx(alone[0][name])


def test_operating_points_and_temperatures_are_those_of_the_inner_parts() -> None:
    test, inner = drawn(count=240), drawn(count=240, seed=1)
    settings = replace(QUICK, operating_point=0.9)
    found = judge(test, inner, positive="malignant", settings=settings)
    point = found["operating_point"]
    assert (point["rule"], point["positive"]) == (0.9, "malignant")
    hits = []
    for fold in range(4):
        part = inner.fold(fold)
        ill = part.labels == 1
        threshold = choose_threshold(ill, part.probabilities[:, 1], 0.9)
        assert point["thresholds"][fold] == threshold
        temperature = fit_temperature(part.labels, part.probabilities)
        assert found["calibration"]["temperature"][fold] == temperature
        own = test.fold(fold)
        hits += (own.probabilities[own.labels == 1, 1] >= threshold).tolist()
    assert point["pooled"]["sensitivity"]["estimate"] == pytest.approx(np.mean(hits))
    assert point["pooled"]["sensitivity"]["method"] == "Wilson"
    assert list(point["pooled"]) == list(point["summary"])
    assert set(point["pooled"]) == {
        *("accuracy", "balanced_accuracy", "mcc", "f1"),
        *("sensitivity", "specificity", "ppv", "npv"),
    }
    after = found["calibration"]["after"]
    assert set(after) == {*PROBABILITY_SCORES, "slope", "intercept", "reliability"}


def test_a_temperature_mends_a_classifier_that_is_too_sure() -> None:
    test, inner = drawn(count=800, strength=0.5), drawn(count=800, strength=0.5, seed=1)
    found = judge(test, inner, positive="malignant", settings=QUICK)["calibration"]
    assert found["slope"]["high"] < 0.7
    before, after = (abs(part["slope"]["estimate"] - 1) for part in (found, found["after"]))
    assert after < before / 1.5
    for name in PROBABILITY_SCORES:
        assert found["after"][name]["estimate"] < found[name]["low"]
    assert found["after"]["ece"]["low"] == 0.0
    assert found["ece"]["low"] > 0.1


def test_with_three_classes_the_threshold_is_of_the_positive_one() -> None:
    test, inner = drawn(THREE), drawn(THREE, seed=1)
    found = judge(test, inner, positive="normal", settings=QUICK)
    assert found["operating_point"]["positive"] == "normal"
    part = inner.fold(2)
    expected = choose_threshold(part.labels == 2, part.probabilities[:, 2], "youden")
    assert found["operating_point"]["thresholds"][2] == expected
    nothing = judge(test, inner, settings=QUICK)
    assert nothing["operating_point"] is None
    assert nothing["calibration"]["slope"] is None
    assert nothing["calibration"]["after"]["ece"]["estimate"] >= 0


def test_without_an_inner_part_nothing_is_chosen() -> None:
    found = judge(drawn(), positive="malignant", settings=QUICK)
    assert found["operating_point"] is None
    assert found["calibration"]["temperature"] is None
    assert found["calibration"]["after"] is None
    assert found["calibration"]["reliability"][0]["images"] == 20


def test_an_inner_part_with_one_class_is_told() -> None:
    inner = drawn(seed=1)
    lame = inner.rows((inner.folds != 2) | (inner.labels == 0))
    found = judge(drawn(), lame, positive="malignant", settings=QUICK)
    assert found["operating_point"] is None
    assert found["notes"] == ["no operating point: the inner part of fold 2 lacks a class"]


def test_too_few_groups_are_told() -> None:
    few = drawn(count=60, images_a_group=3)
    note = judge(few, positive="malignant", settings=QUICK)["notes"]
    assert note == [
        "too few groups for a trustworthy interval: 20, 10 of them benign "
        "(needed: 30, and 10 of each class)"
    ]
    enough = drawn(count=120)
    assert judge(enough, positive="malignant", settings=QUICK)["notes"] == []
    rare = enough.rows((enough.labels == 0) | (np.arange(120) < 18))
    (note,) = judge(rare, positive="malignant", settings=QUICK)["notes"]
    assert "69, 9 of them malignant" in note


def test_a_score_that_no_resample_changes_has_no_limits() -> None:
    perfect = drawn(strength=50.0)
    found = judge(perfect, positive="malignant", settings=QUICK)["pooled"]
    assert found["accuracy"]["low"] == proportion_interval(120, 120).low
    assert 0.9 < found["auroc"]["low"] < found["auroc"]["high"] == 1.0
    for name in ("balanced_accuracy", "f1", "mcc", "auprc"):
        assert found[name]["estimate"] == 1.0
        assert isnan(found[name]["low"])
    blind = replace(perfect, probabilities=np.full((120, 2), 0.5))
    found = judge(blind, positive="malignant", settings=QUICK)["pooled"]
    assert found["auroc"]["estimate"] == 0.5
    assert isnan(found["auroc"]["low"])
    assert isnan(found["mcc"]["estimate"])


def test_the_same_call_gives_the_same_judgement_and_another_seed_another() -> None:
    test, inner = drawn(), drawn(seed=1)
    first, again = (judge(test, inner, positive="benign", settings=QUICK) for _ in range(2))
    assert json.dumps(first) == json.dumps(again)
    other = judge(test, inner, positive="benign", settings=replace(QUICK, seed=1))
    assert other["pooled"]["f1"]["low"] != first["pooled"]["f1"]["low"]
    assert other["pooled"]["f1"]["estimate"] == first["pooled"]["f1"]["estimate"]


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_files_hold_no_nan(classes: tuple[str, ...], tmp_path: Path) -> None:
    blind = replace(drawn(classes), probabilities=np.eye(len(classes))[np.zeros(120, int)])
    inner = drawn(classes, seed=1)
    found = judge(blind, inner, positive="malignant", settings=QUICK)
    write_json(tmp_path / "scores.json", found)
    text = (tmp_path / "scores.json").read_text()
    assert "NaN" not in text
    back = json.loads(text)
    assert back["pooled"]["mcc"]["estimate"] is None
    assert back["operating_point"]["thresholds"].keys() == {"0", "1", "2", "3"}


def test_a_wider_confidence_is_wider() -> None:
    test = drawn()
    wide = judge(test, positive="malignant", settings=replace(QUICK, confidence=0.99))
    usual = judge(test, positive="malignant", settings=QUICK)
    assert wide["confidence"] == 0.99
    for name in SCORES:
        assert wide["pooled"][name]["high"] >= usual["pooled"][name]["high"]
        assert wide["pooled"][name]["low"] <= usual["pooled"][name]["low"]


def test_a_fold_without_an_inner_part_is_refused() -> None:
    inner = drawn(seed=1)
    with pytest.raises(InputError, match="fold 3 has predictions of its test part but none"):
        judge(drawn(), inner.rows(inner.folds < 3), positive="malignant", settings=QUICK)


def test_an_inner_part_of_other_classes_is_refused() -> None:
    with pytest.raises(InputError, match="these are predictions of different runs"):
        judge(drawn(), drawn(THREE), positive="malignant", settings=QUICK)


def test_nothing_cannot_be_judged() -> None:
    with pytest.raises(InputError, match="there are no predictions to judge"):
        judge(drawn().fold(99), positive="malignant", settings=QUICK)


def test_two_classes_need_a_positive_one_to_be_judged() -> None:
    with pytest.raises(InputError, match="name the positive one"):
        judge(drawn(), settings=QUICK)


def test_settings_become_arguments() -> None:
    settings = EvaluationConfig(operating_point="0.9", resamples=300)
    assert Judging(**settings.judging(7)) == Judging(0.9, 0.95, 300, 7)
    assert Judging(**EvaluationConfig().judging(0)) == Judging()


@pytest.mark.parametrize("value", ["best", "1.5", 0.0, -1, None, [0.5]])
def test_another_rule_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="must be youden or a sensitivity above 0 and up to 1"):
        EvaluationConfig(operating_point=value)
