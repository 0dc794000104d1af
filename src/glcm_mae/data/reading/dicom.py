"""DICOM files: frames by their modality, window and padding, as a viewer shows them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.dicom_file import DicomFile, open_dicom, read_code
from glcm_mae.data.reading.dicom_header import TECHNICAL_FIELDS, read_header
from glcm_mae.data.reading.dicom_pixels import stored_frames
from glcm_mae.data.reading.dicom_tone import (
    Line,
    Tone,
    Voi,
    read_number,
    read_palette,
    read_tone,
)
from glcm_mae.data.reading.frames import choose_frames
from glcm_mae.data.reading.policy import Decoded, ReadingPolicy, choose_limits
from glcm_mae.data.reading.spread import limits_between, spread_for

__all__ = ["TECHNICAL_FIELDS", "count_dicom_frames", "decode_dicom", "read_header"]

Limits = tuple[float, float]


def count_dicom_frames(path: str | Path) -> int:
    """Return how many frames a DICOM file holds.

    Raises:
        RefusedPixelsError: If it is broken, truncated or holds no pixels.
    """
    with open_dicom(path) as file:
        return file.frames


def decode_dicom(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode frames of a DICOM file as a viewer shows them [1]_.

    The modality table, or slope and intercept, turns stored values into units; the window
    turns units into gray; MONOCHROME1 is inverted after that; padding is black and counts
    in no statistics. Functional groups of single frames count before the file's elements.

    Convention:
        The window ``"file"`` is the VOI look-up table, else the first window centre and
        width by its function, else the range of the stored bits in units. ``"full"`` is
        that range, ``"range"`` and ``"percentile"`` are taken over all frames, and
        ``"CENTRE/WIDTH"`` is in units: black at CENTRE - WIDTH / 2, white at
        CENTRE + WIDTH / 2. Colour has no units and no window of its own.

    Args:
        path: The file.
        frames: Frame numbers; None means that the file must hold exactly one.
        policy: Names the window.

    Returns:
        The frames, in the order asked for.

    Raises:
        RefusedPixelsError: If the file is broken or its content not supported; its text
            holds no value of the header.

    References:
        .. [1] DICOM PS3.3, C.7.6.3, C.7.6.16.2, C.7.9, C.11.1 and C.11.2
    """
    with open_dicom(path) as file:
        numbers = choose_frames(frames, file.frames)
        if file.gray:
            return _decode_gray(file, numbers, policy)
        return _decode_colour(file, numbers, policy)


def _decode_colour(file: DicomFile, numbers: list[int], policy: ReadingPolicy) -> Decoded:
    palette = read_palette(file) if file.photometric == "PALETTE COLOR" else []

    def coloured(numbers: Sequence[int] | None) -> Iterator[npt.NDArray[Any]]:
        for frame in stored_frames(file, numbers):
            planes = [table.look_up(frame) for table in palette]
            yield np.stack(planes, axis=-1) if planes else frame

    values = _stacked(coloured(numbers), len(numbers))
    if policy.window in ("range", "percentile"):
        spread = spread_for(policy)
        for frame in coloured(None):
            spread.add(frame)
        return Decoded(values, *limits_between(*spread.ends()))
    white = max(table.white for table in palette) if palette else 2**file.stored - 1
    full = (0.0, float(white)) if white < 2**16 else None
    return Decoded(values, *choose_limits(policy, values, stated=None, full=full))


def _stacked(frames: Iterator[npt.NDArray[Any]], count: int) -> npt.NDArray[Any]:
    """Gather frames without ever holding them twice; axes (frames, height, width, ...)."""
    first = next(frames)
    if count == 1:
        return first[None]
    values = np.empty((count, *first.shape), dtype=first.dtype)
    values[0] = first
    for number, frame in enumerate(frames, start=1):
        values[number] = frame
    return values


def _decode_gray(file: DicomFile, numbers: list[int], policy: ReadingPolicy) -> Decoded:
    tones, padding = [read_tone(file, number) for number in numbers], _Padding(file)
    shown: list[Voi | None] = [tone.voi if policy.window == "file" else None for tone in tones]
    if any(voi is None for voi in shown):
        limits = Line(*_common_limits(file, policy, padding))
        shown = [voi or limits for voi in shown]
    vois = [voi for voi in shown if voi is not None]
    ends = (1.0, 0.0) if _inverted(file) else (0.0, 1.0)
    lines = {tone.line(voi) for tone, voi in zip(tones, vois, strict=True)}
    frames = stored_frames(file, numbers)
    if len(lines) == 1 and (line := lines.pop()) is not None and not padding.exists:
        values = _stacked(frames, len(numbers))[..., None]
        return Decoded(values, *((line.white, line.black) if ends[0] else line))
    grays = (
        padding.painted(stored, voi.gray(tone.units(stored)), ends[0])
        for stored, tone, voi in zip(frames, tones, vois, strict=True)
    )
    return Decoded(_stacked(grays, len(numbers))[..., None], *ends)


def _inverted(file: DicomFile) -> bool:
    """Tell whether low values are bright; both elements say the same (PS3.3, C.8.11.3.1.2)."""
    shape = read_code(file.header, "PresentationLUTShape")
    return file.photometric == "MONOCHROME1" or shape == "INVERSE"


def _common_limits(file: DicomFile, policy: ReadingPolicy, padding: "_Padding") -> Limits:
    """Return black and white in units, the same for all frames."""
    if policy.given_limits is not None:
        return policy.given_limits
    tones = _all_tones(file)
    if policy.window in ("range", "percentile"):
        return _measured_limits(file, policy, padding, tones)
    kind = f"{'int' if file.signed else 'uint'}{max(file.allocated, 8)}"
    none = np.empty(0, dtype=f"float{file.allocated}" if file.floating else kind)
    return choose_limits(policy, none, stated=None, full=_full(file, padding, tones))


def _all_tones(file: DicomFile) -> list[Tone]:
    if file.header.get("PerFrameFunctionalGroupsSequence"):
        return [read_tone(file, number) for number in range(file.frames)]
    return [read_tone(file, 0)] * file.frames


def _full(file: DicomFile, padding: "_Padding", tones: list[Tone]) -> Limits | None:
    """Return the range of the bits; of floating point, [0, 1] if all values lie there."""
    if file.floating:
        unit = replace(ReadingPolicy(), window="range")
        low, high = _measured_limits(file, unit, padding, tones)
        return (0.0, 1.0) if low >= 0 and high <= 1 else None
    ranges = [tone.full(file) for tone in tones]
    known = [limits for limits in ranges if limits is not None]
    if len(known) < len(ranges):
        return None
    return min(low for low, _ in known), max(high for _, high in known)


def _measured_limits(
    file: DicomFile, policy: ReadingPolicy, padding: "_Padding", tones: list[Tone]
) -> Limits:
    """Measure all frames: stored values if one line leads from them to units."""
    straight = all(tone.modality is None for tone in tones)
    slope, intercept = tones[0].slope, tones[0].intercept
    alike = straight and {(tone.slope, tone.intercept) for tone in tones} == {
        (slope, intercept)
    }
    spread = spread_for(policy, falling=alike and slope < 0)
    for stored, tone in zip(stored_frames(file), tones, strict=True):
        values = stored if alike else tone.units(stored)
        if not alike and straight:  # some slopes are 1: one type for all
            values = values.astype(np.float64)
        spread.add(values[~padding.mask(stored)] if padding.exists else values)
    low, high = spread.ends()
    if alike:
        low, high = low * slope + intercept, high * slope + intercept
    return limits_between(low, high)


class _Padding:
    """The stored values that stand for no measurement (PS3.3, C.7.5.1.1.2)."""

    def __init__(self, file: DicomFile) -> None:
        kind = {"FloatPixelData": "Float", "DoubleFloatPixelData": "DoubleFloat"}
        name = f"{kind.get(file.keyword, '')}PixelPadding"
        first = read_number(file.header, f"{name}Value", None)
        last = read_number(file.header, f"{name}RangeLimit", first)
        ends = [
            end - 2**file.allocated if file.signed and end >= 2 ** (file.allocated - 1) else end
            for end in (first, last)
            if end is not None
        ]
        self.exists = first is not None
        self._low = float(min(ends, default=1.0))
        self._high = float(max(ends, default=0.0))

    def mask(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Tell which values are padding."""
        within: npt.NDArray[np.bool_] = (stored >= self._low) & (stored <= self._high)
        return within

    def painted(
        self, stored: npt.NDArray[Any], gray: npt.NDArray[np.floating], black: float
    ) -> npt.NDArray[np.float32]:
        """Return gray with black where padding is."""
        gray = gray.astype(np.float32)
        if self.exists:
            gray[self.mask(stored)] = black
        return gray
