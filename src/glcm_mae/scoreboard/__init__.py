"""The tables of scores: one row a system at a glance, one column a system in full."""

from glcm_mae.scoreboard.cells import cell, interval_cell, shown
from glcm_mae.scoreboard.in_markdown import markdown_table, markdown_tables
from glcm_mae.scoreboard.in_terminal import (
    interval_table,
    print_intervals,
    print_table,
    terminal_table,
)
from glcm_mae.scoreboard.rows import rows_of

__all__ = [
    "cell",
    "interval_cell",
    "interval_table",
    "markdown_table",
    "markdown_tables",
    "print_intervals",
    "print_table",
    "rows_of",
    "shown",
    "terminal_table",
]
