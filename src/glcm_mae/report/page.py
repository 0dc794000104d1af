"""The page: sections, pictures, script and style in one file that loads nothing."""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from glcm_mae.report.blocks import Block, Columns, Details, Figure, Section
from glcm_mae.report.charts import Chart
from glcm_mae.report.facts import Facts
from glcm_mae.report.markup import Markup, sections_html

_BANNER = (
    "This page shows images of patients, and letters burned into them may name who they are: "
    "do not pass it on."
)


def charts_of(sections: Sequence[Section]) -> list[Chart]:
    """Return all charts in the order of the page."""
    return [chart for section in sections for chart in _charts(section.blocks)]


def _charts(blocks: Iterable[Block]) -> Iterator[Chart]:
    for block in blocks:
        if isinstance(block, Figure):
            yield block.chart
        elif isinstance(block, Details | Columns):
            yield from _charts(block.blocks)


def render_page(
    facts: Facts,
    sections: Sequence[Section],
    pictures: Mapping[str, bytes],
    *,
    with_images: bool,
) -> str:
    """Write the page.

    Args:
        facts: What the report is made of.
        sections: What it shows.
        pictures: Each chart as SVG, by its key.
        with_images: Whether patients can be seen on it, which a banner then says.

    Returns:
        HTML that fetches nothing; its scripts are allowed by their hashes alone.
    """
    from plotly.offline import get_plotlyjs  # 5 MB of text that only this needs

    markup = Markup(pictures)
    body = sections_html(markup, sections)
    script, plotly = _data("page.js"), _without_returns(get_plotlyjs())
    run = facts.runs[0]
    return Template(_data("page.html")).substitute(
        policy=_policy((plotly, script)),
        title=escape(f"Report: {run.scores['title']}"),
        heading=escape(_heading(facts)),
        subtitle=escape(str(run.scores["title"])),
        banner=f'<p class="banner" role="alert">{_BANNER}</p>' if with_images else "",
        style=_data("page.css"),
        contents=_contents(sections),
        body=body,
        plots=_json(markup.plots),
        plotly=plotly,
        script=script,
    )


def _heading(facts: Facts) -> str:
    names = [run.name for run in facts.runs]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _data(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _without_returns(text: str) -> str:
    """Return the text as a browser reads it, so that its hash is the same there."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _policy(scripts: Sequence[str]) -> str:
    """Return a policy that forbids every request, and every script but these."""
    hashes = (base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    # Plotly sets styles of single elements, which no hash can name beforehand.
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _contents(sections: Sequence[Section]) -> str:
    return "".join(
        f'<li><a href="#{section.key}">{escape(section.title)}</a></li>\n'
        for section in sections
    )


def _json(plots: Sequence[Mapping[str, Any]]) -> str:
    """Return JSON that cannot end the element that it stands in."""
    text = json.dumps(plots, allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c")
