"""What is written of an examination: JSON, CSV, Markdown and a figure."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glcm_mae.data.corruptions import CORRUPTIONS, SEVERITIES
from glcm_mae.figures import BAND, ORIGINAL, mark, new_figure, save_figure, styled
from glcm_mae.robustness.damage import SCORES, Condition, Damage
from glcm_mae.scoreboard import interval_cell, shown
from glcm_mae.statistics import Interval

HEADINGS = (
    "Corruption (%)",
    "clean",
    *(f"level {severity}" for severity in SEVERITIES),
    "mean drop",
)
EXTERNAL_HEADINGS = ("External set (%)", "Value")


def as_dict(interval: Interval) -> dict[str, float]:
    """Return an interval for JSON."""
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def facts_of(damage: Damage) -> dict[str, Any]:
    """Return what was found, for JSON."""
    kinds = {}
    for kind, means in damage.mean_drops.items():
        levels = []
        for severity, level in zip(SEVERITIES, CORRUPTIONS[kind].levels, strict=True):
            key = kind, severity
            levels.append(
                {
                    "severity": severity,
                    "level": level,
                    "scores": {name: as_dict(damage.scores[key][name]) for name in SCORES},
                    "drops": {name: as_dict(damage.drops[key][name]) for name in SCORES},
                }
            )
        kinds[kind] = {
            "parameter": CORRUPTIONS[kind].parameter,
            "levels": levels,
            "mean_drop": {name: as_dict(means[name]) for name in SCORES},
        }
    return {
        "clean": {name: as_dict(damage.clean[name]) for name in SCORES},
        "corruptions": kinds,
        "mean_drop": {name: as_dict(damage.mean_drop[name]) for name in SCORES},
    }


def format_csv(damage: Damage) -> str:
    """Return one line for each corruption, severity and score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    limits = ("estimate", "low", "high", "drop", "drop_low", "drop_high")
    writer.writerow(["corruption", "severity", "level", "score", *limits])
    for name in SCORES:
        writer.writerow(["clean", 0, "", name, *damage.clean[name], 0.0, 0.0, 0.0])
    for (kind, severity), scores in damage.scores.items():
        level = CORRUPTIONS[kind].levels[severity - 1]
        for name in SCORES:
            drop = damage.drops[kind, severity][name]
            writer.writerow([kind, severity, level, name, *scores[name], *drop])
    return text.getvalue()


def rows_of(damage: Damage, score: str) -> list[list[str]]:
    """Return the cells of the table: percent, the mean drop with its interval."""
    rows = []
    clean = shown(damage.clean[score].estimate)
    for kind, means in damage.mean_drops.items():
        cells = [
            shown(damage.scores[kind, severity][score].estimate) for severity in SEVERITIES
        ]
        rows.append([kind, clean, *cells, interval_cell(as_dict(means[score]))])
    blank = [""] * len(SEVERITIES)
    rows.append(["mean", clean, *blank, interval_cell(as_dict(damage.mean_drop[score]))])
    return rows


def external_rows(judged: Mapping[str, Any]) -> list[list[str]]:
    """Return name and value of the pooled scores on an external table, in percent."""
    names = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "auprc")
    rows = [[name, interval_cell(judged["pooled"][name])] for name in names]
    point = judged["operating_point"]
    if point is not None:
        for name in ("sensitivity", "specificity"):
            value = interval_cell(point["pooled"][name])
            rows.append([f"{name} at the operating point", value])
    return rows


@styled
def draw_curves(paths: Sequence[Path], damage: Damage, score: str, *, title: str) -> None:
    """Draw the score against the severity, a panel a corruption, bands as intervals.

    Args:
        paths: Files to write, atomically; their endings tell the formats.
        damage: What was found.
        score: Which score.
        title: Line above the picture.
    """
    kinds = list(damage.mean_drops)
    columns = min(4, len(kinds))
    lines = -(-len(kinds) // columns)
    size = (2.6 * columns, 2.2 * lines + 0.5)
    figure, axes = new_figure(*size, rows=lines, columns=columns, sharex=True, sharey=True)
    for axis, kind in zip(axes.flat, kinds, strict=False):
        _panel(axis, kind, damage, score)
    for axis in list(axes.flat)[len(kinds) :]:
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.supxlabel("severity (0: clean)", fontsize=9)
    figure.supylabel(score.replace("_", " "), fontsize=9)
    save_figure(figure, *paths)


def _panel(axis: Any, kind: str, damage: Damage, score: str) -> None:
    keys: Sequence[Condition] = [(kind, severity) for severity in SEVERITIES]
    intervals = [damage.clean[score], *(damage.scores[key][score] for key in keys)]
    places = [0, *SEVERITIES]
    low, high = ([getattr(one, side) for one in intervals] for side in ("low", "high"))
    own = mark(0)
    axis.fill_between(places, low, high, color=own.colour, alpha=BAND, linewidth=0)
    estimates = [one.estimate for one in intervals]
    axis.plot(places, estimates, color=own.colour, marker=own.marker, markersize=3)
    axis.axhline(damage.clean[score].estimate, color=ORIGINAL, linestyle="--", linewidth=0.8)
    axis.set_title(kind.replace("_", " "), fontsize=9)
    axis.set_xticks(places)
    axis.tick_params(labelsize=7)
