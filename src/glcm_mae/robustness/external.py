"""A finished run's classifiers, averaged, on images from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.assembly import policy_of
from glcm_mae.config import DataConfig, RobustnessConfig
from glcm_mae.data import ImageTable, LoadedImages, file_hashes
from glcm_mae.data.audit.duplicates import find_duplicates
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.division import thumbnail_policy
from glcm_mae.errors import InputError
from glcm_mae.evaluation import Judging, Predictions, judge
from glcm_mae.intake import cache_folder, list_images, read_listed
from glcm_mae.prediction import (
    FinishedFold,
    images_behind,
    inner_of,
    predict_rows,
    reading_elsewhere,
)


@dataclass(frozen=True)
class External:
    """What the averaged classifiers said of an external table.

    Attributes:
        predictions: Mean probabilities over all classifiers.
        judged: What :func:`glcm_mae.evaluation.judge` says of them.
        notes: How the numbers came about.
    """

    predictions: Predictions
    judged: dict[str, Any]
    notes: tuple[str, ...]


def examine_external(
    folds: Sequence[FinishedFold], own: ImageTable, config: RobustnessConfig
) -> External:
    """Test the averaged classifiers of a run on another table with the same classes.

    Images are read as the run read its own. The operating point is chosen on the inner
    validation parts of all folds together.

    Args:
        folds: The classifiers.
        own: All images of the run's table.
        config: Settings of the stage.

    Raises:
        InputError: If the classes differ, an image cannot be read, or one was among the
            images that the run learnt from.
    """
    data = reading_elsewhere(
        folds[0].config.data,
        table=config.external,
        label_map=config.external_label_map,
        group_pattern=config.external_group_pattern,
    )
    table = list_images(data, labelled=True)
    classes = tuple(folds[0].facts["classes"])
    if table.classes != classes:
        raise InputError(
            f"{data.table}: has the classes {', '.join(table.classes)}, the run "
            f"{', '.join(classes)}; bring them together with --external-label-map"
        )
    cache = cache_folder(data.cache)
    _refuse_seen(table, own, config.run, folds, cache)
    policy = policy_of(folds[0].facts)
    images = read_listed(table, policy, cache=cache, on_error=data.on_error)
    shares = np.mean([predict_rows(fold, images) for fold in folds], axis=0)
    count = len(images.table)
    found = Predictions(
        paths=images.table.names,
        folds=np.zeros(count, dtype=np.int64),
        labels=np.array(images.table.labels),
        probabilities=shares,
        classes=classes,
        groups=number_groups(images.table.groups),
    )
    judged = judge(
        found,
        inner_of(folds),
        positive=folds[0].facts["positive"],
        settings=Judging(**config.evaluation.judging(config.seed)),
    )
    alike = _note_alike(images.table, own, folds[0].config.data, config.leak_check)
    return External(found, judged, (*_notes(folds, images), alike))


def _refuse_seen(
    table: ImageTable,
    own: ImageTable,
    run: Path,
    folds: Sequence[FinishedFold],
    cache: Path | None,
) -> None:
    """Refuse external images whose content is among what the run has seen."""
    known = set(file_hashes(own, cache)) | images_behind(run, folds)
    hashes = file_hashes(table, cache)
    seen = [table.name(row) for row, digest in enumerate(hashes) if digest in known]
    if seen:
        raise InputError(
            f"{table.root}: {len(seen)} of {len(table)} external images are images of the run, "
            f"such as {seen[0]}; leave them out of the external table"
        )


def _note_alike(external: ImageTable, own: ImageTable, data: DataConfig, check: str) -> str:
    """Say how many external images are near-duplicates of images of the run."""
    if check == "off":
        return "LEAK CHECK OFF: near-duplicates of the run's images may be among them"
    thumbnails: list[NDArray[Any]] = []
    for table in (own, external):
        loaded = read_listed(
            table,
            thumbnail_policy(data),
            cache=cache_folder(data.cache),
            on_error="skip",
            what="comparing images",
        )
        thumbnails.append(np.asarray(loaded.pixels[np.arange(len(loaded.table))]))
    border = len(thumbnails[0])
    pairs = find_duplicates(np.concatenate(thumbnails)).pairs
    count = len({pair.b for pair in pairs if pair.a < border <= pair.b})
    if not count:
        return "no external image is a near-duplicate of an image of the run"
    return f"WARNING: {count} external images are near-duplicates of images of the run"


def _notes(folds: Sequence[FinishedFold], images: LoadedImages) -> tuple[str, ...]:
    many = f"mean of the probabilities of {len(folds)} classifiers" if len(folds) > 1 else ""
    skipped = f", {len(images.skipped)} files skipped" if images.skipped else ""
    inner = all(fold.inner is not None for fold in folds)
    point = (
        "operating point and temperature were chosen on the inner validation parts of the run"
        if inner
        else "the run kept no inner predictions: no operating point"
    )
    return (
        f"{len(images.table)} external images{skipped}, read as the run read its own",
        many or "one classifier",
        point,
        "no external image is, by content, an image of the run",
    )
