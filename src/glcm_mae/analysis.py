"""What a pre-trained autoencoder makes of images: pictures and numbers."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from glcm_mae.assembly import (
    build_autoencoder,
    build_objective,
    holds_policy,
    load_autoencoder,
    policy_of,
)
from glcm_mae.config import LossesConfig, ModelConfig, ReconstructConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import Batch, plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.devices import choose_device
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder, list_images, read_listed
from glcm_mae.losses.objective import TERMS
from glcm_mae.model import MaskedAutoencoder, Reconstruction, random_mask
from glcm_mae.pictures import draw_reconstructions
from glcm_mae.progress import Meter
from glcm_mae.runs import write_atomically, write_json
from glcm_mae.texture import Offset

MEASURES = ("mse", "glcm", "ssim")
"""Measures of a reconstruction; here ``ssim`` is the similarity itself, 1 for equal."""

BATCH = 16


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
    subject = _Subject.load(config)
    rows = subject.measure()
    subject.draw()
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *MEASURES])
    writer.writerows([path, *(row[name] for name in MEASURES)] for path, row in rows.items())
    write_atomically(config.out / "reconstructions.csv", text.getvalue().encode())
    means = {name: float(np.mean([row[name] for row in rows.values()])) for name in MEASURES}
    facts = {"settings": config.model_dump(mode="json"), "images": len(rows), "means": means}
    write_json(config.out / "reconstructions.json", facts)
    return means


@dataclass
class _Subject:
    """A pre-trained autoencoder, the images shown to it, and how both are judged."""

    config: ReconstructConfig
    settings: ModelConfig
    losses: LossesConfig
    images: LoadedImages
    model: MaskedAutoencoder
    device: torch.device

    @classmethod
    def load(cls, config: ReconstructConfig) -> "_Subject":
        autoencoder = load_autoencoder(config.run)
        facts = autoencoder.facts
        if "losses" not in facts or not holds_policy(facts):
            raise InputError(f"{config.run}: not the run folder of a pre-training; give one")
        settings, losses = ModelConfig(**facts["model"]), LossesConfig(**facts["losses"])
        # A run without SSIM may hold a window that its patches could not: measure with less.
        window = min(losses.ssim.window, settings.patch_size - 1 + settings.patch_size % 2)
        ssim = losses.ssim.model_copy(update={"window": window})
        losses = losses.model_copy(update={"ssim": ssim})
        policy = policy_of(facts)
        table = list_images(config, labelled=False, axis=policy.axis)
        cache = cache_folder(config.cache)
        images = read_listed(table, policy, cache=cache, on_error=config.on_error)
        model = build_autoencoder(settings, seed=0)
        model.load_state_dict(autoencoder.tensors)
        device = choose_device(config.device)
        return cls(config, settings, losses, images, model.to(device).eval(), device)

    def reconstructions(
        self, count: int, batch_size: int
    ) -> Iterator[tuple[Batch, Reconstruction]]:
        """Yield the first images with their reconstruction; a mask follows from its row."""
        rows, cols = self.model.encoder.grid
        for batch in plain_batches(
            self.images.pixels, np.arange(count), batch_size=batch_size, device=self.device
        ):
            masks = []
            for row in batch.rows.tolist():
                generator = counted_generator(self.config.seed, Stream.MASK, 0, row)
                ratio = self.settings.mask_ratio
                masks.append(random_mask(1, rows * cols, ratio, generator=generator))
            with torch.no_grad():
                yield batch, self.model(batch.images, torch.cat(masks).to(self.device))

    def measure(self) -> dict[str, dict[str, float]]:
        """Return the measures of every image, by path."""
        found: dict[str, dict[str, float]] = {}
        count = len(self.images.table)
        with Meter("reconstructing", total=count) as meter:
            for batch, reconstruction in self.reconstructions(count, BATCH):
                for index, row in enumerate(batch.rows):
                    one = slice(index, index + 1)
                    found[self.images.table.name(row)] = self._measures(
                        reconstruction.prediction[one].clamp(0, 1),
                        batch.images[one],
                        reconstruction.mask[one],
                    )
                meter.advance(len(batch.rows))
        return found

    def _measures(self, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
        objective = build_objective(self.losses, self.settings.patch_size)
        terms = {name: float(objective.term(name, prediction, target, mask)) for name in TERMS}
        return {**terms, "ssim": 1.0 - terms["ssim"]}

    def draw(self) -> None:
        """Draw the first images."""
        count = min(self.config.images, len(self.images.table))
        batch, reconstruction = next(self.reconstructions(count, count))
        draw_reconstructions(
            self.config.out / "reconstructions.png",
            batch.images.cpu(),
            Reconstruction(reconstruction.prediction.cpu(), reconstruction.mask.cpu()),
            grid=self.model.encoder.grid,
            patch_size=self.settings.patch_size,
            levels=self.losses.glcm.levels,
            bandwidth=self.losses.glcm.bandwidth,
            offset=Offset(*self.losses.glcm.offsets[0]),
            title=self.config.run.name,
        )
