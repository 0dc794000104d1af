"""Percentiles of values that come frame by frame, without keeping the frames."""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError, choose_limits

_CHUNK = 2**20  # values counted at a time: counting widens them to 8 bytes


class Spread:
    """Two percentiles of all values added, as numpy's linear method has them.

    Integers of up to 16 bits are counted, so that any number of frames takes no memory;
    other values are kept, unless only the least and the greatest are asked for.

    Args:
        low: First percentile, in [0, 100].
        high: Second percentile; it may be below ``low``.

    Example:
        >>> spread = Spread(0, 50)
        >>> spread.add(np.array([1, 2, 9], dtype=np.int16))
        >>> spread.add(np.array([4], dtype=np.int16))
        >>> spread.ends()
        (1.0, 3.0)
    """

    def __init__(self, low: float, high: float) -> None:
        self._percentiles = (low, high)
        self._extremes = {low, high} <= {0, 100}
        self._counts: npt.NDArray[np.int64] | None = None
        self._first = 0
        self._kept: list[npt.NDArray[Any]] = []

    def add(self, values: npt.NDArray[Any]) -> None:
        """Take in more values, all of one type; what is not finite is left out."""
        values = values.reshape(-1)
        if values.dtype.kind in "iu" and values.dtype.itemsize <= 2:
            self._count(values)
            return
        if values.dtype.kind == "f" and not (finite := np.isfinite(values)).all():
            values = values[finite]
        if values.size and self._extremes:
            values = np.array([values.min(), values.max()])
        if values.size:
            self._kept.append(values)

    def _count(self, values: npt.NDArray[Any]) -> None:
        kind = np.iinfo(values.dtype)
        if self._counts is None:
            self._first = int(kind.min)
            self._counts = np.zeros(int(kind.max) - int(kind.min) + 1, dtype=np.int64)
        for start in range(0, values.size, _CHUNK):
            part = values[start : start + _CHUNK].astype(np.int64) - self._first
            self._counts += np.bincount(part, minlength=self._counts.size)

    def ends(self) -> tuple[float, float]:
        """Return both percentiles.

        Raises:
            RefusedPixelsError: If no finite value was added.
        """
        if self._counts is not None and self._counts.any():
            low, high = (self._counted(percentile) for percentile in self._percentiles)
            return low, high
        if not self._kept:
            raise RefusedPixelsError("none of its values is finite, or all are padding")
        values = self._kept[0] if len(self._kept) == 1 else np.concatenate(self._kept)
        self._kept = [values]
        low, high = np.percentile(values, self._percentiles)
        return float(low), float(high)

    def _counted(self, percentile: float) -> float:
        assert self._counts is not None
        below = self._counts.cumsum()
        place = percentile / 100 * (below[-1] - 1)
        near, far = np.searchsorted(below, (np.floor(place), np.ceil(place)), side="right")
        return float(near + (far - near) * (place - np.floor(place)) + self._first)


def spread_for(policy: ReadingPolicy, *, falling: bool = False) -> Spread:
    """Return the spread that the window ``range`` or ``percentile`` asks for.

    Args:
        policy: Names the window and the percentiles.
        falling: Whether the greatest value is black.

    Example:
        >>> spread = spread_for(ReadingPolicy(window="range"), falling=True)
        >>> spread.add(np.array([1.0, 4.0]))
        >>> spread.ends()
        (4.0, 1.0)
    """
    low, high = (0.0, 100.0) if policy.window == "range" else policy.percentiles
    return Spread(100 - low, 100 - high) if falling else Spread(low, high)


def refuse_no_width(black: float, white: float) -> None:
    """Refuse limits between which no stored value can be told from another.

    Raises:
        RefusedPixelsError: If they are equal at single precision, or not finite.

    Example:
        >>> refuse_no_width(1.0, 0.5)
    """
    width = abs(white - black)
    if not np.finfo(np.float32).tiny < width < np.finfo(np.float32).max:
        raise RefusedPixelsError("its slope and intercept leave nothing of the window")


def limits_between(low: float, high: float) -> tuple[float, float]:
    """Return black and white for two percentiles, by the rule for flat images.

    Example:
        >>> limits_between(3.0, 3.0)
        (3.0, 4.0)
    """
    ends = np.array([low, high])
    return choose_limits(replace(ReadingPolicy(), window="range"), ends, stated=None, full=None)
