"""The table of scores: one row a system, mean ± standard deviation over folds."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from glcm_mae.evaluation import SCORES

HEADINGS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Bal. acc.",
    "sensitivity": "Sens.",
    "specificity": "Spec.",
    "auroc": "AUROC",
    "f1": "F1",
}


def cell(value: Mapping[str, Any]) -> str:
    """Return ``mean ± SD`` in percent, or a dash where a score has no meaning.

    Example:
        >>> cell({"mean": 0.8123, "sd": 0.0456, "folds": 5})
        '81.2 ± 4.6'
    """
    if value["mean"] is None:
        return "–"
    mean = f"{100 * value['mean']:.1f}"
    return mean if value["sd"] is None else f"{mean} ± {100 * value['sd']:.1f}"


def rows_of(systems: Mapping[str, Mapping[str, Any]], positive: str) -> list[list[str]]:
    """Return the cells of the table: the systems, then the positive class of each.

    Args:
        systems: Name of each system and what ``score_folds`` said of it.
        positive: Class whose own scores get a row where there are several classes.
    """
    rows = []
    for name, scores in systems.items():
        summary = scores["summary"]
        rows.append([name, *(cell(summary[key]) for key in SCORES)])
        own = summary["per_class"].get(positive)
        if own and len(summary["per_class"]) > 2:
            cells = [cell(own[key]) if key in own else "" for key in SCORES]
            rows.append([f"  {positive} against the rest", *cells])
    return rows


def terminal_table(
    systems: Mapping[str, Mapping[str, Any]], *, title: str, notes: Sequence[str], positive: str
) -> Table:
    """Return the table for a terminal, with its notes below."""
    table = Table(
        title=title, caption="\n".join(notes), caption_justify="left", title_justify="left"
    )
    table.add_column("System (%)", no_wrap=True)
    for key in SCORES:
        table.add_column(HEADINGS[key], justify="right", no_wrap=True)
    for row in rows_of(systems, positive):
        table.add_row(*row)
    return table


def markdown_table(systems: Mapping[str, Mapping[str, Any]], positive: str) -> str:
    """Return the table in Markdown.

    Example:
        >>> score = {"mean": 0.5, "sd": None, "folds": 1}
        >>> systems = {"coin": {"summary": {**{k: score for k in SCORES}, "per_class": {}}}}
        >>> print(markdown_table(systems, "ill").splitlines()[2])
        | coin | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |
    """
    lines = [
        ["System (%)", *(HEADINGS[key] for key in SCORES)],
        ["---"] + ["---:"] * len(SCORES),
    ]
    lines += rows_of(systems, positive)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def print_table(
    systems: Mapping[str, Mapping[str, Any]], *, title: str, notes: Sequence[str], positive: str
) -> None:
    """Print the table on standard output."""
    console = Console()
    # A log file has no width of its own: give the table the room that it needs.
    width = console.width if console.is_terminal else 120
    table = terminal_table(systems, title=title, notes=notes, positive=positive)
    Console(width=width).print(table)
