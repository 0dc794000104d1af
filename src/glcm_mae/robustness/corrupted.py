"""The test images of every fold, corrupted, before the fold's own classifier."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import to_images
from glcm_mae.data.corruptions import SEVERITIES, corrupt
from glcm_mae.evaluation import Predictions, concatenate
from glcm_mae.prediction import FinishedFold, predict, rows_of
from glcm_mae.progress import Meter
from glcm_mae.robustness.damage import Condition

BATCH = 64


@dataclass(frozen=True)
class Examined:
    """What the classifiers said.

    Attributes:
        clean: Of the images as they are.
        corrupted: Of the same images under each condition.
        difference: Largest difference between a probability on clean images now and in the
            run's own table of predictions.
    """

    clean: Predictions
    corrupted: dict[Condition, Predictions]
    difference: float


def examine_corrupted(
    folds: Sequence[FinishedFold], images: LoadedImages, names: Sequence[str], *, seed: int
) -> Examined:
    """Ask every fold's classifier about its own test images, clean and corrupted.

    Args:
        folds: The classifiers.
        images: All images of the run's table.
        names: Corruptions, each at every severity.
        seed: Seed of the noise.

    Raises:
        InputError: If the table no longer holds a test image, or its class is another.
    """
    conditions = [(name, severity) for name in names for severity in SEVERITIES]
    parts: dict[Condition | None, list[Predictions]] = {key: [] for key in (None, *conditions)}
    total = sum(len(fold.test) for fold in folds) * len(parts)
    with Meter("predicting", total=total) as meter:
        for fold in folds:
            rows = rows_of(fold.test, images.table)
            for condition, found in parts.items():
                shares = predict(fold, _batches(images, rows, condition, seed))
                found.append(replace(fold.test, probabilities=shares))
                meter.advance(len(rows), note=" ".join(map(str, condition or ("clean",))))
    clean, *rest = (concatenate(found) for found in parts.values())
    recorded = concatenate([fold.test for fold in folds])
    difference = float(np.abs(clean.probabilities - recorded.probabilities).max())
    return Examined(clean, dict(zip(conditions, rest, strict=True)), difference)


def _batches(
    images: LoadedImages, rows: NDArray[np.int64], condition: Condition | None, seed: int
) -> Iterator[Tensor]:
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        plain = to_images(images.pixels[some], torch.device("cpu"))
        if condition is None:
            yield plain
            continue
        name, severity = condition
        found = corrupt(plain.numpy(), name, severity, rows=some.tolist(), seed=seed)
        yield torch.from_numpy(found)
