"""What became of every variant: its scores, how it restores texture, what it cost."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glcm_mae.ablation.restorations import ERROR, MEASURES, Restorations
from glcm_mae.assembly import IMAGES_FILE
from glcm_mae.config import EvaluationConfig
from glcm_mae.crossvalidation import CrossValidation
from glcm_mae.statistics import (
    Interval,
    bca_interval,
    leave_out_blocks,
    resample_blocks,
)

State = Literal["done", "failed", "open"]


@dataclass(frozen=True)
class Fidelity:
    """How well the autoencoders of a variant restore the images of their own test folds.

    Attributes:
        clusters: Number of the group of each image.
        labels: Class of each image.
        folds: Rows of the test images of each fold.
        values: Of each measure one number an image, the mean over the models that tested
            it; NaN where none did.
        weights: Number of weights of the encoder and of the decoder.
        mask_ratio: Share of the patches that is hidden.
        test_share: Test images per image that an autoencoder was trained on.
    """

    clusters: NDArray[np.int64]
    labels: NDArray[np.int64]
    folds: Sequence[NDArray[np.int64]]
    values: Mapping[str, NDArray[np.float64]]
    weights: Mapping[str, int]
    mask_ratio: float
    test_share: float

    def equals(self, other: "Fidelity") -> bool:
        """Say whether every image was restored alike."""
        return np.array_equal(self.values[ERROR], other.values[ERROR], equal_nan=True)

    @property
    def freedom(self) -> int:
        """Degrees of freedom of a test over folds: repeats of the same images lend none."""
        mean_size = sum(map(len, self.folds)) / len(self.folds)
        return max(1, round(len(np.unique(np.concatenate(self.folds))) / mean_size) - 1)

    def interval(self, measure: str, evaluation: EvaluationConfig, seed: int) -> Interval:
        """Return the mean over all test images, with its interval over groups."""
        values = self.values[measure]
        rows = np.flatnonzero(np.isfinite(values))
        if not len(rows):
            return Interval(float("nan"), float("nan"), float("nan"))
        values, clusters = values[rows], self.clusters[rows]
        drawn = resample_blocks(
            clusters, self.labels[rows], resamples=evaluation.resamples, seed=seed
        )
        return bca_interval(
            float(values.mean()),
            weighted_means(drawn, values),
            weighted_means(leave_out_blocks(clusters), values),
            confidence=evaluation.confidence,
        )


def weighted_means(
    blocks: Iterable[NDArray[np.float64]], values: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of one number an image under every row of weights.

    Args:
        blocks: Weights, one row a resample and one column an image.
        values: One number an image.

    Returns:
        One mean a row; NaN where all weights are 0.

    Example:
        >>> weighted_means([np.array([[1.0, 1.0], [2.0, 0.0]])], np.array([1.0, 3.0]))
        array([2., 1.])
    """
    found = []
    for weights in blocks:
        total = weights.sum(axis=1)
        empty = np.full(len(total), np.nan)
        found.append(np.divide(weights @ values, total, out=empty, where=total > 0))
    return np.concatenate(found)


def gather_fidelity(
    measured: Sequence[tuple[NDArray[np.int64], Restorations]],
    labels: Sequence[int],
    groups: Sequence[str],
) -> Fidelity | None:
    """Put the restorations of all models of a variant together.

    Args:
        measured: Of each model the rows of its test fold, and what its autoencoder restored.
        labels: Class of each image of the table.
        groups: Group of each image of the table.

    Returns:
        None without autoencoders.
    """
    if not measured:
        return None
    count = len(labels)
    times = np.zeros(count)
    sums = {name: np.zeros(count) for name in MEASURES}
    folds: dict[tuple[int, ...], NDArray[np.int64]] = {}
    for rows, found in measured:
        place = {row: number for number, row in enumerate(found.rows.tolist())}
        chosen = [place[row] for row in rows.tolist()]
        times[rows] += 1
        for name in MEASURES:
            sums[name][rows] += found.values[name][chosen]
        folds.setdefault(tuple(rows.tolist()), rows)
    values = {
        name: np.divide(total, times, out=np.full(count, np.nan), where=times > 0)
        for name, total in sums.items()
    }
    shares = [len(rows) / (count - len(rows)) for rows in folds.values()]
    return Fidelity(
        clusters=np.unique(np.array(groups), return_inverse=True)[1],
        labels=np.array(labels, dtype=np.int64),
        folds=list(folds.values()),
        values=values,
        weights=measured[0][1].weights,
        mask_ratio=measured[0][1].mask_ratio,
        test_share=float(np.mean(shares)),
    )


@dataclass(frozen=True)
class Outcome:
    """What became of a variant.

    Attributes:
        name: Name of the variant.
        folder: Its cross-validation, relative to the ablation's folder.
        state: ``done``, ``failed``, or ``open`` where time was over before it.
        reason: Why it failed.
        scores: Of each score ``estimate``, ``low`` and ``high`` over all test images, and
            ``mean`` and ``sd`` over models.
        measures: Of each measure of restorations the mean and its limits.
        fidelity: The restorations, image by image.
        seconds: Mean wall time of a pre-training.
        notes: What its cross-validation says of how its numbers came about.
    """

    name: str
    folder: str
    state: State
    reason: str = ""
    scores: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    measures: Mapping[str, Interval] = field(default_factory=dict)
    fidelity: Fidelity | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> int | None:
        """Number of weights of encoder and decoder together."""
        return sum(self.fidelity.weights.values()) if self.fidelity else None

    def facts(self) -> dict[str, Any]:
        """Return it as it stands in a file."""
        return {
            "name": self.name,
            "folder": self.folder,
            "state": self.state,
            "reason": self.reason,
            "scores": dict(self.scores),
            "fidelity": {name: found._asdict() for name, found in self.measures.items()},
            "weights": dict(self.fidelity.weights) if self.fidelity else None,
            "mask_ratio": self.fidelity.mask_ratio if self.fidelity else None,
            "pretraining_seconds": self.seconds,
        }


def read_scores(found: CrossValidation, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return some scores of the system of a cross-validation, with intervals and spread."""
    scores = found.systems[found.name]
    return {
        name: {
            **{
                part: _known(scores["pooled"][name][part])
                for part in ("estimate", "low", "high")
            },
            **{part: _known(scores["summary"][name][part]) for part in ("mean", "sd")},
        }
        for name in names
    }


def _known(value: float | None) -> float | None:
    return value if value is not None and isfinite(value) else None


def wall_seconds(folders: Sequence[Path]) -> float | None:
    """Return the mean time that pre-trainings took, from their ``speed.jsonl``.

    Args:
        folders: Run folders of pre-trainings.

    Returns:
        Seconds; None where nothing is known.
    """
    found = [seconds for folder in folders if (seconds := _seconds(folder)) is not None]
    return float(np.mean(found)) if found else None


def _seconds(folder: Path) -> float | None:
    try:
        lines = (folder / "speed.jsonl").read_text(encoding="utf-8").splitlines()
        rates = {entry["epoch"]: entry["images_per_second"] for entry in map(json.loads, lines)}
        images = len((folder / IMAGES_FILE).read_text(encoding="utf-8").splitlines()) - 1
        return float(sum(images / rate for rate in rates.values()))
    except (OSError, ValueError, KeyError, TypeError, ZeroDivisionError):
        return None
