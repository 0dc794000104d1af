"""Every variant against the base: paired differences."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.ablation.outcomes import Fidelity, Outcome, weighted_means
from glcm_mae.ablation.restorations import ERROR
from glcm_mae.ablation.studies import Study
from glcm_mae.comparison import compare_runs
from glcm_mae.comparison.paired_scores import FEWEST_FOLDS
from glcm_mae.comparison.report import SCORE_NAMES
from glcm_mae.config import AblateConfig, CompareConfig
from glcm_mae.statistics import (
    Interval,
    corrected_resampled_t,
    holm,
    percentile_interval,
    permutation_test,
    resample_blocks,
)

_PERMUTATIONS = 5000
NAMES = {**SCORE_NAMES, ERROR: "texture error"}


@dataclass(frozen=True)
class Contrast:
    """A variant against its base, by one score.

    Attributes:
        variant: Name of the variant.
        base: Name of the base.
        score: A score of the classifier, or ``haralick_error``.
        difference: The variant's minus the base's.
        low: Lower limit of the difference.
        high: Upper limit.
        test: Name of the test.
        p_value: Its p-value.
        p_holm: The same after Holm's method over all contrasts of the ablation by this score.
        notes: What a reader must know of the comparison.
    """

    variant: str
    base: str
    score: str
    difference: float
    low: float
    high: float
    test: str
    p_value: float
    p_holm: float = float("nan")
    notes: tuple[str, ...] = ()

    def facts(self) -> dict[str, Any]:
        """Return it as it stands in a file."""
        return asdict(self)

    def surely(self, level: float) -> bool:
        """Say whether the difference is more than chance at a level such as 0.05."""
        return isfinite(self.p_holm) and self.p_holm <= level

    @property
    def better(self) -> bool:
        """Whether the variant is on the good side; of an error that is the lower one."""
        return self.difference < 0 if self.score == ERROR else self.difference > 0


def find_contrasts(
    studies: Sequence[Study], outcomes: Mapping[str, Outcome], config: AblateConfig
) -> list[Contrast]:
    """Compare every finished variant with the base of its study, each pair once.

    Which pairs are compared follows from the settings alone, never from scores.

    Args:
        studies: The studies.
        outcomes: What became of every variant, by name.
        config: Settings of the stage.
    """
    pairs = dict.fromkeys(
        (point.variant, study.base) for study in studies for point in study.others
    )
    done = [
        (outcomes[variant], outcomes[base])
        for variant, base in pairs
        if outcomes[variant].state == outcomes[base].state == "done"
    ]
    by_score = [_by_score(variant, base, config) for variant, base in done]
    by_error = [
        _by_error(variant, base, config)
        for variant, base in done
        if variant.fidelity is not None
        and base.fidelity is not None
        # Where the classifier alone differs, these are the very same autoencoders.
        and not variant.fidelity.equals(base.fidelity)
    ]
    return [*_with_holm(by_score), *_with_holm(by_error)]


def _with_holm(contrasts: Sequence[Contrast]) -> list[Contrast]:
    adjusted: list[float] = holm([contrast.p_value for contrast in contrasts]).tolist()
    return [replace(found, p_holm=p) for found, p in zip(contrasts, adjusted, strict=True)]


def _by_score(variant: Outcome, base: Outcome, config: AblateConfig) -> Contrast:
    found = compare_runs(
        CompareConfig(
            # Their folders name them: a name may hold the sign that splits a name off.
            runs=tuple(f"{one.folder}={config.out / one.folder}" for one in (variant, base)),
            out=config.out,
            scores=(config.score,),
            confidence=config.evaluation.confidence,
            resamples=config.evaluation.resamples,
            seed=config.seed,
            force=True,  # a variant may differ in what makes it unfair: the notes tell
        )
    )
    item = found.pairs[0].scores[0]
    return Contrast(
        variant=variant.name,
        base=base.name,
        score=config.score,
        difference=item.difference.estimate,
        low=item.difference.low,
        high=item.difference.high,
        test=item.primary,
        p_value=item.p_value,
        notes=tuple(note for note in found.notes if note.startswith(_TOLD)),
    )


_TOLD = ("NOT ALIKE", "TEST-FOLD", "TRANSDUCTIVE")


def _by_error(variant: Outcome, base: Outcome, config: AblateConfig) -> Contrast:
    one, other = variant.fidelity, base.fidelity
    assert one is not None
    assert other is not None
    test, interval, p_value = _paired(one, other, config)
    return Contrast(
        variant=variant.name,
        base=base.name,
        score=ERROR,
        difference=interval.estimate,
        low=interval.low,
        high=interval.high,
        test=test,
        p_value=p_value,
    )


def _paired(
    one: Fidelity, other: Fidelity, config: AblateConfig
) -> tuple[str, Interval, float]:
    """Test the difference of mean errors as scores are tested: over folds if there are enough.

    Returns:
        Name of the test, the difference with its interval, and the p-value.
    """
    differences = one.values[ERROR] - other.values[ERROR]
    confidence = config.evaluation.confidence
    if len(one.folds) >= FEWEST_FOLDS:
        means = np.array([float(np.nanmean(differences[rows])) for rows in one.folds])
        test = corrected_resampled_t(
            means, 1.0, one.test_share, freedom=one.freedom, confidence=confidence
        )
        interval = Interval(test.difference, test.low, test.high)
        return "corrected_t", interval, test.p_value
    rows = np.flatnonzero(np.isfinite(differences))
    differences, clusters = differences[rows], one.clusters[rows]
    drawn = resample_blocks(
        clusters, one.labels[rows], resamples=config.evaluation.resamples, seed=config.seed
    )
    interval = percentile_interval(
        float(differences.mean()),
        weighted_means(drawn, differences),
        len(np.unique(clusters)),
        confidence=confidence,
    )

    def mean_difference(swap: NDArray[np.bool_]) -> NDArray[np.float64]:
        return np.asarray(np.where(swap, -differences, differences).mean(axis=1))

    found = permutation_test(
        mean_difference, clusters, permutations=_PERMUTATIONS, seed=config.seed
    )
    return "permutation", interval, found.p_value
