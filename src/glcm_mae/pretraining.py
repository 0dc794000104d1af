"""Pre-training: the loop, top to bottom."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import AdamW

from glcm_mae.assembly import (
    ENCODER_FILE,
    IMAGES_FILE,
    build_autoencoder,
    build_objective,
    record_images,
    save_encoder,
)
from glcm_mae.config import PretrainConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import (
    Batch,
    count_batches,
    gray_statistics,
    plain_batches,
    training_batches,
)
from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.data.folds.assignments import training_rows
from glcm_mae.devices import autocast, choose_device, precision_on
from glcm_mae.errors import DivergenceError, InputError
from glcm_mae.intake import cache_folder, load_table, reading_policy, splits_of
from glcm_mae.losses.objective import (
    TERMS,
    Objective,
    Phase,
    gradient_shares,
    phase_at,
    schedule_phases,
)
from glcm_mae.model import MaskedAutoencoder, random_mask
from glcm_mae.optimization import (
    build_optimizer,
    learning_rate_at,
    load_training_state,
    set_learning_rate,
    training_state,
)
from glcm_mae.pictures import draw_reconstructions
from glcm_mae.progress import Meter, say
from glcm_mae.runs import (
    Checkpoint,
    Run,
    check_run_folder,
    save_checkpoint,
)
from glcm_mae.texture import Offset

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
    TensorBoard events, ``checkpoints/last.safetensors`` after every epoch,
    ``reconstructions.png`` and, at the end, ``encoder.safetensors``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out`` from its last whole epoch; weights
            end bit for bit as if it had never stopped (on CPU).
        images: The images of ``config.data.table``, if they are in memory already.
        title: What the progress bar calls it.

    Returns:
        The encoder file.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss or the gradient is not finite; the last
            checkpoint is kept.
    """
    check_run_folder(config, config.out, resume=resume)
    device = choose_device(config.device)
    images = images or load_table(config.data, config.model, labelled=False)
    rows = _rows(images, config)
    trainer = _Trainer.build(config, images, rows, device)
    run = Run.open(config, folder=config.out, resume=resume)
    seen = images.table.subset(rows)
    record_images(run.folder / IMAGES_FILE, seen, cache_folder(config.data.cache))
    first_epoch = trainer.restore(run) if resume else 0
    run.forget_from(first_epoch)

    epochs, total = config.pretraining.epochs, len(rows)
    with Meter(title, total=epochs * total, done=first_epoch * total) as meter:
        for epoch in range(first_epoch, epochs):
            means = trainer.train_epoch(epoch, meter)
            run.log_scalars(means, epoch=epoch)
            trainer.save(run, epoch + 1)
            if (epoch + 1) % config.pretraining.picture_every == 0 or epoch + 1 == epochs:
                trainer.draw(run.folder / "reconstructions.png", epoch + 1)
    save_encoder(run.folder / ENCODER_FILE, trainer.model.encoder, encoder_facts(config))
    return run.folder / ENCODER_FILE


def _rows(images: LoadedImages, config: PretrainConfig) -> NDArray[np.int64]:
    count = len(images.table)
    rows = training_rows(splits_of(images.table, config.data), count)
    if len(rows) == 0:
        raise InputError(f"{config.data.table}: every image is a test image; none to train on")
    if len(rows) < count:
        say(f"{count - len(rows)} test images left out of pre-training")
    return rows


@dataclass
class _Trainer:
    """What the loop holds; every random number follows from seed, epoch and step."""

    config: PretrainConfig
    images: LoadedImages
    rows: NDArray[np.int64]
    device: torch.device
    model: MaskedAutoencoder
    optimizer: AdamW
    objective: Objective
    phases: tuple[Phase, ...]

    @classmethod
    def build(
        cls,
        config: PretrainConfig,
        images: LoadedImages,
        rows: NDArray[np.int64],
        device: torch.device,
    ) -> "_Trainer":
        settings = config.pretraining
        model = build_autoencoder(config.model, seed=config.seed).to(device)
        model.encoder.set_input_statistics(*gray_statistics(images.pixels, rows))
        optimizer = build_optimizer(
            model, weight_decay=settings.weight_decay, betas=settings.betas
        )
        phases = config.losses.phases
        return cls(
            config=config,
            images=images,
            rows=rows,
            device=device,
            model=model,
            optimizer=optimizer,
            objective=build_objective(config.losses, config.model.patch_size),
            phases=schedule_phases(
                [phase.share for phase in phases],
                [{name: getattr(phase, name) for name in TERMS} for phase in phases],
                settings.epochs,
            ),
        )

    def train_epoch(self, epoch: int, meter: Meter) -> dict[str, float]:
        """Train for one epoch; return the means of what was measured."""
        self.model.train()
        weights = self.phases[phase_at(self.phases, epoch)].weights
        log: dict[str, list[float]] = {}
        for step, batch in enumerate(self._batches(epoch)):
            rate = self._set_rate(epoch, step)
            for name, value in self._step(batch, epoch, step, weights).items():
                log.setdefault(name, []).append(value)
            meter.advance(len(batch.rows), _note(log, epoch))
        means = {name: float(np.mean(values)) for name, values in log.items()}
        active = {f"weight/{name}": weight for name, weight in weights.items() if weight > 0}
        return {**means, **active, "learning_rate": rate, "images_per_second": meter.rate}

    def _batches(self, epoch: int) -> Iterator[Batch]:
        return training_batches(
            self.images.pixels,
            self.rows,
            batch_size=self.config.pretraining.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            device=self.device,
            augmentation=self.config.pretraining.augmentation.model_dump(),
        )

    def _set_rate(self, epoch: int, step: int) -> float:
        settings = self.config.pretraining
        steps = count_batches(len(self.rows), settings.batch_size)
        rate = learning_rate_at(
            epoch + (step + 1) / steps,
            epochs=settings.epochs,
            peak=settings.learning_rate,
            floor=settings.min_learning_rate,
            warmup_epochs=settings.warmup_epochs,
        )
        set_learning_rate(self.optimizer, rate)
        return rate

    def _step(
        self, batch: Batch, epoch: int, step: int, weights: Mapping[str, float]
    ) -> dict[str, float]:
        """Take one optimiser step; return raw terms, loss, and sampled gradient shares."""
        mask = self._mask(len(batch.rows), epoch, step)
        with autocast(self.device, self.config.precision):
            prediction = self.model(batch.images, mask).prediction
        value = self.objective(prediction, batch.images, mask, weights)
        values = {"loss": value.total, **{f"term/{k}": v for k, v in value.terms.items()}}
        numbers = {name: float(number.detach()) for name, number in values.items()}
        count = count_batches(len(self.rows), self.config.pretraining.batch_size)
        if (epoch * count + step) % self.config.pretraining.shares_every == 0:
            shares = gradient_shares(value, weights, [self.model.head.weight])
            numbers |= {f"share/{name}": share for name, share in shares.items()}
        self.optimizer.zero_grad()
        torch.autograd.backward(value.total)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.pretraining.clip_norm
        )
        numbers["gradient_norm"] = float(norm)
        self._refuse_non_finite(numbers, batch, epoch, step)
        self.optimizer.step()
        return numbers

    def _mask(self, images: int, epoch: int, step: int) -> Tensor:
        rows, cols = self.model.encoder.grid
        generator = counted_generator(self.config.seed, Stream.MASK, epoch, step)
        ratio = self.config.model.mask_ratio
        return random_mask(images, rows * cols, ratio, generator=generator).to(self.device)

    def _refuse_non_finite(
        self, numbers: Mapping[str, float], batch: Batch, epoch: int, step: int
    ) -> None:
        bad = [name for name, number in numbers.items() if not np.isfinite(number)]
        if bad:
            files = ", ".join(self.images.table.plain_name(row) for row in batch.rows)
            raise DivergenceError(
                f"{', '.join(bad)} not finite at epoch {epoch}, step {step}; the "
                f"checkpoint so far ({self.config.out / 'checkpoints'}) is kept; try a lower "
                f"pretraining.learning_rate; images of the batch: {files}"
            )

    def save(self, run: Run, epochs_done: int) -> None:
        """Write the checkpoint from which ``epochs_done`` epochs need not be repeated."""
        facts = {"epochs_done": epochs_done, **encoder_facts(self.config)}
        tensors = training_state(self.model, self.optimizer)
        save_checkpoint(run.last, Checkpoint(tensors, facts))

    def restore(self, run: Run) -> int:
        """Load the last checkpoint, if there is one; return the epochs already done."""
        checkpoint = run.restore(self.device)
        if checkpoint is None:
            return 0
        load_training_state(self.model, self.optimizer, checkpoint.tensors)
        return int(checkpoint.facts["epochs_done"])

    @torch.no_grad()
    def draw(self, path: Path, epochs_done: int) -> None:
        """Draw some of the training images under a mask that stays the same."""
        self.model.eval()
        chosen = self.rows[:: max(1, len(self.rows) // PICTURE_IMAGES)][:PICTURE_IMAGES]
        batch = next(
            plain_batches(
                self.images.pixels, chosen, batch_size=len(chosen), device=self.device
            )
        )
        reconstruction = self.model(batch.images, self._mask(len(chosen), 0, 0))
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


def _note(log: Mapping[str, Sequence[float]], epoch: int) -> str:
    terms = [
        f"{name.removeprefix('term/')} {np.mean(values):.4f}"
        for name, values in log.items()
        if name.startswith("term/")
    ]
    return f"epoch {epoch + 1}  {'  '.join(terms)}"


def encoder_facts(config: PretrainConfig) -> dict[str, object]:
    """Return what a user of the weights must know: the model and how images are read."""
    return {
        "model": config.model.model_dump(mode="json"),
        "reading": reading_policy(config.data, config.model).facts(),
        "losses": config.losses.model_dump(mode="json"),
        "precision": precision_on(choose_device(config.device), config.precision),
    }
