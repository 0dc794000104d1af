"""The tables in Markdown, for scores.md."""

from collections.abc import Sequence

from glcm_mae.evaluation import SCORES
from glcm_mae.plain_table import markdown_rows
from glcm_mae.scoreboard.cells import GLANCE, HEADINGS, Systems
from glcm_mae.scoreboard.rows import (
    calibration_rows,
    interval_rows,
    notes_of,
    operating_rows,
    pooled_of,
    rows_of,
    summary_rows,
)


def markdown_table(systems: Systems, positive: str) -> str:
    """Return the table at a glance in Markdown.

    Example:
        >>> score = {"mean": 0.5, "sd": None, "folds": 1}
        >>> systems = {"coin": {"summary": {**{k: score for k in SCORES}, "per_class": {}}}}
        >>> print(markdown_table(systems, "ill").splitlines()[2])
        | coin | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 | 50.0 |
    """
    heading = ["System (%)", *(HEADINGS[key] for key in GLANCE)]
    return _markdown([heading, *rows_of(systems, positive)])


def markdown_tables(systems: Systems, positive: str) -> str:
    """Return all tables in Markdown: at a glance, then all scores, one column a system.

    Systems without intervals or operating point stand in the tables that they have
    numbers for.

    Args:
        systems: What is known of each system.
        positive: Class whose own scores are shown too where there are several classes.
    """
    confidence = _confidence(systems)
    tables = {
        "All scores, mean ± SD over folds": summary_rows(systems, positive),
        f"All test images together, {confidence} intervals": interval_rows(
            pooled_of(systems), SCORES
        ),
        f"The same, {positive} against the rest": interval_rows(
            pooled_of(systems, "merged"), SCORES
        ),
        f"At the operating point, {confidence} intervals": operating_rows(systems),
        f"Calibration, {confidence} intervals": calibration_rows(systems),
    }
    parts = [markdown_table(systems, positive)]
    parts += [f"### {title}\n\n{_markdown(rows)}" for title, rows in tables.items() if rows[1:]]
    notes = [*_reading(systems), *notes_of(systems)]
    return "\n".join([*parts, "".join(f"- {note}\n" for note in notes)])


def _reading(systems: Systems) -> list[str]:
    """Say what a reader of pooled scores must know, if several models made them."""
    if not any(len(scores.get("folds", ())) > 1 for scores in systems.values()):
        return []
    return [
        "all test images together: AUROC, AUPRC and calibration mix the scales of the folds' "
        "models; their means over folds do not"
    ]


def _markdown(rows: Sequence[Sequence[str]]) -> str:
    first, *rest = [[text.replace("|", "\\|") for text in row] for row in rows]
    return markdown_rows(first, rest)


def _confidence(systems: Systems) -> str:
    known = {scores["confidence"] for scores in systems.values() if "confidence" in scores}
    return " or ".join(f"{100 * share:g} %" for share in sorted(known)) or "no"
