"""Tables of images: which files, which class, which patient, which part."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glcm_mae.data.tables.frames import check_frames, cut_frames
from glcm_mae.data.tables.grouping import find_groups, groups_in_paths
from glcm_mae.data.tables.labelling import map_labels, number_labels
from glcm_mae.data.tables.listing import WHOLE, first_few, name_of, taken
from glcm_mae.data.tables.pseudonyms import Pseudonyms
from glcm_mae.data.tables.sources import list_images
from glcm_mae.errors import InputError

SHARDS_FILE = "shards.json"
"""What a folder of shards holds, and no other."""


@dataclass(frozen=True)
class ImageTable:
    """What is known of every image, one entry per image in each tuple.

    Attributes:
        root: Folder that the paths start from.
        paths: Image files relative to ``root``, with forward slashes.
        labels: Index into ``classes``; empty when the table is unlabelled.
        classes: Class names in sorted order; empty when the table is unlabelled.
        groups: Patient (or other source) of the image; its path where none is known.
            Patients that DICOM tells are pseudonyms.
        splits: Part of the data, such as ``train``; empty when no image tells one.
        frames: Slice or frame in the file, counted from 0, -1 where the file is one
            image; empty when all are.
        shown: What outputs call the images, if not path and frame.
        grouping: How most images came by their group: ``"manifest"``, ``"pattern"``,
            ``"dicom"``, ``"duplicates"``, or ``"image"`` where each is its own.
        source: ``"files"``, or ``"shards"`` of images already decoded.

    Raises:
        ValueError: If the tuples differ in length.

    Example:
        >>> table = ImageTable(Path("scans"), ("a.png", "b.png"), (), (), ("p1", "p2"), ())
        >>> len(table), table.subset([1]).paths, table.file(1).as_posix()
        (2, ('b.png',), 'scans/b.png')
        >>> slices = ImageTable(Path("."), ("c.nii",) * 2, (), (), ("c", "c"), (), (0, 1))
        >>> slices.names, slices.frame(1)
        (('c.nii#0', 'c.nii#1'), 1)
    """

    root: Path
    paths: tuple[str, ...]
    labels: tuple[int, ...]
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    splits: tuple[str, ...]
    frames: tuple[int, ...] = ()
    shown: tuple[str, ...] = ()
    grouping: str = "image"
    source: str = "files"

    def __post_init__(self) -> None:
        count = len(self.paths)
        for name in ("labels", "splits", "frames", "shown"):
            if len(getattr(self, name)) not in (0, count):
                raise ValueError(
                    f"{name}: must have an entry for each of {count} images or none, got "
                    f"{len(getattr(self, name))}"
                )
        if len(self.groups) != count:
            raise ValueError(
                f"groups: must have an entry for each of {count} images, got {len(self.groups)}"
            )

    def __len__(self) -> int:
        return len(self.paths)

    def subset(self, indices: Sequence[int] | npt.NDArray[np.integer]) -> "ImageTable":
        """Keep some rows, in the order given; the classes stay as they are.

        Args:
            indices: Rows to keep.

        Returns:
            A table of these rows.
        """
        rows = [int(index) for index in indices]
        return replace(
            self,
            paths=taken(self.paths, rows),
            labels=taken(self.labels, rows),
            groups=taken(self.groups, rows),
            splits=taken(self.splits, rows),
            frames=taken(self.frames, rows),
            shown=taken(self.shown, rows),
        )

    def file(self, index: int) -> Path:
        """Tell where the image of a row lies.

        Args:
            index: Row of the image.

        Returns:
            Its path, starting from ``root``.
        """
        return self.root / self.paths[index]

    def frame(self, index: int) -> int | None:
        """Tell which frame of its file the image of a row is.

        Args:
            index: Row of the image.

        Returns:
            Its number from 0; None where the file is one image.
        """
        number = self.frames[index] if self.frames else WHOLE
        return None if number == WHOLE else number

    def name(self, index: int) -> str:
        """Tell what outputs call the image of a row.

        Args:
            index: Row of the image.

        Returns:
            Its pseudonym if the table has some, else its path, with ``#`` and the frame
            where it is one of several.
        """
        return self.shown[index] if self.shown else self.plain_name(index)

    def plain_name(self, index: int) -> str:
        """Tell path and frame of a row, for people who look for a file; for no output."""
        return name_of(self.paths[index], self.frames[index] if self.frames else WHOLE)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What outputs call the images, see :meth:`name`; each has another."""
        if self.shown or not self.frames:
            return self.shown or self.paths
        return tuple(map(name_of, self.paths, self.frames))


def read_table(
    path: str | Path,
    *,
    labelled: bool,
    frames: str | int = "single",
    axis: int = 2,
    label_map: Mapping[str, str | None] = {},
    group_pattern: str = "",
    patients: bool = False,
    hide_names: bool = False,
    key: Path | None = None,
) -> ImageTable:
    r"""List the images of a folder, a manifest, an archive or a file.

    A folder is searched through all its subfolders, hidden ones left out, in sorted
    order; a file counts as an image by the ending of its name, or if it is DICOM. Labelled,
    the first level of subfolders are the classes. A manifest, CSV or Parquet, has the column
    ``path`` (relative to the manifest's folder), ``label`` when labelled, and may have
    ``group``, ``split``, ``frame`` and others; its order is kept. An ``.npz`` file of
    MedMNIST tells its classes, by number, and its parts. A folder of shards tells what
    the table they were made from told. Any other image file is a table of itself.

    Groups are those that the manifest tells; else those that ``group_pattern`` finds; else,
    labelled or with ``patients``, the patients or studies of DICOM files, as pseudonyms; else
    each file is its own.

    Args:
        path: Folder, manifest, archive or image file.
        labelled: Whether every image needs a class.
        frames: Of files that hold several images: ``"single"`` gives them one row, which
            cannot be read, ``"all"``, ``"middle"`` or a number a row for each frame, for
            the middle one or for so many, evenly spaced. Only then are files counted.
        axis: Axis along which volumes are cut.
        label_map: From every class found to the class wanted, None to leave its images
            out; without entries the classes stay. It holds for labelled tables only.
        group_pattern: Regular expression that finds the patient in a path: what its
            groups capture, joined by ``-``, or the whole match. A file that does not
            match is its own group.
        patients: Look into DICOM files for patients also where no classes are wanted.
        hide_names: Call images and groups by pseudonyms, so that no output holds the name
            of a file; errors name files all the same.
        key: File of the secret key behind pseudonyms, see
            :meth:`glcm_mae.data.tables.pseudonyms.Pseudonyms.load`.

    Returns:
        The table; pixels are not read.

    Raises:
        InputError: If there is no such folder or file, no image in it, a listed file is
            missing or listed twice, a class is missing, or another argument does not fit.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for name in ("ill/p1_b.png", "well/p2_a.png"):
        ...         Path(folder, name).parent.mkdir()
        ...         Path(folder, name).touch()
        ...     table = read_table(folder, labelled=True, group_pattern=r"p\d+")
        >>> table.paths, table.labels, table.classes, table.groups
        (('ill/p1_b.png', 'well/p2_a.png'), (0, 1), ('ill', 'well'), ('p1', 'p2'))
    """
    path = Path(path)
    check_frames(frames)
    secret = cache(lambda: Pseudonyms.load(key))
    if (path / SHARDS_FILE).is_file():
        table = _read_shards(path, labelled, group_pattern)
        table = _relabel(path, table, label_map) if labelled and label_map else table
        return _hide(table, secret()) if hide_names and not table.shown else table
    listing = list_images(path, labelled=labelled, grouped=bool(group_pattern))
    if labelled and label_map:
        rows, names = map_labels(path, listing.labels, label_map)
        listing = replace(listing.take(rows), labels=names)
    listing, grouping = find_groups(
        listing,
        pattern=group_pattern,
        headers=labelled or patients,
        secret=secret,
        hide=hide_names,
    )
    listing = cut_frames(listing, frames, axis)
    labels, classes = number_labels(path, listing.labels)
    table = ImageTable(
        listing.root,
        listing.paths,
        labels,
        classes,
        listing.groups,
        listing.splits,
        listing.frames,
        grouping=grouping,
    )
    _refuse_equal_names(path, table)
    return _hide_names(table, secret()) if hide_names else table


def _refuse_equal_names(path: Path, table: ImageTable) -> None:
    """Refuse a file called like a frame of another one."""
    if not table.frames or len(set(table.names)) == len(table):
        return
    twice = [name for name, count in Counter(table.names).items() if count > 1]
    raise InputError(
        f"{path}: files must not be called like frames of others, {len(twice)} are: "
        f"{first_few(twice)}; rename them"
    )


def _hide_names(table: ImageTable, pseudonyms: Pseudonyms) -> ImageTable:
    return replace(table, shown=tuple(pseudonyms.of("image", name) for name in table.names))


def _hide(table: ImageTable, pseudonyms: Pseudonyms) -> ImageTable:
    groups = tuple(pseudonyms.of("group", group) for group in table.groups)
    return _hide_names(replace(table, groups=groups), pseudonyms)


def _read_shards(folder: Path, labelled: bool, pattern: str) -> ImageTable:
    from glcm_mae.data.store.shards import read_shard_table  # which makes tables itself

    table = read_shard_table(folder)
    if not labelled:
        table = replace(table, labels=(), classes=())
    elif not table.labels:
        raise InputError(
            f"{folder}: holds shards without labels; make them anew from a labelled table"
        )
    if not pattern or table.grouping == "manifest":
        return table
    found = groups_in_paths(table.names, pattern)
    groups = tuple(
        found.get(name, group) for name, group in zip(table.names, table.groups, strict=True)
    )
    return replace(table, groups=groups, grouping="pattern")


def _relabel(
    folder: Path, table: ImageTable, label_map: Mapping[str, str | None]
) -> ImageTable:
    rows, names = map_labels(
        folder, [table.classes[label] for label in table.labels], label_map
    )
    labels, classes = number_labels(folder, names)
    return replace(table.subset(rows), labels=labels, classes=classes)
