"""Gray levels from gray values, as IBSI defines them: so many bins, or bins so wide.

Convention:
    Levels are counted from 0, as everywhere here; IBSI counts them from 1. A bin holds
    its lower edge, and the last one its upper edge too. Where the edges follow from the
    pixels, a value within its own rounding of an edge counts as on it: so an 8-bit image
    that was divided by 255 gets the levels that its integers would.

References:
    Zwanenburg et al., 2016, arXiv:1612.07003, section 2.7; the four-letter codes are
    its own.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Int64, Real, Shaped
from torch import Tensor

from glcm_mae.texture import requirements

Pixels = npt.NDArray[Any]

MOST_LEVELS = 4096
"""Levels beyond which a table of all pairs would fill the memory."""


class EmptyRegionError(ValueError):
    """The mask leaves nothing to measure."""


class Bins(NamedTuple):
    """How a value becomes a level: ``floor((x - origin) * factor / span + tolerance)``.

    The arithmetic is in the type of these numbers.

    Attributes:
        origin: Lower edge of the first bin.
        factor: Number of bins on ``span``.
        span: Width of ``factor`` bins.
        tolerance: Share of a bin by which a value may miss an edge.
        lowest: Value below which a pixel is refused.
        highest: Value above which a pixel is refused.
        levels: Number of levels; what is above the last one is counted to it.
    """

    origin: Any
    factor: Any
    span: Any
    tolerance: Any
    lowest: Any
    highest: Any
    levels: int


def fixed_bin_number(
    image: Real[Tensor, "*axes"],
    levels: int,
    *,
    mask: Shaped[Tensor, "*axes"] | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Int64[Tensor, "*axes"]:
    """Divide a range of gray values into so many bins of one width. IBSI K15C.

    ``floor(levels * (x - low) / (high - low))``, and ``levels - 1`` for ``high``. Unless
    ``low`` and ``high`` are given, they are the least and the largest value in the mask,
    as IBSI has it; ``low=0.0, high=1.0`` gives the levels of :func:`hard_membership`.

    Args:
        image: One image or volume, of any range.
        levels: Number of gray levels, at least 2.
        mask: Pixels that count are not 0 here; without it, all count.
        low: Lower end of the range.
        high: Upper end of the range.

    Returns:
        Levels from 0 to ``levels - 1``, and -1 outside the mask. Where all values are
        one, all levels are 0.

    Raises:
        ValueError: If the image holds NaN or infinity or leaves a range that was given,
            if the mask is empty or of another shape, if only one end of the range is
            given or both are in the wrong order, or if ``levels`` is not from 2 to 4096.

    Example:
        >>> fixed_bin_number(torch.tensor([[10, 11, 14, 18]]), 4)
        tensor([[0, 0, 2, 3]])
    """
    require_levels(levels)
    pixels, inside = as_arrays(image, mask)
    bins = number_bins(pixels, inside, levels, low=low, high=high)
    return _as_levels(pixels, inside, bins, image.shape)


def fixed_bin_width(
    image: Real[Tensor, "*axes"],
    width: float,
    *,
    origin: float | None = None,
    mask: Shaped[Tensor, "*axes"] | None = None,
) -> Int64[Tensor, "*axes"]:
    """Divide the gray values into bins of a given width. IBSI Q3RU.

    ``floor((x - origin) / width)``. Unless ``origin`` is given, it is the least value in
    the mask; IBSI advises a fixed one, so that a level means the same in every image.

    Args:
        image: One image or volume, of any range.
        width: Width of a bin, positive, in the unit of the image.
        origin: Lower edge of the first bin.
        mask: Pixels that count are not 0 here; without it, all count.

    Returns:
        Levels from 0, and -1 outside the mask. Where all values are the origin, all
        levels are 0.

    Raises:
        ValueError: If the image holds NaN or infinity or a value below the origin, if
            the mask is empty or of another shape, if ``width`` is not positive, or if it
            is so small that there would be more than 4096 levels.

    Example:
        >>> fixed_bin_width(torch.tensor([[10, 11, 14, 18]]), 4.0)
        tensor([[0, 0, 1, 2]])
    """
    pixels, inside = as_arrays(image, mask)
    bins = width_bins(pixels, inside, width, origin=origin)
    return _as_levels(pixels, inside, bins, image.shape)


def unit_bins(pixels: Pixels, inside: Pixels, levels: int) -> Bins:
    """Return the bins of :func:`hard_membership`: equal parts of ``[0, 1]``, or integers.

    Args:
        pixels: Floats in ``[0, 1]``, or integers from 0 to ``levels - 1``.
        inside: Whether a pixel counts.
        levels: Number of gray levels.

    Raises:
        ValueError: If no pixel counts, or one that is an integer is outside its range;
            floats are looked at while they are placed.
    """
    if pixels.dtype.kind == "f":
        _require_region(inside)
        kind = pixels.dtype.type
        return Bins(kind(0), kind(levels), kind(1), kind(0), kind(0), kind(1), levels)
    low, high = _extremes(pixels, inside)
    if low < 0 or high >= levels:
        stray = low if low < 0 else high
        raise ValueError(
            f"image must hold gray levels from 0 to {levels - 1}, got {stray}; "
            "raise levels, or pass floats in [0, 1] to have them binned"
        )
    return Bins(0.0, 1.0, 1.0, 0.0, -math.inf, math.inf, levels)


def refuse_stray(pixels: Pixels, inside: Pixels) -> None:
    """Refuse an image that is known to hold NaN, or values outside ``[0, 1]``."""
    low, high = _extremes(pixels, inside)
    stray = low if low < 0 else high
    raise ValueError(f"image must lie in [0, 1], got {stray:g}; clamp or rescale it first")


def number_bins(
    pixels: Pixels,
    inside: Pixels,
    levels: int,
    *,
    low: float | None = None,
    high: float | None = None,
) -> Bins:
    """Return the bins of :func:`fixed_bin_number`.

    Args:
        pixels: Gray values.
        inside: Whether a pixel counts.
        levels: Number of gray levels.
        low: Lower end of the range; the least value unless given.
        high: Upper end of the range; the largest value unless given.

    Raises:
        ValueError: If a value or the range is bad.
    """
    least, largest = _extremes(pixels, inside)
    if low is None and high is None:
        span = float(largest) - float(least)
        width = span / levels
        tolerance = _rounding(pixels.dtype, least, largest, width)
        return Bins(
            float(least), float(levels), span or 1.0, tolerance, -math.inf, math.inf, levels
        )
    if low is None or high is None:
        raise ValueError(
            f"low and high must be given together or not at all, got low={low} and high={high}"
        )
    if not -math.inf < low < high < math.inf:
        raise ValueError(f"low must be below high, and both finite, got {low:g} and {high:g}")
    if least < low or largest > high:
        stray = least if least < low else largest
        raise ValueError(
            f"image must lie in [{low:g}, {high:g}], got {stray:g}; "
            "clamp it first, or leave the pixel out of the mask"
        )
    kind = pixels.dtype.type if pixels.dtype.kind == "f" else np.float64
    return Bins(
        kind(low),
        kind(levels),
        kind(high - low),
        kind(0),
        kind(-math.inf),
        kind(math.inf),
        levels,
    )


def width_bins(
    pixels: Pixels, inside: Pixels, width: float, *, origin: float | None = None
) -> Bins:
    """Return the bins of :func:`fixed_bin_width`.

    Args:
        pixels: Gray values.
        inside: Whether a pixel counts.
        width: Width of a bin.
        origin: Lower edge of the first bin; the least value unless given.

    Raises:
        ValueError: If a value, the width or the origin is bad.
    """
    if not 0 < width < math.inf:
        raise ValueError(f"width must be positive and finite, got {width:g}")
    least, largest = _extremes(pixels, inside)
    start = float(least) if origin is None else float(origin)
    if not start <= least:
        raise ValueError(
            f"image must not lie below origin {start:g}, got {least:g}; lower the origin, "
            "or leave the pixel out of the mask"
        )
    tolerance = _rounding(pixels.dtype, least, largest, width)
    levels = math.floor((float(largest) - start) / width + tolerance) + 1
    if levels > MOST_LEVELS:
        raise ValueError(
            f"width must give at most {MOST_LEVELS} levels, got {levels} of width {width:g}; "
            "choose wider bins"
        )
    return Bins(start, 1.0, float(width), tolerance, -math.inf, math.inf, levels)


def _rounding(kind: Any, low: Any, high: Any, width: float) -> float:
    """Return the share of a bin that the rounding of a float may amount to."""
    if kind.kind != "f" or width == 0:
        return 0.0
    largest = max(abs(float(low)), abs(float(high)))
    return min(2 * float(np.finfo(kind).eps) * largest / width, 0.5)


def _extremes(pixels: Pixels, inside: Pixels) -> tuple[Any, Any]:
    """Return the least and largest value that counts; refuse what is no number."""
    _require_region(inside)
    counted = pixels if inside.all() else pixels[inside]
    low, high = counted.min(), counted.max()
    if pixels.dtype.kind == "f" and not (math.isfinite(low) and math.isfinite(high)):
        stray = "NaN" if math.isnan(low) else "infinity"
        raise ValueError(
            f"image must not hold NaN or infinity, got {stray}; "
            "fill the missing pixels first, or leave them out of the mask"
        )
    return low, high


def _require_region(inside: Pixels) -> None:
    if not inside.any():
        raise EmptyRegionError(
            "mask must hold at least one pixel, got none; leave such an image out, or its mask"
        )


def as_arrays(image: Any, mask: Any) -> tuple[Pixels, Pixels]:
    """Return pixels as (slices, height, width), and which of them count.

    Args:
        image: Tensor or array of two axes or more; those before the last two become one.
        mask: What is not 0 counts; without it, all counts.

    Returns:
        Pixels of float32, float64 or int64, and booleans.

    Raises:
        ValueError: If the image has fewer than two axes, is not of real numbers, or the
            mask has another shape.
    """
    pixels = _as_array(image)
    if pixels.ndim < 2:
        raise ValueError(
            f"image must have at least the axes (height, width), got shape {pixels.shape}"
        )
    if pixels.dtype.kind not in "fiub":
        raise ValueError(f"image must hold real numbers, got {pixels.dtype}")
    kind = np.promote_types(pixels.dtype, np.float32) if pixels.dtype.kind == "f" else np.int64
    shape = (-1, *pixels.shape[-2:])
    if mask is None:
        inside = np.ones(pixels.shape, dtype=np.bool_)
    else:
        inside = _as_array(mask) != 0
        if inside.shape != pixels.shape:
            raise ValueError(
                f"mask must have the shape of image, got {inside.shape} and {pixels.shape}"
            )
    if pixels.size == 0:
        raise ValueError(f"image must hold at least one pixel, got shape {pixels.shape}")
    pixels = np.ascontiguousarray(pixels.reshape(shape), dtype=kind)
    return pixels, np.ascontiguousarray(inside.reshape(shape))


def _as_array(values: Any) -> Pixels:
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    return np.asarray(values)


def require_levels(levels: int) -> None:
    """Refuse a number of levels that no table of pairs can have.

    Args:
        levels: Number of gray levels.

    Raises:
        ValueError: If it is not from 2 to 4096.
    """
    requirements.require_levels(levels)
    if levels > MOST_LEVELS:
        raise ValueError(f"levels must be at most {MOST_LEVELS}, got {levels}")


def place_in_bins(
    pixels: Pixels, inside: Pixels, bins: Bins, margin: tuple[int, int, int] = (0, 0, 0)
) -> Pixels:
    """Return the level of each pixel, and ``bins.levels`` outside the mask and the image.

    Args:
        pixels: Gray values, shape (slices, height, width).
        inside: Whether a pixel counts.
        bins: How a value becomes a level.
        margin: Pixels to add on either side of each axis.

    Raises:
        ValueError: If a pixel that counts is NaN or outside ``[0, 1]``, for the bins of that.
    """
    from glcm_mae.texture import tallies  # numba takes a second

    shape = tuple(n + 2 * more for n, more in zip(pixels.shape, margin, strict=True))
    levels = np.empty(shape, np.uint16)
    if tallies.place_in_bins(pixels, inside, *bins[:6], bins.levels - 1, levels):
        refuse_stray(pixels, inside)
    return levels


def _as_levels(pixels: Pixels, inside: Pixels, bins: Bins, shape: torch.Size) -> Tensor:
    levels = place_in_bins(pixels, inside, bins).astype(np.int64)
    levels[~inside] = -1
    return torch.from_numpy(levels).reshape(shape)
