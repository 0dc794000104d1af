"""What the model sees: image files, tables of them, folds, synthetic images."""

from glcm_mae.data.folds.splits import Fold, fold_from_splits, hold_out, make_folds
from glcm_mae.data.phantoms import (
    PHANTOM_CLASSES,
    Phantom,
    make_phantom,
    speckle,
    write_phantoms,
)
from glcm_mae.data.reading import (
    IMAGE_SUFFIXES,
    ReadingPolicy,
    UnreadableImageError,
    count_frames,
    fit_image,
    read_frames,
    read_image,
)
from glcm_mae.data.store.loading import LoadedImages, file_hashes, load_images
from glcm_mae.data.tables.table import ImageTable, read_table

__all__ = [
    "IMAGE_SUFFIXES",
    "PHANTOM_CLASSES",
    "Fold",
    "ImageTable",
    "LoadedImages",
    "Phantom",
    "ReadingPolicy",
    "UnreadableImageError",
    "count_frames",
    "file_hashes",
    "fit_image",
    "fold_from_splits",
    "hold_out",
    "load_images",
    "make_folds",
    "make_phantom",
    "read_frames",
    "read_image",
    "read_table",
    "speckle",
    "write_phantoms",
]
