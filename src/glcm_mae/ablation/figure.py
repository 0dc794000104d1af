"""The figure of an ablation: a row a study, a panel a score."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from glcm_mae.ablation.contrasts import NAMES
from glcm_mae.ablation.report import Ablation
from glcm_mae.ablation.restorations import ERROR
from glcm_mae.ablation.studies import Point, Study, as_told, short_names, show, with_base
from glcm_mae.figures import (
    BAND,
    ORIGINAL,
    QUIET,
    colour,
    mark,
    new_figure,
    save_figure,
    styled,
)
from glcm_mae.statistics import Interval

WIDTH, HEIGHT, LINE = 7.2, 2.3, 0.24
"""Inches: width of the page, least height of a row, height of a line of a dot plot."""
DECADE = 10.0
"""Ratio of the largest to the smallest value from which on an axis is logarithmic."""
_APART = 1.02
MOST_LINES = 4
"""Lines of a panel; a grid with more values of both factors is a map."""


@dataclass(frozen=True)
class _Panel:
    """One score of the figure.

    Attributes:
        name: Name of the score.
        label: What the axis says.
        factor: What values are multiplied by.
    """

    name: str
    label: str
    factor: float


@styled
def draw_ablation(found: Ablation, *paths: Path) -> None:
    """Draw the score, the texture error and the PSNR of every variant, with their intervals.

    One numeric factor is a line over its values, two are lines or a map, and variants by
    name are points.

    Args:
        found: What the ablation found.
        paths: Files to write, atomically; their endings tell the formats.
    """
    panels = [_Panel(found.score, f"{NAMES[found.score]} (%)", 100.0)]
    if any(outcome.measures for outcome in found.outcomes.values()):
        panels += [_Panel(ERROR, "texture error (%)", 100.0), _Panel("psnr", "PSNR (dB)", 1.0)]
    studies = [with_base(study) for study in found.studies]
    heights = [_height(study) for study in studies]
    figure, axes = new_figure(
        WIDTH,
        sum(heights) + 0.3,
        rows=len(studies),
        columns=len(panels),
        gridspec_kw={"height_ratios": heights},
    )
    for study, row in zip(studies, axes, strict=True):
        for panel, one in zip(panels, row, strict=True):
            _draw(one, found, study, panel)
        for one in row[1:]:
            if _is_dots(study):
                one.set_yticklabels([])
        own = row[0].get_title()
        row[0].set_title("")
        named = f"{study.name}: {own}" if own else study.name
        row[0].set_title(named, loc="left", fontsize=9, fontweight="bold")
    figure.suptitle(found.title, fontsize=9, x=0.01, ha="left")
    save_figure(figure, *paths)


def _height(study: Study) -> float:
    if not _is_dots(study):
        return HEIGHT
    return max(1.2, 0.75 + LINE * len(study.points))


def _draw(axes: Any, found: Ablation, study: Study, panel: _Panel) -> None:
    if _is_dots(study):
        _draw_dots(axes, found, study, panel)
        axes.set_xlabel(panel.label)
        axes.grid(axis="x")
        return
    points = [point for point in study.points if point.values]
    if len(study.factors) == 1:
        places = [float(point.values[0]) for point in points]
        _draw_curve(axes, places, [_at(found, point, panel) for point in points], 0, "")
        _draw_base(axes, found, study, panel)
        _scale(axes, [float(point.values[0]) for point in points])
        axes.set_xlabel(short_names(study.factors)[study.factors[0]])
    elif _is_map(study):
        _draw_map(axes, found, study, panel)
        return
    else:
        _draw_lines(axes, found, study, panel)
    axes.set_ylabel(panel.label)
    axes.grid()


def _is_dots(study: Study) -> bool:
    """Say whether a study is drawn as points: names, three factors, or no numbers."""
    if len(study.factors) not in (1, 2):
        return True
    return not _numeric(study, 0) and not (len(study.factors) == 2 and _numeric(study, 1))


def _numeric(study: Study, factor: int) -> bool:
    values = [point.values[factor] for point in study.points if point.values]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _is_map(study: Study) -> bool:
    return all(len(_values(study, factor)) > MOST_LINES for factor in (0, 1))


def _values(study: Study, factor: int) -> list[Any]:
    found: list[Any] = []
    for point in study.points:
        if point.values and point.values[factor] not in found:  # which may be a table
            found.append(point.values[factor])
    return found


def _at(found: Ablation, point: Point, panel: _Panel) -> Interval:
    """Return what a panel shows of a variant; NaN where there is nothing."""
    outcome = found.outcomes[point.variant]
    nan = float("nan")
    if panel.name in outcome.measures:
        return Interval(*(panel.factor * value for value in outcome.measures[panel.name]))
    scores = outcome.scores.get(panel.name)
    if scores is None:
        return Interval(nan, nan, nan)
    numbers = (scores[part] for part in ("estimate", "low", "high"))
    return Interval(*(nan if value is None else panel.factor * value for value in numbers))


def _draw_dots(axes: Any, found: Ablation, study: Study, panel: _Panel) -> None:
    """Draw a line of its own for each variant, the first on top; the base is gray."""
    for place, point in enumerate(study.points):
        item = _at(found, point, panel)
        if not isfinite(item.estimate):
            continue
        shade = ORIGINAL if point.variant == study.base else colour(0)
        axes.hlines(place, item.low, item.high, color=shade, alpha=0.6)
        axes.plot(item.estimate, place, "s" if shade == ORIGINAL else "o", color=shade)
        if point.variant == study.base:
            axes.axvline(item.estimate, color=QUIET, linewidth=0.7, linestyle=":")
    axes.set_ylim(len(study.points) - 0.5, -0.5)
    labels = [_told(found, point, study) for point in study.points]
    axes.set_yticks(range(len(labels)), labels)


def _told(found: Ablation, point: Point, study: Study) -> str:
    state = found.outcomes[point.variant].state
    more = {"done": "", "failed": ": failed", "open": ": not run"}[state]
    label = point.label
    if len(study.factors) == 1 and point.values:  # the row says which setting it is
        label = show(point.values[0])
    return f"{as_told(replace(point, label=label), study)}{more}"


def _draw_curve(
    axes: Any, places: Sequence[float], items: Sequence[Interval], number: int, label: str
) -> None:
    known = sorted(
        (place, item)
        for place, item in zip(places, items, strict=True)
        if isfinite(item.estimate)
    )
    style = mark(number, number)
    values = [place for place, _ in known]
    axes.plot(
        values,
        [item.estimate for _, item in known],
        style.stroke,
        marker=style.marker,
        color=style.colour,
        label=label or None,
    )
    axes.vlines(
        values,
        [item.low for _, item in known],
        [item.high for _, item in known],
        color=style.colour,
        alpha=0.6,
        linewidth=1,
    )


def _draw_base(axes: Any, found: Ablation, study: Study, panel: _Panel) -> None:
    """Draw the base as a line over all values, with its interval as a band."""
    item = _at(found, Point(study.base, (), study.base), panel)
    if not isfinite(item.estimate):
        return
    axes.axhline(item.estimate, color=ORIGINAL, linewidth=0.8, linestyle=":", label="base")
    if isfinite(item.low):
        axes.axhspan(item.low, item.high, color=ORIGINAL, alpha=BAND / 2, linewidth=0)


def _scale(axes: Any, values: Sequence[float]) -> None:
    if _spans_decades(values):
        axes.set_xscale("log")
    ticks = sorted(set(values))
    if len(ticks) <= 8:
        axes.set_xticks(ticks, [show(value) for value in ticks])
        axes.set_xticks([], minor=True)


def _spans_decades(values: Sequence[float]) -> bool:
    return min(values) > 0 and max(values) / min(values) >= DECADE


def _draw_lines(axes: Any, found: Ablation, study: Study, panel: _Panel) -> None:
    """Draw a line for each value of one factor over the values of the other."""
    along = 0 if _numeric(study, 0) else 1
    other = 1 - along
    names = short_names(study.factors)
    points = [point for point in study.points if point.values]
    along_values = [float(value) for value in _values(study, along)]
    for number, value in enumerate(_values(study, other)):
        chosen = [point for point in points if point.values[other] == value]
        items = [_at(found, point, panel) for point in chosen]
        shift = number - (len(_values(study, other)) - 1) / 2
        places = [_beside(point.values[along], shift, along_values) for point in chosen]
        label = f"{names[study.factors[other]]} {show(value)}"
        _draw_curve(axes, places, items, number, label)
    _draw_base(axes, found, study, panel)
    _scale(axes, along_values)
    axes.set_xlabel(names[study.factors[along]])
    if panel.name == found.score:
        axes.legend(fontsize=7, frameon=False)


def _beside(value: float, shift: float, values: Sequence[float]) -> float:
    """Return a place a little beside a value, so that no interval hides another."""
    if _spans_decades(values):
        return float(value * _APART**shift)
    return float(value) + (_APART - 1) * shift * (max(values) - min(values))


def _draw_map(axes: Any, found: Ablation, study: Study, panel: _Panel) -> None:
    """Draw a cell for each combination, with its number in it."""
    rows, columns = _values(study, 0), _values(study, 1)
    cells = [[float("nan")] * len(columns) for _ in rows]
    for point in study.points:
        if point.values:
            row, column = rows.index(point.values[0]), columns.index(point.values[1])
            cells[row][column] = _at(found, point, panel).estimate
    picture = axes.imshow(cells, cmap="cividis", aspect="auto")
    for row, line in enumerate(cells):
        for column, value in enumerate(line):
            if isfinite(value):
                shade = "black" if picture.norm(value) > 0.5 else "white"
                axes.text(
                    column, row, f"{value:.1f}", ha="center", va="center", color=shade, size=7
                )
    names = short_names(study.factors)
    axes.set_xticks(range(len(columns)), [show(value) for value in columns])
    axes.set_yticks(range(len(rows)), [show(value) for value in rows])
    axes.set_xlabel(names[study.factors[1]])
    axes.set_ylabel(names[study.factors[0]])
    axes.set_title(panel.label, fontsize=9)
