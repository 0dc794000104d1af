"""Fine-tuning: an encoder becomes a classifier; an inner part picks the epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.optim import AdamW

from glcm_mae.assembly import build_classifier, load_encoder
from glcm_mae.config import FinetuneConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages, fold_from_splits, hold_out
from glcm_mae.data.batching.batches import (
    Batch,
    count_batches,
    gray_statistics,
    plain_batches,
    training_batches,
)
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.data.folds.assignments import format_assignment
from glcm_mae.devices import autocast, choose_device
from glcm_mae.division import keep_together
from glcm_mae.errors import DivergenceError
from glcm_mae.evaluation import (
    Predictions,
    positive_index,
    read_predictions,
    score,
    score_folds,
    write_predictions,
)
from glcm_mae.intake import load_table, reading_policy, splits_of
from glcm_mae.model import Classifier
from glcm_mae.model.classifier import class_weights
from glcm_mae.optimization import (
    build_optimizer,
    learning_rate_at,
    load_training_state,
    set_learning_rate,
    training_state,
)
from glcm_mae.progress import Meter, say
from glcm_mae.runs import (
    Checkpoint,
    Run,
    check_run_folder,
    save_checkpoint,
    write_atomically,
    write_json,
)

CLASSIFIER_FILE = "classifier.safetensors"
PREDICTIONS_FILE = "predictions.csv"
SCORES_FILE = "scores.json"


def finetune(
    config: FinetuneConfig,
    *,
    resume: bool = False,
    images: LoadedImages | None = None,
    number: int = 0,
    title: str = "fine-tuning",
) -> Predictions:
    """Fine-tune a classifier on one division of the images, and test it once.

    The division is the table's split column (or ``data.split``) where there is one;
    otherwise groups are held out at random, stratified by class, near-duplicates kept
    together. The inner validation
    part picks the epoch by ``finetuning.select_by``; then the test part is looked at,
    once. The run folder gets ``split.csv``, ``classifier.safetensors``,
    ``predictions.csv`` and ``scores.json``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out``; a finished one is only read.
        images: The images of ``config.data.table``, if they are in memory already.
        number: Number of the fold, for the table of predictions.
        title: What the progress bar calls it.

    Returns:
        The predictions on the test part.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss is not finite.
    """
    check_run_folder(config, config.out, resume=resume)
    if resume and (config.out / PREDICTIONS_FILE).is_file():
        say(f"{config.out} is finished")
        return read_predictions(config.out / PREDICTIONS_FILE)
    if images is None:
        images = load_table(config.data, config.model, labelled=True)
        if config.data.split is None:
            images = keep_together(images, config.data, config.leak_check)
    table = images.table
    positive_index(table.classes, config.data.positive)
    fold = divide(table, config)
    trainer = _Trainer.build(config, images, fold, choose_device(config.device))
    run = Run.open(config, folder=config.out, resume=resume)
    write_atomically(run.folder / "split.csv", format_assignment(table, fold).encode())
    first_epoch = trainer.restore(run) if resume else 0
    run.forget_from(first_epoch)

    epochs, total = config.finetuning.epochs, len(fold.train)
    with Meter(title, total=epochs * total, done=first_epoch * total) as meter:
        for epoch in range(first_epoch, epochs):
            numbers = trainer.train_epoch(epoch, meter)
            numbers |= trainer.judge(epoch)
            run.log_scalars(numbers, epoch=epoch)
            trainer.save(run, epoch + 1)
    return trainer.finish(run, number)


def divide(table: ImageTable, config: FinetuneConfig) -> Fold:
    """Return train, validation and test rows: by the splits, or at random if there are none."""
    splits = splits_of(table, config.data)
    if splits:
        return fold_from_splits(splits)
    return hold_out(
        table.labels,
        table.groups,
        validation_share=config.folds.validation_share,
        test_share=config.folds.test_share,
        seed=config.seed,
        classes=table.classes,
    )


@dataclass
class _Trainer:
    """What the loop holds; every random number follows from seed and epoch."""

    config: FinetuneConfig
    images: LoadedImages
    labels: NDArray[np.int64]
    fold: Fold
    device: torch.device
    model: Classifier
    optimizer: AdamW
    best: dict[str, Tensor]
    best_facts: dict[str, Any]

    @classmethod
    def build(
        cls, config: FinetuneConfig, images: LoadedImages, fold: Fold, device: torch.device
    ) -> "_Trainer":
        settings = config.finetuning
        model = build_classifier(
            config.model, settings, classes=len(images.table.classes), seed=config.seed
        )
        if config.weights is None:
            statistics = gray_statistics(images.pixels, fold.train)
            model.encoder.set_input_statistics(*statistics)
        else:
            policy = reading_policy(config.data, config.model)
            load_encoder(model.encoder, config.weights, config.model, policy)
        model = model.to(device)
        optimizer = build_optimizer(
            model,
            weight_decay=settings.weight_decay,
            betas=settings.betas,
            layer_decay=settings.layer_decay,
        )
        labels = np.array(images.table.labels)
        return cls(config, images, labels, fold, device, model, optimizer, {}, {})

    def train_epoch(self, epoch: int, meter: Meter) -> dict[str, float]:
        """Train for one epoch; return the mean loss and the last learning rate."""
        self.model.train()
        torch.manual_seed(counted_seed(self.config.seed, Stream.DROPOUT, epoch))
        settings = self.config.finetuning
        steps = count_batches(len(self.fold.train), settings.batch_size)
        losses = []
        for step, batch in enumerate(self._batches(epoch)):
            rate = learning_rate_at(
                epoch + (step + 1) / steps,
                epochs=settings.epochs,
                peak=settings.learning_rate,
                floor=settings.min_learning_rate,
                warmup_epochs=settings.warmup_epochs,
            )
            set_learning_rate(self.optimizer, rate)
            losses.append(self._step(batch, epoch, step))
            meter.advance(len(batch.rows), f"epoch {epoch + 1}  loss {np.mean(losses):.4f}")
        return {"loss": float(np.mean(losses)), "learning_rate": rate}

    def _batches(self, epoch: int) -> Iterator[Batch]:
        settings = self.config.finetuning
        rows = self.fold.train
        if settings.balance == "sampling":
            rows = balanced_sample(self.labels, rows, seed=self.config.seed, epoch=epoch)
        return training_batches(
            self.images.pixels,
            rows,
            batch_size=settings.batch_size,
            seed=self.config.seed,
            epoch=epoch,
            device=self.device,
            augmentation=settings.augmentation.model_dump(),
        )

    def _step(self, batch: Batch, epoch: int, step: int) -> float:
        with autocast(self.device, self.config.precision):
            logits = self.model(batch.images)
        loss = self._loss(logits, batch.rows, smoothing=self.config.finetuning.label_smoothing)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        norm = torch.nn.utils.clip_grad_norm_(
            self.model.parameters(), self.config.finetuning.clip_norm
        )
        value = float(loss.detach())
        if not np.isfinite(value) or not bool(torch.isfinite(norm)):
            files = ", ".join(self.images.table.plain_name(row) for row in batch.rows)
            raise DivergenceError(
                f"loss or gradient not finite at epoch {epoch}, step {step}; the last "
                "checkpoint is kept; try a lower finetuning.learning_rate; images of the "
                f"batch: {files}"
            )
        self.optimizer.step()
        return value

    def _loss(self, logits: Tensor, rows: NDArray[np.int64], *, smoothing: float) -> Tensor:
        labels = torch.from_numpy(self.labels[rows]).to(self.device)
        weights = None
        if self.config.finetuning.balance == "loss":
            known = torch.from_numpy(self.labels[self.fold.train])
            weights = class_weights(known, logits.shape[1]).to(self.device)
        return functional.cross_entropy(
            logits.float(), labels, weight=weights, label_smoothing=smoothing
        )

    def judge(self, epoch: int) -> dict[str, float]:
        """Score the inner validation part; keep the weights if they are the best so far."""
        logits = self._logits(self.fold.validation)
        labels = self.labels[self.fold.validation]
        loss = float(self._loss(logits, self.fold.validation, smoothing=0.0))
        probabilities = logits.double().softmax(dim=1).cpu().numpy()
        table = self.images.table
        scores = score(labels, probabilities, table.classes, self.config.data.positive)
        chosen = {"loss": -loss, **scores}[self.config.finetuning.select_by]
        # Few images leave many ties; the loss decides them.
        rank = [float(np.nan_to_num(chosen, nan=-1.0)), -loss]
        if not self.best or rank > self.best_facts["rank"]:
            self.best = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
            self.best_facts = {"rank": rank, "epoch": epoch}
        names = ("accuracy", "balanced_accuracy", "auroc")
        return {"validation/loss": loss, **{f"validation/{n}": scores[n] for n in names}}

    @torch.no_grad()
    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        self.model.eval()
        parts = []
        for batch in plain_batches(
            self.images.pixels, rows, batch_size=256, device=self.device
        ):
            with autocast(self.device, self.config.precision):
                parts.append(self.model(batch.images).float())
        return torch.cat(parts)

    def save(self, run: Run, epochs_done: int) -> None:
        """Write the checkpoint from which ``epochs_done`` epochs need not be repeated."""
        tensors = training_state(self.model, self.optimizer)
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        facts = {"epochs_done": epochs_done, "best": self.best_facts}
        save_checkpoint(run.last, Checkpoint(tensors, facts))

    def restore(self, run: Run) -> int:
        """Load the last checkpoint, if there is one; return the epochs already done."""
        checkpoint = run.restore(self.device)
        if checkpoint is None:
            return 0
        load_training_state(self.model, self.optimizer, checkpoint.tensors)
        self.best = checkpoint.group("best")
        self.best_facts = checkpoint.facts["best"]
        return int(checkpoint.facts["epochs_done"])

    def finish(self, run: Run, number: int) -> Predictions:
        """Take the chosen epoch, look at the test part, and write what was found."""
        self.model.load_state_dict(self.best)
        table, data = self.images.table, self.config.data
        facts = {
            "classes": list(table.classes),
            "positive": data.positive,
            "epoch": self.best_facts["epoch"],
            "model": self.config.model.model_dump(mode="json"),
            "reading": reading_policy(data, self.config.model).facts(),
            "pooling": self.config.finetuning.pooling,
        }
        save_checkpoint(run.folder / CLASSIFIER_FILE, Checkpoint(self.best, facts))
        test = self.fold.test
        probabilities = self._logits(test).double().softmax(dim=1).cpu().numpy()
        predictions = Predictions(
            tuple(table.name(row) for row in test),
            np.full(len(test), number),
            self.labels[test],
            probabilities,
            table.classes,
        )
        scores = score_folds(predictions, data.positive)
        write_json(run.folder / SCORES_FILE, {"epoch": facts["epoch"], **scores})
        write_predictions(run.folder / PREDICTIONS_FILE, predictions)
        return predictions


def balanced_sample(
    labels: NDArray[np.int64], rows: NDArray[np.int64], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw as many rows as there are, every class as often as any other on average.

    Args:
        labels: Class of every image of the table.
        rows: Rows to draw from.
        seed: Seed of the run.
        epoch: Epoch, counted from 0; every epoch draws anew.
    """
    rng = np.random.default_rng(counted_seed(seed, Stream.ORDER, epoch, step=1))
    counts = np.bincount(labels[rows])
    chances = 1.0 / counts[labels[rows]]
    return rng.choice(rows, size=len(rows), p=chances / chances.sum())
