"""Everything that is said of a classifier: scores, intervals, operating point, calibration."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glcm_mae.errors import InputError
from glcm_mae.evaluation.calibration import (
    fit_temperature,
    reliability,
    slope_and_intercept,
    with_temperature,
)
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.operating import Rule, choose_threshold
from glcm_mae.evaluation.pooling import Pool, described, pooled_scores
from glcm_mae.evaluation.predictions import Predictions
from glcm_mae.evaluation.scores import (
    CLASS_SCORES,
    DECISION_SCORES,
    PROBABILITY_SCORES,
    SCORES,
    mean_sd,
    positive_index,
    score_cases,
    score_folds,
)

FEW_GROUPS = 30
"""With fewer independent groups of images no interval of this package is to be trusted."""

FEW_OF_A_CLASS = 10
"""The same for the groups of the rarest class."""


@dataclass(frozen=True)
class Judging:
    """How a classifier is judged.

    Attributes:
        operating_point: ``youden``, or the sensitivity to be reached on the inner part.
        confidence: Share of intervals that hold the true value.
        resamples: Resamples of the bootstrap.
        seed: Seed of the resamples.
    """

    operating_point: Rule = "youden"
    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0

    @property
    def drawing(self) -> dict[str, Any]:
        """Arguments of :func:`.pooling.pooled_scores`."""
        return {
            "confidence": self.confidence,
            "resamples": self.resamples,
            "seed": self.seed,
        }


def judge(
    test: Predictions,
    inner: Predictions | None = None,
    *,
    positive: str = "",
    settings: Judging = Judging(),
) -> dict[str, Any]:
    """Say everything of a classifier that its predictions tell.

    Thresholds and temperatures are chosen on the inner part of each fold, and only
    applied to its test part: the labels of the test part have no say in them.

    Args:
        test: Predictions on the test parts of all folds.
        inner: Predictions on the inner validation parts by the same models; without
            them there is neither an operating point nor a temperature.
        positive: The positive class; required when there are two.
        settings: How to judge.

    Returns:
        What :func:`.scores.score_folds` returns (``summary``, ``folds``), and

        - ``pooled``: of each score over all test images ``estimate``, ``low``, ``high``
          and ``method``;
        - ``per_class`` (more than two classes): the same of each class against the rest;
        - ``merged`` (more than two classes, one named positive): the same of that class
          against the rest as a task of two classes;
        - ``operating_point``: ``rule``, ``thresholds`` by fold, ``summary``, ``folds``
          and ``pooled`` of the decisions at them, or None;
        - ``calibration``: ``brier``, ``log_loss``, ``ece``, ``slope``, ``intercept`` and
          ``reliability``, ``temperature`` by fold, and ``after``: the same with it;
        - ``images``, ``groups``, ``passes``, ``confidence``, ``resamples``, ``notes``.

        A number without meaning is NaN, a limit likewise.

    Raises:
        InputError: If the positive class is missing or unknown, there is nothing to
            judge, or a fold has no inner part.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> labels = np.arange(80) % 2
        >>> ill = 1 / (1 + np.exp(-rng.normal(2 * labels - 1, 1.0)))
        >>> test = Predictions(
        ...     tuple(f"{row}.png" for row in range(80)), np.arange(80) // 40, labels,
        ...     np.stack([1 - ill, ill], axis=1), ("healthy", "ill"))
        >>> found = judge(test, positive="ill", settings=Judging(resamples=200))
        >>> found["pooled"]["sensitivity"]["method"], found["pooled"]["f1"]["method"]
        ('Wilson', 'BCa bootstrap')
    """
    if not len(test):
        raise InputError("there are no predictions to judge")
    if inner is not None:
        _check_inner(test, inner)
    judgement = _Judgement(test, inner, positive, settings)
    return {
        **score_folds(test, positive),
        "pooled": (pooled := judgement.pooled()),
        **judgement.merges(),
        "operating_point": judgement.operating_point(),
        "calibration": judgement.calibration(pooled),
        "images": len(set(test.paths)),
        "groups": len(np.unique(test.clusters)),
        "passes": len(judgement.pool.passes),
        "confidence": settings.confidence,
        "resamples": settings.resamples,
        "notes": judgement.notes(),
    }


def _check_inner(test: Predictions, inner: Predictions) -> None:
    if inner.classes != test.classes:
        raise InputError(
            f"the inner part has the classes {inner.classes}, the test part {test.classes}: "
            "these are predictions of different runs"
        )
    missing = sorted(set(test.folds.tolist()) - set(inner.folds.tolist()))
    if missing:
        raise InputError(
            f"fold {missing[0]} has predictions of its test part but none of its inner part: "
            "a threshold cannot be chosen there"
        )


class _Judgement:
    """One classifier: its cases, and the same as positive against rest."""

    def __init__(
        self, test: Predictions, inner: Predictions | None, positive: str, settings: Judging
    ) -> None:
        self.test, self.inner, self.settings = test, inner, settings
        self.positive = positive
        self.column = positive_index(test.classes, positive)
        cases = Cases.of(test.labels, test.probabilities, self.column)
        self.pool = Pool(cases, test.clusters, test.repeat)
        self.folds: list[int] = np.unique(test.folds).tolist()

    def two(self, cases: Cases) -> Cases | None:
        """Return the positive class against the rest, if one is positive."""
        if self.column is None or cases.classes == 2:
            return cases if self.column is not None else None
        return cases.merged(self.column)

    def pooled(self) -> dict[str, Any]:
        """Return every score of all test images with its interval."""
        return pooled_scores(self.pool, SCORES, **self.settings.drawing)

    def merges(self) -> dict[str, Any]:
        """Return each class against the rest, and the positive one as a task of its own."""
        cases, drawing = self.pool.cases, self.settings.drawing
        if cases.classes == 2:
            return {}
        own = {
            name: pooled_scores(self.pool.of(cases.merged(number)), CLASS_SCORES, **drawing)
            for number, name in enumerate(self.test.classes)
        }
        two = self.two(cases)
        if two is None:
            return {"per_class": own}
        pooled = pooled_scores(self.pool.of(two), SCORES, **drawing)
        return {"per_class": own, "merged": {"positive": self.positive, "pooled": pooled}}

    def operating_point(self) -> dict[str, Any] | None:
        """Choose a threshold on the inner part of each fold, and apply it to its test part."""
        two = self.two(self.pool.cases)
        thresholds = self.thresholds()
        if two is None or thresholds is None or None in thresholds.values():
            return None
        at = two.called_at(np.array([thresholds[fold] for fold in self.test.folds.tolist()]))
        names = [name for name in SCORES if name in DECISION_SCORES]
        folds = []
        for fold in self.folds:
            scores = score_cases(at.rows(self.test.folds == fold))
            folds.append({"fold": fold, **{name: scores[name] for name in names}})
        return {
            "rule": self.settings.operating_point,
            "positive": self.positive,
            "thresholds": thresholds,
            "summary": mean_sd(folds),
            "folds": folds,
            "pooled": pooled_scores(self.pool.of(at), names, **self.settings.drawing),
        }

    def thresholds(self) -> Mapping[int, float | None] | None:
        """Return the threshold of each fold; None where its inner part lacks a class."""
        if self.inner is None or self.column is None:
            return None
        found = {}
        for fold in self.folds:
            part = self.inner.fold(fold)
            found[fold] = choose_threshold(
                part.labels == self.column,
                part.probabilities[:, self.column],
                self.settings.operating_point,
            )
        return found

    def calibration(self, pooled: Mapping[str, Any]) -> dict[str, Any]:
        """Return how far probabilities hold, as they are and with the inner temperature."""
        before = {name: pooled[name] for name in PROBABILITY_SCORES}
        found = {**before, **self.curve(self.pool)}
        if self.inner is None:
            return {**found, "temperature": None, "after": None}
        temperatures, probabilities = {}, np.empty_like(self.test.probabilities)
        for fold in self.folds:
            part, rows = self.inner.fold(fold), self.test.folds == fold
            temperatures[fold] = fit_temperature(part.labels, part.probabilities)
            probabilities[rows] = with_temperature(
                self.test.probabilities[rows], temperatures[fold]
            )
        pool = self.pool.of(replace(self.pool.cases, probabilities=probabilities))
        after = pooled_scores(pool, PROBABILITY_SCORES, **self.settings.drawing)
        return {
            **found,
            "temperature": temperatures,
            "after": {**after, **self.curve(pool)},
        }

    def curve(self, pool: Pool) -> dict[str, Any]:
        """Return slope, intercept and the bins of the reliability diagram."""
        confidence, two = self.settings.confidence, self.two(pool.cases)
        found: dict[str, Any] = {"slope": None, "intercept": None}
        if two is not None:
            line = slope_and_intercept(two, pool.clusters, confidence=confidence)
            method = "Wald, cluster-robust"
            found = {name: described(value, method) for name, value in line.items()}
        bins = reliability(pool.cases, pool.clusters, confidence=confidence)
        return {**found, "reliability": bins}

    def notes(self) -> list[str]:
        """Say what a reader must know before trusting the numbers."""
        return [*self.few(), *self.without_threshold()]

    def few(self) -> list[str]:
        """Say so if there are too few independent groups."""
        strata = self.pool.strata
        occurs = np.unique(self.test.labels)
        of_class = np.bincount(strata, minlength=self.pool.cases.classes)[occurs]
        rarest = int(of_class.min())
        if len(strata) >= FEW_GROUPS and rarest >= FEW_OF_A_CLASS:
            return []
        name = self.test.classes[int(occurs[of_class.argmin()])]
        return [
            f"too few groups for a trustworthy interval: {len(strata)}, {rarest} of them "
            f"{name} (needed: {FEW_GROUPS}, and {FEW_OF_A_CLASS} of each class)"
        ]

    def without_threshold(self) -> list[str]:
        """Say which fold's inner part is to blame for a missing operating point."""
        blind = [fold for fold, value in (self.thresholds() or {}).items() if value is None]
        if not blind:
            return []
        return [f"no operating point: the inner part of fold {blind[0]} lacks a class"]
