"""What the controls of a cross-validation found, put together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from glcm_mae.comparison.finished import FinishedRun
from glcm_mae.comparison.paired_scores import ScoreComparison, compare_scores
from glcm_mae.comparison.paired_scores import Settings as PairedSettings
from glcm_mae.comparison.pairing import Pairing
from glcm_mae.controls.identity import Retrieval
from glcm_mae.controls.probes import Probed, torn_patients
from glcm_mae.controls.shuffling import Shuffles
from glcm_mae.controls.subject import Subject
from glcm_mae.evaluation import (
    Cases,
    Predictions,
    WeightedScores,
    concatenate,
    positive_index,
)
from glcm_mae.evaluation.pooling import Pool, pooled_scores

SCORE = "auroc"
PERMUTATIONS = 5000
"""Swaps of the paired permutation test."""


@dataclass(frozen=True)
class Sureness:
    """How sure intervals are, and by how many draws.

    Attributes:
        confidence: Share of intervals that hold the true value.
        resamples: Resamples of the bootstrap.
        seed: Seed of these.
    """

    confidence: float = 0.95
    resamples: int = 2000
    seed: int = 0


@dataclass(frozen=True)
class Findings:
    """What the controls found.

    Attributes:
        trained: AUROC over all test images of the linear probe of the run's encoders.
        random: The same of random encoders.
        added: What training adds, paired image by image.
        shuffles: What labels by chance give.
        patients: What :meth:`.identity.Retrieval.facts` tells, or ``skipped``.
        texture: What the texture loss adds, paired, or why that is not known.
    """

    trained: Mapping[str, Any]
    random: Mapping[str, Any]
    added: ScoreComparison
    shuffles: Shuffles
    patients: Mapping[str, Any]
    texture: ScoreComparison | str

    def facts(self) -> dict[str, Any]:
        """Return the controls as they stand in ``controls.json``."""
        added, texture = self.added, self.texture
        off: dict[str, Any]
        if isinstance(texture, str):
            off = {"skipped": texture}
        else:
            sides = {"with_texture": texture.first, "without_texture": texture.second}
            off = {**_difference(texture), **sides}
        sides = {"trained": added.first, "random": added.second}
        return {
            "trained_encoder": dict(self.trained),
            "random_encoder": {
                **self.random,
                "training_adds": {**_difference(added), **sides},
            },
            "label_shuffle": self.shuffles.facts(),
            "patient_probe": dict(self.patients),
            "texture_loss_off": off,
        }


def _difference(item: ScoreComparison) -> dict[str, Any]:
    """Return a paired difference with its interval, its test and its p-value."""
    return {**item.difference._asdict(), "p": item.p_value, "test": item.primary}


def find(
    subject: Subject,
    probed: Sequence[Probed],
    texture: ScoreComparison | str,
    sureness: Sureness,
) -> Findings:
    """Score the probes of all models together.

    Args:
        subject: The cross-validation.
        probed: What the probes of every model said.
        texture: What was found of a run without the texture loss, or why there is none.
        sureness: How sure intervals are.
    """
    positive = subject.config.data.positive
    trained = concatenate([one.trained for one in probed])
    random = concatenate([one.random for one in probed])
    count = len(probed[0].shuffled)
    areas = [
        pooled_area(concatenate([one.shuffled[number] for one in probed]), positive)
        for number in range(count)
    ]
    shuffles = Shuffles(np.array(areas), pooled_area(trained, positive), sureness.confidence)
    return Findings(
        trained=_pooled(trained, positive, sureness),
        random=_pooled(random, positive, sureness),
        added=compare_areas(
            replace(subject.run, name="trained encoder", predictions=trained),
            replace(subject.run, name="random encoder", predictions=random),
            sureness,
        ),
        shuffles=shuffles,
        patients=_patients(subject, probed, sureness),
        texture=texture,
    )


def pooled_area(found: Predictions, positive: str) -> float:
    """Return the AUROC over all test images; of several passes over them the mean.

    Args:
        found: Predictions of all folds.
        positive: The positive class, or empty.
    """
    pool = _pool(found, positive)
    areas = [
        WeightedScores(pool.cases.rows(rows), [SCORE])(np.ones((1, len(rows))))[SCORE][0]
        for rows in pool.passes
    ]
    return float(np.mean(areas))


def _pool(found: Predictions, positive: str) -> Pool:
    column = positive_index(found.classes, positive)
    cases = Cases.of(found.labels, found.probabilities, column)
    return Pool(cases, found.clusters, found.repeat)


def _pooled(found: Predictions, positive: str, sureness: Sureness) -> dict[str, Any]:
    scores = pooled_scores(
        _pool(found, positive),
        [SCORE],
        confidence=sureness.confidence,
        resamples=sureness.resamples,
        seed=sureness.seed,
    )
    return scores[SCORE]


def compare_areas(
    first: FinishedRun, second: FinishedRun, sureness: Sureness
) -> ScoreComparison:
    """Compare the AUROC of two runs on the same folds, image by image."""
    pairing = Pairing.of(first, second, [SCORE])
    settings = PairedSettings(
        sureness.confidence, sureness.resamples, PERMUTATIONS, sureness.seed
    )
    return compare_scores(pairing, settings)[0]


def _patients(subject: Subject, probed: Sequence[Probed], sureness: Sureness) -> dict[str, Any]:
    nearest = [one.nearest for one in probed if one.nearest is not None]
    if not nearest:
        return {"skipped": subject.patients.reason}
    together = Retrieval.concatenate(nearest)
    if not len(together.found):
        return {"skipped": "no test image has another one of its patient and class"}
    return together.facts(torn=torn_patients(subject), confidence=sureness.confidence)
