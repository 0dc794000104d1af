"""What a file is, by its first bytes."""

import gzip
import io
import os
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.reading.formats import IMAGE_SUFFIXES, Format, counts_as_image, sniff
from glcm_mae.data.reading.policy import RefusedPixelsError

NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0"
NIFTI_2 = struct.pack("<i", 540) + b"n+2\0\r\n\x1a\n" + bytes(528)
EXPLICIT = b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(100)
IMPLICIT = b"\x08\0\x05\0\x0a\0\0\0ISO_IR 100" + bytes(100)
META = b"\x02\0\0\0UL\x04\0\xc4\0\0\0" + bytes(100)


def image(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("L", (4, 3)).save(file, kind)
    return file.getvalue()


def arrays() -> bytes:
    file = io.BytesIO()
    np.savez(file, pixels=np.zeros((2, 2)))
    return file.getvalue()


def text_archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "text")
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (image("PNG"), Format.PNG),
        (image("JPEG"), Format.JPEG),
        (image("BMP"), Format.BMP),
        (image("WEBP"), Format.WEBP),
        (image("TIFF"), Format.TIFF),
        (b"MM\0+" + bytes(12), Format.TIFF),
        (bytes(128) + b"DICM", Format.DICOM),
        (b"II*\0".ljust(128, b"\0") + b"DICM", Format.DICOM),
        (EXPLICIT, Format.DICOM),
        (IMPLICIT, Format.DICOM),
        (META, Format.DICOM),
        (NIFTI, Format.NIFTI),
        (struct.pack(">i", 348) + bytes(340) + b"ni1\0", Format.NIFTI),
        (NIFTI_2, Format.NIFTI),
        (gzip.compress(NIFTI, mtime=0), Format.NIFTI),
        (gzip.compress(NIFTI_2 + bytes(10**6), mtime=0), Format.NIFTI),
        (b"\x93NUMPY\1\0", Format.NPY),
        (arrays(), Format.NPZ),
    ],
)
def test_formats_are_told_by_their_content(
    tmp_path: Path, content: bytes, expected: Format
) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert sniff(tmp_path / "a.txt") is expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"GIF89a", "it is a GIF, no PNG, JPEG, "),
        (b"BMI and age of all\n", "no PNG, .* inside"),
        (b"BM", "no PNG, .* inside"),
        (b"\x08\0", "no PNG, .* inside"),
        (b"\x08\0\x05\0are no elements", "no PNG, .* inside"),
        (gzip.compress(bytes(10**6), mtime=0), "no NIfTI header inside the gzip"),
        (b"\x1f\x8b\x08broken", "no NIfTI header inside the gzip"),
        (text_archive(), "a ZIP archive of something else"),
    ],
)
def test_other_content_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(RefusedPixelsError, match=reason):
        sniff(tmp_path / "a.png")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(RefusedPixelsError, match="no regular file"):
        sniff(tmp_path / "a.png")
    os.mkfifo(tmp_path / "scan")
    assert not counts_as_image(tmp_path / "scan")


def test_known_endings_count_unseen_and_others_if_they_hold_dicom(tmp_path: Path) -> None:
    assert all(counts_as_image(f"gone{ending.upper()}") for ending in IMAGE_SUFFIXES)
    for name, content in {
        "IM0001": bytes(128) + b"DICM",
        "1.2.840.113619": EXPLICIT,
        "picture": image("PNG"),
        "notes.txt": b"text",
        "empty": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
    found = {path.name for path in tmp_path.iterdir() if counts_as_image(path)}
    assert found == {"IM0001", "1.2.840.113619"}
    assert not counts_as_image(tmp_path)
