"""Changed images and images from elsewhere: what is left of the scores, from ``robustness``."""

from collections.abc import Iterator, Mapping
from typing import Any

from glcm_mae.report.blocks import Block, Cell, Figure, Section, Table, Words, missing
from glcm_mae.report.charts import Chart
from glcm_mae.report.citing import DASH, found, limits_of, pointer
from glcm_mae.report.facts import Attachment, Facts
from glcm_mae.report.studies import (
    Found,
    folded_notes,
    interval_chart,
    section_of_studies,
)
from glcm_mae.scoreboard import interval_cell
from glcm_mae.scoreboard.cells import LABELS

_EXTERNAL = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "auprc")


def section(facts: Facts) -> Section:
    """Return what every run loses that was tested on changed images."""
    question = "What is left of the scores on changed images, and on images from elsewhere?"
    command = "glcm-mae robustness RUN --out DIR"
    return section_of_studies(
        facts,
        "robustness",
        Section("robustness", "Robustness", question),
        absent=missing("No changed images were tested beside these runs", command),
        intro=(
            "Every test image is changed, and judged by the model of its own fold. What a "
            "change costs shows what decisions rest on: gray levels, or fine texture."
        ),
        of_run=_of_run,
    )


def _of_run(attachment: Attachment, number: int) -> Iterator[Block]:
    told = attachment.content
    score = str(found(told, "settings", "score") or "balanced_accuracy")
    drops = {
        kind: means["mean_drop"][score]
        for kind, means in told.get("corruptions", {}).items()
        if found(means, "mean_drop", score, "estimate") is not None
    }
    if drops:
        yield Figure(_chart(told, drops, score, number))
        yield _table(attachment, drops, score)
    if told.get("external"):
        yield _external(attachment)
    yield from folded_notes(told)
    notes = found(told, "external", "notes")
    if notes:
        yield from folded_notes({"notes": notes})


def _chart(
    told: Mapping[str, Any], drops: Mapping[str, Mapping[str, Any]], score: str, number: int
) -> Chart:
    return interval_chart(
        [Found.of(kind.replace("_", " "), drop) for kind, drop in drops.items()],
        f"{_label(score)} lost (points)",
        key="robustness" if number == 0 else f"robustness_{number}",
        caption=(
            f"{told.get('run', '')}: what each change of the test images costs, the mean of "
            "five levels, with its interval. Left of the line the score rises."
        ),
        what="mean of five levels",
        held_against=(0.0, "nothing lost"),
        row_height=0.1,
    )


def _label(score: str) -> str:
    return LABELS[score].removesuffix(" (%)")


def _table(attachment: Attachment, drops: Mapping[str, Mapping[str, Any]], score: str) -> Table:
    told, file = attachment.content, f"{attachment.folder.name}/robustness.json"
    clean = _percent(file, told, "clean", score, "estimate")
    rows: list[list[Words]] = []
    for kind in drops:
        levels = range(len(told["corruptions"][kind]["levels"]))
        cells: list[Words] = [
            _percent(file, told, "corruptions", kind, "levels", at, "scores", score, "estimate")
            for at in levels
        ]
        keys = ("corruptions", kind, "mean_drop", score)
        lost = limits_of(file, told, *keys, digits=1, times=100)
        rows.append([kind.replace("_", " "), clean, *cells, lost])
    count = max(len(row) for row in rows) - 3
    levels_told = [f"Level {level + 1}" for level in range(count)]
    heads = ["Change", "Clean (%)", *levels_told, "Mean lost (points)"]
    return Table(f"{told.get('run', '')}: {_label(score)} on changed images", heads, rows)


def _percent(file: str, told: Mapping[str, Any], *keys: str | int) -> Cell:
    value = found(told, *keys)
    text = DASH if value is None else f"{100 * value:.1f}"
    return Cell(text, pointer(file, *keys), "percent")


def _external(attachment: Attachment) -> Table:
    told, file = attachment.content, f"{attachment.folder.name}/robustness.json"
    rows: list[list[Words]] = []
    for name in _EXTERNAL:
        for title, way in (
            ("", ("external", "pooled", name)),
            (", at the operating point", ("external", "operating_point", "pooled", name)),
        ):
            value = found(told, *way)
            if value is not None and not (title and name not in ("sensitivity", "specificity")):
                cell = Cell(interval_cell(value, name), pointer(file, *way), f"interval {name}")
                rows.append([f"{LABELS[name]}{title}", cell])
    caption = f"{told.get('run', '')}: images from elsewhere, all models of the run averaged"
    return Table(caption, ["Score", "Found"], rows)
