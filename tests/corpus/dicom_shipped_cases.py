"""DICOM files of other makers that pydicom ships, against other decoders."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.case import Case
from corpus.dicom_files import shipped, shipped_file
from glcm_mae.data.reading.policy import ReadingPolicy

COLOUR = ReadingPolicy(channels=3)
MR_WINDOW = (600, 1600)
MR_SIZE = 64 * 64


def mr_pixels() -> np.ndarray:
    """The values of MR_small.dcm, cut out of the file without any DICOM library."""
    data = shipped_file("MR_small.dcm").read_bytes()
    start = data.index(b"\xe0\x7f\x10\x00OW\0\0") + 12
    return np.frombuffer(data[start : start + 2 * MR_SIZE], "<i2").reshape(64, 64)


def windowed(values: np.ndarray, centre: float, width: float) -> np.ndarray:
    """PS3.3, C.11.2.1.2.1, to [0, 1]."""
    y = (values.astype(float) - (centre - 0.5)) / (width - 1) + 0.5
    return y.clip(0, 1)[None]


def gdcm_pixels(path: Path) -> np.ndarray:
    """Shape (height, width) or (height, width, 3), as GDCM's own image reader decodes."""
    import gdcm

    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    kind = image.GetPixelFormat()
    signed = kind.GetPixelRepresentation()
    raw = image.GetBuffer().encode("utf-8", "surrogateescape")
    values = np.frombuffer(raw, f"{'ui'[signed]}{kind.GetBitsAllocated() // 8}")
    columns, rows = image.GetDimension(0), image.GetDimension(1)
    samples = kind.GetSamplesPerPixel()
    if samples == 1:
        return values[: rows * columns].reshape(rows, columns)
    if image.GetPlanarConfiguration():
        return np.moveaxis(values.reshape(3, rows, columns), 0, -1)
    return values[: rows * columns * 3].reshape(rows, columns, 3)


def stream(path: Path) -> bytes:
    """The bytes of the first encapsulated frame, cut out by their markers."""
    data = path.read_bytes()
    data = data[data.rindex(b"\xe0\x7f\x10\x00") :]
    starts = [
        at for at in (data.find(b"\xff\xd8\xff"), data.find(b"\xff\x4f\xff\x51")) if at > 0
    ]
    return data[min(starts) : data.rindex(b"\xff\xd9") + 2]


def by_pillow(path: Path) -> np.ndarray:
    """Shape (3, height, width) in [0, 1], as Pillow decodes the JPEG stream inside."""
    import io

    from PIL import Image

    with Image.open(io.BytesIO(stream(path))) as image:
        return np.moveaxis(np.asarray(image.convert("RGB")) / 255, -1, 0)


def by_imagecodecs(white: float, offset: float = 0) -> Callable[[Path], np.ndarray]:
    """Shape (1 or 3, height, width): what imagecodecs makes of the stream, by the range."""

    def decode(path: Path) -> np.ndarray:
        import imagecodecs

        data = stream(path)
        codec: Any = (
            imagecodecs.jpeg2k_decode if data[1] == 0x4F
            else imagecodecs.jpegls_decode if b"\xff\xf7" in data[:400]
            else imagecodecs.jpeg8_decode
        )  # fmt: skip
        values = np.atleast_3d(codec(data)).astype(float)
        return ((np.moveaxis(values, -1, 0) - offset) / white).clip(0, 1)

    return decode


def by_gdcm(white: float, offset: float = 0) -> Callable[[Path], np.ndarray]:
    """Shape (1 or 3, height, width): what GDCM makes of the file, by the range."""

    def decode(path: Path) -> np.ndarray:
        values = np.atleast_3d(gdcm_pixels(path)).astype(float)
        return ((np.moveaxis(values, -1, 0) - offset) / white).clip(0, 1)

    return decode


def case(name: str, content: str, outcome: str, oracle: str, **facts: Any) -> Case:
    plain = "".join(c if c.isalnum() else "-" for c in name.removesuffix(".dcm").lower())
    return Case(
        name=f"pydicom-{plain.replace('--', '-')}",
        kind="DICOM",
        content=f"{content} ({name})",
        outcome=outcome,
        oracle=oracle,
        make=shipped(name),
        **({"tolerance": 1e-6} | facts),
    )


def refused(name: str, content: str, reason: str, **facts: Any) -> Case:
    return case(name, content, f"refused: {reason}", "by construction", refusal=reason, **facts)


def magnetic_resonance() -> list[Case]:
    """The same MR image in eight encodings: each must give the bytes of the plain one."""
    names = {
        "MR_small.dcm": "Explicit VR Little Endian",
        "MR_small_implicit.dcm": "Implicit VR Little Endian",
        "MR_small_bigendian.dcm": "Explicit VR Big Endian",
        "MR_small_expb.dcm": "Explicit VR Big Endian",
        "MR_small_RLE.dcm": "RLE",
        "MR_small_jp2klossless.dcm": "JPEG 2000 lossless, signed",
        "MR_small_jpeg_ls_lossless.dcm": "JPEG-LS, signed",
        "MR_small_padded.dcm": "more bytes than pixels",
    }
    return [
        case(name, f"MR, {content}", "window 600/1600", "bytes of MR_small.dcm",
             expected=lambda path: windowed(mr_pixels(), *MR_WINDOW))
        for name, content in names.items()
    ]  # fmt: skip


def gray() -> list[Case]:
    def ct(path: Path) -> np.ndarray:
        values = gdcm_pixels(shipped_file("CT_small.dcm")).astype(float)
        values = ((values + 32768) / 65535)[None]
        return np.where(gdcm_pixels(path)[None] == -2000, 0, values)

    def overlay(path: Path) -> np.ndarray:
        return windowed(gdcm_pixels(path), 450, 790)

    def percentile(path: Path) -> np.ndarray:
        data = path.read_bytes()  # GDCM's reader aborts on it
        start = data.rindex(b"\xe0\x7f\x10\x00") + 8
        values = np.frombuffer(data[start : start + 400], "<u4").reshape(10, 10).astype(float)
        low, high = np.percentile(values, (0.5, 99.5))
        return ((values - low) / (high - low)).clip(0, 1)[None]

    signed16 = by_gdcm(65535, -32768)
    return [
        case("CT_small.dcm", "CT with padding value", "all bits, padding black", "GDCM",
             expected=ct),
        case("examples_overlay.dcm", "MR with overlay, two windows", "window 450/790", "GDCM",
             expected=overlay),
        case("image_dfl.dcm", "deflated", "value / 255", "GDCM", expected=by_gdcm(255)),
        case("JPEG2000.dcm", "JPEG 2000 lossy, signed", "all bits", "GDCM", expected=signed16),
        case("JPGExtended.dcm", "JPEG Extended of 12 bits", "value / 4095", "imagecodecs",
             expected=by_imagecodecs(4095)),
        case("JPEG-lossy.dcm", "JPEG Extended of 12 bits", "value / 4095", "imagecodecs",
             expected=by_imagecodecs(4095)),
        case("JPEGLSNearLossless_08.dcm", "JPEG-LS near-lossless, 8 bits", "value / 255",
             "imagecodecs", expected=by_imagecodecs(255)),
        case("JPEGLSNearLossless_16.dcm", "JPEG-LS near-lossless, 16 bits", "value / 65535",
             "imagecodecs", expected=by_imagecodecs(65535)),
        case("rtdose_1frame.dcm", "dose of 32 bits, policy percentile", "percentiles",
             "bytes of the file",
             expected=percentile, policy=ReadingPolicy(window="percentile")),
    ]  # fmt: skip


def colour() -> list[Case]:
    lossy = {"policy": COLOUR, "tolerance": 3.5 / 255}
    exact = {"policy": COLOUR, "tolerance": 1e-6}
    gdcm = by_gdcm(255)
    names = {
        "SC_rgb_dcmtk_+eb+cy+n1.dcm": "JPEG baseline, YBR_FULL",
        "SC_rgb_jpeg_dcmtk.dcm": "JPEG baseline, YBR_FULL",
        "SC_rgb_jpeg_lossy_gdcm.dcm": "JPEG baseline, YBR_FULL",
        "SC_rgb_small_odd_jpeg.dcm": "JPEG baseline, odd size",
    }
    return [
        *(case(name, content, "RGB", "Pillow", expected=by_pillow, **lossy)
          for name, content in names.items()),
        case("SC_rgb_jpeg_gdcm.dcm", "JPEG lossless, RGB", "value / 255", "GDCM", expected=gdcm,
             **exact),
        case("SC_rgb_jls_lossy_line.dcm", "JPEG-LS, lines interleaved", "value / 255",
             "imagecodecs", expected=by_imagecodecs(255), **exact),
        case("SC_rgb_gdcm_KY.dcm", "JPEG 2000, RGB", "value / 255", "imagecodecs",
             expected=by_imagecodecs(255), **exact),
        case("examples_jpeg2k.dcm", "JPEG 2000, YBR_RCT, several fragments", "value / 255",
             "GDCM", expected=gdcm, **exact),
        case("SC_rgb_rle.dcm", "RLE, RGB", "value / 255", "GDCM", expected=gdcm, **exact),
        case("SC_rgb_rle_16bit.dcm", "RLE, RGB of 16 bits", "value / 65535",
             "GDCM on SC_rgb_rle.dcm",
             expected=lambda path: gdcm(shipped_file("SC_rgb_rle.dcm")),
             **exact),
        case("examples_rgb_color.dcm", "RGB", "value / 255", "GDCM", expected=gdcm, **exact),
        case("SC_rgb_small_odd_big_endian.dcm", "Big Endian, 8 bits in words, odd size",
             "value / 255", "GDCM", expected=lambda path: gdcm(
                 shipped_file("SC_rgb_small_odd.dcm")), **exact),
    ]  # fmt: skip


def refusals() -> list[Case]:
    nothing = "it holds no pixels"
    return [
        refused("test-SR.dcm", "a structured report", nothing),
        refused("rtstruct.dcm", "contours", nothing),
        refused("rtplan.dcm", "a radiotherapy plan", nothing),
        refused("waveform_ecg.dcm", "an ECG", nothing),
        refused("dicomdirtests/DICOMDIR", "a directory of files", nothing),
        refused("MR_truncated.dcm", "MR, cut off", "truncated"),
        refused("badVR.dcm", "frames that are no number", "NumberOfFrames is no integer"),
        refused("examples_ybr_color.dcm", "30 frames, none chosen", "30 frames, one is needed"),
        refused("JPEG2000-embedded-sequence-delimiter.dcm", "a stream that tells another size",
                "not those of its compressed image"),
        refused("rtdose.dcm", "dose of 32 bits, window file", "no known white", frame=0),
    ]  # fmt: skip


SHIPPED_CASES = [*magnetic_resonance(), *gray(), *colour(), *refusals()]
