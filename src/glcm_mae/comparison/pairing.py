"""Two runs, image by image: their scores in every fold, under any weights and any swap."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from glcm_mae.comparison.comparable import test_folds
from glcm_mae.comparison.finished import FinishedRun
from glcm_mae.evaluation import Cases, WeightedScores

Floats = NDArray[np.float64]
OWN_SCORES = ("sensitivity", "specificity")
"""Scores that are the positive class's own also where there are more than two classes."""


class Scorer:
    """The wanted scores of some predictions, for any weights of the images.

    With two classes they are those of the positive class. With more, F1 and AUROC are means
    over classes, and sensitivity and specificity are those of the positive class against
    the rest if one is named.
    """

    def __init__(
        self,
        labels: NDArray[np.int64],
        probabilities: Floats,
        positive: int | None,
        names: Sequence[str],
    ) -> None:
        cases = Cases.of(labels, probabilities, positive)
        merge = probabilities.shape[1] > 2 and positive is not None
        own = [name for name in names if merge and name in OWN_SCORES]
        self._parts = [WeightedScores(cases, [name for name in names if name not in own])]
        if own and positive is not None:
            self._parts.append(WeightedScores(cases.merged(positive), own))

    def __call__(self, weights: Floats) -> dict[str, Floats]:
        """Return the scores of each row of weights; NaN where one has no meaning."""
        found: dict[str, Floats] = {}
        for part in self._parts:
            found |= part(weights)
        return found


@dataclass(frozen=True)
class Trial:
    """A model of each run, trained on the same parts and tested on the same images.

    Attributes:
        rows: Number of each test image.
        division: Number of the test fold; models of other seeds have the same.
        labels: Its true class.
        a: Probabilities by the first run's model, one row an image.
        b: Those by the second.
    """

    rows: NDArray[np.int64]
    division: int
    labels: NDArray[np.int64]
    a: Floats
    b: Floats

    def scorers(self, positive: int | None, names: Sequence[str]) -> tuple[Scorer, Scorer]:
        """Return the scores of either model as functions of weights."""
        return (
            Scorer(self.labels, self.a, positive, names),
            Scorer(self.labels, self.b, positive, names),
        )

    def swap_scorer(self, positive: int | None, names: Sequence[str]) -> Scorer:
        """Return the scores of a mixture: weights for all of a's predictions, then b's."""
        both = np.concatenate([self.a, self.b])
        return Scorer(np.tile(self.labels, 2), both, positive, names)


@dataclass(frozen=True)
class Pairing:
    """Two runs on the same images and folds.

    Attributes:
        labels: True class of each image.
        clusters: Number of the patient or other group of each image.
        trials: One pair of models a fold, repeat and seed.
        positive: Column of the positive class; None if none is named.
        classes: Number of classes.
        names: Scores that are compared.
        test_share: Test images per training image, mean over folds.
    """

    labels: NDArray[np.int64]
    clusters: NDArray[np.int64]
    trials: Sequence[Trial]
    positive: int | None
    classes: int
    names: Sequence[str]
    test_share: float

    @classmethod
    def of(cls, first: FinishedRun, second: FinishedRun, names: Sequence[str]) -> "Pairing":
        """Bring the predictions of two comparable runs into the same order."""
        given = first.predictions
        images = sorted(set(given.paths))
        place = {path: number for number, path in enumerate(images)}
        rows = np.array([place[path] for path in given.paths])
        labels, clusters = np.empty((2, len(images)), dtype=np.int64)
        labels[rows], clusters[rows] = given.labels, given.clusters
        if len(set(second.predictions.clusters)) < len(set(given.clusters)):
            # Groups differ only where that was forced: then the coarser ones hold.
            other = second.predictions
            clusters[[place[path] for path in other.paths]] = other.clusters
        own, others = test_folds(first), test_folds(second)
        divisions: dict[tuple[str, ...], int] = {}
        trials = []
        for key, number in own.items():
            paths = key[1]
            where = np.array([place[path] for path in paths])
            division = divisions.setdefault(paths, len(divisions))
            answers = [_answers(first, number, paths), _answers(second, others[key], paths)]
            trials.append(Trial(where, division, labels[where], *answers))
        positive = given.classes.index(first.positive) if first.positive else None
        return cls(
            labels, clusters, trials, positive, len(given.classes), names, first.test_share
        )

    @property
    def divisions(self) -> int:
        """Number of different test folds."""
        return 1 + max(trial.division for trial in self.trials)

    @property
    def tested_once(self) -> bool:
        """Whether each image was tested by one model of each run."""
        return sum(len(trial.rows) for trial in self.trials) == len(self.labels)

    @property
    def folds_apart(self) -> bool:
        """Whether different test folds share no image."""
        sizes = {trial.division: len(trial.rows) for trial in self.trials}
        return sum(sizes.values()) == len(self.labels)

    @property
    def folds_of_a_pass(self) -> int:
        """Number of test folds into which the images are divided at a time."""
        sizes = {trial.division: len(trial.rows) for trial in self.trials}
        return round(len(self.labels) / (sum(sizes.values()) / len(sizes)))

    @property
    def strata(self) -> NDArray[np.int64]:
        """What resamples draw apart: classes, within test folds where each image has one."""
        if not self.folds_apart:
            return self.labels
        division = np.empty_like(self.labels)
        for trial in self.trials:
            division[trial.rows] = trial.division
        return self.labels + self.classes * division

    @cached_property
    def _scorers(self) -> list[tuple[Scorer, Scorer]]:
        return [trial.scorers(self.positive, self.names) for trial in self.trials]

    @cached_property
    def _swap_scorers(self) -> list[Scorer]:
        return [trial.swap_scorer(self.positive, self.names) for trial in self.trials]

    def trial_scores(self) -> dict[str, Floats]:
        """Return the scores of every pair of models, (trials, 2), by name."""
        found = [
            [scorer(np.ones((1, len(trial.rows)))) for scorer in scorers]
            for trial, scorers in zip(self.trials, self._scorers, strict=True)
        ]
        return {
            name: np.array([[side[name][0] for side in sides] for sides in found])
            for name in self.names
        }

    def weighted(self, weights: Floats) -> dict[str, Floats]:
        """Return the mean scores over all models, (resamples, 2), under weights of images."""
        found = [
            [scorer(weights[:, trial.rows]) for scorer in scorers]
            for trial, scorers in zip(self.trials, self._scorers, strict=True)
        ]
        return {
            name: mean_over_trials(
                np.array([[side[name] for side in sides] for sides in found])
            ).T
            for name in self.names
        }

    def swapped(self, swap: NDArray[np.bool_]) -> dict[str, Floats]:
        """Return the mean differences if the two exchanged their predictions of some images."""
        found: dict[str, list[Floats]] = {name: [] for name in self.names}
        for trial, scorer in zip(self.trials, self._swap_scorers, strict=True):
            own = swap[:, trial.rows].astype(np.float64)
            first = scorer(np.concatenate([1 - own, own], axis=1))
            second = scorer(np.concatenate([own, 1 - own], axis=1))
            for name in self.names:
                found[name].append(first[name] - second[name])
        return {name: mean_over_trials(np.array(values)) for name, values in found.items()}

    def division_differences(self, scores: Floats) -> Floats:
        """Return the difference in each test fold, mean over its seeds; NaN without meaning."""
        differences = scores[:, 0] - scores[:, 1]
        of = np.array([trial.division for trial in self.trials])
        parts = [differences[of == number] for number in range(self.divisions)]
        return np.array([mean_over_trials(part) for part in parts])


def _answers(run: FinishedRun, number: int, paths: Sequence[str]) -> Floats:
    part = run.predictions.fold(number)
    row = {path: place for place, path in enumerate(part.paths)}
    return part.probabilities[[row[path] for path in paths]]


def mean_over_trials(values: Floats) -> Floats:
    """Return the mean over the first axis of what is not NaN; NaN where nothing is left."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.asarray(
        np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    )
