"""Files that are made to harm: bombs, pickles, loops, names that leave their folder."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np

from fuzz.seeds import SYNTAXES, dicom, nifti, npy, npz, picture, tiff

GIBIBYTE = 2**30


def zeros(size: int, wbits: int) -> bytes:
    """Compress zeros fast: a block that stands alone is repeated."""
    deflate = zlib.compressobj(9, zlib.DEFLATED, wbits)
    start = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    block = deflate.compress(bytes(2**20)) + deflate.flush(zlib.Z_FULL_FLUSH)
    return start + block * (size // 2**20)


def chunk(kind: bytes, data: bytes) -> bytes:
    return (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    )


def png(width: int, height: int, body: bytes, *more: bytes, depth: int = 8) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    chunks = [chunk(b"IHDR", head), *more, chunk(b"IDAT", body), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def deflated_dicom(size: int) -> bytes:
    """Return a deflated DICOM file that unpacks to ``size`` bytes."""
    sound = dicom("explicit")
    old, new = (SYNTAXES[name].encode() for name in ("explicit", "deflated"))
    place = sound.find(old) - 8  # tag, kind and length of the element
    length = int.from_bytes(sound[140:144], "little")
    element = sound[place : place + 6] + struct.pack("<H", 22) + new
    meta = sound[144:place] + element + sound[place + 8 + 20 : 144 + length]
    head = sound[:140] + struct.pack("<I", len(meta)) + meta
    start = zlib.compressobj(9, zlib.DEFLATED, -15)
    group = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, size)
    return head + start.compress(group) + start.flush(zlib.Z_FULL_FLUSH) + zeros(size, -15)


def nested_dicom(depth: int) -> bytes:
    """Return a DICOM file with sequences within sequences of unknown length."""
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    sequence = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    sound = dicom("explicit")
    place = sound.find(struct.pack("<HH", 0x0010, 0x0010))
    return sound[:place] + (sequence + item) * depth


def gzipped_nifti(axes: tuple[int, ...], size: int) -> bytes:
    head = bytearray(nifti(zipped=False)[:352])
    head[40:56] = struct.pack("<8h", len(axes), *axes, *[1] * (7 - len(axes)))
    start = zlib.compressobj(9, zlib.DEFLATED, 31)
    first = start.compress(bytes(head)) + start.flush(zlib.Z_FULL_FLUSH)
    return first + zeros(size, -15)


def looping_tiff() -> bytes:
    """Return a TIFF whose list of pages leads back to the first."""
    data = bytearray(tiff(np.zeros((4, 4), np.uint8)))
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = data[4:8]
    return bytes(data)


def tiff_bomb(width: int, height: int, size: int) -> bytes:
    """Return a TIFF of one deflated strip."""
    strip = zlib.compress(b"")[:2] + zeros(size, -15)
    tags = [(256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 8), (262, 3, 1)]
    tags += [(273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(strip))]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    return head + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def zip_bomb(size: int) -> bytes:
    """Return an archive of one array that unpacks to ``size`` bytes."""
    side = int((size / 4) ** 0.5)
    header = npy(np.zeros((1, 1), np.float32)).split(b"\n")[0].decode("latin1")
    text = header.replace("(1, 1)", f"({side}, {side})")
    start = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = start.compress(text[: len(header)].encode("latin1")[:-1] + b"\n")
    packed = body + start.flush(zlib.Z_FULL_FLUSH) + zeros(size, -15) + b"\x03\0"
    name = b"image.npy"
    sizes = struct.pack("<III", 0, len(packed), size)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + sizes
    local += struct.pack("<HH", len(name), 0) + name
    central = b"PK\x01\x02" + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0) + sizes
    central += struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0) + name
    place = len(local) + len(packed)
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 1, 1, len(central), place, 0)
    return local + packed + central + end


def pickled(canary: str) -> bytes:
    """Return an array of objects whose unpickling would write the canary file."""
    call = f"cbuiltins\nopen\n(V{canary}\nVw\ntR.".encode()
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (117 - len(header)) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + call


def crafted(canary: str) -> Iterator[tuple[str, str, str, Callable[[], bytes]]]:
    """Give format, what it is, suffix and maker of each file.

    Args:
        canary: Path of the file that a pickle would write.
    """
    ramp, idat = np.arange(48, dtype=np.uint8).reshape(6, 8), zlib.compress(bytes(6 * 9))
    stream = zlib.compress(b"")[:2] + zeros(GIBIBYTE, -15)
    text = chunk(b"zTXt", b"Comment\0\0" + stream)
    profile = chunk(b"iCCP", b"icc\0\0" + stream)
    absent = dicom("implicit")[132:]
    yield "PNG", "bomb: 50,000 x 50,000", ".png", lambda: png(50_000, 50_000, stream)
    yield (
        "PNG",
        "bomb: 40,000 x 40,000 bits",
        ".png",
        lambda: png(40_000, 40_000, stream, depth=1),
    )
    yield "PNG", "bomb: 1 GiB for 6 x 8", ".png", lambda: png(8, 6, stream)
    yield "PNG", "bomb: 1 GiB of text", ".png", lambda: png(8, 6, idat, text)
    yield "PNG", "bomb: 1 GiB of profile", ".png", lambda: png(8, 6, idat, profile)
    yield "PNG", "bomb: 16 bits and 1 GiB", ".png", lambda: png(8, 6, stream, depth=16)
    yield (
        "PNG",
        "largest image",
        ".png",
        lambda: picture(np.zeros((8192, 8192), np.uint8), "PNG", compress_level=1),
    )
    yield "DICOM", "bomb: 1 GiB deflated", ".dcm", lambda: deflated_dicom(GIBIBYTE)
    yield "DICOM", "bomb: 3 GiB deflated", ".dcm", lambda: deflated_dicom(3 * GIBIBYTE)
    yield "DICOM", "5,000 nested sequences", ".dcm", lambda: nested_dicom(5_000)
    yield "DICOM", "200,000 nested sequences", ".dcm", lambda: nested_dicom(200_000)
    yield "DICOM", "no preamble", ".dcm", lambda: absent
    yield (
        "NIfTI",
        "bomb: 4 GiB in gzip",
        ".nii.gz",
        lambda: gzipped_nifti((1024, 1024, 1024), 4 * GIBIBYTE),
    )
    yield (
        "NIfTI",
        "bomb: 1 GiB behind one slice",
        ".nii.gz",
        lambda: gzipped_nifti((16, 16), GIBIBYTE),
    )
    yield (
        "NIfTI",
        "bomb: one slice of 32,767 x 32,767",
        ".nii.gz",
        lambda: gzipped_nifti((32767, 32767), GIBIBYTE),
    )
    yield (
        "NIfTI",
        "bomb: 32,767 slices in gzip",
        ".nii.gz",
        lambda: gzipped_nifti((256, 256, 32767), GIBIBYTE),
    )
    yield "TIFF", "pages in a loop", ".tif", looping_tiff
    yield "TIFF", "bomb: 32,768 x 32,768", ".tif", lambda: tiff_bomb(32768, 32768, GIBIBYTE)
    yield "TIFF", "bomb: 1 GiB for 8 x 8", ".tif", lambda: tiff_bomb(8, 8, GIBIBYTE)
    yield "NPZ", "bomb: 1 GiB", ".npz", lambda: zip_bomb(GIBIBYTE)
    yield "NPZ", "bomb: 3 GiB", ".npz", lambda: zip_bomb(3 * GIBIBYTE)
    yield "NPY", "pickle", ".npy", lambda: pickled(canary)
    yield "NPZ", "pickle", ".npz", lambda: npz({"image.npy": pickled(canary)})
    for name in ("../../up.npy", "/tmp/root.npy", "C:\\up.npy", "a\0b.npy", "n\n.npy"):
        yield "NPZ", f"member {name!r}", ".npz", lambda name=name: npz({name: npy(ramp)})
    yield "NPZ", "no members", ".npz", lambda: npz({})
    yield (
        "NPZ",
        "1,000 members",
        ".npz",
        lambda: npz({f"{n}.npy": npy(ramp) for n in range(1000)}, zipfile.ZIP_STORED),
    )
    yield (
        "NPY",
        "header of brackets",
        ".npy",
        lambda: b"\x93NUMPY\x01\0" + struct.pack("<H", 9000) + b"(" * 8999 + b"\n",
    )
