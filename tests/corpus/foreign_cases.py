"""Files that are no image that is read, whatever they are named."""

# ruff: noqa: E501  one row a case

import gzip
import io
import zipfile

from PIL import Image

from corpus.case import Case
from corpus.making import GRAY, saved, written


def archive(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as members:
        members.writestr(name, b"text")
    return file.getvalue()


def refused(name: str, content: str, refusal: str, data: bytes, file: str = "a.png") -> Case:
    outcome = f"refused: {refusal}".replace("\\", "")
    make = written(file, data)
    return Case(f"foreign-{name}", "other", content, outcome, "by construction", make, refusal=refusal)  # fmt: skip


FOREIGN_CASES = [
    refused("empty", "no bytes", "the file is empty", b""),
    refused("text", "text named .png", "no PNG, JPEG, BMP, WebP, TIFF, DICOM, NIfTI, NPY or NPZ inside", b"patient,label\n1,ill\n"),
    refused("page", "a web page named .jpg", "it is a web page", b"\n<!DOCTYPE html><title>404</title>", "a.jpg"),
    refused("svg", "SVG", "it is an SVG", b'<?xml version="1.0"?>\n<svg xmlns="x"/>'),
    refused("photoshop", "PSD", "it is a Photoshop file", b"8BPS\0\1" + bytes(40), "a.tif"),
    refused("heic", "HEIC", "it is a HEIC", bytes(3) + b"\x18ftypheic" + bytes(40), "a.jpg"),
    refused("avif", "AVIF", "it is an AVIF", bytes(3) + b"\x18ftypavif" + bytes(40), "a.jpg"),
    refused("jpeg2000", "JPEG 2000 outside DICOM and TIFF", "it is a bare JPEG 2000", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40)),
    refused("pdf", "PDF", "it is a PDF", b"%PDF-1.7\n"),
    refused("zip", "ZIP of texts", "it is a ZIP archive", archive("a.txt")),
    refused("gzip", "gzip of text", "no NIfTI header inside the gzip", gzip.compress(b"text" * 200), "a.nii.gz"),
    refused("bm-text", "text that starts as BMP does", "no PNG", b"BMI and age of all patients\n"),
    refused("zeros", "4096 zero bytes", "no PNG", bytes(4096), "a.dcm"),
    Case("foreign-gif", "other", "GIF", "refused: it is a GIF", "Pillow", saved("a.png", Image.fromarray(GRAY), format="GIF"), refusal="it is a GIF"),
]  # fmt: skip
