"""From stored DICOM values to units, and from units to gray (PS3.3, C.11.1 and C.11.2)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.dicom_file import DicomFile, read_code
from glcm_mae.data.reading.policy import RefusedPixelsError
from glcm_mae.data.reading.spread import refuse_no_width

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_OTHER_WINDOW = "pass --data.window percentile, range or CENTRE/WIDTH"


class Table(NamedTuple):
    """A look-up table: ``first`` is the value that the first entry stands for."""

    first: int
    entries: npt.NDArray[Any]
    white: int

    def look_up(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Look values up; those beyond an end take the entry at that end."""
        places = np.rint(values) if values.dtype.kind == "f" else values
        places = places.astype(np.int64) - self.first
        return np.asarray(self.entries[places.clip(0, len(self.entries) - 1)])

    def gray(self, units: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
        """Return gray in [0, 1]."""
        return self.look_up(units) / np.float32(self.white)


class Line(NamedTuple):
    """A straight window: values from black to white."""

    black: float
    white: float

    def gray(self, units: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
        """Return gray in [0, 1].

        Example:
            >>> Line(0.0, 20.0).gray(np.array([5.0, 30.0]))
            array([0.25, 1.  ])
        """
        wide = np.float32 if units.dtype.itemsize <= 2 else np.float64
        gray: npt.NDArray[Any] = units.astype(wide)
        gray -= wide(self.black)
        gray /= wide(self.white - self.black)
        return np.clip(gray, 0, 1, out=gray)


class Step(NamedTuple):
    """A window of width 1: white above ``at``."""

    at: float

    def gray(self, units: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
        """Return gray, 0 or 1."""
        return (units > self.at).astype(np.float32)


class Sigmoid(NamedTuple):
    """A curved window (PS3.3, C.11.2.1.3.1)."""

    centre: float
    width: float

    def gray(self, units: npt.NDArray[Any]) -> npt.NDArray[np.floating]:
        """Return gray in [0, 1]."""
        slope = -4 / self.width
        with np.errstate(over="ignore"):  # far below the centre it is 0
            bent: npt.NDArray[np.floating] = 1 / (1 + np.exp(slope * (units - self.centre)))
        return bent


Voi = Table | Line | Step | Sigmoid
"""How units become gray."""


@dataclass(frozen=True)
class Tone:
    """How the values of one frame become units, and how the file wants them shown.

    Attributes:
        modality: Table from stored values to units, before which slope and intercept do
            not count.
        slope: Units per stored value, not 0.
        intercept: Units of the stored value 0.
        voi: What the file states as its window; None if it states none.
    """

    modality: Table | None
    slope: float
    intercept: float
    voi: Voi | None

    def units(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the values in units, such as Hounsfield units."""
        if self.modality is not None:
            return self.modality.look_up(stored)
        if (self.slope, self.intercept) == (1.0, 0.0):
            return stored
        return stored * self.slope + self.intercept

    def full(self, file: DicomFile) -> tuple[float, float] | None:
        """Return the least and the greatest value in units that the stored bits can hold."""
        if self.modality is not None:
            return 0.0, float(self.modality.white)
        if file.stored > 16 or file.floating:
            return None
        low = -(2 ** (file.stored - 1)) if file.signed else 0
        ends = [self.intercept + self.slope * end for end in (low, low + 2**file.stored - 1)]
        return min(ends), max(ends)

    def line(self, voi: Voi) -> Line | None:
        """Return the stored values, not always whole, that become black and white.

        None if no straight line leads from stored values to gray.
        """
        if self.modality is not None or not isinstance(voi, Line):
            return None
        line = Line(*((limit - self.intercept) / self.slope for limit in voi))
        refuse_no_width(*line)
        return line


def read_tone(file: DicomFile, number: int) -> Tone:
    """Read the tone of one frame: from its functional groups, else from the whole file.

    Raises:
        RefusedPixelsError: If a number or a table in it makes no sense.
    """
    scaling = _macro(file, number, "PixelValueTransformationSequence")
    slope = read_number(scaling, "RescaleSlope", 1.0)
    if slope == 0:
        raise RefusedPixelsError("its RescaleSlope is 0")
    modality = _first_item(file.header, "ModalityLUTSequence")
    return Tone(
        modality=None
        if modality is None
        else read_table(file, modality, "LUTDescriptor", "LUTData"),
        slope=slope,
        intercept=read_number(scaling, "RescaleIntercept", 0.0),
        voi=_read_voi(file, _macro(file, number, "FrameVOILUTSequence")),
    )


def _macro(file: DicomFile, number: int, keyword: str) -> Any:
    """Return the functional group that counts for a frame, or the header itself."""
    groups = file.header.get("PerFrameFunctionalGroupsSequence") or []
    shared = file.header.get("SharedFunctionalGroupsSequence") or []
    for items in (groups[number : number + 1], shared[:1]):
        for group in items:
            if (item := _first_item(group, keyword)) is not None:
                return item
    return file.header


def _first_item(header: Any, keyword: str) -> Any:
    items = header.get(keyword)
    return items[0] if items else None


def _read_voi(file: DicomFile, header: Any) -> Voi | None:
    table = _first_item(header, "VOILUTSequence")
    if table is not None and "LUTData" in table:
        return read_table(file, table, "LUTDescriptor", "LUTData")
    centre = read_number(header, "WindowCenter", None)
    width = read_number(header, "WindowWidth", None)
    if centre is None or width is None:
        return None
    function = read_code(header, "VOILUTFunction") or "LINEAR"
    if function not in _FUNCTIONS:
        raise RefusedPixelsError("its VOILUTFunction is unknown", _OTHER_WINDOW)
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise RefusedPixelsError("its WindowWidth is too small", _OTHER_WINDOW)
    if function == "SIGMOID":
        return Sigmoid(centre, width)
    if function == "LINEAR":  # PS3.3, C.11.2.1.2.1
        if width == 1:
            return Step(centre - 0.5)
        centre, width = centre - 0.5, width - 1
    return Line(centre - width / 2, centre + width / 2)


def read_number(header: Any, keyword: str, default: Any) -> Any:
    """Return the first number of an element as a float."""
    try:
        value = header.get(keyword)
        if value is None or value == "" or (isinstance(value, Sequence) and not len(value)):
            return default
        number = float(value[0] if hasattr(value, "__getitem__") else value)
    except (TypeError, ValueError):  # pydicom's text quotes the value
        raise RefusedPixelsError(f"its {keyword} is no number") from None
    if not np.isfinite(number):
        raise RefusedPixelsError(f"its {keyword} is not finite")
    return number


def read_table(file: DicomFile, header: Any, descriptor: str, data: str) -> Table:
    """Read a look-up table, of entries of 8 bits (also packed in words) or up to 16.

    Raises:
        RefusedPixelsError: If it is incomplete.
    """
    count, first, bits = _descriptor(file, header, descriptor)
    words = _words(file, header, data)
    entries: npt.NDArray[Any] = words[:count]
    if words.size < count:  # two entries in a word, the first in the low byte
        entries = words.astype("<u2").view(np.uint8)[:count]
    return _table(first, entries, bits, count)


def _descriptor(file: DicomFile, header: Any, keyword: str) -> tuple[int, int, int]:
    numbers = _words(file, header, keyword, signed=True)
    if numbers.size != 3 or not 1 <= numbers[2] <= 16:
        raise RefusedPixelsError("its look-up table is broken")
    count, first, bits = (int(number) for number in numbers)
    signed = file.signed and not isinstance(header.get(keyword), bytes)
    first = first - 2**16 if signed and first >= 2**15 else first
    return count % 2**16 or 2**16, first, bits


def _table(first: int, entries: npt.NDArray[Any], bits: int, count: int) -> Table:
    if entries.size < count:
        raise RefusedPixelsError("its look-up table is truncated")
    white = 2**bits - 1
    return Table(first, entries, white if int(entries.max()) <= white else 2**16 - 1)


def _words(
    file: DicomFile, header: Any, keyword: str, *, signed: bool = False
) -> npt.NDArray[Any]:
    """Return the 16-bit numbers of an element, whichever way it is encoded."""
    value = header.get(keyword)
    if isinstance(value, bytes):
        value = value + b"\0" * (len(value) % 2)
        order = "<" if file.syntax.is_little_endian else ">"
        return np.frombuffer(value, dtype=f"{order}u2").astype(np.uint16)
    kind = np.int64 if signed else np.uint16
    return np.atleast_1d(np.asarray(value if value is not None else [], dtype=kind))


_COLOURS = ("Red", "Green", "Blue")


def read_palette(file: DicomFile) -> list[Table]:
    """Read the palettes of red, green and blue, plain or segmented (PS3.3, C.7.9.2).

    Raises:
        RefusedPixelsError: If one is missing or incomplete.
    """
    tables = []
    for colour in _COLOURS:
        name = f"{colour}PaletteColorLookupTable"
        if f"Segmented{name}Data" in file.header:
            count, first, bits = _descriptor(file, file.header, f"{name}Descriptor")
            words = _words(file, file.header, f"Segmented{name}Data")
            data = words if bits > 8 else words.astype("<u2").view(np.uint8)
            tables.append(_table(first, expand_segments(data.tolist(), count), bits, count))
        elif f"{name}Data" in file.header:
            tables.append(read_table(file, file.header, f"{name}Descriptor", f"{name}Data"))
        else:
            raise RefusedPixelsError("its palette is missing")
    return tables


def expand_segments(data: list[int], count: int) -> npt.NDArray[np.uint16]:
    """Expand the segments of a palette, discrete and linear ones.

    Args:
        data: The bytes or words of the segments.
        count: Entries of the palette; the expansion ends there.

    Raises:
        RefusedPixelsError: If a segment is broken or indirect.

    Example:
        >>> expand_segments([0, 1, 10, 1, 2, 20], 3).tolist()
        [10, 15, 20]
    """
    entries: list[int] = []
    place = 0
    while place + 2 < len(data) and len(entries) < count:
        kind, length = data[place : place + 2]
        if kind == 0:
            entries += data[place + 2 : place + 2 + length]
            place += 2 + length
        elif kind == 1 and entries:
            steps = np.linspace(entries[-1], data[place + 2], length + 1)[1:]
            entries += np.around(steps).astype(int).tolist()
            place += 3
        else:
            raise RefusedPixelsError("its palette has indirect or broken segments")
    return np.array(entries[:count], dtype=np.uint16)
