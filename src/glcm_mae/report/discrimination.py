"""ROC and precision-recall curves of all test images, with bands from resampled groups."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.pooling import Pool
from glcm_mae.report.blocks import Block, Figure, Section, Text
from glcm_mae.report.charts import Axis, Chart, Drawn, Line, Panel
from glcm_mae.report.citing import found
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.statistics import percentile_interval, resample_blocks
from glcm_mae.statistics.curves import precision_curves, roc_curves

GRID = np.linspace(0.0, 1.0, 101)
"""Places at which curves are drawn."""

RESAMPLES = 500
"""Resamples of the bands: enough for limits that are only looked at."""

Floats = NDArray[np.float64]
Curves = Callable[[NDArray[np.bool_], Floats, Floats, Floats], Floats]


@dataclass(frozen=True)
class Curve:
    """A curve of all test images with its band.

    Attributes:
        x: False alarm rates, or recalls.
        y: Sensitivities, or precisions.
        low: Lower limits.
        high: Upper limits.
    """

    x: Floats
    y: Floats
    low: Floats
    high: Floats


def section(facts: Facts) -> Section:
    """Return ROC and precision-recall curves of each class that is asked for."""
    blocks: list[Block] = [
        Text(
            "All test images together; the band holds the curve of other patients like these "
            "in 95 of 100 cases at any one place (groups were resampled). Where several models "
            "were tested, the curve mixes their scales, which their mean over folds does not.",
            "soft",
        )
    ]
    for number, name in enumerate(asked_classes(facts.runs[0])):
        charts = [Figure(chart) for chart in _charts(facts, name, number)]
        none = Text(f"{name}: no curve, for the test images are all of one kind.", "soft")
        blocks += charts or [none]
    question = "How well are the classes told apart, whatever the threshold?"
    return Section("curves", "ROC and precision-recall", question, blocks)


def asked_classes(run: RunFacts) -> list[str]:
    """Return the positive class, or all classes where none is."""
    return [run.positive] if run.positive else run.classes


def _charts(facts: Facts, name: str, number: int) -> Iterator[Chart]:
    having = [(p, run) for p, run in enumerate(facts.runs) if name in run.predictions.classes]
    every = [(place, run, pool_of(run, name)) for place, run in having]
    pools = [entry for entry in every if 0.0 < _prevalence(entry[2]) < 1.0]
    if not pools:
        return
    roc: list[Drawn] = [Line([0.0, 1.0], [0.0, 1.0], "chance", "quiet")]
    share = _prevalence(pools[0][2])
    precision: list[Drawn] = [Line([0.0, 1.0], [share, share], "chance", "quiet")]
    for place, run, pool in pools:
        roc.append(_line(roc_curve(pool, seed=_seed(run)), run, place))
        precision.append(_line(precision_curve(pool, seed=_seed(run)), run, place))
    unit = (0.0, 1.01)
    panels = [
        Panel(
            f"ROC, {name}",
            roc,
            Axis("1 - specificity", (-0.01, 1.0)),
            Axis("sensitivity", unit),
            "square",
            1.15,
        ),
        Panel(
            f"Precision-recall, {name}",
            precision,
            Axis("recall (sensitivity)", (-0.01, 1.0)),
            Axis("precision (PPV)", unit),
            "square",
            1.15,
        ),
    ]
    yield Chart(
        key="curves" if number == 0 else f"curves_{number}",
        caption=f"{name} against the rest, with 95 % bands of {RESAMPLES} resamples. Dotted: "
        "chance. The nearer a curve comes to the upper left (ROC) or upper right corner "
        "(precision-recall), the better.",
        alt=f"Curves of {name}. " + "; ".join(_area(run, name) for _, run, _ in pools),
        panels=panels,
    )


def _seed(run: RunFacts) -> int:
    return int(run.settings.get("seed") or 0)


def _line(curve: Curve, run: RunFacts, place: int) -> Line:
    columns = (curve.x, curve.y, curve.low, curve.high)
    x, y, low, high = ([round(value, 4) for value in column.tolist()] for column in columns)
    return Line(x, y, run.name, place, place, low, high)


def _area(run: RunFacts, name: str) -> str:
    judged = run.judged
    one = found(judged, "per_class", name) if len(run.classes) > 2 else judged.get("pooled")
    area = found(one, "auroc", "estimate")
    return f"{run.name}: AUROC {100 * area:.1f} %" if area is not None else run.name


def pool_of(run: RunFacts, name: str) -> Pool:
    """Return the test images of a run, one class against the rest."""
    said = run.predictions
    place = said.classes.index(name)
    two = said.probabilities.shape[1] == 2
    cases = Cases.of(said.labels, said.probabilities, place if two else None)
    return Pool(cases if two else cases.merged(place), said.clusters, said.repeat)


def _prevalence(pool: Pool) -> float:
    return float(pool.cases.came_true.mean())


def roc_curve(pool: Pool, *, seed: int, resamples: int = RESAMPLES) -> Curve:
    """Return the sensitivity at every false alarm rate, mean over passes, with its band."""
    return _curve(pool, roc_curves, GRID, seed, resamples)


def precision_curve(pool: Pool, *, seed: int, resamples: int = RESAMPLES) -> Curve:
    """Return the precision at every recall, mean over passes, with its band."""
    return _curve(pool, precision_curves, GRID[1:], seed, resamples)


def _curve(pool: Pool, of: Curves, grid: Floats, seed: int, resamples: int) -> Curve:
    strata = pool.strata
    numbers = np.arange(len(strata))
    blocks = resample_blocks(numbers, strata, resamples=resamples, seed=seed)
    whole = _of_passes(pool, of, np.ones((1, len(strata))), grid)[0]
    drawn = np.concatenate([_of_passes(pool, of, block, grid) for block in blocks])
    limits: Sequence[tuple[float, float]] = [
        percentile_interval(float(value), column, len(strata))[1:]
        for value, column in zip(whole, drawn.T, strict=True)
    ]
    low, high = np.array(limits).T
    return Curve(grid, whole, low, high)


def _of_passes(pool: Pool, of: Curves, weights: Floats, grid: Floats) -> Floats:
    """Return the mean over passes of the curves, for weights of the clusters."""
    found = []
    for rows in pool.passes:
        cases = pool.cases.rows(rows)
        own = weights[:, pool.clusters[rows]]
        found.append(of(cases.came_true, cases.confidence, own, grid))
    return np.asarray(np.mean(found, axis=0))
