"""Masks beside images: which file marks the region of which image, and what it marks."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading import ReadingPolicy, UnreadableImageError, read_image
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError

MASK_ENDING = "_mask"
"""What the name of a mask in a folder of masks may add to the name of its image."""

_ABOVE_ZERO = ReadingPolicy(window="0.5/1")  # 0 is black in values of any type


def _at_the_end(ending: str) -> re.Pattern[str]:
    """Return what finds an ending of a name, and the number that may follow it."""
    return re.compile(re.escape(ending) + r"(_\d+)?$")


def find_masks(table: ImageTable) -> list[int]:
    """Return the rows of a table that are masks of others: ``a_mask.png`` beside ``a.png``.

    A number may follow (``a_mask_1.png``). What looks like a mask of nothing is an image.

    Example:
        >>> names = ("a.png", "a_mask.png", "a_mask_1.png", "b_mask.png")
        >>> find_masks(ImageTable(Path("x"), names, (), (), names, ()))
        [1, 2]
    """
    stems = {_stem(name) for name in table.paths}
    ending = _at_the_end(MASK_ENDING)
    bare = [ending.sub("", _stem(name)) for name in table.paths]
    return [
        row
        for row, (name, image) in enumerate(zip(table.paths, bare, strict=True))
        if image != _stem(name) and image in stems
    ]


def pair_masks(
    table: ImageTable, masks: str
) -> tuple[ImageTable, tuple[tuple[Path, ...], ...]]:
    """Find the masks of images.

    In a folder of masks, that of ``images/ill/a.png`` lies at the same path below the
    folder, or at the path without its first folders: ``images/ill/a``, ``ill/a``, then
    ``a``. Its name is that of the image, or ends in ``_mask``. Given an ending such as
    ``_seg`` in place of a folder, the mask lies beside its image: ``a_seg.png``. A number
    may follow the ending (``a_mask_1.png``): an image may have several masks.

    Args:
        table: The images; masks may be among them.
        masks: A folder, or an ending.

    Returns:
        The images without the masks among them, and the masks of each image, none or
        more.

    Raises:
        InputError: If there is no such folder and no name has such an ending, if no
            image has a mask, or if the masks are all there is.

    Example:
        >>> table = ImageTable(Path("x"), ("a.png", "a_seg.png"), (), (), ("a", "b"), ())
        >>> images, found = pair_masks(table, "_seg")
        >>> images.paths, [mask.as_posix() for mask in found[0]]
        (('a.png',), ['x/a_seg.png'])
    """
    if Path(masks).is_dir():
        return _pair_with_folder(table, Path(masks))
    ending = _at_the_end(masks)
    beside: dict[str, list[Path]] = defaultdict(list)
    kept = []
    for index, name in enumerate(table.paths):
        stem = _stem(name)
        if ending.search(stem):
            beside[ending.sub("", stem)].append(table.file(index))
        else:
            kept.append(index)
    if not beside:
        raise InputError(
            f"masks: {masks} is no folder, and no image in {table.root} has a name that ends "
            f"so; give the folder of the masks, or an ending such as {MASK_ENDING}"
        )
    if not kept:
        raise InputError(
            f"masks: every image in {table.root} has a name that ends in {masks}; give the "
            "folder of the images, and the folder of the masks by --masks"
        )
    images = table.subset(kept)
    return images, tuple(tuple(beside.get(_stem(name), ())) for name in images.paths)


def _pair_with_folder(
    table: ImageTable, folder: Path
) -> tuple[ImageTable, tuple[tuple[Path, ...], ...]]:
    ending = _at_the_end(MASK_ENDING)
    below: dict[str, list[Path]] = defaultdict(list)
    for name in read_table(folder, labelled=False).paths:
        below[_stem(name)].append(folder / name)
        if ending.search(_stem(name)):
            below[ending.sub("", _stem(name))].append(folder / name)
    real = folder.resolve()
    kept = [
        index
        for index in range(len(table))
        if real not in table.file(index).absolute().parents
        and real not in table.file(index).resolve().parents
    ]
    if not kept:
        raise InputError(f"masks: {folder} holds all the images; give the folder of the masks")
    images = table.subset(kept)
    found = tuple(_nearest(_stem(name), below) for name in images.paths)
    if not any(found):
        raise InputError(
            f"masks: no file in {folder} is named like an image in {table.root} (such as "
            f"{images.paths[0]}), with or without {MASK_ENDING}; give the folder of its masks"
        )
    return images, found


def _nearest(stem: str, below: dict[str, list[Path]]) -> tuple[Path, ...]:
    parts = PurePosixPath(stem).parts
    for start in range(len(parts)):
        if found := below.get("/".join(parts[start:])):
            return tuple(found)
    return ()


def _stem(name: str) -> str:
    return name[:-7] if name.lower().endswith(".nii.gz") else posixpath.splitext(name)[0]


def read_mask(files: Sequence[Path], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Read the masks of one image: a pixel counts if it is not black in one of them.

    Args:
        files: The masks, at least one.
        shape: Height and width of the image.

    Returns:
        Whether each pixel counts.

    Raises:
        UnreadableImageError: If a mask cannot be read, or has another size.
    """
    union = np.zeros(shape, dtype=np.bool_)
    for file in files:
        mask = read_image(file, policy=_ABOVE_ZERO)[0] > 0
        if mask.shape != shape:
            size, other = (" x ".join(map(str, s)) for s in (mask.shape, shape))
            raise UnreadableImageError(
                file, f"the mask has {size} pixels, its image {other}", "give both one size"
            )
        union |= mask
    return union
