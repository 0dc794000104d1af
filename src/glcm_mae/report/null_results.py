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
    Text,
    Words,
    missing,
)
from glcm_mae.report.charts import Axis, Chart, Dots, Drawn, Line, Panel
from glcm_mae.report.citing import found, limits_of, pointer
from glcm_mae.report.facts import Attachment, Facts
from glcm_mae.report.studies import folded_notes, strangers

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
    told = facts.attached.get("controls", ())
    if not told:
        command = "glcm-mae controls RUN --out DIR"
        blocks: list[Block] = [missing("No negative controls are beside these runs", command)]
        return Section("controls", "Negative controls", question, blocks)
    blocks = [
        Text(
            "A control that should fail and does not shows a leak. Shuffled labels must give "
            "chance; a random encoder shows what the images give away by themselves."
        )
    ]
    for number, attachment in enumerate(told):
        blocks += strangers(facts, [str(attachment.content.get("run", ""))])
        blocks += _of_run(attachment, number)
    return Section("controls", "Negative controls", question, blocks)


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
    places = [float(len(known) - 1 - place) for place in range(len(known))]
    edge = (-0.6, len(known) - 0.4)
    chances = [value["chance"] for value in known.values() if value.get("chance") is not None]
    drawn: list[Drawn] = []
    if chances:
        drawn.append(Line([100 * chances[0]] * 2, list(edge), "chance", "quiet"))
    said = []
    for (name, value), place in zip(known.items(), places, strict=True):
        middle = 100 * value["estimate"]
        low, high = (
            middle if value.get(key) is None else 100 * value[key] for key in ("low", "high")
        )
        label = LABELS[name]
        said.append(f"{label}: {middle:.1f} [{low:.1f}, {high:.1f}]")
        drawn.append(
            Dots([middle], [place], "control", 0, [low], [high], "x", [said[-1]], size=6)
        )
    names = [LABELS[name] for name in known]
    score = str(told.get("score", "score")).upper()
    panel = Panel(
        "",
        drawn,
        Axis(f"{score} (%)"),
        Axis("", edge, places, names),
        height=max(0.6, 0.16 * len(known) + 0.3),
    )
    return Chart(
        key="controls" if number == 0 else f"controls_{number}",
        caption=f"{told.get('run', '')}: controls with their intervals. Dotted: chance.",
        alt="; ".join(said),
        panels=[panel],
        columns=1,
        wide=True,
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
