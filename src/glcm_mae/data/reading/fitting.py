"""Images brought to one size."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from glcm_mae.data.reading.policy import FITS
from glcm_mae.errors import InputError


def fit_image(
    image: npt.NDArray[np.float32], size: int | tuple[int, int], how: str
) -> npt.NDArray[np.float32]:
    """Scale an image to a size.

    ``crop`` covers the target and loses what stands over on both sides; ``pad``
    keeps the whole image and fills the rest with black; ``squeeze`` keeps the whole
    image and gives up its aspect ratio. Resampling is Lanczos, widened when shrinking
    so that nothing aliases.

    Args:
        image: Pixels in ``[0, 1]``, shape (channels, height, width).
        size: Height and width wanted, in pixels; one number means a square.
        how: ``"crop"``, ``"pad"`` or ``"squeeze"``.

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
    if how not in FITS:
        raise InputError(f"fit: must be one of {', '.join(FITS)}, got {how!r}")
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 1:
        raise InputError(f"size: must be at least 1 pixel, got {size}")
    inner, box = _placed(image.shape[1:], (height, width), how)
    fitted = np.zeros((len(image), height, width), dtype=np.float32)
    top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
    for target, plane in zip(fitted, image, strict=True):
        scaled = Image.fromarray(plane).resize(inner[::-1], Image.Resampling.LANCZOS, box=box)
        target[top : top + inner[0], left : left + inner[1]] = np.asarray(scaled)
    return fitted.clip(0, 1, out=fitted)


def _placed(
    shape: tuple[int, ...], size: tuple[int, int], how: str
) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """Tell the height and width that the image takes, and the box of it that is shown."""
    (rows, cols), (height, width) = shape, size
    if how == "squeeze":
        return size, (0.0, 0.0, cols, rows)
    if how == "pad":
        scale = min(height / rows, width / cols)
        return (max(1, round(rows * scale)), max(1, round(cols * scale))), (0, 0, cols, rows)
    scale = max(height / rows, width / cols)
    top, left = (rows - height / scale) / 2, (cols - width / scale) / 2
    return size, (max(left, 0.0), max(top, 0.0), min(cols - left, cols), min(rows - top, rows))
