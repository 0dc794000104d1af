"""Where a classifier looked, from what ``explain`` wrote."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from glcm_mae.report.blocks import (
    Block,
    Cell,
    Figure,
    Gallery,
    Photograph,
    Section,
    Table,
    Text,
    Words,
    missing,
)
from glcm_mae.report.charts import Axis, Chart, Dots, Drawn, Panel
from glcm_mae.report.citing import DASH, number_of, pointer
from glcm_mae.report.facts import Attachment, Facts
from glcm_mae.report.studies import folded_notes, section_of_studies

SHOWN = 12
"""Overlays of a study at most, so that the page can still be sent by mail."""

_METHODS = {"umap": "UMAP", "tsne": "t-SNE"}


def section(facts: Facts, *, with_images: bool) -> Section:
    """Return the map of features and the explained cases.

    Args:
        facts: What the report is made of.
        with_images: Whether overlays, which show patients, may stand there.
    """
    question = "What did the classifier look at?"
    command = "glcm-mae explain RUN --out DIR"
    return section_of_studies(
        facts,
        "explanations",
        Section("explanations", "Explanations", question),
        absent=missing("No explanations are beside these runs", command),
        intro=(
            "A map shows what moved the number, not that the reason is medically sound. Look "
            "for marks, borders and letters: a classifier that looks there has learnt the "
            "hospital, not the disease."
        ),
        of_run=partial(_of_run, with_images=with_images),
    )


def _of_run(attachment: Attachment, number: int, *, with_images: bool) -> list[Block]:
    told = attachment.content
    file = f"{attachment.folder.name}/explanations.json"
    blocks: list[Block] = []
    if told.get("map", {}).get("points"):
        blocks.append(Figure(_map(told, number)))
    cases = told.get("cases", ())
    if cases:
        blocks.append(_table(file, told, cases))
    if with_images:
        blocks.append(_overlays(attachment))
    elif cases:
        blocks.append(
            Text("Overlays show patients; --with_images true puts them here.", "soft")
        )
    return [*blocks, *folded_notes(told)]


def _map(told: Mapping[str, Any], number: int) -> Chart:
    """Draw one plane where all folds share it, else one a fold: their places say nothing."""
    points = told["map"]["points"]
    names = list(dict.fromkeys(str(point["class"]) for point in points))
    method = _METHODS.get(str(told["map"].get("method")), str(told["map"].get("method")))
    folds = sorted({int(point.get("fold", 0)) for point in points})
    shared = bool(told["map"].get("shared", len(folds) == 1))
    parts = [points] if shared else [_of_fold(points, fold) for fold in folds]
    axes = (Axis(f"{method} 1"), Axis(f"{method} 2"))
    titles = [""] if len(parts) == 1 else [f"fold {fold}" for fold in folds]
    panels = [
        Panel(title, _dots(part, names), *axes, height=1.4 if len(parts) == 1 else 1.0)
        for title, part in zip(titles, parts, strict=True)
    ]
    apart = "" if shared else " Each fold has an encoder and a plane of its own."
    return Chart(
        key="feature_map" if number == 0 else f"feature_map_{number}",
        caption=f"{told.get('run', '')}: features of the test images, laid out by {method}. "
        f"Near points look alike to the model; distances between clusters mean little.{apart}",
        alt=f"Map of {len(points)} images in {len(names)} classes: {', '.join(names)}",
        panels=panels,
        columns=min(2, len(panels)),
        wide=True,
    )


def _of_fold(points: Sequence[Mapping[str, Any]], fold: int) -> list[Mapping[str, Any]]:
    return [point for point in points if int(point.get("fold", 0)) == fold]


def _dots(points: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[Drawn]:
    """Return the images of a plane, each class with the marks of its place among all."""
    drawn: list[Drawn] = []
    for role, name in enumerate(names):
        own = [point for point in points if str(point["class"]) == name]
        labels = [f"{p['image']}: {name}, fold {p.get('fold', DASH)}" for p in own]
        x, y = ([float(point[axis]) for point in own] for axis in ("x", "y"))
        if own:
            drawn.append(Dots(x, y, name, role, labels=labels, size=3.5))
    return drawn


def _table(file: str, told: Mapping[str, Any], cases: Sequence[Mapping[str, Any]]) -> Table:
    rows: list[list[Words]] = []
    for place, case in enumerate(cases):
        nearest: list[Words] = []
        for rank, near in enumerate(case.get("nearest", ())[:3]):
            keys = ("cases", place, "nearest", rank, "similarity")
            nearest += ["; "] if nearest else []
            nearest += [f"{near['image']} ({near['class']}, "]
            nearest += [number_of(file, told, *keys, digits=2), ")"]
        probability = case.get("probability")
        text = DASH if probability is None else f"{100 * probability:.1f}"
        rows.append(
            [
                str(case["image"]),
                str(case["truth"]),
                str(case["predicted"]),
                Cell(text, pointer(file, "cases", place, "probability"), "percent"),
                "yes" if case.get("right") else "no",
                nearest,  # type: ignore[list-item]
            ]
        )
    heads = ["Image", "Is", "Called", "Probability (%)", "Right", "Nearest training images"]
    return Table(f"{told.get('run', '')}: explained cases", heads, rows)


def _overlays(attachment: Attachment) -> Gallery:
    pictures = []
    for case in attachment.content.get("cases", ())[:SHOWN]:
        name = str(case.get("picture") or "")
        path = (attachment.folder / name).resolve()
        inside = path.is_relative_to(attachment.folder.resolve())
        if inside and path.suffix == ".png" and path.is_file():
            said = f"{case['image']}: is {case['truth']}, called {case['predicted']}"
            pictures.append(Photograph(path.read_bytes(), f"Attention over {said}", said))
    return Gallery(pictures, wide=True)
