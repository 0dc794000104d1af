"""From settings to images: which there are, how they are read, and where they are kept."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from glcm_mae.config import DEFAULT_CACHE, DataConfig, ImagesConfig, ModelConfig
from glcm_mae.data import ImageTable, LoadedImages, ReadingPolicy, load_images, read_table
from glcm_mae.data.folds.assignments import read_assignment, read_groups
from glcm_mae.data.tables.masks import find_masks
from glcm_mae.progress import Meter, say

READING = "reading images"
SHOWN_SKIPPED = 5
"""Files named for each reason why files are left out; ``data audit`` names all."""


def list_images(source: ImagesConfig, *, labelled: bool, axis: int = 2) -> ImageTable:
    """List the images of some settings, without reading them.

    Args:
        source: Settings.
        labelled: Whether every image needs a class.
        axis: Axis along which volumes are cut, where the settings do not say.

    Raises:
        InputError: If the table is bad, or ``data.groups`` does not tell of an image.
    """
    return with_groups(_list_images(source, labelled=labelled, axis=axis), source)


def with_groups(table: ImageTable, source: ImagesConfig) -> ImageTable:
    """Take the groups of ``data.groups``, if it is given."""
    path = source.groups if isinstance(source, DataConfig) else None
    if path is None:
        return table
    return replace(table, groups=read_groups(path, table), grouping="manifest")


def _list_images(
    source: ImagesConfig, *, labelled: bool, axis: int = 2, patients: bool = False
) -> ImageTable:
    data = source if isinstance(source, DataConfig) else None
    table = read_table(
        source.table,
        labelled=labelled,
        frames=source.frames,
        axis=data.axis if data else axis,
        label_map=data.label_map if data and labelled else {},
        group_pattern=data.group_pattern if data else "",
        patients=patients,
        hide_names=source.names == "hashed",
        key=source.key,
    )
    return _without_masks(table) if data and source.table.is_dir() else table


def _without_masks(table: ImageTable) -> ImageTable:
    """Leave out the masks that lie beside their images, and say so; a manifest is believed."""
    masks = set(find_masks(table))
    if not masks:
        return table
    say(
        f"{len(masks)} masks are left out: what is called NAME_mask beside NAME is no image (a "
        "manifest would be followed to the letter)"
    )
    return table.subset([row for row in range(len(table)) if row not in masks])


def reading_policy(data: DataConfig, model: ModelConfig) -> ReadingPolicy:
    """Return how some settings read images; the same policy is kept in checkpoints."""
    return ReadingPolicy(
        channels=model.channels,
        window=data.window,
        percentiles=data.percentiles,
        axis=data.axis,
        size=model.image_size,
        fit=data.fit,
        depth=data.depth,
    )


def cache_folder(cache: Path | None) -> Path | None:
    """Return where decoded images are kept: as set, else GLCM_MAE_CACHE, else at home."""
    if cache is None:
        return None
    if cache == DEFAULT_CACHE:
        cache = Path(os.environ.get("GLCM_MAE_CACHE") or DEFAULT_CACHE)
    return cache.expanduser()


def load_table(
    data: DataConfig, model: ModelConfig, *, labelled: bool, patients: bool = False
) -> LoadedImages:
    """Read, fit and keep all images of some settings; say what was skipped.

    Args:
        data: Which images, and how they are read.
        model: Size and channels.
        labelled: Whether every image needs a class.
        patients: Whether DICOM files are asked for their patient also without classes.

    Raises:
        InputError: If the table or one of its images is bad.
    """
    return load_as(data, reading_policy(data, model), labelled=labelled, patients=patients)


def load_as(
    data: DataConfig, policy: ReadingPolicy, *, labelled: bool, patients: bool = False
) -> LoadedImages:
    """Read and keep all images of some settings as a policy says; say what was skipped.

    Args:
        data: Which images.
        policy: How they are read, as a trained model has it.
        labelled: Whether every image needs a class.
        patients: Whether DICOM files are asked for their patient also without classes.

    Raises:
        InputError: If the table or one of its images is bad.
    """
    table = _list_images(data, labelled=labelled, axis=policy.axis, patients=patients)
    images = read_listed(table, policy, cache=cache_folder(data.cache), on_error=data.on_error)
    # Only now: what tells the groups need not tell of images that cannot be read.
    return replace(images, table=with_groups(images.table, data))


def read_listed(
    table: ImageTable,
    policy: ReadingPolicy,
    *,
    cache: Path | None,
    on_error: str,
    what: str = READING,
) -> LoadedImages:
    """Read, fit and keep all images of a table; say what was skipped.

    Args:
        table: The images.
        policy: How they are read.
        cache: Folder for decoded images, or None to keep them in memory.
        on_error: What to do with files that cannot be read, ``stop`` or ``skip``.
        what: What the progress bar calls it.

    Raises:
        InputError: If one of its images is bad.
    """
    with Meter(what, total=len(table)) as meter:
        images = load_images(
            table,
            policy,
            on_error=on_error,
            cache=cache,
            progress=lambda done, _: meter.advance(done - meter.done),
        )
    for line in _tell_skipped(images.skipped):
        say(line)
    if images.skipped or what == READING:
        say(f"{len(images.table)} images read, {len(images.skipped)} skipped")
    return images


def _tell_skipped(skipped: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Name the first files left out for each reason, and count the others."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped:
        by_reason.setdefault(reason, []).append(path)
    for reason, paths in by_reason.items():
        yield from (f"skipped {path}: {reason}" for path in paths[:SHOWN_SKIPPED])
        if len(paths) > SHOWN_SKIPPED:
            yield f"skipped {len(paths) - SHOWN_SKIPPED} more for this: {reason}"


def splits_of(table: ImageTable, data: DataConfig) -> tuple[str, ...]:
    """Return the part of every image: by ``data.split``, else by the table's own column."""
    return read_assignment(data.split, table) if data.split else table.splits
