"""Slices out of arrays that are read plane by plane: no volume is ever held as a whole."""

import math
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.frames import refuse_large
from glcm_mae.data.reading.policy import (
    Decoded,
    ReadingPolicy,
    RefusedPixelsError,
    choose_limits,
)
from glcm_mae.data.reading.spread import (
    Spread,
    limits_between,
    refuse_no_width,
    spread_for,
)

_STEP = 2**20  # bytes passed over at a time


@dataclass(frozen=True)
class Stack:
    """An array in a stream, the first axis slowest, to be cut into slices along one axis.

    Attributes:
        stream: Where the values lie, one after the other.
        start: Byte of the first value.
        shape: Three axes, and a fourth of 3 samples for colour.
        dtype: Type of a value.
        axis: Axis along which it is cut, 0, 1 or 2.
    """

    stream: BinaryIO
    start: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axis: int

    def __post_init__(self) -> None:
        """Refuse what is too large, or of a type that has no gray levels."""
        if self.dtype.kind not in "biuf" or self.dtype.itemsize > 8:
            name = self.dtype.name if self.dtype.names is None else "structured"
            raise RefusedPixelsError(
                f"{name} values are no gray levels", "save it as integers or floats"
            )
        refuse_large(self.size // self.shape[self.axis] if self.size else 0)
        refuse_large(math.prod(self.shape[1:]))  # of a plane, read at once

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that the values take."""
        return self.size * self.dtype.itemsize

    def read(self, numbers: Sequence[int], spread: Spread | None = None) -> npt.NDArray[Any]:
        """Read slices, shape (slices, height, width[, 3]), and measure all others if asked.

        Raises:
            RefusedPixelsError: If the stream is broken or ends early.
        """
        rest = tuple(n for axis, n in enumerate(self.shape) if axis != self.axis)
        slices = np.empty((len(numbers), *rest), dtype=self.dtype)
        if self.axis == 0 and spread is None:
            places: Iterable[int] = sorted(set(numbers))
        else:
            places = range(self.shape[0]) if len(numbers) or spread is not None else ()
        rows = defaultdict(list)  # several slices may be the same one
        for row, number in enumerate(numbers):
            rows[number].append(row)
        for place in places:
            plane = self._plane(place)
            if spread is not None:
                spread.add(plane.view(np.uint8) if plane.dtype.kind == "b" else plane)
            if self.axis != 0:
                slices[:, place] = np.moveaxis(plane, self.axis - 1, 0)[list(numbers)]
            elif place in rows:
                slices[rows[place]] = plane
        return slices

    def _go_to(self, place: int) -> None:
        """Seek in small steps: a member of a zip archive takes memory for each."""
        while (here := self.stream.tell()) != place:
            self.stream.seek(min(place, here + _STEP))

    def _plane(self, place: int) -> npt.NDArray[Any]:
        length = math.prod(self.shape[1:]) * self.dtype.itemsize
        try:
            self._go_to(self.start + place * length)
            data = self.stream.read(length)
        except (EOFError, zlib.error, BadZipFile, OSError):
            raise RefusedPixelsError("its compressed values are broken or truncated") from None
        if len(data) < length:
            raise RefusedPixelsError("it is truncated: values are missing")
        return np.frombuffer(data, dtype=self.dtype).reshape(self.shape[1:])


@dataclass(frozen=True)
class Scale:
    """Units per stored value, and units of the stored value 0."""

    slope: float = 1.0
    intercept: float = 0.0

    def units(self, values: tuple[float, float]) -> tuple[float, float]:
        """Return two stored values in units."""
        low, high = (value * self.slope + self.intercept for value in values)
        return low, high

    def stored(self, limits: tuple[float, float]) -> tuple[float, float]:
        """Return two values in units as stored values, not always whole."""
        low, high = ((limit - self.intercept) / self.slope for limit in limits)
        refuse_no_width(low, high)
        return low, high


def measuring(
    policy: ReadingPolicy,
    dtype: np.dtype[Any],
    scale: Scale,
    stated: tuple[float, float] | None,
) -> Spread | None:
    """Return what has to be measured over all values for a window, if anything.

    Floating point shows by its own range whether white is 1.
    """
    falling = scale.slope < 0
    if policy.window in ("range", "percentile"):
        return spread_for(policy, falling=falling)
    named = policy.window == "full" or (policy.window == "file" and stated is None)
    if named and dtype.kind == "f":
        return spread_for(ReadingPolicy(window="range"), falling=falling)
    return None


def decoded(
    values: npt.NDArray[Any],
    policy: ReadingPolicy,
    spread: Spread | None,
    scale: Scale | None = None,
    stated: tuple[float, float] | None = None,
) -> Decoded:
    """Choose black and white for values as they are stored, shape (slices, height, width, ...).

    Args:
        values: The slices.
        policy: Names the window.
        spread: What :func:`measuring` gave, with all values added.
        scale: From stored values to units.
        stated: Black and white in units as the file states them.

    Raises:
        RefusedPixelsError: If the policy's window is not to be had.
    """
    scale = scale or Scale()
    values = values if values.ndim == 4 else values[..., None]
    if policy.window in ("range", "percentile"):
        assert spread is not None
        limits = limits_between(*scale.units(spread.ends()))
    else:
        full = _full(values.dtype, scale, spread)
        limits = choose_limits(policy, values, stated=stated, full=full)
    return Decoded(values, *scale.stored(limits))


def _full(
    dtype: np.dtype[Any], scale: Scale, spread: Spread | None
) -> tuple[float, float] | None:
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind == "u" and dtype.itemsize <= 2:
        low, high = scale.units((0.0, float(np.iinfo(dtype).max)))
        return min(low, high), max(low, high)
    if dtype.kind == "f" and spread is not None:
        low, high = scale.units(spread.ends())
        return (0.0, 1.0) if low >= 0 and high <= 1 else None
    return None
