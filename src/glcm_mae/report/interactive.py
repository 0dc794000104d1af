"""Charts for plotly.js: plain objects, coloured by the page's script as day or night asks."""

from collections.abc import Mapping
from typing import Any

from glcm_mae.figures import BAND, ORIGINAL, QUIET, colour
from glcm_mae.report.charts import Axis, Bars, Dots, Drawn, Line, Panel, Role

_DASHES = ("solid", "dash", "dot", "dashdot")
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x")
_HEIGHT = 320


def tone(role: Role) -> str:
    """Return the colour of a role.

    Example:
        >>> tone(0), tone("quiet")
        ('#0072B2', '#999999')
    """
    if role == "original":
        return ORIGINAL
    return QUIET if role == "quiet" else colour(role)


def symbol(role: Role) -> str:
    """Return the marker of a role, which tells it apart without colour."""
    if not isinstance(role, int):
        return "circle"
    return _SYMBOLS[(role + role // len(_SYMBOLS)) % len(_SYMBOLS)]  # as figures.mark


def panel_plot(panel: Panel) -> dict[str, Any]:
    """Return what plotly draws of a panel.

    Args:
        panel: The panel.

    Returns:
        ``data`` and ``layout``, and the ``height`` in pixels.

    Example:
        >>> plot = panel_plot(Panel("", [Line([0, 1], [0, 1], "chance", "original")]))
        >>> plot["data"][0]["line"]["color"], plot["layout"]["dragmode"]
        ('#555555', False)
    """
    traces = [trace for drawn in panel.drawn for trace in _traces(drawn, panel)]
    layout: dict[str, Any] = {
        "margin": {"l": 58, "r": 14, "t": 8, "b": 52},
        "showlegend": False,
        "hovermode": "closest",
        "dragmode": False,
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": 12},
    }
    if panel.kind == "radar":
        layout["polar"] = _polar(panel)
        layout["margin"] = {"l": 96, "r": 96, "t": 44, "b": 44}
    else:
        layout["xaxis"], layout["yaxis"] = _axis(panel.x), _axis(panel.y)
        if panel.y.names:
            layout["yaxis"]["automargin"] = True
    if panel.kind == "square":
        layout["yaxis"]["scaleanchor"] = "x"
        layout["yaxis"]["constrain"] = layout["xaxis"]["constrain"] = "domain"
    return {"data": traces, "layout": layout, "height": round(_HEIGHT * panel.height)}


def _axis(axis: Axis) -> dict[str, Any]:
    found: dict[str, Any] = {
        "title": {"text": axis.label, "standoff": 8},
        "zeroline": False,
        "ticks": "outside",
        "ticklen": 4,
        "automargin": True,
    }
    if axis.limits:
        found["range"] = list(axis.limits)
    if axis.names:
        found["tickvals"], found["ticktext"] = list(axis.ticks), list(axis.names)
        found["showgrid"] = False
    if axis.log:
        found |= {"type": "log", "dtick": 1, "exponentformat": "power"}
    if axis.step:
        found |= {"tick0": 0, "dtick": axis.step}
    return found


def _polar(panel: Panel) -> dict[str, Any]:
    radial: dict[str, Any] = {"angle": 90, "tickangle": 90, "tickfont": {"size": 10}}
    if panel.y.limits:
        radial["range"] = list(panel.y.limits)
    return {
        "bgcolor": "rgba(0,0,0,0)",
        "radialaxis": radial,
        "angularaxis": {"direction": "clockwise", "rotation": 90, "tickfont": {"size": 11}},
    }


def broken_name(name: str, line: str) -> str:
    """Break a long name of a spoke near its middle.

    Example:
        >>> broken_name("sum of squares variance", "/"), broken_name("contrast", "/")
        ('sum of squares/variance', 'contrast')
    """
    gaps = [place for place, sign in enumerate(name) if sign == " "]
    if len(name) < 14 or not gaps:
        return name
    middle = min(gaps, key=lambda place: abs(place - len(name) / 2))
    return f"{name[:middle]}{line}{name[middle + 1 :]}"


def _traces(drawn: Drawn, panel: Panel) -> list[dict[str, Any]]:
    if panel.kind == "radar":
        return [_spokes(drawn, panel)]
    if isinstance(drawn, Line):
        return [*_band(drawn), _line(drawn)]
    return [_dots(drawn)] if isinstance(drawn, Dots) else [_bars(drawn)]


def _common(drawn: Drawn) -> dict[str, Any]:
    """Return what every trace has; ``meta`` lets the script colour it and hide it."""
    return {
        "name": drawn.name,
        "meta": {"name": drawn.name, "role": str(drawn.role)},
        "x": list(drawn.x),
        "y": list(drawn.y),
    }


def _line(line: Line) -> dict[str, Any]:
    dash = _DASHES[line.stroke % len(_DASHES)]
    if line.role in ("original", "quiet") and not line.stroke:
        dash = "dot" if line.role == "quiet" else "solid"
    return {
        **_common(line),
        "type": "scatter",
        "mode": "lines",
        "opacity": 0.4 if line.thin else 1.0,
        "line": {"color": tone(line.role), "width": 1 if line.thin else 2.4, "dash": dash},
        "hoverinfo": "skip" if line.thin else "all",
    }


def _band(line: Line) -> list[dict[str, Any]]:
    if not len(line.low):
        return []
    both = {
        **_common(line),
        "x": [*line.x, *reversed(line.x)],
        "y": [*line.high, *reversed(line.low)],
        "type": "scatter",
        "mode": "lines",
        "line": {"width": 0},
        "fill": "toself",
        "fillcolor": _faint(tone(line.role)),
        "hoverinfo": "skip",
    }
    both["meta"] = {**both["meta"], "band": True}
    return [both]


def _faint(hexadecimal: str) -> str:
    red, green, blue = (int(hexadecimal[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{BAND})"


def _dots(dots: Dots) -> dict[str, Any]:
    marker = {"color": tone(dots.role), "symbol": symbol(dots.role), "size": 1.6 * dots.size}
    found = {
        **_common(dots),
        "type": "scatter",
        "mode": "lines+markers" if dots.joined else "markers",
        "marker": marker,
        "line": {"color": tone(dots.role), "width": 1.6},
        **_bars_of_error(dots),
    }
    if dots.labels:
        found["text"], found["hovertemplate"] = list(dots.labels), "%{text}<extra></extra>"
    return found


def _bars(bars: Bars) -> dict[str, Any]:
    return {
        **_common(bars),
        "type": "bar",
        "width": bars.width,
        "marker": {"color": tone(bars.role)},
        **_bars_of_error(bars),
    }


def _bars_of_error(drawn: Dots | Bars) -> dict[str, Any]:
    if not len(drawn.low):
        return {}
    along = drawn.along if isinstance(drawn, Dots) else "y"
    middle = drawn.x if along == "x" else drawn.y
    width = 4 if isinstance(drawn, Dots) else 3
    return {
        f"error_{along}": {
            "type": "data",
            "symmetric": False,
            "array": [high - value for high, value in zip(drawn.high, middle, strict=True)],
            "arrayminus": [value - low for low, value in zip(drawn.low, middle, strict=True)],
            "color": tone(drawn.role),
            "thickness": 1.4,
            "width": width,
        }
    }


def _spokes(drawn: Drawn, panel: Panel) -> dict[str, Any]:
    broken = [broken_name(name, "<br>") for name in panel.x.names]
    names: Mapping[float, str] = dict(zip(panel.x.ticks, broken, strict=True))
    around = [names[place] for place in drawn.x]
    dash = _DASHES[drawn.stroke % len(_DASHES)] if isinstance(drawn, Line) else "solid"
    return {
        "type": "scatterpolar",
        "name": drawn.name,
        "meta": {"name": drawn.name, "role": str(drawn.role)},
        "theta": [*around, around[0]],
        "r": [*drawn.y, drawn.y[0]],
        "mode": "lines+markers",
        "marker": {"color": tone(drawn.role), "symbol": symbol(drawn.role), "size": 6},
        "line": {"color": tone(drawn.role), "width": 2, "dash": dash},
    }
