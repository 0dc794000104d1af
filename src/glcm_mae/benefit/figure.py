"""The plot of the panel: the score against the share of the labels."""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glcm_mae.benefit.contrasts import NAMES
from glcm_mae.files import write_atomically

_COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's colours, which the colour-blind tell apart."""

_LINES = ("-", "--", ":", "-.")
_MARKERS = ("o", "s", "^", "D")

_STEP = 1.02
"""Factor between the places of two lines along the axis of shares."""


def draw_benefit(
    path: Path, cells: Mapping[Any, Mapping[str, Any]], score: str, title: str
) -> None:
    """Draw a line for each system and protocol; a colour a system, a stroke a protocol.

    Args:
        path: PNG or SVG file to write, atomically.
        cells: Of each arm the score over all test images and its interval.
        score: Name of the score.
        title: Headline.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    systems = list(dict.fromkeys(arm.system for arm in cells))
    protocols = list(dict.fromkeys(arm.protocol for arm in cells))
    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes = figure.add_subplot()
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
            style = protocols.index(protocol) % len(_LINES)
            colour = _COLOURS[systems.index(system) % len(_COLOURS)]
            _draw_line(axes, line, f"{system}, {protocol}", colour, style)
    shares = sorted({100 * arm.share for arm in cells})
    axes.set_xscale("log")
    axes.set_xticks(shares, [f"{share:g} %" for share in shares])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("share of the training labels")
    axes.set_ylabel(f"{NAMES[score]} (%) over all test images, with its interval")
    axes.set_title(title, fontsize=9, loc="left", wrap=True)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    stream = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "glcm-mae"}):  # the same bytes for the same numbers
        figure.savefig(
            stream, format=path.suffix[1:], dpi=150, metadata=_WITHOUT_DATE.get(path.suffix)
        )
    write_atomically(path, stream.getvalue())


_WITHOUT_DATE = {".svg": {"Date": None}, ".png": {"Software": None}}


def _draw_line(axes: Any, line: list[Any], label: str, colour: str, style: int) -> None:
    shares = [share for share, _ in line]
    axes.plot(
        shares,
        [_percent(cell["estimate"]) for _, cell in line],
        _LINES[style],
        marker=_MARKERS[style],
        color=colour,
        label=label,
        markersize=4,
    )
    low, high = ([_percent(cell[name]) for _, cell in line] for name in ("low", "high"))
    axes.vlines(shares, low, high, color=colour, alpha=0.6, linewidth=1)


def _percent(value: float | None) -> float:
    return float("nan") if value is None else 100 * value
