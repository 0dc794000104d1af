"""Random numbers that are counted, not streamed.

Every draw is a function of the seed, what it is for, the epoch and the sample (or
step). So nothing has to be saved to continue a run, and neither the order of the
work nor the number of workers changes a result.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from numpy.typing import NDArray


class Stream(IntEnum):
    """What a random number is for; streams never share numbers."""

    WEIGHTS = 0
    ORDER = 1
    AUGMENTATION = 2
    MASK = 3
    DROPOUT = 4


def counted_seed(seed: int, stream: Stream, epoch: int = 0, step: int = 0) -> int:
    """Return a 63-bit seed for one purpose, epoch and step.

    Example:
        >>> counted_seed(0, Stream.MASK, 1) != counted_seed(0, Stream.MASK, 2)
        True
    """
    state = np.random.SeedSequence([seed, int(stream), epoch, step]).generate_state(
        1, np.uint64
    )
    return int(state[0] >> np.uint64(1))


def counted_generator(
    seed: int, stream: Stream, epoch: int = 0, step: int = 0
) -> torch.Generator:
    """Return a fresh CPU generator for one purpose, epoch and step."""
    return torch.Generator().manual_seed(counted_seed(seed, stream, epoch, step))


def counted_permutation(seed: int, epoch: int, count: int) -> NDArray[np.int64]:
    """Return the order of the samples in an epoch.

    Example:
        >>> sorted(counted_permutation(0, 3, 4).tolist())
        [0, 1, 2, 3]
    """
    rng = np.random.default_rng(counted_seed(seed, Stream.ORDER, epoch))
    return rng.permutation(count)


def counted_uniforms(
    seed: int, epoch: int, samples: Sequence[int], draws: int
) -> NDArray[np.float32]:
    """Return uniform numbers in [0, 1) for each sample, whatever batch it is in.

    Args:
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        samples: Number of each sample, unique within the epoch.
        draws: Numbers per sample.

    Returns:
        One row a sample.
    """
    key = [seed, int(Stream.AUGMENTATION)]
    rows = [
        np.random.Generator(np.random.Philox(key=key, counter=[0, 0, epoch, sample])).random(
            draws
        )
        for sample in samples
    ]
    return np.asarray(rows, dtype=np.float32).reshape(len(rows), draws)
