"""Linear probes of every model's encoder: as trained, random, and with labels dealt anew."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from glcm_mae.assembly import start_probed
from glcm_mae.config import ProbeConfig
from glcm_mae.controls.identity import Retrieval, retrieve_patients
from glcm_mae.controls.shuffling import shuffle_labels
from glcm_mae.controls.subject import Subject
from glcm_mae.data import Fold
from glcm_mae.data.batching.batches import gray_statistics
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.embedding import Embedder
from glcm_mae.evaluation import Predictions
from glcm_mae.intake import cache_folder, reading_policy
from glcm_mae.planning.fold_jobs import Model
from glcm_mae.probing import Candidate, Features, Part, best_candidate
from glcm_mae.progress import Meter


@dataclass(frozen=True)
class Probed:
    """What the probes of one model said of its test images.

    Attributes:
        trained: On the encoder of the run.
        random: On an encoder of random weights.
        shuffled: On the encoder of the run, with labels dealt anew, one entry a shuffle.
        nearest: Whose the nearest images are; None where no patient is known.
    """

    trained: Predictions
    random: Predictions
    shuffled: list[Predictions]
    nearest: Retrieval | None


def probe_models(
    subject: Subject, *, permutations: int, seed: int, device: torch.device
) -> list[Probed]:
    """Probe every model of a cross-validation, on the very folds that it was trained on.

    Args:
        subject: The cross-validation.
        permutations: Times that the labels are dealt anew.
        seed: Seed of these.
        device: Where features are computed.

    Returns:
        One entry a model.

    Raises:
        InputError: If the weights of an encoder are missing or do not fit.
    """
    return [_probe(subject, model, permutations, seed, device) for model in subject.models]


def _probe(
    subject: Subject, model: Model, permutations: int, seed: int, device: torch.device
) -> Probed:
    bench = _Bench(subject, model, device)
    features, plain = bench.features(trained=True), bench.features(trained=False)
    with Meter(f"{model.title}: linear probes", total=permutations + 2, unit="probes") as meter:
        chosen = bench.choose(features)
        trained = bench.answers(chosen, features)
        meter.advance(1)
        random = bench.answers(bench.choose(plain), plain)
        meter.advance(1)
        shuffled = []
        for number in range(permutations):
            again = bench.choose_again(features, chosen.values["C"], number, seed)
            shuffled.append(bench.answers(again, features))
            meter.advance(1, note="labels shuffled")
    return Probed(trained, random, shuffled, bench.nearest(features))


class _Bench:
    """One model's fold, and its features by the row of the table."""

    def __init__(self, subject: Subject, model: Model, device: torch.device) -> None:
        self.subject, self.model, self.device = subject, model, device
        self.fold: Fold = subject.folds[model.fold]
        table = subject.images.table
        self.labels = np.array(table.labels, dtype=np.int64)
        self.groups = np.asarray(number_groups(table.groups), dtype=np.int64)

    def features(self, *, trained: bool) -> Features:
        """Return features of all images of the fold; rows of other images are NaN."""
        images, fold = self.subject.images, self.fold
        config = self.subject.probing(self.model, trained=trained)
        rows = np.concatenate([fold.train, fold.validation, fold.test])
        found = self._embedder(config).embed(images, rows)
        every = np.full((len(images.table), found.shape[1]), np.nan, dtype=np.float32)
        every[rows] = found
        return every

    def _embedder(self, config: ProbeConfig) -> Embedder:
        policy = reading_policy(config.data, config.model)
        pixels, train = self.subject.images.pixels, self.fold.train
        model = start_probed(config, policy, lambda: gray_statistics(pixels, train))
        return Embedder(
            model,
            config.probing.pooling,
            policy.facts(),
            self.device,
            config.precision,
            config.probing.batch_size,
            cache_folder(config.data.cache),
            f"{self.model.title}: {'features' if config.weights else 'random features'}",
        )

    def choose(self, features: Features) -> Candidate:
        """Fit linear probes on the training part; the inner part picks the penalty."""
        return self._best(features, self.labels, self.subject.config.probing.penalties)

    def choose_again(
        self, features: Features, penalty: float, number: int, seed: int
    ) -> Candidate:
        """Fit a linear probe on training labels that are dealt anew.

        The penalty is the one that true labels picked: picking among more by labels that
        say nothing would gain nothing on the test part, and takes several times as long.
        """
        labels, train = self.labels.copy(), self.fold.train
        counted = counted_seed(seed, Stream.LABELS, number, self.model.number)
        generator = np.random.default_rng(counted)
        labels[train] = shuffle_labels(self.labels[train], self.groups[train], generator)
        return self._best(features, labels, (penalty,))

    def _best(
        self, features: Features, labels: NDArray[np.int64], penalties: tuple[float, ...]
    ) -> Candidate:
        config, fold = self.subject.config, self.fold
        train, validation = (
            Part(features[rows], labels[rows]) for rows in (fold.train, fold.validation)
        )
        settings = config.probing.model_copy(
            update={"method": "linear", "penalties": penalties}
        )
        classes = self.subject.images.table.classes
        return best_candidate(settings, train, validation, classes, config.data.positive)

    def answers(self, chosen: Candidate, features: Features) -> Predictions:
        """Return what a probe says of the test images."""
        table, model, test = self.subject.images.table, self.model, self.fold.test
        return Predictions(
            tuple(table.name(row) for row in test),
            np.full(len(test), model.number),
            self.labels[test],
            chosen.predict(features[test]),
            table.classes,
            self.groups[test],
            np.full(len(test), model.repeat),
        )

    def nearest(self, features: Features) -> Retrieval | None:
        """Look for the nearest image of every test image, if patients are known."""
        fold, patients = self.fold, self.subject.patients.groups
        if not patients:
            return None
        rows = np.sort(np.concatenate([fold.train, fold.validation, fold.test]))
        return retrieve_patients(
            features[rows],
            self.labels[rows],
            np.asarray(number_groups(patients), dtype=np.int64)[rows],
            asked=np.isin(rows, fold.test),
            learnt=np.isin(rows, np.concatenate([fold.train, fold.validation])),
        )


def torn_patients(subject: Subject) -> int:
    """Count the patients with images in training and test alike, in the worst fold."""
    patients = np.asarray(number_groups(subject.patients.groups))
    counts = []
    for fold in subject.folds:
        learnt = patients[np.concatenate([fold.train, fold.validation])]
        counts.append(len(np.intersect1d(learnt, patients[fold.test])))
    return max(counts)
