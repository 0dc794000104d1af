"""What the controls say in sentences, tables and files."""

import csv
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glcm_mae.comparison.paired_scores import ScoreComparison
from glcm_mae.config import CrossValConfig
from glcm_mae.controls.figure import draw_controls
from glcm_mae.controls.findings import Findings
from glcm_mae.controls.report import format_csv, format_markdown, rows_of
from glcm_mae.controls.shuffling import Shuffles
from glcm_mae.controls.study import _random_note
from glcm_mae.controls.verdicts import verdicts
from glcm_mae.statistics import Interval

NAN = Interval(*[float("nan")] * 3)


def difference(estimate: float, half: float, p_value: float) -> ScoreComparison:
    interval = Interval(estimate, estimate - half, estimate + half)
    return ScoreComparison(
        *("auroc", 0.6 + estimate, 0.6, interval, "corrected_t", p_value, {}),
        *(interval, NAN, ""),
    )


def score(estimate: float) -> dict[str, object]:
    return {"estimate": estimate, "low": estimate - 0.1, "high": estimate + 0.05, "method": "M"}


PATIENTS = {
    "estimate": 0.4,
    "low": 0.3,
    "high": 0.5,
    "chance": 0.02,
    "tests": 50,
    "patients": 20,
    "torn_patients": 0,
    "nearest_was_learnt_from": {"estimate": 0.0, "low": 0, "high": 0.1},
}
FOUND = Findings(
    trained=score(0.8),
    random=score(0.6),
    added=difference(0.2, 0.1, 0.01),
    shuffles=Shuffles(np.array([0.48, 0.5, 0.51, 0.52, 0.49]), 0.8, 0.95),
    patients=PATIENTS,
    texture="run it",
)


def told(**changes: object) -> str:
    return "\n".join(verdicts(replace(FOUND, **changes)))


def test_what_pre_training_adds_is_said_with_its_interval_and_test() -> None:
    assert (
        "the random encoder reaches 60.0 [50.0, 65.0] % AUROC, the trained one "
        "80.0 [70.0, 85.0] %: pre-training adds +20.0 points (difference +20.0, interval +10.0 "
        "to +30.0, p = 0.010, corrected resampled t)"
    ) in told()


def test_what_is_not_shown_is_not_claimed() -> None:
    text = told(added=difference(0.02, 0.1, 0.6))
    assert "not distinguishable (difference +2.0" in text
    assert "pre-training is not shown to add anything" in text
    assert "makes features worse" in told(added=difference(-0.2, 0.1, 0.01))
    assert "cannot be tested" in told(added=difference(0.0, 0.0, float("nan")))


def test_shuffles_off_chance_are_a_warning() -> None:
    assert "chance (50.0) lies inside, as it must; no shuffle does as well" in told()
    high = Shuffles(np.array([0.68, 0.7, 0.71, 0.72, 0.9]), 0.8, 0.95)
    assert "WARNING: with shuffled labels" in told(shuffles=high)
    none = Shuffles(np.full(5, np.nan), np.nan, 0.95)
    (line,) = [v for v in verdicts(replace(FOUND, shuffles=none)) if "shuffle" in v]
    assert line.startswith("whether shuffled labels reach chance cannot be told")
    some = Shuffles(np.array([0.3, 0.5, 0.9, 0.4, 0.4]), 0.8, 0.95)
    assert "1 of 5 shuffles do as well" in told(shuffles=some)


def test_the_patient_probe_tells_a_leak_from_a_caution() -> None:
    assert "features tell patients, and the folds keep each patient in one part" in told()
    torn = {
        **PATIENTS,
        "torn_patients": 7,
        "nearest_was_learnt_from": {"estimate": 0.35, "low": 0.2, "high": 0.5},
    }
    text = told(patients=torn)
    assert "WARNING: 7 patients have images in training and test alike" in text
    assert "in 35.0 [20.0, 50.0] % it is one that was learnt from" in text
    assert "scores may owe to knowing the patient" in text
    assert "yet such folds are not honest" in told(patients={**torn, "low": 0.01})
    by_chance = {**PATIENTS, "low": 0.01}
    assert "features are not shown to tell patients" in told(patients=by_chance)
    assert "patient probe skipped: none known" in told(patients={"skipped": "none known"})


def test_the_texture_loss_adds_takes_away_or_is_not_known() -> None:
    assert "texture loss off skipped: run it" in told()
    assert "it adds 5.0 points" in told(texture=difference(0.05, 0.02, 0.001))
    assert "it takes away 5.0 points" in told(texture=difference(-0.05, 0.02, 0.001))
    assert "not distinguishable" in told(texture=difference(0.05, 0.2, 0.5))


def test_table_and_files_hold_the_same_numbers(tmp_path: Path) -> None:
    controls = replace(FOUND, texture=difference(0.05, 0.02, 0.04)).facts()
    rows = {row[0]: row[1:] for row in rows_of(controls)}
    assert rows["linear probe of the run's encoders"] == ["80.0 [70.0, 85.0]", "50.0", ""]
    assert rows["what the texture loss adds"] == ["5.0 [3.0, 7.0]", "0.0", "0.040"]
    lines = {
        line["control"]: line for line in csv.DictReader(io.StringIO(format_csv(controls)))
    }
    assert float(lines["patient_probe"]["chance"]) == 0.02
    assert lines["patient_probe"]["detail"] == "50 tests of images of 20 patients, 0 torn apart"
    assert float(lines["label_shuffle"]["p"]) == pytest.approx(1 / 6)
    skipped = FOUND.facts()
    lines = {line["control"]: line for line in csv.DictReader(io.StringIO(format_csv(skipped)))}
    assert lines["texture_loss_off"]["detail"] == "run it"
    assert lines["texture_loss_off"]["estimate"] == ""
    assert "skipped" in format_markdown("Title", skipped, ["said"], ["noted"])
    paths = [tmp_path / "controls.png", tmp_path / "controls.svg"]
    draw_controls(paths, skipped, title="Title")
    text = paths[1].read_text()
    assert "nearest image" in text
    assert "texture loss" not in text, "what was skipped has no row"


@pytest.mark.parametrize(
    ("settings", "note"),
    [
        ({}, "have the weights that pre-training in their fold began with"),
        ({"transductive": True}, "have the random weights of their fold's seed"),
        ({"pretraining": {"weights": "w"}}, "while pre-training began with given ones"),
    ],
)
def test_what_random_encoders_are_to_the_trained_ones_is_told(
    settings: dict[str, Any], note: str
) -> None:
    assert note in _random_note(CrossValConfig(data={"table": "t"}, out="o", **settings))
