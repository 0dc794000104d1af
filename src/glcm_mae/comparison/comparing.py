"""Finished runs against each other: which differences are more than chance."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from glcm_mae.comparison.comparable import check_comparable
from glcm_mae.comparison.finished import FinishedRun, count_uses, read_runs
from glcm_mae.comparison.paired_scores import (
    FEWEST_FOLDS,
    ScoreComparison,
    Settings,
    compare_scores,
)
from glcm_mae.comparison.pairing import Pairing
from glcm_mae.config import CompareConfig
from glcm_mae.statistics import holm


@dataclass(frozen=True)
class PairComparison:
    """Two runs, by every score asked for.

    Attributes:
        first: Name of the first run.
        second: Name of the second.
        scores: What was found for each score.
    """

    first: str
    second: str
    scores: Sequence[ScoreComparison]


@dataclass(frozen=True)
class Comparison:
    """What a comparison of finished runs found.

    Attributes:
        title: Headline.
        pairs: The pairs that were compared.
        notes: How the numbers came about, and what a reader must know.
        confidence: Share of intervals that hold the true difference.
        uses: Runs known to have been tested on these images.
        runs: Names of the runs.
    """

    title: str
    pairs: Sequence[PairComparison]
    notes: Sequence[str]
    confidence: float
    uses: int
    runs: Sequence[str]

    @property
    def count(self) -> int:
        """Number of comparisons that Holm's method counted."""
        return sum(len(pair.scores) for pair in self.pairs)

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in ``comparison.json``."""
        return {
            "title": self.title,
            "runs": list(self.runs),
            "confidence": self.confidence,
            "comparisons": self.count,
            "test_set_uses": self.uses,
            "notes": list(self.notes),
            "pairs": [
                {
                    "first": pair.first,
                    "second": pair.second,
                    "scores": [item.facts() for item in pair.scores],
                }
                for pair in self.pairs
            ],
        }


def compare_runs(config: CompareConfig) -> Comparison:
    """Compare finished runs that were tested alike.

    Args:
        config: Settings of the stage; ``out`` is not written to.

    Raises:
        InputError: If a folder holds no finished run, or runs were not tested alike.
    """
    runs = read_runs(config.runs)
    forced = check_comparable(runs, force=config.force)
    settings = Settings(config.confidence, config.resamples, config.permutations, config.seed)
    chosen = [(runs[0], run) for run in runs[1:]] if config.reference else combinations(runs, 2)
    pairings = [(a, b, Pairing.of(a, b, config.scores)) for a, b in chosen]
    pairs = [
        PairComparison(a.name, b.name, compare_scores(pairing, settings))
        for a, b, pairing in pairings
    ]
    pairs = with_holm(pairs)
    uses, parents = count_uses(runs)
    comparison = Comparison(
        title=f"{len(runs)} runs on the same {len(set(runs[0].predictions.paths))} images",
        pairs=pairs,
        notes=(),
        confidence=config.confidence,
        uses=uses,
        runs=[run.name for run in runs],
    )
    pairing = pairings[0][2]
    notes = [
        *forced,
        *_brands(runs),
        _design_note(pairing),
        _holm_note(comparison, len(config.scores)),
        _uses_note(uses, len(runs), parents, len(config.scores)),
    ]
    return replace(comparison, notes=notes)


def with_holm(pairs: Sequence[PairComparison]) -> list[PairComparison]:
    """Return the pairs with p-values adjusted for all comparisons among them."""
    adjusted = iter(holm([item.p_value for pair in pairs for item in pair.scores]).tolist())
    return [
        replace(pair, scores=[replace(item, p_holm=next(adjusted)) for item in pair.scores])
        for pair in pairs
    ]


def _brands(runs: Sequence[FinishedRun]) -> list[str]:
    """Return what makes scores of these runs too good, whatever their difference."""
    notes = []
    if chosen := [run.name for run in runs if run.selection == "test-fold"]:
        notes.append(
            f"TEST-FOLD SELECTION ({', '.join(chosen)}): the epoch was picked on the very "
            "images that are scored; such scores are too good, and so may be differences"
        )
    if seen := [run.name for run in runs if run.transductive]:
        notes.append(f"TRANSDUCTIVE ({', '.join(seen)}): pre-training saw the test images too")
    return notes


def _design_note(pairing: Pairing) -> str:
    models, folds = len(pairing.trials), pairing.divisions
    if folds >= FEWEST_FOLDS:
        return (
            f"{models} models a run on {folds} test folds; p and interval are those of the "
            "corrected resampled t test over folds, which asks whether the way of training "
            "is better; the others ask about these trained models alone"
        )
    return (
        f"{models} models a run on {folds} test fold{'s' if folds > 1 else ''}: too few for a "
        "test over folds; p is that of DeLong's test for an AUROC of two classes, else of the "
        "permutation test. Both ask about these trained models, not whether another training "
        "would have come out the same"
    )


def _holm_note(comparison: Comparison, scores: int) -> str:
    pairs = len(comparison.pairs)
    return (
        f"Holm over all {comparison.count} comparisons of this call: {pairs} "
        f"pair{'s' if pairs > 1 else ''} x {scores} score{'s' if scores > 1 else ''}"
    )


def _uses_note(uses: int, compared: int, parents: Sequence[str], scores: int) -> str:
    where = ", ".join(f"{parent}/" for parent in parents)
    text = f"the test set was used {uses} times by the finished runs in {where}"
    if uses == compared:
        return text
    return (
        f"{text}, of which {compared} are compared here; over all pairs of them there would "
        f"be {uses * (uses - 1) // 2 * scores} comparisons"
    )
