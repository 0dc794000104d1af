"""Predictions to scores: the only place where a score is defined.

With two classes, sensitivity, specificity, F1 and AUROC are those of the positive
class. With more, they are the unweighted means over classes, each against the
rest, and every class's own stand under ``per_class``.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    roc_auc_score,
)

from glcm_mae.errors import InputError
from glcm_mae.runs import write_atomically

SCORES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "f1")
"""Names of the scores, in the order of every table."""

CLASS_SCORES = ("sensitivity", "specificity", "auroc", "f1")
"""Scores that each class has on its own, against the rest."""


@dataclass(frozen=True)
class Predictions:
    """What a classifier said of some images.

    Attributes:
        paths: Path of each image, as in the table.
        folds: Fold in which each image was tested, from 0.
        labels: Index of each true class.
        probabilities: One row an image, one column a class.
        classes: Names of the classes, in column order.
    """

    paths: tuple[str, ...]
    folds: NDArray[np.int64]
    labels: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    classes: tuple[str, ...]

    def fold(self, number: int) -> "Predictions":
        """Return the predictions of one fold."""
        rows = np.flatnonzero(self.folds == number)
        return Predictions(
            tuple(self.paths[row] for row in rows),
            self.folds[rows],
            self.labels[rows],
            self.probabilities[rows],
            self.classes,
        )


def concatenate(parts: Sequence[Predictions]) -> Predictions:
    """Put the predictions of several folds together."""
    return Predictions(
        tuple(path for part in parts for path in part.paths),
        np.concatenate([part.folds for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        parts[0].classes,
    )


def write_predictions(path: Path, predictions: Predictions) -> None:
    """Write ``path,fold,label,predicted,p_CLASS,...``: every score follows from it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = predictions.classes
    writer.writerow(["path", "fold", "label", "predicted", *(f"p_{name}" for name in names)])
    rows = zip(
        predictions.paths,
        predictions.folds,
        predictions.labels,
        predictions.probabilities,
        strict=True,
    )
    for image, fold, label, row in rows:
        chosen = names[int(row.argmax())]
        writer.writerow([image, fold, names[label], chosen, *(repr(float(p)) for p in row)])
    write_atomically(path, text.getvalue().encode())


def read_predictions(path: Path) -> Predictions:
    """Read what :func:`write_predictions` wrote.

    Raises:
        InputError: If the file is missing, has other columns, or a cell is no prediction.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    columns = list(rows[0]) if rows else []
    if columns[:4] != ["path", "fold", "label", "predicted"]:
        raise InputError(f"{path}: not a table of predictions (columns {columns})")
    classes = tuple(name.removeprefix("p_") for name in columns[4:])
    try:
        return Predictions(
            tuple(row["path"] for row in rows),
            np.array([int(row["fold"]) for row in rows]),
            np.array([classes.index(row["label"]) for row in rows]),
            np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows]),
            classes,
        )
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: holds a row that is no prediction ({error})") from error


def positive_index(classes: Sequence[str], positive: str) -> int | None:
    """Return the column of the positive class, or None where there are more than two.

    Raises:
        InputError: If it is no class, or is not named although there are two classes.
    """
    if positive and positive not in classes:
        raise InputError(f"data.positive {positive!r} is no class; there are {_list(classes)}")
    if len(classes) == 2 and not positive:
        raise InputError(
            f"two classes ({_list(classes)}): name the positive one, for instance "
            f"--data.positive {classes[-1]}"
        )
    return classes.index(positive) if positive else None


def _list(names: Sequence[str]) -> str:
    return ", ".join(names)


def class_scores(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], number: int
) -> dict[str, float]:
    """Return the scores of one class against the rest.

    Images are assigned to the class of the highest probability. A score without
    meaning is NaN: sensitivity and AUROC when the class does not occur, specificity
    and AUROC when nothing else does.
    """
    truth = labels == number
    called = probabilities.argmax(axis=1) == number
    (tn, fp), (fn, tp) = confusion_matrix(truth, called, labels=[False, True]).tolist()
    both = 0 < truth.sum() < len(truth)
    return {
        "sensitivity": tp / (tp + fn) if tp + fn else float("nan"),
        "specificity": tn / (tn + fp) if tn + fp else float("nan"),
        "auroc": float(roc_auc_score(truth, probabilities[:, number]))
        if both
        else float("nan"),
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else float("nan"),
    }


def score(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    classes: Sequence[str],
    positive: str = "",
) -> dict[str, Any]:
    """Return every score of some predictions.

    Args:
        labels: Index of each true class.
        probabilities: One row an image, one column a class.
        classes: Names of the classes.
        positive: The positive class; required when there are two.

    Returns:
        The six :data:`SCORES`, and ``per_class`` with the four of each class.

    Raises:
        InputError: If the positive class is missing or unknown.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
        >>> scores = score(labels, sure, ["healthy", "ill"], positive="ill")
        >>> scores["accuracy"], scores["sensitivity"], scores["specificity"]
        (0.75, 1.0, 0.5)
    """
    chosen = positive_index(classes, positive)
    per_class = {
        name: class_scores(labels, probabilities, number) for number, name in enumerate(classes)
    }
    called = probabilities.argmax(axis=1)
    general = {
        "accuracy": float(accuracy_score(labels, called)),
        "balanced_accuracy": _balanced_accuracy(labels, called),
    }
    if len(classes) == 2 and chosen is not None:
        main = per_class[classes[chosen]]
    else:
        main = {
            name: float(np.mean([scores[name] for scores in per_class.values()]))
            for name in CLASS_SCORES
        }
    return {**general, **main, "per_class": per_class}


def _balanced_accuracy(labels: NDArray[np.int64], called: NDArray[np.int64]) -> float:
    present = np.isin(called, np.unique(labels))
    if present.all():
        return float(balanced_accuracy_score(labels, called))
    # scikit-learn warns of a predicted class that does not occur; recall ignores it.
    recalls = [np.mean(called[labels == number] == number) for number in np.unique(labels)]
    return float(np.mean(recalls))


def summarise(folds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean and the standard deviation (n - 1) of every score over folds.

    NaN folds are left out, and ``folds`` says how many counted.
    """
    summary: dict[str, dict[str, Any]] = {
        name: _mean_sd([fold[name] for fold in folds]) for name in SCORES
    }
    summary["per_class"] = {
        label: {
            name: _mean_sd([fold["per_class"][label][name] for fold in folds])
            for name in CLASS_SCORES
        }
        for label in folds[0]["per_class"]
    }
    return summary


def _mean_sd(values: Sequence[float]) -> dict[str, float | int | None]:
    known = [value for value in values if not np.isnan(value)]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "folds": len(known),
    }


def score_folds(predictions: Predictions, positive: str = "") -> dict[str, Any]:
    """Return the scores of every fold, and their mean and standard deviation."""
    numbers = [int(number) for number in np.unique(predictions.folds)]
    folds = []
    for number in numbers:
        part = predictions.fold(number)
        folds.append(score(part.labels, part.probabilities, part.classes, positive))
    return {"summary": summarise(folds), "folds": folds}
