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
    MIXING = 5
    CORRUPTION = 8
    LABELS = 11
    FIDELITY = 12


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
    seed: int,
    epoch: int,
    samples: Sequence[int],
    draws: int,
    *,
    stream: Stream = Stream.AUGMENTATION,
) -> NDArray[np.float32]:
    """Return uniform numbers in [0, 1) for each sample, whatever batch it is in.

    Args:
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        samples: Number of each sample, unique within the epoch.
        draws: Numbers per sample.
        stream: What they are for.

    Returns:
        One row a sample.
    """
    blocks = -(-draws // _WORDS)
    counters = np.empty((len(samples), blocks, _WORDS), dtype=np.uint64)
    counters[..., 0] = np.arange(1, blocks + 1)  # NumPy counts up before it draws
    counters[..., 1], counters[..., 2] = 0, epoch
    counters[..., 3] = np.asarray(samples, dtype=np.uint64)[:, None]
    words = _philox(counters.reshape(-1, _WORDS), (seed, int(stream)))
    uniforms = (words >> np.uint64(11)) * 2.0**-53  # as Generator.random does
    return uniforms.reshape(len(samples), blocks * _WORDS)[:, :draws].astype(np.float32)


_WORDS, _ROUNDS = 4, 10
_FACTORS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
_STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)


def _philox(counters: NDArray[np.uint64], key: tuple[int, int]) -> NDArray[np.uint64]:
    """Encrypt counters with Philox 4x64-10 [1]_: the numbers of ``np.random.Philox``.

    NumPy makes an object per key and counter; here all rows are done at once.

    References:
        .. [1] Salmon et al., 2011, doi:10.1145/2063384.2063405
    """
    first, second, third, fourth = counters.T
    low_key, high_key = key
    for _ in range(_ROUNDS):
        high_one, low_one = _wide_product(first, _FACTORS[0])
        high_two, low_two = _wide_product(third, _FACTORS[1])
        first = high_two ^ second ^ np.uint64(low_key)
        third = high_one ^ fourth ^ np.uint64(high_key)
        second, fourth = low_two, low_one
        low_key, high_key = (
            (part + step) % 2**64
            for part, step in zip((low_key, high_key), _STEPS, strict=True)
        )
    return np.stack([first, second, third, fourth], axis=1)


def _wide_product(
    values: NDArray[np.uint64], factor: int
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the high and the low 64 bits of products of 64-bit numbers."""
    half, mask = np.uint64(32), np.uint64(2**32 - 1)
    low, high = values & mask, values >> half
    factor_low, factor_high = np.uint64(factor % 2**32), np.uint64(factor >> 32)
    crossed = high * factor_low + ((low * factor_low) >> half)
    other = low * factor_high + (crossed & mask)
    return high * factor_high + (crossed >> half) + (other >> half), values * np.uint64(factor)
