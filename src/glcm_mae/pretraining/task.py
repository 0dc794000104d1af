"""What the loop is given: the autoencoder, its images, and how a reconstruction is judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.assembly import build_autoencoder, build_objective, start_autoencoder
from glcm_mae.config import PretrainConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import STILL, Batch, gray_statistics, plain_batches
from glcm_mae.data.batching.mixing import Mixing
from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import autocast, precision_on
from glcm_mae.distributed import ranks, sum_exactly, sum_over_ranks
from glcm_mae.intake import reading_policy
from glcm_mae.losses.balance import GradientBalance
from glcm_mae.losses.objective import (
    TERMS,
    Objective,
    ObjectiveValue,
    Phase,
    gradient_norms,
    norm_shares,
    phase_at,
    schedule_phases,
    weighted_sum,
)
from glcm_mae.model import MaskedAutoencoder, mask_from_noise, random_mask
from glcm_mae.model.mae import visible_indices
from glcm_mae.pictures import draw_reconstructions
from glcm_mae.pretraining.fidelity import ERROR, BestWeights, Gauge, rank_of
from glcm_mae.pretraining.parts import Parts, divide
from glcm_mae.progress import say
from glcm_mae.texture import Offset
from glcm_mae.training import LossValue, Moment, Verdict

PICTURE_IMAGES = 6


@dataclass
class Pretraining:
    """What the loop is given: the autoencoder, its images and the objective."""

    config: PretrainConfig
    images: LoadedImages
    parts: Parts
    device: torch.device
    model: MaskedAutoencoder
    objective: Objective
    phases: tuple[Phase, ...]
    gauge: Gauge
    best: BestWeights | None
    title: str = "pre-training"
    balance: GradientBalance = field(default_factory=GradientBalance)
    picture: Path | None = None
    section: str = "pretraining"
    mixing: Mixing = STILL
    layer_decay: float = 1.0

    @classmethod
    def build(
        cls,
        config: PretrainConfig,
        images: LoadedImages,
        device: torch.device,
        *,
        title: str = "pre-training",
    ) -> "Pretraining":
        """Build the autoencoder, with the statistics of its images or from given weights."""
        parts = divide(images, config)
        model = build_autoencoder(config.model, seed=config.seed)
        settings = config.pretraining
        if settings.weights is None:
            mine = parts.train[ranks().rank :: ranks().size]
            model.encoder.set_input_statistics(
                *gray_statistics(images.pixels, mine, reduce=sum_exactly)
            )
        else:
            start_autoencoder(model, settings.weights, target=settings.weights_target)
        phases = config.losses.phases
        return cls(
            config=config,
            images=images,
            parts=parts,
            device=device,
            model=model.to(device),
            objective=build_objective(config.losses, config.model.patch_size),
            phases=schedule_phases(
                [phase.share for phase in phases],
                [{name: getattr(phase, name) for name in TERMS} for phase in phases],
                config.pretraining.epochs,
            ),
            gauge=Gauge.of(config, images.pixels, parts, device),
            best=BestWeights.of(model) if settings.select_by == "texture" else None,
            title=title,
        )

    @property
    def trained_on(self) -> NDArray[np.int64]:
        """Rows of the images that are trained on."""
        return self.parts.train

    @property
    def pixels(self) -> Pixels:
        """All images of the table."""
        return self.images.pixels

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The parts by which the weights are divided over processes."""
        return [*self.model.encoder.vit.blocks, *self.model.blocks]

    @property
    def draws(self) -> int:
        """Numbers an image that its mask is made of: one a patch."""
        rows, cols = self.model.encoder.grid
        return rows * cols

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that an epoch visits: all but those held out or for testing."""
        del epoch
        return self.trained_on

    def name(self, row: int) -> str:
        """Return what an image is called."""
        return self.images.table.plain_name(row)

    def sample_input(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the model is called with for one image."""
        return image, self._fixed_mask(1)

    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
        """Judge the reconstruction, with the terms balanced if so set."""
        weights = self.phases[phase_at(self.phases, moment.epoch)].weights
        value = self.judge(network, batch, moment.epoch)
        numbers: dict[str, Tensor | float] = {f"term/{k}": v for k, v in value.terms.items()}
        balanced = self.config.losses.balance == "gradnorm"
        sampled = moment.number % self.config.pretraining.shares_every == 0
        if batch.part == 0 and (sampled or (balanced and self.balance.needs(weights))):
            norms = self._norms(value.terms, batch.share)
            if balanced:
                self.balance.update(norms)
            shares = norm_shares(norms, self._weights(weights))
            numbers |= {f"share/{name}": share for name, share in shares.items()}
        if not balanced:
            return LossValue(value.total, numbers)
        weights = self._weights(weights)
        numbers |= {f"weight/{name}": weights[name] for name in value.terms}
        return LossValue(weighted_sum(value.terms, weights), numbers)

    def judge(self, network: nn.Module, batch: Batch, epoch: int) -> ObjectiveValue:
        """Reconstruct the images from what their masks show, and judge it."""
        mask = mask_from_noise(batch.noise, self.config.model.mask_ratio)
        visible = visible_indices(mask).to(self.device, non_blocking=True)
        mask = mask.to(self.device, non_blocking=True)
        with autocast(self.device, self.config.precision):
            prediction = network(batch.images, mask, visible).prediction
        weights = self.phases[phase_at(self.phases, epoch)].weights
        return self.objective(prediction, batch.images, mask, weights)

    def _weights(self, weights: Mapping[str, float]) -> Mapping[str, float]:
        if self.config.losses.balance == "fixed":
            return weights
        return self.balance.weights(weights)

    def _norms(self, terms: Mapping[str, Tensor], share: float) -> dict[str, float]:
        """Return the gradient norm of every term, averaged over the processes."""
        norms = gradient_norms(terms, [self.model.head.weight])
        *sums, whole = sum_over_ranks([*(share * norm for norm in norms.values()), share])
        return {name: total / whole for name, total in zip(norms, sums, strict=True)}

    def end_epoch(self, epoch: int, means: Mapping[str, float]) -> Verdict:
        """Now and then draw reconstructions, and measure how well texture is restored.

        What ranks best is the least loss of the latest phase, or the least Haralick error.
        """
        done, settings = epoch + 1, self.config.pretraining
        if self._due(done, settings.picture_every):
            self.draw(done)
        found: dict[str, float] = {}
        if settings.fidelity_every and self._due(done, settings.fidelity_every):
            found = self.gauge.measure(self.model)
        phase = phase_at(self.phases, epoch)
        weights = {} if self.config.losses.balance == "gradnorm" else self.phases[phase].weights
        numbers = {f"weight/{name}": weight for name, weight in weights.items() if weight > 0}
        rank: tuple[float, ...] = (phase, -means.get("loss", float("inf")))
        if self.best is not None:
            error = found.get(f"{self.gauge.part}/{ERROR}")
            if error is not None:
                self.best.offer(epoch, error, self.model)
            rank = (rank_of(error),)
        return Verdict({**numbers, **found}, rank)

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.config.pretraining.epochs

    def chosen(self, last: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Return the weights that the run ends with, and what their user must know.

        Args:
            last: Weights of the last epoch.
        """
        if self.best is None:
            return last, self.describe()
        epoch = self.best.choice.epoch
        say(f"weights of epoch {epoch + 1}, which restores the held-out texture best")
        return self.best.tensors, {**self.describe(), "epoch": epoch, "select_by": "texture"}

    def tensors(self) -> dict[str, Tensor]:
        """Return the best weights so far, if they are asked for; the loop holds all others."""
        if self.best is None:
            return {}
        return {f"best/{name}": value for name, value in self.best.tensors.items()}

    def facts(self) -> dict[str, Any]:
        """Return what the balance of the terms has measured, and which epoch is the best."""
        best = {} if self.best is None else {"best": self.best.choice.facts}
        return {"balance": self.balance.state(), **best}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back what the balance had measured, and the best weights so far."""
        self.balance.load(facts["balance"])
        if self.best is not None and tensors:  # replay brings none
            self.best.restore(facts["best"], tensors)

    def describe(self) -> dict[str, Any]:
        """Return what a user of the weights must know: the model and how images are read."""
        config = self.config
        return {
            "model": config.model.model_dump(mode="json"),
            "reading": reading_policy(config.data, config.model).facts(),
            "losses": config.losses.model_dump(mode="json"),
            "precision": precision_on(self.device, config.precision),
        }

    def _fixed_mask(self, images: int) -> Tensor:
        generator = counted_generator(self.config.seed, Stream.MASK)
        mask = random_mask(
            images, self.draws, self.config.model.mask_ratio, generator=generator
        )
        return mask.to(self.device)

    @torch.no_grad()
    def draw(self, epochs_done: int) -> None:
        """Draw some of the training images under a mask that stays the same."""
        self.model.eval()
        rows = self.trained_on
        chosen = rows[:: max(1, len(rows) // PICTURE_IMAGES)][:PICTURE_IMAGES]
        batch = next(
            plain_batches(self.pixels, chosen, batch_size=len(chosen), device=self.device)
        )
        reconstruction = self.model(batch.images, self._fixed_mask(len(chosen)))
        path = self.picture
        if path is None or not ranks().main:
            return
        glcm = self.config.losses.glcm
        draw_reconstructions(
            path,
            batch.images.cpu(),
            type(reconstruction)(*(part.cpu() for part in reconstruction)),
            grid=self.model.encoder.grid,
            patch_size=self.config.model.patch_size,
            levels=glcm.levels,
            bandwidth=glcm.bandwidth,
            offset=Offset(*glcm.offsets[0]),
            title=f"{self.config.model.encoder}, {epochs_done} epochs",
        )
