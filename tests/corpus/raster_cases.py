"""PNG, JPEG, BMP and WebP files, beside the TIFF files and those that are no image."""

# ruff: noqa: E501  one row a case

import io
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image

from corpus.case import Case
from corpus.foreign_cases import FOREIGN_CASES
from corpus.making import (
    COLOUR,
    DEEP,
    DEEP_COLOUR,
    GRAY,
    LUMA,
    PHOTO,
    SMOOTH,
    STORED,
    Expected,
    Maker,
    Pixels,
    bmp,
    changed,
    cut,
    flip_the_middle,
    packed,
    pixels,
    png,
    png_chunk,
    saved,
    stretched,
    turned,
    written,
)
from corpus.tiff_cases import TIFF_CASES
from glcm_mae.data.reading.policy import ReadingPolicy

MADE = "by construction"
RGB = ReadingPolicy(channels=3)
OPAQUE = GRAY[::-1]  # an alpha channel
SHINE = GRAY / 255 * (OPAQUE / 255)


def accepted(
    name: str, content: str, outcome: str, make: Maker, expected: Expected, **more: object
) -> Case:
    kind = {"png": "PNG", "jpeg": "JPEG", "bmp": "BMP", "webp": "WebP"}[name.split("-")[0]]
    more.setdefault("oracle", MADE)
    return Case(name, kind, content, outcome, make=make, expected=expected, **more)


def refused(name: str, content: str, refusal: str, make: Maker, **more: object) -> Case:
    kind = {"png": "PNG", "jpeg": "JPEG", "bmp": "BMP", "webp": "WebP"}[name.split("-")[0]]
    outcome = f"refused: {refusal}".replace("\\", "").replace(".*", " ... ")
    return Case(name, kind, content, outcome, MADE, make, refusal=refusal, **more)


def animated(name: str, *frames: np.ndarray, **options: object) -> Maker:
    first, *rest = map(Image.fromarray, frames)
    return saved(name, first, save_all=True, append_images=rest, **options)


def promising(count: int) -> bytes:
    """Return an animation's header that promises more frames than there are."""
    file = io.BytesIO()
    frames = [Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])]
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    data = file.getvalue()
    place = data.index(b"acTL") - 4
    return data[:place] + png_chunk(b"acTL", struct.pack(">II", count, 0)) + data[place + 20 :]


def gray_alpha(values: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    return np.stack([values, alpha], axis=-1)


def palette_png(alpha: bytes = b"") -> bytes:
    chunks = png_chunk(b"PLTE", bytes([255, 0, 0, 0, 255, 0, 10, 20, 30]))
    chunks += png_chunk(b"tRNS", alpha) if alpha else b""
    return png(np.array([[0, 1, 2]]), bits=8, colour=3, chunks=chunks)


PALETTE = np.array([[[255, 0, 0], [0, 255, 0], [10, 20, 30]]]) / 255
NIBBLES, PAIRS = GRAY >> 4, GRAY >> 6
DEEP_ALPHA = np.concatenate([DEEP_COLOUR, DEEP[..., None]], axis=-1)
SLOW, FAST = GRAY // 4, GRAY // 4 + 100  # two frames with ranges of their own

PNG_CASES = [
    accepted("png-gray-8", "8-bit gray", "value / 255", saved("a.png", Image.fromarray(GRAY)), pixels(GRAY / 255)),
    accepted("png-gray-1", "1-bit gray", "0 or 1", written("a.png", png(GRAY & 1, bits=1, colour=0)), pixels(GRAY & 1)),
    accepted("png-gray-2", "2-bit gray", "value / 3", written("a.png", png(PAIRS, bits=2, colour=0)), pixels(PAIRS / 3)),
    accepted("png-gray-4", "4-bit gray", "value / 15", written("a.png", png(NIBBLES, bits=4, colour=0)), pixels(NIBBLES / 15)),
    accepted("png-gray-16", "16-bit gray", "value / 65535", written("a.png", png(DEEP, bits=16, colour=0)), pixels(DEEP / 65535)),
    accepted("png-interlaced-8", "8-bit gray, interlaced", "value / 255", written("a.png", png(GRAY, bits=8, colour=0, interlaced=True)), pixels(GRAY / 255)),
    accepted("png-interlaced-16", "16-bit colour, interlaced", "value / 65535", written("a.png", png(DEEP_COLOUR, bits=16, colour=2, interlaced=True)), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("png-colour-8", "8-bit colour, read as colour", "value / 255", saved("a.png", Image.fromarray(COLOUR)), pixels(COLOUR / 255), policy=RGB),
    accepted("png-colour-to-gray", "8-bit colour, read as gray", "luma of BT.601", saved("a.png", Image.fromarray(COLOUR)), pixels(COLOUR @ LUMA / 255)),
    accepted("png-gray-to-colour", "8-bit gray, read as colour", "three equal channels", saved("a.png", Image.fromarray(GRAY)), pixels(np.stack([GRAY / 255] * 3, axis=-1)), policy=RGB),
    accepted("png-colour-16", "16-bit colour", "value / 65535", written("a.png", png(DEEP_COLOUR, bits=16, colour=2)), pixels(DEEP_COLOUR / 65535), policy=RGB),
    accepted("png-colour-16-to-gray", "16-bit colour, read as gray", "luma of BT.601", written("a.png", png(DEEP_COLOUR, bits=16, colour=2)), pixels(DEEP_COLOUR @ LUMA / 65535)),
    accepted("png-alpha-16", "16-bit colour and alpha", "over black, at 16 bits", written("a.png", png(DEEP_ALPHA, bits=16, colour=6)), pixels(DEEP_COLOUR / 65535 * (DEEP[..., None] / 65535)), policy=RGB),
    accepted("png-gray-alpha-8", "8-bit gray and alpha", "over black", written("a.png", png(gray_alpha(GRAY, OPAQUE), bits=8, colour=4)), pixels(SHINE)),
    accepted("png-gray-alpha-16", "16-bit gray and alpha", "over black, at 16 bits", written("a.png", png(gray_alpha(DEEP, DEEP[::-1]), bits=16, colour=4)), pixels(DEEP / 65535 * (DEEP[::-1] / 65535))),
    accepted("png-alpha-8", "8-bit colour and alpha", "over black", written("a.png", png(np.dstack([COLOUR, OPAQUE]), bits=8, colour=6)), pixels(COLOUR / 255 * (OPAQUE[..., None] / 255)), policy=RGB),
    accepted("png-palette", "palette", "the colours", written("a.png", palette_png()), pixels(PALETTE), policy=RGB),
    accepted("png-palette-alpha", "palette with alpha", "over black", written("a.png", palette_png(bytes([51, 255, 0]))), pixels(PALETTE * [[[0.2], [1], [0]]]), policy=RGB),
    accepted("png-gray-key", "gray with a transparent value", "that value is black", written("a.png", png(GRAY, bits=8, colour=0, chunks=png_chunk(b"tRNS", struct.pack(">H", 255)))), pixels(np.where(GRAY == 255, 0, GRAY) / 255)),
    accepted("png-gray-16-key", "16-bit gray with a transparent value", "that value is black", written("a.png", png(DEEP, bits=16, colour=0, chunks=png_chunk(b"tRNS", struct.pack(">H", 65535)))), pixels(np.where(DEEP == 65535, 0, DEEP) / 65535)),
    accepted("png-colour-key", "colour with a transparent value", "that value is black", written("a.png", png(np.array([[[9, 8, 7], [9, 8, 6]]]), bits=8, colour=2, chunks=png_chunk(b"tRNS", struct.pack(">HHH", 9, 8, 7)))), pixels(np.array([[[0, 0, 0], [9, 8, 6]]]) / 255), policy=RGB),
    accepted("png-profile", "gray with gamma and ICC profile", "value / 255: profiles are not applied", written("a.png", png(GRAY, bits=8, colour=0, chunks=png_chunk(b"gAMA", struct.pack(">I", 100000)) + png_chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(128))))), pixels(GRAY / 255)),
    accepted("png-named-jpg", "8-bit gray, named .jpg", "content decides", written("a.jpg", png(GRAY, bits=8, colour=0)), pixels(GRAY / 255)),
    *(
        accepted(f"png-turned-{n}", f"EXIF orientation {n}", "upright", saved("a.png", Image.fromarray(np.array(STORED[n], dtype=np.uint8)), **turned(n)), pixels(np.array(STORED[1]) / 255))
        for n in range(1, 9)
    ),
    accepted("png-turned-16", "16-bit colour, EXIF orientation 6", "upright", written("a.png", png(np.stack([np.array(STORED[6]) * 9999] * 3, axis=-1), bits=16, colour=2, chunks=png_chunk(b"eXIf", turned(6)["exif"].tobytes()[6:]))), pixels(np.array(STORED[1]) * 9999 / 65535)),
    accepted("png-full", "8-bit gray, window full", "value / 255", saved("a.png", Image.fromarray(SLOW)), pixels(SLOW / 255), policy=ReadingPolicy(window="full")),
    accepted("png-range", "8-bit gray, window range", "least to greatest", saved("a.png", Image.fromarray(FAST)), stretched(FAST, 100, 163), policy=ReadingPolicy(window="range")),
    accepted("png-percentile", "8-bit gray, percentiles 10 and 80", "between the percentiles", saved("a.png", Image.fromarray(GRAY)), stretched(GRAY, *np.percentile(GRAY, [10, 80])), oracle="NumPy", policy=ReadingPolicy(window="percentile", percentiles=(10, 80))),
    accepted("png-window", "8-bit gray, window 100/50", "75 to 125", saved("a.png", Image.fromarray(GRAY)), stretched(GRAY, 75, 125), policy=ReadingPolicy(window="100/50")),
    accepted("png-range-16", "16-bit gray, window range", "least to greatest", written("a.png", png(DEEP // 2 + 7, bits=16, colour=0)), stretched(DEEP // 2 + 7, 7, 32774), policy=ReadingPolicy(window="range")),
    accepted("png-window-16", "16-bit gray, window 30000/10000", "25000 to 35000", written("a.png", png(DEEP, bits=16, colour=0)), stretched(DEEP, 25000, 35000), policy=ReadingPolicy(window="30000/10000")),
    accepted("png-constant-range", "one value, window range", "black", saved("a.png", Image.new("L", (4, 3), 77)), pixels(np.zeros((3, 4))), policy=ReadingPolicy(window="range")),
    accepted("png-squeezed", "size 22 x 32, fit squeeze", "every pixel twice", saved("a.png", Image.new("L", (16, 11), 51)), pixels(np.full((32, 22), 0.2)), policy=ReadingPolicy(size=(32, 22), fit="squeeze")),
    accepted("png-frame", "animation, frame 1", "that frame", animated("a.png", SLOW, FAST), pixels(FAST / 255), frame=1),
    accepted("png-frame-colour", "animation in colour, frame 1", "that frame", animated("a.png", COLOUR, COLOUR[::-1]), pixels(COLOUR[::-1] / 255), frame=1, policy=RGB),
    accepted("png-frame-range", "animation, frame 1, window range", "least to greatest of all frames", animated("a.png", SLOW, FAST), stretched(FAST, 0, 163), frame=1, policy=ReadingPolicy(window="range")),
    refused("png-frames", "animation, no frame chosen", "it holds 2 frames, one is needed", animated("a.png", SLOW, FAST)),
    refused("png-frame-missing", "animation of 2, frame 2", "frame 2 does not exist", animated("a.png", SLOW, FAST), frame=2),
    refused("png-frames-promised", "animation that promises 9 of 2 frames", "fewer frames than the 9 it promises", written("a.png", promising(9)), frame=0),
    refused("png-truncated", "the first half", "truncated", changed(saved("a.png", Image.fromarray(COLOUR)), cut(0.5))),
    refused("png-truncated-16", "16-bit colour, the first half", "truncated or broken", changed(written("a.png", png(DEEP_COLOUR, bits=16, colour=2)), cut(0.5))),
    refused("png-damaged", "a changed byte", "broken data stream", changed(saved("a.png", Image.fromarray(COLOUR)), flip_the_middle)),
    refused("png-damaged-16", "16-bit colour, a changed byte", "truncated or broken", changed(written("a.png", png(DEEP_COLOUR, bits=16, colour=2)), flip_the_middle)),
    refused("png-bomb", "claims 10000 x 10000", "more than 67108864 values", written("a.png", png(GRAY, bits=8, colour=0, size=(10000, 10000)))),
    refused("png-bomb-16", "claims 60000 x 60000 at 16 bits", "more than 67108864 values", written("a.png", png(DEEP_COLOUR, bits=16, colour=2, size=(60000, 60000)))),
]  # fmt: skip


def by_imagecodecs(path: Path) -> Pixels:
    values = np.atleast_3d(imagecodecs.imread(path))
    return np.moveaxis(values, -1, 0) / 255


def jpeg(values: np.ndarray, **options: object) -> Maker:
    return saved("a.jpg", Image.fromarray(values), **{"quality": 90, **options})


def several_jpegs() -> Maker:
    second = Image.fromarray(PHOTO[::-1])
    return saved(
        "a.jpg", Image.fromarray(PHOTO), format="MPO", save_all=True, append_images=[second]
    )


INKS = np.stack([PHOTO[..., 0], PHOTO[..., 1], PHOTO[..., 2], PHOTO[..., 0] // 4], axis=-1)
PAPER = (1 - INKS[..., :3] / 255) * (1 - INKS[..., 3:] / 255)

JPEG_CASES = [
    accepted("jpeg-gray", "gray", "decoded value / 255", jpeg(SMOOTH.astype(np.uint8)), by_imagecodecs, oracle="imagecodecs"),
    accepted("jpeg-colour", "colour, 4:4:4", "decoded value / 255", jpeg(PHOTO, subsampling=0), by_imagecodecs, oracle="imagecodecs", policy=RGB),
    accepted("jpeg-subsampled", "colour, 4:2:0", "decoded value / 255", jpeg(PHOTO, subsampling=2), by_imagecodecs, oracle="imagecodecs", policy=RGB),
    accepted("jpeg-progressive", "colour, progressive", "decoded value / 255", jpeg(PHOTO, progressive=True), by_imagecodecs, oracle="imagecodecs", policy=RGB),
    accepted("jpeg-tone", "colour, one tone", "the tone", jpeg(np.full((16, 16, 3), 100, np.uint8)), pixels(np.full((16, 16), 100 / 255)), tolerance=1 / 255),
    accepted("jpeg-inks", "CMYK as Adobe stores it, inverted", "ink on white paper", saved("a.jpg", Image.fromarray(INKS, mode="CMYK"), quality=100), pixels(PAPER), policy=RGB, tolerance=3 / 255),
    accepted("jpeg-turned", "EXIF orientation 6", "upright", jpeg(SMOOTH.astype(np.uint8), **turned(6)), lambda path: by_imagecodecs(path)[:, ::-1].swapaxes(1, 2), oracle="imagecodecs"),
    accepted("jpeg-several", "two images in one file (MPO)", "the first", several_jpegs(), lambda path: np.moveaxis(imagecodecs.jpeg8_decode(path.read_bytes()), -1, 0) / 255, oracle="imagecodecs", policy=RGB),
    accepted("jpeg-named-png", "gray, named .png", "content decides", changed(saved("a.png", Image.new("L", (8, 8), 51), format="JPEG"), bytes), pixels(np.full((8, 8), 0.2)), tolerance=1 / 255),
    accepted("jpeg-window", "gray, window 128/100", "78 to 178", jpeg(SMOOTH.astype(np.uint8)), lambda path: ((by_imagecodecs(path) * 255 - 78) / 100).clip(0, 1), oracle="imagecodecs", policy=ReadingPolicy(window="128/100")),
    refused("jpeg-truncated", "the first half", "truncated", changed(jpeg(COLOUR), cut(0.5))),
    refused("jpeg-truncated-progressive", "progressive, the first two thirds", "truncated", changed(jpeg(COLOUR, progressive=True), cut(0.67))),
    refused("jpeg-head-only", "the first 20 bytes", "its header is broken", changed(jpeg(COLOUR), lambda data: data[:20])),
    refused("jpeg-12-bit", "12 bits", "a variant that is not read", written("a.jpg", imagecodecs.jpeg_encode((DEEP >> 4), bitspersample=12))),
]  # fmt: skip

BITS = np.eye(11, 16, dtype=np.uint8)
HIGH = COLOUR >> 3  # 5 bits each
MASKS_RGBA = struct.pack("<IIII", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
RLE = bytes([3, 1, 1, 2, 0, 0, 0, 4, 2, 1, 2, 1, 0, 0, 0, 1])  # 1 1 1 2 below 2 1 2 1
GRAYS = b"".join(bytes([v, v, v, 0]) for v in range(256))


def rows_upward(values: np.ndarray) -> bytes:
    rows = [row.tobytes() for row in values[::-1]]
    return b"".join(row + bytes(-len(row) % 4) for row in rows)


BMP_CASES = [
    accepted("bmp-gray-8", "8-bit gray", "value / 255", saved("a.bmp", Image.fromarray(GRAY)), pixels(GRAY / 255)),
    accepted("bmp-gray-1", "1-bit", "0 or 1", saved("a.bmp", Image.fromarray(BITS > 0)), pixels(BITS)),
    accepted("bmp-palette-4", "4-bit palette", "the colours", written("a.bmp", bmp(b"".join(packed(row, 4) for row in NIBBLES[::-1]), size=(16, 11), bits=4, palette=b"".join(bytes([0, n, 2 * n, 0]) for n in range(16)))), pixels(np.stack([NIBBLES * 2, NIBBLES, NIBBLES * 0], axis=-1) / 255), policy=RGB),
    accepted("bmp-colour-16", "5 bits a colour", "value / 31", written("a.bmp", bmp(rows_upward((HIGH.astype(np.uint16) @ np.array([1024, 32, 1], dtype=np.uint16)).astype("<u2")), size=(16, 11), bits=16)), pixels(HIGH / 31), policy=RGB, tolerance=1 / 255),
    accepted("bmp-colour-24", "24-bit colour", "value / 255", saved("a.bmp", Image.fromarray(COLOUR)), pixels(COLOUR / 255), policy=RGB),
    accepted("bmp-colour-32", "32-bit colour, the fourth byte unused", "value / 255", written("a.bmp", bmp(rows_upward(np.dstack([COLOUR[..., ::-1], GRAY])), size=(16, 11), bits=32)), pixels(COLOUR / 255), policy=RGB),
    accepted("bmp-alpha", "32-bit colour and alpha", "over black", written("a.bmp", bmp(rows_upward(np.dstack([COLOUR[..., ::-1], OPAQUE])), size=(16, 11), bits=32, compression=3, masks=MASKS_RGBA)), pixels(COLOUR / 255 * (OPAQUE[..., None] / 255)), policy=RGB),
    accepted("bmp-downward", "rows from the top", "upright", written("a.bmp", bmp(rows_upward(GRAY[::-1]), size=(16, -11), bits=8, palette=GRAYS)), pixels(GRAY / 255)),
    accepted("bmp-runs", "8-bit palette, run lengths", "the colours", written("a.bmp", bmp(RLE, size=(4, 2), bits=8, compression=1, palette=GRAYS)), pixels(np.array([[2, 1, 2, 1], [1, 1, 1, 2]]) / 255)),
    refused("bmp-truncated", "the first half", "truncated", changed(saved("a.bmp", Image.fromarray(COLOUR)), cut(0.5))),
    refused("bmp-bomb", "claims 30000 x 30000", "more than 67108864 values", written("a.bmp", bmp(b"", size=(30000, 30000), bits=24))),
]  # fmt: skip


def webp(values: np.ndarray, **options: object) -> Maker:
    return saved("a.webp", Image.fromarray(values), **options)


ALPHA = np.dstack([COLOUR, OPAQUE])
WEBP_CASES = [
    accepted("webp-lossless", "lossless colour", "value / 255", webp(COLOUR, lossless=True), pixels(COLOUR / 255), policy=RGB),
    accepted("webp-gray", "lossless, from gray", "value / 255", webp(GRAY, lossless=True), pixels(GRAY / 255)),
    accepted("webp-lossy", "lossy colour", "decoded value / 255", webp(PHOTO, quality=90), by_imagecodecs, oracle="imagecodecs", policy=RGB),
    accepted("webp-alpha", "lossless colour and alpha", "over black", webp(ALPHA, lossless=True, exact=True), pixels(COLOUR / 255 * (OPAQUE[..., None] / 255)), policy=RGB),
    accepted("webp-lossy-alpha", "lossy colour and alpha", "over black", webp(np.dstack([PHOTO, PHOTO[..., 0]]), quality=90), lambda path: by_imagecodecs(path)[:3] * by_imagecodecs(path)[3:], oracle="imagecodecs", policy=RGB),
    accepted("webp-turned", "EXIF orientation 8", "upright", webp(np.array(STORED[8], dtype=np.uint8), lossless=True, **turned(8)), pixels(np.array(STORED[1]) / 255)),
    accepted("webp-frame", "animation, frame 1", "that frame", animated("a.webp", COLOUR, COLOUR[::-1], lossless=True), pixels(COLOUR[::-1] / 255), frame=1, policy=RGB),
    accepted("webp-range", "lossless, window range", "least to greatest", webp(FAST, lossless=True), stretched(FAST, 100, 163), policy=ReadingPolicy(window="range")),
    refused("webp-frames", "animation, no frame chosen", "it holds 2 frames, one is needed", animated("a.webp", COLOUR, COLOUR[::-1], lossless=True)),
    refused("webp-truncated", "the first nine tenths", "the file is truncated or broken", changed(webp(COLOUR, lossless=True), cut(0.9))),
    refused("webp-truncated-frames", "animation, the first nine tenths", "the file is truncated or broken", changed(animated("a.webp", COLOUR, COLOUR[::-1], lossless=True), cut(0.9)), frame=0),
]  # fmt: skip

CASES = [*PNG_CASES, *JPEG_CASES, *BMP_CASES, *WEBP_CASES, *TIFF_CASES, *FOREIGN_CASES]
