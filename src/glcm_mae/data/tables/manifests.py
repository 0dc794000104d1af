"""Manifests: tables of images in CSV or Parquet, written by people and by programs."""

import csv
import os
import posixpath
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from glcm_mae.data.tables.listing import WHOLE, Listing, first_few, is_plain, name_of
from glcm_mae.errors import InputError

if TYPE_CHECKING:
    from glcm_mae.data.tables.table import ImageTable

MANIFEST_SUFFIXES = (".csv", ".parquet")
"""Endings of the names of manifests."""

_READ = ("path", "label", "group", "split", "frame")
_PATIENTS = {"patient", "patientid", "subject", "subjectid", "participantid"}

Columns = dict[str, tuple[str, ...]]


def list_manifest(manifest: Path, *, labelled: bool, grouped: bool = False) -> Listing:
    """List the images of a manifest, in its order.

    Args:
        manifest: CSV or Parquet file with the column ``path``, and ``label``, ``group``,
            ``split``, ``frame`` and others.
        labelled: Whether every image needs a class.
        grouped: Whether patients are told in another way than by the column ``group``.

    Raises:
        InputError: If the file cannot be read, a column or a cell is missing, a listed
            file is not there, or an image is listed twice.
    """
    columns = read_columns(manifest, ("path", "label") if labelled else ("path",))
    if labelled and not grouped and "group" not in columns:
        _refuse_unread_patients(manifest, columns)
    root = manifest.parent
    paths = _normal(columns["path"])
    if gone := [path or "(empty)" for path in paths if not _is_there(root, path)]:
        raise InputError(
            f"{manifest}: each path must be a file, starting from {root}, {len(gone)} missing: "
            f"{first_few(gone)}; correct or remove these rows"
        )
    frames = _frames(manifest, columns)
    _refuse_repeats(manifest, paths, frames)
    labels = columns["label"] if labelled else ()
    if blank := [path for path, label in zip(paths, labels, strict=False) if not label]:
        raise InputError(
            f"{manifest}: each row needs a label, {len(blank)} without: {first_few(blank)}; "
            "fill in or remove these rows"
        )
    groups, splits = (_if_any(columns.get(name, ())) for name in ("group", "split"))
    return Listing(manifest, root, paths, labels, groups, splits, frames)


def read_columns(manifest: Path, needed: Sequence[str] = ("path",)) -> Columns:
    """Read a manifest.

    Args:
        manifest: CSV or Parquet file.
        needed: Columns that must be there.

    Returns:
        The cells of every column as text without blanks around it; numbers that are
        whole are written so, and what is missing is ``""``.

    Raises:
        InputError: If the file cannot be read, lacks a column, has one of those that are
            read twice, or has no rows.
    """
    parquet = manifest.suffix.lower() == ".parquet"
    header, rows = (_parquet_cells if parquet else _csv_cells)(manifest)
    for column in needed:
        if column not in header:
            found = ", ".join(header) or "none"
            raise InputError(
                f"{manifest}: needs the column {column!r}, found {found}; add it to the header"
            )
    if twice := [column for column in _READ if header.count(column) > 1]:
        raise InputError(
            f"{manifest}: has the column {twice[0]!r} more than once; keep one of them"
        )
    if not rows:
        raise InputError(f"{manifest}: has no rows below its header; add one row per image")
    wide = [[*row, *[""] * (len(header) - len(row))] for row in rows]
    return {
        name: tuple(row[place].strip() for row in wide) for place, name in enumerate(header)
    }


def _csv_cells(manifest: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in csv.reader(file, strict=True) if any(line)]
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise InputError(
            f"{manifest}: cannot be read as CSV ({error}); save it as comma-separated UTF-8"
        ) from error
    return [name.strip() for name in lines[0]] if lines else [], lines[1:]


def _parquet_cells(manifest: Path) -> tuple[list[str], list[list[str]]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise InputError(
            f"{manifest}: a Parquet file needs pyarrow: pip install 'glcm-mae[parquet]', or "
            "save it as CSV"
        ) from error
    try:
        table = parquet.ParquetFile(manifest).read()
        columns = [[_as_text(cell) for cell in column.to_pylist()] for column in table.columns]
    except (ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{manifest}: cannot be read as Parquet ({reason}); write it again, or save it as "
            "CSV"
        ) from error
    names = [name.strip() for name in table.column_names]
    return names, [list(row) for row in zip(*columns, strict=True)]


def _as_text(cell: Any) -> str:
    if cell is None or cell != cell:  # missing, or not a number
        return ""
    if isinstance(cell, float) and cell.is_integer():  # as pandas has integers beside gaps
        return str(int(cell))
    return str(cell)


def _normal(cells: Sequence[str]) -> tuple[str, ...]:
    return tuple(posixpath.normpath(cell) if cell else "" for cell in cells)


def _is_there(root: Path, path: str) -> bool:
    # A Path for each of many rows would take longer than to look for the files.
    file = os.path.join(root, path)  # noqa: PTH118
    return path != "" and is_plain(path) and os.path.isfile(file)  # noqa: PTH113


def _if_any(cells: tuple[str, ...]) -> tuple[str, ...]:
    return cells if any(cells) else ()


def _frames(manifest: Path, columns: Mapping[str, tuple[str, ...]]) -> tuple[int, ...]:
    cells = _if_any(columns.get("frame", ()))
    if odd := [cell for cell in cells if cell and not re.fullmatch(r"[0-9]{1,9}", cell)]:
        raise InputError(
            f"{manifest}: each frame must be a number from 0 up, or empty, {len(odd)} are not: "
            f"{first_few(odd)}; correct them"
        )
    return tuple(int(cell) if cell else WHOLE for cell in cells)


def _refuse_repeats(manifest: Path, paths: Sequence[str], frames: Sequence[int]) -> None:
    told = frames or (WHOLE,) * len(paths)
    counted = Counter(zip(paths, told, strict=True))
    if twice := [name_of(*pair) for pair, count in counted.items() if count > 1]:
        what = "each path and frame" if frames else "each path"
        raise InputError(
            f"{manifest}: {what} may stand in one row only, {len(twice)} repeated: "
            f"{first_few(twice)}; remove the repeats"
        )
    cut = {path for path, frame in zip(paths, told, strict=True) if frame != WHOLE}
    if both := sorted(cut & {path for path, frame in counted if frame == WHOLE}):
        raise InputError(
            f"{manifest}: a path must have a frame in all its rows or in none, {len(both)} in "
            f"some: {first_few(both)}; fill in the column frame"
        )


def _refuse_unread_patients(manifest: Path, columns: Mapping[str, object]) -> None:
    for column in columns:
        if re.sub(r"[^a-z]", "", column.lower()) in _PATIENTS:
            raise InputError(
                f"{manifest}: has the column {column!r} but no column 'group', which keeps the "
                "images of a patient together; rename it to group"
            )


def columns_of(source: Path, table: "ImageTable") -> dict[str, dict[str, str]]:
    """Return what a source tells of the images of a table beyond what a table keeps.

    Args:
        source: Folder, manifest or another file that the table was read from.
        table: Some or all of its images.

    Returns:
        For each column of a manifest the cell of each image, by its name; of a folder
        with subfolders these as the column ``label``. Where the names of the images are
        hidden, so are the groups.

    Raises:
        InputError: If the manifest cannot be read any more.
    """
    if source.is_dir():
        first = [path.partition("/")[0] for path in table.paths if "/" in path]
        classes = len(first) == len(table) and len(set(first)) > 1
        return {"label": dict(zip(table.names, first, strict=True))} if classes else {}
    if source.suffix.lower() not in MANIFEST_SUFFIXES:
        return {}
    columns = read_columns(source)
    place = _places(_normal(columns["path"]), _frames(source, columns))
    rows = [place(table.paths[row], table.frame(row)) for row in range(len(table))]
    told = {
        name: dict(zip(table.names, (cells[row] for row in rows), strict=True))
        for name, cells in columns.items()
    }
    if table.shown and "group" in told:
        told["group"] = dict(zip(table.names, table.groups, strict=True))
    return told


def _places(paths: Sequence[str], frames: Sequence[int]) -> Callable[[str, int | None], int]:
    """Find the row of a frame: its own, or that of its file."""
    told = frames or (WHOLE,) * len(paths)
    rows = {pair: row for row, pair in enumerate(zip(paths, told, strict=True))}

    def place(path: str, frame: int | None) -> int:
        own = (path, WHOLE if frame is None else frame)
        return rows[own] if own in rows else rows[path, WHOLE]

    return place
