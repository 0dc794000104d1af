"""Cross-validation: from a folder of images to a table of honest scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.assembly import count_seen, load_table
from glcm_mae.baselines import gray_features, gray_probabilities, majority_probabilities
from glcm_mae.config import CrossValConfig
from glcm_mae.data import Fold, LoadedImages, file_hashes, make_folds
from glcm_mae.data.assignments import format_assignment
from glcm_mae.evaluation import (
    Predictions,
    concatenate,
    positive_index,
    read_predictions,
    score_folds,
    write_predictions,
)
from glcm_mae.finetuning import PREDICTIONS_FILE, SCORES_FILE, finetune
from glcm_mae.pretraining import pretrain
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder, write_atomically, write_json
from glcm_mae.scoreboard import markdown_table

MAJORITY = "majority class"
GRAY_LEVELS = "gray-level statistics"


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes:
        name: Name of the system, as in the table.
        systems: Scores of the system and of the baselines, by name.
        notes: How the numbers came about, for below the table.
        positive: The positive class, or empty.
        predictions: The system's predictions, every image once.
    """

    name: str
    systems: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]
    positive: str
    predictions: Predictions


def cross_validate(config: CrossValConfig, *, resume: bool = False) -> CrossValidation:
    """Pre-train and fine-tune in every fold, and score what was never seen.

    Folds are stratified by class and never split a group (patient). In each, an
    encoder is pre-trained on all images but the test fold's (``start: pretraining``),
    or given weights are taken, or none; an inner validation part picks the epoch;
    the test fold is looked at once. The run folder gets a folder a fold,
    ``predictions.csv``, ``scores.json`` and ``scores.md``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out``: finished folds are only read, a
            begun one continues from its last whole epoch.

    Returns:
        Scores of the system, of the majority class and of gray-level statistics.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If a loss is not finite.
    """
    check_run_folder(config, config.out, resume=resume)
    images = load_table(config.data, config.model, labelled=True)
    table = images.table
    positive_index(table.classes, config.data.positive)
    folds = make_folds(
        table.labels,
        table.groups,
        count=config.folds.count,
        validation_share=config.folds.validation_share,
        seed=config.seed,
        classes=table.classes,
    )
    run = Run.open(config, folder=config.out, resume=resume)
    parts = [
        _run_fold(config, images, fold, number, resume) for number, fold in enumerate(folds)
    ]
    result = _result(config, images, folds, concatenate(parts))
    _write(run.folder, config, images, result)
    return result


def _run_fold(
    config: CrossValConfig, images: LoadedImages, fold: Fold, number: int, resume: bool
) -> Predictions:
    """Pre-train and fine-tune in one fold, or read what it left if it is finished."""
    folder = config.out / f"fold-{number}"
    finished = folder / "finetuning" / PREDICTIONS_FILE
    if resume and finished.is_file():
        say(f"fold {number + 1} of {config.folds.count} is finished")
        return read_predictions(finished)
    split = folder / "split.csv"
    write_atomically(split, format_assignment(images.table, fold).encode())
    data = config.data.model_copy(update={"split": split})
    seed = config.seed + number
    settings = config.model_copy(update={"data": data, "seed": seed})
    where = f"fold {number + 1} of {config.folds.count}"
    weights = config.weights
    if config.start == "pretraining":
        stage = settings.pretrain_config(folder / "pretraining")
        pretrain(stage, resume=resume, images=images, title=f"{where}: pre-training")
        weights = folder / "pretraining"
    tuning = settings.finetune_config(folder / "finetuning", weights)
    title = f"{where}: fine-tuning"
    return finetune(tuning, resume=resume, images=images, number=number, title=title)


def _result(
    config: CrossValConfig, images: LoadedImages, folds: Sequence[Fold], found: Predictions
) -> CrossValidation:
    name = system_name(config)
    positive = config.data.positive
    baselines = _baselines(images, folds)
    systems = {
        label: score_folds(predictions, positive)
        for label, predictions in {**baselines, name: found}.items()
    }
    return CrossValidation(name, systems, _notes(config, images), positive, found)


def _baselines(images: LoadedImages, folds: Sequence[Fold]) -> dict[str, Predictions]:
    table = images.table
    labels, count = np.array(table.labels), len(table.classes)
    features = gray_features(images.pixels)
    parts: dict[str, list[Predictions]] = {MAJORITY: [], GRAY_LEVELS: []}
    for number, fold in enumerate(folds):
        probabilities = {
            MAJORITY: majority_probabilities(labels, fold, count),
            GRAY_LEVELS: gray_probabilities(features, labels, fold, count),
        }
        for name, values in probabilities.items():
            paths = tuple(table.paths[row] for row in fold.test)
            numbers = np.full(len(fold.test), number)
            parts[name].append(
                Predictions(paths, numbers, labels[fold.test], values, table.classes)
            )
    return {name: concatenate(folds_of) for name, folds_of in parts.items()}


def system_name(config: CrossValConfig) -> str:
    """Return what the system is called in the table."""
    if config.start == "scratch":
        return "ViT from scratch"
    if config.start == "weights":
        return "given encoder, fine-tuned"
    textured = any(phase.glcm > 0 for phase in config.losses.phases)
    return "GLCM-MAE, fine-tuned" if textured else "MAE (no GLCM), fine-tuned"


def _notes(config: CrossValConfig, images: LoadedImages) -> tuple[str, ...]:
    table = images.table
    known = len(set(table.groups)) < len(table)
    groups = (
        f"no group stands in two folds ({len(set(table.groups))} groups)"
        if known
        else "image-level folds: no patient is known to stand in two of them or not"
    )
    skipped = f", {len(images.skipped)} files skipped" if images.skipped else ""
    positive = f"; positive class: {config.data.positive}" if config.data.positive else ""
    classes = ", ".join(table.classes)
    unused = "the table's split column is not used: folds cover all images"
    return (
        f"{len(table)} images{skipped}, {len(table.classes)} classes ({classes}){positive};"
        f" mean ± SD over {config.folds.count} folds",
        f"{groups}; an inner validation part picked the epoch",
        _pretraining_note(config, images),
        *((unused,) if table.splits else ()),
    )


def _pretraining_note(config: CrossValConfig, images: LoadedImages) -> str:
    if config.start == "pretraining":
        return "pre-training is fold-aware: it never saw the test fold's images"
    if config.start == "scratch" or config.weights is None:
        return "no pre-training"
    seen = count_seen(config.weights, file_hashes(images.table))
    if seen is None:
        return "NOT fold-aware: whether the given encoder saw the test images is not known"
    if seen:
        return f"NOT fold-aware: the given encoder was trained on {seen} of these very images"
    return "the given encoder was trained on none of these images (compared by content)"


def _write(
    folder: Path, config: CrossValConfig, images: LoadedImages, result: CrossValidation
) -> None:
    write_predictions(folder / PREDICTIONS_FILE, result.predictions)
    text = markdown_table(result.systems, result.positive)
    notes = "\n".join(f"- {note}" for note in result.notes)
    write_atomically(folder / "scores.md", f"{text}\n{notes}\n".encode())
    facts = {
        "system": result.name,
        "classes": list(images.table.classes),
        "positive": result.positive,
        "images": len(images.table),
        "skipped": len(images.skipped),
        "groups": len(set(images.table.groups)),
        "start": config.start,
        "notes": list(result.notes),
        "systems": result.systems,
    }
    write_json(folder / SCORES_FILE, facts)
