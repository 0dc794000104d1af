"""The corpus as a table: ``python tests/corpus/table.py`` writes it into docs/formats.md."""

import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from corpus.case import Case
from corpus.medical_cases import CASES as MEDICAL_CASES
from corpus.raster_cases import CASES as RASTER_CASES

ALL_CASES: tuple[Case, ...] = (*RASTER_CASES, *MEDICAL_CASES)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
MARKER = "<!-- corpus -->"


def grouped(cases: Iterable[Case]) -> list[Case]:
    """Bring the cases of one kind together; kinds stay in the order of their first case."""
    cases = list(cases)
    order = list(dict.fromkeys(case.kind for case in cases))
    return sorted(cases, key=lambda case: order.index(case.kind))


def table(cases: Iterable[Case]) -> str:
    """Return one Markdown table for each kind."""
    parts = []
    for kind, group in groupby(grouped(cases), key=lambda case: case.kind):
        rows = [(case.name, case.content, case.outcome, case.oracle) for case in group]
        lines = ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]
        head = "| File | Content | What comes of it | Oracle |\n|---|---|---|---|"
        parts.append(f"### {kind}: {len(rows)}\n\n" + "\n".join([head, *lines]))
    return "\n\n".join(parts)


def with_table(page: str, cases: Iterable[Case] = ALL_CASES) -> str:
    """Put the table of the cases between the markers of a page."""
    before, _, after = page.split(MARKER)
    return f"{before}{MARKER}\n\n{table(cases)}\n\n{MARKER}{after}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text("utf-8")), "utf-8")
