"""Which images are trained on, and which are held out to measure on."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glcm_mae.config import DataConfig, PretrainConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.data.folds.assignments import format_assignment, training_rows
from glcm_mae.data.folds.fractions import label_fraction
from glcm_mae.data.folds.parts import part_names
from glcm_mae.division import Leaks, find_leaks, grouping_note
from glcm_mae.errors import InputError
from glcm_mae.intake import load_table, splits_of
from glcm_mae.progress import say

SPLIT_FILE = "split.csv"


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows of the images of a pre-training, each part in ascending order.

    Rows in neither are for testing.

    Attributes:
        train: Trained on.
        held_out: Looked at now and then, to measure how well texture is restored.
    """

    train: NDArray[np.int64]
    held_out: NDArray[np.int64]

    def format(self, table: ImageTable) -> str:
        """Return the parts as CSV text: ``path,split``; held out is ``validation``."""
        test = np.setdiff1d(np.arange(len(table)), [*self.train, *self.held_out])
        return format_assignment(table, Fold(self.train, self.held_out, test))


def read_images(config: PretrainConfig) -> LoadedImages:
    """Read all images of some settings; patients are asked for where it matters.

    Raises:
        InputError: If the table or one of its images is bad.
    """
    patients = config.pretraining.held_out_share > 0
    return load_table(config.data, config.model, labelled=False, patients=patients)


def divide(images: LoadedImages, config: PretrainConfig) -> Parts:
    """Leave out the test images, and hold out a share of the others in whole groups.

    Which are held out follows from the seed, whatever the groups are called. Near-duplicates
    stay together too, unless ``data.groups`` tells what does.

    Args:
        images: All images.
        config: Settings of the stage.

    Raises:
        InputError: If no image is left to train on.
    """
    count = len(images.table)
    rows = training_rows(splits_of(images.table, config.data), count)
    if len(rows) < count:
        say(f"{count - len(rows)} test images left out of pre-training")
    rows = _without_tested_groups(images.table, config.data, rows)
    if len(rows) == 0:
        raise InputError(f"{config.data.table}: every image is a test image; none to train on")
    share = config.pretraining.held_out_share
    if share == 0.0:
        return Parts(rows, rows[:0])
    leaks = _find_leaks(images.table, config)
    seed = counted_seed(config.seed, Stream.FIDELITY)
    held_out = label_fraction(np.zeros(count, np.intp), leaks.groups, rows, share, seed=seed)
    if len(held_out) == len(rows):
        raise InputError(
            f"pretraining.held_out_share: all {count} images are of one group (patient), so "
            "that none can be held out; leave the setting at 0, or give images of more"
        )
    note = grouping_note(images.table, leaks)
    say(f"{len(held_out)} of {len(rows)} images held out of pre-training; {note}")
    return Parts(np.setdiff1d(rows, held_out), held_out)


def _without_tested_groups(
    table: ImageTable, data: DataConfig, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Leave out the unused images of patients, or other groups, that are tested."""
    parts = part_names(splits_of(table, data))
    tested = {table.groups[row] for row, part in enumerate(parts) if part == "test"}
    theirs = [
        row
        for row, part in enumerate(parts)
        if part == "unused" and table.groups[row] in tested
    ]
    if theirs:
        say(f"{len(theirs)} unused images of tested groups left out of pre-training")
    return np.setdiff1d(rows, theirs)


def _find_leaks(table: ImageTable, config: PretrainConfig) -> Leaks:
    if config.data.groups is not None:  # where near-duplicates are joined already
        return Leaks(table.groups, {}, "")
    return find_leaks(table, config.data, "on")
