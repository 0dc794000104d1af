"""Files as images: every format that hospitals have, by one gray-level policy."""

from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.data.reading.formats import IMAGE_SUFFIXES, Format, counts_as_image, sniff
from glcm_mae.data.reading.images import (
    UnreadableImageError,
    count_frames,
    read_frames,
    read_image,
)
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError

__all__ = [
    "IMAGE_SUFFIXES",
    "Format",
    "ReadingPolicy",
    "RefusedPixelsError",
    "UnreadableImageError",
    "count_frames",
    "counts_as_image",
    "fit_image",
    "read_frames",
    "read_image",
    "sniff",
]
