"""Which image is in which part, as a file: ``path,split``."""

import csv
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glcm_mae.data.folds.parts import number_groups, part_names
from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.errors import InputError


def format_assignment(table: ImageTable, fold: Fold) -> str:
    """Return a fold as CSV text with the columns ``path,split``, in table order.

    Rows in no part of the fold are called ``unused``.
    """
    parts = row_parts(fold, len(table))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "split"])
    writer.writerows(zip(table.names, parts, strict=True))
    return text.getvalue()


def row_parts(fold: Fold, count: int) -> list[str]:
    """Return the part of each row, ``unused`` where it is in none.

    Args:
        fold: Rows of the parts.
        count: Number of rows.

    Example:
        >>> row_parts(Fold(np.array([0]), np.array([2]), np.array([3])), 4)
        ['train', 'unused', 'validation', 'test']
    """
    parts = np.full(count, "unused", dtype=object)
    for name in ("train", "validation", "test"):
        parts[getattr(fold, name)] = name
    return list(parts)


def read_assignment(path: Path, table: ImageTable) -> tuple[str, ...]:
    """Return the part of every image of a table.

    Args:
        path: CSV file with the columns ``path`` and ``split``.
        table: The images; all must be listed, others may be.

    Raises:
        InputError: If the file is missing, lacks a column, or does not list an image.
    """
    return _read_column(path, "split", table)


def format_groups(table: ImageTable) -> str:
    """Return what stays together as CSV text with the columns ``path,group``, in table order.

    Groups are numbered as they first appear: their own names may tell who a patient is.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "group"])
    writer.writerows(zip(table.names, number_groups(table.groups).tolist(), strict=True))
    return text.getvalue()


def read_groups(path: Path, table: ImageTable) -> tuple[str, ...]:
    """Return the group of every image of a table.

    Args:
        path: CSV file with the columns ``path`` and ``group``.
        table: The images; all must be listed, others may be. One whose group is left empty
            is its own.

    Raises:
        InputError: If the file is missing, lacks a column, or does not list an image.
    """
    groups = _read_column(path, "group", table)
    return tuple(
        group or f"alone {name}" for group, name in zip(groups, table.names, strict=True)
    )


def _read_column(path: Path, column: str, table: ImageTable) -> tuple[str, ...]:
    setting = {"split": "data.split", "group": "data.groups"}[column]
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text"
        raise InputError(f"{path}: cannot be read ({reason}); check {setting}") from error
    columns = list(rows[0]) if rows else []
    if not {"path", column} <= set(columns):
        clusters = (
            "; clusters of near-duplicates stay together without it: to tell patients, fill "
            "them in, and call the column group"
            if column == "group" and "cluster" in columns
            else ""
        )
        raise InputError(
            f"{path}: needs the columns path and {column}, has {columns}{clusters}"
        )
    parts = {row["path"]: row[column] or "" for row in rows}
    missing = [name for name in table.names if name not in parts]
    if missing:
        raise InputError(
            f"{path}: does not list {len(missing)} of the images, such as {missing[0]}; list "
            "every image of the table"
        )
    return tuple(parts[name] for name in table.names)


def training_rows(splits: tuple[str, ...], count: int) -> NDArray[np.int64]:
    """Return the rows that may be pre-trained on: all that are not ``test``.

    Unused rows are among them: pre-training looks at no label.

    Args:
        splits: Part of every image; empty where none is known.
        count: Number of images.

    Raises:
        InputError: If a part is none of train, validation, test and unused.

    Example:
        >>> training_rows(("train", "Test", "val"), 3)
        array([0, 2])
    """
    if not splits:
        return np.arange(count)
    return np.flatnonzero(np.array(part_names(splits)) != "test")
