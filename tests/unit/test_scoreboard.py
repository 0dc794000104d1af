"""What a reader sees of the scores: every number, every mark, and room for it."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from glcm_mae.evaluation import SCORES, Judging, Predictions, judge, score_folds
from glcm_mae.scoreboard import (
    interval_table,
    markdown_table,
    markdown_tables,
    print_intervals,
    print_table,
    terminal_table,
)

MARK = "epoch picked on the test fold"
QUICK = Judging(resamples=200)
THREE = ("benign", "malignant", "normal")


def drawn(classes: tuple[str, ...] = THREE, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.arange(120) % len(classes)
    logits = rng.normal(size=(120, len(classes))) + np.eye(len(classes))[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    folds = np.arange(120) // len(classes) % 4
    return Predictions(tuple(map(str, range(120))), folds, labels, shares, classes)


@pytest.fixture(scope="module")
def systems() -> dict[str, dict[str, Any]]:
    plain = score_folds(drawn(seed=2), "malignant")
    first = judge(drawn(), drawn(seed=1), positive="malignant", settings=QUICK)
    second = judge(drawn(seed=3), positive="malignant", settings=QUICK)
    return {"counted by hand": plain, "ours": first, "theirs": {**second, "mark": MARK}}


def section(text: str, title: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    (own,) = [part for part in text.split("### ") if part.startswith(title)]
    rows = [line for line in own.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]


def test_the_table_at_a_glance(systems: dict[str, Any]) -> None:
    lines = markdown_table(systems, "malignant").splitlines()
    assert lines[0] == "| System (%) | Accuracy | Bal. acc. | Sens. | Spec. | AUROC | F1 |"
    assert len(lines) == 2 + 3 * 2 + 1
    summary = systems["ours"]["summary"]
    mean, sd = (100 * summary["auroc"][key] for key in ("mean", "sd"))
    (ours,) = [line for line in lines if line.startswith("| ours")]
    assert ours.split(" | ")[5] == f"{mean:.1f} ± {sd:.1f}"
    merged = summary["merged"]["accuracy"]
    below = lines[lines.index(ours) + 1]
    assert below.startswith("|   malignant against the rest | ")
    assert f"| {100 * merged['mean']:.1f} ± {100 * merged['sd']:.1f} |" in below


def test_every_score_has_its_row(systems: dict[str, Any]) -> None:
    rows = section(markdown_tables(systems, "malignant"), "All scores")
    assert rows[0][1:] == ["counted by hand", "ours", f"theirs ({MARK})"]
    assert len(rows) == 2 + 2 * len(SCORES)
    brier = systems["ours"]["summary"]["brier"]
    (row,) = [row for row in rows if row[0] == "Brier score"]
    assert row[2] == f"{brier['mean']:.3f} ± {brier['sd']:.3f}"


def test_intervals_stand_with_their_methods(systems: dict[str, Any]) -> None:
    rows = section(markdown_tables(systems, "malignant"), "All test images together")
    assert rows[0] == ["", "ours", f"theirs ({MARK})", "Interval"]
    accuracy = systems["ours"]["pooled"]["accuracy"]
    low, high, estimate = (100 * accuracy[key] for key in ("low", "high", "estimate"))
    assert rows[2] == [
        "Accuracy (%)",
        f"{estimate:.1f} [{low:.1f}, {high:.1f}]",
        rows[2][2],
        "Wilson",
    ]
    merged = section(markdown_tables(systems, "malignant"), "The same, malignant against")
    (area,) = [row for row in merged if row[0] == "AUROC (%)"]
    assert area[-1] == "DeLong"


def test_the_operating_point_is_shown_where_there_is_one(systems: dict[str, Any]) -> None:
    rows = section(markdown_tables(systems, "malignant"), "At the operating point")
    assert rows[0] == ["", "ours", "Interval"]
    assert rows[-2][:2] == ["Chosen on the inner part by", "Youden's index"]
    thresholds = systems["ours"]["operating_point"]["thresholds"].values()
    assert rows[-1][1] == ", ".join(f"{value:.3f}" for value in thresholds)
    asked = replace(QUICK, operating_point=0.9)
    found = judge(drawn(), drawn(seed=1), positive="malignant", settings=asked)
    rows = section(markdown_tables({"ours": found}, "malignant"), "At the operating point")
    assert rows[-2][1] == "sensitivity 90 %"


def test_calibration_before_and_after(systems: dict[str, Any]) -> None:
    rows = section(markdown_tables(systems, "malignant"), "Calibration")
    labels = [row[0] for row in rows[2:]]
    assert labels[3] == "Calibration slope"
    assert labels[8] == "Calibration slope, with the inner part's temperature"
    assert rows[10][2] == ""  # theirs has no inner part


def test_systems_without_intervals_have_the_tables_they_can() -> None:
    only = {"counted by hand": score_folds(drawn(), "malignant")}
    text = markdown_tables(only, "malignant")
    assert re.findall("### (.*)", text) == ["All scores, mean ± SD over folds"]
    assert "no intervals" not in text


def test_a_mark_stands_in_every_table(
    systems: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    text = markdown_tables(systems, "malignant")
    tables = text.split("### ")
    having = [part for part in tables if "theirs" in part]
    assert len(having) == 5
    assert all(MARK in part for part in having)
    print_table(systems, title="Scores", notes=(), positive="malignant")
    assert MARK in column(capsys.readouterr().out, 0)
    print_intervals({"theirs": systems["theirs"]}, title="Scores")
    assert MARK in column(capsys.readouterr().out, 1)


def column(printed: str, number: int) -> str:
    """Return the text of a column of a printed table, its broken lines put together."""
    rows = [re.split("[│┃]", line) for line in printed.splitlines() if line[:1] in "│┃"]
    return " ".join(" ".join(row[number + 1].split()) for row in rows)


def test_what_a_judgement_asks_to_be_said_is_said() -> None:
    few = drawn().rows(np.arange(24))
    judged = judge(few, positive="malignant", settings=QUICK)
    both = {"small": judged, "large": judge(drawn(), positive="normal", settings=QUICK)}
    note = "small: too few groups for a trustworthy interval: 24, 8 of them benign"
    assert note in markdown_tables(both, "malignant")
    assert "- too few groups" in markdown_tables({"small": judged}, "malignant")
    caption = terminal_table({"small": judged}, title="x", notes=("n",), positive="").caption
    assert str(caption).startswith("n\ntoo few groups")


def test_pooling_over_folds_is_explained_where_it_happens(systems: dict[str, Any]) -> None:
    said = "mix the scales of the folds' models"
    assert said in markdown_tables(systems, "malignant")
    one = drawn()
    single = judge(
        replace(one, folds=np.zeros(120, dtype=int)), positive="malignant", settings=QUICK
    )
    assert said not in markdown_tables({"one": single}, "malignant")


LONG = "gray-level statistics, fine-tuned and averaged"


@pytest.mark.parametrize(("width", "narrow"), [(120, False), (80, True)])
def test_no_number_is_cut_off(systems: dict[str, Any], width: int, narrow: bool) -> None:
    wide = {**systems, LONG: systems["theirs"]}
    options: dict[str, Any] = {"title": "x", "notes": (), "positive": "malignant"}
    table = terminal_table(wide, **options, narrow=narrow)
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    assert text.count("±") == 2 * 6 * len(wide)


def test_four_systems_with_intervals_fit_on_a_page(systems: dict[str, Any]) -> None:
    judged = dict.fromkeys(("first one", "second one", "third one"), systems["theirs"])
    console = Console(width=120)
    with console.capture() as capture:
        console.print(interval_table(judged, title="x"))
    text = capture.get()
    assert max(map(len, text.splitlines())) <= 120
    assert "…" not in text
    assert text.count("[") == 3 * len(SCORES)


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    named = {"a|b": score_folds(drawn(), "malignant")}
    assert "| a\\|b | " in markdown_table(named, "")


def test_a_score_without_meaning_is_a_dash() -> None:
    blind = replace(drawn(), probabilities=np.eye(3)[np.zeros(120, int)])
    judged = judge(blind, positive="malignant", settings=QUICK)
    text = markdown_tables({"blind": judged}, "malignant")
    assert not re.search(r"\bnan\b", text)
    assert "| Matthews correlation | – |" in text
