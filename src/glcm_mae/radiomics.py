"""Radiomics as a baseline: co-occurrence features of whole images, and classical learners."""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glcm_mae.data.folds.dealing import deal_groups
from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.store.pixels import Pixels, white_of
from glcm_mae.data.threads import in_threads
from glcm_mae.texture.features import Recipe, feature_names, measure

Learner = Literal["logistic", "boosting"]

DISTANCES = (1, 2, 4)
"""Distances in pixels at which pairs are counted, each measured on its own."""

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Inverse strengths of the ridge penalty that the inner folds choose from."""

INNER_FOLDS = 5

_CHUNK = 64  # images measured at once: a feature's call costs more than a table

_RECIPES = tuple(
    Recipe(
        levels=32,
        binning="range",
        bin_width=None,
        distances=(distance,),
        angles=(0, 45, 90, 135),
        symmetric=True,
        aggregation="averaged",
        features="all",
    )
    for distance in DISTANCES
)


def radiomics_names() -> tuple[str, ...]:
    """Name the columns of :func:`radiomics_features`.

    Example:
        >>> radiomics_names()[0], len(radiomics_names())
        ('angular_second_moment_1', 81)
    """
    names = feature_names("all")
    return tuple(f"{name}_{distance}" for distance in DISTANCES for name in names)


def radiomics_features(pixels: Pixels) -> NDArray[np.float64]:
    """Measure the co-occurrence features of whole images.

    Haralick's and IBSI's features of 32 gray levels between black and white, the mean
    over four directions, at each of three distances. The channels of a colour image are
    averaged first.

    Args:
        pixels: Images, (images, channel, height, width), uint8 or uint16; each side longer
            than the largest distance.

    Returns:
        One row an image, one column for each of :func:`radiomics_names`.

    Raises:
        ValueError: If the images are too small for the distances.
    """
    rows = np.empty((len(pixels), len(radiomics_names())))
    white = white_of(pixels.dtype)
    for start in range(0, len(pixels), _CHUNK):
        some = range(start, min(start + _CHUNK, len(pixels)))

        def tallies(number: int, first: int = start) -> list[Any]:
            gray = pixels[first + number].mean(axis=0) / white
            return [recipe.tally(gray) for recipe in _RECIPES]

        found = in_threads(tallies, len(some))
        for number, recipe in enumerate(_RECIPES):
            measured = measure([of_image[number] for of_image in found], recipe)
            columns = slice(number * len(measured[0]), (number + 1) * len(measured[0]))
            rows[some.start : some.stop, columns] = [list(one.values()) for one in measured]
    return rows


def radiomics_probabilities(
    learner: Learner,
    features: NDArray[np.float64],
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    fold: Fold,
    *,
    classes: int,
    seed: int,
) -> tuple[NDArray[np.float64] | None, NDArray[np.float64]]:
    """Learn from a fold's training and validation parts, and predict.

    Nothing is chosen by the test part: the penalty of the logistic regression is the one
    with the least log loss over inner folds that keep groups together, the boosting has
    fixed settings. Where a class has too few groups to be learnt in every inner fold, there
    is nothing to choose by: the penalty is scikit-learn's own.

    Args:
        learner: ``logistic`` (ridge penalty, standardised features) or ``boosting``
            (histogram gradient boosting).
        features: One row an image.
        labels: Class of each image.
        groups: Number of the group of each image.
        fold: The parts.
        classes: Number of classes.
        seed: Seed of the inner folds and of the boosting.

    Returns:
        Probabilities of the validation part, each by a model that did not learn from the
        image's group (None where a class has too few groups for inner folds), and of the
        test part; one column a class.
    """
    known = np.concatenate([fold.train, fold.validation])
    cut = _inner_folds(labels[known], groups[known], seed)
    model = _model(learner, cut, labels[known], seed)
    with warnings.catch_warnings():
        # Not converged within the steps: still a baseline. A class may lack in an inner fold.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", UserWarning)
        model.fit(features[known], labels[known])
        chosen = model.best_estimator_ if isinstance(model, GridSearchCV) else model
        test = np.zeros((len(fold.test), classes))
        test[:, chosen.classes_] = chosen.predict_proba(features[fold.test])
        if not cut:
            return None, test
        inside = cross_val_predict(
            chosen, features[known], labels[known], cv=cut, method="predict_proba"
        )
    inner = np.zeros((len(known), classes))
    inner[:, chosen.classes_] = inside
    return inner[len(fold.train) :], test


def _inner_folds(
    labels: NDArray[np.int64], groups: NDArray[np.int64], seed: int
) -> Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Divide the known images; as often as the rarest class has groups, at most five times.

    Returns:
        Rows to learn from and rows left out of each fold; nothing where a fold would not
        learn every class.
    """
    rarest = min(len(np.unique(groups[labels == name])) for name in np.unique(labels))
    count = max(2, min(INNER_FOLDS, rarest))
    folds = list(PredefinedSplit(deal_groups(labels, groups, count, seed=seed)).split())
    names = np.unique(labels)
    return folds if all(len(np.unique(labels[own])) == len(names) for own, _ in folds) else []


def _model(learner: Learner, cut: Sequence[Any], labels: NDArray[np.int64], seed: int) -> Any:
    if learner == "boosting":
        return HistGradientBoostingClassifier(
            max_iter=100, l2_regularization=1.0, early_stopping=False, random_state=seed
        )
    line = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500))
    if not cut:
        return line
    # A fold may leave no image of a class out: the loss must know of the class all the same.
    loss = make_scorer(
        log_loss,
        greater_is_better=False,
        response_method="predict_proba",
        labels=np.unique(labels),
    )
    choices = {"logisticregression__C": list(PENALTIES)}
    return GridSearchCV(line, choices, scoring=loss, cv=cut, error_score="raise")
