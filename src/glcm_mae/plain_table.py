"""A table of ready-made cells, for the terminal and in Markdown."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table


def markdown_rows(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first stand to the right.

    Example:
        >>> print(markdown_rows(["Coin", "Heads"], [["fair", "50.0"]]), end="")
        | Coin | Heads |
        | --- | ---: |
        | fair | 50.0 |
    """
    rule = ["---", *["---:"] * (len(headings) - 1)]
    lines = [list(headings), rule, *map(list, rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def print_rows(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    title: str,
    notes: Sequence[str] = (),
) -> None:
    """Print a table on standard output, with its notes below."""
    table = Table(
        title=title, caption="\n".join(notes), caption_justify="left", title_justify="left"
    )
    table.add_column(headings[0], no_wrap=True)
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    # A log file has no width of its own: give the table the room that it needs.
    Console(width=console.width if console.is_terminal else 120).print(table)
