"""What finished classifiers say of images: of their own test images, or of others."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.assembly import (
    CLASSIFIER_FILE,
    IMAGES_FILE,
    known_images,
    load_classifier,
    policy_of,
)
from glcm_mae.config import DataConfig, FinetuneConfig
from glcm_mae.data import ImageTable, LoadedImages
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.devices import autocast
from glcm_mae.downstream import PREDICTIONS_FILE, VALIDATION_FILE
from glcm_mae.errors import InputError
from glcm_mae.evaluation import Predictions, concatenate, read_predictions
from glcm_mae.intake import load_as
from glcm_mae.runs import CONFIG_FILE, read_config

BATCH = 64


@dataclass(frozen=True)
class FinishedFold:
    """One trained classifier, and what it was asked.

    Attributes:
        folder: Run folder of its fine-tuning.
        model: The classifier, in evaluation mode.
        facts: What its file tells: classes, model, how images are read.
        config: Settings of its fine-tuning.
        test: What it said of its test part.
        inner: What it said of its inner validation part, where that was kept.
    """

    folder: Path
    model: nn.Module
    facts: Mapping[str, Any]
    config: FinetuneConfig
    test: Predictions
    inner: Predictions | None


def load_folds(
    run: Path, device: torch.device, *, table: Path | None = None
) -> list[FinishedFold]:
    """Read every trained classifier of a finished finetune or crossval.

    Args:
        run: Run folder.
        device: Where the classifiers shall be.
        table: Where the images lie now, if elsewhere than when the run was begun.

    Returns:
        The classifiers, in the order of their numbers.

    Raises:
        InputError: If there is none, one is not finished, or a file is damaged.
    """
    folders = [path.parent for path in run.rglob(CLASSIFIER_FILE)]
    if not folders:
        raise InputError(
            f"{run}: holds no {CLASSIFIER_FILE}; give the run folder of a finished finetune or "
            "crossval"
        )
    folds = [_load(folder, device, table) for folder in sorted(folders)]
    folds.sort(key=lambda fold: int(fold.test.folds[0]))
    numbers = [int(fold.test.folds[0]) for fold in folds]
    twice = [number for number in numbers if numbers.count(number) > 1]
    if twice:
        raise InputError(
            f"{run}: two classifiers have the number {twice[0]}, so it holds several runs; "
            "give one of them"
        )
    if len({tuple(fold.facts["classes"]) for fold in folds}) > 1:
        raise InputError(f"{run}: its classifiers have different classes; give one run")
    return folds


def images_behind(run: Path, folds: Sequence[FinishedFold]) -> set[str]:
    """Return SHA-256 of the images that a run pre-trained on, as far as it is known.

    Args:
        run: Run folder, with the pre-training of each fold or without.
        folds: Its classifiers; weights that they were given have lists of their own.

    Returns:
        The hashes; where given weights have no list, also a word that says so.
    """
    kept = {path.parent for path in run.rglob(IMAGES_FILE)}
    given = {fold.config.weights for fold in folds if fold.config.weights is not None}
    return set().union(*(known_images(folder) for folder in kept | given))


def _load(folder: Path, device: torch.device, table: Path | None) -> FinishedFold:
    config = read_settings(folder, table)
    model, facts = load_classifier(folder)
    if not (folder / PREDICTIONS_FILE).is_file():
        raise InputError(f"{folder}: is not finished; finish it with --resume first")
    inner = folder / VALIDATION_FILE
    return FinishedFold(
        folder,
        model.to(device).eval(),
        facts,
        config,
        read_predictions(folder / PREDICTIONS_FILE),
        read_predictions(inner) if inner.is_file() else None,
    )


def read_settings(folder: Path, table: Path | None = None) -> FinetuneConfig:
    """Read the settings of a fine-tuning from its run folder.

    Args:
        folder: Run folder.
        table: Where the images lie now, if elsewhere than when the run was begun.

    Raises:
        InputError: If they are missing or damaged.
    """
    content = read_config(folder)
    try:
        if table is not None:
            content["data"]["table"] = str(table)
        return FinetuneConfig(**content)
    except (TypeError, KeyError, ValueError) as error:
        path = folder / CONFIG_FILE
        raise InputError(f"{path}: cannot be read; give the run folder as it was") from error


def load_images_of(folds: Sequence[FinishedFold]) -> LoadedImages:
    """Read the images of a finished run as its classifiers read them.

    Raises:
        InputError: If an image cannot be read, or the classifiers read images differently.
    """
    first = folds[0]
    policy = policy_of(first.facts)
    if any(policy_of(fold.facts) != policy for fold in folds):
        raise InputError(f"{first.folder}: its run reads images in several ways; give one run")
    # Their groups and parts are in the predictions; the files may have been moved.
    data = first.config.data.model_copy(update={"groups": None, "split": None})
    return load_as(data, policy, labelled=True)


def reading_elsewhere(own: DataConfig, **changes: Any) -> DataConfig:
    """Return how a run's classifiers read other images: as its own.

    Args:
        own: The settings of the run's own images.
        changes: Settings of the others. What told classes, groups and parts of the run's own
            is left out unless it is among them.
    """
    none: dict[str, Any] = {"label_map": {}, "group_pattern": "", "split": None, "groups": None}
    return own.model_copy(update=none | changes)


def rows_of(found: Predictions, table: ImageTable) -> NDArray[np.int64]:
    """Return where predicted images stand in a table.

    Raises:
        InputError: If one is missing, or is of another class than it was.
    """
    places = {name: row for row, name in enumerate(table.names)}
    missing = [path for path in found.paths if path not in places]
    if missing:
        raise InputError(
            f"{table.root}: lacks {len(missing)} of the run's test images, such as "
            f"{missing[0]}; give the table as it was, with --table if it was moved"
        )
    rows = np.array([places[path] for path in found.paths], dtype=np.int64)
    now = [table.classes[table.labels[row]] for row in rows]
    then = [found.classes[label] for label in found.labels]
    changed = [path for path, a, b in zip(found.paths, now, then, strict=True) if a != b]
    if changed:
        raise InputError(
            f"{table.root}: {len(changed)} of the run's test images have another class now, "
            f"such as {changed[0]}; give the table as it was"
        )
    return rows


@torch.no_grad()
def predict(
    fold: FinishedFold, batches: Iterable[Float[Tensor, "batch channel height width"]]
) -> NDArray[np.float64]:
    """Return the probabilities that a classifier gives to images, as its own test part got.

    Args:
        fold: The classifier.
        batches: Images in [0, 1], in the size of its settings.

    Returns:
        One row an image, one column a class.
    """
    device = next(fold.model.parameters()).device
    parts = []
    for images in batches:
        views = [images, images.flip(3)] if fold.facts.get("test_flips") else [images]
        with autocast(device, fold.config.precision):
            logits = torch.stack([fold.model(view.to(device)).float() for view in views])
        parts.append(logits.double().softmax(dim=2).mean(dim=0).cpu().numpy())
    return np.concatenate(parts)


def predict_rows(fold: FinishedFold, images: LoadedImages) -> NDArray[np.float64]:
    """Return the probabilities that a classifier gives to all images of a table."""
    rows = np.arange(len(images.table))
    batches = plain_batches(images.pixels, rows, batch_size=BATCH, device=torch.device("cpu"))
    return predict(fold, (batch.images for batch in batches))


def inner_of(folds: Sequence[FinishedFold]) -> Predictions | None:
    """Return the inner predictions of all folds as those of one model, the averaged one.

    Returns:
        None where a fold kept none.
    """
    parts = [fold.inner for fold in folds if fold.inner is not None]
    if len(parts) < len(folds):
        return None
    together = concatenate(parts)
    return replace(together, folds=np.zeros_like(together.folds))
