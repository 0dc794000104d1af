"""How files of the corpus are made: pixels that all share, and writers by hand."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image

Pixels = npt.NDArray[np.floating]
Maker = Callable[[Path], Path]
Expected = Callable[[Path], Pixels]

_rng = np.random.default_rng(7)
GRAY = _rng.integers(0, 256, (11, 16), dtype=np.uint8)
GRAY[0, :3] = (0, 128, 255)
DEEP = _rng.integers(0, 65536, (11, 16), dtype=np.uint16)
DEEP[0, :3] = (0, 257, 65535)
COLOUR = _rng.integers(0, 256, (11, 16, 3), dtype=np.uint8)
DEEP_COLOUR = _rng.integers(0, 65536, (11, 16, 3), dtype=np.uint16)
UNIT = _rng.random((11, 16), dtype=np.float32)
HOUNSFIELD = _rng.integers(-1024, 3072, (11, 16)).astype(np.int16)
SMOOTH = np.linspace(20, 230, 48, dtype=np.float32)[:, None] + np.zeros((48, 64), np.float32)
PHOTO = np.stack([SMOOTH, SMOOTH[::-1], SMOOTH * 0.5 + 60], axis=-1).astype(np.uint8)
LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601

ADAM7 = [  # first row and column of each pass, and the steps: PNG, section 8.2
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]

STORED = {  # what is stored when the upright image is [[1, 2, 3], [4, 5, 6]]: EXIF 2.3
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


def pixels(values: npt.ArrayLike) -> Expected:
    """Expect these values, (height, width) or (height, width, 3), in one or three channels."""
    array = np.atleast_3d(np.asarray(values, dtype=np.float64))
    return lambda path: np.moveaxis(array, -1, 0)


def stretched(values: npt.NDArray[np.generic], black: float, white: float) -> Expected:
    black, white = float(black), float(white)
    return pixels(((values.astype(np.float64) - black) / (white - black)).clip(0, 1))


def written(name: str, content: bytes) -> Maker:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    return make


def saved(name: str, image: Image.Image, **options: object) -> Maker:
    def make(folder: Path) -> Path:
        image.save(folder / name, **options)
        return folder / name

    return make


def tiff(values: npt.NDArray[np.generic], **options: object) -> Maker:
    def make(folder: Path) -> Path:
        options.setdefault("photometric", "rgb" if values.ndim == 3 else "minisblack")
        tifffile.imwrite(folder / "a.tif", values, **options)
        return folder / "a.tif"

    return make


def changed(make: Maker, change: Callable[[bytes], bytes]) -> Maker:
    """Make a file and damage it."""

    def damage(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return damage


def cut(share: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(share * len(data))]


def flip_the_middle(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 0xFF]) + data[middle + 1 :]


def turned(orientation: int) -> dict[str, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return {"exif": exif}


def png_chunk(kind: bytes, data: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + check


def png(
    samples: npt.NDArray[np.generic],
    *,
    bits: int,
    colour: int,
    chunks: bytes = b"",
    size: tuple[int, int] | None = None,
    interlaced: bool = False,
) -> bytes:
    """Write a PNG by its specification: every row unfiltered, values packed to bits."""
    height, width = size or samples.shape[:2]
    starts = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = b""
    for top, left, down, right in starts:
        for row in samples[top::down, left::right]:
            rows += (b"\0" + packed(row, bits)) if row.size else b""
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(
            b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
        )
        + chunks
        + png_chunk(b"IDAT", zlib.compress(rows))
        + png_chunk(b"IEND", b"")
    )


def packed(values: npt.NDArray[np.generic], bits: int) -> bytes:
    """Pack values to bits, the first of them highest."""
    if bits == 16:
        return values.astype(">u2").tobytes()
    places = np.arange(bits - 1, -1, -1)
    return np.packbits((values.reshape(-1, 1) >> places) & 1).tobytes()


def bmp(
    data: bytes, *, size: tuple[int, int], bits: int, compression: int = 0, **more
) -> bytes:
    """Write a BMP with a header of 40 bytes, or of 108 where masks are given."""
    masks, palette = more.get("masks", b""), more.get("palette", b"")
    header = struct.pack(
        "<IiiHHIIiiII",
        108 if masks else 40,
        *size,
        1,
        bits,
        compression,
        len(data),
        2835,
        2835,
        len(palette) // 4,
        0,
    )
    header += masks.ljust(68, b"\0") if masks else b""
    offset = 14 + len(header) + len(palette)
    return (
        struct.pack("<2sIHHI", b"BM", offset + len(data), 0, 0, offset)
        + header
        + palette
        + data
    )


def tiff_by_hand(data: bytes, tags: dict[int, int]) -> bytes:
    """Write a little-endian TIFF of one strip, each tag one LONG."""
    known = {273: 8, 278: tags[257], 279: len(data), **tags}
    entries = b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in sorted(known.items()))
    padding = b"\0" * (len(data) % 2)
    start = struct.pack("<I", 8 + len(data) + len(padding))
    return (
        b"II*\0" + start + data + padding + struct.pack("<H", len(known)) + entries + bytes(4)
    )
