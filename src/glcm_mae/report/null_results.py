"""Negative controls: what is reached where nothing should be, from ``controls``."""

from collections.abc import Mapping, Sequence
from typing import Any

from glcm_mae.comparison.report import p_text
from glcm_mae.controls.verdicts import LABELS
from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Cell,
    Figure,
    Section,
    Table,
    Words,
    missing,
)
from glcm_mae.report.charts import Chart
from glcm_mae.report.citing import found, limits_of, pointer
from glcm_mae.report.facts import Attachment, Facts
from glcm_mae.report.studies import (
    Found,
    folded_notes,
    interval_chart,
    section_of_studies,
)

_PLACES: Mapping[str, tuple[str, ...]] = {
    "trained_encoder": ("trained_encoder",),
    "random_encoder": ("random_encoder",),
    "label_shuffle": ("label_shuffle",),
    "training_adds": ("random_encoder", "training_adds"),
    "texture_loss_off": ("texture_loss_off",),
    "patient_probe": ("patient_probe",),
}
"""Where the numbers of each control stand in ``controls.json``, in the order of the table."""

_DRAWN = ("trained_encoder", "random_encoder", "label_shuffle")
"""Controls whose number is the score itself, not a difference or another share."""


def section(facts: Facts) -> Section:
    """Return the negative controls of every run that has them."""
    question = "Would the same scores come out where there is nothing to learn?"
    command = "glcm-mae controls RUN --out DIR"
    return section_of_studies(
        facts,
        "controls",
        Section("controls", "Negative controls", question),
        absent=missing("No negative controls are beside these runs", command),
        intro=(
            "A control that should fail and does not shows a leak. Shuffled labels must give "
            "chance; a random encoder shows what the images give away by themselves."
        ),
        of_run=_of_run,
    )


def _of_run(attachment: Attachment, number: int) -> list[Block]:
    told = attachment.content
    known = {
        name: told["controls"][name]
        for name in _DRAWN
        if found(told, "controls", name, "estimate") is not None
    }
    blocks: list[Block] = [Figure(_chart(told, known, number))] if known else []
    if told.get("verdicts"):
        blocks.append(Bullets(list(map(str, told["verdicts"]))))
    blocks.append(_table(attachment))
    return [*blocks, *folded_notes(told)]


def _chart(told: Mapping[str, Any], known: Mapping[str, Any], number: int) -> Chart:
    chances = [value["chance"] for value in known.values() if value.get("chance") is not None]
    return interval_chart(
        [Found.of(LABELS[name], value) for name, value in known.items()],
        f"{str(told.get('score', 'score')).upper()} (%)",
        key="controls" if number == 0 else f"controls_{number}",
        caption=f"{told.get('run', '')}: controls with their intervals. Dotted: chance.",
        what="control",
        held_against=(100 * chances[0], "chance") if chances else None,
        row_height=0.16,
    )


def _table(attachment: Attachment) -> Table:
    told, file = attachment.content, f"{attachment.folder.name}/controls.json"
    rows: list[list[Words]] = []
    for name, way in _PLACES.items():
        keys = ("controls", *way)
        value = found(told, *keys)
        if value is None:
            continue
        if "skipped" in value:
            rows.append([LABELS[name], Cell("not made", form="limits"), "", value["skipped"]])
            continue
        score = limits_of(file, told, *keys, digits=1, times=100)
        chance, outcome = _judged(file, keys, value)
        rows.append([LABELS[name], score, chance, outcome])
    heads = ["Control", "Found (%)", "Chance (%)", "Outcome"]
    return Table(f"{told.get('run', '')}: negative controls", heads, rows)


def _judged(file: str, keys: Sequence[str], value: Mapping[str, Any]) -> tuple[Words, Words]:
    """Return chance, and whether the control came out as it should, where it can fail."""
    chance: Words = ""
    if value.get("chance") is not None:
        chance = Cell(f"{100 * value['chance']:.1f}", pointer(file, *keys, "chance"), "percent")
    inside = value.get("inside")
    if inside is not None:
        return chance, "at chance, as it should" if inside else "NOT at chance: look for a leak"
    if value.get("p") is not None:
        return chance, ["p ", Cell(p_text(value["p"]), pointer(file, *keys, "p"), "p")]
    return chance, ""
