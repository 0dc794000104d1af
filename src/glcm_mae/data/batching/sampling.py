"""Which rows an epoch visits, where it is not simply all of them."""

import numpy as np
from numpy.typing import NDArray

from glcm_mae.data.batching.randomness import Stream, counted_seed, counted_uniforms


def without_one(rows: NDArray[np.int64], *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Leave out one row, another in every epoch, so that no step holds a single image.

    Example:
        >>> len(without_one(np.arange(33), seed=0, epoch=0))
        32
    """
    draw = counted_uniforms(seed, epoch, [0], 1, stream=Stream.ORDER)[0, 0]
    return np.delete(rows, min(int(draw * len(rows)), len(rows) - 1))


def balanced_sample(
    labels: NDArray[np.int64], rows: NDArray[np.int64], *, seed: int, epoch: int
) -> NDArray[np.int64]:
    """Draw as many rows as there are, every class as often as any other on average.

    Args:
        labels: Class of every image of the table.
        rows: Rows to draw from.
        seed: Seed of the run.
        epoch: Epoch, counted from 0; every epoch draws anew.
    """
    rng = np.random.default_rng(counted_seed(seed, Stream.ORDER, epoch, step=1))
    counts = np.bincount(labels[rows])
    chances = 1.0 / counts[labels[rows]]
    return rng.choice(rows, size=len(rows), p=chances / chances.sum())
