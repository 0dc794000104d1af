"""Charts for print and for readers without script: the same data, drawn by matplotlib."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.figures import BAND, ORIGINAL, QUIET, Mark, colour, mark, new_figure, styled
from glcm_mae.report.charts import Axis, Bars, Chart, Dots, Drawn, Line, Panel, Role
from glcm_mae.report.interactive import broken_name

_WIDTH, _ROW = 7.2, 2.6
"""Inches: the width of a page, and the height of a row of panels."""

_STROKES = ("-", "--", ":", "-.")


@styled
def draw_chart(chart: Chart) -> Any:
    """Draw all panels of a chart.

    Returns:
        A figure for :func:`glcm_mae.figures.save_figure`.

    Example:
        >>> line = Line([0.0, 1.0], [0.0, 1.0], "chance", "original")
        >>> figure = draw_chart(Chart("roc", "", "", [Panel("ROC", [line])]))
        >>> [axes.get_title(loc="left") for axes in figure.axes]
        ['ROC']
    """
    columns = 1 if chart.wide else min(chart.columns, len(chart.panels))
    rows = [chart.panels[at : at + columns] for at in range(0, len(chart.panels), columns)]
    tall = [max(map(_share_of_row, row)) for row in rows]
    figure, grid = new_figure(
        _WIDTH,
        _ROW * sum(tall) + 0.35,
        rows=len(rows),
        columns=columns,
        gridspec_kw={"height_ratios": tall},
    )
    for places, row in zip(grid, rows, strict=True):
        _draw_row(figure, places, row)
    _legend(figure)
    return figure


def _share_of_row(panel: Panel) -> float:
    """Return the height of a panel in rows; what is square needs more of it."""
    return panel.height if panel.kind == "plane" else panel.height + 0.2


def _draw_row(figure: Any, places: Any, row: Sequence[Panel]) -> None:
    for place in places[len(row) :]:
        place.set_visible(False)
    for number, panel in enumerate(row):
        axes = places[number]
        axes = _polar(figure, axes) if panel.kind == "radar" else axes
        _draw_panel(axes, panel)
        if number and panel.y.names and panel.y == row[number - 1].y:
            axes.set_yticklabels([])  # the neighbour names the same rows


@styled
def draw_matrix(counts: NDArray[np.int64], names: Sequence[str], title: str) -> Any:
    """Draw a confusion matrix: counts, and shares of the rows as the depth of the ground.

    Args:
        counts: Images by true class (rows) and class called (columns).
        names: Of the classes.
        title: Headline.
    """
    from matplotlib.colors import LinearSegmentedColormap

    side = 1.6 + 0.75 * len(names)
    figure, ((axes,),) = new_figure(side, side)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    ground = LinearSegmentedColormap.from_list("ground", ["white", colour(0)])
    axes.pcolormesh(shares, cmap=ground, vmin=0, vmax=1, edgecolors="white", linewidth=1)
    for (row, column), count in np.ndenumerate(counts):
        share = shares[row, column]
        ink = "white" if share > 0.55 else "black"
        text = f"{count:,}\n{100 * share:.1f} %"
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=ink)
    places = np.arange(len(names)) + 0.5
    axes.set_xticks(places, names)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_aspect("equal")
    axes.set(xlabel="called", ylabel="is")
    axes.set_title(title, loc="left")
    return figure


def _polar(figure: Any, place: Any) -> Any:
    position = place.get_subplotspec()
    place.remove()
    return figure.add_subplot(position, projection="polar")


def _legend(figure: Any) -> None:
    """Put one legend below all panels, each name once; one name alone needs none."""
    found: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(name, handle)
    if len(found) > 1:
        columns = min(len(found), 3)
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=columns)


def _draw_panel(axes: Any, panel: Panel) -> None:
    for drawn in panel.drawn:
        _draw(axes, drawn, panel)
    axes.set_title(panel.title, loc="left" if panel.kind != "radar" else "center")
    if panel.kind == "radar":
        _dress_radar(axes, panel)
        return
    _set_axis(axes, panel.x, "x")
    _set_axis(axes, panel.y, "y")
    axes.grid(visible=True)
    axes.set_axisbelow(True)
    if panel.kind == "square":
        axes.set_aspect("equal", adjustable="box")


def _dress_radar(axes: Any, panel: Panel) -> None:
    """Put the first spoke on top, go round by the clock, and name the spokes outside."""
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    names = [broken_name(name, "\n") for name in panel.x.names]
    axes.set_xticks(_angles(panel), names, fontsize=6)
    for label, angle in zip(axes.get_xticklabels(), _angles(panel), strict=True):
        side = np.sin(angle)
        label.set_ha("center" if abs(side) < 0.1 else "left" if side > 0 else "right")
    axes.tick_params(axis="x", pad=-2)
    axes.tick_params(axis="y", labelsize=7)
    if panel.y.limits:
        axes.set_ylim(*panel.y.limits)


def _angles(panel: Panel) -> Any:
    return np.linspace(0, 2 * np.pi, len(panel.x.names), endpoint=False)


def _set_axis(axes: Any, axis: Axis, which: str) -> None:
    getattr(axes, f"set_{which}label")(axis.label)
    if axis.log:
        getattr(axes, f"set_{which}scale")("log")
    if axis.step:
        from matplotlib.ticker import MultipleLocator

        getattr(axes, f"{which}axis").set_major_locator(MultipleLocator(axis.step))
    if axis.names:
        getattr(axes, f"set_{which}ticks")(axis.ticks, axis.names)
    if axis.limits:
        getattr(axes, f"set_{which}lim")(*axis.limits)


def _style(role: Role, stroke: int = 0) -> Mark:
    if isinstance(role, int):
        return mark(role)._replace(stroke=_STROKES[stroke % len(_STROKES)])
    line = "-" if role == "original" and not stroke else ":"
    return Mark(ORIGINAL if role == "original" else QUIET, line, "o")


def _draw(axes: Any, drawn: Drawn, panel: Panel) -> None:
    if panel.kind == "radar":
        _draw_spokes(axes, drawn, panel)
    elif isinstance(drawn, Line):
        _draw_line(axes, drawn)
    elif isinstance(drawn, Dots):
        _draw_dots(axes, drawn)
    else:
        _draw_bars(axes, drawn)


def _draw_line(axes: Any, line: Line) -> None:
    style = _style(line.role, line.stroke)
    faint = {"linewidth": 0.6, "alpha": 0.45} if line.thin else {"label": line.name}
    axes.plot(line.x, line.y, style.stroke, color=style.colour, **faint)
    if len(line.low):
        band = {"alpha": BAND, "linewidth": 0}
        axes.fill_between(line.x, line.low, line.high, color=style.colour, **band)


def _draw_dots(axes: Any, dots: Dots) -> None:
    style = _style(dots.role)
    middle = dots.x if dots.along == "x" else dots.y
    limits: dict[str, Any] = {}
    if len(dots.low):
        limits[f"{dots.along}err"] = _reach(middle, dots.low, dots.high)
    axes.errorbar(
        dots.x,
        dots.y,
        fmt=style.marker,
        linestyle="-" if dots.joined else "none",
        color=style.colour,
        markersize=dots.size,
        linewidth=1.0,
        label=dots.name,
        **limits,
    )


def _draw_bars(axes: Any, bars: Bars) -> None:
    limits = {"yerr": _reach(bars.y, bars.low, bars.high)} if len(bars.low) else {}
    axes.bar(
        bars.x,
        bars.y,
        bars.width,
        color=_style(bars.role).colour,
        label=bars.name,
        ecolor=ORIGINAL,
        error_kw={"linewidth": 0.8},
        **limits,
    )


def _reach(middle: Any, low: Any, high: Any) -> Any:
    """Return how far bars reach to both sides, never less than nothing."""
    values = np.asarray(middle, dtype=float)
    sides = [values - np.asarray(low, dtype=float), np.asarray(high, dtype=float) - values]
    return np.nan_to_num(np.maximum(np.stack(sides), 0.0))


def _draw_spokes(axes: Any, drawn: Drawn, panel: Panel) -> None:
    style = _style(drawn.role, drawn.stroke if isinstance(drawn, Line) else 0)
    angles, values = list(_angles(panel)), list(drawn.y)
    axes.plot(
        [*angles, angles[0]],
        [*values, values[0]],
        style.stroke,
        marker=style.marker,
        markersize=3,
        linewidth=1.2,
        color=style.colour,
        label=drawn.name,
    )
