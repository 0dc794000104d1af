"""The gray-level policy: how the values in a file become gray levels, the same everywhere."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.errors import InputError

WINDOWS = ("file", "full", "range", "percentile")
"""Named windows; any other is written CENTRE/WIDTH."""
FITS = ("pad", "crop", "squeeze")
"""Ways to bring an image to a size."""
VALUE_LIMIT = 2**26
"""Most values (pixels times samples) that one image may have."""

_NUMBER = r"[+-]?\d+(?:\.\d+)?"


class RefusedPixelsError(Exception):
    """Why the content of a file is not used, and the remedy."""

    def __init__(self, reason: str, remedy: str = "repair or remove it") -> None:
        super().__init__(reason, remedy)
        self.reason, self.remedy = reason, remedy


@dataclass(frozen=True)
class ReadingPolicy:
    """How the values in a file become gray levels in ``[0, 1]``.

    It is stored in every checkpoint, and every stage that uses the checkpoint reads
    images by it.

    Attributes:
        channels: 1 for gray, 3 for red, green and blue.
        window: Which values are black and white: ``"file"`` (what the file states: a
            DICOM window or look-up table, else all its bits), ``"full"`` (all its bits),
            ``"range"`` (the least and the greatest value of the file), ``"percentile"``
            (the percentiles below), or ``"CENTRE/WIDTH"`` in the file's own units, such
            as ``"40/400"`` Hounsfield units. A volume has one range for all its slices.
        percentiles: Percentiles in [0, 100] that become black and white.
        axis: Axis along which volumes are cut into slices, 0, 1 or 2.
        size: Height and width in pixels, or None to keep the image's own.
        fit: ``"pad"`` or ``"crop"`` to ``size`` with the aspect ratio kept, or
            ``"squeeze"``.
        depth: Bits per value when images are stored, 8 or 16.

    Raises:
        InputError: If a value is out of its range.

    Example:
        >>> policy = ReadingPolicy(window="40/400")
        >>> policy.given_limits
        (-160.0, 240.0)
        >>> ReadingPolicy.from_facts(policy.facts()) == policy
        True
    """

    channels: int = 1
    window: str = "file"
    percentiles: tuple[float, float] = (0.5, 99.5)
    axis: int = 2
    size: tuple[int, int] | None = None
    fit: str = "pad"
    depth: int = 16

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            raise InputError(f"channels: must be 1 (gray) or 3 (colour), got {self.channels}")
        check_window(self.window)
        low, high = self.percentiles
        if not 0 <= low < high <= 100:
            raise InputError(
                f"percentiles: must rise within 0 and 100, got {low:g} and {high:g}"
            )
        if self.axis not in (0, 1, 2):
            raise InputError(f"axis: must be 0, 1 or 2, got {self.axis}")
        if self.size is not None and min(self.size) < 1:
            raise InputError(f"size: must be at least 1 pixel, got {self.size}")
        if self.fit not in FITS:
            raise InputError(f"fit: must be one of {', '.join(FITS)}, got {self.fit!r}")
        if self.depth not in (8, 16):
            raise InputError(f"depth: must be 8 or 16 bits, got {self.depth}")

    @property
    def given_limits(self) -> tuple[float, float] | None:
        """Black and white of a window written CENTRE/WIDTH, else None."""
        if self.window in WINDOWS:
            return None
        centre, width = map(float, self.window.split("/"))
        return centre - width / 2, centre + width / 2

    def native(self) -> "ReadingPolicy":
        """Return the policy that keeps every image's own size."""
        return replace(self, size=None)

    def facts(self) -> dict[str, Any]:
        """Return the policy as plain values, for a checkpoint or a file."""
        return {name: _plain(value) for name, value in asdict(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "ReadingPolicy":
        """Return the policy that :meth:`facts` described."""
        return cls(**{name: _tuple(value) for name, value in facts.items()})


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def check_window(window: str) -> None:
    """Refuse what names no window.

    Raises:
        InputError: If it is neither a known name nor ``CENTRE/WIDTH`` with a width above 0.

    Example:
        >>> check_window("40/400")
    """
    if window in WINDOWS:
        return
    if not re.fullmatch(f"{_NUMBER}/{_NUMBER}", window) or float(window.split("/")[1]) <= 0:
        raise InputError(
            f"window: must be {', '.join(WINDOWS)} or CENTRE/WIDTH such as 40/400, "
            f"got {window!r}"
        )


class Decoded(NamedTuple):
    """What a file holds, upright, before it becomes gray levels.

    Attributes:
        values: Any real type, shape (frames, height, width, samples), samples 1 or 3.
        black: Value that becomes 0.
        white: Value that becomes 1; below ``black`` where dark means much.
    """

    values: npt.NDArray[Any]
    black: float
    white: float


def choose_limits(
    policy: ReadingPolicy,
    values: npt.NDArray[Any],
    *,
    stated: tuple[float, float] | None,
    full: tuple[float, float] | None,
) -> tuple[float, float]:
    """Choose the values that become black and white.

    Args:
        policy: Names the window.
        values: All values of the file: a volume has one range for all its slices.
        stated: Black and white as the file states them; None if it does not.
        full: Least and greatest value that the file's bits can hold; None for floating
            point and wherever the bits say nothing about white.

    Returns:
        Black and white, different from each other.

    Raises:
        RefusedPixelsError: If the policy's window is not to be had from this file.

    Example:
        >>> values = np.array([0.0, 2.0, 8.0])
        >>> choose_limits(ReadingPolicy(window="range"), values, stated=None, full=None)
        (0.0, 8.0)
    """
    if (given := policy.given_limits) is not None:
        return given
    known = {"file": stated or full, "full": full}
    if policy.window in known:
        limits = known[policy.window]
        if limits is None:
            raise RefusedPixelsError(
                f"{values.dtype} values have no known white",
                "pass --data.window percentile, range or CENTRE/WIDTH",
            )
        return limits
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if finite.size == 0:
        raise RefusedPixelsError("none of its values is finite")
    if policy.window == "range":
        low, high = float(finite.min()), float(finite.max())
    else:
        low, high = (float(limit) for limit in np.percentile(finite, policy.percentiles))
    return (low, high) if high > low else (low, low + 1.0)  # a flat image is black


def as_gray_levels(decoded: Decoded, policy: ReadingPolicy) -> npt.NDArray[np.float32]:
    """Map black to 0 and white to 1, and cut off what lies beyond.

    Args:
        decoded: Values and their black and white.
        policy: Tells the number of channels: gray is made from colour by the luma of
            ITU-R BT.601 [1]_, colour from gray by repetition.

    Returns:
        Pixels in ``[0, 1]``, shape (frames, channels, height, width).

    Raises:
        RefusedPixelsError: If a value is not a number.

    Example:
        >>> values = np.array([[[[50], [25]]]], dtype=np.uint8)
        >>> as_gray_levels(Decoded(values, black=100.0, white=0.0), ReadingPolicy()).tolist()
        [[[[0.5, 0.75]]]]

    References:
        .. [1] Recommendation ITU-R BT.601-7, section 2.5.1
    """
    values, black, white = decoded
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise RefusedPixelsError("some of its values are not a number")
    return np.stack([_frame(frame, black, white, policy.channels) for frame in values])


_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, section 2.5.1


def _frame(
    frame: npt.NDArray[Any], black: float, white: float, channels: int
) -> npt.NDArray[np.float32]:
    wide = np.float32 if frame.dtype.itemsize <= 2 else np.float64  # both hold every integer
    planes = np.moveaxis(frame, -1, 0)
    samples = [_scaled(plane.astype(wide), black, white) for plane in planes]
    if channels == 1 and len(samples) == 3:
        luma = sum(np.float32(weight) * s for weight, s in zip(_LUMA, samples, strict=True))
        samples = [np.asarray(luma, dtype=np.float32).clip(0, 1)]
    return np.stack(samples if len(samples) == channels else samples * channels)


def _scaled(values: npt.NDArray[Any], black: float, white: float) -> npt.NDArray[np.float32]:
    if black != 0.0:
        values -= values.dtype.type(black)
    values /= values.dtype.type(white - black)
    np.clip(values, 0, 1, out=values)
    return values.astype(np.float32)
