"""The cases that a classifier gets wrong while it is sure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from glcm_mae.report.blocks import (
    Block,
    Callout,
    Cell,
    Details,
    Gallery,
    Photograph,
    Section,
    Table,
    Text,
    Words,
)
from glcm_mae.report.facts import Facts, RunFacts

SHOWN, UNFOLDED = 30, 10
"""Mistakes of a run in its table, and those that stand there without unfolding it."""

Pictures = Mapping[str, bytes]
"""Small PNG files by the names of the images."""


@dataclass(frozen=True)
class Mistake:
    """One wrong call.

    Attributes:
        row: Its row in ``predictions.csv``, from 0.
        image: Name of the image, as stored.
        model: Number of the model that made it.
        truth: The true class.
        called: The class that got the highest probability.
        probability: That probability.
    """

    row: int
    image: str
    model: int
    truth: str
    called: str
    probability: float


def section(facts: Facts, pictures: Pictures | None = None) -> Section:
    """Return the most confident mistakes of each run.

    Args:
        facts: What the report is made of.
        pictures: Pictures of the images, or None where no patient may be shown.
    """
    blocks: list[Block] = [
        Text(
            "The mistakes in which the classifier was surest. A look at these images tells "
            "more than any score: is the label wrong, is the image poor, or is it a kind of "
            "case that the classifier does not know? Names are those of the table of images."
        )
    ]
    wrong = {run.name: {each.image for each in mistakes(run)} for run in facts.runs}
    for place, run in enumerate(facts.runs):
        found = mistakes(run)
        if not found:
            blocks.append(Callout("good", f"{run.name}: no image was called wrongly", [""]))
            continue
        if place == 0:
            blocks.append(_table(run, found[:UNFOLDED], len(found), wrong))
            if pictures is not None:
                blocks.append(_gallery(found[:SHOWN], pictures))
        summary = f"{run.name}: the {min(len(found), SHOWN)} surest mistakes"
        blocks.append(Details(summary, [_table(run, found[:SHOWN], len(found), wrong)]))
    return Section("mistakes", "Confident mistakes", "Which cases does it get wrong?", blocks)


def mistakes(run: RunFacts) -> list[Mistake]:
    """Return the wrong calls, the surest first; an image stands there once."""
    said = run.predictions
    called = said.probabilities.argmax(axis=1)
    sure = said.probabilities.max(axis=1)
    rows = np.flatnonzero(called != said.labels)
    found: dict[str, Mistake] = {}
    for row in rows[np.argsort(-sure[rows], kind="stable")].tolist():
        image = said.paths[row]
        mistake = Mistake(
            row=row,
            image=image,
            model=int(said.folds[row]),
            truth=said.classes[said.labels[row]],
            called=said.classes[called[row]],
            probability=float(sure[row]),
        )
        found.setdefault(image, mistake)
    return list(found.values())


def _table(
    run: RunFacts, found: Sequence[Mistake], count: int, wrong: Mapping[str, set[str]]
) -> Table:
    of = f"{run.name}/predictions.csv"
    others = [name for name in wrong if name != run.name]
    rows: list[list[Words]] = []
    for each in found:
        cells: list[Words] = [
            each.truth,
            each.called,
            Cell(f"{100 * each.probability:.1f}", of, f"probability {each.row}"),
            Cell(str(each.model), of, f"model {each.row}"),
        ]
        if others:
            also = [name for name in others if each.image in wrong[name]]
            cells.append(", ".join(also) or "no other")
        rows.append([each.image, *cells])
    also_head = ["Wrong in too"] if others else []
    heads = ["Image", "Is", "Called", "Probability (%)", "Model", *also_head]
    tested = len(set(run.predictions.paths))
    caption: Words = [
        f"{run.name}: the surest of ",
        Cell(f"{count:,}", of, "mistakes"),
        " wrongly called images of ",
        Cell(f"{tested:,}", of, "images"),
    ]
    return Table(caption, heads, rows)


def _gallery(found: Sequence[Mistake], pictures: Pictures) -> Gallery:
    return Gallery(
        [
            Photograph(
                pictures[each.image],
                f"{each.image}: is {each.truth}, called {each.called}",
                f"{each.image}: is {each.truth}, called {each.called} "
                f"({100 * each.probability:.0f} %)",
            )
            for each in found
            if each.image in pictures
        ]
    )
