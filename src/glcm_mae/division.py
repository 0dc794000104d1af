"""How labelled images are divided: what must stay together, and into which folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.config import DataConfig, FoldsConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages, ReadingPolicy, make_folds
from glcm_mae.data.audit.duplicates import Duplicates, duplicate_groups, find_duplicates
from glcm_mae.data.folds.assignments import row_parts
from glcm_mae.data.folds.fold_files import check_folds, read_folds
from glcm_mae.data.folds.fractions import label_fraction
from glcm_mae.data.folds.parts import part_names
from glcm_mae.data.folds.splits import official_fold
from glcm_mae.data.store.shards import open_shards, shard_policy
from glcm_mae.data.store.squeezed import SqueezedPixels
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder, list_images, read_listed, splits_of, with_groups
from glcm_mae.progress import say

THUMBNAIL = (128, 128)
"""Size at which images are compared with each other."""

_KEPT = "each cluster stays in one part"
_GROUPINGS = {
    "manifest": "groups are those of the manifest",
    "dicom": "groups are the patients of the DICOM headers",
    "pattern": "groups were found in the paths",
}


@dataclass(frozen=True)
class Leaks:
    """What would leak from one part into another if it were not kept together.

    Attributes:
        groups: What must stay together: the table's groups, joined by near-duplicates.
        facts: Counts, for the table of scores; only ``check`` if nothing was looked for.
        note: The same in one sentence.
    """

    groups: tuple[str, ...]
    facts: dict[str, Any]
    note: str


def find_leaks(
    table: ImageTable, data: DataConfig, check: str, *, given: bool = False
) -> Leaks:
    """Find near-duplicates among the images of a table, unless told not to.

    Args:
        table: Images that can all be read.
        data: How they are read, and where decoded images are kept.
        check: ``"on"`` or ``"off"``.
        given: Whether the parts are given, so that they may tear clusters apart.

    Returns:
        The groups that no fold may tear apart.

    Raises:
        InputError: If an image cannot be read.
    """
    if check == "off":
        note = "LEAK CHECK OFF: near-duplicates may stand in training and test alike"
        return Leaks(table.groups, {"check": "off"}, note)
    found = compare_images(table, data)
    facts = {"check": "on", **count_duplicates(table, found)}
    if not facts["near_duplicate_pairs"]:
        return Leaks(table.groups, facts, "no near-duplicates were found")
    note = (
        f"{facts['images_in_clusters']} images in {facts['clusters']} clusters of "
        f"near-duplicates; {'the given parts stay as they are' if given else _KEPT}"
    )
    if facts["pairs_across_classes"]:
        note += f" ({facts['pairs_across_classes']} pairs have two different labels)"
    return Leaks(duplicate_groups(table, found), facts, note)


def keep_together(images: LoadedImages, data: DataConfig, check: str) -> LoadedImages:
    """Join the groups of near-duplicates, and say what was found.

    Where the table or ``data.split`` tells the parts, they stay as they are: groups that
    stand in two of them are counted and told.

    Args:
        images: Labelled images.
        data: How they are read, and where decoded images are kept.
        check: ``"on"`` or ``"off"``.

    Raises:
        InputError: If an image cannot be read.
    """
    parts = part_names(splits_of(images.table, data))
    leaks = find_leaks(images.table, data, check, given=bool(parts))
    say(leaks.note)
    table = replace(images.table, groups=leaks.groups)
    used = [row for row, part in enumerate(parts) if part != "unused"]
    if torn := count_torn([table.groups[row] for row in used], [parts[row] for row in used]):
        say(f"WARNING: {torn} groups stand in two parts of the given split, which leaks")
    return replace(images, table=table)


def count_torn(groups: Sequence[str], parts: Sequence[str]) -> int:
    """Count the groups that stand in two parts.

    Args:
        groups: Group of each image.
        parts: Part of each image, or nothing.

    Example:
        >>> count_torn(["ann", "ann", "bob"], ["train", "test", "test"])
        1
    """
    found: dict[str, set[str]] = {}
    for group, part in zip(groups, parts, strict=False):
        found.setdefault(group, set()).add(part)
    return sum(len(of_group) > 1 for of_group in found.values())


def count_torn_by(groups: Sequence[str], fold: Fold) -> int:
    """Count the groups that stand in two parts of a fold; what is unused does not count.

    Example:
        >>> fold = Fold(np.array([0]), np.array([1]), np.array([2]))
        >>> count_torn_by(["ann", "bob", "ann", "bob"], fold)
        1
    """
    parts = row_parts(fold, len(groups))
    used = [row for row, part in enumerate(parts) if part != "unused"]
    return count_torn([groups[row] for row in used], [parts[row] for row in used])


def list_readable(data: DataConfig) -> ImageTable:
    """List the images of some settings; those that cannot be read are left out if they may be.

    Raises:
        InputError: If the table is bad, or an image where ``data.on_error`` is ``stop``.
    """
    table = list_images(data.model_copy(update={"groups": None}), labelled=True)
    if data.on_error == "skip" and table.source != "shards":
        cache = cache_folder(data.cache)
        table = read_listed(table, thumbnail_policy(data), cache=cache, on_error="skip").table
    return with_groups(table, data)


def compare_images(table: ImageTable, data: DataConfig) -> Duplicates:
    """Find exact and near duplicates among the images of a table.

    Raises:
        InputError: If an image cannot be read.
    """
    if table.source == "shards":
        stored = open_shards(table, shard_policy(table.root))
        return find_duplicates(SqueezedPixels(stored, THUMBNAIL))
    thumbnails = read_listed(
        table,
        thumbnail_policy(data),
        cache=cache_folder(data.cache),
        on_error="stop",
        what="comparing images",
    )
    return find_duplicates(thumbnails.pixels)


def thumbnail_policy(data: DataConfig) -> ReadingPolicy:
    """Return how images are read to be compared with each other."""
    return ReadingPolicy(
        window=data.window,
        percentiles=data.percentiles,
        axis=data.axis,
        size=THUMBNAIL,
        fit="squeeze",
        depth=8,
    )


def count_duplicates(table: ImageTable, found: Duplicates) -> dict[str, int]:
    """Count pairs and clusters of near-duplicates, and those that contradict each other."""
    pairs = [(pair.a, pair.b) for pair in found.pairs]
    return {
        "near_duplicate_pairs": len(pairs),
        "clusters": len(found.clusters),
        "images_in_clusters": sum(len(cluster) for cluster in found.clusters),
        "pairs_across_classes": sum(
            table.labels[a] != table.labels[b] for a, b in pairs if table.labels
        ),
    }


def draw_folds(
    table: ImageTable, settings: FoldsConfig, seed: int, splits: Sequence[str] = ()
) -> list[Fold]:
    """Return the folds of a cross-validation: those of a file or of the table, or drawn.

    Args:
        table: Labelled images; their groups stay together.
        settings: How many folds, how often, and which share of the labels is used.
        seed: The same seed draws the same folds.
        splits: Part of every image, in place of the table's own; for the official fold.

    Raises:
        InputError: If the settings or the file do not fit the table.
    """
    if settings.file is not None:
        return _folds_of_file(settings.file, table, settings.label_share, seed)
    if settings.official:
        folds = [_official(table, settings, seed, splits or table.splits)]
    else:
        folds = make_folds(
            table.labels,
            table.groups,
            count=settings.count,
            repeats=settings.repeats,
            validation_share=settings.validation_share,
            seed=seed,
            classes=table.classes,
        )
    return [_fewer_labels(fold, table, settings.label_share, seed) for fold in folds]


def _folds_of_file(path: Path, table: ImageTable, share: float, seed: int) -> list[Fold]:
    """Read folds; what a share of the labels left unused in them is not drawn from again."""
    folds = read_folds(path, table.names)
    check_folds(folds, table.groups, table.names)
    rest = [len(table) - len(fold.test) for fold in folds]
    used = [len(fold.train) + len(fold.validation) for fold in folds]
    if share == 1 or used == rest:
        return [_fewer_labels(fold, table, share, seed) for fold in folds]
    if not share / 2 <= sum(used) / sum(rest) <= 2 * share:
        raise InputError(
            f"folds.label_share: {path} uses {sum(used) / sum(rest):.3g} of the labels that "
            f"may be learnt from, not {share:g}; leave label_share at 1, or give folds of all "
            "images"
        )
    return folds  # those of a run with such a share


def _official(
    table: ImageTable, settings: FoldsConfig, seed: int, splits: Sequence[str]
) -> Fold:
    if not splits:
        raise InputError(
            f"folds.official: {table.root} tells no parts; give the manifest a column split "
            "(train, val, test), or name a file as --data.split"
        )
    return official_fold(
        splits,
        table.labels,
        table.groups,
        validation_share=settings.validation_share,
        seed=seed,
    )


def _fewer_labels(fold: Fold, table: ImageTable, share: float, seed: int) -> Fold:
    """Keep a share of the labels of both parts that are learnt from; the rest is unused."""
    if share == 1.0:
        return fold
    labels = np.array(table.labels)
    train, validation = (
        label_fraction(
            labels,
            table.groups,
            rows,
            share,
            seed=seed,
            classes=table.classes,
            every_class=rows is fold.train,  # a rare class may be absent from the other part
        )
        for rows in (fold.train, fold.validation)
    )
    return Fold(train, validation, fold.test)


def together_note(table: ImageTable, leaks: Leaks, folds: Sequence[Fold]) -> str:
    """Say in one sentence what the folds keep together, or what given ones tear apart."""
    torn = max(count_torn_by(leaks.groups, fold) for fold in folds)
    if torn:
        return f"WARNING: {torn} groups stand in two parts of the given split, which leaks"
    return grouping_note(table, leaks)


def grouping_note(table: ImageTable, leaks: Leaks) -> str:
    """Say in one sentence what the folds keep together."""
    count = len(set(leaks.groups))
    if table.grouping == "image":
        kept = (
            "near-duplicates are kept together" if count < len(table) else "nothing is joined"
        )
        return f"IMAGE-LEVEL folds: nothing tells which images are of one patient ({kept})"
    return f"no group stands in two parts ({count} groups; {_GROUPINGS[table.grouping]})"
