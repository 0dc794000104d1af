"""Pre-training: what the loop of :mod:`glcm_mae.training` is given to learn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.assembly import (
    ENCODER_FILE,
    IMAGES_FILE,
    build_autoencoder,
    build_objective,
    record_images,
    save_autoencoder,
    start_autoencoder,
)
from glcm_mae.config import PretrainConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import STILL, Batch, gray_statistics, plain_batches
from glcm_mae.data.batching.mixing import Mixing
from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.data.folds.assignments import training_rows
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import autocast, be_deterministic, choose_device, precision_on
from glcm_mae.distributed import (
    connect,
    full_tensors,
    on_main,
    ranks,
    sum_exactly,
    sum_over_ranks,
)
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder, load_table, reading_policy, splits_of
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
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder
from glcm_mae.texture import Offset
from glcm_mae.training import LossValue, Moment, Training, Verdict

PICTURE_IMAGES = 6


def pretrain(
    config: PretrainConfig,
    *,
    resume: bool = False,
    images: LoadedImages | None = None,
    title: str = "pre-training",
) -> Path:
    """Pre-train an encoder on images without labels.

    Images whose split is ``test`` are left out. The run folder gets the settings,
    the environment, the list of images with their hashes, ``metrics.jsonl``,
    ``speed.jsonl``, TensorBoard events, ``checkpoints/``, ``reconstructions.png`` and, at
    the end, ``encoder.safetensors`` and ``autoencoder.safetensors``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out`` from its newest checkpoint; it ends
            bit for bit as if it had never stopped (on CPU).
        images: The images of ``config.data.table``, if they are in memory already.
        title: What the progress bar calls it.

    Returns:
        The encoder file.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss or the gradient stays not finite; the last
            checkpoint is kept, and the step for ``glcm-mae replay``.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if config.deterministic:
        be_deterministic()
    device = choose_device(config.device)
    connect(device.type)
    check_run_folder(config, config.out, resume=resume)
    images = images or load_table(config.data, config.model, labelled=False)
    on_main(lambda: None)  # it may have taken another process long: this waits
    task = Pretraining.build(config, images, device, title=title)
    run = Run.open(config, folder=config.out, resume=resume)
    seen = images.table.subset(task.trained_on)
    on_main(
        lambda: record_images(run.folder / IMAGES_FILE, seen, cache_folder(config.data.cache))
    )
    task.picture = run.folder / "reconstructions.png"
    training = Training(task, config, config.pretraining, run, strategy=config.strategy)
    training.train(resume=resume)
    with training.average.in_place():
        tensors = full_tensors(task.model.state_dict())
        on_main(lambda: save_autoencoder(run.folder, tensors, task.model, task.describe()))
    return run.folder / ENCODER_FILE


@dataclass
class Pretraining:
    """What the loop is given: the autoencoder, its images and the objective."""

    config: PretrainConfig
    images: LoadedImages
    trained_on: NDArray[np.int64]
    device: torch.device
    model: MaskedAutoencoder
    objective: Objective
    phases: tuple[Phase, ...]
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
        rows = _rows(images, config)
        model = build_autoencoder(config.model, seed=config.seed)
        settings = config.pretraining
        if settings.weights is None:
            mine = rows[ranks().rank :: ranks().size]
            model.encoder.set_input_statistics(
                *gray_statistics(images.pixels, mine, reduce=sum_exactly)
            )
        else:
            start_autoencoder(model, settings.weights, target=settings.weights_target)
        phases = config.losses.phases
        return cls(
            config=config,
            images=images,
            trained_on=rows,
            device=device,
            model=model.to(device),
            objective=build_objective(config.losses, config.model.patch_size),
            phases=schedule_phases(
                [phase.share for phase in phases],
                [{name: getattr(phase, name) for name in TERMS} for phase in phases],
                config.pretraining.epochs,
            ),
            title=title,
        )

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
        """Return the rows that an epoch visits: all that are not for testing."""
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
        """Draw reconstructions now and then; the least loss of the latest phase ranks best."""
        done, settings = epoch + 1, self.config.pretraining
        if done % settings.picture_every == 0 or done == settings.epochs:
            self.draw(done)
        phase = phase_at(self.phases, epoch)
        weights = {} if self.config.losses.balance == "gradnorm" else self.phases[phase].weights
        numbers = {f"weight/{name}": weight for name, weight in weights.items() if weight > 0}
        return Verdict(numbers, (phase, -means.get("loss", float("inf"))))

    def tensors(self) -> dict[str, Tensor]:
        """Return nothing: the loop holds all tensors."""
        return {}

    def facts(self) -> dict[str, Any]:
        """Return what the balance of the terms has measured."""
        return {"balance": self.balance.state()}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back what the balance had measured."""
        del tensors
        self.balance.load(facts["balance"])

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


def _rows(images: LoadedImages, config: PretrainConfig) -> NDArray[np.int64]:
    count = len(images.table)
    rows = training_rows(splits_of(images.table, config.data), count)
    if len(rows) == 0:
        raise InputError(f"{config.data.table}: every image is a test image; none to train on")
    if len(rows) < count:
        say(f"{count - len(rows)} test images left out of pre-training")
    return rows
