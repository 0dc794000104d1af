"""What a pre-trained autoencoder makes of images: pictures and numbers."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from glcm_mae.assembly import build_autoencoder, build_objective, load_table
from glcm_mae.config import DataConfig, LossesConfig, ModelConfig, ReconstructConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batches import Batch, plain_batches
from glcm_mae.data.randomness import Stream, counted_generator
from glcm_mae.devices import choose_device
from glcm_mae.errors import InputError
from glcm_mae.losses.objective import TERMS, Objective
from glcm_mae.model import MaskedAutoencoder, Reconstruction, random_mask
from glcm_mae.pictures import draw_reconstructions
from glcm_mae.progress import Meter
from glcm_mae.runs import Checkpoint, load_checkpoint, write_atomically, write_json
from glcm_mae.texture import Offset

COLUMNS = ("mse", "glcm", "ssim")
"""Measures of a reconstruction; here ``ssim`` is the similarity itself, 1 for equal."""


def reconstruct(config: ReconstructConfig) -> dict[str, float]:
    """Reconstruct every image of a table under one random mask each.

    The folder gets ``reconstructions.png`` (the first images), ``reconstructions.csv``
    (``path,mse,glcm,ssim`` of the hidden patches, the prediction clamped to [0, 1]) and
    ``reconstructions.json`` (settings and means).

    Args:
        config: Settings of the stage.

    Returns:
        The mean of each measure over the images.

    Raises:
        InputError: If the run has no checkpoint, an image is bad, or the folder exists.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: exists and is not empty; choose another --out")
    device = choose_device(config.device)
    checkpoint = load_checkpoint(
        config.run / "checkpoints" / "last.safetensors", torch.device("cpu")
    )
    model_config, losses = _settings_of(checkpoint)
    data = DataConfig(table=config.table, fit=checkpoint.facts["fit"], on_error=config.on_error)
    images = load_table(data, model_config, labelled=False)
    model = build_autoencoder(model_config, seed=0)
    model.load_state_dict(checkpoint.group("model"))
    model = model.to(device).eval()
    objective = build_objective(losses, model_config.patch_size)

    rows = _measure(model, objective, images, config, model_config, device)
    _draw(model, images, config, model_config, losses, device)
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in COLUMNS}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *COLUMNS])
    writer.writerows([path, *(row[name] for name in COLUMNS)] for path, row in rows.items())
    write_atomically(config.out / "reconstructions.csv", text.getvalue().encode())
    facts = {"settings": config.model_dump(mode="json"), "images": len(rows), "means": means}
    write_json(config.out / "reconstructions.json", facts)
    return means


def _settings_of(checkpoint: Checkpoint) -> tuple[ModelConfig, LossesConfig]:
    facts = checkpoint.facts
    if not {"model", "losses", "fit"} <= facts.keys():
        raise InputError("the checkpoint is not one of a pre-training; give its run folder")
    return ModelConfig(**facts["model"]), LossesConfig(**facts["losses"])


def _batches(
    images: LoadedImages,
    batch_size: int,
    device: torch.device,
    config: ReconstructConfig,
    model: MaskedAutoencoder,
    ratio: float,
    count: int,
) -> Iterator[tuple[Batch, Reconstruction]]:
    """Yield batches with their reconstruction; every image's mask follows from its row."""
    patches = model.encoder.grid[0] * model.encoder.grid[1]
    for batch in plain_batches(
        images.pixels, np.arange(count), batch_size=batch_size, device=device
    ):
        masks = [
            random_mask(
                1,
                patches,
                ratio,
                generator=counted_generator(config.seed, Stream.MASK, 0, int(row)),
            )
            for row in batch.rows
        ]
        with torch.no_grad():
            yield batch, model(batch.images, torch.cat(masks).to(device))


def _measure(
    model: MaskedAutoencoder,
    objective: Objective,
    images: LoadedImages,
    config: ReconstructConfig,
    settings: ModelConfig,
    device: torch.device,
) -> dict[str, Mapping[str, float]]:
    rows: dict[str, Mapping[str, float]] = {}
    count = len(images.table)
    with Meter("reconstructing", total=count) as meter:
        for batch, reconstruction in _batches(
            images, 16, device, config, model, settings.mask_ratio, count
        ):
            for index, row in enumerate(batch.rows):
                one = slice(index, index + 1)
                rows[images.table.paths[row]] = _measures(
                    objective,
                    reconstruction.prediction[one].clamp(0, 1),
                    batch.images[one],
                    reconstruction.mask[one],
                )
            meter.advance(len(batch.rows))
    return rows


def _measures(
    objective: Objective, prediction: Tensor, target: Tensor, mask: Tensor
) -> dict[str, float]:
    terms: dict[str, Any] = {
        name: float(objective.term(name, prediction, target, mask)) for name in TERMS
    }
    return {**terms, "ssim": 1.0 - terms["ssim"]}


def _draw(
    model: MaskedAutoencoder,
    images: LoadedImages,
    config: ReconstructConfig,
    settings: ModelConfig,
    losses: LossesConfig,
    device: torch.device,
) -> None:
    count = min(config.images, len(images.table))
    batch, reconstruction = next(
        _batches(images, count, device, config, model, settings.mask_ratio, count)
    )
    draw_reconstructions(
        config.out / "reconstructions.png",
        batch.images.cpu(),
        Reconstruction(reconstruction.prediction.cpu(), reconstruction.mask.cpu()),
        grid=model.encoder.grid,
        patch_size=settings.patch_size,
        levels=losses.glcm.levels,
        bandwidth=losses.glcm.bandwidth,
        offset=Offset(*losses.glcm.offsets[0]),
        title=config.run.name,
    )
