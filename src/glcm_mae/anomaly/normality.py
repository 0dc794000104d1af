"""From raw scores to one score, an operating point and a number between 0 and 1.

Everything is set by inner normal images, which were not trained on; no abnormal image has
a part in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMBINED = "combined"
"""Name of the mean of the standardised scores."""

_BELOW_HALF = float(np.nextafter(0.5, 0.0))

_Scores = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Normality:
    """How normal images score.

    Attributes:
        means: Mean of each raw score over the inner normal images.
        sds: Its standard deviation (n - 1) there; 1 where all are alike.
        thresholds: Operating point of each raw score and of the combined one.
    """

    means: Mapping[str, float]
    sds: Mapping[str, float]
    thresholds: Mapping[str, float]

    @classmethod
    def measure(cls, inner: _Scores, specificity: float) -> "Normality":
        """Measure how inner normal images score.

        Args:
            inner: Raw scores of these images, at least two.
            specificity: Share of them that the operating point calls normal.

        Raises:
            ValueError: If there are fewer than two images.

        Example:
            >>> inner = {"mse": np.array([1.0, 2.0, 3.0, 4.0])}
            >>> normal = Normality.measure(inner, 0.75)
            >>> normal.thresholds["mse"], normal.scores({"mse": np.array([2.5])})["combined"]
            (3.0, array([0.]))
        """
        count = min(len(values) for values in inner.values())
        if count < 2:
            raise ValueError(f"a spread needs at least two inner normal images, got {count}")
        means = {name: float(values.mean()) for name, values in inner.items()}
        sds = {name: _spread(values) for name, values in inner.items()}
        every = cls(means, sds, {}).scores(inner)
        points = {name: threshold_at(values, specificity) for name, values in every.items()}
        return cls(means, sds, points)

    def scores(self, raw: _Scores) -> dict[str, NDArray[np.float64]]:
        """Return the raw scores, and the mean of their standardised values as ``combined``."""
        standardised = [(raw[name] - self.means[name]) / self.sds[name] for name in self.means]
        return {**raw, COMBINED: np.mean(standardised, axis=0)}

    def probabilities(self, name: str, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers in (0, 1) that rise with a score; above 0.5 counts as abnormal.

        They are no calibrated probabilities. Unlike a logistic curve, this one stays
        strictly monotone far away from normal, so that no order of images is lost.
        """
        distance = (scores - self.thresholds[name]) / self.sds.get(name, 1.0)
        found = 0.5 + 0.5 * distance / (1.0 + np.abs(distance))
        # The threshold itself is normal, in whichever column its class stands.
        return np.asarray(np.where(distance > 0, found, np.minimum(found, _BELOW_HALF)))


def _spread(values: NDArray[np.float64]) -> float:
    """Return the standard deviation; 1 where it is nothing but rounding."""
    found = float(values.std(ddof=1))
    return found if found > 1e-12 * float(np.abs(values).max()) else 1.0


def threshold_at(inner: NDArray[np.float64], specificity: float) -> float:
    """Return the smallest inner score up to which at least a share of them lies.

    An image counts as abnormal where its score is above.

    Example:
        >>> threshold_at(np.arange(1.0, 101.0), 0.95)
        95.0
    """
    return float(np.quantile(inner, specificity, method="inverted_cdf"))
