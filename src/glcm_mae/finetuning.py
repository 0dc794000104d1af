"""Fine-tuning: an encoder becomes a classifier; an inner part picks the epoch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from glcm_mae.assembly import build_classifier, load_encoder
from glcm_mae.config import FinetuneConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages, fold_from_splits, hold_out
from glcm_mae.data.batching.batches import Batch, gray_statistics, plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.data.folds.assignments import format_assignment
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import autocast, be_deterministic, choose_device
from glcm_mae.distributed import connect, full_tensors, on_main, set_weights
from glcm_mae.division import keep_together
from glcm_mae.evaluation import (
    Predictions,
    positive_index,
    read_predictions,
    score,
    score_folds,
    write_predictions,
)
from glcm_mae.intake import load_table, reading_policy, splits_of
from glcm_mae.launching import beat
from glcm_mae.model import Classifier
from glcm_mae.model.classifier import class_weights
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder, write_json
from glcm_mae.tensor_file import write_tensor_file
from glcm_mae.training import LossValue, Moment, Training, Verdict

SPLIT_FILE = "split.csv"
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
        DivergenceError: If the loss or the gradient stays not finite.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if config.deterministic:
        be_deterministic()
    device = choose_device(config.device)
    connect(device.type)
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
    task = Finetuning.build(config, images, device, title=title)
    run = Run.open(config, folder=config.out, resume=resume)
    run.keep(SPLIT_FILE, format_assignment(table, task.fold).encode())
    training = Training(task, config, config.finetuning, run, strategy=config.strategy)
    training.train(resume=resume)
    return task.finish(run, number)


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
class Finetuning:
    """What the loop is given: the classifier, its images and the division."""

    config: FinetuneConfig
    images: LoadedImages
    labels: NDArray[np.int64]
    fold: Fold
    device: torch.device
    model: Classifier
    class_weights: Tensor
    best: dict[str, Tensor]
    title: str = "fine-tuning"
    best_facts: dict[str, Any] = field(default_factory=dict)
    section: str = "finetuning"
    draws: int = 0

    @classmethod
    def build(
        cls,
        config: FinetuneConfig,
        images: LoadedImages,
        device: torch.device,
        *,
        title: str = "fine-tuning",
    ) -> "Finetuning":
        """Build the classifier, from given weights or with the statistics of its images."""
        settings, table = config.finetuning, images.table
        fold, labels = divide(table, config), np.array(table.labels)
        model = build_classifier(
            config.model, settings, classes=len(table.classes), seed=config.seed
        )
        if config.weights is None:
            statistics = gray_statistics(images.pixels, fold.train)
            model.encoder.set_input_statistics(*statistics)
        else:
            policy = reading_policy(config.data, config.model)
            load_encoder(model.encoder, config.weights, config.model, policy)
        weights = torch.ones(len(table.classes))
        if settings.balance == "loss":
            weights = class_weights(torch.from_numpy(labels[fold.train]), len(table.classes))
        return cls(
            config=config,
            images=images,
            labels=labels,
            fold=fold,
            device=device,
            model=model.to(device),
            class_weights=weights,
            best={name: value.clone() for name, value in model.state_dict().items()},
            title=title,
        )

    @property
    def pixels(self) -> Pixels:
        """All images of the table."""
        return self.images.pixels

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The parts by which the weights are divided over processes."""
        return list(self.model.encoder.vit.blocks)

    @property
    def layer_decay(self) -> float:
        """Factor by which the learning rate falls from a layer to the one below."""
        return self.config.finetuning.layer_decay

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that an epoch visits; classes are drawn alike if so set."""
        if self.config.finetuning.balance == "sampling":
            return balanced_sample(
                self.labels, self.fold.train, seed=self.config.seed, epoch=epoch
            )
        return np.asarray(self.fold.train)

    def name(self, row: int) -> str:
        """Return what an image is called."""
        return self.images.table.plain_name(row)

    def sample_input(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the model is called with for one image."""
        return (image,)

    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
        """Classify the images and judge it, every class with its weight."""
        del moment
        with autocast(self.device, self.config.precision):
            logits = network(batch.images)
        smoothing = self.config.finetuning.label_smoothing
        total = self._summed_loss(logits, batch.rows, smoothing=smoothing)
        # The mean is over the weights of the whole step, of which this is one part.
        whole = float(self.class_weights[self.labels[batch.together]].sum())
        return LossValue(total / (whole * (batch.share or 1.0)), {})

    def _summed_loss(
        self, logits: Tensor, rows: NDArray[np.int64], *, smoothing: float
    ) -> Tensor:
        return functional.cross_entropy(
            logits.float(),
            torch.from_numpy(self.labels[rows]).to(self.device),
            weight=self.class_weights.to(self.device),
            label_smoothing=smoothing,
            reduction="sum",
        )

    def end_epoch(self, epoch: int, means: Mapping[str, float]) -> Verdict:
        """Score the inner validation part; keep the weights if they are the best so far."""
        del means
        rows, table = self.fold.validation, self.images.table
        logits = self._logits(rows)
        weight = float(self.class_weights[self.labels[rows]].sum())
        loss = float(self._summed_loss(logits, rows, smoothing=0.0)) / weight
        probabilities = logits.double().softmax(dim=1).cpu().numpy()
        scores = score(
            self.labels[rows], probabilities, table.classes, self.config.data.positive
        )
        chosen = {"loss": -loss, **scores}[self.config.finetuning.select_by]
        # Few images leave many ties; the loss decides them.
        rank = [float(np.nan_to_num(chosen, nan=-1.0)), -loss]
        if not self.best_facts or rank > self.best_facts["rank"]:
            weights = full_tensors(self.model.state_dict())
            self.best = {name: value.clone() for name, value in weights.items()}
            self.best_facts = {"rank": rank, "epoch": epoch}
        names = ("accuracy", "balanced_accuracy", "auroc")
        found = {f"validation/{name}": scores[name] for name in names}
        return Verdict({"validation/loss": loss, **found}, rank)

    @torch.no_grad()
    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        self.model.eval()
        parts = []
        for batch in plain_batches(self.pixels, rows, batch_size=256, device=self.device):
            with autocast(self.device, self.config.precision):
                parts.append(self.model(batch.images).float())
            beat()
        return torch.cat(parts)

    def tensors(self) -> dict[str, Tensor]:
        """Return the best weights so far."""
        return {f"best/{name}": value for name, value in self.best.items()}

    def facts(self) -> dict[str, Any]:
        """Return which epoch was the best so far, and how good it was."""
        return {"best": self.best_facts}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back the best weights so far."""
        self.best = {name.partition("/")[2]: value for name, value in tensors.items()}
        self.best_facts = dict(facts["best"])

    def describe(self) -> dict[str, Any]:
        """Return what a user of the weights must know: classes, model, how images are read."""
        return {
            "classes": list(self.images.table.classes),
            "positive": self.config.data.positive,
            "model": self.config.model.model_dump(mode="json"),
            "reading": reading_policy(self.config.data, self.config.model).facts(),
            "pooling": self.config.finetuning.pooling,
        }

    def finish(self, run: Run, number: int) -> Predictions:
        """Take the chosen epoch, look at the test part, and write what was found."""
        set_weights(self.model, self.best)
        table, data = self.images.table, self.config.data
        facts = {**self.describe(), "epoch": self.best_facts["epoch"]}
        on_main(lambda: write_tensor_file(run.folder / CLASSIFIER_FILE, self.best, facts))
        test = self.fold.test
        probabilities = self._logits(test).double().softmax(dim=1).cpu().numpy()
        predictions = Predictions(
            tuple(table.name(row) for row in test),
            np.full(len(test), number),
            self.labels[test],
            probabilities,
            table.classes,
        )
        scores = {"epoch": facts["epoch"], **score_folds(predictions, data.positive)}
        on_main(lambda: write_json(run.folder / SCORES_FILE, scores))
        on_main(lambda: write_predictions(run.folder / PREDICTIONS_FILE, predictions))
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
