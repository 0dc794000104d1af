"""Decisions: who was called what, and what a chosen threshold gives and costs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Cell,
    Columns,
    Details,
    Heading,
    Section,
    Table,
    Text,
    Words,
    missing,
)
from glcm_mae.report.citing import found, interval_of, number_of, pointer
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.report.overview import confidence_of
from glcm_mae.scoreboard.cells import LABELS

_AT_THRESHOLD = ("sensitivity", "specificity", "ppv", "npv", "balanced_accuracy", "accuracy")


def section(facts: Facts) -> Section:
    """Return confusion matrices and operating points of all runs."""
    blocks: list[Block] = [
        Text(
            "Each row is the truth, each column the call; the darker a cell, the larger its "
            "share of the row. Off the diagonal stand the mistakes.",
            "soft",
        ),
        Columns([_matrix(run) for run in facts.runs]),
        Heading("At the chosen threshold"),
        *_operating_points(facts),
    ]
    return Section("decisions", "Decisions", "Who is called rightly, and who is not?", blocks)


def confusion(run: RunFacts) -> NDArray[np.int64]:
    """Count test images by true class (rows) and class of highest probability (columns).

    Where the images were gone through several times, an image counts once a pass.
    """
    said = run.predictions
    counts = np.zeros((len(said.classes), len(said.classes)), dtype=np.int64)
    np.add.at(counts, (said.labels, said.probabilities.argmax(axis=1)), 1)
    return counts


def passes(run: RunFacts) -> int:
    """Return how many times the images were gone through."""
    return len(np.unique(run.predictions.repeat))


def _matrix(run: RunFacts) -> Table:
    counts = confusion(run)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    of = f"{run.name}/predictions.csv"
    rows: list[list[Words]] = []
    for place, name in enumerate(run.predictions.classes):
        cells = [
            Cell(
                f"{counts[place, other]:,} ({100 * shares[place, other]:.1f} %)",
                of,
                f"confusion {place} {other}",
                float(shares[place, other]),
            )
            for other in range(len(counts))
        ]
        rows.append([f"is {name}", *cells])
    many = passes(run)
    repeated = f"; every image counts {many} times, once a pass" if many > 1 else ""
    caption = (
        f"{run.name}: images (share of the row); called by the highest probability{repeated}"
    )
    heads = ["", *(f"called {name}" for name in run.predictions.classes)]
    return Table(caption, heads, rows, "matrix")


def _operating_points(facts: Facts) -> Iterator[Block]:
    having = [run for run in facts.runs if run.judged.get("operating_point")]
    for run in facts.runs:
        if run not in having:
            why = next((n for n in run.judged.get("notes", ()) if "operating point" in n), "")
            yield missing(
                f"{run.name}: no threshold was chosen{f' ({why})' if why else ''}; it takes a "
                "positive class",
                "glcm-mae crossval --data.positive CLASS",
            )
    if not having:
        return
    first: Mapping[str, Any] = having[0].judged["operating_point"]
    rule = first["rule"]
    named = "Youden's index (sensitivity + specificity - 1)"
    by = named if rule == "youden" else f"a sensitivity of {100 * rule:g} %"
    yield Text(
        f"The threshold was chosen on the inner part of each fold by {by}, and only then "
        f"applied to its test part. Positive: {first.get('positive') or having[0].positive}."
    )
    yield _point_table(having)
    yield Bullets([_in_people(run) for run in having])
    yield Details("Threshold of each model", [_thresholds(having)])


def _point_table(runs: list[RunFacts]) -> Table:
    rows: list[list[Words]] = []
    for run in runs:
        keys = ("systems", run.system, "operating_point")
        cells = [interval_of(run, name, *keys, "pooled", name) for name in _AT_THRESHOLD]
        rows.append([run.name, *cells])
    heads = ["Run", *(LABELS[name] for name in _AT_THRESHOLD)]
    confidence = confidence_of(runs[0])
    return Table(f"Scores at the threshold, {confidence} intervals", heads, rows)


def _thresholds(runs: list[RunFacts]) -> Table:
    names = [f"Model {key}" for key in runs[0].judged["operating_point"]["thresholds"]]
    return model_numbers(
        runs, ("operating_point", "thresholds"), "Threshold of each model", names
    )


def model_numbers(
    runs: Sequence[RunFacts], way: Sequence[str], caption: str, names: Sequence[str]
) -> Table:
    """Return a table of one number a model, one row a run.

    Args:
        runs: The runs.
        way: Way to the numbers below the system's scores, an object by model.
        caption: Of the table.
        names: Of the models.
    """
    rows: list[list[Words]] = []
    for run in runs:
        keys = ("systems", run.system, *way)
        models = list(found(run.scores, *keys) or ())[: len(names)]
        cells: list[Words] = [
            number_of(f"{run.name}/scores.json", run.scores, *keys, model) for model in models
        ]
        rows.append(
            [run.name, *cells, *[Cell("–", form="number")] * (len(names) - len(models))]
        )
    return Table(caption, ["Run", *names], rows)


def _in_people(run: RunFacts) -> Words:
    """Say sensitivity and specificity as numbers of people, which are read more rightly."""
    keys = ("systems", run.system, "operating_point", "pooled")
    parts = []
    for score in ("sensitivity", "specificity"):
        value = found(run.scores, *keys, score, "estimate")
        of = pointer(f"{run.name}/scores.json", *keys, score, "estimate")
        if value is None:
            return f"{run.name}: the scores at the threshold have no meaning."
        parts.append((round(100 * value), of))
    (caught, of_caught), (cleared, of_cleared) = parts
    return [
        f"{run.name}: of 100 positive images ({run.positive}) it would call ",
        Cell(str(caught), of_caught, "of 100"),
        " and miss ",
        Cell(str(100 - caught), of_caught, "rest of 100"),
        "; of 100 others it would clear ",
        Cell(str(cleared), of_cleared, "of 100"),
        " and raise ",
        Cell(str(100 - cleared), of_cleared, "rest of 100"),
        " false alarms.",
    ]
