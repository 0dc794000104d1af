"""Which format a file holds, told by its first bytes and never by its name."""

import re
import stat
import struct
import zlib
from enum import Enum
from pathlib import Path

from glcm_mae.data.reading.policy import RefusedPixelsError

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".tif",
    ".tiff",
    ".bmp",
    ".webp",
    ".dcm",
    ".dicom",
    ".ima",
    ".nii",
    ".nii.gz",
    ".npy",
    ".npz",
)
"""Endings of the names that count as images when a folder is searched."""


class Format(Enum):
    """A format that is read, with its name for people."""

    PNG = "PNG"
    JPEG = "JPEG"
    BMP = "BMP"
    WEBP = "WebP"
    TIFF = "TIFF"
    DICOM = "DICOM"
    NIFTI = "NIfTI"
    NPY = "NPY"
    NPZ = "NPZ"


_READ = "PNG, JPEG, BMP, WebP, TIFF, DICOM, NIfTI, NPY or NPZ"
_HEAD = 1024  # bytes; the header of NIfTI-2 takes 540
_GZIP = 31  # wbits that zlib takes for gzip
_STARTS = {
    b"\x89PNG\r\n\x1a\n": Format.PNG,
    b"\xff\xd8\xff": Format.JPEG,
    b"II*\0": Format.TIFF,
    b"MM\0*": Format.TIFF,
    b"II+\0": Format.TIFF,  # BigTIFF
    b"MM\0+": Format.TIFF,
    b"\x93NUMPY": Format.NPY,
}
_FOREIGN = (  # what people have instead: only for the message
    (rb"GIF8[79]a", "a GIF"),
    (rb"8BPS", "a Photoshop file"),
    (rb"....ftyp(avif|avis)", "an AVIF"),
    (rb"....ftyp(hei|hev|mif1|msf1)", "a HEIC"),
    (rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51", "a bare JPEG 2000"),
    (rb"\xff\x0a|\0\0\0\x0cJXL ", "a JPEG XL"),
    (rb"%PDF", "a PDF"),
    (rb"NRRD", "an NRRD"),
    (rb"ObjectType\s*=|NDims\s*=", "a MetaImage"),
    (rb"\x89HDF", "an HDF5 file"),
    (rb"\x7fELF|MZ", "a program"),
    (rb"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?(<!DOCTYPE svg[^>]*>\s*)?<svg", "an SVG"),
    (rb"\s*<(!doctype )?html", "a web page"),
    (rb"Rar!|7z\xbc\xaf|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd", "an archive"),
)
_BMP_HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)  # sizes of the headers that exist
_DICOM_TYPES = frozenset(  # PS3.5, table 6.2-1: value representations
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL "
    b"UN UR US UT UV".split()
)


def sniff(path: str | Path) -> Format:
    r"""Tell the format of a file by its content.

    Args:
        path: The file.

    Returns:
        Its format; whether the rest of the file keeps to it is for the decoder to say.

    Raises:
        OSError: If the file cannot be opened.
        RefusedPixelsError: If it is empty, no regular file, or of no format that is read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "scan.txt").write_bytes(b"II*\0" + bytes(8))
        ...     sniff(f"{folder}/scan.txt")
        <Format.TIFF: 'TIFF'>
    """
    head = _head(Path(path))
    if not head:
        raise RefusedPixelsError("the file is empty")
    if (found := _known(head)) is None:
        raise RefusedPixelsError(*_what_else(head))
    return found


def counts_as_image(path: str | Path) -> bool:
    """Tell whether a file found in a folder counts as an image.

    Known endings count by their name, so that a broken image is told rather than left
    out; among the other files only DICOM does, since hospitals name it as they like.

    Args:
        path: The file.

    Example:
        >>> counts_as_image("a/SCAN.NII.GZ"), counts_as_image("a/no-such-file.txt")
        (True, False)
    """
    if Path(path).name.lower().endswith(IMAGE_SUFFIXES):
        return True
    try:
        return _known(_head(Path(path))) is Format.DICOM
    except (OSError, RefusedPixelsError):
        return False


def _head(path: Path) -> bytes:
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # a pipe would be waited for
        raise RefusedPixelsError("it is no regular file", "remove it")
    with path.open("rb") as file:
        return file.read(_HEAD)


def _known(head: bytes) -> Format | None:
    if head[128:132] == b"DICM":  # first, as the preamble may be that of a TIFF (PS3.10, 7.1)
        return Format.DICOM
    for start, found in _STARTS.items():
        if head.startswith(start):
            return found
    tests = {
        Format.WEBP: head[:4] == b"RIFF" and head[8:12] == b"WEBP",
        Format.BMP: head[:2] == b"BM" and head[14:15] != b"" and head[14] in _BMP_HEADERS,
        Format.DICOM: _starts_with_an_element(head),
        Format.NIFTI: _is_nifti(_unzipped(head)),
        Format.NPZ: head[:4] == b"PK\x03\x04" and _first_member(head).endswith(b".npy"),
    }
    return next((found for found, passed in tests.items() if passed), None)


def _starts_with_an_element(head: bytes) -> bool:
    """Tell a DICOM data set without preamble: its first element is of group 2 or 8."""
    if len(head) < 16:
        return False
    group, element, kind, short, length = *struct.unpack("<HH2sH", head[:8]), head[4:8]
    if (group, element) == (2, 0) or (group == 8 and element <= 0x0100):
        explicit = kind in _DICOM_TYPES and short < len(head)
        implicit = int.from_bytes(length, "little")
        return explicit or (0 < implicit <= 64 and implicit % 2 == 0)
    return False


def _unzipped(head: bytes) -> bytes:
    """Undo gzip for as many bytes as a NIfTI header needs; deflate may hide a bomb."""
    if head[:2] != b"\x1f\x8b":
        return head
    try:
        return zlib.decompressobj(wbits=_GZIP).decompress(head, 400)
    except zlib.error:
        return b""


def _is_nifti(head: bytes) -> bool:
    if head[344:348] in (b"n+1\0", b"ni1\0"):
        return 348 in struct.unpack("<i", head[:4]) + struct.unpack(">i", head[:4])
    return head[4:8] in (b"n+2\0", b"ni2\0")


def _first_member(head: bytes) -> bytes:
    length = int.from_bytes(head[26:28], "little")
    return head[30 : 30 + length]


def _what_else(head: bytes) -> tuple[str, str]:
    for pattern, name in _FOREIGN:
        if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
            return f"it is {name}, no {_READ}", "convert it or remove it"
    if head[:2] == b"\x1f\x8b":
        return "no NIfTI header inside the gzip", "unpack it or remove it"
    if head[:2] == b"PK":
        return "it is a ZIP archive of something else than NumPy arrays", "unpack or remove it"
    return f"no {_READ} inside", "repair or remove it"
