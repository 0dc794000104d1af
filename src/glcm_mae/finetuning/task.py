"""What the training loop is given: the classifier, its images, and what is kept of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from glcm_mae.assembly import CLASSIFIER_FILE, start_classifier
from glcm_mae.config import FinetuneConfig
from glcm_mae.data import Fold
from glcm_mae.data.batching.batches import Batch, gray_statistics, plain_batches
from glcm_mae.data.batching.mixing import Mixing
from glcm_mae.data.batching.sampling import balanced_sample, without_one
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.devices import autocast
from glcm_mae.distributed import full_tensors, on_main, set_weights
from glcm_mae.downstream import TEST_FOLD_MARK, TEST_FOLD_NOTE, Trial
from glcm_mae.evaluation import Predictions, score
from glcm_mae.finetuning.whole_steps import refuse_divided_batches
from glcm_mae.intake import reading_policy
from glcm_mae.launching import beat
from glcm_mae.losses.classification import MixedLabels, mixed_cross_entropy
from glcm_mae.model import Classifier
from glcm_mae.model.baseline import Baseline
from glcm_mae.model.classifier import class_weights
from glcm_mae.progress import say
from glcm_mae.runs import Run
from glcm_mae.tensor_file import write_tensor_file
from glcm_mae.training import LossValue, Moment, Verdict
from glcm_mae.training.choice import EpochChoice


@dataclass
class Finetuning:
    """What the loop is given: the classifier, its images and the division."""

    config: FinetuneConfig
    trial: Trial
    labels: NDArray[np.int64]
    device: torch.device
    model: Classifier | Baseline
    class_weights: Tensor
    best: dict[str, Tensor]
    choice: EpochChoice
    title: str = "fine-tuning"
    section: str = "finetuning"
    draws: int = 0
    test_facts: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def build(
        cls,
        config: FinetuneConfig,
        trial: Trial,
        device: torch.device,
        *,
        title: str = "fine-tuning",
    ) -> "Finetuning":
        """Build the classifier, from given weights or with the statistics of its images.

        Raises:
            InputError: If the weights or the settings do not fit the model.
        """
        settings, labels, train = config.finetuning, trial.labels, trial.fold.train
        classes = len(trial.table.classes)
        model = start_classifier(
            config,
            reading_policy(config.data, config.model),
            lambda: gray_statistics(trial.images.pixels, train),
            classes=classes,
        )
        if model.averages_batches:
            refuse_divided_batches(config, len(train))
        weights = torch.ones(classes)
        if settings.balance == "loss":
            weights = class_weights(torch.from_numpy(labels[train]), classes)
        return cls(
            config=config,
            trial=trial,
            labels=labels,
            device=device,
            model=model.to(device).eval(),
            class_weights=weights,
            best={name: value.clone() for name, value in model.state_dict().items()},
            choice=EpochChoice(settings.selection == "last", settings.patience),
            title=title,
        )

    @property
    def fold(self) -> Fold:
        """Rows of the parts."""
        return self.trial.fold

    @property
    def pixels(self) -> Pixels:
        """All images of the table."""
        return self.trial.images.pixels

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The parts by which the weights are divided over processes."""
        return list(self.model.encoder.vit.blocks) if isinstance(self.model, Classifier) else []

    @property
    def layer_decay(self) -> float:
        """Factor by which the learning rate falls from a layer to the one below.

        It keeps what given weights know; random ones know nothing yet.
        """
        if self.config.weights is None:
            return 1.0
        return self.config.finetuning.layer_decay

    @property
    def mixing(self) -> Mixing:
        """How the images of a step are mixed with each other."""
        return Mixing(**self.config.finetuning.mixing.model_dump())

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that an epoch visits; classes are drawn alike if so set."""
        settings, seed = self.config.finetuning, self.config.seed
        rows = np.asarray(self.fold.train)
        if settings.balance == "sampling":
            rows = balanced_sample(self.labels, rows, seed=seed, epoch=epoch)
        if self.model.averages_batches and len(rows) % settings.batch_size == 1:
            rows = without_one(rows, seed=seed, epoch=epoch)
        return rows

    def name(self, row: int) -> str:
        """Return what an image is called."""
        return self.trial.table.plain_name(row)

    def sample_input(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the model is called with for one image."""
        return (image,)

    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
        """Classify the images and judge it, every class with its weight."""
        del moment
        with autocast(self.device, self.config.precision):
            logits = network(batch.images)
        smoothing = self.config.finetuning.label_smoothing
        # The mean is over the weights of the whole step, of which this is one part.
        if len(batch.mixture.shares):
            labels = self._mixed_labels(batch)
            whole = labels.weight(self.class_weights)
            part = MixedLabels(*(self._part(field, batch) for field in labels))
            weights = self.class_weights.to(self.device)
            total = mixed_cross_entropy(
                logits.float(), part, weights, label_smoothing=smoothing
            )
        else:
            total = self._summed_loss(logits, batch.rows, smoothing=smoothing)
            whole = float(self.class_weights[self.labels[batch.together]].sum())
        return LossValue(total / (whole * (batch.share or 1.0)), {})

    def _mixed_labels(self, batch: Batch) -> MixedLabels:
        own = self.labels[batch.together]
        mixture = batch.mixture
        return MixedLabels(
            torch.from_numpy(own),
            torch.from_numpy(own[mixture.partners]),
            torch.from_numpy(mixture.shares.astype(np.float32)),
        )

    def _part(self, values: Tensor, batch: Batch) -> Tensor:
        return values[batch.begin : batch.begin + len(batch.rows)].to(self.device)

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
        """Score the part that picks the epoch; keep the weights if they are to be kept."""
        del means
        part, rows = "validation", self.fold.validation
        if self.config.finetuning.selection == "test-fold":
            part, rows = "test", self.fold.test
            self._open_test()
        logits = self._logits(rows)
        weight = float(self.class_weights[self.labels[rows]].sum())
        loss = float(self._summed_loss(logits, rows, smoothing=0.0)) / weight
        classes, positive = self.trial.table.classes, self.config.data.positive
        scores = score(self.labels[rows], _probabilities(logits), classes, positive)
        chosen = {"loss": -loss, **scores}[self.config.finetuning.select_by]
        # Few images leave many ties; the loss decides them.
        rank = [float(np.nan_to_num(chosen, nan=-1.0)), -loss]
        if self.choice.keeps(epoch, rank):
            weights = full_tensors(self.model.state_dict())
            self.best = {name: value.clone() for name, value in weights.items()}
        names = ("accuracy", "balanced_accuracy", "auroc")
        found = {f"{part}/{name}": scores[name] for name in names}
        return Verdict({f"{part}/loss": loss, **found}, rank, self.choice.gives_up(epoch))

    def _open_test(self) -> None:
        """Say once that the test part is looked at, and of a protocol that picks by it."""
        if not self.test_facts:
            if self.config.finetuning.selection == "test-fold":
                say(f"WARNING: {TEST_FOLD_NOTE}")
            self.test_facts = self.trial.open_test()

    @torch.no_grad()
    def _logits(self, rows: NDArray[np.int64]) -> Tensor:
        """Return logits; with flips, the logarithm of the mean of both probabilities."""
        self.model.eval()
        parts = []
        for batch in plain_batches(self.pixels, rows, batch_size=256, device=self.device):
            with autocast(self.device, self.config.precision):
                logits = self.model(batch.images).float()
                if self.config.finetuning.test_flips:
                    mirrored = self.model(batch.images.flip(3)).float()
                    both = torch.stack([logits, mirrored]).double().log_softmax(dim=2)
                    logits = (both.logsumexp(dim=0) - log(2)).float()
            parts.append(logits)
            beat()
        return torch.cat(parts)

    def tensors(self) -> dict[str, Tensor]:
        """Return the best weights so far."""
        return {f"best/{name}": value for name, value in self.best.items()}

    def facts(self) -> dict[str, Any]:
        """Return which epoch was the best so far, and how good it was."""
        return {"best": self.choice.facts}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back the best weights so far."""
        self.best = {name.partition("/")[2]: value for name, value in tensors.items()}
        self.choice.restore(facts["best"])

    def describe(self) -> dict[str, Any]:
        """Return what a user of the weights must know: classes, model, how images are read."""
        inputs = {"inputs": self.model.inputs} if isinstance(self.model, Baseline) else {}
        return {
            "classes": list(self.trial.table.classes),
            "positive": self.config.data.positive,
            "model": self.config.model.model_dump(mode="json"),
            "baseline": self.config.baseline,
            **inputs,
            "reading": reading_policy(self.config.data, self.config.model).facts(),
            "pooling": self.config.finetuning.pooling,
            "test_flips": self.config.finetuning.test_flips,
            "selection": self.config.finetuning.selection,
        }

    def finish(self, run: Run) -> Predictions:
        """Take the chosen epoch, look at the test part, and write what was found."""
        set_weights(self.model, self.best)
        facts = {**self.describe(), "epoch": self.choice.epoch}
        on_main(lambda: write_tensor_file(run.folder / CLASSIFIER_FILE, self.best, facts))
        rows = self.fold.validation
        inner = self.trial.predictions(rows, _probabilities(self._logits(rows)))
        self._open_test()
        rows = self.fold.test
        test = self.trial.predictions(rows, _probabilities(self._logits(rows)))
        selection = self.config.finetuning.selection
        found = {
            "epoch": self.choice.epoch,
            "selection": selection,
            **_brand(selection),
            "test": self.test_facts,
        }
        self.trial.write(run.folder, test, inner, found)
        return test


def _brand(selection: str) -> dict[str, Any]:
    """Return what tables show of a protocol that looks at the test part too early."""
    if selection != "test-fold":
        return {}
    return {"mark": TEST_FOLD_MARK, "notes": [TEST_FOLD_NOTE]}


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    return logits.double().softmax(dim=1).cpu().numpy()
