"""NIfTI volumes, cut into slices that are turned as a radiologist looks at them."""

import gzip
import os
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np

from glcm_mae.data.reading.arrays import count_numpy_slices, decode_numpy
from glcm_mae.data.reading.frames import choose_frames
from glcm_mae.data.reading.policy import Decoded, ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.silence import silence
from glcm_mae.data.reading.stacks import Scale, Stack, decoded, measuring

__all__ = ["count_nifti_slices", "count_numpy_slices", "decode_nifti", "decode_numpy"]

_GZIP = b"\x1f\x8b"
_GZIP_RATIO = 1032  # most bytes that one byte of deflate can become
_HEADER_SIZES = (348, 540)  # NIfTI-1 and NIfTI-2


@dataclass(frozen=True)
class _Volume:
    """A NIfTI file: its values, and how its axes lie in the body.

    Attributes:
        stack: The values; its axes are those of the file in reverse, as the file's first
            axis is the fastest.
        flipped: For each canonical axis, whether the file runs from its far end.
        transposed: Whether slices of the stack have the lower canonical axis as rows.
        axis: The canonical axis that is cut.
        scale: From stored values to units.
        stated: Black and white in units, if the file states them.
    """

    stack: Stack
    flipped: tuple[bool, bool, bool]
    transposed: bool
    axis: int
    scale: Scale
    stated: tuple[float, float] | None


def count_nifti_slices(path: str | Path, axis: int = 2) -> int:
    """Return how many slices a NIfTI volume has along an axis; see :func:`decode_nifti`.

    Raises:
        RefusedPixelsError: If it is broken or not supported.
    """
    with _open_nifti(path, axis) as volume:
        return volume.stack.shape[volume.stack.axis]


def decode_nifti(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode slices of a NIfTI-1 or NIfTI-2 volume [1]_, also compressed by gzip.

    Slope and intercept turn stored values into units. The window ``"file"`` is what
    cal_min and cal_max state, if cal_max is greater.

    Convention:
        Axes are those of the body, whichever way the file stores them: axis 0 runs from
        left to right (sagittal slices), axis 1 from back to front (coronal), axis 2 from
        the feet to the head (axial), by the closest axis of the file's affine; frame 0 is
        leftmost, rearmost or lowest. Slices are turned by radiological convention: in
        axial ones the front is up and the patient's right on the left; in coronal ones
        the head is up and the right on the left; in sagittal ones the head is up and the
        front on the left. Nothing is resampled. A 2-D image, or a volume of one slice, is
        one frame whatever the axis.

    Args:
        path: The file.
        frames: Slice numbers; None means that there must be exactly one.
        policy: Names the axis and the window.

    Returns:
        The slices, in the order asked for.

    Raises:
        RefusedPixelsError: If the file is broken, truncated, has a time axis, or is of a
            type without gray levels.

    References:
        .. [1] https://nifti.nimh.nih.gov/nifti-1
    """
    with _open_nifti(path, policy.axis) as volume:
        stack, scale, stated = volume.stack, volume.scale, volume.stated
        numbers = choose_frames(frames, stack.shape[stack.axis])
        last = stack.shape[stack.axis] - 1
        flipped = volume.flipped[volume.axis]
        spread = measuring(policy, stack.dtype, scale, stated)
        slices = stack.read([last - n if flipped else n for n in numbers], spread)
        result = decoded(slices, policy, spread, scale, stated)
    return result._replace(values=_as_seen(result.values, volume))


def _as_seen(values: Any, volume: _Volume) -> Any:
    """Turn slices (n, a, b, samples) so that the higher canonical axis runs up, both back."""
    if volume.transposed:
        values = values.swapaxes(1, 2)
    across, up = (axis for axis in range(3) if axis != volume.axis)
    down = 1 if volume.flipped[up] else -1
    right = 1 if volume.flipped[across] else -1
    return values[:, ::down, ::right]


@contextmanager
def _open_nifti(path: str | Path, axis: int) -> Iterator[_Volume]:
    try:
        import nibabel  # noqa: F401
    except ImportError:
        raise RefusedPixelsError(
            "NIfTI files need nibabel", "pip install 'glcm-mae[nifti]'"
        ) from None
    with silence:
        try:
            with Path(path).open("rb") as file, _plain(file) as stream:
                yield _volume(stream, os.fstat(file.fileno()).st_size, axis)
        except (RefusedPixelsError, MemoryError):
            raise
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise RefusedPixelsError("its gzip content is broken or truncated") from None
        except OSError as error:
            raise RefusedPixelsError(error.strerror or "it cannot be read") from None
        except Exception:  # nibabel's texts quote the header
            raise RefusedPixelsError("its NIfTI header is broken") from None


@contextmanager
def _plain(file: BinaryIO) -> Iterator[BinaryIO]:
    """Yield the file inflated, if it is compressed."""
    start = file.read(2)
    file.seek(0)
    if not start:
        raise RefusedPixelsError("the file is empty")
    if start != _GZIP:
        yield file
        return
    with gzip.GzipFile(fileobj=file) as inflated:
        yield cast("BinaryIO", inflated)


def _volume(stream: BinaryIO, file_size: int, axis: int) -> _Volume:
    header = _header(stream)
    shape = _three_axes(header.get_data_shape())
    dtype = header.get_data_dtype()
    coloured = dtype.names == ("R", "G", "B")
    order, flipped = _orientation(header)
    cut = order[shape.index(1)] if 1 in shape else axis  # one slice, whatever the axis
    stack = Stack(
        stream=stream,
        start=int(header["vox_offset"]),
        shape=(*shape[::-1], 3) if coloured else shape[::-1],
        dtype=np.dtype(np.uint8) if coloured else dtype,
        axis=2 - order.index(cut),
    )
    ratio = _GZIP_RATIO if isinstance(stream, gzip.GzipFile) else 1
    if stack.start + stack.nbytes > file_size * ratio:
        raise RefusedPixelsError("it is truncated: values are missing")
    left = [order[i] for i in (2, 1, 0) if order[i] != cut]  # axes of a slice of the stack
    scale, stated = _units(header)
    return _Volume(stack, flipped, left[0] < left[1], cut, scale, stated)


def _header(stream: BinaryIO) -> Any:
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    start = stream.read(4)
    stream.seek(0)
    sizes = {int.from_bytes(start, "little"), int.from_bytes(start, "big")}
    if not sizes & set(_HEADER_SIZES):
        raise RefusedPixelsError("it has no NIfTI header")
    kind: Any = Nifti1Header if 348 in sizes else Nifti2Header
    header = kind.from_fileobj(stream, check=True)
    if bytes(header["magic"])[:2] == b"ni":
        raise RefusedPixelsError(
            "its values are in another file (.img)", "convert both to one .nii file"
        )
    return header


def _three_axes(shape: Sequence[int]) -> tuple[int, int, int]:
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3:
        raise RefusedPixelsError(
            f"it has {len(shape)} axes, up to 3 are read",
            "split it into one volume per file",
        )
    if not shape or min(shape) < 1:
        raise RefusedPixelsError("it holds no pixels")
    height, width, depth = (*(int(length) for length in shape), 1, 1)[:3]
    return height, width, depth


def _orientation(header: Any) -> tuple[tuple[int, ...], tuple[bool, bool, bool]]:
    """Return the canonical axis of each axis of the file, and which of those run backward."""
    from nibabel import orientations

    closest: Any = orientations.io_orientation
    found = closest(header.get_best_affine())
    if not np.isfinite(found).all():
        raise RefusedPixelsError("its affine has no inverse", "repair its qform or sform")
    order = tuple(int(axis) for axis in found[:, 0])
    left, front, top = (bool(found[order.index(axis), 1] < 0) for axis in range(3))
    return order, (left, front, top)


def _units(header: Any) -> tuple[Scale, tuple[float, float] | None]:
    slope, intercept = header.get_slope_inter()  # None where the file says to ignore them
    scale = Scale() if slope is None else Scale(float(slope), float(intercept or 0.0))
    low, high = float(header["cal_min"]), float(header["cal_max"])
    stated = (low, high) if np.isfinite([low, high]).all() and high > low else None
    return scale, stated
