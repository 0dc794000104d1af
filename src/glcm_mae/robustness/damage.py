"""What corruption costs: scores, their drops against clean images, and intervals of both."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.evaluation import Judging, Predictions, positive_index
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.weighted import WeightedScores
from glcm_mae.statistics import (
    Interval,
    bca_interval,
    leave_out_weights,
    resample_blocks,
)

SCORES = ("balanced_accuracy", "accuracy", "auroc")
"""Scores that are followed over the severities."""

_ENTRIES = 2**25  # numbers of the jackknife's weights (256 MiB); beyond, it is left out

Condition = tuple[str, int]
"""Name of a corruption and severity."""


@dataclass(frozen=True)
class Damage:
    """Every score under every condition, with its interval over patients.

    Attributes:
        clean: Interval of each score on clean images.
        scores: The same under each condition.
        drops: Clean minus corrupted, paired image by image.
        mean_drops: Of each corruption, the mean drop over its severities.
        mean_drop: The mean of these over corruptions: for accuracy or balanced accuracy the
            mean relative corruption error, not divided by that of another system.
    """

    clean: Mapping[str, Interval]
    scores: Mapping[Condition, Mapping[str, Interval]]
    drops: Mapping[Condition, Mapping[str, Interval]]
    mean_drops: Mapping[str, Mapping[str, Interval]]
    mean_drop: Mapping[str, Interval]


class Replicates:
    """A score of all images, of every resample of whole patients, and without each patient.

    Differences and means of such numbers are numbers of the same kind, so that an
    interval of a paired difference needs no more than a minus sign.
    """

    def __init__(self, values: NDArray[np.float64], resamples: int, confidence: float) -> None:
        self.values, self.resamples, self.confidence = values, resamples, confidence

    def __sub__(self, other: "Replicates") -> "Replicates":
        return Replicates(self.values - other.values, self.resamples, self.confidence)

    @classmethod
    def mean(cls, parts: Sequence["Replicates"]) -> "Replicates":
        """Return the mean of some."""
        values = np.mean([part.values for part in parts], axis=0)
        return cls(values, parts[0].resamples, parts[0].confidence)

    @property
    def interval(self) -> Interval:
        """The estimate with its bootstrap interval; NaN limits where no resample differs."""
        drawn, left_out = np.split(self.values[1:], [self.resamples])
        if np.ptp(drawn) <= 1e-12:
            # As where no decision changes: these images cannot tell how often others would.
            return Interval(float(self.values[0]), float("nan"), float("nan"))
        return bca_interval(float(self.values[0]), drawn, left_out, confidence=self.confidence)


def measure_damage(
    clean: Predictions,
    corrupted: Mapping[Condition, Predictions],
    *,
    positive: str,
    settings: Judging,
) -> Damage:
    """Return scores and drops with bootstrap intervals.

    A score is the mean over folds, as in every other table. Whole clusters (patients, or
    near-duplicates) are drawn with replacement, within classes, and the same draws serve
    clean and corrupted images.

    Args:
        clean: Predictions of the clean images, each by its own fold's classifier.
        corrupted: Of each condition, predictions of the same images in the same order.
        positive: The positive class, or empty.
        settings: Confidence, number of resamples and seed.

    Raises:
        ValueError: If a condition has other images than the clean ones.
    """
    for condition, found in corrupted.items():
        if found.paths != clean.paths or not np.array_equal(found.folds, clean.folds):
            raise ValueError(f"{condition}: other images than the clean ones")
    column = positive_index(clean.classes, positive)
    everything = [clean, *corrupted.values()]
    base, *rest = _replicate(everything, column, settings)
    of = dict(zip(corrupted, rest, strict=True))
    drops = {
        condition: {name: base[name] - one[name] for name in SCORES}
        for condition, one in of.items()
    }
    names = list(dict.fromkeys(name for name, _ in corrupted))
    means = {
        kind: {
            name: Replicates.mean([drops[key][name] for key in drops if key[0] == kind])
            for name in SCORES
        }
        for kind in names
    }
    total = {name: Replicates.mean([means[kind][name] for kind in names]) for name in SCORES}
    return Damage(
        clean=_intervals(base),
        scores={key: _intervals(one) for key, one in of.items()},
        drops={key: _intervals(one) for key, one in drops.items()},
        mean_drops={kind: _intervals(one) for kind, one in means.items()},
        mean_drop=_intervals(total),
    )


def _intervals(parts: Mapping[str, Replicates]) -> dict[str, Interval]:
    return {name: part.interval for name, part in parts.items()}


def _replicate(
    everything: Sequence[Predictions], column: int | None, settings: Judging
) -> list[dict[str, Replicates]]:
    """Return the scores of each set of predictions under the same weights."""
    first = everything[0]
    clusters = np.unique(first.clusters, return_inverse=True)[1]
    scorers = [_fold_scorers(found, column) for found in everything]
    blocks = [np.ones((1, len(first)))]
    blocks += resample_blocks(
        clusters, first.labels, resamples=settings.resamples, seed=settings.seed
    )
    if (int(clusters.max()) + 1) * len(clusters) <= _ENTRIES:
        blocks.append(leave_out_weights(clusters))
    found = []
    for folds in scorers:
        parts = [_mean_over_folds(folds, weights) for weights in blocks]
        found.append(
            {
                name: Replicates(
                    np.concatenate([part[name] for part in parts]),
                    settings.resamples,
                    settings.confidence,
                )
                for name in SCORES
            }
        )
    return found


def _fold_scorers(
    found: Predictions, column: int | None
) -> list[tuple[NDArray[np.int64], WeightedScores]]:
    scorers = []
    for number in np.unique(found.folds).tolist():
        rows = np.flatnonzero(found.folds == number)
        cases = Cases.of(found.labels[rows], found.probabilities[rows], column)
        scorers.append((rows, WeightedScores(cases, SCORES)))
    return scorers


def _mean_over_folds(
    folds: Sequence[tuple[NDArray[np.int64], WeightedScores]], weights: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Return the mean over the folds in which a score has a meaning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        parts: list[dict[str, Any]] = [scorer(weights[:, rows]) for rows, scorer in folds]
        found = {}
        for name in SCORES:
            values = np.stack([part[name] for part in parts])
            known = np.isfinite(values)
            found[name] = np.where(known, values, 0.0).sum(axis=0) / known.sum(axis=0)
    return found
