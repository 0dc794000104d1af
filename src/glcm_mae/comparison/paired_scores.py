"""One score of two runs: the difference, its interval, and every test that applies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from glcm_mae.comparison.pairing import Floats, Pairing, mean_over_trials
from glcm_mae.statistics import (
    Interval,
    PairedTest,
    cohens_h,
    corrected_resampled_t,
    delong_over_folds,
    mcnemar_test,
    percentile_interval,
    permutation_tests,
    resample_blocks,
    standardised_difference,
    wilcoxon_test,
)

FEWEST_FOLDS = 5
"""Different test folds from which on the corrected resampled t test is the primary one."""

FEW_CLUSTERS = 50
"""Groups, if of several images, below which repeats lend no degrees of freedom."""

_SHARES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity")


@dataclass(frozen=True)
class Settings:
    """How sure, and by how many draws.

    Attributes:
        confidence: Share of intervals that hold the true difference.
        resamples: Resamples of the bootstrap.
        permutations: Permutations where there are too many to try all.
        seed: Seed of both.
    """

    confidence: float = 0.95
    resamples: int = 2000
    permutations: int = 5000
    seed: int = 0


@dataclass(frozen=True)
class ScoreComparison:
    """Two runs by one score.

    Attributes:
        score: Name of the score.
        first: Mean score of the first run over its models.
        second: That of the second.
        difference: First minus second, with the interval that goes with the primary test.
        primary: Name of the primary test.
        p_value: Its p-value.
        p_holm: The same after Holm's method over all comparisons of the call.
        tests: Every test that applies, by name.
        bootstrap: The difference with its bootstrap interval over patients.
        effect: Standardised effect, with its interval.
        effect_name: ``d_z`` over folds or ``h`` of proportions; empty where none applies.
    """

    score: str
    first: float
    second: float
    difference: Interval
    primary: str
    p_value: float
    tests: Mapping[str, PairedTest]
    bootstrap: Interval
    effect: Interval
    effect_name: str
    p_holm: float = float("nan")

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in files."""
        return {
            **asdict(replace(self, tests={})),
            "difference": self.difference._asdict(),
            "bootstrap": self.bootstrap._asdict(),
            "effect": self.effect._asdict(),
            "tests": {name: asdict(test) for name, test in self.tests.items()},
        }


@dataclass(frozen=True)
class Resampled:
    """A score of both runs in every resample of whole clusters.

    Attributes:
        scores: (resamples, 2).
        clusters: Number of clusters that were drawn from.
        confidence: Share of intervals that hold the truth.
    """

    scores: Floats
    clusters: int
    confidence: float

    def interval(self, estimate: float, contrast: Callable[[Floats], Floats]) -> Interval:
        """Return the bootstrap interval of what ``contrast`` makes of the two scores."""
        replicates = contrast(self.scores)
        return percentile_interval(
            estimate, replicates, self.clusters, confidence=self.confidence
        )


def compare_scores(pairing: Pairing, settings: Settings) -> list[ScoreComparison]:
    """Compare two runs by every score of the pairing."""
    scores = pairing.trial_scores()
    permuted = permutation_tests(
        pairing.swapped,
        pairing.clusters,
        permutations=settings.permutations,
        seed=settings.seed,
    )
    drawn = _weighted(
        pairing,
        resample_blocks(
            pairing.clusters,
            pairing.strata,
            resamples=settings.resamples,
            seed=settings.seed,
        ),
    )
    clusters = len(np.unique(pairing.clusters))
    found = []
    for name in pairing.names:
        tests = _tests(pairing, name, scores[name], permuted[name], settings)
        resampled = Resampled(drawn[name], clusters, settings.confidence)
        found.append(_compare(pairing, name, scores[name], tests, resampled))
    return found


def _weighted(pairing: Pairing, blocks: Iterator[Floats]) -> dict[str, Floats]:
    found = [pairing.weighted(weights) for weights in blocks]
    return {name: np.concatenate([part[name] for part in found]) for name in pairing.names}


def primary_test(pairing: Pairing, score: str) -> str:
    """Return the test whose p-value is quoted; it depends on the design, never on results.

    From :data:`FEWEST_FOLDS` different test folds on, the corrected resampled t test: it
    alone asks about the way of training. With fewer, only the trained models can be
    compared: DeLong's test for an AUROC of two classes, else the permutation test.
    """
    if pairing.divisions >= FEWEST_FOLDS:
        return "corrected_t"
    return "delong" if score == "auroc" and pairing.classes == 2 else "permutation"


def _tests(
    pairing: Pairing, name: str, scores: Floats, permuted: PairedTest, settings: Settings
) -> dict[str, PairedTest]:
    tests: dict[str, PairedTest] = {}
    differences, level = pairing.division_differences(scores), settings.confidence
    if pairing.divisions > 1:
        tests["corrected_t"] = corrected_resampled_t(
            differences, 1.0, pairing.test_share, freedom=_freedom(pairing), confidence=level
        )
    if pairing.divisions > 1 and pairing.folds_apart:
        tests["wilcoxon"] = wilcoxon_test(differences)
    if name == "auroc" and pairing.classes == 2 and pairing.positive is not None:
        positive = pairing.positive
        trials = [
            (trial.rows, trial.a[:, positive], trial.b[:, positive]) for trial in pairing.trials
        ]
        tests["delong"] = delong_over_folds(
            pairing.labels == positive, trials, pairing.clusters, confidence=level
        )
    if name == "accuracy" and pairing.tested_once:
        tests["mcnemar"] = _mcnemar(pairing, level)
    tests["permutation"] = permuted
    return tests


def _freedom(pairing: Pairing) -> int | None:
    """Return the degrees of freedom of one cross-validation where repeats tell too little."""
    clusters = len(np.unique(pairing.clusters))
    grouped = clusters < len(pairing.labels)
    if pairing.folds_apart or not grouped or clusters >= FEW_CLUSTERS:
        return None
    return max(1, pairing.folds_of_a_pass - 1)


def _mcnemar(pairing: Pairing, confidence: float) -> PairedTest:
    count = len(pairing.labels)
    first, second = np.empty(count, dtype=bool), np.empty(count, dtype=bool)
    for trial in pairing.trials:
        first[trial.rows] = trial.a.argmax(axis=1) == trial.labels
        second[trial.rows] = trial.b.argmax(axis=1) == trial.labels
    return mcnemar_test(first, second, pairing.clusters, confidence=confidence)


def _compare(
    pairing: Pairing,
    name: str,
    scores: Floats,
    tests: Mapping[str, PairedTest],
    resampled: Resampled,
) -> ScoreComparison:
    both = np.asarray(np.isfinite(scores).all(axis=1))
    first, second = mean_over_trials(np.where(both[:, None], scores, np.nan)).tolist()
    bootstrap = resampled.interval(first - second, _difference)
    primary = primary_test(pairing, name)
    test = tests[primary]
    interval = bootstrap
    if primary != "permutation":
        interval = Interval(test.difference, test.low, test.high)
    effect, effect_name = Interval(*[float("nan")] * 3), ""
    if pairing.divisions > 1:
        differences = pairing.division_differences(scores)
        effect = standardised_difference(
            differences, pairing.test_share, confidence=resampled.confidence
        )
        effect_name = "d_z"
    elif name in _SHARES:
        effect = resampled.interval(cohens_h(first, second), _h)
        effect_name = "h"
    return ScoreComparison(
        score=name,
        first=first,
        second=second,
        difference=interval,
        primary=primary,
        p_value=test.p_value,
        tests=tests,
        bootstrap=bootstrap,
        effect=effect,
        effect_name=effect_name,
    )


def _difference(scores: Floats) -> Floats:
    return scores[:, 0] - scores[:, 1]


def _h(scores: Floats) -> Floats:
    return np.array([cohens_h(first, second) for first, second in scores.tolist()])
