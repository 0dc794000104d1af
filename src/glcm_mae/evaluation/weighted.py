"""The scores of :mod:`.scores` for many sets of weights at once, for resampling."""

from collections.abc import Callable, Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from glcm_mae.evaluation.bins import bin_members, cut, error_of_bins
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.scores import (
    DECISION_SCORES,
    GENERAL_SCORES,
    brier_losses,
    decision_scores,
    log_losses,
)
from glcm_mae.statistics import weighted_auroc

Weights = NDArray[np.float64]
"""How often each image counts, (sets, images)."""

ScoreArrays = dict[str, NDArray[np.float64]]
"""One number a set of weights, by the name of the score."""


class WeightedScores:
    """Scores of some cases as functions of how often each image counts.

    What does not depend on the weights (order, ties, bins, losses) is found once.

    Args:
        cases: What is scored.
        names: Scores that are wanted.

    Example:
        >>> shares = np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7]])
        >>> cases = Cases.of(np.array([0, 0, 1]), shares, positive=1)
        >>> scores = WeightedScores(cases, ["accuracy", "auroc"])
        >>> found = scores(np.array([[1.0, 1.0, 1.0], [1.0, 2.0, 1.0]]))
        >>> {name: values.round(3).tolist() for name, values in found.items()}
        {'accuracy': [0.667, 0.5], 'auroc': [1.0, 1.0]}
    """

    def __init__(self, cases: Cases, names: Collection[str]) -> None:
        self.names = names
        self._parts: list[Callable[[Weights], ScoreArrays]] = []
        if set(names) & set(DECISION_SCORES):
            self._parts.append(_Decisions(cases))
        if ranked := [name for name in _AREAS if name in names]:
            self._parts.append(_Rankings(cases, ranked))
        losses = {"brier": brier_losses, "log_loss": log_losses}
        for name in sorted(set(names) & set(losses)):
            self._parts.append(_Mean(name, losses[name](cases)))
        if "ece" in names:
            self._parts.append(_Calibration(cases))

    def __call__(self, weights: Weights) -> ScoreArrays:
        """Return the scores of each set of weights; NaN where one has no meaning."""
        found: ScoreArrays = {}
        with np.errstate(divide="ignore", invalid="ignore"):  # weights may all be 0
            for part in self._parts:
                found |= part(weights)
        return {name: found[name] for name in self.names}


class _Decisions:
    """Scores that follow from the weighted confusion matrix."""

    def __init__(self, cases: Cases) -> None:
        self.classes, self.positive = cases.classes, cases.positive
        cell = cases.labels * cases.classes + cases.called
        self.member = np.eye(cases.classes**2)[cell]

    def __call__(self, weights: Weights) -> ScoreArrays:
        counts = (weights @ self.member).reshape(-1, self.classes, self.classes)
        general, own = decision_scores(counts)
        main = {name: _of_classes(values, self.positive) for name, values in own.items()}
        return {**{name: general[name] for name in GENERAL_SCORES}, **main}


def _of_classes(values: NDArray[np.float64], positive: int | None) -> NDArray[np.float64]:
    return values.mean(axis=1) if positive is None else values[:, positive]


class _Rankings:
    """AUROC and average precision of each class against the rest."""

    def __init__(self, cases: Cases, names: Sequence[str]) -> None:
        self.names = names
        numbers = range(cases.classes) if cases.positive is None else [cases.positive]
        self.curves = [
            (cases.labels == number, cases.probabilities[:, number]) for number in numbers
        ]

    def __call__(self, weights: Weights) -> ScoreArrays:
        return {
            name: np.mean([_AREAS[name](*curve, weights) for curve in self.curves], axis=0)
            for name in self.names
        }


def weighted_precision(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: Weights
) -> NDArray[np.float64]:
    """Return the average precision for every row of weights; equal scores are one step.

    Args:
        truth: Whether each image is positive.
        scores: Score of each image; higher means positive.
        weights: One row a resample, one column an image; not negative.

    Returns:
        One number a row; NaN where positive images weigh nothing.

    Example:
        >>> truth, scores = np.array([False, True, True]), np.array([0.5, 0.4, 0.9])
        >>> weighted_precision(truth, scores, np.array([[1.0, 1, 1], [0, 1, 1], [1, 0, 0]]))
        array([0.83333333, 1.        ,        nan])
    """
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf) != 0)
    everything = weights[:, order]
    positive = everything * truth[order]
    if len(starts) < len(scores):
        everything = np.add.reduceat(everything, starts, axis=1)
        positive = np.add.reduceat(positive, starts, axis=1)
    above, called = np.cumsum(positive, axis=1), np.cumsum(everything, axis=1)
    precision = np.divide(above, called, out=np.zeros_like(above), where=called > 0)
    won, total = np.einsum("rs,rs->r", positive, precision), positive.sum(axis=1)
    found = np.divide(won, total, out=np.full(len(weights), np.nan), where=total > 0)
    return np.asarray(found)


_AREAS = {"auroc": weighted_auroc, "auprc": weighted_precision}


class _Mean:
    """The weighted mean of what each image costs."""

    def __init__(self, name: str, losses: NDArray[np.float64]) -> None:
        self.name, self.losses = name, losses

    def __call__(self, weights: Weights) -> ScoreArrays:
        return {self.name: weights @ self.losses / weights.sum(axis=1)}


class _Calibration:
    """Expected calibration error; the bins are those of all images."""

    def __init__(self, cases: Cases) -> None:
        self.members = bin_members(cut(cases.confidence), cases.confidence, cases.came_true)

    def __call__(self, weights: Weights) -> ScoreArrays:
        return {"ece": error_of_bins(weights @ self.members)}
