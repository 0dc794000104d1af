"""The picture of the controls: a dot and its interval for each, and the line of chance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glcm_mae.controls.report import lines_of
from glcm_mae.controls.verdicts import LABELS
from glcm_mae.figures import ORIGINAL, QUIET, mark, new_figure, save_figure, styled

_PANELS = (
    ("AUROC (%) over all test images", ("trained_encoder", "random_encoder", "label_shuffle")),
    ("difference of AUROC (points)", ("training_adds", "texture_loss_off")),
    ("share of test images (%)", ("patient_probe",)),
)
_BESIDE = {"label_shuffle": "\n(a stroke is one shuffle)"}
_ORDER = tuple(name for _, names in _PANELS for name in names)


@styled
def draw_controls(
    paths: Sequence[Path], controls: Mapping[str, Mapping[str, Any]], *, title: str
) -> None:
    """Draw every control that was not skipped, a panel for each kind of number.

    Args:
        paths: Files to write, atomically; their endings tell the formats.
        controls: Content of ``controls.json`` under ``controls``.
        title: Line above the picture.
    """
    lines = {name: line for name, line in lines_of(controls).items() if "skipped" not in line}
    panels = [
        (label, [name for name in names if name in lines])
        for label, names in _PANELS
        if any(name in lines for name in names)
    ]
    heights = [len(names) + 0.9 for _, names in panels]
    figure, axes = new_figure(
        7.0, 0.6 + 0.42 * sum(heights), rows=len(panels), gridspec_kw={"height_ratios": heights}
    )
    for axis, (label, names) in zip(axes.flat, panels, strict=True):
        _draw_panel(axis, label, {name: lines[name] for name in names})
    figure.suptitle(title, fontsize=10, x=0.01, ha="left")
    save_figure(figure, *paths)


def _draw_panel(axis: Any, label: str, lines: Mapping[str, Mapping[str, Any]]) -> None:
    chance = 100 * next(iter(lines.values()))["chance"]
    axis.axvline(chance, color=ORIGINAL, linestyle="--", linewidth=1)
    for place, (name, line) in enumerate(lines.items()):
        _draw_line(axis, place, name, line)
    axis.set_yticks(range(len(lines)), [LABELS[name] + _BESIDE.get(name, "") for name in lines])
    axis.set_ylim(len(lines) - 0.4, -0.6)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel(label)
    word = "no difference" if chance == 0 else "chance"
    axis.annotate(
        word,
        (chance, 1),
        xycoords=("data", "axes fraction"),
        xytext=(3, 1),
        textcoords="offset points",
        fontsize=8,
        color=ORIGINAL,
    )
    axis.grid(axis="x")
    axis.spines["left"].set_visible(False)
    if "patient_probe" in lines:
        axis.set_xlim(-2, 102)


def _draw_line(axis: Any, place: int, name: str, line: Mapping[str, Any]) -> None:
    style = mark(_ORDER.index(name))
    shuffles = [100 * area for area in line.get("shuffles", ())]
    axis.plot(shuffles, [place] * len(shuffles), "|", color=QUIET, markersize=9)
    limits = [line["low"], line["high"]]
    if all(value is not None and value == value for value in limits):  # NaN is not itself
        axis.plot(
            [100 * value for value in limits], [place] * 2, color=style.colour, linewidth=2
        )
    axis.plot([100 * line["estimate"]], [place], style.marker, color=style.colour, markersize=6)
