"""A table of ready-made cells, for the terminal, in Markdown and in LaTeX."""

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


_LATEX = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "…": r"\ldots{}",
    "<": "$<$",
    ">": "$>$",
    "±": r"$\pm$",
    "×": r"$\times$",
}


def latex_rows(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    r"""Return a table in LaTeX, for ``\input`` with the package booktabs.

    Args:
        headings: One a column.
        rows: Cells; what LaTeX would read as a command is escaped.
        left: Columns that stand to the left.

    Example:
        >>> print(latex_rows(["Coin", "Heads (%)"], [["fair_1", "50 ± 1"]]), end="")
        \begin{tabular}{lr}
        \toprule
        Coin & Heads (\%) \\
        \midrule
        fair\_1 & 50 $\pm$ 1 \\
        \bottomrule
        \end{tabular}
    """
    lines = [
        r"\begin{tabular}{" + "l" * left + "r" * (len(headings) - left) + "}",
        r"\toprule",
        " & ".join(map(_latex, headings)) + r" \\",
        r"\midrule",
        *(" & ".join(map(_latex, row)) + r" \\" for row in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)


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
    table.add_column(headings[0], overflow="fold", min_width=12)  # names break, numbers do not
    for heading in headings[1:]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    # A log file has no width of its own: give the table the room that it needs.
    Console(width=console.width if console.is_terminal else 120).print(table)
