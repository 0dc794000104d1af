"""TIFF files, by tifffile, by Pillow and by hand."""

# ruff: noqa: E501  one row a case

from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from corpus.case import Case
from corpus.making import (
    COLOUR,
    DEEP,
    DEEP_COLOUR,
    GRAY,
    HOUNSFIELD,
    LUMA,
    PHOTO,
    STORED,
    UNIT,
    Expected,
    Maker,
    Pixels,
    changed,
    cut,
    packed,
    pixels,
    saved,
    stretched,
    tiff,
    tiff_by_hand,
    written,
)
from glcm_mae.data.reading.policy import ReadingPolicy

RGB = ReadingPolicy(channels=3)
RANGE, FULL = ReadingPolicy(window="range"), ReadingPolicy(window="full")
PERCENTILE = ReadingPolicy(window="percentile", percentiles=(5, 90))
OPAQUE = DEEP[::-1] // 2


def accepted(
    name: str, content: str, outcome: str, make: Maker, expected: Expected, **more: object
) -> Case:
    more.setdefault("oracle", "by construction")
    return Case(f"tiff-{name}", "TIFF", content, outcome, make=make, expected=expected, **more)


def refused(name: str, content: str, refusal: str, make: Maker, **more: object) -> Case:
    outcome = f"refused: {refusal}".replace("\\", "").replace(".*", "...")
    return Case(
        f"tiff-{name}",
        "TIFF",
        content,
        outcome,
        "by construction",
        make,
        refusal=refusal,
        **more,
    )


def by_hand(bits: int, values: np.ndarray, **tags: int) -> Maker:
    height, width = values.shape
    content = b"".join(packed(row, bits) for row in values)
    known = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: tags.get("photometric", 1),
        277: 1,
    }
    return written("a.tif", tiff_by_hand(content, known))


def pages(*arrays: np.ndarray, **options: object) -> Maker:
    def make(folder: Path) -> Path:
        with tifffile.TiffWriter(folder / "a.tif") as file:
            for number, array in enumerate(arrays):
                small = options if number else {}
                file.write(array, photometric="minisblack", metadata=None, **small)
        return folder / "a.tif"

    return make


def by_pillow(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.moveaxis(np.asarray(image.convert("RGB")), -1, 0) / 255


def twelve_bits(values: np.ndarray) -> bytes:
    bits = (values.reshape(-1, 1) >> np.arange(11, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def inks(values: np.ndarray, white: int) -> np.ndarray:
    return (1 - values[..., :3] / white) * (1 - values[..., 3:] / white)


INKS = np.dstack([COLOUR, GRAY // 3])
DEEP_INKS = np.dstack([DEEP_COLOUR, DEEP // 3])
TWELVE = (DEEP >> 4).astype(np.uint16)
TWELVE_BITS = tiff_by_hand(
    twelve_bits(TWELVE), {256: 16, 257: 11, 258: 12, 259: 1, 262: 1, 277: 1}
)
PALETTE = (np.arange(256)[:, None] * [257, 128, 64]).astype(np.uint16)
SMALL_PALETTE = (np.arange(256)[:, None] // [1, 2, 4]).astype(np.uint16)
WIDE = HOUNSFIELD.astype(np.float64) * 1.5
BIG = DEEP.astype(np.uint32) * 1000
WITH_INF = np.where(GRAY == 255, np.inf, UNIT).astype(np.float32)
WITH_NAN = np.where(GRAY == 255, np.nan, UNIT).astype(np.float32)


def turned(orientation: int, depth: int) -> Maker:
    stored = np.array(STORED[orientation], dtype=np.uint16) * depth
    return tiff(stored, extratags=[(274, "H", 1, orientation, False)])


def without_last_strip(folder: Path) -> Path:
    """Tell of fewer strips than the rows need."""
    content = tiff_by_hand(
        bytes(16 * 11), {256: 16, 257: 11, 258: 8, 259: 1, 262: 1, 277: 1, 278: 5}
    )
    return written("a.tif", content)(folder)


DEPTHS = [
    accepted("gray-1", "1-bit gray", "0 or 1", by_hand(1, GRAY & 1), pixels(GRAY & 1)),
    accepted("gray-2", "2-bit gray", "value / 3", by_hand(2, GRAY >> 6), pixels((GRAY >> 6) / 3)),
    accepted("gray-4", "4-bit gray", "value / 15", by_hand(4, GRAY >> 4), pixels((GRAY >> 4) / 15)),
    accepted("gray-8", "8-bit gray", "value / 255", tiff(GRAY), pixels(GRAY / 255)),
    accepted("gray-12", "12-bit gray, packed", "value / 4095", written("a.tif", TWELVE_BITS), pixels(TWELVE / 4095)),
    accepted("gray-16", "16-bit gray", "value / 65535", tiff(DEEP), pixels(DEEP / 65535)),
    accepted("gray-16-big-endian", "16-bit gray, big-endian", "value / 65535", tiff(DEEP, byteorder=">"), pixels(DEEP / 65535)),
    accepted("big", "BigTIFF, 16-bit gray", "value / 65535", tiff(DEEP, bigtiff=True), pixels(DEEP / 65535)),
    accepted("white-zero-1", "1-bit, white is 0", "1 - value", by_hand(1, GRAY & 1, photometric=0), pixels(1 - (GRAY & 1))),
    accepted("white-zero-8", "8-bit gray, white is 0", "1 - value / 255", tiff(GRAY, photometric="miniswhite"), pixels(1 - GRAY / 255)),
    accepted("white-zero-16", "16-bit gray, white is 0", "1 - value / 65535", tiff(DEEP, photometric="miniswhite"), pixels(1 - DEEP / 65535)),
    accepted("white-zero-window", "16-bit, white is 0, window 30000/10000", "35000 to 25000", tiff(DEEP, photometric="miniswhite"), stretched(DEEP, 35000, 25000), policy=ReadingPolicy(window="30000/10000")),
    *(
        accepted(f"float-{8 * np.dtype(kind).itemsize}", f"{np.dtype(kind).name} in [0, 1]", "the value", tiff(UNIT.astype(kind)), pixels(UNIT.astype(kind)))
        for kind in (np.float16, np.float32, np.float64)
    ),
    accepted("float-colour", "float32 colour in [0, 1]", "the value", tiff(COLOUR.astype(np.float32) / 255), pixels(COLOUR / 255), policy=RGB),
]  # fmt: skip

WINDOWS = [
    accepted("full-8", "8-bit gray, window full", "value / 255", tiff(GRAY // 2), pixels(GRAY // 2 / 255), policy=FULL),
    accepted("range-8", "8-bit gray, window range", "least to greatest", tiff(GRAY // 2 + 9), stretched(GRAY // 2 + 9, 9, 136), policy=RANGE),
    accepted("range-16", "16-bit gray, window range", "least to greatest", tiff(DEEP // 2 + 9), stretched(DEEP // 2 + 9, 9, 32776), policy=RANGE),
    accepted("percentile-16", "16-bit gray, percentiles 5 and 90", "between the percentiles", tiff(DEEP), stretched(DEEP, *np.percentile(DEEP, [5, 90])), oracle="NumPy", policy=PERCENTILE),
    accepted("window-16", "16-bit gray, window 30000/10000", "25000 to 35000", tiff(DEEP), stretched(DEEP, 25000, 35000), policy=ReadingPolicy(window="30000/10000")),
    accepted("signed-window", "int16, window 40/400", "-160 to 240", tiff(HOUNSFIELD), stretched(HOUNSFIELD, -160, 240), policy=ReadingPolicy(window="40/400")),
    accepted("signed-range", "int16, window range", "least to greatest", tiff(HOUNSFIELD), stretched(HOUNSFIELD, HOUNSFIELD.min(), HOUNSFIELD.max()), policy=RANGE),
    accepted("signed-percentile", "int16, percentiles 5 and 90", "between the percentiles", tiff(HOUNSFIELD), stretched(HOUNSFIELD, *np.percentile(HOUNSFIELD, [5, 90])), oracle="NumPy", policy=PERCENTILE),
    accepted("signed-8-range", "int8, window range", "least to greatest", tiff(GRAY.view(np.int8)), stretched(GRAY.view(np.int8), GRAY.view(np.int8).min(), GRAY.view(np.int8).max()), policy=RANGE),
    accepted("unsigned-32-range", "uint32, window range", "least to greatest", tiff(BIG), stretched(BIG, 0, 65535000), policy=RANGE),
    accepted("unsigned-32-window", "uint32, window 30000000/20000000", "20 to 40 million", tiff(BIG), stretched(BIG, 2e7, 4e7), policy=ReadingPolicy(window="30000000/20000000")),
    accepted("signed-32-percentile", "int32, percentiles 5 and 90", "between the percentiles", tiff(HOUNSFIELD.astype(np.int32) * 1000), stretched(HOUNSFIELD * 1000.0, *np.percentile(HOUNSFIELD * 1000.0, [5, 90])), oracle="NumPy", policy=PERCENTILE),
    accepted("float-range", "float64, window range", "least to greatest", tiff(WIDE), stretched(WIDE, WIDE.min(), WIDE.max()), policy=RANGE),
    accepted("float-percentile", "float64, percentiles 5 and 90", "between the percentiles", tiff(WIDE), stretched(WIDE, *np.percentile(WIDE, [5, 90])), oracle="NumPy", policy=PERCENTILE),
    accepted("float-window", "float32, window 40/400", "-160 to 240", tiff(WIDE.astype(np.float32)), stretched(WIDE, -160, 240), policy=ReadingPolicy(window="40/400")),
    accepted("float-infinite", "float32 with an infinity, window range", "finite range, infinity white", tiff(WITH_INF), stretched(np.where(GRAY == 255, 1e9, UNIT), UNIT[GRAY < 255].min(), UNIT[GRAY < 255].max()), policy=RANGE),
    accepted("pages-range", "two pages, page 0, window range", "least to greatest of all pages", pages(DEEP // 2, DEEP), stretched(DEEP // 2, 0, 65535), policy=RANGE, frame=0),
    *(
        refused(f"no-white-{np.dtype(kind).name}", f"{np.dtype(kind).name}, window file", f"{np.dtype(kind).name} values have no known white", tiff(GRAY.astype(kind)))
        for kind in (np.int8, np.int16, np.int32, np.uint32)
    ),
    refused("no-white-float", "float64 beyond [0, 1], window file", "float64 values have no known white", tiff(WIDE)),
    refused("not-a-number", "float32 with a NaN, window range", "not a number", tiff(WITH_NAN), policy=RANGE),
    refused("nothing-finite", "float32, all NaN, window range", "none of its values is finite", tiff(np.full((4, 4), np.nan, np.float32)), policy=RANGE),
]  # fmt: skip

COLOURS = [
    accepted("colour-8", "8-bit colour", "value / 255", tiff(COLOUR), pixels(COLOUR / 255), policy=RGB),
    accepted("colour-to-gray", "8-bit colour, read as gray", "luma of BT.601", tiff(COLOUR), pixels(COLOUR @ LUMA / 255)),
    accepted("colour-16", "16-bit colour", "value / 65535", tiff(DEEP_COLOUR), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("planes-8", "8-bit colour, a plane each", "value / 255", tiff(np.moveaxis(COLOUR, -1, 0), photometric="rgb", planarconfig="separate"), pixels(COLOUR / 255), policy=RGB),
    accepted("planes-16", "16-bit colour, a plane each, deflate", "value / 65535", tiff(np.moveaxis(DEEP_COLOUR, -1, 0), photometric="rgb", planarconfig="separate", compression="zlib"), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("alpha-8", "8-bit colour and alpha", "over black", tiff(np.dstack([COLOUR, GRAY]), photometric="rgb", extrasamples=["unassalpha"]), pixels(COLOUR / 255 * (GRAY[..., None] / 255)), policy=RGB),
    accepted("alpha-16", "16-bit colour and alpha", "over black", tiff(np.dstack([DEEP_COLOUR, OPAQUE]), photometric="rgb", extrasamples=["unassalpha"]), pixels(DEEP_COLOUR / 65535 * (OPAQUE[..., None] / 65535)), policy=RGB),
    accepted("alpha-multiplied", "16-bit colour, alpha multiplied in", "the colours", tiff(np.dstack([DEEP_COLOUR, OPAQUE]), photometric="rgb", extrasamples=["assocalpha"]), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("extra-sample", "8-bit colour and a sample of no meaning", "the colours", tiff(np.dstack([COLOUR, GRAY]), photometric="rgb", extrasamples=["unspecified"]), pixels(COLOUR / 255), policy=RGB),
    accepted("gray-alpha", "8-bit gray and alpha", "over black", tiff(np.dstack([GRAY, GRAY[::-1]]), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]), pixels(GRAY / 255 * (GRAY[::-1] / 255))),
    accepted("palette", "palette, 16 bits an entry", "the high 8 bits", tiff(GRAY, photometric="palette", colormap=PALETTE.T), pixels((PALETTE >> 8)[GRAY] / 255), policy=RGB),
    accepted("palette-pillow", "palette as Pillow writes it", "the colours", saved("a.tif", Image.fromarray(GRAY).quantize(16)), by_pillow, oracle="Pillow", policy=RGB),
    accepted("palette-8", "palette, 8 bits an entry", "the 8 bits", tiff(GRAY, photometric="palette", colormap=SMALL_PALETTE.T), pixels(SMALL_PALETTE[GRAY] / 255), policy=RGB),
    accepted("inks-8", "8-bit CMYK", "ink on white paper", tiff(INKS, photometric="separated"), pixels(inks(INKS, 255)), policy=RGB),
    accepted("inks-16", "16-bit CMYK", "ink on white paper", tiff(DEEP_INKS, photometric="separated"), pixels(inks(DEEP_INKS, 65535)), policy=RGB),
    accepted("luma-chroma", "8-bit YCbCr, as it is", "the colours", tiff(np.asarray(Image.fromarray(COLOUR).convert("YCbCr")), photometric="ycbcr"), pixels(np.asarray(Image.fromarray(COLOUR).convert("YCbCr").convert("RGB")) / 255), oracle="Pillow", policy=RGB),
    refused("lab", "CIE L*a*b*", "CIE L\\*a\\*b", saved("a.tif", Image.fromarray(COLOUR, mode="LAB"))),
    refused("sensor", "raw sensor values", "its colour space .* is not read", tiff(DEEP, photometric=32803, extratags=[(33421, "H", 2, (2, 2)), (33422, "B", 4, (0, 1, 1, 2))])),
    refused("complex", "complex numbers", "complex64 values are not read", tiff(UNIT.astype(np.complex64)), policy=RANGE),
    refused("alpha-signed", "int16 gray and alpha", "transparency has no meaning", tiff(np.dstack([HOUNSFIELD, HOUNSFIELD]), photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"]), policy=RANGE),
    refused("bands", "5 samples a pixel", "5 samples per pixel are neither gray nor colour", tiff(np.dstack([COLOUR, GRAY, GRAY]), planarconfig="contig", photometric="minisblack")),
]  # fmt: skip

COMPRESSED = [
    *(
        accepted(f"{name}-{depth}", f"{depth}-bit, {name}{', predictor' * bool(predictor)}", f"value / {white}", tiff(values, compression=name, predictor=predictor), pixels(values / white), policy=RGB if values.ndim == 3 else ReadingPolicy())
        for name, depth, values, white, predictor in (
            ("lzw", 16, DEEP, 65535, True),
            ("packbits", 8, GRAY, 255, False),
            ("zlib", 8, COLOUR, 255, True),
            ("zstd", 16, DEEP_COLOUR, 65535, False),
            ("lzma", 16, DEEP, 65535, False),
            ("png", 16, DEEP, 65535, False),
        )
    ),
    accepted("float-predictor", "float32, deflate, predictor 3", "the value", tiff(UNIT, compression="zlib", predictor=3), pixels(UNIT)),
    accepted("jpeg", "colour, JPEG as YCbCr", "decoded value / 255", tiff(PHOTO, compression="jpeg", compressionargs={"level": 90}), by_pillow, oracle="Pillow", policy=RGB, tolerance=3 / 255),
    accepted("jpeg-gray", "gray, JPEG", "decoded value / 255", tiff(PHOTO[..., 0], compression="jpeg", compressionargs={"level": 90}), lambda path: by_pillow(path)[:1], oracle="Pillow", tolerance=1 / 255),
    accepted("jpeg2000", "colour, JPEG 2000 without loss", "value / 255", tiff(COLOUR, compression="jpeg2000", compressionargs={"reversible": True}), pixels(COLOUR / 255), policy=RGB),
    accepted("fax", "1-bit, CCITT group 4", "0 or 1", saved("a.tif", Image.fromarray(GRAY > 99), compression="group4"), pixels(GRAY > 99)),
    accepted("tiles", "16-bit colour in tiles, deflate", "value / 65535", tiff(DEEP_COLOUR, tile=(16, 16), compression="zlib"), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("strips-plain", "8-bit gray, strips of 3 rows", "value / 255", tiff(GRAY, rowsperstrip=3), pixels(GRAY / 255)),
    accepted("strips", "16-bit gray, strips of 3 rows, LZW", "value / 65535", tiff(DEEP, rowsperstrip=3, compression="lzw"), pixels(DEEP / 65535)),
]  # fmt: skip

LAYOUT = [
    *(
        accepted(f"turned-{n}", f"orientation {n}", "upright", turned(n, 9999), pixels(np.array(STORED[1]) * 9999 / 65535))
        for n in range(1, 9)
    ),
    accepted("page", "two pages, page 1", "that page", pages(DEEP, DEEP[::-1]), pixels(DEEP[::-1] / 65535), frame=1),
    accepted("thumbnail", "an image and its thumbnail", "the image", pages(GRAY, GRAY[::2, ::2], subfiletype=1), pixels(GRAY / 255)),
    accepted("unlike-page", "two pages of unlike size, page 1", "that page", pages(GRAY, GRAY[:5]), pixels(GRAY[:5] / 255), frame=1),
    refused("pages", "two pages, none chosen", "it holds 2 frames, one is needed", pages(DEEP, DEEP)),
    refused("page-missing", "two pages, page 2", "frame 2 does not exist", pages(DEEP, DEEP), frame=2),
    refused("page-negative", "two pages, page -1", "frame -1 does not exist", pages(DEEP, DEEP), frame=-1),
    refused("unlike-depth", "pages of 8 and 16 bits, window range", "differ in depth or colour", pages(GRAY, DEEP), policy=RANGE, frame=0),
    refused("truncated", "strips, the first half", "the file is truncated", changed(tiff(DEEP, rowsperstrip=3), cut(0.5))),
    refused("truncated-pixels", "only the header and the tags", "the file is truncated", changed(tiff(np.zeros((99, 99), np.uint16)), cut(0.3))),
    refused("strip-missing", "fewer strips than the rows need", "parts of the image are missing", without_last_strip),
    refused("damaged", "deflate, 400 bytes zeroed", "its compressed pixels are broken", changed(tiff(np.tile(DEEP, (9, 9)), compression="zlib"), lambda data: data[:600] + bytes(400) + data[1000:])),
    refused("bomb", "claims 60000 x 60000", "more than 67108864 values", written("a.tif", tiff_by_hand(b"1234", {256: 60000, 257: 60000, 258: 16, 259: 1, 262: 1, 277: 1}))),
    refused("no-page", "a header alone", "it holds no pixels", written("a.tif", b"II*\0\x08\0\0\0\0\0")),
    refused("circle", "a page that is its own next", "it holds no pixels", written("a.tif", b"II*\0\x08\0\0\0\0\0\x08\0\0\0")),
]  # fmt: skip

TIFF_CASES = [*DEPTHS, *WINDOWS, *COLOURS, *COMPRESSED, *LAYOUT]
