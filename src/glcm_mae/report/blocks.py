"""What a page is put together from, before it is HTML.

Convention:
    A number in a table is a :class:`Cell` that cites the file and the place that it comes
    from, as ``RUN/scores.json#/systems/...``; the page carries the citation as ``data-of``,
    so that a reader, or a test, can follow every number back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from glcm_mae.report.charts import Chart


@dataclass(frozen=True)
class Cell:
    """A number or a text with its source.

    Attributes:
        text: What is shown.
        of: Where it comes from: file, and place in it; empty for plain text.
        form: How it is written, such as ``interval auroc``.
        strength: From 0 to 1, how strongly its ground is coloured (confusion matrices).
        strong: Whether it stands out.
    """

    text: str
    of: str = ""
    form: str = ""
    strength: float | None = None
    strong: bool = False


@dataclass(frozen=True)
class Link:
    """A reference outside the page; nothing is fetched unless a reader follows it."""

    text: str
    address: str


Inline = str | Cell | Link
Words = Inline | Sequence[Inline]
"""A text, or pieces of one of which some cite or link."""


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Attributes:
        words: Its text.
        kind: ``plain``, ``soft`` (an aside), or ``lead`` (what to take away).
    """

    words: Words
    kind: str = "plain"


@dataclass(frozen=True)
class Bullets:
    """A list; ``numbered`` where its order matters."""

    items: Sequence[Words]
    numbered: bool = False


@dataclass(frozen=True)
class Callout:
    """What a reader must not overlook.

    Attributes:
        kind: ``grave``, ``caution``, ``good``, or ``missing`` (nothing to show yet).
        title: In a few words; the kind is never told by colour alone.
        items: What there is to say.
    """

    kind: str
    title: str
    items: Sequence[Words]


@dataclass(frozen=True)
class Tile:
    """One number in large type: what it is, the number, and a word beside it."""

    label: str
    value: Cell
    note: str = ""


@dataclass(frozen=True)
class Tiles:
    """Numbers to be seen at once."""

    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Terms:
    """Terms with what is said of each."""

    entries: Sequence[tuple[str, Words]]


@dataclass(frozen=True)
class Table:
    """A table; the first column names the rows.

    Attributes:
        caption: What it shows.
        headings: Of the columns.
        rows: One cell a column.
        kind: ``plain``, or ``matrix`` (square cells with a coloured ground).
    """

    caption: Words
    headings: Sequence[str]
    rows: Sequence[Sequence[Words]]
    kind: str = "plain"


@dataclass(frozen=True)
class Figure:
    """A chart with its caption; drawn by script, and as a picture where none runs."""

    chart: Chart


@dataclass(frozen=True)
class Photograph:
    """A picture made of an image of a patient; only where the settings allow it.

    Attributes:
        png: The file.
        alt: What it shows, in words.
        caption: What stands below.
    """

    png: bytes
    alt: str
    caption: Words


@dataclass(frozen=True)
class Gallery:
    """Pictures of patients, side by side or, where wide, one below the other."""

    pictures: Sequence[Photograph]
    wide: bool = False


@dataclass(frozen=True)
class Code:
    """Lines of a command or a file."""

    text: str
    label: str = ""


@dataclass(frozen=True)
class Details:
    """What is folded away until asked for; printed open."""

    summary: str
    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Columns:
    """Blocks side by side where there is room, such as one small table a run."""

    blocks: Sequence["Block"]


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


Block = (
    Text
    | Bullets
    | Callout
    | Tiles
    | Terms
    | Table
    | Figure
    | Gallery
    | Code
    | Details
    | Columns
    | Heading
)


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        key: Anchor in the page.
        title: Heading, also in the list of contents.
        question: What it answers, in one sentence.
        blocks: What it holds.
    """

    key: str
    title: str
    question: str
    blocks: Sequence[Block] = field(default_factory=tuple)


def missing(what: str, command: str) -> Callout:
    """Say that a part has no input, and the command that makes it.

    Example:
        >>> missing("No comparison", "glcm-mae compare RUN RUN --out DIR").kind
        'missing'
    """
    return Callout("missing", what, [["Make it with ", Cell(command, form="code"), "."]])
