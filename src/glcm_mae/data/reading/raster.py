"""PNG, JPEG, BMP and WebP: pictures as cameras, screens and archives write them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from glcm_mae.data.reading.frames import refuse_large
from glcm_mae.data.reading.policy import (
    VALUE_LIMIT,
    Decoded,
    ReadingPolicy,
    RefusedPixelsError,
)
from glcm_mae.data.reading.sequences import decode_frames

ORIENTATION = 0x0112
"""The EXIF and TIFF tag that tells how an image is turned."""

_BROKEN = "the file is truncated or broken"
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP")
_MODES = {  # what Pillow holds: what is made of it
    "P": "RGB",
    "PA": "RGBA",
    "RGBX": "RGB",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "La": "LA",
    "RGBa": "RGBA",
}


def decode_raster(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode a PNG, JPEG, BMP or WebP file.

    Transparent pixels are laid over black, palettes and inks become red, green and
    blue, the EXIF orientation is undone. Frames of an animation are what a browser
    shows. Of a JPEG with several images (MPO), the first counts.

    Args:
        path: The file.
        frames: Numbers of the frames wanted; None if the file must hold one image.
        policy: Names the window.

    Raises:
        RefusedPixelsError: If the file holds no such frames, too large an image, or
            nothing that can be scaled.
    """
    with _opened(path) as image:
        width, height = image.size
        refuse_large(width * height * len(image.getbands()))
        sixteen = image.format == "PNG" and _sixteen_bits(path)
        deep = sixteen and not image.mode.startswith("I;16")
        decode = _deep_decoder(image, path) if deep else _decoder(image)
        white = 65535 if sixteen else 1 if image.mode == "1" else 255
        count = _frame_count(image, path)
        return decode_frames(decode, count, frames, policy, full=(0, white))


def count_raster_frames(path: str | Path) -> int:
    """Return the number of frames in a PNG, JPEG, BMP or WebP file.

    Raises:
        RefusedPixelsError: If the file is broken.
    """
    with _opened(path) as image:
        return _frame_count(image, path)


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open a file, and turn what Pillow says of bombs and damage into refusals."""
    try:
        with Image.open(path, formats=_FORMATS) as image:
            yield image
    except Image.DecompressionBombError:  # Pillow looks at the size before we can
        refuse_large(VALUE_LIMIT + 1)
        raise
    except OSError as error:
        raise RefusedPixelsError(_plain(error)) from error


def _plain(error: OSError) -> str:
    """Say what Pillow means, without the path that it repeats."""
    if isinstance(error, UnidentifiedImageError):
        return "its header is broken, or of a variant that is not read"
    if "truncated" in str(error).lower():
        return "the file is truncated"
    if "decoder object" in str(error):  # what libwebp says of both
        return _BROKEN
    return error.strerror or str(error)


def _frame_count(image: Image.Image, path: str | Path) -> int:
    if image.format not in ("PNG", "WEBP"):
        return 1
    count = int(getattr(image, "n_frames", 1))
    if image.format == "PNG" and count > 1 and count > 1 + _chunks(Path(path), b"fcTL"):
        raise RefusedPixelsError(f"it holds fewer frames than the {count} it promises")
    return count


def _chunks(path: Path, kind: bytes) -> int:
    """Count the chunks of a kind in a PNG file without reading what is in them."""
    found = 0
    with path.open("rb") as file:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            found += head[4:] == kind
            file.seek(int.from_bytes(head[:4], "big") + 4, 1)
    return found


def _sixteen_bits(path: str | Path) -> bool:
    with Path(path).open("rb") as file:
        return file.read(25)[24:] == b"\x10"


def _decoder(image: Image.Image) -> Callable[[int], npt.NDArray[Any]]:
    def decode(number: int) -> npt.NDArray[Any]:
        if number or getattr(image, "is_animated", False):
            image.seek(number)
        image.load()
        return turn_upright(_values(image), _orientation(image))

    return decode


def _values(image: Image.Image) -> npt.NDArray[Any]:
    """Return what a loaded image holds, shape (height, width, 1 or 3)."""
    if image.mode == "1" and not image.has_transparency_data:
        return np.asarray(image).view(np.uint8)[..., None]
    if image.mode.startswith("I;16"):
        deep = np.array(image)
        deep[deep == image.info.get("transparency", -1)] = 0
        return deep[..., None]
    if image.has_transparency_data:
        gray = image.mode in ("1", "L", "LA", "La")
        return over_black(np.asarray(image.convert("LA" if gray else "RGBA")), 255)
    mode = _MODES.get(image.mode, image.mode)
    if mode not in ("L", "RGB"):
        raise RefusedPixelsError(f"pixels of the kind {mode} are not read", "save it as RGB")
    values = np.asarray(image if mode == image.mode else image.convert(mode))
    return values[..., None] if mode == "L" else values


def _deep_decoder(image: Image.Image, path: str | Path) -> Callable[[int], npt.NDArray[Any]]:
    """Decode 16 bits, of which Pillow keeps 8 where there are several samples."""
    if getattr(image, "is_animated", False):
        raise RefusedPixelsError("it is an animation with 16 bits", "save its frames apart")

    def decode(_: int) -> npt.NDArray[Any]:
        import imagecodecs

        try:
            values = np.atleast_3d(imagecodecs.png_decode(Path(path).read_bytes()))
        except imagecodecs.PngError as error:
            raise RefusedPixelsError(_BROKEN) from error
        if values.shape[-1] in (2, 4):
            values = over_black(values, 65535)
        return turn_upright(values, _orientation(image))

    return decode


def over_black(values: npt.NDArray[Any], opaque: float) -> npt.NDArray[np.float32]:
    """Lay pixels over black, by the last of their samples.

    Args:
        values: Shape (height, width, samples); the last sample is the opacity.
        opaque: Value of the last sample where nothing shines through.

    Example:
        >>> over_black(np.array([[[200, 51]]], dtype=np.uint8), 255).tolist()
        [[[40.0]]]
    """
    opacity = values[..., -1:].astype(np.float32)
    opacity /= np.float32(opaque)
    return np.asarray(values[..., :-1] * opacity, dtype=np.float32)


def turn_upright(values: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Undo the turn that EXIF and TIFF tell: 5 to 8 swap rows and columns, then mirrors.

    Args:
        values: Shape (height, width, ...).
        orientation: 1 to 8; anything else counts as 1.

    Example:
        >>> turn_upright(np.array([[1, 2, 3]]), 6).ravel().tolist()
        [1, 2, 3]
        >>> turn_upright(np.array([[1, 2, 3]]), 8).ravel().tolist()
        [3, 2, 1]
    """
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return values


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata does not make the pixels unreadable
        return 1
