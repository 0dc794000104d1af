"""What fine-tuning and probing share: one division of labelled images, and its outcome."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.config import FinetuneConfig, ProbeConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages, fold_from_splits, hold_out
from glcm_mae.data.folds.assignments import format_assignment
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.distributed import on_main
from glcm_mae.division import keep_together
from glcm_mae.errors import InputError
from glcm_mae.evaluation import (
    Judging,
    Predictions,
    judge,
    positive_index,
    read_predictions,
    write_predictions,
)
from glcm_mae.intake import load_table, splits_of
from glcm_mae.progress import say
from glcm_mae.runs import Run, write_json

SPLIT_FILE = "split.csv"
PREDICTIONS_FILE = "predictions.csv"
VALIDATION_FILE = "validation.csv"
SCORES_FILE = "scores.json"
BASELINES_FOLDER = "baselines"

TRAINED_PROTOCOLS = ("finetune", "attentive")
"""Protocols with epochs to pick from; the others fit a probe to frozen features."""

TEST_FOLD_NOTE = "epoch picked on the test part: optimistic, the published protocol"
"""Stands wherever scores of ``finetuning.selection: test-fold`` are shown."""

TEST_FOLD_MARK = "epoch picked on the test part"
"""The same, short enough to stand beside a name."""


def read_finished(config: FinetuneConfig | ProbeConfig, *, resume: bool) -> Predictions | None:
    """Return the predictions of a run that is to be resumed but is finished already."""
    path = config.out / PREDICTIONS_FILE
    if not (resume and path.is_file()):
        return None
    say(f"{config.out} is finished")
    return read_predictions(path)


def read_scores(folder: Path) -> dict[str, Any]:
    """Return what :meth:`Trial.write` said of a classifier.

    Raises:
        InputError: If the file is missing or damaged.
    """
    path = folder / SCORES_FILE
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read; start anew with another --out") from error


def divide(table: ImageTable, config: FinetuneConfig | ProbeConfig) -> Fold:
    """Return train, validation and test rows: by the splits, or at random if there are none."""
    splits = splits_of(table, config.data)
    if splits:
        return fold_from_splits(splits)
    return hold_out(
        table.labels,
        table.groups,
        validation_share=config.folds.validation_share,
        test_share=config.folds.test_share,
        seed=config.seed,
        classes=table.classes,
    )


@dataclass(frozen=True)
class Trial:
    """One division of labelled images, on which a classifier is trained and tested once.

    Attributes:
        config: Settings of the stage.
        images: The images, groups joined by near-duplicates.
        fold: Rows of the parts.
        number: Number of the trained model in tables of predictions.
        repeat: Number of the complete pass over the images that it belongs to.
    """

    config: FinetuneConfig | ProbeConfig
    images: LoadedImages
    fold: Fold
    number: int = 0
    repeat: int = 0

    @classmethod
    def prepare(
        cls,
        config: FinetuneConfig | ProbeConfig,
        images: LoadedImages | None = None,
        *,
        number: int = 0,
        repeat: int = 0,
    ) -> "Trial":
        """Read the images unless they are given, and divide them.

        Raises:
            InputError: If the table, an image, the division or the positive class is bad.
        """
        if images is None:
            images = load_table(config.data, config.model, labelled=True)
            if config.data.split is None or config.data.groups is None:
                images = keep_together(images, config.data, config.leak_check)
        positive_index(images.table.classes, config.data.positive)
        return cls(config, images, divide(images.table, config), number, repeat)

    @property
    def table(self) -> ImageTable:
        """What the images are."""
        return self.images.table

    @property
    def labels(self) -> NDArray[np.int64]:
        """Class of every image of the table."""
        return np.array(self.table.labels)

    def keep_split(self, run: Run) -> None:
        """Write the division; refuse to go on with another than the run was begun with."""
        run.keep(SPLIT_FILE, format_assignment(self.table, self.fold).encode())

    def open_test(self) -> dict[str, Any]:
        """Say which images are looked at now; return their number and a hash of their names."""
        names = sorted(self.table.name(row) for row in self.fold.test)
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        say(f"test part opened: {len(names)} images, sha256 {digest[:12]}…")
        return {"images": len(names), "sha256": digest}

    def predictions(
        self, rows: NDArray[np.int64], probabilities: NDArray[np.float64]
    ) -> Predictions:
        """Return what was said of some rows, with their groups."""
        return Predictions(
            tuple(self.table.name(row) for row in rows),
            np.full(len(rows), self.number),
            self.labels[rows],
            probabilities,
            self.table.classes,
            number_groups(self.table.groups)[rows],
            np.full(len(rows), self.repeat),
        )

    def write(
        self, folder: Path, test: Predictions, inner: Predictions, facts: Mapping[str, Any]
    ) -> None:
        """Judge, and write the scores and both tables; that of the test part comes last.

        Args:
            folder: Run folder.
            test: What was said of the test part.
            inner: What the same weights said of the inner validation part.
            facts: What goes into the scores beside what :func:`judge` finds.
        """

        def write() -> None:
            settings = Judging(**self.config.evaluation.judging(self.config.seed))
            positive = self.config.data.positive
            scores = judge(test, inner, positive=positive, settings=settings)
            own = facts.get("notes", ())
            scores = {**facts, **scores, "notes": [*own, *scores["notes"]]}
            write_json(folder / SCORES_FILE, scores)
            write_predictions(folder / VALIDATION_FILE, inner)
            write_predictions(folder / PREDICTIONS_FILE, test)

        on_main(write)
