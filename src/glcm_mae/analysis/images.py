"""Which images are restored, what they are independent of, and who has seen them before."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from glcm_mae.analysis.systems import System
from glcm_mae.assembly import earlier_images, known_images, which_seen
from glcm_mae.config import FIRST_RUN, ReconstructConfig, RestoredConfig
from glcm_mae.data import ImageTable, ReadingPolicy, file_hashes
from glcm_mae.data.folds.assignments import read_groups
from glcm_mae.data.folds.parts import number_groups, part_names
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder, load_as, splits_of
from glcm_mae.runs import read_config

_READING = ("window", "percentiles", "axis", "fit", "depth")
_GROUPS_FILE = "groups.csv"


@dataclass(frozen=True)
class Subjects:
    """The images to restore.

    Attributes:
        table: All images of the table that can be read.
        pixels: These images.
        rows: Rows to restore.
        groups: Number of the patient, or other group, of each of these rows.
        notes: What a reader must know of them.
    """

    table: ImageTable
    pixels: Pixels
    rows: NDArray[np.int64]
    groups: NDArray[np.int64]
    notes: tuple[str, ...]


def with_reading(config: ReconstructConfig, system: System) -> ReconstructConfig:
    """Return the settings with the gray levels of the runs in place of the defaults.

    Raises:
        InputError: If the settings ask for others.
    """
    reading = {name: system.reading[name] for name in _READING}
    given = config.data.model_dump(mode="json", exclude_unset=True)
    asked = [
        f"data.{name} {given[name]} (the runs: {value})"
        for name, value in reading.items()
        if name in given and given[name] != value
    ]
    if asked:
        raise InputError(
            f"{'; '.join(asked)}: images are read as the runs were trained; leave it out"
        )
    data = RestoredConfig(**{**config.data.model_dump(), **reading})
    return config.model_copy(update={"data": data})


def with_table(config: ReconstructConfig, run: Path) -> ReconstructConfig:
    """Return the settings with the images of a run, where they name no other table.

    Raises:
        InputError: If the run does not tell where its images lie.
    """
    if config.data.table != FIRST_RUN:
        return config
    given = config.data.model_dump(exclude_unset=True)
    try:
        data = RestoredConfig(**{**read_config(run)["data"], **given})
    except (InputError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{run}: does not tell where its images lie; name them with --data.table"
        ) from error
    return config.model_copy(update={"data": data})


def choose_images(config: ReconstructConfig, systems: Sequence[System]) -> Subjects:
    """Read the images, and choose those that every system can restore honestly.

    Args:
        config: Settings of the stage, as the runs read images.
        systems: Who restores them.

    Raises:
        InputError: If an image or a part is bad, or none is left.
    """
    policy = ReadingPolicy.from_facts(systems[0].reading)
    images = load_as(config.data, policy, labelled=False)
    rows = _rows_of_part(config, images.table, systems)
    for system in systems:
        rows = rows[[not system.folds or images.table.name(r) in system.tested for r in rows]]
        if len(rows) == 0:
            raise InputError(
                f"{system.folder}: its folds test none of the chosen images; give the table "
                "that it was run on, with the same data.names"
            )
    chosen, grouped = _with_groups(config, images.table.subset(rows), systems)
    groups = number_groups(chosen.groups)
    left = len(images.table) - len(rows)
    notes = (
        f"{len(rows)} images{f' (of {len(images.table)})' if left else ''}, "
        f"{len(images.skipped)} files skipped",
        f"intervals: bootstrap of {len(np.unique(groups))} groups ({grouped})",
        *_tell_seen(systems, chosen, config),
    )
    return Subjects(images.table, images.pixels, rows, groups, notes)


def _rows_of_part(
    config: ReconstructConfig, table: ImageTable, systems: Sequence[System]
) -> NDArray[np.int64]:
    every = np.arange(len(table))
    folded = [system for system in systems if system.folds]
    if config.part == "all":
        return every
    if folded and config.part == "train":
        raise InputError(
            f"part: {folded[0].name} is a crossval, whose folds restore the images that they "
            "test; train is for runs of pretrain"
        )
    splits = splits_of(table, config.data)
    if splits:
        return np.flatnonzero(np.array(part_names(splits)) == config.part)
    if folded:
        return every  # those that the folds test are chosen below
    raise InputError(
        f"part: {config.data.table} tells no parts; give a column split in the manifest, "
        "--data.split FILE, a crossval run, or --part all"
    )


def _with_groups(
    config: ReconstructConfig, chosen: ImageTable, systems: Sequence[System]
) -> tuple[ImageTable, str]:
    """Return what stays together: as a cross-validation found it, else as the table tells."""
    file = next(
        (s.folder / _GROUPS_FILE for s in systems if (s.folder / _GROUPS_FILE).is_file()), None
    )
    if file is not None and config.data.groups is None:
        return replace(chosen, groups=read_groups(file, chosen)), "those of the crossval"
    known = "each image its own" if chosen.grouping == "image" else f"by {chosen.grouping}"
    return chosen, known


def _tell_seen(
    systems: Sequence[System], chosen: ImageTable, config: ReconstructConfig
) -> list[str]:
    """Say of each system whether it was trained on the images that it restores."""
    notes = []
    for system in systems:
        if system.transductive:
            notes.append(f"{system.name}: TRANSDUCTIVE, trained on these very images")
        elif system.folds:
            earlier = _tell_earlier(system.folder, chosen, config)
            notes.append(
                f"{system.name}: every image restored by the fold that tests it{earlier}"
            )
        else:
            notes.append(f"{system.name}: {_tell_seen_by(system.folder, chosen, config)}")
    return notes


def _tell_seen_by(folder: Path, chosen: ImageTable, config: ReconstructConfig) -> str:
    hashes = file_hashes(chosen, cache_folder(config.data.cache))
    seen = which_seen(known_images(folder), hashes)
    if seen is None:
        return "it is not known which of these images it was trained on"
    return f"trained on {sum(seen)} of {len(chosen)} image{'s' if len(chosen) != 1 else ''}"


def _tell_earlier(folder: Path, chosen: ImageTable, config: ReconstructConfig) -> str:
    """Say what the weights had seen that the folds' pre-trainings began with, if with any."""
    known = earlier_images(folder)
    if not known:
        return ""
    seen = which_seen(known, file_hashes(chosen, cache_folder(config.data.cache)))
    if seen is None:
        return "; but what the weights saw that pre-training began with is not known"
    return (
        f"; {'but ' if any(seen) else ''}the weights that pre-training began with were trained "
        f"on {sum(seen)} of them"
    )
