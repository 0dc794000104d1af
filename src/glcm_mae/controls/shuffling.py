"""Labels dealt anew: what is reached where nothing can be learnt."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glcm_mae.statistics import Interval

CHANCE = 0.5
"""AUROC of a classifier that knows nothing, of two classes or in the mean over more."""


def shuffle_labels(
    labels: NDArray[np.int64], groups: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Deal the labels of some images anew; what stays together keeps one label.

    The images of a group that are of one class are dealt as one card: so near-duplicates,
    or the images of a patient, do not get contradicting labels, which would make labels by
    chance harder to learn than true ones. How many cards each class has does not change.

    Args:
        labels: Class of each image.
        groups: Number of the group of each image.
        generator: Where chance comes from.

    Returns:
        A class for each image.

    Raises:
        ValueError: If the lengths differ.

    Example:
        >>> labels, groups = np.array([0, 0, 1, 1, 1]), np.array([4, 4, 5, 6, 7])
        >>> shuffle_labels(labels, groups, np.random.default_rng(2)).tolist()
        [1, 1, 1, 0, 1]
    """
    if labels.shape != groups.shape:
        raise ValueError(f"labels and groups must be alike, got {labels.shape}, {groups.shape}")
    cards, number = np.unique(np.stack([groups, labels], axis=1), axis=0, return_inverse=True)
    return np.asarray(generator.permutation(cards[:, 1])[number.ravel()])


@dataclass(frozen=True)
class Shuffles:
    """What was reached with labels by chance.

    Attributes:
        areas: AUROC over all test images of each shuffle.
        observed: The same with true labels.
        confidence: Share of intervals that hold the true mean.
    """

    areas: NDArray[np.float64]
    observed: float
    confidence: float

    @property
    def mean(self) -> Interval:
        """The mean over shuffles with Student's interval.

        It tells how sure the mean is over further shuffles of these images, and is far
        narrower than the spread of the shuffles themselves.
        """
        estimate, count = float(self.areas.mean()), len(self.areas)
        spread = float(self.areas.std(ddof=1)) if count > 1 else float("nan")
        half = stats.t.ppf(0.5 + self.confidence / 2, max(count - 1, 1)) * spread / count**0.5
        return Interval(estimate, estimate - float(half), estimate + float(half))

    @property
    def inside(self) -> bool:
        """Whether chance lies inside the interval of the mean."""
        mean = self.mean
        return bool(mean.low <= CHANCE <= mean.high)

    @property
    def p_value(self) -> float:
        """Chance of a shuffle as good as the true labels, which count as one [1]_.

        References:
            .. [1] Phipson and Smyth, 2010, doi:10.2202/1544-6115.1585; Ojala and Garriga,
               2010, JMLR 11, 1833-1863 (test 1)
        """
        if np.isnan(self.observed):
            return float("nan")
        as_good = int((self.areas >= self.observed - 1e-12).sum())
        return (as_good + 1) / (len(self.areas) + 1)

    def facts(self) -> dict[str, object]:
        """Return it as it stands in ``controls.json``."""
        return {
            **self.mean._asdict(),
            "chance": CHANCE,
            "inside": self.inside,
            "permutations": len(self.areas),
            "p": self.p_value,
            "shuffles": self.areas.tolist(),
        }
