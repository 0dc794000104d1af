"""Encoders of another cross-validation: each fold takes that of the same fold there."""

from pathlib import Path

import numpy as np

from glcm_mae.assembly import ENCODER_FILE
from glcm_mae.data import Fold, ImageTable
from glcm_mae.data.folds.assignments import read_assignment
from glcm_mae.data.folds.parts import part_names
from glcm_mae.errors import InputError
from glcm_mae.planning.plan import PLAN_FILE

STAGE = "pretraining"


def holds_encoders(weights: Path | None) -> bool:
    """Say whether given weights are the run folder of a cross-validation."""
    return weights is not None and (weights / PLAN_FILE).is_file()


def any_encoder(run: Path) -> Path:
    """Return the folder of one of the encoders of a cross-validation.

    Raises:
        InputError: If it pre-trained none in its folds.
    """
    found = sorted(run.glob(f"fold-*/**/{STAGE}/{ENCODER_FILE}"))
    if not found:
        raise InputError(
            f"{run}: holds no encoders of folds; give a finished crossval that pre-trained in "
            "every fold, or the folder of one pre-training"
        )
    return found[0].parent


def encoder_of_fold(
    run: Path, fold: Fold, table: ImageTable, *, fold_folder: str, model_folder: str
) -> Path:
    """Return the folder of the encoder that another cross-validation trained in a fold.

    Args:
        run: Run folder of the other cross-validation.
        fold: The fold of this one.
        table: The images.
        fold_folder: Folder of the fold, which holds its parts, relative to the run.
        model_folder: Folder of the model in it.

    Raises:
        InputError: If it has no such encoder, or tested other images in this fold.
    """
    folder = run / model_folder / STAGE
    if not (folder / ENCODER_FILE).is_file():
        raise InputError(
            f"{folder}: holds no encoder; give a finished crossval of as many folds and seeds "
            "that pre-trained in every fold"
        )
    path = run / fold_folder / "split.csv"
    parts = np.array(part_names(read_assignment(path, table)))
    if not np.array_equal(np.flatnonzero(parts == "test"), fold.test):
        raise InputError(
            f"{path}: other images are tested there than in this fold, so its encoder may have "
            f"seen them; pass --folds.file {run / 'folds.csv'} to have the same folds"
        )
    return folder
