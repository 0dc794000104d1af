"""What the texture functions ask of their arguments, each rule and its message once."""

import math
from collections.abc import Sequence

from torch import Tensor


def require_image(image: Tensor) -> None:
    """Refuse what has fewer than two axes."""
    if image.ndim < 2:
        raise ValueError(
            f"image must have at least the axes (height, width), got shape {tuple(image.shape)}"
        )


def require_float(image: Tensor) -> None:
    """Refuse an image of integers where floats are due."""
    if not image.is_floating_point():
        raise ValueError(
            f"image must hold floats in [0, 1], got {image.dtype}; "
            "divide it by its largest possible value"
        )


def require_unit_range(image: Tensor) -> None:
    """Refuse NaN and values outside [0, 1]."""
    if image.isnan().any():
        raise ValueError("image must not hold NaN, got NaN; fill the missing pixels first")
    outside = image[(image < 0) | (image > 1)]
    if outside.numel():
        raise ValueError(
            f"image must lie in [0, 1], got {outside[0].item():g}; clamp or rescale it first"
        )


def require_gray_levels(level: Tensor, levels: int) -> None:
    """Refuse gray levels that are not from 0 to ``levels - 1``."""
    outside = level[(level < 0) | (level >= levels)]
    if outside.numel():
        raise ValueError(
            f"image must hold gray levels from 0 to {levels - 1}, got {outside[0].item()}; "
            "raise levels, or pass floats in [0, 1] to have them binned"
        )


def require_levels(levels: int) -> None:
    """Refuse fewer than two gray levels."""
    if levels < 2:
        raise ValueError(f"levels must be at least 2, got {levels}")


def require_bandwidth(bandwidth: float) -> None:
    """Refuse a bandwidth that is no positive number."""
    if not 0 < bandwidth < math.inf:
        raise ValueError(
            f"bandwidth must be positive and finite, in bin widths, got {bandwidth}"
        )


def require_membership(membership: Tensor) -> None:
    """Refuse what has fewer axes than a membership."""
    if membership.ndim < 3:
        raise ValueError(
            "membership must have at least the axes (height, width, levels), "
            f"got shape {tuple(membership.shape)}"
        )


def require_offsets(offsets: Sequence[tuple[int, int]], height: int, width: int) -> None:
    """Refuse offsets that lead nowhere, or out of every image of this size."""
    if not offsets:
        raise ValueError("offsets must hold at least one Offset, got none")
    for offset in offsets:
        rows, cols = offset
        if rows == 0 and cols == 0:
            raise ValueError(
                f"offsets must lead to another pixel, got {offset}; "
                "the pixel to the right is Offset(0, 1)"
            )
        if abs(rows) >= height or abs(cols) >= width:
            raise ValueError(
                f"offsets must be smaller than the image of {height} x {width} pixels, "
                f"got {offset}"
            )
