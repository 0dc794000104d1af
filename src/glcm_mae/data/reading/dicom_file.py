"""A DICOM file, opened and checked: its header, and where its pixels lie.

No text of pydicom and no value of the header reaches an error: they may name the patient.
"""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

from glcm_mae.data.reading.frames import refuse_large
from glcm_mae.data.reading.policy import RefusedPixelsError
from glcm_mae.data.reading.silence import silence

INFLATED_LIMIT = 2**28
"""Most bytes that a deflated file may hold."""

GRAY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_RETIRED = ("HSV", "ARGB", "CMYK", "YBR_PARTIAL_422", "YBR_PARTIAL_420")
_PIXELS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
_DEFLATED = "1.2.840.10008.1.2.1.99"
_UNDEFINED = 0xFFFFFFFF  # PS3.5, section 7.1.1: the length is told by a delimiter
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_LONG_VALUE = 2**24  # bytes; longer elements before the pixels are passed over
_CHUNK = 2**20


@dataclass(frozen=True)
class DicomFile:
    """The header of an open DICOM file, and the layout of its pixels.

    Attributes:
        header: All elements before the pixels, a ``pydicom.Dataset``.
        stream: The file; the pixels begin at ``start`` and take ``length`` bytes.
        syntax: The transfer syntax, a ``pydicom.uid.UID``.
        keyword: ``PixelData``, ``FloatPixelData`` or ``DoubleFloatPixelData``.
        representation: The value representation of the pixels, or None.
        photometric: The photometric interpretation.
        fragments: Offset and length of each encapsulated fragment; empty for native pixels.
    """

    header: Any
    stream: BinaryIO
    syntax: Any
    keyword: str
    representation: str | None
    start: int
    length: int
    frames: int
    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: bool
    photometric: str
    planar: int
    fragments: tuple[tuple[int, int], ...]

    @property
    def gray(self) -> bool:
        """Whether the pixels are gray."""
        return self.photometric in GRAY

    @property
    def floating(self) -> bool:
        """Whether the pixels are floating point."""
        return self.keyword != "PixelData"


@contextmanager
def open_dicom(path: str | Path) -> Iterator[DicomFile]:
    """Open a DICOM file that holds pixels, and check all that can be known beforehand.

    Raises:
        RefusedPixelsError: If the file is missing, broken, truncated, too large, holds no
            pixels, or is of a kind that is not supported; also for whatever fails while
            the file is open.
    """
    _need_pydicom()
    with silence:
        try:
            with Path(path).open("rb") as stream:
                yield _open(stream)
        except (RefusedPixelsError, MemoryError):
            raise
        except OSError as error:
            raise RefusedPixelsError(error.strerror or "it cannot be read") from None
        except Exception:  # pydicom's texts quote values of the header
            raise RefusedPixelsError("its DICOM structure is broken") from None


def _need_pydicom() -> None:
    try:
        import pydicom  # noqa: F401
    except ImportError:
        raise RefusedPixelsError(
            "DICOM files need pydicom", "pip install 'glcm-mae[dicom]'"
        ) from None


def _open(stream: BinaryIO) -> DicomFile:
    if os.fstat(stream.fileno()).st_size == 0:
        raise RefusedPixelsError("the file is empty")
    uid, body = _transfer_syntax(stream)
    header, place, stream = _read_header(stream, uid == _DEFLATED, body)
    if place is None:
        raise RefusedPixelsError("it holds no pixels", "remove it")
    syntax = _known_syntax(uid, header, place[2] == _UNDEFINED)
    return _checked(header, stream, syntax, place)


def _transfer_syntax(stream: BinaryIO) -> tuple[str, int]:
    """Return what the file's meta information says, and where the data set begins."""
    from pydicom.filereader import read_dataset

    stream.seek(128)
    stream.seek(132 if stream.read(4) == b"DICM" else 0)
    meta = read_dataset(stream, False, True, stop_when=lambda tag, *_: tag.group != 2)
    return str(meta.get("TransferSyntaxUID", "") or ""), stream.tell()


def _read_header(
    stream: BinaryIO, deflated: bool, body: int
) -> tuple[Any, tuple[str, str | None, int, int] | None, BinaryIO]:
    """Read all elements before the pixels; a deflated data set is inflated in memory."""
    from pydicom.filereader import read_partial

    if deflated:
        stream.seek(body)
        stream = _inflate(stream)
    found: list[tuple[str, str | None, int, int]] = []

    def at_pixels(tag: int, kind: str | None, length: int) -> bool:
        if (keyword := _PIXELS.get(int(tag))) is not None:
            found.append((keyword, kind, length, stream.tell()))
        return bool(found)

    stream.seek(0)
    header = read_partial(stream, stop_when=at_pixels, defer_size=_LONG_VALUE, force=True)
    return header, found[0] if found else None, stream


def _inflate(stream: BinaryIO) -> BinaryIO:
    inflater, inflated = zlib.decompressobj(-zlib.MAX_WBITS), io.BytesIO()
    while not inflater.eof:
        data = inflater.unconsumed_tail or stream.read(_CHUNK)
        if not data:
            raise RefusedPixelsError("the file is truncated")
        try:
            inflated.write(inflater.decompress(data, _CHUNK))
        except zlib.error:
            raise RefusedPixelsError("its deflated content is broken") from None
        if inflated.tell() > INFLATED_LIMIT:
            raise RefusedPixelsError(
                f"it inflates to more than {INFLATED_LIMIT >> 20} MiB",
                "save it as Explicit VR Little Endian, or remove it",
            )
    return inflated


def _known_syntax(uid: str, header: Any, undefined_length: bool) -> Any:
    """Return the transfer syntax as pydicom's decoders want it."""
    from pydicom import uid as uids
    from pydicom.pixels.decoders.base import get_decoder

    if not uid or uid == _DEFLATED:  # inflated already; or guessed from the first element
        if undefined_length:
            raise RefusedPixelsError("its TransferSyntaxUID is missing")
        implicit, little = header.original_encoding
        if implicit:
            return uids.ImplicitVRLittleEndian
        return uids.ExplicitVRLittleEndian if little else uids.ExplicitVRBigEndian
    syntax = uids.UID(uid)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        name = syntax.name if syntax.name != uid else "a private one"
        raise RefusedPixelsError(
            f"its transfer syntax is not supported ({name})",
            "convert it, for instance to Explicit VR Little Endian",
        ) from None
    if not decoder.is_available:
        raise RefusedPixelsError(
            f"no decoder for {syntax.name} is installed", "pip install 'glcm-mae[dicom]'"
        )
    return syntax


def _checked(
    header: Any, stream: BinaryIO, syntax: Any, place: tuple[str, str | None, int, int]
) -> DicomFile:
    keyword, representation, length, start = place
    floating = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword)
    photometric = read_code(header, "PhotometricInterpretation")
    allocated = floating or read_integer(header, "BitsAllocated")
    stored = floating or read_integer(header, "BitsStored", allocated)
    end = stream.seek(0, os.SEEK_END)
    file = DicomFile(
        header=header,
        stream=stream,
        syntax=syntax,
        keyword=keyword,
        representation=representation,
        start=start,
        length=end - start if length == _UNDEFINED else length,
        frames=read_integer(header, "NumberOfFrames", 1) or 1,
        rows=read_integer(header, "Rows"),
        columns=read_integer(header, "Columns"),
        samples=read_integer(header, "SamplesPerPixel", 1),
        allocated=allocated,
        stored=stored,
        high=stored - 1 if floating else read_integer(header, "HighBit", stored - 1),
        signed=not floating and read_integer(header, "PixelRepresentation", 0) == 1,
        photometric=photometric,
        planar=read_integer(header, "PlanarConfiguration", 0),
        fragments=_fragments(stream, start, end) if syntax.is_encapsulated else (),
    )
    _refuse_kind(file)
    refuse_large(file.rows * file.columns * file.samples)
    if syntax.is_encapsulated:
        if not 1 <= file.frames <= len(file.fragments):
            raise RefusedPixelsError("it is truncated: frames are missing")
        return file
    return _fitted(file, end - start)


def _refuse_kind(file: DicomFile) -> None:
    known = (*GRAY, *_COLOUR, "PALETTE COLOR")
    if file.photometric not in known:
        name = file.photometric if file.photometric in _RETIRED else "an unknown one"
        raise RefusedPixelsError(
            f"its PhotometricInterpretation is not supported ({name})", "convert it to RGB"
        )
    if file.samples != (3 if file.photometric in _COLOUR else 1):
        raise RefusedPixelsError("its SamplesPerPixel and PhotometricInterpretation disagree")
    if file.allocated not in (1, 8, 16, 32, 64):
        raise RefusedPixelsError(f"BitsAllocated {file.allocated} is not supported")
    if not 1 <= file.stored <= file.high + 1 <= file.allocated:
        raise RefusedPixelsError("its BitsStored, HighBit and BitsAllocated disagree")
    if min(file.rows, file.columns, file.frames) < 1:
        raise RefusedPixelsError("it holds no pixels")


def _fitted(file: DicomFile, available: int) -> DicomFile:
    """Check that native pixels are all there, and mend a wrong claim of half the chroma."""
    bits = file.rows * file.columns * file.samples * file.allocated
    if file.photometric == "YBR_FULL_422":
        if min(file.length, available) * 8 >= bits * file.frames:  # nothing is left out
            return _fitted(replace(file, photometric="YBR_FULL"), available)
        bits = bits // 3 * 2
    if min(file.length, available) < (bits * file.frames + 7) // 8:
        raise RefusedPixelsError("it is truncated: pixels are missing")
    return file


def _fragments(stream: BinaryIO, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """Return where the fragments lie that hold pixels: the first item is the offset table."""
    found: list[tuple[int, int]] = []
    place = start
    while place < end:
        stream.seek(place)
        head = stream.read(8)
        if head[:4] == _DELIMITER:
            break
        if len(head) < 8 or head[:4] != _ITEM:
            raise RefusedPixelsError("its encapsulated pixels are broken or truncated")
        length = struct.unpack("<L", head[4:])[0]
        found.append((place + 8, length))
        place += 8 + length
    if place > end or not found:
        raise RefusedPixelsError("it is truncated: pixels are missing")
    return tuple(found[1:])


def read_integer(header: Any, keyword: str, default: int | None = None) -> int:
    """Return one integer of the header, or the default where it is absent.

    Raises:
        RefusedPixelsError: If it is no integer, or absent without a default.
    """
    try:
        value = header.get(keyword)
        if value is not None and value != "":
            return int(value)
    except (TypeError, ValueError):  # pydicom's text quotes the value
        raise RefusedPixelsError(f"its {keyword} is no integer") from None
    if default is None:
        raise RefusedPixelsError(f"its {keyword} is missing")
    return default


def read_code(header: Any, keyword: str) -> str:
    """Return one code string of the header in capitals, empty where it is absent."""
    value = header.get(keyword)
    return value.strip().upper() if isinstance(value, str) else ""
