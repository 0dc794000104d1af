"""Probing: how well frozen features tell the classes, by a line or by the nearest images."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from glcm_mae.assembly import start_probed
from glcm_mae.config import ProbeConfig, ProbingConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import gray_statistics
from glcm_mae.devices import be_deterministic, choose_device
from glcm_mae.downstream import Trial, read_finished
from glcm_mae.embedding import Embedder
from glcm_mae.evaluation import Predictions, score
from glcm_mae.intake import cache_folder, reading_policy
from glcm_mae.model.classifier import class_weights
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder

ITERATIONS = 5000

Features = NDArray[np.float32]
Probabilities = NDArray[np.float64]


def probe(
    config: ProbeConfig,
    *,
    resume: bool = False,
    images: LoadedImages | None = None,
    number: int = 0,
    repeat: int = 0,
    title: str = "features",
) -> Predictions:
    """Classify frozen features on one division of the images, and test that once.

    The division is as for :func:`~glcm_mae.finetuning.finetune`. Every candidate (value of
    the penalty; number of neighbours and temperature) is fitted on the training part, and
    ``probing.select_by`` on the inner validation part picks one; then the test part is
    looked at. Features are kept in the cache, so that further probes cost next to nothing.
    The run folder gets ``split.csv``, ``validation.csv``, ``predictions.csv``,
    ``scores.json``.

    Args:
        config: Settings of the stage.
        resume: A finished run in ``config.out`` is only read, another begins again.
        images: The images of ``config.data.table``, if they are in memory already.
        number: Number of the trained model, for the table of predictions.
        repeat: Number of the complete pass over the images that it belongs to.
        title: What the progress bar calls it.

    Returns:
        The predictions on the test part.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
    """
    if config.deterministic:
        be_deterministic()
    check_run_folder(config, config.out, resume=resume)
    found = read_finished(config, resume=resume)
    if found is not None:
        return found
    trial = Trial.prepare(config, images, number=number, repeat=repeat)
    embedder = _embedder(config, trial, title)
    trial.keep_split(Run.open(config, folder=config.out, resume=resume))
    fold, labels = trial.fold, trial.labels
    train, validation = (
        Part(embedder.embed(trial.images, rows), labels[rows])
        for rows in (fold.train, fold.validation)
    )
    classes, positive = trial.table.classes, config.data.positive
    chosen = choose(config.probing, train, validation, classes, positive)
    inner = trial.predictions(fold.validation, chosen.predict(validation.features))
    opened = trial.open_test()
    features = embedder.embed(trial.images, fold.test)
    test = trial.predictions(fold.test, chosen.predict(features))
    facts = {"selection": "inner", "chosen": chosen.values, "test": opened}
    trial.write(config.out, test, inner, facts)
    return test


def _embedder(config: ProbeConfig, trial: Trial, title: str) -> Embedder:
    policy = reading_policy(config.data, config.model)
    model = start_probed(
        config, policy, lambda: gray_statistics(trial.images.pixels, trial.fold.train)
    )
    return Embedder(
        model,
        config.probing.pooling,
        policy.facts(),
        choose_device(config.device),
        config.precision,
        config.probing.batch_size,
        cache_folder(config.data.cache),
        title,
    )


class Part(NamedTuple):
    """Features of some images, and their classes."""

    features: Features
    labels: NDArray[np.int64]


class Candidate(NamedTuple):
    """A classifier of features that was fitted with some values.

    Attributes:
        values: What it was fitted with.
        predict: From features to probabilities, one column a class.
    """

    values: dict[str, float]
    predict: Callable[[Features], Probabilities]


def choose(
    settings: ProbingConfig,
    train: Part,
    validation: Part,
    classes: tuple[str, ...],
    positive: str,
) -> Candidate:
    """Fit every candidate on the training part; return the best on the inner part, and say so.

    Ties are decided by the loss, then by the order of the settings.
    """
    best = best_candidate(settings, train, validation, classes, positive)
    values = ", ".join(f"{name} {value:g}" for name, value in best.values.items())
    say(f"{settings.method} probe: {values} chosen on the inner part")
    return best


def best_candidate(
    settings: ProbingConfig,
    train: Part,
    validation: Part,
    classes: tuple[str, ...],
    positive: str,
) -> Candidate:
    """Do :func:`choose` without a word, for what is fitted many times."""
    count = len(classes)
    weights = np.ones(count)
    if settings.balance == "loss":
        weights = class_weights(torch.from_numpy(train.labels), count).double().numpy()
    fitted = linear_probes if settings.method == "linear" else nearest_probes
    best: tuple[list[float], Candidate] | None = None
    for candidate in fitted(settings, train, weights):
        probabilities = candidate.predict(validation.features)
        loss = _loss(probabilities, validation.labels, weights)
        scores = score(validation.labels, probabilities, classes, positive)
        picked = float({"loss": -loss, **scores}[settings.select_by])
        rank = [float(np.nan_to_num(picked, nan=-1.0)), -loss]
        if best is None or rank > best[0]:
            best = rank, candidate
    assert best is not None, "the settings hold at least one value"
    return best[1]


def _loss(
    probabilities: Probabilities, labels: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    own = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
    return float(-(weights[labels] * np.log(own)).sum() / weights[labels].sum())


def linear_probes(
    settings: ProbingConfig, train: Part, weights: NDArray[np.float64]
) -> Iterator[Candidate]:
    """Yield logistic regressions on standardised features, one a penalty.

    Args:
        settings: The penalties.
        train: What they are fitted on; its mean and deviation standardise all features.
        weights: What an image of each class counts in the loss.
    """
    scaler = StandardScaler().fit(train.features.astype(np.float64))
    known = scaler.transform(train.features.astype(np.float64))
    for penalty in settings.penalties:
        model = LogisticRegression(
            C=penalty, class_weight=dict(enumerate(weights.tolist())), max_iter=ITERATIONS
        )
        with warnings.catch_warnings(record=True) as raised:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(known, train.labels)
        if any(issubclass(warning.category, ConvergenceWarning) for warning in raised):
            say(f"linear probe: C {penalty:g} was not settled after {ITERATIONS} iterations")

        def predict(features: Features, model: Any = model) -> Probabilities:
            found = np.zeros((len(features), len(weights)))
            found[:, model.classes_] = model.predict_proba(
                scaler.transform(features.astype(np.float64))
            )
            return found

        yield Candidate({"C": penalty}, predict)


def nearest_probes(
    settings: ProbingConfig, train: Part, weights: NDArray[np.float64]
) -> Iterator[Candidate]:
    r"""Yield classifiers by the nearest images: one a number of them and a temperature.

    A neighbour of cosine similarity :math:`s` votes for its class with
    :math:`\exp(s / T)` [1]_, times the weight of its class.

    Args:
        settings: The numbers of neighbours and the temperatures.
        train: The images that vote.
        weights: What the vote of each class counts.

    References:
        .. [1] Wu et al., 2018, arXiv:1805.01978; Caron et al., 2021, arXiv:2104.14294
    """
    numbers = [k for k in settings.neighbours if k <= len(train.labels)]
    numbers = numbers or [len(train.labels)]
    nearest = NearestNeighbors(n_neighbors=max(numbers), metric="cosine", algorithm="brute")
    nearest.fit(train.features)
    for neighbours in numbers:
        for temperature in settings.temperatures:

            def predict(
                features: Features, k: int = neighbours, heat: float = temperature
            ) -> Probabilities:
                distances, places = nearest.kneighbors(features, n_neighbors=k)
                voters = train.labels[places]
                # Relative to the nearest, so that no vote overflows and one stays above 0.
                votes = np.exp((distances[:, :1] - distances) / heat) * weights[voters]
                found = np.zeros((len(features), len(weights)))
                rows = np.broadcast_to(np.arange(len(features))[:, None], voters.shape)
                np.add.at(found, (rows, voters), votes)
                return np.asarray(found / found.sum(axis=1, keepdims=True))

            values = {"neighbours": float(neighbours), "temperature": temperature}
            yield Candidate(values, predict)
