"""Image files as arrays: any format that is read, by one policy, to ``[0, 1]``."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.data.reading.formats import Format, sniff
from glcm_mae.data.reading.policy import (
    Decoded,
    ReadingPolicy,
    RefusedPixelsError,
    as_gray_levels,
)
from glcm_mae.data.reading.silence import silence
from glcm_mae.errors import InputError

_DEFAULT = ReadingPolicy()
_HERE = (Format.PNG, Format.JPEG, Format.BMP, Format.WEBP)  # decoders that need no child
_VOLUMES = (Format.NIFTI, Format.NPY, Format.NPZ)  # cut along an axis
_BAND = 2**22  # pixels that become gray levels together: their copies are large
_DECODERS = {  # module of this package, function that decodes, function that counts
    **dict.fromkeys(_HERE, ("raster", "decode_raster", "count_raster_frames")),
    Format.TIFF: ("tiff", "decode_tiff", "count_tiff_frames"),
    Format.DICOM: ("dicom", "decode_dicom", "count_dicom_frames"),
    Format.NIFTI: ("volumes", "decode_nifti", "count_nifti_slices"),
    Format.NPY: ("volumes", "decode_numpy", "count_numpy_slices"),
    Format.NPZ: ("volumes", "decode_numpy", "count_numpy_slices"),
}


class UnreadableImageError(InputError):
    """One image file that cannot be used.

    Attributes:
        reason: What is wrong with the file, without name and remedy.
    """

    def __init__(
        self, path: str | Path, reason: str, remedy: str = "repair or remove it"
    ) -> None:
        super().__init__(
            f"{path}: cannot be read as an image ({reason}); "
            f"{remedy}, or pass --data.on_error skip"
        )
        self.reason = reason


def read_image(
    path: str | Path, *, frame: int | None = None, policy: ReadingPolicy = _DEFAULT
) -> npt.NDArray[np.float32]:
    """Read one image; the content of the file decides on its format, not its name.

    The policy tells which values are black and white, and the size. Transparent pixels
    are laid over black, palettes and inks become colours, and the orientation that the
    file states is undone. TIFF, DICOM, NIfTI and NumPy files are decoded in a child
    process with limits.

    Args:
        path: A PNG, JPEG, BMP, WebP, TIFF, DICOM, NIfTI, NPY or NPZ file.
        frame: Which of several frames, pages or slices, counted from 0; None if the file
            must hold one image.
        policy: How values become gray levels; the default makes gray of all bits.

    Returns:
        Pixels in ``[0, 1]``, shape (channels, height, width).

    Raises:
        UnreadableImageError: If the file is missing, empty, broken, of another format or
            too large, holds several frames and none is named, or holds values of which
            the policy does not tell the white.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (3, 2), color=51).save(f"{folder}/dark.png")
        ...     read_image(f"{folder}/dark.png")
        array([[[0.2, 0.2, 0.2],
                [0.2, 0.2, 0.2]]], dtype=float32)
    """
    image: npt.NDArray[np.float32] = _read(path, None if frame is None else [frame], policy)[0]
    return image


def read_frames(
    path: str | Path, frames: Sequence[int], policy: ReadingPolicy = _DEFAULT
) -> npt.NDArray[np.float32]:
    """Read several frames, pages or slices of one file at once.

    Args:
        path: The file.
        frames: Their numbers, counted from 0.
        policy: How values become gray levels: ``"range"`` and ``"percentile"`` are those
            of the whole file.

    Returns:
        Pixels in ``[0, 1]``, shape (frames, channels, height, width).

    Raises:
        UnreadableImageError: As :func:`read_image`.
    """
    return _read(path, [int(number) for number in frames], policy)


def count_frames(path: str | Path, *, axis: int = _DEFAULT.axis) -> int:
    """Return the number of frames, pages or slices that a file holds.

    Args:
        path: The file.
        axis: Axis along which a volume is cut, as in the policy.

    Raises:
        UnreadableImageError: If its format is not read or its header is broken.
    """
    with _told(path):
        if sniff(path) in _HERE:
            return count_here(path, axis)
        from glcm_mae.data.reading.sandbox import in_child

        return int(in_child("count", path, axis=axis))


def _read(
    path: str | Path, frames: list[int] | None, policy: ReadingPolicy
) -> npt.NDArray[np.float32]:
    with _told(path):
        if sniff(path) in _HERE:
            return read_here(path, frames, policy)
        from glcm_mae.data.reading.sandbox import in_child

        pixels: npt.NDArray[np.float32] = in_child("decode", path, frames=frames, policy=policy)
        return pixels


def read_here(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> npt.NDArray[np.float32]:
    """Decode frames, and bring them to gray levels and size, in this process.

    Args:
        path: The file.
        frames: Numbers of the frames wanted; None if the file must hold one image.
        policy: How values become gray levels.

    Returns:
        Pixels in ``[0, 1]``, shape (frames, channels, height, width).

    Raises:
        RefusedPixelsError: If the file is not to be used, for whatever reason.
    """
    decoded = decode_here(path, frames, policy)
    count, height, width, samples = decoded.values.shape
    alike = replace(policy, channels=min(samples, policy.channels))
    images = np.empty((count, policy.channels, *(policy.size or (height, width))), np.float32)
    for image, values in zip(images, decoded.values, strict=True):
        planes = image[: alike.channels]
        if policy.size is None:
            _fill(planes, decoded._replace(values=values), alike)
        else:
            levels = np.empty((alike.channels, height, width), np.float32)
            _fill(levels, decoded._replace(values=values), alike)
            planes[:] = fit_image(levels, policy.size, policy.fit)
        image[alike.channels :] = planes[:1]
    return images


def _fill(planes: npt.NDArray[np.float32], frame: Decoded, policy: ReadingPolicy) -> None:
    """Write the gray levels of a frame, band by band: what is made on the way is large."""
    rows = max(1, _BAND // planes.shape[2])
    for start in range(0, planes.shape[1], rows):
        band = frame._replace(values=frame.values[None, start : start + rows])
        planes[:, start : start + rows] = as_gray_levels(band, policy)[0]


def decode_here(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode frames in this process: what a child does for formats that need one.

    Args:
        path: The file.
        frames: Numbers of the frames wanted; None if the file must hold one image.
        policy: Names the window; size and channels are not applied yet.

    Raises:
        RefusedPixelsError: If the file is not to be used, for whatever reason.
    """
    decode = _function(path, 1)
    with _refusing():
        decoded: Decoded = decode(Path(path), frames, policy)
    return decoded


def count_here(path: str | Path, axis: int = _DEFAULT.axis) -> int:
    """Count frames in this process, as :func:`decode_here` decodes them.

    Args:
        path: The file.
        axis: Axis along which a volume is cut.

    Raises:
        RefusedPixelsError: If the file is not to be used, for whatever reason.
    """
    count = _function(path, 2)
    with _refusing():
        along = (axis,) if sniff(path) in _VOLUMES else ()
        return int(count(Path(path), *along))


def _function(path: str | Path, place: int) -> Callable[..., Any]:
    with _refusing():
        names = _DECODERS[sniff(path)]
    module = import_module(f"glcm_mae.data.reading.{names[0]}")
    function: Callable[..., Any] = getattr(module, names[place])
    return function


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn whatever a decoder makes of a broken file into a refusal."""
    try:
        with silence:
            yield
    except (RefusedPixelsError, InputError, ImportError, MemoryError):
        raise
    except Exception as error:  # decoders meet broken files with any kind of error
        raise RefusedPixelsError(_reason(error)) from error


@contextmanager
def _told(path: str | Path) -> Iterator[None]:
    """Turn a refusal into an error that names the file."""
    try:
        yield
    except RefusedPixelsError as error:
        raise UnreadableImageError(path, error.reason, error.remedy) from error
    except MemoryError as error:
        reason = "decoding it takes more memory than there is"
        raise UnreadableImageError(path, reason, "scale it down or remove it") from error
    except OSError as error:
        raise UnreadableImageError(path, _reason(error)) from error


def _reason(error: Exception) -> str:
    from glcm_mae.data.reading.child import one_line

    return one_line(error)
