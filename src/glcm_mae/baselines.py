"""What any model must beat: the majority class, gray levels without places, radiomics."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glcm_mae.data import ImageTable, LoadedImages
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.store.pixels import Pixels, white_of
from glcm_mae.evaluation import Predictions, concatenate
from glcm_mae.progress import say
from glcm_mae.radiomics import Learner, radiomics_features, radiomics_probabilities

MAJORITY = "majority class"
GRAY_LEVELS = "gray-level statistics"
RADIOMICS: dict[Learner, str] = {
    "logistic": "radiomics, logistic regression",
    "boosting": "radiomics, gradient boosting",
}


class Baseline(NamedTuple):
    """What a baseline says.

    Attributes:
        test: Of the test images of every fold.
        inner: Of the validation images, by models that did not learn from them; None where
            the baseline learnt from them too, or a class of a fold is too rare for that.
    """

    test: Predictions
    inner: Predictions | None


_Answer = tuple[NDArray[np.float64] | None, NDArray[np.float64]]


def baseline_predictions(
    images: LoadedImages, folds: Sequence[Fold], repeats: Sequence[int], *, seed: int
) -> dict[str, Baseline]:
    """Return what is reached without a network, on the very same folds.

    Every baseline learns from the training and the validation part of a fold.

    Args:
        images: Labelled images; their groups stay together in inner folds too.
        folds: The folds.
        repeats: Number of the pass over the images that each fold belongs to.
        seed: Seed of inner folds and of boosting.

    Returns:
        By name: the class shares, a regression on gray-level statistics, and two learners
        on co-occurrence features.
    """
    table = images.table
    labels, count = np.array(table.labels), len(table.classes)
    groups = number_groups(table.groups)
    say("baselines: gray levels and radiomics")
    gray, texture = gray_features(images.pixels), radiomics_features(images.pixels)

    def learn(learner: Learner) -> Callable[[Fold], _Answer]:
        return lambda fold: radiomics_probabilities(
            learner, texture, labels, groups, fold, classes=count, seed=seed
        )

    methods: dict[str, Callable[[Fold], _Answer]] = {
        MAJORITY: lambda fold: (None, majority_probabilities(labels, fold, count)),
        GRAY_LEVELS: lambda fold: (None, gray_probabilities(gray, labels, fold, count)),
        **{name: learn(learner) for learner, name in RADIOMICS.items()},
    }
    return {
        name: _over_folds(table, folds, repeats, answer) for name, answer in methods.items()
    }


def as_runs(baselines: Mapping[str, Baseline], *, models: int) -> dict[str, Predictions]:
    """Return what baselines say of the test images as predictions of a run each.

    Args:
        baselines: By name.
        models: Models that the network had in each fold: a baseline says the same so often, so
            that it can be compared with networks that chance makes different.

    Returns:
        By name, as a folder is called.
    """
    return {
        "-".join(name.replace(",", "").split()): _as_drawn(baseline.test, models)
        for name, baseline in baselines.items()
    }


def _as_drawn(one: Predictions, draws: int) -> Predictions:
    """Return predictions as if each fold had several models, of other seeds, all the same."""
    folds, passes = int(one.folds.max()) + 1, int(one.repeat.max()) + 1
    return concatenate(
        [
            replace(one, folds=one.folds + draw * folds, repeat=one.repeat + draw * passes)
            for draw in range(draws)
        ]
    )


def _over_folds(
    table: ImageTable,
    folds: Sequence[Fold],
    repeats: Sequence[int],
    answer: Callable[[Fold], _Answer],
) -> Baseline:
    tested, inside = [], []
    for number, (fold, repeat) in enumerate(zip(folds, repeats, strict=True)):
        inner, test = answer(fold)
        tested.append(_predictions(table, fold.test, test, number, repeat))
        if inner is not None:
            inside.append(_predictions(table, fold.validation, inner, number, repeat))
    # A threshold chosen on some folds alone would not be that of the others.
    whole = len(inside) == len(folds)
    return Baseline(concatenate(tested), concatenate(inside) if whole else None)


def _predictions(
    table: ImageTable,
    rows: NDArray[np.intp],
    probabilities: NDArray[np.float64],
    number: int,
    repeat: int,
) -> Predictions:
    return Predictions(
        paths=tuple(table.name(row) for row in rows),
        folds=np.full(len(rows), number),
        labels=np.array(table.labels)[rows],
        probabilities=probabilities,
        classes=table.classes,
        groups=number_groups(table.groups)[rows],
        repeat=np.full(len(rows), repeat),
    )


def majority_probabilities(
    labels: NDArray[np.int64], fold: Fold, classes: int
) -> NDArray[np.float64]:
    """Return the class shares of a fold's training part, for every test image alike."""
    known = labels[np.concatenate([fold.train, fold.validation])]
    shares = np.bincount(known, minlength=classes) / len(known)
    return np.tile(shares, (len(fold.test), 1))


def gray_features(pixels: Pixels) -> NDArray[np.float64]:
    """Return mean, standard deviation and nine deciles of the gray levels of each image.

    Args:
        pixels: Images, (images, channel, height, width), uint8 or uint16.

    Returns:
        One row an image; none of the columns depends on where a gray level stands.
    """
    features = np.empty((len(pixels), 11))
    for row in range(len(pixels)):  # one by one: they may be more than memory holds
        levels = pixels[row].ravel()
        deciles = np.percentile(levels, np.arange(10, 100, 10))
        features[row] = (levels.mean(), levels.std(), *deciles)
    return features / white_of(pixels.dtype)


def gray_probabilities(
    features: NDArray[np.float64], labels: NDArray[np.int64], fold: Fold, classes: int
) -> NDArray[np.float64]:
    """Return what a logistic regression on the gray-level statistics says of the test part."""
    known = np.concatenate([fold.train, fold.validation])
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        # Not converged within 1000 steps: still a baseline, and a strong one.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(features[known], labels[known])
    probabilities = np.zeros((len(fold.test), classes))
    probabilities[:, model.classes_] = model.predict_proba(features[fold.test])
    return probabilities
