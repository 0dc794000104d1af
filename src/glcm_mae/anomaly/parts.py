"""Which normal images are learnt from, which set the scale, and which images are judged."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glcm_mae.config import AnomalyConfig
from glcm_mae.data import Fold, ImageTable, hold_out
from glcm_mae.data.folds.fractions import label_fraction
from glcm_mae.data.folds.parts import part_names
from glcm_mae.errors import InputError
from glcm_mae.intake import splits_of

_Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Parts:
    """Rows of a table, each in ascending order.

    Attributes:
        train: Normal images that the model learns from.
        inner: Normal images that set scale and operating point.
        test: Images that are judged, of every class.
        note: How they came about, in one sentence.
    """

    train: _Rows
    inner: _Rows
    test: _Rows
    note: str

    @property
    def fold(self) -> Fold:
        """The parts as a fold; abnormal images outside the test part are in none."""
        return Fold(self.train, self.inner, self.test)

    def only_training(self, count: int) -> Fold:
        """Return a fold in which every image that must not be learnt from is for testing."""
        rest = np.setdiff1d(np.arange(count), self.train)
        return Fold(self.train, np.empty(0, dtype=np.int64), rest)


def divide(table: ImageTable, config: AnomalyConfig) -> Parts:
    """Divide a table: its own test part where it has one, else groups held out.

    Where the table's own validation part has too few normal images to tell the operating
    point from, an inner part is drawn from the normal images of both other parts.

    Args:
        table: Labelled images; groups stay together where parts are drawn.
        config: Settings of the stage.

    Raises:
        InputError: If the normal class is none, or a part lacks images.
    """
    if config.normal not in table.classes or len(table.classes) < 2:
        raise InputError(
            f"normal {config.normal!r} must be one of at least two classes; there are "
            f"{', '.join(table.classes)}: pass --normal CLASS"
        )
    normal = np.array(table.labels) == table.classes.index(config.normal)
    splits = splits_of(table, config.data)
    parts = _given(table, config, normal, splits) if splits else _drawn(table, config, normal)
    for name, rows in (("train", parts.train), ("inner validation", parts.inner)):
        if len(rows) < 2:
            raise InputError(
                f"{len(rows)} normal images for the {name} part; it needs at least 2: "
                "add some, or set another folds.validation_share"
            )
    if len(np.unique(normal[parts.test])) < 2:
        raise InputError("the test part needs normal and abnormal images: give other splits")
    return parts


def _drawn(table: ImageTable, config: AnomalyConfig, normal: NDArray[np.bool_]) -> Parts:
    fold = hold_out(
        table.labels,
        table.groups,
        validation_share=config.folds.validation_share,
        test_share=config.folds.test_share,
        seed=config.seed,
        classes=table.classes,
    )
    train, inner = (rows[normal[rows]] for rows in (fold.train, fold.validation))
    return Parts(train, inner, fold.test, "the test part was held out at random, whole groups")


def _given(
    table: ImageTable,
    config: AnomalyConfig,
    normal: NDArray[np.bool_],
    splits: tuple[str, ...],
) -> Parts:
    names = np.array(part_names(splits))
    test = np.flatnonzero(names == "test")
    train, inner = (
        np.flatnonzero((names == part) & normal) for part in ("train", "validation")
    )
    needed = math.ceil(1 / (1 - config.specificity) - 1e-9)
    if len(inner) >= needed or len(train) + len(inner) == 0:
        return Parts(train, inner, test, "the parts are those of the given split")
    few, rest = len(inner), np.union1d(train, inner)
    share, seed = config.folds.validation_share, config.seed
    inner = label_fraction(np.zeros(len(table), int), table.groups, rest, share, seed=seed)
    return Parts(
        np.setdiff1d(rest, inner),
        inner,
        test,
        f"the test part is that of the given split; its validation part has {few} normal "
        f"images, too few for a specificity of {config.specificity:g}, so the inner part was "
        "drawn from those of train and validation",
    )
