"""Plain sentences: what each control says, and what a reader has to do about it."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

from glcm_mae.comparison.paired_scores import ScoreComparison
from glcm_mae.comparison.report import TEST_NAMES, p_text
from glcm_mae.controls.findings import Findings
from glcm_mae.controls.shuffling import CHANCE, Shuffles
from glcm_mae.scoreboard import interval_cell, shown

LABELS = {
    "trained_encoder": "linear probe of the run's encoders",
    "random_encoder": "linear probe of random encoders",
    "label_shuffle": "run's encoders, labels shuffled",
    "patient_probe": "nearest image is the patient's",
    "training_adds": "what training adds to random",
    "texture_loss_off": "what the texture loss adds",
}
"""What tables and figures call the controls."""


def verdicts(found: Findings) -> list[str]:
    """Return a sentence for every control, the worst news not hidden among the good."""
    level = 1 - found.shuffles.confidence
    return [
        _training(found, level),
        _shuffle(found.shuffles),
        _patient(found.patients),
        _texture(found.texture, level),
    ]


def _training(found: Findings, level: float) -> str:
    item = found.added
    reached = (
        f"the random encoder reaches {interval_cell(found.random)} % AUROC, the trained one "
        f"{interval_cell(found.trained)} %"
    )
    if not isfinite(item.p_value):
        return f"{reached}: what pre-training adds cannot be tested, for too little varies"
    if item.p_value > level:
        return (
            f"{reached}: by a linear probe they are not distinguishable ({_numbers(item)}), "
            "so pre-training is not shown to add anything"
        )
    if item.difference.estimate < 0:
        return f"WARNING: {reached}: pre-training makes features worse ({_numbers(item)})"
    return f"{reached}: pre-training adds {_points(item)} points ({_numbers(item)})"


def _numbers(item: ScoreComparison) -> str:
    found = item.difference
    limits = f"{100 * found.low:+z.1f} to {100 * found.high:+z.1f}"
    text = f"difference {_points(item)}, interval {limits}, p = {p_text(item.p_value)}"
    return f"{text}, {TEST_NAMES[item.primary]}".replace("p = <", "p <")


def _points(item: ScoreComparison) -> str:
    return f"{100 * item.difference.estimate:+z.1f}"


def _shuffle(found: Shuffles) -> str:
    reached = (
        f"with shuffled labels the probe reaches {interval_cell(found.mean._asdict())} % AUROC "
        f"in the mean of {len(found.areas)} shuffles"
    )
    if not isfinite(found.mean.estimate):
        return (
            "whether shuffled labels reach chance cannot be told: a class is not among the "
            "test images"
        )
    if not found.inside:
        return (
            f"WARNING: {reached}, and chance ({shown(CHANCE)}) lies outside: repeat with more "
            "--permutations and another --seed; if it stays outside, labels of test images "
            "reach the training, or scores of folds do not go together"
        )
    good = int((found.areas >= found.observed).sum())
    beaten = f"{good} of {len(found.areas)} shuffles do" if good else "no shuffle does"
    return (
        f"{reached}: chance ({shown(CHANCE)}) lies inside, as it must; {beaten} as well as the "
        f"true labels (p = {found.p_value:.3f})"
    )


def _patient(found: Mapping[str, Any]) -> str:
    if "skipped" in found:
        return f"patient probe skipped: {found['skipped']}"
    reached = (
        f"in {found['tests']} tests of an image its nearest of the same class is the "
        f"patient's own in {interval_cell(found)} %, by chance in {shown(found['chance'])} %"
    )
    told = isfinite(found["low"]) and found["low"] > found["chance"]
    if found["torn_patients"]:
        torn, learnt = found["torn_patients"], found["nearest_was_learnt_from"]
        what = (
            "scores may owe to knowing the patient"
            if told
            else "features are not shown to tell patients, yet such folds are not honest"
        )
        return (
            f"WARNING: {torn} patients have images in training and test alike; {reached}, and "
            f"in {interval_cell(learnt)} % it is one that was learnt from: {what}"
        )
    if not told:
        return f"{reached}: features are not shown to tell patients"
    return f"{reached}: features tell patients, and the folds keep each patient in one part"


def _texture(found: ScoreComparison | str, level: float) -> str:
    if isinstance(found, str):
        return f"texture loss off skipped: {found}"
    reached = (
        f"with the texture loss the run reaches {shown(found.first)} % AUROC, without "
        f"{shown(found.second)} % (means over models)"
    )
    if not isfinite(found.p_value):
        return f"{reached}: the difference cannot be tested, for too little varies"
    if found.p_value > level:
        return f"{reached}: not distinguishable ({_numbers(found)})"
    word = "adds" if found.difference.estimate > 0 else "takes away"
    size = f"{abs(100 * found.difference.estimate):.1f}"
    return f"{reached}: it {word} {size} points ({_numbers(found)})"
