"""Intervals of means over images, by a bootstrap of whole groups."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glcm_mae.statistics import (
    Interval,
    bca_interval,
    percentile_interval,
    resample_blocks,
)

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Resampling:
    """How intervals of means over the same images are made.

    Attributes:
        groups: Number of the patient, or other group, of each image.
        resamples: Resamples of the bootstrap.
        confidence: Share of such intervals that hold the true mean.
        seed: Seed of the resamples.
    """

    groups: NDArray[np.int64]
    resamples: int = 2000
    confidence: float = 0.95
    seed: int = 0

    def means(self, values: Values) -> list[Interval]:
        """Return the mean of each column with its interval (BCa).

        Args:
            values: One row an image; what is not finite is left out.

        Returns:
            One interval a column; NaN where nothing is finite.
        """
        estimates = _means(np.ones((1, len(values))), values)[0]
        replicates, left_out = self._replicates(values), self._leave_out(values)
        return [
            bca_interval(
                float(estimates[column]),
                replicates[:, column],
                left_out[:, column],
                confidence=self.confidence,
            )
            for column in range(values.shape[1])
        ]

    def difference(self, first: Values, second: Values) -> Interval:
        """Return the mean of ``second - first``, image by image, with its interval."""
        paired = (second - first)[:, None]
        return percentile_interval(
            float(np.mean(paired)),
            self._replicates(paired)[:, 0],
            len(np.unique(self.groups)),
            confidence=self.confidence,
        )

    def _replicates(self, values: Values) -> Values:
        strata = np.zeros(len(values), dtype=np.int64)
        blocks = resample_blocks(self.groups, strata, resamples=self.resamples, seed=self.seed)
        return np.concatenate([_means(weights, values) for weights in blocks])

    def _leave_out(self, values: Values) -> Values:
        """Return the means without each of the groups."""
        _, number = np.unique(self.groups, return_inverse=True)
        finite = np.isfinite(values)
        known = np.where(finite, values, 0.0)
        sums, counts = np.zeros((2, number.max() + 1, values.shape[1]))
        np.add.at(sums, number, known)
        np.add.at(counts, number, finite.astype(float))
        return _ratio(known.sum(axis=0) - sums, finite.sum(axis=0) - counts)


def _means(weights: Values, values: Values) -> Values:
    finite = np.isfinite(values)
    return _ratio(weights @ np.where(finite, values, 0.0), weights @ finite.astype(float))


def _ratio(above: Values, below: Values) -> Values:
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
