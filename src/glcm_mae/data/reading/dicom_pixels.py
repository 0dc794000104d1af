"""The stored values of DICOM frames, decoded one at a time."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.dicom_file import DicomFile
from glcm_mae.data.reading.policy import RefusedPixelsError

_EXTENDED = "1.2.840.10008.1.2.4.51"  # JPEG Extended, 8 or 12 bits
_RLE = "1.2.840.10008.1.2.5"
_NO_FRAME_HEADER = (0xC4, 0xC8, 0xCC)  # JPEG markers among the SOFs that are none
_END = b"\xff\xd9"  # of every JPEG, JPEG-LS and JPEG 2000 stream

# pydicom asks these two of the module of a plug-in for its decoders
DECODER_DEPENDENCIES = {_EXTENDED: ("imagecodecs",)}


def is_available(uid: str) -> bool:
    """Say to pydicom which transfer syntaxes :func:`decode_extended` decodes.

    Example:
        >>> is_available("1.2.840.10008.1.2.4.51")
        True
    """
    return uid == _EXTENDED


def decode_extended(source: bytes, runner: Any) -> bytes:
    """Decode a JPEG Extended frame for pydicom, whose own plug-ins refuse 12 bits."""
    import imagecodecs

    values = imagecodecs.jpeg8_decode(source)
    runner.set_option("bits_allocated", 8 * values.dtype.itemsize)
    runner.set_option("planar_configuration", 0)
    return bytes(values.tobytes())


def stored_frames(
    file: DicomFile, numbers: Sequence[int] | None = None
) -> Iterator[npt.NDArray[Any]]:
    """Yield frames as they are stored: no look-up table, no rescaling, but colours as RGB.

    Args:
        file: An open file.
        numbers: Frame numbers; None means all.

    Yields:
        Arrays of shape (rows, columns), or (rows, columns, 3) for colour; bits beyond
        BitsStored are gone.

    Raises:
        RefusedPixelsError: If a frame cannot be decoded.
    """
    for number in range(file.frames) if numbers is None else numbers:
        try:
            frame, facts = _decoded(file, number)
        except (RefusedPixelsError, MemoryError):
            raise
        except Exception:  # pydicom's texts may quote the header
            raise RefusedPixelsError(f"its {_name(file)} pixels cannot be decoded") from None
        if file.samples == 3 and facts["photometric_interpretation"] != "RGB":
            raise RefusedPixelsError("its colours cannot be converted to RGB")
        yield _without_unused_bits(file, frame)


def _name(file: DicomFile) -> str:
    return str(file.syntax.name)


def _decoded(file: DicomFile, number: int) -> tuple[npt.NDArray[Any], Any]:
    from pydicom.encaps import encapsulate

    decoder, options = _decoder(file), _options(file)
    if not file.fragments:
        file.stream.seek(file.start)
        options |= {"number_of_frames": file.frames, "pixel_vr": file.representation}
        frame, facts = next(decoder.iter_array(file.stream, indices=[number], **options))
        return frame, facts
    data = _encoded(file, number)
    if file.syntax != _RLE:
        _check_stream(file, data)
    array, facts = decoder.as_array(encapsulate([data]), index=0, **options)
    return array, facts


def _decoder(file: DicomFile) -> Any:
    from pydicom.pixels.decoders.base import Decoder, get_decoder

    if file.syntax != _EXTENDED:
        return get_decoder(file.syntax)
    decoder = Decoder(file.syntax)  # our own, so that pydicom's stays as it is
    decoder.add_plugin("imagecodecs", (__name__, "decode_extended"))
    return decoder


def _options(file: DicomFile) -> dict[str, Any]:
    options: dict[str, Any] = {
        "pixel_keyword": file.keyword,
        "rows": file.rows,
        "columns": file.columns,
        "samples_per_pixel": file.samples,
        "photometric_interpretation": file.photometric,
        "number_of_frames": 1,
        "bits_allocated": file.allocated,
        "bits_stored": file.stored,
        "pixel_representation": int(file.signed),
        "planar_configuration": file.planar,
        "allow_excess_frames": False,
    }
    if _unpacked_here(file):
        options["correct_unused_bits"] = False
    return options


def _unpacked_here(file: DicomFile) -> bool:
    """Tell whether the frame comes as stored, with HighBit to be minded."""
    return not file.floating and (not file.fragments or file.syntax == _RLE)


def _without_unused_bits(file: DicomFile, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Push the unused bits out at both ends; a right shift of signed values keeps the sign."""
    if file.allocated == 1 or file.stored == file.allocated or not _unpacked_here(file):
        return frame
    frame = np.left_shift(frame, file.allocated - 1 - file.high)
    return np.asarray(np.right_shift(frame, file.allocated - file.stored))


def _encoded(file: DicomFile, number: int) -> bytes:
    """Return the bytes of one encapsulated frame."""
    from pydicom.encaps import get_frame

    if len(file.fragments) == file.frames:
        parts = file.fragments[number : number + 1]
    elif file.frames == 1:
        parts = file.fragments
    else:
        file.stream.seek(file.start)
        tables = [file.header.get(f"ExtendedOffsetTable{end}") for end in ("", "Lengths")]
        offsets = (tables[0], tables[1]) if all(tables) else None
        return bytes(
            get_frame(
                file.stream, number, extended_offsets=offsets, number_of_frames=file.frames
            )
        )
    return b"".join(_bytes_at(file, place, length) for place, length in parts)


def _bytes_at(file: DicomFile, place: int, length: int) -> bytes:
    file.stream.seek(place)
    return file.stream.read(length)


def _check_stream(file: DicomFile, data: bytes) -> None:
    """Refuse what decoders fill up in silence, or what is larger inside than it says."""
    if _END not in data[-64:]:
        raise RefusedPixelsError(f"its {_name(file)} stream is truncated")
    size = stream_size(data)
    if size is None:
        raise RefusedPixelsError(f"its {_name(file)} stream is broken")
    if size != (file.rows, file.columns):
        raise RefusedPixelsError("its Rows and Columns are not those of its compressed image")


def stream_size(data: bytes) -> tuple[int, int] | None:
    r"""Return height and width as a JPEG, JPEG-LS or JPEG 2000 stream states them.

    Example:
        >>> stream_size(b"\xff\xd8\xff\xc0\x00\x11\x08\x00\x02\x00\x03")
        (2, 3)
    """
    siz = data.find(b"\xff\x4f\xff\x51", 0, 2**16)
    if siz >= 0 and len(data) >= siz + 24:
        width, height, left, top = struct.unpack(">4L", data[siz + 8 : siz + 24])
        return height - top, width - left
    place = 2
    while data[place : place + 1] == b"\xff" and place + 9 <= len(data):
        marker = data[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return height, width
        place += 2 + struct.unpack(">H", data[place + 2 : place + 4])[0]
    return None
