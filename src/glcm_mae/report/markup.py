"""Blocks as HTML: every text is escaped, every number carries its citation."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Callout,
    Cell,
    Code,
    Columns,
    Details,
    Figure,
    Gallery,
    Heading,
    Section,
    Table,
    Terms,
    Text,
    Tiles,
)
from glcm_mae.report.charts import Chart
from glcm_mae.report.interactive import panel_plot
from glcm_mae.report.legend import legend_html
from glcm_mae.report.table_markup import source_html, table_html, words_html

_SIGNS = {"grave": "Warning", "caution": "Caution", "good": "Good", "missing": "Not here yet"}


@dataclass
class Markup:
    """Turns blocks into HTML, and gathers what the script draws.

    Attributes:
        pictures: Static picture of each chart, as SVG, by the key of the chart.
        plots: What plotly draws, in the order of the page.
        tables: How many tables there were so far.
    """

    pictures: Mapping[str, bytes]
    plots: list[dict[str, Any]] = field(default_factory=list)
    tables: int = 0

    def section(self, section: Section, number: int) -> str:
        """Return a section with its heading."""
        body = "\n".join(map(self.block, section.blocks))
        return (
            f'<section id="{section.key}" aria-labelledby="{section.key}-title">\n'
            f'<h2 id="{section.key}-title"><span class="number">{number}</span> '
            f"{escape(section.title)}</h2>\n"
            f'<p class="question">{escape(section.question)}</p>\n{body}\n</section>'
        )

    def block(self, block: Block) -> str:
        """Return one block."""
        makers: Mapping[type, Callable[[Any], str]] = {
            Text: _text,
            Bullets: _bullets,
            Callout: _callout,
            Tiles: _tiles,
            Terms: _terms,
            Table: self.table,
            Code: _code,
            Gallery: _gallery,
            Heading: lambda own: f"<h3>{escape(own.text)}</h3>",
            Figure: lambda own: self.figure(own.chart),
            Details: self.details,
            Columns: self.columns,
        }
        return makers[type(block)](block)

    def details(self, details: Details) -> str:
        """Return what is folded away."""
        body = "\n".join(map(self.block, details.blocks))
        return (
            f"<details><summary>{escape(details.summary)}</summary>\n"
            f'<div class="folded">{body}</div></details>'
        )

    def table(self, table: Table) -> str:
        """Return a table."""
        self.tables += 1
        return table_html(table, self.tables)

    def columns(self, columns: Columns) -> str:
        """Return blocks side by side."""
        blocks = "".join(f"<div>{self.block(own)}</div>\n" for own in columns.blocks)
        return f'<div class="columns">{blocks}</div>'

    def figure(self, chart: Chart) -> str:
        """Return a chart: panels for the script, and a picture for all else."""
        panels = []
        for panel in chart.panels:
            number = len(self.plots)
            self.plots.append(panel_plot(panel))
            title = f'<p class="panel-title">{escape(panel.title)}</p>' if panel.title else ""
            label = escape(f"{panel.title}. {chart.alt}" if panel.title else chart.alt)
            panels.append(
                f'<div class="panel">{title}<div class="plot" data-plot="{number}" role="img" '
                f'aria-label="{label}" style="height:{self.plots[number]["height"]}px">'
                "</div></div>"
            )
        svg = base64.b64encode(self.pictures[chart.key]).decode()
        kind = " wide-panels" if chart.wide else ""
        return (
            f'<figure class="chart{kind}" id="figure-{chart.key}">\n{legend_html(chart)}'
            f'<div class="panels">{"".join(panels)}</div>\n'
            f'<img class="static" alt="{escape(chart.alt)}" '
            f'src="data:image/svg+xml;base64,{svg}">\n'
            f"<figcaption>{escape(chart.caption)}</figcaption></figure>"
        )


def _text(text: Text) -> str:
    kind = "" if text.kind == "plain" else f' class="{text.kind}"'
    return f"<p{kind}>{words_html(text.words)}</p>"


def _bullets(bullets: Bullets) -> str:
    tag = "ol" if bullets.numbered else "ul"
    items = "".join(f"<li>{words_html(item)}</li>\n" for item in bullets.items)
    return f"<{tag}>\n{items}</{tag}>"


def _callout(callout: Callout) -> str:
    body = words_html(callout.items[0]) if len(callout.items) == 1 else ""
    body = f"<p>{body}</p>" if body else _bullets(Bullets(callout.items))
    sign = f'<span class="sign">{_SIGNS[callout.kind]}</span> '
    return (
        f'<div class="callout {callout.kind}" role="note"><p class="what">{sign}'
        f"{escape(callout.title)}</p>{body}</div>"
    )


def _tiles(tiles: Tiles) -> str:
    cells = "".join(
        f"<div><dt>{escape(tile.label)}</dt><dd>{_large(tile.value)}"
        f"{f'<small>{escape(tile.note)}</small>' if tile.note else ''}</dd></div>\n"
        for tile in tiles.tiles
    )
    return f'<dl class="tiles">\n{cells}</dl>'


def _large(cell: Cell) -> str:
    """Return a cell with its estimate large and its interval smaller beside it."""
    estimate, bracket, interval = cell.text.partition(" [")
    limits = f" <i>[{escape(interval)}</i>" if bracket else ""
    return f"<span{source_html(cell)}>{escape(estimate)}{limits}</span>"


def _terms(terms: Terms) -> str:
    rows = "".join(
        f"<div><dt>{escape(term)}</dt><dd>{words_html(said)}</dd></div>\n"
        for term, said in terms.entries
    )
    return f'<dl class="terms">\n{rows}</dl>'


def _code(code: Code) -> str:
    label = escape(code.label or "Code")
    text = escape(code.text)
    return f'<pre tabindex="0" role="region" aria-label="{label}"><code>{text}</code></pre>'


def _gallery(gallery: Gallery) -> str:
    pictures = "".join(
        f'<figure class="photograph"><img src="data:image/png;base64,'
        f'{base64.b64encode(picture.png).decode()}" alt="{escape(picture.alt)}">'
        f"<figcaption>{words_html(picture.caption)}</figcaption></figure>\n"
        for picture in gallery.pictures
    )
    kind = "gallery wide" if gallery.wide else "gallery"
    return f'<div class="{kind}">\n{pictures}</div>'


def sections_html(markup: Markup, sections: Sequence[Section]) -> str:
    """Return all sections, numbered from 1."""
    return "\n\n".join(
        markup.section(section, place + 1) for place, section in enumerate(sections)
    )
