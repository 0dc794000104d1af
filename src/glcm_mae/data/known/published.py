"""A folder against what was published of a data set, and its manifest."""

import csv
import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from glcm_mae.data.known.catalog import KnownSet
from glcm_mae.data.known.layouts import Found, find_images
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically


@dataclass(frozen=True)
class Count:
    """Images of a part and class, as found and as published.

    Attributes:
        part: Official part, or ``all``.
        label: Class, or ``""`` for all classes together.
        found: Images found.
        published: Images published.
    """

    part: str
    label: str
    found: int
    published: int

    def __str__(self) -> str:
        """Tell both numbers, and what is missing or more."""
        what = " ".join(word for word in (self.part, self.label) if word and word != "all")
        text = f"{what or 'images'}: {self.found:,} found, {self.published:,} published"
        if self.found < self.published:
            return f"{text}, {self.published - self.found:,} missing"
        if self.found > self.published:
            return f"{text}, {self.found - self.published:,} more"
        return text


@dataclass(frozen=True)
class CheckReport:
    """What a comparison found; as text, one line a fact and a verdict.

    Attributes:
        name: The data set.
        source: What was compared.
        counts: Images of each part and class.
        differences: What else is not as published, one line each.
        notes: What is worth knowing, but no difference.
    """

    name: str
    source: Path
    counts: tuple[Count, ...]
    differences: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether all is as published."""
        return not self.differences and all(c.found == c.published for c in self.counts)

    def __str__(self) -> str:
        """Return the report for the terminal."""
        signs = [
            ("  ok  " if c.found == c.published else "  !!  ") + str(c) for c in self.counts
        ]
        lines = [*signs, *(f"  !!  {line}" for line in self.differences)]
        lines += [f"      {line}" for line in self.notes]
        found, published = (
            sum(getattr(count, name) for count in self.counts)
            for name in ("found", "published")
        )
        verdict = (
            f"as published: {found:,} images"
            if self.agrees
            else f"NOT as published: {found:,} of {published:,} images; see the lines marked !!"
        )
        return "\n".join([f"{self.name}: {self.source}", *lines, verdict])


def check_folder(entry: KnownSet, folder: Path) -> CheckReport:
    """Compare a folder with what was published of a data set.

    The folder may hold the set as it was published (around or inside its outermost
    folder), a ``manifest.csv``, or an archive of MedMNIST; pixels are not looked at.

    Args:
        entry: The set.
        folder: The folder, a manifest or an archive.

    Raises:
        InputError: If it is not there, or nothing in it is laid out like the set.
    """
    found = find_images(entry, folder)
    differences = list(found.problems)
    if found.archive is not None:
        differences += _check_sum(entry, found.archive)
    notes = list(found.notes)
    if entry.group_pattern and found.paths:
        odd = sum(not entry.group_of(path) for path in found.paths)
        (differences if odd else notes).append(
            f"{odd:,} of {len(found.paths):,} file names tell no patient"
            if odd
            else "all file names tell a patient"
        )
    counts = _counts(entry, found)
    if entry.parts and not found.parts:
        notes.append("no part is told for the images: only the sums were compared")
    return CheckReport(entry.name, folder, counts, tuple(differences), tuple(notes))


def _counts(entry: KnownSet, found: Found) -> tuple[Count, ...]:
    apart = bool(entry.parts and found.parts)
    published: Counter[tuple[str, str]] = Counter()
    for part, classes in entry.counts.items():
        for label, number in classes.items():
            published[part if apart else "all", label] += number
    labelled = "" not in {label for _, label in published}
    parts = found.parts if apart else ("all",) * len(found)
    labels = found.labels if labelled else ("",) * len(found)
    actual = Counter(zip(parts, labels, strict=True))
    keys = [*published, *(key for key in actual if key not in published)]
    return tuple(Count(*key, actual[key], published[key]) for key in keys)


def _check_sum(entry: KnownSet, archive: Path) -> list[str]:
    """Tell if an archive is none of the published ones."""
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    if digest.hexdigest() in (entry.files or {}).values():
        return []
    return [f"{archive.name} has a checksum that was not published: get the file again"]


def write_manifest(entry: KnownSet, folder: Path, out: Path) -> Path:
    """Write a manifest of a data set that lies as it was published.

    The manifest has the columns ``path,label,group,split``; masks and what else lies in
    the folder is left out. Groups are empty where file names tell no patient.

    Args:
        entry: The set.
        folder: Folder that holds it.
        out: File to write; the images must lie in its folder or below.

    Returns:
        The file.

    Raises:
        InputError: If the layout is not that of the set, there is a manifest already, or
            the images do not lie below ``out``.
    """
    found = find_images(entry, folder)
    if found.archive is not None or found.manifest is not None:
        there = found.archive or found.manifest
        raise InputError(f"{there}: is read as it is; give it as --data.table {there}")
    if out.exists():
        raise InputError(f"{out}: exists already; remove it or choose another name")
    paths = [_from(out, found.root, path) for path in found.paths]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "group", "split"])
    groups = [entry.group_of(path) for path in found.paths]
    parts: Sequence[str] = found.parts or [""] * len(paths)
    writer.writerows(zip(paths, found.labels, groups, parts, strict=True))
    write_atomically(out, text.getvalue().encode())
    return out


def _from(out: Path, root: Path, path: str) -> str:
    start = Path(os.path.relpath(root.resolve(), out.parent.resolve()))
    if start.parts[:1] == (os.pardir,):
        raise InputError(
            f"{out}: must lie beside the images or above them, in {root} or a folder around it"
        )
    return (start / path).as_posix()
