"""Stored images at another size, made when they are asked for."""

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.data.reading.policy import Decoded, ReadingPolicy, as_gray_levels
from glcm_mae.data.store.pixels import Pixels, white_of


class SqueezedPixels:
    """Gray 8-bit images of one size, made of stored ones that have another.

    Args:
        pixels: Stored images.
        size: Height and width wanted; the aspect ratio is given up.

    Example:
        >>> stored = np.full((5, 3, 8, 6), 65535, dtype=np.uint16)
        >>> small = SqueezedPixels(stored, (4, 4))
        >>> small.shape, small[np.array([0, 4])].min()
        ((5, 1, 4, 4), np.uint8(255))
    """

    def __init__(self, pixels: Pixels, size: tuple[int, int]) -> None:
        self._pixels, self._size = pixels, size
        self.shape = (pixels.shape[0], 1, *size)
        self.dtype = np.dtype(np.uint8)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
        """Return the images of some rows."""
        stored = np.moveaxis(self._pixels[rows], 1, -1)  # (images, height, width, channels)
        white = float(white_of(self._pixels.dtype))
        gray = as_gray_levels(Decoded(stored, 0.0, white), ReadingPolicy())
        squeezed = [fit_image(image, self._size, "squeeze") for image in gray]
        return np.rint(np.stack(squeezed) * 255).astype(np.uint8)
