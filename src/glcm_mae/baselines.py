"""What any model must beat: the majority class, and gray levels without their places."""

import warnings

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.store.pixels import Pixels, white_of


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
