"""How badly images are predicted where they are hidden, every pixel as often as any other."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.data.batching.batches import Batch, plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_uniforms
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import Precision, autocast
from glcm_mae.losses.objective import Objective
from glcm_mae.model.patches import complementary_from_noise
from glcm_mae.model.restoration import restore

MEASURES = ("mse", "ssim", "glcm")
"""Raw scores of an image, larger where it is predicted worse; ``ssim`` is 1 - SSIM."""

BATCH = 32


@dataclass(frozen=True)
class Examiner:
    """A trained autoencoder, and how its predictions are judged.

    Attributes:
        model: Called with images and a mask; its ``prediction`` is in image units.
        objective: The measures, on hidden patches alone.
        grid: Rows and columns of patches.
        mask_ratio: Share that was hidden in training.
        rounds: Times that every pixel is hidden in all its ways.
        seed: Seed of the masks.
        device: Where to compute.
        precision: Autocast of the model; measures are in float32.
    """

    model: nn.Module
    objective: Objective
    grid: tuple[int, int]
    mask_ratio: float
    rounds: int = 2
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "float32"

    def measure(
        self,
        pixels: Pixels,
        rows: Sequence[int] | NDArray[np.int64],
        progress: Callable[[int], None] = lambda _: None,
    ) -> dict[str, NDArray[np.float64]]:
        """Return the measures of some images, each the mean over all hidden patches.

        Args:
            pixels: All images of the table.
            rows: Rows to look at; the masks of a row follow from its number.
            progress: Called with the number of images just done.

        Returns:
            For each of :data:`MEASURES`, one number an image, 0 for a perfect prediction.
        """
        found: dict[str, list[float]] = {name: [] for name in MEASURES}
        for batch in plain_batches(pixels, rows, batch_size=BATCH, device=self.device):
            sums = {name: np.zeros(len(batch.rows)) for name in MEASURES}
            hidden = 0
            for prediction, mask in self.predictions(batch):
                count = int(mask[0].sum())
                hidden += count
                for index in range(len(batch.rows)):
                    one = slice(index, index + 1)
                    values = self._judge(prediction[one], batch.images[one], mask[one])
                    for name, value in values.items():
                        sums[name][index] += count * value
            for name in MEASURES:
                found[name] += (sums[name] / hidden).tolist()
            progress(len(batch.rows))
        return {name: np.array(values) for name, values in found.items()}

    def _judge(self, prediction: Tensor, target: Tensor, mask: Tensor) -> Mapping[str, float]:
        return {
            name: float(self.objective.term(name, prediction, target, mask))
            for name in MEASURES
        }

    @torch.no_grad()
    def predictions(self, batch: Batch) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield the prediction, clamped to [0, 1], for every mask of every round."""
        for number in range(self.rounds):
            for mask in self._masks(batch, number).to(self.device):
                with autocast(self.device, self.precision):
                    prediction = self.model(batch.images, mask).prediction
                yield prediction.float().clamp(0.0, 1.0), mask

    def _masks(self, batch: Batch, number: int) -> Bool[Tensor, "passes batch patches"]:
        """Return the masks of a round; at 0.75, four that hide every patch three times."""
        patches, ratio = self.grid[0] * self.grid[1], self.mask_ratio
        noise = counted_uniforms(
            self.seed, number, batch.rows.tolist(), patches, stream=Stream.MASK
        )
        ways = min(round(1 / (1 - ratio)), patches) if ratio >= 0.5 else 0
        return complementary_from_noise(torch.from_numpy(noise), ratio, passes=ways)

    def restore(self, batch: Batch) -> Float[Tensor, "batch channel height width"]:
        """Return the images as predicted, every pixel while it was hidden."""
        side = self.objective.patch_size
        with autocast(self.device, self.precision):
            return restore(self.model, batch.images, self._masks(batch, 0), patch_size=side)
