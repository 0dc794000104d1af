"""Which images are alike by their features, and whether like ones are of one class."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glcm_mae.statistics import Interval, bca_interval, resample_blocks

Features = NDArray[np.floating[Any]]
Rows = NDArray[np.int64]

RESAMPLES = 1000
_ENTRIES = 2**24
"""Similarities that are held at once (128 MiB)."""


def nearest_images(asked: Features, known: Features, count: int) -> tuple[Rows, Features]:
    """Return the most similar of known images, by the cosine of their features.

    Args:
        asked: Features of the images asked about, one row each.
        known: Features of the images among which is sought.
        count: How many to return; all if there are fewer.

    Returns:
        Rows in ``known`` and cosines, the most similar first; of equal ones the first.

    Example:
        >>> rows, cosines = nearest_images(np.array([[1.0, 0.0]]),
        ...                                np.array([[0.0, 1.0], [2.0, 0.0]]), 2)
        >>> rows, cosines
        (array([[1, 0]]), array([[1., 0.]]))
    """
    cosines = _unit(asked) @ _unit(known).T
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(cosines, order, axis=1)


def _unit(features: Features) -> NDArray[np.float64]:
    wide = features.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.maximum(lengths, 1e-12))


class Agreement(NamedTuple):
    """How often the nearest images share a property.

    Attributes:
        share: Mean share of neighbours with the image's own value, with its interval.
        chance: Share to expect if features told nothing: that of the value among all
            images that could have been neighbours.
    """

    share: Interval
    chance: float


def measure_agreement(
    shares: NDArray[np.float64], chances: NDArray[np.float64], clusters: Rows, *, seed: int
) -> Agreement:
    """Return the mean over images of what :func:`shares_of_neighbours` found.

    The interval is a BCa bootstrap of whole clusters; images that no other could be a
    neighbour of do not count.

    Args:
        shares: Share of neighbours with the image's own value; NaN where it has none.
        chances: The same among all images that could have been neighbours.
        clusters: What is independent of what, such as patients.
        seed: Seed of the bootstrap.
    """
    known = np.isfinite(shares)
    if not known.any():
        nothing = float("nan")
        return Agreement(Interval(nothing, nothing, nothing), nothing)
    interval = mean_interval(shares[known], clusters[known], seed=seed)
    return Agreement(interval, float(chances[known].mean()))


def mean_interval(values: NDArray[np.float64], clusters: Rows, *, seed: int) -> Interval:
    """Return a mean with the BCa interval of a bootstrap of whole clusters.

    Args:
        values: One an image, all finite.
        clusters: Number of the patient, or other cluster, of each image.
        seed: Seed of the bootstrap.

    Returns:
        NaN limits where all images are of one cluster, or all values alike.
    """
    estimate = float(values.mean())
    if len(np.unique(clusters)) < 2 or np.ptp(values) == 0:
        return Interval(estimate, float("nan"), float("nan"))
    blocks = resample_blocks(clusters, np.zeros_like(clusters), resamples=RESAMPLES, seed=seed)
    means = np.concatenate([drawn @ values / drawn.sum(axis=1) for drawn in blocks])
    _, number = np.unique(clusters, return_inverse=True)
    left = len(values) - np.bincount(number)
    without = (values.sum() - np.bincount(number, values)) / left
    return bca_interval(estimate, means, without)


def shares_of_neighbours(
    features: Features, values: Rows, clusters: Rows, count: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many of the nearest images have an image's own value, and how many by chance.

    Images of the same cluster (patient, near-duplicates) are no neighbours: that they are
    alike tells nothing of classes.

    Args:
        features: One row an image.
        values: The property, such as the class, of each image.
        clusters: What belongs together.
        count: Nearest images; fewer where there are fewer.

    Returns:
        Share among the nearest, and share among all that could have been; NaN where an image
        has no possible neighbour.

    Example:
        >>> found, chance = shares_of_neighbours(
        ...     np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [0.1, 1.0]]),
        ...     np.array([0, 0, 1, 1]), np.arange(4), 1)
        >>> found, chance.round(2)
        (array([1., 1., 1., 1.]), array([0.33, 0.33, 0.33, 0.33]))
    """
    unit, images = _unit(features), len(features)
    found, chance = np.full(images, np.nan), np.full(images, np.nan)
    step = max(1, _ENTRIES // max(images, 1))
    for start in range(0, images, step):
        rows = np.arange(start, min(start + step, images))
        cosines = unit[rows] @ unit.T
        possible = clusters[rows, None] != clusters[None, :]
        same = values[rows, None] == values[None, :]
        cosines[~possible] = -np.inf
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        taken = np.take_along_axis(possible, order, axis=1)
        alike = np.take_along_axis(same, order, axis=1) & taken
        with np.errstate(invalid="ignore"):  # none possible: NaN
            found[rows] = alike.sum(axis=1) / taken.sum(axis=1)
            chance[rows] = (same & possible).sum(axis=1) / possible.sum(axis=1)
    return found, chance
