"""The tables on a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from glcm_mae.evaluation import SCORES
from glcm_mae.scoreboard.cells import GLANCE, HEADINGS, Systems
from glcm_mae.scoreboard.rows import interval_rows, notes_of, pooled_of, rows_of

WIDTH = 120
"""Characters that a table may take where nothing says how wide the page is."""


def terminal_table(
    systems: Systems,
    *,
    title: str,
    notes: Sequence[str],
    positive: str,
    narrow: bool = False,
) -> Table:
    """Return the table for a terminal, with its notes below.

    Args:
        systems: What is known of each system.
        title: Headline.
        notes: What stands below, beside what the judgements ask to be said.
        positive: Class whose own scores get a row where there are several classes.
        narrow: Break each cell before its SD, for terminals of 80 characters.
    """
    table = _table(title, [*notes, *notes_of(systems)])
    table.add_column("System (%)", min_width=17, max_width=36)
    for key in GLANCE:
        table.add_column(HEADINGS[key], justify="right", no_wrap=True)
    for row in rows_of(systems, positive):
        table.add_row(*(text.replace(" ±", "\n±") if narrow else text for text in row))
    return table


def interval_table(systems: Systems, *, title: str, notes: Sequence[str] = ()) -> Table:
    """Return scores of all test images with their intervals, one column a system."""
    table = _table(title, [*notes, *notes_of(systems)])
    heading, *rows = interval_rows(pooled_of(systems), SCORES)
    table.add_column(heading[0], no_wrap=True)
    for name in heading[1:-1]:
        table.add_column(name, justify="right")
    table.add_column(heading[-1], no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _table(title: str, notes: Sequence[str]) -> Table:
    return Table(
        title=title, caption="\n".join(notes), caption_justify="left", title_justify="left"
    )


def print_table(systems: Systems, *, title: str, notes: Sequence[str], positive: str) -> None:
    """Print the table at a glance on standard output."""
    width = _width()
    table = terminal_table(
        systems, title=title, notes=notes, positive=positive, narrow=width < WIDTH
    )
    Console(width=width).print(table)


def print_intervals(systems: Systems, *, title: str, notes: Sequence[str] = ()) -> None:
    """Print scores of all test images with their intervals on standard output."""
    Console(width=_width()).print(interval_table(systems, title=title, notes=notes))


def _width() -> int:
    console = Console()
    # A log file has no width of its own: give the table the room that it needs.
    return console.width if console.is_terminal else WIDTH
