"""Which autoencoder restores which image: of a pre-training, or of a cross-validation."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.assembly import (
    build_autoencoder,
    holds_policy,
    load_autoencoder,
    policy_of,
)
from glcm_mae.config import ModelConfig
from glcm_mae.data import ImageTable
from glcm_mae.data.batching.batches import Batch, plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_uniforms
from glcm_mae.data.folds.parts import part_names
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.downstream import SPLIT_FILE
from glcm_mae.errors import InputError
from glcm_mae.model import MaskedAutoencoder, complementary_from_noise, restore
from glcm_mae.runs import named_folders
from glcm_mae.tensor_file import TensorFile

BATCH = 16
_STAGE = "pretraining"


@dataclass(frozen=True)
class Fold:
    """One autoencoder of a cross-validation.

    Attributes:
        folder: Run folder of its pre-training.
        tested: Names of the images that its fold tests.
    """

    folder: Path
    tested: frozenset[str]


@dataclass(frozen=True)
class System:
    """What restores images: one autoencoder, or those of the folds.

    Attributes:
        name: What tables call it.
        folder: Run folder.
        folds: Of a cross-validation, its autoencoders; empty for a single pre-training.
        transductive: Whether they saw the test images on purpose.
        model: Settings of the autoencoders.
        reading: How they read images, as their files tell.
    """

    name: str
    folder: Path
    folds: Sequence[Fold]
    transductive: bool
    model: ModelConfig
    reading: Mapping[str, Any]

    @property
    def tested(self) -> frozenset[str]:
        """Names of all images that a fold tests."""
        return frozenset().union(*(fold.tested for fold in self.folds))

    def shares(
        self, table: ImageTable, rows: NDArray[np.int64]
    ) -> list[tuple[Path, NDArray[np.int64]]]:
        """Return the autoencoders' folders, and the places among ``rows`` of their images.

        An image that several folds test, as repeats do, is the first one's.
        """
        if not self.folds:
            return [(self.folder, np.arange(len(rows)))]
        left, shares = np.ones(len(rows), dtype=bool), []
        for fold in self.folds:
            own = np.array([table.name(row) in fold.tested for row in rows.tolist()]) & left
            left &= ~own
            if own.any():
                shares.append((fold.folder, np.flatnonzero(own)))
        return shares

    def restorations(
        self,
        table: ImageTable,
        pixels: Pixels,
        rows: NDArray[np.int64],
        *,
        seed: int,
        device: torch.device,
    ) -> Iterator[tuple[NDArray[np.int64], Tensor, Tensor]]:
        """Yield places among ``rows``, their originals, and how they were restored.

        Args:
            table: The images.
            pixels: The images themselves.
            rows: Rows to restore; of a cross-validation, each tested by a fold.
            seed: Seed of the masks, which also follow from the row.
            device: Where to compute.
        """
        for folder, places in self.shares(table, rows):
            model = _build(folder, device)
            for start in range(0, len(places), BATCH):
                some = places[start : start + BATCH]
                (batch,) = plain_batches(pixels, rows[some], batch_size=BATCH, device=device)
                yield some, batch.images, _restored(model, batch, self.model, seed)


def _restored(
    model: MaskedAutoencoder, batch: Batch, settings: ModelConfig, seed: int
) -> Tensor:
    patches = model.encoder.grid[0] * model.encoder.grid[1]
    noise = counted_uniforms(seed, 0, batch.rows.tolist(), patches, stream=Stream.MASK)
    masks = complementary_from_noise(torch.from_numpy(noise), settings.mask_ratio)
    return restore(model, batch.images, masks, patch_size=settings.patch_size)


def _build(folder: Path, device: torch.device) -> MaskedAutoencoder:
    autoencoder = _read(folder)
    model = build_autoencoder(ModelConfig(**autoencoder.facts["model"]), seed=0)
    model.load_state_dict(autoencoder.tensors)
    return model.to(device).eval()


def _read(folder: Path) -> TensorFile:
    autoencoder = load_autoencoder(folder)
    if "losses" not in autoencoder.facts or not holds_policy(autoencoder.facts):
        raise InputError(f"{folder}: not the run folder of a pre-training; give one")
    return autoencoder


def read_systems(runs: Sequence[str]) -> list[System]:
    """Read what runs of ``pretrain`` and ``crossval`` tell of themselves.

    Args:
        runs: Each as ``FOLDER`` or ``NAME=FOLDER``.

    Raises:
        InputError: If one holds no autoencoder, two have the same name, or they differ in
            image size, channels or the way they read images.
    """
    systems = [_read_system(name, folder) for name, folder in named_folders(runs).items()]
    first = systems[0]
    for other in systems[1:]:
        differing = [
            f"{key} {first.reading[key]} and {other.reading[key]}"
            for key in first.reading
            if first.reading[key] != other.reading.get(key)
        ]
        if differing:
            raise InputError(
                f"{first.name} and {other.name} do not read images alike: "
                f"{'; '.join(differing)}; restore runs with the same model.image_size, "
                "model.channels and gray levels together, the others by themselves"
            )
    return systems


def _read_system(name: str, folder: Path) -> System:
    folds, transductive = _read_folds(folder)
    facts = _read(folds[0].folder if folds else folder).facts
    return System(
        name=name,
        folder=folder,
        folds=folds,
        transductive=transductive,
        model=ModelConfig(**facts["model"]),
        reading=policy_of(facts).facts(),
    )


def _read_folds(run: Path) -> tuple[list[Fold], bool]:
    """Return the autoencoders of a cross-validation, and whether all are one and the same.

    Of several seeds a fold, the first is taken.
    """
    found = sorted(run.glob(f"fold-*/{SPLIT_FILE}"), key=lambda path: _number(path.parent.name))
    shared = [run / "all" / _STAGE, run / "all" / "seed-0" / _STAGE]
    common = next((folder for folder in shared if folder.is_dir()), None)
    folds = []
    for path in found:
        own = [path.parent / _STAGE, path.parent / "seed-0" / _STAGE]
        folder = common or next((folder for folder in own if folder.is_dir()), None)
        if folder is None:
            raise InputError(
                f"{path.parent}: holds no pre-training; give a crossval that pre-trained in "
                "every fold (of one with given encoders, give the run that trained them)"
            )
        folds.append(Fold(folder, _tested_names(path)))
    return folds, common is not None


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdigit() else 0


def _tested_names(path: Path) -> frozenset[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [(row["path"], row["split"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise InputError(
            f"{path}: cannot be read; give the run folder as crossval left it"
        ) from error
    parts = part_names([split for _, split in rows])
    return frozenset(
        name for (name, _), part in zip(rows, parts, strict=True) if part == "test"
    )
