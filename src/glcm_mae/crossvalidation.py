"""Cross-validation: from a folder of images to a table of honest scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.assembly import count_seen
from glcm_mae.baselines import gray_features, gray_probabilities, majority_probabilities
from glcm_mae.config import CrossValConfig
from glcm_mae.data import Fold, LoadedImages, file_hashes
from glcm_mae.data.folds.assignments import format_assignment
from glcm_mae.data.folds.fold_files import format_folds
from glcm_mae.division import Leaks, draw_folds, find_leaks, grouping_note
from glcm_mae.errors import InputError
from glcm_mae.evaluation import (
    Predictions,
    concatenate,
    positive_index,
    read_predictions,
    score_folds,
    write_predictions,
)
from glcm_mae.finetuning import PREDICTIONS_FILE, SCORES_FILE, finetune
from glcm_mae.intake import cache_folder, load_table
from glcm_mae.launching import launched
from glcm_mae.pretraining import pretrain
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder, write_atomically, write_json
from glcm_mae.scoreboard import markdown_table

FOLDS_FILE = "folds.csv"
MAJORITY = "majority class"
GRAY_LEVELS = "gray-level statistics"


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes:
        name: Name of the system, as in the table.
        systems: Scores of the system and of the baselines, by name.
        title: Headline of the table.
        notes: How the numbers came about, for below the table.
        positive: The positive class, or empty.
        predictions: The system's predictions, every image once.
    """

    name: str
    systems: Mapping[str, Mapping[str, Any]]
    title: str
    notes: tuple[str, ...]
    positive: str
    predictions: Predictions


def cross_validate(config: CrossValConfig, *, resume: bool = False) -> CrossValidation:
    """Pre-train and fine-tune in every fold, and score what was never seen.

    Folds are stratified by class and never split a group (patient) or a cluster of
    near-duplicates, unless ``leak_check`` is ``off``. In each, an
    encoder is pre-trained on all images but the test fold's (``start: pretraining``),
    or given weights are taken, or none; an inner validation part picks the epoch;
    the test fold is looked at once. The run folder gets a folder a fold,
    ``folds.csv``, ``predictions.csv``, ``scores.json`` and ``scores.md``.

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
    if launched():
        raise InputError(
            "crossval runs its folds one after the other in one process: start it without "
            "torchrun; pretrain and finetune take --devices and --nodes"
        )
    check_run_folder(config, config.out, resume=resume)
    images = load_table(config.data, config.model, labelled=True)
    positive_index(images.table.classes, config.data.positive)
    study = _Study.divide(config, images)
    run = Run.open(config, folder=config.out, resume=resume)
    study.keep_folds(run.folder / FOLDS_FILE)
    parts = [study.run_fold(number, resume) for number in range(len(study.folds))]
    result = study.result(concatenate(parts))
    study.write(run.folder, result)
    return result


@dataclass(frozen=True)
class _Study:
    """The images, what must stay together among them, and their folds."""

    config: CrossValConfig
    images: LoadedImages
    leaks: Leaks
    folds: Sequence[Fold]

    @classmethod
    def divide(cls, config: CrossValConfig, images: LoadedImages) -> "_Study":
        """Find what would leak, and draw folds that keep it together."""
        leaks = find_leaks(images.table, config.data, config.leak_check)
        images = replace(images, table=replace(images.table, groups=leaks.groups))
        return cls(config, images, leaks, draw_folds(images.table, config.folds, config.seed))

    def keep_folds(self, path: Path) -> None:
        """Write the folds; refuse to go on with others than the run was begun with."""
        text = format_folds(self.images.table.names, self.folds)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{path}: the folds are others now than when the run began (other images, or "
                "another version); start anew with another --out, with this file as "
                "--folds.file to have the same folds"
            )
        write_atomically(path, text.encode())

    def run_fold(self, number: int, resume: bool) -> Predictions:
        """Pre-train and fine-tune in one fold, or read what it left if it is finished."""
        config, fold = self.config, self.folds[number]
        folder = config.out / f"fold-{number}"
        where = f"fold {number + 1} of {len(self.folds)}"
        finished = folder / "finetuning" / PREDICTIONS_FILE
        if resume and finished.is_file():
            say(f"{where} is finished")
            return read_predictions(finished)
        split = folder / "split.csv"
        write_atomically(split, format_assignment(self.images.table, fold).encode())
        data = config.data.model_copy(update={"split": split})
        settings = config.model_copy(update={"data": data, "seed": config.seed + number})
        weights = config.weights
        if config.start == "pretraining":
            stage = settings.pretrain_config(folder / "pretraining")
            pretrain(stage, resume=resume, images=self.images, title=f"{where}: pre-training")
            weights = folder / "pretraining"
        tuning = settings.finetune_config(folder / "finetuning", weights)
        title = f"{where}: fine-tuning"
        return finetune(tuning, resume=resume, images=self.images, number=number, title=title)

    def result(self, found: Predictions) -> CrossValidation:
        """Score the system and the baselines."""
        name, positive = system_name(self.config), self.config.data.positive
        predictions = {**self.baselines(), name: found}
        systems = {label: score_folds(part, positive) for label, part in predictions.items()}
        return CrossValidation(name, systems, self.title(), self.notes(), positive, found)

    def baselines(self) -> dict[str, Predictions]:
        """Return what is reached without a model: the majority, and gray-level statistics."""
        table = self.images.table
        labels, count = np.array(table.labels), len(table.classes)
        features = gray_features(self.images.pixels)
        parts: dict[str, list[Predictions]] = {MAJORITY: [], GRAY_LEVELS: []}
        for number, fold in enumerate(self.folds):
            probabilities = {
                MAJORITY: majority_probabilities(labels, fold, count),
                GRAY_LEVELS: gray_probabilities(features, labels, fold, count),
            }
            for name, values in probabilities.items():
                names = tuple(table.name(row) for row in fold.test)
                numbers = np.full(len(fold.test), number)
                parts[name].append(
                    Predictions(names, numbers, labels[fold.test], values, table.classes)
                )
        return {name: concatenate(folds_of) for name, folds_of in parts.items()}

    def title(self) -> str:
        """Return the headline of the table; it says what a reader must not overlook."""
        repeats = self.config.folds.repeats
        times = f"{repeats} times repeated " if repeats > 1 else ""
        known = "" if self.images.table.grouping != "image" else ", image-level split"
        unchecked = ", leak check off" if self.config.leak_check == "off" else ""
        table = Path(*self.config.data.table.resolve().parts[-2:])  # no path of this machine
        count = (
            len(self.folds) // repeats if self.config.folds.file is None else len(self.folds)
        )
        return f"{times}{count}-fold cross-validation of {table}{known}{unchecked}"

    def notes(self) -> tuple[str, ...]:
        """Say how the numbers came about."""
        table, config = self.images.table, self.config
        skipped = f", {len(self.images.skipped)} files skipped" if self.images.skipped else ""
        positive = f"; positive class: {config.data.positive}" if config.data.positive else ""
        share = config.folds.label_share
        fewer = (f"{share:.3g} of the training labels were used",) if share < 1 else ()
        unused = ("the table's split column is not used: folds cover all images",)
        return (
            f"{len(table)} images{skipped}, {len(table.classes)} classes "
            f"({', '.join(table.classes)}){positive}; mean ± SD over {len(self.folds)} folds",
            grouping_note(table, self.leaks),
            self.leaks.note,
            "an inner validation part picked the epoch",
            *fewer,
            _pretraining_note(config, self.images),
            *(unused if table.splits else ()),
        )

    def write(self, folder: Path, result: CrossValidation) -> None:
        """Write the predictions, and the scores for machines and for people."""
        write_predictions(folder / PREDICTIONS_FILE, result.predictions)
        text = markdown_table(result.systems, result.positive)
        notes = "\n".join(f"- {note}" for note in (result.title, *result.notes))
        write_atomically(folder / "scores.md", f"{text}\n{notes}\n".encode())
        table = self.images.table
        facts = {
            "system": result.name,
            "classes": list(table.classes),
            "positive": result.positive,
            "images": len(table),
            "skipped": len(self.images.skipped),
            "groups": len(set(table.groups)),
            "grouping": table.grouping,
            "leak_check": self.leaks.facts,
            "start": self.config.start,
            "notes": list(result.notes),
            "systems": result.systems,
        }
        write_json(folder / SCORES_FILE, facts)


def system_name(config: CrossValConfig) -> str:
    """Return what the system is called in the table."""
    if config.start == "scratch":
        return "ViT from scratch"
    if config.start == "weights":
        return "given encoder, fine-tuned"
    textured = any(phase.glcm > 0 for phase in config.losses.phases)
    return "GLCM-MAE, fine-tuned" if textured else "MAE (no GLCM), fine-tuned"


def _pretraining_note(config: CrossValConfig, images: LoadedImages) -> str:
    if config.start == "pretraining":
        return "pre-training is fold-aware: it never saw the test fold's images"
    if config.start == "scratch" or config.weights is None:
        return "no pre-training"
    hashes = file_hashes(images.table, cache_folder(config.data.cache))
    seen = count_seen(config.weights, hashes)
    if seen is None:
        return "NOT fold-aware: whether the given encoder saw the test images is not known"
    if seen:
        return f"NOT fold-aware: the given encoder was trained on {seen} of these very images"
    return "the given encoder was trained on none of these images (compared by content)"
