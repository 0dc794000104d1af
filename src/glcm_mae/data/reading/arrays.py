"""Arrays that numpy saved: .npy files, and .npz files of one array or in MedMNIST's layout."""

import errno
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.frames import choose_frames
from glcm_mae.data.reading.policy import Decoded, ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.stacks import Scale, Stack, decoded, measuring

_MEDMNIST = ("train_images.npy", "val_images.npy", "test_images.npy")
_NPY, _ZIP = b"\x93NUMPY", b"PK"
_DEFLATE_RATIO = 1032  # most bytes that one byte of deflate can become


def count_numpy_slices(path: str | Path, axis: int = 2) -> int:
    """Return how many images an array holds; see :func:`decode_numpy`.

    Raises:
        RefusedPixelsError: If it is broken or not supported.
    """
    with _open_arrays(path, axis) as (stacks, _):
        return sum(stack.shape[stack.axis] for stack in stacks)


def decode_numpy(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode images out of an .npy or .npz file, of booleans, integers or floats.

    Convention:
        Two axes are a gray image (height, width), three of which the last is 3 a colour
        image; any other three axes are a volume, cut along ``policy.axis`` and shown as
        numpy prints it: of the two axes left the first runs down, the second right. In
        MedMNIST's layout [1]_ the first axis counts the images whatever ``policy.axis``
        is, and frames run over training, validation and test images in this order.

    Args:
        path: The file.
        frames: Image numbers; None means that there must be exactly one.
        policy: Names the axis and the window.

    Returns:
        The images, in the order asked for.

    Raises:
        RefusedPixelsError: If the file is broken, truncated, holds Python objects, several
            arrays, or other than 2 or 3 axes.

    References:
        .. [1] Yang et al., 2023, doi:10.1038/s41597-022-01721-8
    """
    with _open_arrays(path, policy.axis) as (stacks, transposed):
        counts = [stack.shape[stack.axis] for stack in stacks]
        numbers = choose_frames(frames, sum(counts))
        spread = measuring(policy, stacks[0].dtype, Scale(), None)
        parts: list[npt.NDArray[Any]] = []
        place, done, first = np.empty(len(numbers), dtype=np.intp), 0, 0
        for stack, count in zip(stacks, counts, strict=True):
            here = [i for i, n in enumerate(numbers) if first <= n < first + count]
            place[here] = np.arange(done, done + len(here))
            parts.append(stack.read([numbers[i] - first for i in here], spread))
            first, done = first + count, done + len(here)
        images = parts[0] if len(parts) == 1 else np.concatenate(parts)[place]
        images = images.swapaxes(1, 2) if transposed else images
        return decoded(images, policy, spread)


@contextmanager
def _open_arrays(path: str | Path, axis: int) -> Iterator[tuple[list[Stack], bool]]:
    """Yield the arrays of a file, and whether their slices come transposed."""
    try:
        with Path(path).open("rb") as file:
            start = file.read(len(_NPY))
            file.seek(0)
            if not start:
                raise RefusedPixelsError("the file is empty")
            if start.startswith(_ZIP):
                with ZipFile(file) as archive, ExitStack() as opened:
                    yield _archived(archive, opened, axis)
            else:
                yield _array(file, os.fstat(file.fileno()).st_size, axis)
    except (RefusedPixelsError, MemoryError):
        raise
    except (BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError):
        raise RefusedPixelsError("its zip archive is broken or encrypted") from None
    except OSError as error:  # EINVAL: a broken archive points to before the file
        broken = error.errno in (None, errno.EINVAL)
        reason = "its zip archive is broken or encrypted" if broken else error.strerror
        raise RefusedPixelsError(str(reason)) from None


def _archived(archive: ZipFile, opened: ExitStack, axis: int) -> tuple[list[Stack], bool]:
    members = {member.filename: member for member in archive.infolist()}
    for name in members:
        if not name.endswith(".npy"):
            raise RefusedPixelsError("it holds other things than arrays")
        if name.startswith(("/", "\\")) or ".." in name or ":" in name:
            raise RefusedPixelsError("it names files outside itself")
    if set(members) >= set(_MEDMNIST):
        return _medmnist([members[name] for name in _MEDMNIST], archive, opened), False
    if len(members) != 1:
        raise RefusedPixelsError(
            f"it holds {len(members)} arrays, one is needed, or train_images, val_images and "
            "test_images",
            "save one array per file",
        )
    (member,) = members.values()
    return _array(_member(member, archive, opened), member.file_size, axis)


def _member(member: ZipInfo, archive: ZipFile, opened: ExitStack) -> BinaryIO:
    if member.file_size > member.compress_size * _DEFLATE_RATIO + 2**10:
        raise RefusedPixelsError("its zip archive tells impossible sizes")
    return cast("BinaryIO", opened.enter_context(archive.open(member)))


def _medmnist(members: list[ZipInfo], archive: ZipFile, opened: ExitStack) -> list[Stack]:
    stacks = []
    for member in members:
        stream = _member(member, archive, opened)
        shape, fortran, dtype = _npy_header(stream)
        if fortran or not (len(shape) == 3 or (len(shape) == 4 and shape[3] == 3)):
            raise RefusedPixelsError(
                "its images have neither the axes (images, height, width) nor a fourth of 3",
                "save one volume per file",
            )
        stacks.append(Stack(stream, stream.tell(), shape, dtype, axis=0))
        _refuse_short(stacks[-1], member.file_size)
    if len({(stack.shape[1:], stack.dtype) for stack in stacks}) > 1:
        raise RefusedPixelsError("its images differ in size or type", "save one array per file")
    return stacks


def _array(stream: BinaryIO, size: int, axis: int) -> tuple[list[Stack], bool]:
    """Return the array in a stream of so many bytes, as axes that are slow to fast."""
    shape, fortran, dtype = _npy_header(stream)
    if len(shape) == 3 and shape[2] in (3, 4):
        if fortran or shape[2] == 4:
            what = "colour in Fortran order" if fortran else "a last axis of 4"
            raise RefusedPixelsError(
                f"it has {what}", "save it as (height, width, 3) in C order"
            )
        shape, axis = (1, *shape), 0
    elif len(shape) == 2:
        shape, axis = (1, *shape), 0
    elif len(shape) != 3:
        raise RefusedPixelsError(
            f"it has {len(shape)} axes, 2 or 3 are read", "save one volume or image per file"
        )
    if fortran:
        shape, axis = shape[::-1], 2 - axis
    stack = Stack(stream, stream.tell(), shape, dtype, axis)
    _refuse_short(stack, size)
    return [stack], fortran


def _refuse_short(stack: Stack, size: int) -> None:
    if stack.start + stack.nbytes > size:
        raise RefusedPixelsError("it is truncated: values are missing")


def _npy_header(stream: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Read shape, whether the first axis is the fastest, and type."""
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        version = np.lib.format.read_magic(stream)
        shape, fortran, dtype = read[version](stream)
    except MemoryError:
        raise
    except Exception:  # numpy parses it as Python source, and fails in as many ways
        raise RefusedPixelsError("its npy header is broken") from None
    if dtype.hasobject:
        raise RefusedPixelsError("it holds Python objects, which are never loaded")
    if any(length < 0 for length in shape):
        raise RefusedPixelsError("its npy header is broken")
    return tuple(int(length) for length in shape), bool(fortran), dtype
