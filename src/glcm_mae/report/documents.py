"""The model card and the checklists for papers, as sections and as files."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from glcm_mae.files import write_atomically
from glcm_mae.published.checklists import Checklist, read_checklists
from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Cell,
    Code,
    Details,
    Heading,
    Inline,
    Section,
    Table,
    Text,
    Tile,
    Tiles,
    Words,
)
from glcm_mae.report.compliance import (
    FilledItem,
    fill,
    share_filled,
    summary,
    write_checklist,
)
from glcm_mae.report.facts import Facts
from glcm_mae.report.model_card import model_card

_CARD = "model_card.md"


def card_section(facts: Facts) -> Section:
    """Return the model card of the first run."""
    _, _, body = model_card(facts).partition("\n# ")
    blocks: list[Block] = [
        Text(
            f"Made of the files of {facts.runs[0].name}; what a file cannot know is left to "
            f"its authors and marked TODO. The same stands as Markdown in {_CARD}.",
            "soft",
        ),
        *blocks_of(body.partition("\n")[2], _CARD),
    ]
    return Section("card", "Model card", "What is it, and what is it not for?", blocks)


def checklist_section(facts: Facts) -> Section:
    """Return the checklists: how much the runs fill, and what is left to the authors."""
    run = facts.runs[0].name
    blocks: list[Block] = [
        Text(
            f"Filled from the files of {run}, as far as they tell. An item that is filled "
            "tells what was done, not that it was done well; the texts are paraphrases, and "
            "the originals say what counts."
        )
    ]
    filled = [(one, fill(one, facts)) for one in read_checklists()]
    tiles = [
        Tile(
            one.name,
            Cell(f"{100 * share_filled(items):.0f} %", f"checklist-{one.key}.csv", "share"),
            "of the items are filled, in whole or in part",
        )
        for one, items in filled
    ]
    blocks.append(Tiles(tiles))
    for one, items in filled:
        blocks += _checklist(one, items)
    question = "What of the reporting guidelines is met, and what is left to write?"
    return Section("checklists", "CLAIM and TRIPOD+AI", question, blocks)


def _checklist(checklist: Checklist, items: Sequence[FilledItem]) -> Iterator[Block]:
    yield Heading(checklist.name)
    of = f"checklist-{checklist.key}.csv"
    yield Text([Cell(f"{summary(items)}.", of, "summary"), f" {checklist.reference}."])
    todo: list[Words] = [
        f"{item.number} {item.section}: {item.remains}" for item in items if item.remains
    ]
    if todo:
        yield Details(f"Left to the authors: {len(todo)} items", [Bullets(todo)])
    rows: list[list[Words]] = [
        [
            f"{item.number} {item.section}",
            item.text,
            item.status,
            Cell(item.answer, item.source or of, "text"),
            item.source,
        ]
        for item in items
    ]
    heads = ["Item", "Asks", "Status", "What the run tells", "From"]
    yield Details("All items", [Table(f"{checklist.name}, item by item", heads, rows)])


def write_documents(folder: Path, facts: Facts) -> None:
    """Write the model card and the filled checklists as files for papers.

    Args:
        folder: Where to.
        facts: What is known of the runs.
    """
    write_atomically(folder / _CARD, model_card(facts).encode())
    for checklist in read_checklists():
        write_checklist(folder, checklist, fill(checklist, facts), facts.runs[0].name)


def blocks_of(markdown: str, file: str) -> Iterator[Block]:
    r"""Yield the blocks of plain Markdown: headings, paragraphs, tables and fenced code.

    Args:
        markdown: The text; of marks within a line only ``**`` and backticks are known.
        file: What cells of its tables cite.

    Example:
        >>> list(blocks_of("## Data\n\n**TODO:** tell.", "card.md"))
        [Heading(text='Data'), Text(words=[Cell(text='TODO:', ...), ' tell.'], ...)]
    """
    pieces = re.split(r"(?ms)^```\w*\n(.*?)^```$", f"{markdown}\n")
    for place, piece in enumerate(pieces):
        if place % 2:
            yield Code(piece.rstrip("\n"))
            continue
        for part in filter(None, map(str.strip, re.split(r"\n\s*\n", piece))):
            yield _block(part, file)


def _block(part: str, file: str) -> Block:
    if part.startswith("#"):
        return Heading(part.lstrip("# "))
    if part.startswith("|"):
        return _table(part.splitlines(), file)
    if part.startswith("- "):
        return Bullets([_words(line.removeprefix("- ")) for line in part.splitlines()])
    return Text(_words(part.replace("\n", " ")))


def _table(lines: Sequence[str], file: str) -> Table:
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    heads, _, *rows = cells
    body: list[list[Words]] = [
        [row[0], *(Cell(text, file, "text") for text in row[1:])] for row in rows
    ]
    return Table("", heads, body)


def _words(text: str) -> Words:
    words: list[Inline] = []
    for piece in re.split(r"(\*\*.+?\*\*|`.+?`)", text):
        if piece.startswith("**"):
            words.append(Cell(piece.strip("*"), strong=True))
        elif piece.startswith("`"):
            words.append(Cell(piece.strip("`"), form="code"))
        elif piece:
            words.append(piece)
    return words
