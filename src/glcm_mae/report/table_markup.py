"""Cells and tables as HTML: every text is escaped, every number carries its citation."""

from html import escape

from glcm_mae.report.blocks import Cell, Link, Table, Words


def words_html(words: Words) -> str:
    """Return a text, its citations and its links.

    Example:
        >>> words_html(["AUROC ", Cell("93.2", "a/scores.json#/x", "score auroc"), " < 100"])
        'AUROC <span data-of="a/scores.json#/x" data-form="score auroc">93.2</span> &lt; 100'
    """
    if isinstance(words, str):
        return escape(words)
    if isinstance(words, Cell):
        return _cited(words)
    if isinstance(words, Link):
        return f'<a rel="noreferrer" href="{escape(words.address)}">{escape(words.text)}</a>'
    return "".join(map(words_html, words))


def _cited(cell: Cell) -> str:
    if cell.form == "code":
        return f"<code>{escape(cell.text)}</code>"
    text = f"<strong>{escape(cell.text)}</strong>" if cell.strong else escape(cell.text)
    return f"<span{source_html(cell)}>{text}</span>"


def source_html(cell: Cell) -> str:
    """Return the attributes that tell where a number comes from."""
    if not cell.of:
        return ""
    return f' data-of="{escape(cell.of)}" data-form="{escape(cell.form)}"'


_WORDS = ("", "code", "text", "setting", "sha256", "commit")
"""Forms of cells that are read, not compared: they stand to the left."""


def table_html(table: Table, number: int) -> str:
    """Return a table in a box that scrolls.

    Args:
        table: The table.
        number: Of the table in the page, for its label.
    """
    left = [
        any(_is_read(row[place]) for row in table.rows) for place in range(len(table.headings))
    ]
    heads = "".join(
        f'<th scope="col"{_side(own)}>{escape(name)}</th>'
        for name, own in zip(table.headings, left, strict=True)
    )
    rows = "".join(
        f'<tr><th scope="row">{words_html(row[0])}</th>'
        f"{''.join(map(_td, row[1:], left[1:]))}</tr>\n"
        for row in table.rows
    )
    caption, label = "", 'aria-label="Table"'
    if table.caption:
        # Above the box that scrolls, so that a narrow screen shows all of it.
        label = f'aria-labelledby="table-{number}"'
        told = words_html(table.caption)
        caption = f'<p class="caption" id="table-{number}">{told}</p>\n'
    return (
        f'{caption}<div class="scroll" tabindex="0" role="region" {label}><table class='
        f'"{table.kind}" {label}>'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>"
    )


def _is_read(words: Words) -> bool:
    if isinstance(words, Cell):
        return words.form in _WORDS
    return bool(words)  # an empty cell says nothing of its column


def _side(left: bool) -> str:
    return ' class="words"' if left else ""


def _td(words: Words, left: bool) -> str:
    if not isinstance(words, Cell) or words.form == "code":
        return f"<td{_side(left)}>{words_html(words)}</td>"
    ground = "" if words.strength is None else f' style="--share:{words.strength:.3f}"'
    text = f"<strong>{escape(words.text)}</strong>" if words.strong else escape(words.text)
    return f"<td{_side(left)}{source_html(words)}{ground}>{text}</td>"
