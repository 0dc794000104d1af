"""The only definition of each score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from glcm_mae.errors import InputError
from glcm_mae.evaluation.bins import calibration_error, cut
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.predictions import Predictions

GENERAL_SCORES = ("accuracy", "balanced_accuracy", "mcc")
"""Scores of the decisions over all classes."""

CLASS_SCORES = ("sensitivity", "specificity", "ppv", "npv", "f1", "auroc", "auprc")
"""Scores that each class has on its own, against the rest."""

PROBABILITY_SCORES = ("brier", "log_loss", "ece")
"""Scores of the probabilities over all classes; less is better."""

SCORES = (*GENERAL_SCORES, *CLASS_SCORES, *PROBABILITY_SCORES)
"""Names of all scores, in the order of every table."""

DECISION_SCORES = (*GENERAL_SCORES, "sensitivity", "specificity", "ppv", "npv", "f1")
"""Scores that follow from the confusion matrix alone."""


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


def decision_scores(
    confusion: NDArray[Any],
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return the scores that follow from confusion matrices; NaN where one has no meaning.

    Args:
        confusion: Images, or their weights, (..., true class, class called).

    Returns:
        Scores over all classes (...), and scores of each class against the rest (..., class).

    Example:
        >>> general, own = decision_scores(np.array([[3, 1], [0, 4]]))
        >>> float(general["accuracy"]), own["ppv"].tolist()
        (0.875, [1.0, 0.8])

    References:
        MCC of several classes: Gorodkin, 2004, doi:10.1016/j.compbiolchem.2004.09.006
    """
    counts = np.asarray(confusion, dtype=np.float64)
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    true, called = counts.sum(axis=-1), counts.sum(axis=-2)
    everything = counts.sum(axis=(-2, -1))
    others = everything[..., None] - true
    with np.errstate(divide="ignore", invalid="ignore"):
        recall = hits / true
        own = {
            "sensitivity": recall,
            "specificity": (others - called + hits) / others,
            "ppv": hits / called,
            "npv": (others - called + hits) / (everything[..., None] - called),
            "f1": 2 * hits / (true + called),
        }
        spread = np.sqrt(
            (everything**2 - (true**2).sum(-1)) * (everything**2 - (called**2).sum(-1))
        )
        covariance = hits.sum(-1) * everything - (true * called).sum(-1)
        general = {
            "accuracy": hits.sum(-1) / everything,
            # A class that does not occur has no recall, and no say.
            "balanced_accuracy": np.where(true > 0, recall, 0).sum(-1) / (true > 0).sum(-1),
            "mcc": covariance / np.where(spread > 0, spread, np.nan),
        }
    return general, own


def brier_losses(cases: Cases) -> NDArray[np.float64]:
    """Return half the squared distance of each image's probabilities from the truth.

    With two classes that is the usual (p - y)²; it lies in [0, 1] for any number of
    classes. Brier's own sum over classes is twice as much.

    References:
        Brier, 1950, doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2
    """
    truth = np.eye(cases.classes)[cases.labels]
    return np.asarray(((cases.probabilities - truth) ** 2).sum(axis=1) / 2)


def log_losses(cases: Cases) -> NDArray[np.float64]:
    """Return minus the natural logarithm of the probability of each image's own class.

    Probabilities are kept a rounding error away from 0, as scikit-learn does.
    """
    own = cases.probabilities[np.arange(len(cases)), cases.labels]
    tiny = np.finfo(np.float64).eps
    return -np.log(np.clip(own, tiny, 1 - tiny))


def ranking_scores(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> dict[str, float]:
    """Return areas under the ROC curve and under precision over recall (average precision).

    AUROC is NaN unless both classes occur, AUPRC unless the positive one does.
    """
    both, some = 0 < truth.sum() < len(truth), truth.any()
    return {
        "auroc": float(roc_auc_score(truth, scores)) if both else float("nan"),
        "auprc": float(average_precision_score(truth, scores)) if some else float("nan"),
    }


def class_scores(
    labels: NDArray[np.int64], probabilities: NDArray[np.float64], number: int
) -> dict[str, float]:
    """Return the scores of one class against the rest.

    Images are assigned to the class of the highest probability. A score without
    meaning is NaN: sensitivity and AUROC when the class does not occur, specificity
    and AUROC when nothing else does, PPV when the class is never called.
    """
    return _class_scores(Cases.of(labels, probabilities), number)


def _class_scores(cases: Cases, number: int) -> dict[str, float]:
    truth, called = cases.labels == number, cases.called == number
    confusion = confusion_matrix(truth, called, labels=[False, True])
    _, own = decision_scores(confusion)
    decided = {name: float(values[1]) for name, values in own.items()}
    return {**decided, **ranking_scores(truth, cases.probabilities[:, number])}


def score_cases(cases: Cases) -> dict[str, float]:
    """Return all :data:`SCORES` of some cases, in their order.

    With two classes the :data:`CLASS_SCORES` are those of the positive class, with more
    the unweighted means over classes, each against the rest.
    """
    numbers = range(cases.classes) if cases.positive is None else [cases.positive]
    return _scores(cases, [_class_scores(cases, number) for number in numbers])


def _scores(cases: Cases, own: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return all scores, given those of the classes that count."""
    confusion = confusion_matrix(cases.labels, cases.called, labels=range(cases.classes))
    general, _ = decision_scores(confusion)
    return {
        **{name: float(general[name]) for name in GENERAL_SCORES},
        **{name: float(np.mean([scores[name] for scores in own])) for name in CLASS_SCORES},
        "brier": float(brier_losses(cases).mean()),
        "log_loss": float(log_losses(cases).mean()),
        "ece": calibration_error(cut(cases.confidence), cases.confidence, cases.came_true),
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
        All :data:`SCORES`, and ``per_class`` with the :data:`CLASS_SCORES` of each class.

    Raises:
        InputError: If the positive class is missing or unknown.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.3, 0.7], [0.2, 0.8]])
        >>> scores = score(labels, sure, ["healthy", "ill"], positive="ill")
        >>> scores["accuracy"], scores["sensitivity"], scores["specificity"]
        (0.75, 1.0, 0.5)
    """
    cases = Cases.of(labels, probabilities, positive_index(classes, positive))
    own = {name: _class_scores(cases, number) for number, name in enumerate(classes)}
    counting = list(own.values()) if cases.positive is None else [own[positive]]
    return {**_scores(cases, counting), "per_class": own}


def summarise(folds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the mean and the standard deviation (n - 1) of every score over folds.

    NaN folds are left out, and ``folds`` says how many counted.
    """
    summary: dict[str, dict[str, Any]] = mean_sd(folds)
    summary["per_class"] = {
        label: mean_sd([fold["per_class"][label] for fold in folds])
        for label in folds[0]["per_class"]
    }
    if "merged" in folds[0]:
        summary["merged"] = mean_sd([fold["merged"] for fold in folds])
    return summary


def mean_sd(folds: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return ``mean``, ``sd`` (n - 1) and number of ``folds`` of every score they hold."""
    names = [name for name in SCORES if name in folds[0]]
    return {name: _mean_sd([fold[name] for fold in folds]) for name in names}


def _mean_sd(values: Sequence[float]) -> dict[str, float | int | None]:
    known = [value for value in values if not np.isnan(value)]
    return {
        "mean": float(np.mean(known)) if known else None,
        "sd": float(np.std(known, ddof=1)) if len(known) > 1 else None,
        "folds": len(known),
    }


def score_folds(predictions: Predictions, positive: str = "") -> dict[str, Any]:
    """Return the scores of every fold, and their mean and standard deviation.

    Of more than two classes with a positive one, ``merged`` holds the scores of that
    class against the rest as a task of two classes.
    """
    column = positive_index(predictions.classes, positive)
    folds: list[dict[str, Any]] = []
    for number in np.unique(predictions.folds).tolist():
        part = predictions.fold(number)
        facts = {"fold": number, "repeat": int(part.repeat[0]), "images": len(part)}
        scores = score(part.labels, part.probabilities, part.classes, positive)
        if column is not None and len(part.classes) > 2:
            cases = Cases.of(part.labels, part.probabilities)
            scores["merged"] = score_cases(cases.merged(column))
        folds.append({**facts, **scores})
    return {"summary": summarise(folds), "folds": folds}
