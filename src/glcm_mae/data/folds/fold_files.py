"""All folds of a cross-validation as one file: ``path,fold-0,fold-1,...``."""

import csv
import io
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glcm_mae.data.folds.assignments import row_parts
from glcm_mae.data.folds.parts import number_groups, part_names
from glcm_mae.data.folds.splits import Fold
from glcm_mae.errors import InputError

_NEEDED = "the columns path, fold-0, fold-1, ..., each cell train, validation, test or unused"


def format_folds(names: Sequence[str], folds: Sequence[Fold]) -> str:
    """Return folds as CSV text, one row an image and one column a fold.

    Args:
        names: What each image is called.
        folds: Their parts in each fold.

    Example:
        >>> fold = Fold(np.array([0]), np.array([1]), np.array([2]))
        >>> print(format_folds(["a.png", "b.png", "c.png"], [fold]), end="")
        path,fold-0
        a.png,train
        b.png,validation
        c.png,test
    """
    columns = [row_parts(fold, len(names)) for fold in folds]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *(f"fold-{number}" for number in range(len(folds)))])
    writer.writerows(zip(names, *columns, strict=True))
    return text.getvalue()


def read_folds(path: Path, names: Sequence[str]) -> list[Fold]:
    """Read folds as :func:`format_folds` writes them.

    Args:
        path: CSV file.
        names: What the images of the table are called; all must be listed, others may be.

    Returns:
        The same folds. Whether they tear groups apart, :func:`check_folds` tells.

    Raises:
        InputError: If the file cannot be read, is not of this form or does not list an
            image, or a part is empty, or an image is tested twice in one repeat.
    """
    header, lines = _read(path)
    columns = [name for name in header if name.startswith("fold-")]
    if "path" not in header or columns != [f"fold-{i}" for i in range(len(columns) or 1)]:
        found = ", ".join(header) or "none"
        raise InputError(f"{path}: needs {_NEEDED}; found the columns {found}")
    listed = {line[header.index("path")]: line for line in lines}
    if len(listed) < len(lines):
        raise InputError(
            f"{path}: lists {len(lines) - len(listed)} images twice; keep one row of each"
        )
    if missing := [name for name in names if name not in listed]:
        raise InputError(
            f"{path}: does not list {len(missing)} of the images, such as {missing[0]}; list "
            "every image of the table"
        )
    folds = [
        _read_fold(path, column, [listed[name][header.index(column)] for name in names])
        for column in columns
    ]
    try:
        repeat_numbers(folds)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return folds


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows; each row has a cell for every column."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json" or text.lstrip()[:1] in ("[", "{"):
            raise InputError(
                f"{path}: is JSON, such as nnU-Net's splits, which tells no test part beside "
                f"validation; write a CSV file with {_NEEDED}"
            )
        lines = [line for line in csv.reader(io.StringIO(text), strict=True) if any(line)]
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check the path"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read as CSV ({error}); save it as comma-separated UTF-8"
        ) from error
    header = [name.strip() for name in lines[0]] if lines else []
    width = len(header)
    return header, [[*line[:width], *[""] * (width - len(line))] for line in lines[1:]]


def _read_fold(path: Path, column: str, cells: list[str]) -> Fold:
    try:
        parts = np.array(part_names(cells))
    except InputError:
        unknown = sorted(set(cells) - {"train", "validation", "test", "unused"})
        raise InputError(
            f"{path}: {column} must say train, validation, test or unused in each row, found "
            f"{', '.join(map(repr, unknown[:3]))}; correct these cells"
        ) from None
    rows = [np.flatnonzero(parts == part) for part in ("train", "validation", "test")]
    for part, members in zip(("train", "validation", "test"), rows, strict=True):
        if len(members) == 0:
            raise InputError(f"{path}: {column} has no {part} image; give it some")
    return Fold(*rows)


def repeat_numbers(folds: Sequence[Fold]) -> list[int]:
    """Tell which repeat each fold belongs to.

    A repeat ends when all images that any fold tests have been tested once.

    Args:
        folds: The folds, the repeats one after the other.

    Returns:
        Number of the repeat of each fold, from 0.

    Raises:
        InputError: If an image is tested twice in a repeat, or not once in the last.

    Example:
        >>> one, other = np.array([0]), np.array([1])
        >>> repeat_numbers([Fold(one, one, other), Fold(other, other, one)] * 2)
        [0, 0, 1, 1]
    """
    every = {int(row) for fold in folds for row in fold.test}
    numbers: list[int] = []
    repeat, tested = 0, set[int]()
    for number, fold in enumerate(folds):
        test = set(fold.test.tolist())
        if twice := test & tested:
            raise InputError(
                f"fold-{number} tests {len(twice)} images again before all others have been "
                "tested; test each image once in each repeat"
            )
        numbers.append(repeat)
        tested |= test
        if tested == every:
            repeat, tested = repeat + 1, set()
    if tested:
        raise InputError(
            f"the last repeat does not test {len(every - tested)} of {len(every)} images; test "
            "each image once in each repeat"
        )
    return numbers


def check_folds(
    folds: Iterable[Fold], groups: Sequence[str], names: Sequence[str] = ()
) -> None:
    """Refuse folds in which a group stands in two parts.

    Args:
        folds: The folds.
        groups: Patient (or other source) of each row.
        names: What each image is called; with them two images of a torn group are told.

    Raises:
        InputError: If a fold tears groups apart; it tells how many, never what they are
            called.

    Example:
        >>> fold = Fold(np.array([0]), np.array([1]), np.array([2]))
        >>> check_folds([fold], ["p1", "p2", "p3"])
        >>> check_folds([fold], ["p1", "p2", "p1"])
        Traceback (most recent call last):
        glcm_mae.errors.InputError: fold-0: 1 of 2 groups (patients) stands in two parts; ...
    """
    numbers = number_groups(groups)
    for number, fold in enumerate(folds):
        parts = (fold.train, fold.validation, fold.test)
        found = Counter(group for part in parts for group in np.unique(numbers[part]).tolist())
        torn = sum(times > 1 for times in found.values())
        if torn:
            stands = "stands" if torn == 1 else "stand"
            such = _torn_images(fold, numbers, names) if names else ""
            raise InputError(
                f"fold-{number}: {torn} of {len(found)} groups (patients) {stands} in two "
                f"parts{such}; keep all images of a group in one part"
            )


def _torn_images(fold: Fold, numbers: npt.NDArray[np.intp], names: Sequence[str]) -> str:
    """Tell two images of the first group that stands in two parts."""
    parts = row_parts(fold, len(numbers))
    first: dict[int, int] = {}
    for row, part in enumerate(parts):
        if part == "unused":
            continue
        other = first.setdefault(int(numbers[row]), row)
        if parts[other] != part:
            return f", such as {names[other]} ({parts[other]}) and {names[row]} ({part})"
    return ""
