"""What a classifier said of some images, and the table in which it is kept."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically

ALONE = -1
"""Group of an image of which nothing is known that it would belong with: it is its own."""

_COLUMNS = ("path", "fold", "label", "predicted")
_OPTIONAL = ("repeat", "group")


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class Predictions:
    """What a classifier said of some images.

    Attributes:
        paths: Path of each image, as in the table.
        folds: Number of the trained model that judged each image, from 0.
        labels: Index of each true class.
        probabilities: One row an image, one column a class.
        classes: Names of the classes, in column order.
        groups: Number of the group (patient, near-duplicates) of each image, the same in
            every fold and pass; :data:`ALONE`, the default, is an image on its own.
        repeat: Number of the complete pass over the images to which each row belongs.
    """

    paths: tuple[str, ...]
    folds: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]
    groups: NDArray[np.int64] = field(default_factory=_none)
    repeat: NDArray[np.int64] = field(default_factory=_none)

    def __post_init__(self) -> None:
        count = len(self.paths)
        for name, value in (("groups", ALONE), ("repeat", 0)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(count, value, dtype=np.int64))
        for name in ("folds", "labels", "probabilities", "groups", "repeat"):
            if len(getattr(self, name)) != count:
                raise ValueError(
                    f"{name} has {len(getattr(self, name))} rows for {count} paths"
                )

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def clusters(self) -> NDArray[np.int64]:
        """Number of what each image stays together with, from 0, whatever fold or pass.

        Example:
            >>> shares = np.full((3, 2), 0.5)
            >>> zeros = np.zeros(3, dtype=int)
            >>> Predictions(("a", "b", "a"), zeros, zeros, shares, ("x", "y")).clusters
            array([0, 1, 0])
        """
        names = [
            f"image {path}" if group == ALONE else f"group {group}"
            for path, group in zip(self.paths, self.groups.tolist(), strict=True)
        ]
        numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
        return np.array([numbers[name] for name in names], dtype=np.int64)

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Predictions":
        """Return some rows, given by number or by a mask."""
        numbers = np.arange(len(self))[chosen]
        return replace(
            self,
            paths=tuple(self.paths[row] for row in numbers),
            **{name: getattr(self, name)[numbers] for name in _arrays()},
        )

    def fold(self, number: int) -> "Predictions":
        """Return the predictions of one fold."""
        return self.rows(self.folds == number)


def _arrays() -> list[str]:
    return [part.name for part in fields(Predictions) if part.name not in ("paths", "classes")]


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds together.

    Raises:
        ValueError: If their classes differ.
    """
    if any(part.classes != parts[0].classes for part in parts):
        raise ValueError(f"the classes differ: {sorted({part.classes for part in parts})}")
    return Predictions(
        paths=tuple(path for part in parts for path in part.paths),
        classes=parts[0].classes,
        **{name: np.concatenate([getattr(part, name) for part in parts]) for name in _arrays()},
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write the table of predictions, from which every score follows.

    Its columns are ``path,fold,repeat,group,label,predicted,p_CLASS,...``; the group of an
    image on its own is left empty.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = predictions.classes
    heading = ("path", "fold", "repeat", "group", "label", "predicted")
    writer.writerow([*heading, *(f"p_{name}" for name in names)])
    rows = zip(
        predictions.paths,
        predictions.folds.tolist(),
        predictions.repeat.tolist(),
        predictions.groups.tolist(),
        predictions.labels,
        predictions.probabilities,
        strict=True,
    )
    for image, fold, repeat, group, label, row in rows:
        own = "" if group == ALONE else group
        facts = [image, fold, repeat, own, names[label], names[int(row.argmax())]]
        writer.writerow([*facts, *(repr(float(p)) for p in row)])
    write_atomically(path, text.getvalue().encode())


def read_predictions(path: Path) -> Predictions:
    """Read what :func:`write_predictions` wrote; ``repeat`` and ``group`` may be missing.

    Raises:
        InputError: If the file is missing, has other columns, or a cell is no prediction.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    columns = list(rows[0]) if rows else []
    known = [name for name in columns if name in (*_COLUMNS, *_OPTIONAL)]
    chances = columns[len(known) :]
    if (
        known != columns[: len(known)]
        or not set(_COLUMNS) <= set(known)
        or not all(str(name).startswith("p_") for name in chances)
    ):
        raise InputError(f"{path}: not a table of predictions (columns {columns})")
    classes = tuple(name.removeprefix("p_") for name in chances)
    try:
        return _parse(rows, classes)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: holds a row that is no prediction ({error})") from error


def _parse(rows: Sequence[Mapping[str, str]], classes: tuple[str, ...]) -> Predictions:
    probabilities = np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])
    off = np.flatnonzero(~(np.abs(probabilities.sum(axis=1) - 1) < 1e-3))
    if len(off):
        raise ValueError(f"the probabilities of {rows[off[0]]['path']} do not sum to one")
    groups = [row.get("group") or ALONE for row in rows]
    return Predictions(
        tuple(row["path"] for row in rows),
        np.array([int(row["fold"]) for row in rows]),
        np.array([classes.index(row["label"]) for row in rows]),
        probabilities,
        classes,
        np.array([int(group) for group in groups]),
        np.array([int(row.get("repeat") or 0) for row in rows]),
    )
