"""DICOM files made on the spot; what must come of them is computed from PS3.3 by numpy."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.case import Case
from corpus.dicom_files import (
    Make,
    changed,
    encapsulated,
    header,
    native,
    palette,
    ramp,
    table,
    write,
)
from glcm_mae.data.reading.policy import ReadingPolicy

LITTLE, IMPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
BASELINE, EXTENDED = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
LOSSLESS, LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
JPEG_LS, JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
J2K_LOSSLESS, J2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
HTJ2K_LOSSLESS = "1.2.840.10008.1.2.4.201"

GRAY8 = ramp(6, 7)
GRAY12 = ramp(6, 8, high=4095, dtype=np.uint16)
GRAY16 = ramp(6, 8, high=65535, dtype=np.uint16)
SIGNED = ramp(6, 8, low=-1500, high=2500, dtype=np.int16)
FRAMES = np.stack([GRAY12 // divisor for divisor in (4, 2, 1)])
COLOURS = np.stack([GRAY8, GRAY8[::-1], GRAY8[:, ::-1]], axis=-1)
SMOOTH = ramp(32, 40, high=4000, dtype=np.uint16)
HU = {"RescaleSlope": "1", "RescaleIntercept": "-1024"}
EXACT = {"VOILUTFunction": "LINEAR_EXACT"}


def stretch(values: Any, low: float, high: float) -> np.ndarray:
    """Shape (1, height, width): low becomes 0, high 1."""
    return ((np.asarray(values, np.float64) - low) / (high - low)).clip(0, 1)[None]


def linear(units: Any, centre: float, width: float) -> np.ndarray:
    """The pseudo-code of PS3.3, C.11.2.1.2.1, to [0, 1]."""
    x = np.asarray(units, np.float64)
    y = (x - (centre - 0.5)) / (width - 1) + 0.5 if width > 1 else x * 0
    y = np.where(x <= centre - 0.5 - (width - 1) / 2, 0.0, y)
    return np.where(x > centre - 0.5 + (width - 1) / 2, 1.0, y)[None]


def sigmoid(units: Any, centre: float, width: float) -> np.ndarray:
    """PS3.3, C.11.2.1.3.1, to [0, 1]."""
    x = np.asarray(units, np.float64)
    return (1 / (1 + np.exp(-4 * (x - centre) / width)))[None]


def case(
    name: str,
    content: str,
    outcome: str,
    make: Make,
    expected: Callable[[], Any] | None = None,
    **facts: Any,
) -> Case:
    """A case whose pixels do not depend on the file."""
    return Case(
        name=f"dicom-{name}",
        kind="DICOM",
        content=content,
        outcome=outcome,
        oracle=facts.pop("oracle", "by construction"),
        make=make,
        expected=None if expected is None else lambda path: np.asarray(expected()),
        **({"tolerance": 2e-6} | facts),
    )


def refused(name: str, content: str, reason: str, make: Make, **facts: Any) -> Case:
    """A case that is refused."""
    return case(name, content, f"refused: {reason}", make, refusal=reason, **facts)


def policy(window: str, **settings: Any) -> ReadingPolicy:
    return ReadingPolicy(window=window, **settings)


COLOUR = ReadingPolicy(channels=3)


def depths() -> list[Case]:
    """How bits become values."""
    garbage = (GRAY12 | (np.arange(48, dtype=np.uint16).reshape(6, 8) << 12)).astype(np.uint16)
    twelve = ramp(6, 8, low=-2048, high=2047, dtype=np.int16)
    overlaid = ((twelve & 0xFFF) | 0x5000).astype(np.int16)
    bits = (np.arange(50) % 3 == 0).reshape(2, 5, 5)
    packed = np.packbits(bits.ravel(), bitorder="little").tobytes()
    one_bit = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0}
    unit = ramp(4, 5, high=20, dtype=np.float32) / np.float32(20)

    def bit_file(folder: Path) -> Path:
        data = header(bits.astype(np.uint8), **one_bit)
        data.PixelData = packed + b"\0" * (len(packed) % 2)
        data["PixelData"].VR = "OB"
        return write(folder, data, LITTLE)

    return [
        case("gray-8", "8-bit gray", "value / 255", native(GRAY8), lambda: stretch(GRAY8, 0,
             255)),
        case("gray-12", "12 of 16 bits", "value / 4095", native(GRAY12, BitsStored=12),
             lambda: stretch(GRAY12, 0, 4095)),
        case("gray-16", "16-bit gray", "value / 65535", native(GRAY16),
             lambda: stretch(GRAY16, 0, 65535)),
        case("signed-16", "16-bit signed gray", "all bits: -32768 is black", native(SIGNED),
             lambda: stretch(SIGNED, -32768, 32767)),
        case("unused-bits", "12 of 16 bits, garbage above", "the garbage does not count",
             native(garbage, BitsStored=12), lambda: stretch(GRAY12, 0, 4095)),
        case("unused-bits-signed", "12 of 16 bits signed, an overlay above",
             "the overlay does not count", native(overlaid, BitsStored=12),
             lambda: stretch(twelve, -2048, 2047)),
        case("high-bit", "12 of 16 bits, the upper ones", "HighBit is minded",
             native((GRAY12 << 4 | 5).astype(np.uint16), BitsStored=12, HighBit=15),
             lambda: stretch(GRAY12, 0, 4095)),
        case("one-bit", "1-bit frames that share a byte", "0 and 1", bit_file,
             lambda: bits[1][None].astype(float), frame=1),
        case("float-unit", "32-bit floats in [0, 1]", "the value itself",
             native(unit), lambda: unit[None]),
        case("float-percentile", "32-bit floats, window percentile", "percentiles of the file",
             native(unit * 900), lambda: stretch(
                 unit * 900, *np.percentile(unit * 900, (0.5, 99.5))),
             policy=policy("percentile")),
        case("double-range", "64-bit floats, window range", "least is 0, greatest is 1",
             native(unit.astype(np.float64) * 7 - 3), lambda: unit[None],
             policy=policy("range")),
        refused("float-no-white", "32-bit floats up to 900", "no known white",
                native(unit * 900)),
        refused("gray-32", "32-bit gray", "no known white", native(GRAY16.astype(np.uint32))),
        case("gray-32-given", "32-bit gray, window 2000/4000", "by the window",
             native(GRAY16.astype(np.uint32)), lambda: stretch(GRAY16, 0, 4000),
             policy=policy("2000/4000")),
    ]  # fmt: skip


def windows() -> list[Case]:
    """How values become units, and units gray."""
    units = GRAY12.astype(float) - 1024
    window = HU | {"WindowCenter": "40", "WindowWidth": "400"}
    lut = ramp(256, high=4095, dtype=np.uint16)[::-1].copy()
    small = GRAY12 // 16
    modality = {"ModalityLUTSequence": [table(0, lut, 12)[0] | {"ModalityLUTType": "US"}]}
    voi = {"VOILUTSequence": table(10, lut[:200], 12)}
    looked = lut[:200][(small.astype(int) - 10).clip(0, 199)]
    ct = {"BitsStored": 12}
    falling = {"RescaleSlope": "-0.25", "RescaleIntercept": "1000"}

    def made(
        name: str,
        content: str,
        outcome: str,
        elements: dict[str, Any],
        expected: Any,
        values: np.ndarray = GRAY12,
        **facts: Any,
    ) -> Case:
        return case(
            name,
            content,
            outcome,
            native(values, **(ct | elements)),
            expected,
            **({"tolerance": 1e-5} | facts),
        )

    inverse = {"PhotometricInterpretation": "MONOCHROME1"}
    return [
        made("rescale-full", "rescaled, no window", "all bits in units", HU,
             lambda: stretch(units, -1024, 3071)),
        made("window-linear", "window 40/400 in Hounsfield units", "PS3.3, LINEAR", window,
             lambda: linear(units, 40, 400)),
        made("window-exact", "window 40/400, LINEAR_EXACT", "-160 is black, 240 white",
             window | EXACT, lambda: stretch(units, -160, 240)),
        made("window-sigmoid", "window 40/400, SIGMOID", "PS3.3, SIGMOID",
             window | {"VOILUTFunction": "SIGMOID"}, lambda: sigmoid(units, 40, 400)),
        made("window-step", "window of width 1", "a step", HU | {
            "WindowCenter": "100", "WindowWidth": "1"}, lambda: linear(units, 100, 1)),
        made("windows-several", "two windows", "the first counts",
             HU | {"WindowCenter": ["40", "-600"], "WindowWidth": ["400", "1500"]},
             lambda: linear(units, 40, 400)),
        made("window-empty", "window elements without value", "all bits in units",
             HU | {"WindowCenter": None, "WindowWidth": None},
             lambda: stretch(units, -1024, 3071)),
        made("window-given", "policy 40/400 against the file's window",
             "-160 is black, 240 white",
             HU | {"WindowCenter": "500", "WindowWidth": "50"},
             lambda: stretch(units, -160, 240), policy=policy("40/400")),
        made("window-full", "policy full against the file's window", "all bits in units",
             window,
             lambda: stretch(units, -1024, 3071), policy=policy("full")),
        made("window-range", "policy range", "least is 0, greatest is 1", window,
             lambda: stretch(GRAY12, 0, 4095), policy=policy("range")),
        made("window-percentile", "policy percentile", "percentiles in units", window,
             lambda: stretch(units, *np.percentile(units, (0.5, 99.5))),
             policy=policy("percentile")),
        made("slope-negative", "slope -0.25, window 500/200", "by the window, LINEAR",
             falling | {"WindowCenter": "500", "WindowWidth": "200"},
             lambda: linear(1000 - 0.25 * GRAY12, 500, 200)),
        made("slope-negative-percentile", "slope -0.25, percentiles 10 and 60",
             "percentiles in units", falling,
             lambda: stretch(1000 - 0.25 * GRAY12.astype(float),
                             *np.percentile(1000 - 0.25 * GRAY12, (10, 60))),
             policy=policy("percentile", percentiles=(10.0, 60.0))),
        made("modality-lut", "modality look-up table of 12 bits", "entry / 4095", modality,
             lambda: stretch(lut[small], 0, 4095), small),
        made("modality-lut-window", "modality look-up table and window 2000/1000",
             "window on the entries", modality | {"WindowCenter": "2000",
             "WindowWidth": "1000"},
             lambda: linear(lut[small], 2000, 1000), small),
        made("voi-lut", "VOI look-up table from 10 on", "entry / 4095, ends repeated", voi,
             lambda: stretch(looked, 0, 4095), small),
        made("voi-lut-and-window", "VOI look-up table and window", "the table counts",
             voi | {"WindowCenter": "100", "WindowWidth": "50"},
             lambda: stretch(looked, 0, 4095), small),
        made("monochrome1", "MONOCHROME1", "inverted", inverse,
             lambda: 1 - stretch(GRAY12, 0, 4095)),
        made("monochrome1-window", "MONOCHROME1 with a window", "inverted after the window",
             inverse | window, lambda: 1 - linear(units, 40, 400)),
        made("monochrome1-sigmoid", "MONOCHROME1, SIGMOID", "inverted after the curve",
             inverse | window | {"VOILUTFunction": "SIGMOID"},
             lambda: 1 - sigmoid(units, 40, 400)),
        made("monochrome1-voi-lut", "MONOCHROME1, VOI look-up table",
             "inverted after the table",
             inverse | voi, lambda: 1 - stretch(looked, 0, 4095), small),
        made("monochrome1-percentile", "MONOCHROME1, policy percentile", "inverted afterwards",
             inverse, lambda: 1 - stretch(GRAY12, *np.percentile(GRAY12, (0.5, 99.5))),
             policy=policy("percentile")),
        made("presentation-inverse", "PresentationLUTShape INVERSE", "inverted",
             {"PresentationLUTShape": "INVERSE"}, lambda: 1 - stretch(GRAY12, 0, 4095)),
        made("monochrome1-inverse", "MONOCHROME1 and INVERSE", "inverted once",
             inverse | {"PresentationLUTShape": "INVERSE"},
             lambda: 1 - stretch(GRAY12, 0, 4095)),
        refused("window-width-0", "window of width 0", "WindowWidth is too small",
                native(GRAY12, WindowCenter="40", WindowWidth="0")),
        refused("slope-0", "slope 0", "RescaleSlope is 0",
                native(GRAY12, RescaleSlope="0", RescaleIntercept="1")),
    ]  # fmt: skip


def paddings() -> list[Case]:
    """Padding is black and does not count."""
    padded = SIGNED.copy()
    padded[:, :2] = -2000
    inner = padded[padded != -2000]
    limits = np.percentile(inner, (0.5, 99.5))
    gray = stretch(padded, *limits)
    gray[0][padded == -2000] = 0
    white = 1 - stretch(padded, float(inner.min()), float(inner.max()))
    white[0][padded == -2000] = 0
    band = stretch(GRAY12, 1001, float(GRAY12.max()))
    below = GRAY12 <= 1000
    band = stretch(GRAY12, float(GRAY12[~below].min()), float(GRAY12.max()))
    band[0][below] = 0
    return [
        case("padding", "padding value -2000, policy percentile",
             "black, and out of the percentiles", native(padded, PixelPaddingValue=-2000),
             lambda: gray, policy=policy("percentile"), tolerance=1e-5),
        case("padding-monochrome1", "MONOCHROME1 with padding, policy range",
             "black, the rest inverted",
             native(padded, PixelPaddingValue=-2000, PhotometricInterpretation="MONOCHROME1"),
             lambda: white, policy=policy("range"), tolerance=1e-5),
        case("padding-range", "padding from 0 to 1000, policy range",
             "black, and out of the range",
             native(GRAY12, PixelPaddingValue=0, PixelPaddingRangeLimit=1000),
             lambda: band, policy=policy("range"), tolerance=1e-5),
        refused("padding-only", "nothing but padding, policy range", "all are padding",
                native(np.full((4, 4), 9, np.uint16), PixelPaddingValue=9),
                policy=policy("range")),
    ]  # fmt: skip


def frames() -> list[Case]:
    """Files of several frames."""
    scaled = [
        {"PixelValueTransformationSequence": [
            {"RescaleSlope": str(slope), "RescaleIntercept": "0", "RescaleType": "US"}]}
        for slope in (1, 2, 4)
    ]  # fmt: skip
    shared = {"SharedFunctionalGroupsSequence": [
        {"FrameVOILUTSequence": [{"WindowCenter": "1000", "WindowWidth": "500"}]}]}  # fmt: skip
    own = {"PerFrameFunctionalGroupsSequence": [
        {"FrameVOILUTSequence": [{"WindowCenter": centre, "WindowWidth": "500"}]}
        for centre in ("500", "1000", "2000")]}  # fmt: skip
    per_frame = {"PerFrameFunctionalGroupsSequence": scaled}
    units = np.stack([frame * slope for frame, slope in zip(FRAMES, (1, 2, 4), strict=True)])
    return [
        case("frames-one", "3 frames, frame 2", "that frame", native(FRAMES, BitsStored=12),
             lambda: stretch(FRAMES[2], 0, 4095), frame=2),
        case("frames-range", "3 frames, policy range, frame 0", "one range for all frames",
             native(FRAMES, BitsStored=12), lambda: stretch(FRAMES[0], 0, 4095), frame=0,
             policy=policy("range")),
        case("frames-rescale", "a slope for each frame, policy range",
             "one range in units for all frames", native(FRAMES, BitsStored=12, **per_frame),
             lambda: stretch(units[1], 0, float(units.max())), frame=1, policy=policy("range"),
             tolerance=1e-5),
        case("frames-shared-window", "a window that all frames share", "by that window",
             native(FRAMES, BitsStored=12, **shared), lambda: linear(FRAMES[2], 1000, 500),
             frame=2, tolerance=1e-5),
        case("frames-own-window", "a window for each frame", "each by its own",
             native(FRAMES, BitsStored=12, **own), lambda: linear(FRAMES[2], 2000, 500),
             frame=2, tolerance=1e-5),
        refused("frames-none-chosen", "3 frames, none chosen", "3 frames, one is needed",
                native(FRAMES)),
        refused("frames-beyond", "3 frames, frame 3", "frame 3 does not exist", native(FRAMES),
                frame=3),
    ]  # fmt: skip


def colours() -> list[Case]:
    """Colour by samples and by palettes."""
    wide = COLOURS.astype(np.uint16) * 257
    rgb = np.moveaxis(COLOURS / 255.0, -1, 0)
    planar = np.ascontiguousarray(np.moveaxis(COLOURS, -1, 0))
    index = ramp(6, 7, high=9)
    pal8 = np.stack([ramp(10), ramp(10)[::-1], np.full(10, 60, np.uint8)], axis=-1)
    pal16 = pal8.astype(np.uint16) * 250
    shown = np.moveaxis(pal8[index] / 255.0, -1, 0)
    ybr = COLOURS.astype(float)
    full_range = np.stack([
        ybr[..., 0] + 1.402 * (ybr[..., 2] - 128),
        ybr[..., 0] - 0.344136 * (ybr[..., 1] - 128) - 0.714136 * (ybr[..., 2] - 128),
        ybr[..., 0] + 1.772 * (ybr[..., 1] - 128),
    ]).clip(0, 255) / 255  # fmt: skip
    half = COLOURS[:, :6]
    pairs = np.stack([half[:, ::2, 0], half[:, 1::2, 0], half[:, ::2, 1], half[:, ::2, 2]], -1)
    sub = half.astype(float)
    sub[:, 1::2, 1:] = sub[:, ::2, 1:]
    halved = np.stack([
        sub[..., 0] + 1.402 * (sub[..., 2] - 128),
        sub[..., 0] - 0.344136 * (sub[..., 1] - 128) - 0.714136 * (sub[..., 2] - 128),
        sub[..., 0] + 1.772 * (sub[..., 1] - 128),
    ]).clip(0, 255) / 255  # fmt: skip
    segments = [struct.pack("<6H", 0, 1, 0, 1, 9, end) for end in (900, 450, 90)]
    segmented = np.stack([np.linspace(0, end, 10) for end in (900, 450, 90)], axis=-1)

    def planes(folder: Path) -> Path:
        data = header(COLOURS, PlanarConfiguration=1)
        data.PixelData = planar.tobytes()
        data["PixelData"].VR = "OB"
        return write(folder, data, LITTLE)

    def chroma(folder: Path) -> Path:
        data = header(half, PhotometricInterpretation="YBR_FULL_422")
        data.PixelData = pairs.tobytes()
        data["PixelData"].VR = "OB"
        return write(folder, data, LITTLE)

    luma = np.tensordot((0.299, 0.587, 0.114), rgb, 1)[None]
    return [
        case("rgb", "RGB", "value / 255", native(COLOURS), lambda: rgb, policy=COLOUR),
        case("rgb-gray", "RGB, read as gray", "luma of BT.601", native(COLOURS), lambda: luma),
        case("rgb-planar", "RGB, one plane after the other", "value / 255", planes, lambda: rgb,
             policy=COLOUR),
        case("rgb-16", "RGB of 16 bits", "value / 65535", native(wide), lambda: rgb,
             policy=COLOUR),
        case("ybr-full", "YBR_FULL", "RGB by PS3.3, C.7.6.3.1.2",
             native(COLOURS, PhotometricInterpretation="YBR_FULL"), lambda: full_range,
             policy=COLOUR, tolerance=1 / 255),
        case("ybr-full-422", "YBR_FULL_422, half the chroma", "RGB, chroma repeated", chroma,
             lambda: halved, policy=COLOUR, tolerance=1 / 255),
        case("ybr-422-mislabelled", "YBR_FULL_422 with all its chroma", "taken as YBR_FULL",
             native(COLOURS, PhotometricInterpretation="YBR_FULL_422"), lambda: full_range,
             policy=COLOUR, tolerance=1 / 255),
        case("palette-8", "palette of 8 bits", "entry / 255", native(index, **palette(pal8)),
             lambda: shown, policy=COLOUR),
        case("palette-16", "palette of 16 bits", "entry / 65535",
             native(index, **palette(pal16)), lambda: np.moveaxis(pal16[index] / 65535, -1, 0),
             policy=COLOUR),
        case("palette-offset", "palette from 3 on", "ends repeated",
             native(index, **palette(pal8, first=3)), lambda: np.moveaxis(
                 pal8[(index.astype(int) - 3).clip(0, 9)] / 255.0, -1, 0), policy=COLOUR),
        case("palette-segmented", "palette in segments", "linear between the ends",
             native(index, **palette(pal16, segments=segments)),
             lambda: np.moveaxis(segmented[index] / 65535, -1, 0), policy=COLOUR,
             tolerance=1 / 65535),
        refused("palette-missing", "PALETTE COLOR without a palette", "palette is missing",
                native(index, PhotometricInterpretation="PALETTE COLOR")),
        refused("photometric-unknown", "an unknown photometric interpretation",
                "PhotometricInterpretation is not supported",
                native(GRAY8, PhotometricInterpretation="SEPIA")),
    ]  # fmt: skip


def encoders() -> dict[str, Callable[..., bytes]]:
    import imagecodecs

    return {
        "ls": imagecodecs.jpegls_encode,
        "near": lambda frame: imagecodecs.jpegls_encode(frame, level=2),
        "j2k": lambda frame: imagecodecs.jpeg2k_encode(
            frame, codecformat="j2k", reversible=True, level=0
        ),
        "rct": lambda frame: imagecodecs.jpeg2k_encode(
            frame, codecformat="j2k", reversible=True, level=0, mct=True
        ),
        "htj2k": lambda frame: imagecodecs.htj2k_encode(frame, reversible=True),
        "lossless": lambda frame: imagecodecs.ljpeg_encode(frame, bitspersample=12),
        "baseline": lambda frame: imagecodecs.jpeg8_encode(frame, level=98),
        "extended": lambda frame: imagecodecs.jpeg8_encode(frame, level=98, bitspersample=12),
    }


def encode(name: str) -> Callable[[np.ndarray], bytes]:
    return lambda frame: encoders()[name](np.ascontiguousarray(frame))


def syntaxes() -> list[Case]:
    """Ways to encode the same values."""
    odd = ramp(3, 3)
    sgn = SIGNED
    smooth8 = (SMOOTH >> 4).astype(np.uint8)
    film = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH[:, ::-1]])
    rgb = np.moveaxis(COLOURS / 255.0, -1, 0)
    twelve = {"BitsStored": 12}
    gray = lambda: stretch(SMOOTH, 0, 4095)  # noqa: E731
    return [
        case("implicit", "Implicit VR Little Endian", "value / 4095",
             native(GRAY12, IMPLICIT, **twelve), lambda: stretch(GRAY12, 0, 4095)),
        case("big-endian", "Explicit VR Big Endian", "value / 4095", native(GRAY12, BIG,
             **twelve),
             lambda: stretch(GRAY12, 0, 4095)),
        case("big-endian-words", "Big Endian, 8 bits in words, odd size", "value / 255",
             native(odd, BIG, vr="OW"), lambda: stretch(odd, 0, 255)),
        case("deflated", "Deflated Explicit VR Little Endian", "value / 4095",
             native(GRAY12, DEFLATED, **twelve), lambda: stretch(GRAY12, 0, 4095)),
        case("rle-8", "RLE, 8 bits", "value / 255", native(GRAY8, RLE),
             lambda: stretch(GRAY8, 0, 255)),
        case("rle-16", "RLE, 16 bits signed", "all bits", native(sgn, RLE),
             lambda: stretch(sgn, -32768, 32767)),
        case("rle-rgb", "RLE, RGB", "value / 255", native(COLOURS, RLE), lambda: rgb,
             policy=COLOUR),
        case("jpeg-baseline", "JPEG baseline, 8 bits", "value / 255, lossy",
             encapsulated(smooth8, BASELINE, encode("baseline")),
             lambda: stretch(smooth8, 0, 255), tolerance=4 / 255),
        case("jpeg-extended-12", "JPEG Extended, 12 bits", "value / 4095, lossy",
             encapsulated(SMOOTH, EXTENDED, encode("extended"), **twelve), gray,
             tolerance=40 / 4095),
        case("jpeg-lossless", "JPEG lossless, 12 bits", "value / 4095",
             encapsulated(SMOOTH, LOSSLESS_SV1, encode("lossless"), **twelve), gray),
        case("jpeg-lossless-14", "JPEG lossless, process 14", "value / 4095",
             encapsulated(SMOOTH, LOSSLESS, encode("lossless"), **twelve), gray),
        case("jpeg-ls", "JPEG-LS", "value / 65535", encapsulated(SMOOTH, JPEG_LS, encode("ls")),
             lambda: stretch(SMOOTH, 0, 65535)),
        case("jpeg-ls-near", "JPEG-LS, off by 2 at most", "value / 255",
             encapsulated(smooth8, JPEG_LS_NEAR, encode("near")),
             lambda: stretch(smooth8, 0, 255), tolerance=2.01 / 255),
        case("jpeg-2000", "JPEG 2000 lossless", "value / 65535",
             encapsulated(SMOOTH, J2K_LOSSLESS, encode("j2k")),
             lambda: stretch(SMOOTH, 0, 65535)),
        case("jpeg-2000-rct", "JPEG 2000 lossless, YBR_RCT", "value / 255", encapsulated(
            COLOURS, J2K_LOSSLESS, encode("rct"), PhotometricInterpretation="YBR_RCT"),
            lambda: rgb, policy=COLOUR),
        case("htj2k", "High-Throughput JPEG 2000", "value / 65535",
             encapsulated(SMOOTH, HTJ2K_LOSSLESS, encode("htj2k")),
             lambda: stretch(SMOOTH, 0, 65535)),
        case("fragments", "a frame in three fragments", "value / 65535",
             encapsulated(SMOOTH, JPEG_LS, encode("ls"), fragments=3),
             lambda: stretch(SMOOTH, 0, 65535)),
        case("film-offsets", "3 compressed frames in fragments, frame 1", "that frame",
             encapsulated(film, JPEG_LS, encode("ls"), fragments=2),
             lambda: stretch(film[1], 0, 65535), frame=1),
        case("film-no-offsets", "3 compressed frames, no offset table, frame 2", "that frame",
             encapsulated(film, J2K_LOSSLESS, encode("j2k"), offsets=False),
             lambda: stretch(film[2], 0, 65535), frame=2),
        case("no-preamble", "no preamble, no DICM", "value / 4095",
             changed(native(GRAY12, **twelve), lambda data: data[132:]),
             lambda: stretch(GRAY12, 0, 4095)),
        case("no-meta", "no meta information at all, Implicit VR", "value / 4095",
             changed(native(GRAY12, IMPLICIT, **twelve), _without_meta),
             lambda: stretch(GRAY12, 0, 4095)),
    ]  # fmt: skip


def _without_meta(data: bytes) -> bytes:
    length = struct.unpack("<L", data[140:144])[0]  # of (0002,0000)
    return data[144 + length :]


def _bomb(data: bytes) -> bytes:
    length = struct.unpack("<L", data[140:144])[0]
    head = data[: 144 + length]
    pack = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = pack.compress(b"\0" * 2**20) + pack.flush(zlib.Z_FULL_FLUSH)  # stands for itself
    return head + block * 300 + pack.flush()


def _report(folder: Path) -> Path:
    from corpus.dicom_files import data_set

    data = data_set(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11", SOPInstanceUID="1.2.3",
                    Modality="SR", PatientName="Canary^Yellow")  # fmt: skip
    return write(folder, data, LITTLE)


def refusals() -> list[Case]:
    """What is not read, and why."""
    lie = encapsulated(SMOOTH, JPEG_LS, encode("ls"), Rows=8, Columns=8)
    whole = encapsulated(SMOOTH, J2K_LOSSLESS, encode("j2k"))
    plain = native(GRAY12)
    return [
        refused("report", "a structured report", "it holds no pixels", _report),
        refused("empty-pixels", "rows of length 0", "it holds no pixels", native(GRAY8,
                Columns=0)),
        refused("truncated", "cut off in the pixels", "truncated",
                changed(plain, lambda data: data[:-10])),
        refused("truncated-rle", "cut off in a fragment", "truncated",
                changed(native(GRAY8, RLE), lambda data: data[:-20])),
        refused("truncated-fragment", "cut off in a JPEG 2000 fragment", "truncated",
                changed(whole, lambda data: data[:-40])),
        refused("truncated-stream", "JPEG 2000 that ends early in a whole fragment",
                "stream is truncated", encapsulated(
                    SMOOTH, J2K_LOSSLESS, lambda frame: encode("j2k")(frame)[:-30])),
        refused("too-few-frames", "5 frames promised, 3 there", "truncated",
                native(FRAMES, NumberOfFrames=5), frame=0),
        refused("absurd-size", "60000 x 60000 promised", "more than 67108864 values",
                native(GRAY8, Rows=60000, Columns=60000)),
        refused("absurd-frames", "2,000,000,000 frames promised", "truncated",
                native(GRAY8, NumberOfFrames=2000000000), frame=0),
        refused("size-lie", "Rows and Columns are not those inside",
                "not those of its compressed image", lie),
        refused("deflate-bomb", "300 MiB of zeros deflated", "inflates to more than 256 MiB",
                changed(native(GRAY8, DEFLATED), _bomb)),
        refused("deflate-broken", "deflated, cut off", "truncated",
                changed(native(GRAY16, DEFLATED), lambda data: data[:-30])),
        refused("video", "MPEG-4", "transfer syntax is not supported",
                encapsulated(GRAY8, "1.2.840.10008.1.2.4.102", lambda frame: b"\0" * 64)),
        refused("bits-disagree", "16 bits stored in 8", "BitsStored, HighBit and BitsAllocated",
                native(GRAY8, BitsStored=16)),
        refused("samples-disagree", "RGB of one sample", "SamplesPerPixel",
                native(GRAY8, PhotometricInterpretation="RGB")),
        refused("header-only", "cut off in the header", "it holds no pixels",
                changed(plain, lambda data: data[:400])),
    ]  # fmt: skip


DICOM_CASES = [
    *depths(),
    *windows(),
    *paddings(),
    *frames(),
    *colours(),
    *syntaxes(),
    *refusals(),
]
