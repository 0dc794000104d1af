"""Folders of images: which files in them are images, and of which class."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from glcm_mae.data.reading.formats import IMAGE_SUFFIXES, counts_as_image
from glcm_mae.data.tables.listing import Listing, first_few, is_plain
from glcm_mae.data.threads import in_threads
from glcm_mae.errors import InputError

_INDEX = "DICOMDIR"  # DICOM without pixels
_SPLIT_NAMES = {"train", "val", "valid", "validation", "test"}


def list_folder(folder: Path, *, labelled: bool) -> Listing:
    """List the images of a folder and all its subfolders, in sorted order.

    A file is an image if its name ends like one, or if it is a DICOM file whatever its
    name. Hidden files and folders, and those of other systems (``__MACOSX``,
    ``DICOMDIR``), are left out.

    Args:
        folder: Where to search.
        labelled: Whether the first level of subfolders are the classes.

    Raises:
        InputError: If there are no images, a folder cannot be searched, an image lies in
            no class, or the classes are parts such as ``train``.
    """
    files = sorted(_files(str(folder), "", frozenset()))
    paths = _images(folder, files)
    if not paths:
        known = " ".join(IMAGE_SUFFIXES)
        raise InputError(
            f"{folder}: holds no images ({known} and DICOM files of any name count)"
            f"{_others(files)}; give the folder that holds them"
        )
    if odd := [ascii(path) for path in paths if not is_plain(path)]:
        raise InputError(
            f"{folder}: the names of images must be text on one line, {len(odd)} are not: "
            f"{first_few(odd)}; rename them"
        )
    return Listing(folder, folder, paths, _classes(folder, paths) if labelled else ())


def _images(folder: Path, files: Sequence[str]) -> tuple[str, ...]:
    """Keep the images; names that tell nothing are looked into, by several threads."""
    silent = [name for name in files if not name.lower().endswith(IMAGE_SUFFIXES)]
    silent = [name for name in silent if PurePosixPath(name).name.upper() != _INDEX]
    found = in_threads(lambda n: counts_as_image(folder / silent[n]), len(silent))
    images = {name for name, counts in zip(silent, found, strict=True) if counts}
    return tuple(
        name for name in files if name.lower().endswith(IMAGE_SUFFIXES) or name in images
    )


def _files(folder: str, prefix: str, above: frozenset[str]) -> Iterator[str]:
    """Find files at any depth; ``above`` holds the way here, so that loops end."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        with os.scandir(folder) as entries:
            found = [entry for entry in entries if _counts(entry.name)]
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be searched ({error.strerror}); check who may read it"
        ) from error
    for entry in found:
        if _is_folder(entry):
            yield from _files(entry.path, f"{prefix}{entry.name}/", above | {real})
        elif entry.is_symlink() or entry.is_file():  # a dangling link is a broken image
            yield prefix + entry.name


def _counts(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _others(files: Sequence[str]) -> str:
    if not files:
        return ""
    kinds = Counter(PurePosixPath(name).suffix.lower() or "without suffix" for name in files)
    told = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(3))
    return f" but {len(files)} other files ({told})"


def _classes(folder: Path, paths: Sequence[str]) -> tuple[str, ...]:
    if loose := [path for path in paths if "/" not in path]:
        raise InputError(
            f"{folder}: each image must lie in the subfolder of its class, {len(loose)} "
            f"outside: {first_few(loose)}; move them into one folder per class, or give a "
            "manifest"
        )
    names = tuple(path.partition("/")[0] for path in paths)
    if set(names) <= _SPLIT_NAMES:
        raise InputError(
            f"{folder}: its subfolders {', '.join(sorted(set(names)))} are parts, not "
            "classes; give one of them, or a manifest with the columns path,label,split"
        )
    return names
