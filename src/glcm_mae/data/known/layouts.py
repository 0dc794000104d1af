"""Where the images of a known data set lie in a folder, and what their places tell."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from glcm_mae.data.folds.parts import part_names
from glcm_mae.data.known.catalog import KnownSet
from glcm_mae.data.tables.folders import list_folder
from glcm_mae.data.tables.listing import first_few
from glcm_mae.data.tables.manifests import MANIFEST_SUFFIXES, list_manifest
from glcm_mae.data.tables.medmnist import is_medmnist, list_medmnist
from glcm_mae.errors import InputError

_SHORT = {"train": "train", "validation": "val", "test": "test", "unused": "unused"}


@dataclass(frozen=True)
class Found:
    """The images of a set, one entry per image in each tuple.

    Attributes:
        root: Folder that the paths start from.
        paths: Files; empty for an archive.
        labels: Classes.
        parts: Parts; empty where none is told.
        problems: What does not belong to the set, one line each.
        notes: What was left out on purpose, one line each.
        manifest: The manifest that told all this, if one did.
        archive: The archive that told all this, if one did.
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=(), kw_only=True)
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    manifest: Path | None = field(default=None, kw_only=True)
    archive: Path | None = field(default=None, kw_only=True)

    def __len__(self) -> int:
        return len(self.labels)


def find_images(entry: KnownSet, folder: Path) -> Found:
    """Find the images of a set by its layout, by a manifest or in an archive.

    Args:
        entry: The set.
        folder: The folder, a manifest or an archive.

    Raises:
        InputError: If it is not there, or nothing in it is laid out like the set.
    """
    if not folder.exists():
        raise InputError(f"{folder}: no such folder or file; check the path")
    if folder.is_file():
        return _in_file(entry, folder)
    if (folder / "manifest.csv").is_file():
        return _in_manifest(entry, folder / "manifest.csv")
    if entry.layout == "npz":
        return _in_folder_of_archives(entry, folder)
    if entry.layout == "listed":
        return _in_lists(entry, folder)
    return _in_folders(entry, folder)


def _in_file(entry: KnownSet, file: Path) -> Found:
    if file.suffix.lower() in MANIFEST_SUFFIXES:
        return _in_manifest(entry, file)
    if entry.layout == "npz" and is_medmnist(file):
        return _in_archive(entry, file)
    raise _unlike(entry, file)


def _unlike(entry: KnownSet, folder: Path) -> InputError:
    return InputError(
        f"{folder}: is not laid out like {entry.name}, expected {entry.expected}; give the "
        "folder that holds this, or a manifest"
    )


def _in_manifest(entry: KnownSet, manifest: Path) -> Found:
    listing = list_manifest(manifest, labelled=True, grouped=True)
    names = _class_names(entry)
    known = [row for row, label in enumerate(listing.labels) if label.casefold() in names]
    strange = Counter(label for label in listing.labels if label.casefold() not in names)
    parts = part_names(listing.splits) if any(listing.splits) else []
    return Found(
        listing.root,
        tuple(listing.paths[row] for row in known),
        tuple(names[listing.labels[row].casefold()] for row in known),
        tuple(_SHORT[parts[row]] for row in known) if parts else (),
        problems=tuple(
            f"class {label!r} is not one of the set: {count:,} images"
            for label, count in strange.items()
        ),
        manifest=manifest,
    )


def _class_names(entry: KnownSet) -> dict[str, str]:
    """Return each class by its name in small letters, and by its number if it has one."""
    names = {name.casefold(): name for name in entry.classes}
    if entry.layout == "npz":
        names |= {f"{number}": name for number, name in enumerate(entry.classes)}
    return names


def _in_folder_of_archives(entry: KnownSet, folder: Path) -> Found:
    there = [folder / entry.file_name(size) for size in sorted(entry.files or {})]
    there = [file for file in there if file.is_file()]
    if not there:
        raise _unlike(entry, folder)
    if len(there) > 1:
        names = ", ".join(file.name for file in there)
        raise InputError(f"{folder}: holds {names}; give one of these files")
    return _in_archive(entry, there[0])


def _in_archive(entry: KnownSet, file: Path) -> Found:
    labelled = entry.task != "several labels"
    listing = list_medmnist(file, labelled=labelled)
    numbers = Counter(listing.labels)
    known = {f"{number}": name for number, name in enumerate(entry.classes)}
    strange = sorted(set(numbers) - set(known))
    told = (f"{numbers[number]:,} {name}" for number, name in known.items())
    return Found(
        listing.root,
        (),
        tuple(known.get(label, label) for label in listing.labels) or ("",) * len(listing),
        listing.splits,
        problems=tuple(
            f"class {number} is not one of the set: {numbers[number]:,} images"
            for number in strange
        ),
        notes=(f"classes: {', '.join(told)} (no numbers published)",) if labelled else (),
        archive=file,
    )


def _in_lists(entry: KnownSet, folder: Path) -> Found:
    """Read ``train.txt`` and ``test.txt``, with a line ``FILE,CLASS`` for each image."""
    first = f"{entry.parts[0]}.txt"
    root = next((f for f in (folder, *_subfolders(folder)) if (f / first).is_file()), None)
    if root is None:
        raise _unlike(entry, folder)
    rows: list[tuple[str, str, str]] = []
    problems: list[str] = []
    for part in entry.parts:
        good, bad = _listed(entry, root / f"{part}.txt", part)
        rows += good
        problems += bad
    there = [row for row in rows if (root / row[0]).is_file()]
    if len(there) < len(rows):
        gone = [path for path, _, _ in set(rows) - set(there)]
        problems.append(f"{len(gone):,} listed images are missing: {first_few(sorted(gone))}")
    return Found(root, *_columns(there), problems=tuple(problems))


def _subfolders(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_dir())


def _listed(
    entry: KnownSet, file: Path, part: str
) -> tuple[list[tuple[str, str, str]], list[str]]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split()
    except (OSError, UnicodeDecodeError) as error:
        return [], [f"{file.name} cannot be read ({error}): its images are not counted"]
    known = {f"{number}": name for number, name in enumerate(entry.classes)}
    cells = [line.partition(",") for line in lines]
    rows = [(f"imgs/{name}", known[label], part) for name, _, label in cells if label in known]
    odd = len(cells) - len(rows)
    return rows, [f"{file.name} has {odd:,} lines not of the form FILE,CLASS"] if odd else []


def _in_folders(entry: KnownSet, folder: Path) -> Found:
    """Take the images below folders called like parts and classes."""
    paths = list_folder(folder, labelled=False).paths
    images = [path for path in paths if not entry.is_mask(path)]
    places = [_place(entry, path) for path in images]
    starts = Counter(place[0] for place in places if place is not None)
    if not starts:
        raise _unlike(entry, folder)
    start = min(starts, key=lambda prefix: (len(prefix), -starts[prefix]))
    rows, others = [], []
    for path, place in zip(images, places, strict=True):
        if place is not None and place[0] == start:
            rows.append((path, place[2], place[1]))
        else:
            others.append(path)
    masks = len(paths) - len(images)
    return Found(
        folder,
        *_columns(rows),
        problems=tuple(_strangers(others)),
        notes=(f"{masks:,} masks left out",) if masks else (),
    )


def _place(entry: KnownSet, path: str) -> tuple[tuple[str, ...], str, str] | None:
    """Return the folders before part and class, the part and the class."""
    folders = PurePosixPath(path).parts[:-1]
    names = _class_names(entry)
    for depth, name in enumerate(folders):
        if label := names.get(name.casefold()):
            part = folders[depth - 1].casefold() if depth else ""
            if not entry.parts:
                return folders[:depth], "", label
            return (folders[: depth - 1], part, label) if part in entry.parts else None
    return None


def _strangers(paths: Sequence[str]) -> Iterable[str]:
    """Tell of images outside the layout, a line for each folder."""
    counts = Counter(path.rpartition("/")[0] for path in paths)
    for name, count in counts.most_common(5):
        yield f"folder {name or '.'} is not one of the set: {count:,} images, not counted"
    if len(counts) > 5:
        yield f"{len(counts) - 5:,} more folders are not of the set"


def _columns(
    rows: Sequence[tuple[str, str, str]],
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Turn rows of path, class and part into columns; no part at all is no column."""
    paths, labels, parts = (tuple(row[i] for row in rows) for i in range(3))
    return paths, labels, parts if any(parts) else ()
