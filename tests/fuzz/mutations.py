"""Ways to break a file."""

import re
import struct
import zlib
from collections.abc import Callable

import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]

ODD = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HUGE = (0xFFFF, 0x10000, 50_000, 0x7FFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x00FFFFFF)
HEAD = 600  # bytes in which most headers lie


def truncated(data: bytes, random: Random) -> bytes:
    return data[: random.integers(len(data))]


def flipped(data: bytes, random: Random, start: int = 0, end: int | None = None) -> bytes:
    broken = bytearray(data)
    for place in random.integers(start, end or len(data), size=random.integers(1, 20)):
        broken[place] ^= 1 << random.integers(8)
    return bytes(broken)


def flipped_head(data: bytes, random: Random) -> bytes:
    return flipped(data, random, 4, min(HEAD, len(data)))


def overwritten(data: bytes, random: Random) -> bytes:
    broken = bytearray(data)
    for _ in range(random.integers(1, 4)):
        size = int(random.choice([1, 2, 4]))
        place = int(random.integers(4, min(HEAD, len(data) - 4)))
        value = int(random.choice(ODD)) & (256**size - 1)
        broken[place : place + size] = value.to_bytes(size, random.choice(["little", "big"]))
    return bytes(broken)


def _block(data: bytes, random: Random) -> tuple[int, int]:
    start = int(random.integers(len(data)))
    return start, min(len(data), start + int(random.integers(1, 400)))


def duplicated(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:end] + data[start:end] * int(random.integers(1, 4)) + data[end:]


def inserted(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + random.bytes(end - start) + data[start:]


def removed(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + data[end:]


def zeroed(data: bytes, random: Random) -> bytes:
    start, end = _block(data, random)
    return data[:start] + bytes(end - start) + data[end:]


def huge(data: bytes, random: Random) -> bytes:
    """Set size fields to absurd values: of the format if it is known, else any."""
    for start, resize in _RESIZE.items():
        if data[128:132] == start or data.startswith(start):
            return resize(data, random)
    return overwritten(data, random)


def _size(random: Random, bits: int) -> int:
    return int(random.choice(HUGE)) & (2**bits - 1)


def _huge_png(data: bytes, random: Random) -> bytes:
    head = b"IHDR" + struct.pack(">II", _size(random, 31), _size(random, 31)) + data[24:29]
    return data[:12] + head + struct.pack(">I", zlib.crc32(head)) + data[33:]


def _huge_jpeg(data: bytes, random: Random) -> bytes:
    place = re.search(rb"\xff[\xc0\xc2]\0", data)
    if place is None:
        return data
    start = place.start() + 5
    return data[:start] + struct.pack(">HH", 0xFFFF, _size(random, 16)) + data[start + 4 :]


def _huge_bmp(data: bytes, random: Random) -> bytes:
    return data[:18] + struct.pack("<II", _size(random, 32), _size(random, 32)) + data[26:]


def _huge_webp(data: bytes, random: Random) -> bytes:
    place = data.find(b"VP8 ") + 14 if b"VP8 " in data else 21
    return data[:place] + random.bytes(4) + data[place + 4 :]


def _huge_tiff(data: bytes, random: Random) -> bytes:
    """Overwrite the values of some tags: sizes, samples, strips, depth, compression."""
    broken = bytearray(data)
    for tag in random.choice([256, 257, 258, 259, 273, 277, 278, 279, 322, 323], size=3):
        entry = re.search(struct.pack("<H", tag) + rb"[\x03\x04\x10]\0", data)
        if entry is not None:
            place = entry.start() + (12 if data[2] == 43 else 8)
            broken[place : place + 4] = struct.pack("<I", _size(random, 32))
    return bytes(broken)


def _huge_dicom(data: bytes, random: Random) -> bytes:
    """Overwrite rows, columns, samples, bits or the length of the pixels."""
    broken = bytearray(data)
    for element in random.choice([0x0010, 0x0011, 0x0002, 0x0100, 0x0101, 0x0103], size=2):
        place = data.find(struct.pack("<HH", 0x0028, element))
        if place > 0:
            value = int(random.choice([0, 1, 8, 32, 64, 0x7FFF, 0xFFFF]))
            broken[place + 8 : place + 10] = struct.pack("<H", value)
    place = data.find(b"\xe0\x7f\x10\0")
    if place > 0 and random.integers(3) == 0:
        broken[place + 8 : place + 12] = struct.pack("<I", _size(random, 32))
    return bytes(broken)


def _huge_nifti(data: bytes, random: Random) -> bytes:
    axes = random.choice([0, 1, -1, 5, 1000, 0x7FFF, -0x8000], size=8).tolist()
    axes[0] = int(random.choice([1, 2, 3, 4, 7, 8, -1]))
    broken = data[:40] + struct.pack("<8h", *axes) + data[56:]
    if random.integers(2):
        offset = float(random.choice([np.nan, np.inf, -1, 1e30, 0, 353.5]))
        broken = broken[:108] + struct.pack("<f", offset) + broken[112:]
    return broken


def _huge_gzip(data: bytes, random: Random) -> bytes:
    return zlib.compress(_huge_nifti(zlib.decompress(data, wbits=31), random), wbits=31)


def _huge_npy(data: bytes, random: Random) -> bytes:
    shapes = (b"(99999, 99999)", b"(-1, 4)", b"()", b"(0, 5)", b"(2147483647,)", b"(1, 1e9)")
    broken = re.sub(rb"\(\d+, \d+\)", shapes[random.integers(len(shapes))], data, count=1)
    if random.integers(2):
        kinds = (b"'|O'", b"'<c16'", b"'<U9'", b"'|V3'", b"'<M8[s]'", b"'>f8'", b"[('a','u1')]")
        broken = re.sub(rb"'[<|][uf]\d'", kinds[random.integers(len(kinds))], broken, count=1)
    return broken


_RESIZE: dict[bytes, Mutation] = {
    b"\x89PNG": _huge_png,
    b"\xff\xd8": _huge_jpeg,
    b"BM": _huge_bmp,
    b"RIFF": _huge_webp,
    b"II": _huge_tiff,
    b"DICM": _huge_dicom,
    b"\x5c\x01": _huge_nifti,
    b"\x1f\x8b": _huge_gzip,
    b"\x93NUMPY": _huge_npy,
}


def repaired_png(data: bytes) -> bytes:
    """Set the checksums of a broken PNG right, so that its decoder looks at the damage."""
    if not data.startswith(b"\x89PNG"):
        return data
    fixed, place = bytearray(data), 8
    while place + 12 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        end = place + 8 + size
        if end + 4 > len(data):
            break
        fixed[end : end + 4] = struct.pack(">I", zlib.crc32(data[place + 4 : end]))
        place = end + 4
    return bytes(fixed)


MUTATIONS: dict[str, Mutation] = {
    "truncated": truncated,
    "bits flipped": flipped,
    "header bits flipped": flipped_head,
    "header overwritten": overwritten,
    "block duplicated": duplicated,
    "block inserted": inserted,
    "block removed": removed,
    "block zeroed": zeroed,
    "absurd sizes": huge,
    "checksums kept": lambda data, random: repaired_png(flipped(data, random, 8)),
    "two faults": lambda data, random: truncated(overwritten(data, random) + b"\0", random),
    "empty": lambda data, random: b"",
    "noise": lambda data, random: data[:8] + random.bytes(int(random.integers(8, 4000))),
    "sound": lambda data, random: data,
}
WEIGHTS = np.array([3, 4, 4, 4, 2, 2, 2, 2, 5, 2, 2, 0.1, 0.3, 0.5])
"""How often each comes; what has many places to strike comes more often."""


def mutate(data: bytes, random: Random) -> tuple[str, bytes]:
    """Break a file in one way, and return the way and the file."""
    name = str(random.choice(list(MUTATIONS), p=WEIGHTS / WEIGHTS.sum()))
    return name, MUTATIONS[name](data, random)
