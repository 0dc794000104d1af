"""What all studies that stand beside the runs have in common in the report."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glcm_mae.report.blocks import Block, Bullets, Callout, Details, Section, Text
from glcm_mae.report.charts import Axis, Chart, Dots, Drawn, Line, Panel
from glcm_mae.report.facts import Attachment, Facts


@dataclass(frozen=True)
class Found:
    """A number with its interval, as a row of a chart.

    Attributes:
        name: What it is of.
        estimate: The number.
        low: Lower limit; the number itself where there is none.
        high: Upper limit.
    """

    name: str
    estimate: float
    low: float
    high: float

    @classmethod
    def of(cls, name: str, value: Mapping[str, Any]) -> "Found":
        """Return a share with its limits in percent, as the studies' files have it."""
        middle = value["estimate"]
        low, high = (
            middle if value.get(key) is None else value[key] for key in ("low", "high")
        )
        return cls(name, 100 * middle, 100 * low, 100 * high)

    def __str__(self) -> str:
        """Return what is said of it under the pointer, and to who cannot see the chart."""
        return f"{self.name}: {self.estimate:.1f} [{self.low:.1f}, {self.high:.1f}]"


def section_of_studies(
    facts: Facts,
    kind: str,
    empty: Section,
    *,
    absent: Callout,
    intro: str,
    of_run: Callable[[Attachment, int], Iterable[Block]],
) -> Section:
    """Return a section with a part for every study of a kind, or what would make one.

    Args:
        facts: What the report is made of.
        kind: Name of such studies in ``facts.attached``.
        empty: The section without contents.
        absent: What to say where there is no study.
        intro: What to say before the first.
        of_run: Returns the part of a study; its number is counted from 0.
    """
    told = facts.attached.get(kind, ())
    if not told:
        return replace(empty, blocks=[absent])
    blocks: list[Block] = [Text(intro)]
    for number, attachment in enumerate(told):
        blocks += strangers(facts, [str(attachment.content.get("run", ""))])
        blocks += of_run(attachment, number)
    return replace(empty, blocks=blocks)


def interval_chart(
    rows: Sequence[Found],
    axis: str,
    *,
    key: str,
    caption: str,
    what: str,
    held_against: tuple[float, str] | None = None,
    row_height: float,
) -> Chart:
    """Return a chart with a line of text and an interval for every row, the first on top.

    Args:
        rows: The numbers.
        axis: What they are, with the unit.
        key: Name of the chart in the page.
        caption: Below it.
        what: What a dot is, in the legend.
        held_against: A number to draw a line at, and what it is.
        row_height: Share of the usual height that a row takes.
    """
    places = [float(len(rows) - 1 - place) for place in range(len(rows))]
    edge = (-0.6, len(rows) - 0.4)
    drawn: list[Drawn] = []
    if held_against is not None:
        value, name = held_against
        drawn.append(Line([value, value], list(edge), name, "quiet"))
    middle, low, high = (
        [getattr(row, part) for row in rows] for part in ("estimate", "low", "high")
    )
    said = [str(row) for row in rows]
    drawn.append(Dots(middle, places, what, 0, low, high, "x", said, size=6))
    panel = Panel(
        "",
        drawn,
        Axis(axis),
        Axis("", edge, places, [row.name for row in rows]),
        height=max(0.6, row_height * len(rows) + 0.3),
    )
    return Chart(key, caption, "; ".join(said), [panel], columns=1, wide=True)


def strangers(facts: Facts, names: Sequence[str]) -> Iterator[Callout]:
    """Yield a caution where a study that was named is of a run that is not shown here.

    Args:
        facts: What the report is made of.
        names: Runs that the study speaks of.
    """
    own = {run.name for run in facts.runs} | {run.folder.name for run in facts.runs}
    others = [name for name in names if name not in own]
    if others:
        what = f"This is of {', '.join(others)}, by the name not among the runs of this report"
        yield Callout("caution", what, ["Make sure that it belongs to them."])


def folded_notes(told: Mapping[str, Any]) -> Iterator[Details]:
    """Yield what a study says of how it was made, folded away."""
    if told.get("notes"):
        yield Details("How it was measured", [Bullets(list(map(str, told["notes"])))])
