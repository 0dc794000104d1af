"""How well each score tells abnormal images from normal ones."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.anomaly.normality import COMBINED, Normality
from glcm_mae.anomaly.parts import Parts
from glcm_mae.assembly import known_images, which_seen
from glcm_mae.config import AnomalyConfig
from glcm_mae.data import ImageTable, file_hashes
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.division import count_torn_by
from glcm_mae.errors import InputError
from glcm_mae.evaluation import Judging, Predictions, judge
from glcm_mae.intake import cache_folder
from glcm_mae.scoreboard import interval_cell
from glcm_mae.statistics import Interval, clustered_proportion_interval

NAMES = {
    "mse": "squared error",
    "ssim": "1 - SSIM",
    "glcm": "GLCM distance",
    COMBINED: "all three",
}
"""What the scores are called in tables."""

_HEADINGS = ("Score (%)", "AUROC", "AUPRC", "Sensitivity", "Specificity")


@dataclass(frozen=True)
class Verdicts:
    """What was found of every score.

    Attributes:
        facts: What ``scores.json`` holds: ``systems``, ``notes``, counts.
    """

    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> "Verdicts":
        """Read what a finished run found.

        Raises:
            InputError: If the file is damaged.
        """
        try:
            return cls(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: is damaged; start anew with another --out") from error

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the table."""
        return _HEADINGS

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the table, one row a score: percent with its interval."""
        found = []
        for name, system in self.facts["systems"].items():
            pooled, point = system["pooled"], system["operating_point"]
            parts = (
                pooled["auroc"],
                pooled["auprc"],
                point["sensitivity"],
                point["specificity"],
            )
            found.append([NAMES.get(name, name), *map(interval_cell, parts)])
        return found


def two_classes(table: ImageTable, normal: str) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the names of the normal class and of all others, and each image's number.

    Two classes keep their names and their order, so that predictions fit beside those of
    a classifier.
    """
    labels = np.array(table.labels)
    if len(table.classes) == 2:
        return table.classes, labels
    classes = tuple(sorted((normal, f"not {normal}")))
    own = classes.index(normal)
    return classes, np.where(labels == table.classes.index(normal), own, 1 - own)


def judge_scores(
    table: ImageTable,
    parts: Parts,
    scores: Mapping[str, NDArray[np.float64]],
    normality: Normality,
    config: AnomalyConfig,
) -> tuple[Verdicts, Predictions]:
    """Judge every score on the test part.

    Args:
        table: All images.
        parts: Their parts.
        scores: Scores of the test images.
        normality: Scale and operating points.
        config: Settings of the stage.

    Returns:
        Of each score AUROC, AUPRC and the operating point, with intervals, and the
        predictions of the combined one.
    """
    classes, labels = two_classes(table, config.normal)
    abnormal = 1 - classes.index(config.normal)
    groups = number_groups(table.groups)
    settings = Judging(**config.evaluation.judging(config.seed))
    systems, found = {}, {}
    for name, values in scores.items():
        shares = normality.probabilities(name, values)
        columns = [shares, 1 - shares] if abnormal == 0 else [1 - shares, shares]
        found[name] = Predictions(
            paths=tuple(table.name(row) for row in parts.test),
            folds=np.zeros(len(parts.test), dtype=np.int64),
            labels=labels[parts.test],
            probabilities=np.stack(columns, axis=1),
            classes=classes,
            groups=groups[parts.test],
        )
        judged = judge(found[name], None, positive=classes[abnormal], settings=settings)
        point = _operating_point(found[name], abnormal, normality.thresholds[name], config)
        systems[name] = {**judged, "operating_point": point}
    truth = labels[parts.test] == abnormal
    facts = {
        "system": "reconstruction error of normal images",
        "classes": list(classes),
        "positive": classes[abnormal],
        "normal": config.normal,
        "images": {
            "trained on": len(parts.train),
            "inner normal": len(parts.inner),
            "test normal": int((~truth).sum()),
            "test abnormal": int(truth.sum()),
        },
        "notes": _notes(table, parts, config),
        "systems": systems,
    }
    return Verdicts(facts), found[COMBINED]


def _operating_point(
    found: Predictions, abnormal: int, threshold: float, config: AnomalyConfig
) -> dict[str, Any]:
    called = found.probabilities[:, abnormal] > 0.5
    truth, confidence = found.labels == abnormal, config.evaluation.confidence
    hits = {"sensitivity": (called[truth], truth), "specificity": (~called[~truth], ~truth)}
    return {
        "chosen": f"specificity {config.specificity:g} on the inner normal images",
        "threshold": threshold,
        **{
            name: _as_dict(
                clustered_proportion_interval(
                    right, found.clusters[rows], confidence=confidence
                )
            )
            for name, (right, rows) in hits.items()
        },
    }


def _as_dict(interval: Interval) -> dict[str, float]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def _earlier(table: ImageTable, parts: Parts, config: AnomalyConfig) -> list[str]:
    """Say which of the judged images the weights had seen that training began with."""
    weights = config.pretraining.weights
    if weights is None:
        return []
    hashes = file_hashes(table.subset(parts.test), cache_folder(config.data.cache))
    seen = which_seen(known_images(weights), hashes)
    if seen is None:
        return ["NOT CLEAN: whether what training began with saw the test images is not known"]
    return [
        f"{'NOT CLEAN: ' if any(seen) else ''}what training began with was trained on "
        f"{sum(seen)} of the {len(hashes)} test images"
    ]


def _notes(table: ImageTable, parts: Parts, config: AnomalyConfig) -> list[str]:
    torn = count_torn_by(table.groups, parts.fold)
    leaks = [f"WARNING: {torn} groups stand in two parts of the given split, which leaks"]
    return [
        *(leaks if torn else []),
        f"trained on {len(parts.train)} normal images; no abnormal image and no test image "
        "was used",
        *_earlier(table, parts, config),
        f"scale and operating point (specificity {config.specificity:g}) are those of "
        f"{len(parts.inner)} inner normal images",
        parts.note,
        "with an operating point from normal images alone, the probabilities in "
        "predictions.csv are no calibrated ones",
    ]
