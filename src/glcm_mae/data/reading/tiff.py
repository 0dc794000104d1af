"""TIFF: any depth, gray, colour, palette and inks; its pages are frames."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from glcm_mae.data.reading.frames import choose_frames, refuse_large
from glcm_mae.data.reading.policy import Decoded, ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.raster import ORIENTATION, over_black, turn_upright
from glcm_mae.data.reading.sequences import decode_frames

# tifffile logs what it also raises; without any handler Python would print it
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _INKS, _YCBCR = 0, 1, 2, 3, 5, 6  # TIFF 6.0
_COLOURS = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _INKS: 4, _YCBCR: 3}
_NO_GRAYS = {4: "mask", 8: "CIE L*a*b*", 9: "ICC L*a*b*", 10: "ITU L*a*b*", 32803: "sensor"}
_ASSOCIATED, _UNASSOCIATED = 1, 2  # ExtraSamples: opacity multiplied into the colours or not
_JPEG = (6, 7, 33007, 34892)  # compressions of which RGB comes out
_REDUCED_OR_MASK = 0b101  # NewSubfileType
_SAVE_AS_RGB = "save it as gray or RGB"


def decode_tiff(
    path: str | Path, frames: Sequence[int] | None, policy: ReadingPolicy
) -> Decoded:
    """Decode pages of a TIFF or BigTIFF file.

    Transparent pixels are laid over black, palettes and inks become red, green and
    blue, the orientation is undone. White is that of the stated bits, the integer
    kinds with a sign or more than 16 bits have none.

    Args:
        path: The file.
        frames: Numbers of the pages wanted; None if the file must hold one image.
        policy: Names the window.

    Raises:
        RefusedPixelsError: If the file holds no such pages, too large an image, or one of
            a kind that has no gray levels.
    """
    import tifffile

    with tifffile.TiffFile(path) as file:
        pages = _images(file)
        first = pages[choose_frames(frames, len(pages))[0]]
        kind = _kind(first)

        def decode(number: int) -> npt.NDArray[Any]:
            page = pages[number]
            if _kind(page) != kind:
                raise RefusedPixelsError(
                    "its frames differ in depth or colour", "split it into one file per frame"
                )
            _refuse_damage(page, file.filehandle.size)
            return turn_upright(_values(page), page.tags.valueof(ORIENTATION, 1))

        return decode_frames(
            decode,
            len(pages),
            frames,
            policy,
            full=_full_range(first),
            falling=_photometric(first) == _WHITE_IS_ZERO,
        )


def count_tiff_frames(path: str | Path) -> int:
    """Return the number of images in a TIFF file; reduced ones and masks do not count."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        return len(_images(file))


def _images(file: Any) -> list[Any]:
    pages = list(file.pages)
    images = [page for page in pages if not page.subfiletype & _REDUCED_OR_MASK] or pages
    if not images:
        raise RefusedPixelsError("it holds no image")
    promised = (file.imagej_metadata or {}).get("images", 1)
    if len(images) == 1 < promised:  # ImageJ lists one page of a stack above 4 GB
        reason = f"it is a stack of {promised} images behind one page"
        raise RefusedPixelsError(reason, "save it as BigTIFF or split it")
    return images


def _photometric(page: Any) -> int:
    """Return how samples become colours; libtiff guesses the same if it is not stated."""
    guess = _RGB if page.samplesperpixel in (3, 4) else _BLACK_IS_ZERO
    return int(page.tags.valueof(262, guess))


def _kind(page: Any) -> tuple[Any, ...]:
    """Return what all frames of a file must have in common, or refuse it."""
    refuse_large(page.imagewidth * page.imagelength * page.samplesperpixel)
    photometric = _photometric(page)
    if photometric not in _COLOURS:
        name = _NO_GRAYS.get(photometric, f"number {photometric}")
        raise RefusedPixelsError(f"its colour space ({name}) is not read", _SAVE_AS_RGB)
    if page.dtype is None or page.dtype.kind not in "buif":
        kind = f"{page.bitspersample}-bit" if page.dtype is None else page.dtype
        raise RefusedPixelsError(f"{kind} values are not read", _SAVE_AS_RGB)
    if page.axes not in ("YX", "YXS", "SYX"):
        raise RefusedPixelsError(f"its axes {page.axes} are no image", "save it as pages")
    _refuse_samples(page, photometric)
    return photometric, page.dtype, page.bitspersample, _opacity(page)


def _refuse_samples(page: Any, photometric: int) -> None:
    samples, extra = page.samplesperpixel, page.samplesperpixel - _COLOURS[photometric]
    most = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _PALETTE: 0, _YCBCR: 0}.get(photometric, 9)
    if not 0 <= extra <= most:
        reason = f"{samples} samples per pixel are neither gray nor colour"
        raise RefusedPixelsError(reason, _SAVE_AS_RGB)
    if photometric in (_INKS, _YCBCR) and page.dtype.kind != "u":
        raise RefusedPixelsError(f"{page.dtype} values are no such colours", _SAVE_AS_RGB)
    unknown = page.dtype.kind != "f" and _full_range(page) is None
    if _opacity(page) == _UNASSOCIATED and (unknown or photometric == _WHITE_IS_ZERO):
        raise RefusedPixelsError("transparency has no meaning for its values", _SAVE_AS_RGB)


def _opacity(page: Any) -> int:
    """Return what the first sample beyond the colours is."""
    extra = page.samplesperpixel - _COLOURS[_photometric(page)]
    if extra and not page.extrasamples:  # not told: what most programs take it for
        return _UNASSOCIATED
    return int(page.extrasamples[0]) if extra else 0


def _full_range(page: Any) -> tuple[float, float] | None:
    if _photometric(page) == _PALETTE:
        return 0.0, 255.0
    if page.dtype.kind in "bu" and page.bitspersample <= 16:
        return 0.0, float(2**page.bitspersample - 1)
    return None


def _refuse_damage(page: Any, size: int) -> None:
    ends = np.add(page.dataoffsets, page.databytecounts, dtype=np.float64)
    if len(page.dataoffsets) < np.prod(page.chunked) or not all(page.databytecounts):
        raise RefusedPixelsError("parts of the image are missing")
    if ends.size == 0 or ends.max() > size:
        raise RefusedPixelsError("the file is truncated")


def _values(page: Any) -> npt.NDArray[Any]:
    """Return what a page holds, shape (height, width, 1 or 3)."""
    try:
        values = np.atleast_3d(page.asarray(maxworkers=1))
    except RuntimeError as error:  # of any decoder in imagecodecs
        raise RefusedPixelsError("its compressed pixels are broken") from error
    if page.axes == "SYX":
        values = np.moveaxis(values, 0, -1)
    if values.dtype == np.bool_:
        values = values.view(np.uint8)
    photometric, colours = _photometric(page), _COLOURS[_photometric(page)]
    if photometric == _PALETTE:
        return _looked_up(values[..., 0], page.colormap)
    white = (_full_range(page) or (0, 1))[1]
    opaque = _opacity(page) != _UNASSOCIATED
    samples = values[..., :colours] if opaque else values[..., : colours + 1]
    if photometric == _INKS:
        samples = _on_paper(samples, white)
    if photometric == _YCBCR and int(page.compression) not in _JPEG:
        samples = _from_luma(samples)
    if not opaque:
        samples = over_black(samples, white)
    return samples


def _looked_up(
    indices: npt.NDArray[Any], colours: npt.NDArray[np.uint16] | None
) -> npt.NDArray[np.uint8]:
    if colours is None or indices.max(initial=0) >= colours.shape[1]:
        raise RefusedPixelsError("its palette lacks colours that it uses")
    shift = 8 if colours.max(initial=0) > 255 else 0  # some programs write 8 bits of the 16
    table: npt.NDArray[np.uint8] = (colours.T >> shift).astype(np.uint8)
    pixels: npt.NDArray[np.uint8] = table[indices]
    return pixels


def _on_paper(inks: npt.NDArray[Any], white: float) -> npt.NDArray[np.float32]:
    """Subtract cyan, magenta, yellow and black from white paper; opacity stays behind."""
    left = white - inks[..., :3].astype(np.float32)
    left *= 1 - inks[..., 3:4].astype(np.float32) / np.float32(white)
    return np.concatenate([left, inks[..., 4:]], axis=-1) if inks.shape[-1] > 4 else left


def _from_luma(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Turn luma and chroma into red, green and blue; JPEG needs no help in this."""
    if values.dtype != np.uint8:
        raise RefusedPixelsError("its YCbCr has no 8 bits", _SAVE_AS_RGB)
    image = Image.fromarray(np.ascontiguousarray(values), mode="YCbCr")
    return np.asarray(image.convert("RGB"))
