"""Checklists for papers, filled from a run's files: what the run shows, and nothing more."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from glcm_mae.files import write_atomically
from glcm_mae.plain_table import markdown_rows
from glcm_mae.published.checklists import Checklist, Item
from glcm_mae.report.answers import ANSWERS
from glcm_mae.report.evidence import Evidence, UntoldError
from glcm_mae.report.facts import Facts

Status = Literal["filled", "todo", "not applicable"]
HEADINGS = ("Item", "Section", "Asks", "Answer", "From")
_WITHOUT_OBJECT = ("sameness_of_predictors",)
"""Topics whose answer is why an item does not apply."""


@dataclass(frozen=True)
class FilledItem:
    """One item of a checklist, answered as far as a run can.

    Attributes:
        number: Its number in the original.
        section: Where it stands there.
        text: What it asks, in other words.
        status: ``filled`` from the run's files, ``todo`` by the authors, or ``not applicable``.
        answer: What the run shows; empty where it shows nothing.
        source: Files and keys that the answer was taken from.
        remains: What the authors have to write, or to add; empty where nothing is left.
    """

    number: str
    section: str
    text: str
    status: Status
    answer: str
    source: str
    remains: str = ""


def fill(checklist: Checklist, facts: Facts, *, number: int = 0) -> list[FilledItem]:
    """Fill a checklist from a run's files.

    Args:
        checklist: One of :func:`glcm_mae.published.checklists.read_checklists`.
        facts: What is known of the runs.
        number: Place of the run among them.

    Returns:
        One entry an item, in their order. What only people know is left to them; what a
        run may not tell (it is of an older version, a study of it was not made) as well.
    """
    evidence = Evidence(facts, facts.runs[number])
    return [_fill(item, evidence) for item in checklist.items]


def _fill(item: Item, evidence: Evidence) -> FilledItem:
    evidence.begin()
    told, unknown = [], ""
    for topic in item.topics:
        try:
            told.append(ANSWERS[topic](evidence))
        except UntoldError as error:
            unknown = f"The run does not tell {error}."
    answer = " ".join(text for text in told if text)
    remains = " ".join(part for part in (item.author, unknown) if part)
    status: Status = "filled" if answer else "todo"
    if answer and item.topics[0] in _WITHOUT_OBJECT:
        status, remains = "not applicable", ""
    if not answer and not remains:
        remains = "Write what the item asks; the run does not tell it."
    source = evidence.source if answer else ""
    return FilledItem(item.number, item.section, item.text, status, answer, source, remains)


def share_filled(items: Sequence[FilledItem]) -> float:
    """Return the share of all items that the run's files fill, in whole or in part.

    Example:
        >>> one = FilledItem("1", "Title", "Says ...", "filled", "A network.", "config.yaml")
        >>> other = FilledItem("2", "Abstract", "Sums up ...", "todo", "", "", "Write it.")
        >>> share_filled([one, other])
        0.5
    """
    return sum(item.status == "filled" for item in items) / len(items)


def summary(items: Sequence[FilledItem]) -> str:
    """Return one sentence: how many items are filled, in part, left, or do not apply."""
    filled = [item for item in items if item.status == "filled"]
    part = sum(bool(item.remains) for item in filled)
    left = sum(item.status == "todo" for item in items)
    beside = len(items) - len(filled) - left
    apart = f", {beside} do not apply" if beside else ""
    return (
        f"{len(filled)} of {len(items)} items are filled from the run's files, {part} of them "
        f"in part; {left} are left to the authors{apart}"
    )


def format_markdown(checklist: Checklist, items: Sequence[FilledItem], run: str) -> str:
    """Return a filled checklist in Markdown.

    Args:
        checklist: Which.
        items: Its items, filled.
        run: What the run is called.
    """
    rows = [
        [_cell(text) for text in (one.number, one.section, one.text, _answer(one), one.source)]
        for one in items
    ]
    lines = [
        f"# {checklist.name}, filled from the run {run}\n",
        f"{summary(items)}. {checklist.note} "
        f"Original: {checklist.reference}, doi:{checklist.doi}.\n",
        markdown_rows(HEADINGS, rows).replace("---:", "---"),
    ]
    return "\n".join(lines)


def _answer(item: FilledItem) -> str:
    if item.status == "not applicable":
        return f"Not applicable. {item.answer}"
    todo = f"**TODO by the author:** {item.remains}" if item.remains else ""
    return " ".join(part for part in (item.answer, todo) if part)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def format_csv(items: Sequence[FilledItem]) -> str:
    """Return a filled checklist as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["number", "section", "text", "status", "answer", "source", "remains"])
    writer.writerows(
        [one.number, one.section, one.text, one.status, one.answer, one.source, one.remains]
        for one in items
    )
    return text.getvalue()


def write_checklist(
    folder: Path, checklist: Checklist, items: Sequence[FilledItem], run: str
) -> list[Path]:
    """Write ``checklist-KEY.md`` and ``.csv`` into a folder; return both.

    Args:
        folder: Where to.
        checklist: Which.
        items: Its items, filled.
        run: What the run is called.
    """
    contents = {"md": format_markdown(checklist, items, run), "csv": format_csv(items)}
    paths = []
    for suffix, content in contents.items():
        paths.append(folder / f"checklist-{checklist.key}.{suffix}")
        write_atomically(paths[-1], content.encode())
    return paths
