"""Image files as arrays: read any common depth to ``[0, 1]``, fit it to one size."""

import io
import logging
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import Image, UnidentifiedImageError

from glcm_mae.errors import InputError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601, section 2.5.1
_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_UNASSOCIATED_ALPHA = 2  # TIFF 6.0, ExtraSamples; 1 is alpha that is multiplied in already
_REPAIR = "repair or remove it"

# tifffile logs what it also raises; without any handler Python would print it
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class UnreadableImageError(InputError):
    """One image file that cannot be used.

    Attributes:
        reason: What is wrong with the file, without name and remedy.
    """

    def __init__(self, path: str | Path, reason: str, remedy: str = _REPAIR) -> None:
        super().__init__(
            f"{path}: cannot be read as an image ({reason}); "
            f"{remedy}, or pass --data.on_error skip"
        )
        self.reason = reason


class _RefusedPixelsError(Exception):
    """Why the content of a file is not used, and the remedy."""


class _QuietDecoding:
    """Silence decoders, and make decompression bombs errors, in all threads at once.

    ``warnings.catch_warnings`` restores the wrong filters when threads overlap:
    here the first to enter sets them and the last to leave restores them.
    """

    def __init__(self) -> None:
        self._lock, self._depth = threading.Lock(), 0

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._filters.__exit__(None, None, None)


_quiet_decoding = _QuietDecoding()


def read_image(path: str | Path, *, channels: int = 1) -> npt.NDArray[np.float32]:
    """Read one PNG, JPEG, TIFF or BMP file; its content decides, not its suffix.

    Zero is black and one is the white of the file's depth: 255 at 8 bits, 65535 at
    16, the value itself for floating-point TIFF. Gray is made from colour by the
    luma of ITU-R BT.601 [1]_, colour from gray by repetition; transparent pixels
    are laid over black; the EXIF orientation is applied. 16-bit colour keeps its
    depth from TIFF, but only its high 8 bits from PNG.

    Args:
        path: The image file.
        channels: 1 for gray, 3 for red, green and blue.

    Returns:
        Pixels in ``[0, 1]``, shape (channels, height, width).

    Raises:
        InputError: If ``channels`` is neither 1 nor 3.
        UnreadableImageError: If the file is missing, empty, broken, of another format,
            a decompression bomb, or holds several frames or values without a known
            white: floats outside ``[0, 1]``, signed or 32-bit integers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (3, 2), color=51).save(f"{folder}/dark.png")
        ...     read_image(f"{folder}/dark.png")
        array([[[0.2, 0.2, 0.2],
                [0.2, 0.2, 0.2]]], dtype=float32)

    References:
        .. [1] Recommendation ITU-R BT.601-7, section 2.5.1
    """
    if channels not in (1, 3):
        raise InputError(f"channels: must be 1 (gray) or 3 (colour), got {channels}")
    try:
        with _quiet_decoding:
            pixels = _decode(Path(path).read_bytes())
    except _RefusedPixelsError as error:
        raise UnreadableImageError(path, *error.args) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        reason = f"more than {Image.MAX_IMAGE_PIXELS} pixels"
        raise UnreadableImageError(path, reason, "scale it down or remove it") from error
    except Exception as error:  # decoders meet broken files with any kind of error
        raise UnreadableImageError(path, _reason(error)) from error
    return _as_channels(pixels, channels)


def _reason(error: Exception) -> str:
    unknown = isinstance(error, UnidentifiedImageError) and "no PNG, JPEG, TIFF or BMP inside"
    text = unknown or getattr(error, "strerror", None) or str(error)
    return " ".join(text.split()).strip("'\".") or type(error).__name__


def _as_channels(pixels: npt.NDArray[np.float32], channels: int) -> npt.NDArray[np.float32]:
    if pixels.shape[-1] > channels:
        pixels = np.matmul(pixels, _LUMA)[..., None]
    planes = np.moveaxis(pixels, -1, 0)  # (height, width, c) -> (c, height, width)
    planes = np.broadcast_to(planes, (channels, *planes.shape[1:]))
    return np.ascontiguousarray(planes).clip(0, 1)


def _decode(data: bytes) -> npt.NDArray[np.float32]:
    """Decode the bytes of a file to (height, width, 1 or 3) in ``[0, 1]``."""
    if not data:
        raise _RefusedPixelsError("the file is empty", _REPAIR)
    if data.startswith(_TIFF_STARTS):
        return _decode_tiff(data)
    return _decode_with_pillow(data, "PNG", "JPEG", "BMP")


def _decode_with_pillow(
    data: bytes, *formats: str, white: int = 65535
) -> npt.NDArray[np.float32]:
    with Image.open(io.BytesIO(data), formats=formats) as image:
        _refuse_frames(getattr(image, "n_frames", 1))
        image.load()
        return _upright(_pillow_pixels(image, white), _exif_orientation(image))


def _pillow_pixels(image: Image.Image, white: int) -> npt.NDArray[np.float32]:
    """Scale a loaded image to (height, width, 1 or 3); ``white`` counts at 16 bits."""
    if image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)
        values[values == image.info.get("transparency", -1)] = 0
        return (values / np.float32(white))[..., None]
    if image.has_transparency_data:
        rgba = _eight_bits(image, "RGBA")
        return rgba[..., :3] * rgba[..., 3:]
    if image.mode in ("1", "L"):
        return _eight_bits(image, "L")[..., None]
    if image.mode in ("P", "RGB", "RGBX", "CMYK", "YCbCr"):
        return _eight_bits(image, "RGB")
    reason = f"pixels of the kind {image.mode} have no known white"
    raise _RefusedPixelsError(reason, "save it as 8-bit RGB")


def _eight_bits(image: Image.Image, mode: str) -> npt.NDArray[np.float32]:
    return np.asarray(image.convert(mode)).astype(np.float32) / np.float32(255)


def _exif_orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken metadata does not make the pixels unreadable
        return 1


def _upright(pixels: npt.NDArray[np.float32], orientation: int) -> npt.NDArray[np.float32]:
    """Undo the turn that EXIF tells: 5 to 8 swap rows and columns, then come mirrors."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _refuse_frames(frames: int) -> None:
    if frames != 1:
        reason = f"it holds {frames} frames, one is needed"
        raise _RefusedPixelsError(reason, "split it into one file per frame")


def _decode_tiff(data: bytes) -> npt.NDArray[np.float32]:
    """Let Pillow decode what it decodes without loss, and tifffile the deeper rest."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        _refuse_frames(len(file.pages))
        page = file.pages.first
        ends = np.add(page.dataoffsets, page.databytecounts)
        if ends.size == 0 or ends.max() > len(data):
            raise _RefusedPixelsError("the file is truncated", _REPAIR)
        if page.dtype in (np.bool_, np.uint8):
            return _decode_with_pillow(data, "TIFF")
        dark_zero = page.photometric == tifffile.PHOTOMETRIC.MINISBLACK
        if page.dtype == np.uint16 and page.samplesperpixel == 1 and dark_zero:
            return _decode_with_pillow(data, "TIFF", white=2**page.bitspersample - 1)
        return _deep_pixels(page)


def _deep_pixels(page: Any) -> npt.NDArray[np.float32]:
    """Decode a 16-bit or floating-point TIFF page to (height, width, 1 or 3)."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit and page.imagewidth * page.imagelength > limit:
        raise Image.DecompressionBombError
    colours = {0: 1, 1: 1, 2: 3}.get(page.photometric, 0)  # white is 0, black is 0, RGB
    if colours == 0 or page.axes not in ("YX", "YXS", "SYX"):
        kind = f"{page.dtype} pixels of colour space {page.photometric}, axes {page.axes}"
        raise _RefusedPixelsError(f"{kind} are not supported", "save it as gray or RGB")
    values = np.atleast_3d(_unit_range(page.asarray()))  # (height, width, colours + extra)
    values = np.moveaxis(values, 0, -1) if page.axes == "SYX" else values
    pixels = values[..., :colours]
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = 1 - pixels
    if page.extrasamples and page.extrasamples[0] == _UNASSOCIATED_ALPHA:
        pixels = pixels * values[..., colours, None]
    return _upright(pixels, page.tags.valueof(_ORIENTATION, 1))


def _unit_range(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    if values.dtype == np.uint16:
        return values.astype(np.float32) / np.float32(65535)
    if values.dtype.kind != "f":
        reason = f"{values.dtype} values have no known white"
        raise _RefusedPixelsError(reason, "save it with 8 or 16 unsigned bits")
    low, high = float(values.min()), float(values.max())  # NaN comes through
    if not (low >= 0 and high <= 1):
        reason = (
            f"float values must be finite and in [0, 1], they reach from {low:g} to {high:g}"
        )
        raise _RefusedPixelsError(reason, "rescale it to [0, 1]")
    return values.astype(np.float32)


def fit_image(
    image: npt.NDArray[np.float32], size: int | tuple[int, int], how: str
) -> npt.NDArray[np.float32]:
    """Scale an image to a size without changing its aspect ratio.

    ``crop`` covers the target and loses what stands over on both sides; ``pad``
    keeps the whole image and fills the rest with black. Resampling is Lanczos,
    widened when shrinking so that nothing aliases.

    Args:
        image: Pixels in ``[0, 1]``, shape (channels, height, width).
        size: Height and width wanted, in pixels; one number means a square.
        how: ``"crop"`` or ``"pad"``.

    Returns:
        Pixels in ``[0, 1]``, shape (channels, *size).

    Raises:
        InputError: If ``size`` is below 1 or ``how`` is unknown.

    Example:
        >>> wide = np.ones((1, 2, 4), dtype=np.float32)
        >>> fit_image(wide, 4, "pad")[0, :, 0]
        array([0., 1., 1., 0.], dtype=float32)
        >>> fit_image(wide, 4, "crop").min()
        np.float32(1.0)
    """
    if how not in ("crop", "pad"):
        raise InputError(f"fit: must be 'crop' or 'pad', got {how!r}")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise InputError(f"size: must be at least 1 pixel, got {size}")
    rows, cols = image.shape[1:]
    if how == "crop":
        scale = max(height / rows, width / cols)
        inner = (height, width)
        top, left = (rows - height / scale) / 2, (cols - width / scale) / 2
        box = (max(left, 0.0), max(top, 0.0), min(cols - left, cols), min(rows - top, rows))
    else:
        scale = min(height / rows, width / cols)
        inner = (max(1, round(rows * scale)), max(1, round(cols * scale)))
        box = (0.0, 0.0, cols, rows)
    fitted = np.zeros((len(image), height, width), dtype=np.float32)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    for target, plane in zip(fitted, image, strict=True):
        scaled = Image.fromarray(plane).resize(inner[::-1], Image.Resampling.LANCZOS, box=box)
        target[top : top + inner[0], left : left + inner[1]] = np.asarray(scaled)
    return fitted.clip(0, 1)
