"""What a colour, a stroke and a marker stand for, in every figure and in the report.

Convention:
    The original (or the truth, or chance) is drawn in :data:`ORIGINAL`; systems take the
    colours of :data:`PALETTE` in the order in which they are named, and a second property
    of theirs (a protocol, a fold) the stroke. Intervals are bands or bars of the same
    colour at :data:`BAND` of its strength. No figure tells things apart by colour alone.
"""

from typing import Final, NamedTuple

PALETTE: Final = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31")
"""Colours of Okabe and Ito (2008), which the colour-blind tell apart, on white and on black.

Their yellow is left out, which white swallows; the last one is a brown of our own.
"""

ORIGINAL: Final = "#555555"
"""What systems are held against: the original images, the truth, chance."""

QUIET: Final = "#999999"
"""Lines of help: a grid, a diagonal, a threshold."""

BAND: Final = 0.22
"""Strength of the colour of a band, against 1 for the line in it."""

_STROKES: Final = ("-", "--", ":", "-.")
_MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


class Mark(NamedTuple):
    """How one line or group of points is drawn.

    Attributes:
        colour: Hexadecimal colour.
        stroke: Line style of matplotlib.
        marker: Marker of matplotlib.
    """

    colour: str
    stroke: str
    marker: str


def colour(number: int) -> str:
    """Return the colour of a system, by its place among those named.

    Example:
        >>> colour(0), colour(7) == colour(0)
        ('#0072B2', True)
    """
    return PALETTE[number % len(PALETTE)]


def mark(number: int, second: int = 0) -> Mark:
    """Return how a system is drawn, and a second property of it.

    Args:
        number: Place of the system among those named, from 0.
        second: Place of the second property, such as the protocol, from 0.

    Example:
        >>> mark(1, 1)
        Mark(colour='#D55E00', stroke='--', marker='s')
    """
    return Mark(
        colour(number),
        _STROKES[second % len(_STROKES)],
        _MARKERS[(second or number + number // len(PALETTE)) % len(_MARKERS)],
    )
