"""MedMNIST: data sets of small images in one NumPy archive."""

import zipfile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from glcm_mae.data.tables.listing import Listing
from glcm_mae.errors import InputError

PARTS = ("train", "val", "test")
"""Parts of a data set, in the order in which its images are counted."""

_MOST_IMAGES = 10_000_000


def is_medmnist(file: Path) -> bool:
    """Say whether a file is an archive with the images of all parts, as MedMNIST has them."""
    try:
        with zipfile.ZipFile(file) as archive:
            return {f"{part}_images.npy" for part in PARTS} <= set(archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def list_medmnist(file: Path, *, labelled: bool) -> Listing:
    """List the images of an archive: those of ``train``, then ``val``, then ``test`` [1]_.

    Every row names the file; its frame counts through all parts. Classes are called by
    their number.

    Args:
        file: Archive with ``train_images``, ``train_labels`` and so on.
        labelled: Whether every image needs a class.

    Raises:
        InputError: If the archive is damaged, holds volumes, or has several labels an
            image where one is needed.

    References:
        .. [1] Yang et al., 2023, doi:10.1038/s41597-022-01721-8
    """
    labels: list[str] = []
    splits: list[str] = []
    try:
        with zipfile.ZipFile(file) as archive:
            for part in PARTS:
                count = _count(file, archive, part)
                splits += [part] * count
                if labelled:
                    labels += map(str, _labels(file, archive, part, count))
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError, ValueError, EOFError, KeyError) as error:
        raise InputError(
            f"{file}: cannot be read as a MedMNIST archive ({error}); download it again"
        ) from error
    return Listing(
        source=file,
        root=file.parent,
        paths=(file.name,) * len(splits),
        labels=tuple(labels),
        splits=tuple(splits),
        frames=tuple(range(len(splits))),
        apart=True,
    )


def _count(file: Path, archive: zipfile.ZipFile, part: str) -> int:
    with archive.open(f"{part}_images.npy") as member:
        shape, _ = _header(cast("BinaryIO", member))
    if len(shape) != 3 and not (len(shape) == 4 and shape[3] == 3):
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{file}: {part}_images must be images of one size, gray or colour, found {size}; "
            "give a MedMNIST set of 2-D images"
        )
    if shape[0] > _MOST_IMAGES:
        raise ValueError(f"{part}_images claims {shape[0]} images")
    return shape[0]


def _labels(
    file: Path, archive: zipfile.ZipFile, part: str, count: int
) -> npt.NDArray[np.integer]:
    with archive.open(f"{part}_labels.npy") as member:
        shape, kind = _header(cast("BinaryIO", member))
        if len(shape) == 2 and shape[1] > 1:
            raise InputError(
                f"{file}: each image must have one label, here it has {shape[1]}; train on it "
                "without labels, or give a manifest with one of them"
            )
        if kind.kind not in "iu" or shape not in ((count,), (count, 1)):
            raise ValueError(f"{part}_labels is no number for each of {count} images")
        return np.frombuffer(member.read(count * kind.itemsize), kind, count)


def _header(member: BinaryIO) -> tuple[tuple[int, ...], np.dtype[Any]]:
    version = np.lib.format.read_magic(member)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"arrays of version {version}")
    shape, _, kind = read(member)
    return shape, kind
