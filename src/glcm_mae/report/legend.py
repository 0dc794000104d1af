"""The names of a chart, once for all its panels; pressing one hides what it names."""

from html import escape
from typing import Any

from glcm_mae.report.charts import Chart, Dots, Line
from glcm_mae.report.interactive import symbol, tone

_DASHES = ("", "6 4", "2 3", "7 3 2 3")
_SHAPES = {
    "circle": '<circle cx="14" cy="6" r="4"/>',
    "square": '<rect x="10" y="2" width="8" height="8"/>',
    "triangle-up": '<path d="M14 1l5 9h-10z"/>',
    "diamond": '<path d="M14 1l5 5-5 5-5-5z"/>',
    "triangle-down": '<path d="M14 11l5-9h-10z"/>',
}


def legend_html(chart: Chart) -> str:
    """Return the legend as a list of buttons; nothing where there is but one name."""
    found: dict[str, str] = {}
    for panel in chart.panels:
        for drawn in panel.drawn:
            if not (isinstance(drawn, Line) and drawn.thin):
                found.setdefault(drawn.name, _sample(drawn))
    if len(found) < 2:
        return ""
    keys = "".join(
        f'<li><button type="button" aria-pressed="true" data-name="{escape(name)}">{sample}'
        f"{escape(name)}</button></li>"
        for name, sample in found.items()
    )
    return f'<ul class="legend" aria-label="Legend">{keys}</ul>\n'


def _sample(drawn: Any) -> str:
    role = f' data-role="{drawn.role}" style="--tone:{tone(drawn.role)}"'
    if isinstance(drawn, Line):
        dash = _DASHES[drawn.stroke % len(_DASHES)] or ("2 3" if drawn.role == "quiet" else "")
        inner = f'<line x1="1" y1="6" x2="27" y2="6" stroke-dasharray="{dash}"/>'
    elif isinstance(drawn, Dots):
        inner = _SHAPES.get(symbol(drawn.role), _SHAPES["circle"])
    else:
        inner = '<rect x="6" y="1" width="16" height="10"/>'
    size = 'viewBox="0 0 28 12" width="28" height="12"'
    return f'<svg {size} aria-hidden="true"{role}>{inner}</svg>'
