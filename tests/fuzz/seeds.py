"""Small sound files of every format, from which broken ones are made."""

import io
import zipfile
import zlib
from collections.abc import Callable

import imagecodecs
import nibabel as nib
import numpy as np
import pydicom
import tifffile
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

GRAY = np.sqrt(np.arange(40 * 56) * np.random.default_rng(0).integers(0, 29, 40 * 56))
GRAY = GRAY.reshape(40, 56).astype(np.uint8)
DEEP = (GRAY.astype(np.uint16) * 257)[:, :48]
COLOUR = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1]], axis=-1)
VOLUME = (np.arange(12 * 10 * 5).reshape(12, 10, 5) - 300).astype(np.int16)

SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}
SHIPPED = {  # files that pydicom brings along: what it cannot write itself
    "JPEG": "SC_rgb_jpeg_gdcm.dcm",
    "JPEG 12 bits": "JPGExtended.dcm",
    "JPEG-LS": "MR_small_jpeg_ls_lossless.dcm",
    "palette": "examples_palette.dcm",
    "frames": "SC_rgb_rle_2frame.dcm",
}


def dicom(syntax: str) -> bytes:
    """Return a DICOM file of 12 bits with window and rescaling."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = UID(SYNTAXES["explicit"])
    meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.2")
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    data = Dataset()
    data.file_meta, data.preamble = meta, bytes(128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, UID("1.2.3")
    data.PatientID, data.PatientName, data.Modality = "P1", "One^Patient", "CT"
    data.Rows, data.Columns = DEEP.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
    data.WindowCenter, data.WindowWidth = "40", "400"
    data.PixelData = (DEEP >> 4).tobytes()
    if syntax in ("RLE", "JPEG 2000"):
        data.compress(UID(SYNTAXES[syntax]), generate_instance_uid=False)
    meta.TransferSyntaxUID = UID(SYNTAXES[syntax])
    if syntax == "big endian":
        data.PixelData = (DEEP >> 4).astype(">u2").tobytes()
    file = io.BytesIO()
    pydicom.dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def shipped(name: str) -> bytes:
    """Return a file that pydicom brings along."""
    path = get_testdata_file(SHIPPED[name], download=False)
    with open(str(path), "rb") as file:  # noqa: PTH123
        return file.read()


def picture(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    """Return pixels as Pillow writes them."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    """Return metadata that tell a quarter turn."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def palette() -> bytes:
    """Return a PNG with a palette, transparency and an EXIF orientation."""
    image = Image.fromarray(COLOUR).quantize(16)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=3, exif=turned())
    return file.getvalue()


def tiff(pixels: np.ndarray, **options: object) -> bytes:
    """Return pixels as tifffile writes them."""
    file = io.BytesIO()
    tifffile.imwrite(file, pixels, **options)
    return file.getvalue()


def nifti(*, zipped: bool) -> bytes:
    """Return a volume of signed integers with slope and intercept."""
    image = nib.Nifti1Image(VOLUME, np.eye(4))
    image.header.set_slope_inter(2.0, -5.0)
    data = image.to_bytes()
    return zlib.compress(data, wbits=31) if zipped else data


def npy(pixels: np.ndarray) -> bytes:
    """Return an array as NumPy writes it."""
    file = io.BytesIO()
    np.save(file, pixels)
    return file.getvalue()


def npz(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return an archive of members."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _dicom_seeds() -> dict[str, Callable[[], bytes]]:
    written = {f"DICOM {name}": lambda name=name: dicom(name) for name in SYNTAXES}
    return written | {f"DICOM {name}": lambda name=name: shipped(name) for name in SHIPPED}


SEEDS: dict[str, Callable[[], bytes]] = {
    "PNG gray": lambda: picture(GRAY, "PNG"),
    "PNG 16-bit gray": lambda: picture(DEEP, "PNG"),
    "PNG 16-bit colour": lambda: imagecodecs.png_encode(np.stack([DEEP] * 3, -1)),
    "PNG palette": palette,
    "JPEG": lambda: picture(COLOUR, "JPEG", exif=turned()),
    "JPEG progressive": lambda: picture(GRAY, "JPEG", progressive=True),
    "BMP": lambda: picture(COLOUR, "BMP"),
    "BMP gray": lambda: picture(GRAY, "BMP"),
    "WebP": lambda: picture(COLOUR, "WEBP"),
    "WebP lossless": lambda: picture(COLOUR, "WEBP", lossless=True),
    "TIFF": lambda: tiff(DEEP),
    "TIFF deflate": lambda: tiff(COLOUR, compression="zlib", predictor=True),
    "TIFF LZW": lambda: tiff(DEEP, compression="lzw"),
    "TIFF JPEG": lambda: tiff(COLOUR, compression="jpeg", photometric="rgb"),
    "TIFF tiles": lambda: tiff(DEEP, tile=(16, 16), compression="packbits"),
    "TIFF pages": lambda: tiff(np.stack([GRAY] * 3), photometric="minisblack"),
    "BigTIFF float": lambda: tiff(np.float32(GRAY) / 255, bigtiff=True),
    **_dicom_seeds(),
    "NIfTI": lambda: nifti(zipped=False),
    "NIfTI gzip": lambda: nifti(zipped=True),
    "NPY": lambda: npy(DEEP),
    "NPY float": lambda: npy(np.float32(GRAY) / 255),
    "NPY volume": lambda: npy(np.asfortranarray(VOLUME)),
    "NPZ": lambda: npz({"image.npy": npy(GRAY)}),
    "NPZ MedMNIST": lambda: npz(
        {f"{part}_images.npy": npy(np.stack([GRAY] * 2)) for part in ("train", "val", "test")}
    ),
}
SUFFIXES = {
    "PNG": ".png",
    "JPEG": ".jpg",
    "BMP": ".bmp",
    "WebP": ".webp",
    "TIFF": ".tif",
    "BigTIFF": ".tif",
    "DICOM": ".dcm",
    "NIfTI": ".nii",
    "NPY": ".npy",
    "NPZ": ".npz",
}
