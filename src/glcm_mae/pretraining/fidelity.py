"""How well texture is restored during a pre-training, and which epoch restores it best."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.config import PretrainConfig
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_uniforms
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import Precision, autocast
from glcm_mae.distributed import agree, full_tensors
from glcm_mae.fidelity import mean_haralick_error, psnr
from glcm_mae.launching import beat
from glcm_mae.model import MaskedAutoencoder
from glcm_mae.model.patches import complementary_from_noise
from glcm_mae.model.restoration import restore
from glcm_mae.pretraining.parts import Parts
from glcm_mae.training.choice import EpochChoice

ERROR, PSNR = "haralick_error", "psnr"
BATCH = 16


@dataclass(frozen=True)
class Gauge:
    """Some images, and how they are restored whenever they are.

    The images and their masks are always the same, so that only the weights change what is
    measured.

    Attributes:
        pixels: All images of the table.
        rows: Those that are restored.
        part: What the numbers are called: ``fidelity`` of images that are not trained on,
            ``training_fidelity`` of others.
        mask_ratio: Share that is hidden in training.
        patch_size: Side of a patch in pixels.
        seed: Seed of the masks.
        device: Where to compute.
        precision: Autocast of the model.
    """

    pixels: Pixels
    rows: NDArray[np.int64]
    part: str
    mask_ratio: float
    patch_size: int
    seed: int
    device: torch.device
    precision: Precision

    @classmethod
    def of(
        cls, config: PretrainConfig, pixels: Pixels, parts: Parts, device: torch.device
    ) -> "Gauge":
        """Take evenly spaced images that are held out, or training images if none is."""
        held_out = len(parts.held_out) > 0
        rows = parts.held_out if held_out else parts.train
        count = min(config.pretraining.fidelity_images, len(rows))
        return cls(
            pixels=pixels,
            rows=rows[np.arange(count) * len(rows) // count],
            part="fidelity" if held_out else "training_fidelity",
            mask_ratio=config.model.mask_ratio,
            patch_size=config.model.patch_size,
            seed=config.seed,
            device=device,
            precision=config.precision,
        )

    def measure(self, model: MaskedAutoencoder) -> dict[str, float]:
        """Restore the images, every pixel while it is hidden, and return what is logged.

        Every process restores all of them, and all take the numbers of the first.

        Returns:
            The means over the images of the mean Haralick error (0 for perfect images) and
            of the PSNR in decibels; NaN where the model predicts what is no number.
        """
        model.eval()
        found: dict[str, list[Tensor]] = {ERROR: [], PSNR: []}
        for batch in plain_batches(
            self.pixels, self.rows, batch_size=BATCH, device=self.device
        ):
            masks = self._masks(batch.rows, model.encoder.grid)
            with autocast(self.device, self.precision):
                restored = restore(model, batch.images, masks, patch_size=self.patch_size)
            known = bool(torch.isfinite(restored).all())
            for name, score in ((ERROR, mean_haralick_error), (PSNR, psnr)):
                one = torch.full((len(restored),), torch.nan)
                found[name].append(score(restored, batch.images) if known else one)
            beat()
        means = [float(torch.cat(scores).double().cpu().mean()) for scores in found.values()]
        names = (f"{self.part}/{name}" for name in found)
        return dict(zip(names, agree(means), strict=True))

    def _masks(self, rows: NDArray[np.int64], grid: tuple[int, int]) -> Tensor:
        patches = grid[0] * grid[1]
        noise = counted_uniforms(self.seed, 0, rows.tolist(), patches, stream=Stream.FIDELITY)
        return complementary_from_noise(torch.from_numpy(noise), self.mask_ratio)


@dataclass
class BestWeights:
    """The weights of the epoch that restored texture best, so far.

    All that it knows stands in the checkpoints, so a continued run keeps the same epoch.

    Attributes:
        tensors: The weights, whole and on the CPU.
        choice: Which epoch it is.
    """

    tensors: dict[str, Tensor]
    choice: EpochChoice = field(default_factory=EpochChoice)

    @classmethod
    def of(cls, model: MaskedAutoencoder) -> "BestWeights":
        """Begin with the weights as they are, so that a checkpoint knows its size."""
        return cls(_copied(model))

    def offer(self, epoch: int, error: float, model: MaskedAutoencoder) -> None:
        """Keep the weights of an epoch if its error is less than that of all before.

        Args:
            epoch: Epoch, counted from 0.
            error: Its mean Haralick error; NaN is worse than any.
            model: Where the weights are.
        """
        if self.choice.keeps(epoch, [rank_of(error)]):
            self.tensors = _copied(model)

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back what a checkpoint held."""
        self.tensors = {name.partition("/")[2]: value for name, value in tensors.items()}
        self.choice.restore(facts)


def rank_of(error: float | None) -> float:
    """Return how good an epoch is by its error; one that was not measured is the worst.

    Example:
        >>> rank_of(0.25), rank_of(float("nan")), rank_of(None)
        (-0.25, -inf, -inf)
    """
    return -error if error is not None and error == error else float("-inf")


def _copied(model: MaskedAutoencoder) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in full_tensors(model.state_dict()).items()}
