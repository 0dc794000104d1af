"""The plot of the panel: the score against the share of the labels."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from glcm_mae.benefit.contrasts import NAMES
from glcm_mae.figures import Mark, mark, new_figure, save_figure, styled

_STEP = 1.02
"""Factor between the places of two lines along the axis of shares."""


@styled
def draw_benefit(
    paths: Sequence[Path], cells: Mapping[Any, Mapping[str, Any]], score: str, title: str
) -> None:
    """Draw a line for each system and protocol; a colour a system, a stroke a protocol.

    Args:
        paths: Files to write, atomically; their endings tell the formats.
        cells: Of each arm the score over all test images and its interval.
        score: Name of the score.
        title: Headline.
    """
    systems = list(dict.fromkeys(arm.system for arm in cells))
    protocols = list(dict.fromkeys(arm.protocol for arm in cells))
    figure, ((axes,),) = new_figure(7.2, 4.6)
    lines = len(systems) * len(protocols)
    for system in systems:
        for protocol in protocols:
            place = systems.index(system) + len(systems) * protocols.index(protocol)
            beside = _STEP ** (place - (lines - 1) / 2)  # so that no interval hides another
            line = [
                (100 * arm.share * beside, cell)
                for arm, cell in cells.items()
                if (arm.system, arm.protocol) == (system, protocol)
            ]
            style = mark(systems.index(system), protocols.index(protocol))
            _draw_line(axes, line, f"{system}, {protocol}", style)
    shares = sorted({100 * arm.share for arm in cells})
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:g} %" for share in shares])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("share of the training labels")
    axes.set_ylabel(f"{NAMES[score]} (%) over all test images, with its interval")
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.grid()
    figure.legend(loc="outside right upper")
    save_figure(figure, *paths)


def _draw_line(axes: Any, line: list[Any], label: str, style: Mark) -> None:
    shares = [share for share, _ in line]
    axes.plot(
        shares,
        [_percent(cell["estimate"]) for _, cell in line],
        style.stroke,
        marker=style.marker,
        color=style.colour,
        label=label,
    )
    low, high = ([_percent(cell[name]) for _, cell in line] for name in ("low", "high"))
    axes.vlines(shares, low, high, color=style.colour, alpha=0.6, linewidth=1)


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100 * value
