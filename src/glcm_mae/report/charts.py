"""Charts as data: drawn once for the screen (:mod:`.interactive`) and once for print.

Convention:
    A system keeps the colour, stroke and marker of its place among the runs
    (:mod:`glcm_mae.figures.language`) in every chart; what it is held against, such as
    chance, has :data:`ORIGINAL`, and help such as a threshold :data:`QUIET`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Role = int | Literal["original", "quiet"]
"""Place of a system among the runs, or what systems are held against, or help."""


@dataclass(frozen=True)
class Line:
    """A line, with a band around it where limits are given.

    Attributes:
        x: Places along the first axis.
        y: Along the second.
        name: What it is; lines of one name share an entry of the legend.
        role: Whose it is.
        stroke: Place of a second property, such as training and validation.
        low: Lower limits of the band.
        high: Upper limits.
        thin: One of many (a fold), beside a bold one (their mean).
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str
    role: Role = 0
    stroke: int = 0
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    thin: bool = False


@dataclass(frozen=True)
class Dots:
    """Points, with bars from ``low`` to ``high`` where these are given.

    Attributes:
        x: Places along the first axis.
        y: Along the second.
        name: What they are.
        role: Whose they are.
        low: Lower limits.
        high: Upper limits.
        along: Axis along which the bars lie.
        labels: What is said of each point under the pointer.
        joined: Whether a line joins them.
        size: Diameter in points of print.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str
    role: Role = 0
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    along: Literal["x", "y"] = "y"
    labels: Sequence[str] = ()
    joined: bool = False
    size: float = 5.0


@dataclass(frozen=True)
class Bars:
    """Bars from zero; several systems stand side by side.

    Attributes:
        x: Middle of each bar.
        y: Height.
        name: What they are.
        role: Whose they are.
        width: Width of a bar in units of the first axis.
        low: Lower limits.
        high: Upper limits.
    """

    x: Sequence[float]
    y: Sequence[float]
    name: str
    role: Role = 0
    width: float = 0.8
    low: Sequence[float] = ()
    high: Sequence[float] = ()


Drawn = Line | Dots | Bars


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: What it measures, with the unit.
        limits: Least and greatest value shown; none: as the data ask.
        ticks: Places with a name of their own, such as one a system.
        names: Their names.
        log: Whether it is logarithmic.
        step: Distance of its ticks, such as 1 for whole numbers; 0: as the data ask.
    """

    label: str = ""
    limits: tuple[float, float] | None = None
    ticks: Sequence[float] = ()
    names: Sequence[str] = ()
    log: bool = False
    step: float = 0.0


@dataclass(frozen=True)
class Panel:
    """One set of axes.

    Attributes:
        title: Above it.
        drawn: What it shows, the lowest first.
        x: First axis.
        y: Second axis.
        kind: ``plane``; ``square`` (both axes of one length); ``radar`` (the first axis goes
            round, one spoke a tick).
        height: Share of the usual height.
    """

    title: str
    drawn: Sequence[Drawn]
    x: Axis = Axis()
    y: Axis = Axis()
    kind: Literal["plane", "square", "radar"] = "plane"
    height: float = 1.0


@dataclass(frozen=True)
class Chart:
    """A figure of one or several panels.

    Attributes:
        key: Name of its files and its anchor.
        caption: What is shown and how to read it.
        alt: The finding in words, for who does not see it.
        panels: Its panels, row by row.
        columns: Panels in a row of print.
        wide: Whether a panel needs the whole width of the page.
    """

    key: str
    caption: str
    alt: str
    panels: Sequence[Panel]
    columns: int = 2
    wide: bool = False
