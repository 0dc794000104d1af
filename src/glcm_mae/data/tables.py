"""Tables of images: which files, which class, which patient, which part."""

import csv
import posixpath
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from glcm_mae.data.images import IMAGE_SUFFIXES
from glcm_mae.errors import InputError

_SPLIT_NAMES = {"train", "val", "valid", "validation", "test"}


@dataclass(frozen=True)
class ImageTable:
    """What is known of every image, one entry per image in each tuple.

    Attributes:
        root: Folder that the paths start from.
        paths: Image files relative to ``root``, with forward slashes.
        labels: Index into ``classes``; empty when the table is unlabelled.
        classes: Class names in sorted order; empty when the table is unlabelled.
        groups: Patient (or other source) of the image; its path where none is known.
        splits: Part of the data, such as ``train``; empty when no image tells one.

    Example:
        >>> table = ImageTable(Path("scans"), ("a.png", "b.png"), (), (), ("p1", "p2"), ())
        >>> len(table), table.subset([1]).paths, table.file(1).as_posix()
        (2, ('b.png',), 'scans/b.png')
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> "ImageTable":
        """Keep some rows, in the order given; the classes stay as they are.

        Args:
            indices: Rows to keep.

        Returns:
            A table of these rows.
        """
        return ImageTable(
            root=self.root,
            paths=tuple(self.paths[i] for i in indices),
            labels=tuple(self.labels[i] for i in indices) if self.labels else (),
            classes=self.classes,
            groups=tuple(self.groups[i] for i in indices),
            splits=tuple(self.splits[i] for i in indices) if self.splits else (),
        )

    def file(self, index: int) -> Path:
        """Tell where the image of a row lies.

        Args:
            index: Row of the image.

        Returns:
            Its path, starting from ``root``.
        """
        return self.root / self.paths[index]


def read_table(path: str | Path, *, labelled: bool) -> ImageTable:
    """List the images of a folder or of a CSV manifest.

    A folder is searched through all its subfolders, hidden ones left out, in sorted
    order; labelled, its first level of subfolders are the classes, and each image is
    its own group. A manifest has the column ``path`` (relative to the manifest's
    folder), ``label`` when labelled, and may have ``group``, ``split`` and others;
    its order is kept, and an image without a group is its own.

    Args:
        path: Folder or ``.csv`` file.
        labelled: Whether every image needs a class.

    Returns:
        The table; the files themselves are not opened.

    Raises:
        InputError: If there is no such folder or manifest, no image in it, a listed
            file is missing or listed twice, or a class is missing.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("ill/b.png", "well/a.png"):
        ...         Path(folder, name).parent.mkdir()
        ...         Path(folder, name).touch()
        ...     table = read_table(folder, labelled=True)
        >>> table.paths, table.labels, table.classes
        (('ill/b.png', 'well/a.png'), (0, 1), ('ill', 'well'))
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path, labelled)
    if not path.exists():
        raise InputError(f"{path}: no such folder or manifest; check the path")
    if path.suffix.lower() != ".csv" or not path.is_file():
        raise InputError(
            f"{path}: is neither a folder of images nor a .csv manifest; give one of them"
        )
    return _read_manifest(path, labelled)


def _read_folder(folder: Path, labelled: bool) -> ImageTable:
    files = [file.relative_to(folder).as_posix() for file in _files(folder, set())]
    paths = sorted(name for name in files if _suffix(name) in IMAGE_SUFFIXES)
    if not paths:
        raise InputError(
            f"{folder}: holds no images ({' '.join(IMAGE_SUFFIXES)} count){_others(files)}; "
            "give the folder that holds them"
        )
    names = [PurePosixPath(name).parts[0] for name in paths] if labelled else []
    if loose := [name for name in paths if labelled and "/" not in name]:
        raise InputError(
            f"{folder}: each image must lie in the subfolder of its class, {len(loose)} "
            f"outside: {_first(loose)}; move them into one folder per class, or give a manifest"
        )
    if names and set(names) <= _SPLIT_NAMES:
        raise InputError(
            f"{folder}: its subfolders {', '.join(sorted(set(names)))} are parts, not "
            "classes; give one of them, or a manifest with the columns path,label,split"
        )
    labels, classes = _labels(folder, names)
    return ImageTable(folder, tuple(paths), labels, classes, tuple(paths), ())


def _files(folder: Path, above: set[Path]) -> Iterator[Path]:
    """Find files at any depth; ``above`` holds the way here, so that loops end."""
    real = folder.resolve()
    if real in above:
        return
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _files(entry, above | {real})
        elif entry.is_file() or entry.is_symlink():  # a dangling link is a broken image
            yield entry


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _others(files: Sequence[str]) -> str:
    if not files:
        return ""
    kinds = Counter(_suffix(name) or "without suffix" for name in files).most_common(3)
    return f" but {len(files)} other files ({', '.join(f'{n} {kind}' for kind, n in kinds)})"


def _read_manifest(manifest: Path, labelled: bool) -> ImageTable:
    rows = _rows(manifest, ["path", "label"] if labelled else ["path"])
    root = manifest.parent
    paths = tuple(posixpath.normpath(row["path"]) if row["path"] else "" for row in rows)
    names = [row["label"] for row in rows] if labelled else []
    if gone := [name or "(empty)" for name in paths if not (name and (root / name).is_file())]:
        raise InputError(
            f"{manifest}: each path must be a file, starting from {root}, {len(gone)} missing: "
            f"{_first(gone)}; correct or remove these rows"
        )
    if twice := [name for name, count in Counter(paths).items() if count > 1]:
        raise InputError(
            f"{manifest}: each path may stand in one row only, {len(twice)} repeated: "
            f"{_first(twice)}; remove the repeats"
        )
    if blank := [name for name, label in zip(paths, names, strict=False) if not label]:
        raise InputError(
            f"{manifest}: each row needs a label, {len(blank)} without: {_first(blank)}; "
            "fill in or remove these rows"
        )
    labels, classes = _labels(manifest, names)
    groups = tuple(row.get("group") or name for row, name in zip(rows, paths, strict=True))
    splits = tuple(row.get("split", "") for row in rows)
    return ImageTable(root, paths, labels, classes, groups, splits if any(splits) else ())


def _rows(manifest: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, strict=True) if any(line)]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(
            f"{manifest}: cannot be read as CSV ({error}); save it as comma-separated UTF-8"
        ) from error
    header = [name.strip() for name in lines[0]] if lines else []
    for column in needed:
        if column not in header:
            found = ", ".join(header) or "none"
            raise InputError(
                f"{manifest}: needs the column {column!r}, found {found}; add it to the header"
            )
    if len(lines) == 1:
        raise InputError(f"{manifest}: has no rows below its header; add one row per image")
    filled = (dict(zip(header, map(str.strip, line), strict=False)) for line in lines[1:])
    return [{column: row.get(column, "") for column in header} for row in filled]


def _labels(source: Path, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    classes = tuple(sorted(set(names)))
    if len(classes) == 1:
        raise InputError(
            f"{source}: classification needs two classes or more, found only {classes[0]!r}; "
            "add images of another class"
        )
    index = {name: i for i, name in enumerate(classes)}
    return tuple(index[name] for name in names), classes


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
