"""Random numbers that depend on what they are for, and on nothing else."""

import itertools

import numpy as np
import pytest
import torch

from glcm_mae.data.batching.randomness import (
    Stream,
    counted_generator,
    counted_permutation,
    counted_seed,
    counted_uniforms,
)


def test_no_two_purposes_share_a_seed() -> None:
    places = itertools.product((0, 1), Stream, (0, 1, 2), (0, 1, 2))
    seeds = [counted_seed(seed, stream, epoch, step) for seed, stream, epoch, step in places]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_the_streams_keep_their_numbers() -> None:
    # Another numbering would change every run.
    assert {stream.name: stream.value for stream in Stream} == {
        "WEIGHTS": 0,
        "ORDER": 1,
        "AUGMENTATION": 2,
        "MASK": 3,
        "DROPOUT": 4,
        "MIXING": 5,
        "CORRUPTION": 8,
        "LABELS": 11,
        "FIDELITY": 12,
    }
    assert counted_seed(0, Stream.MASK, 1, 2) == counted_seed(0, Stream.MASK, 1, 2)


def test_a_generator_starts_anew_and_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    first, second = (
        torch.rand(5, generator=counted_generator(0, Stream.MASK, 1)) for _ in "ab"
    )
    assert torch.equal(first, second)
    other = torch.rand(5, generator=counted_generator(0, Stream.MASK, 1, 1))
    assert not torch.equal(first, other)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_an_order_holds_every_sample_once_and_changes_by_epoch() -> None:
    orders = [counted_permutation(3, epoch, 50).tolist() for epoch in range(3)]
    assert all(sorted(order) == list(range(50)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert counted_permutation(3, 1, 50).tolist() == orders[1]


def test_a_samples_numbers_do_not_depend_on_its_company() -> None:
    together = counted_uniforms(1, 2, [5, 9, 0], 8)
    assert np.array_equal(counted_uniforms(1, 2, [9], 8)[0], together[1])
    assert np.array_equal(counted_uniforms(1, 2, [0, 5, 9], 8), together[[2, 0, 1]])


@pytest.mark.parametrize("change", [(2, 2, 5), (1, 3, 5), (1, 2, 6)])
def test_seed_epoch_and_sample_all_count(change: tuple[int, int, int]) -> None:
    seed, epoch, sample = change
    assert not np.isin(
        counted_uniforms(seed, epoch, [sample], 8), counted_uniforms(1, 2, [5], 8)
    ).any()


def test_the_numbers_are_uniform() -> None:
    numbers = counted_uniforms(0, 0, range(4000), 8)
    assert numbers.dtype == np.float32
    assert numbers.shape == (4000, 8)
    assert numbers.min() >= 0
    assert numbers.max() <= 1
    counts = np.histogram(numbers, bins=16, range=(0, 1))[0]
    expected = numbers.size / 16
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # chi square, 15 degrees, 0.1 %
    correlation = np.corrcoef(numbers.T) - np.eye(8)
    assert np.abs(correlation).max() < 4 / 4000**0.5


def test_no_samples_are_no_rows() -> None:
    assert counted_uniforms(0, 0, [], 8).shape == (0, 8)


@pytest.mark.parametrize("seed", [0, 7, 2**63 - 1])
@pytest.mark.parametrize("draws", [1, 4, 8, 9])
def test_the_numbers_are_those_of_numpys_philox(seed: int, draws: int) -> None:
    samples = [0, 1, 12345, 2**40]
    for epoch in (0, 399):
        expected = [
            np.random.Generator(
                np.random.Philox(key=[seed, int(Stream.AUGMENTATION)], counter=[0, 0, epoch, n])
            ).random(draws)
            for n in samples
        ]
        numbers = counted_uniforms(seed, epoch, samples, draws)
        assert np.array_equal(numbers, np.asarray(expected, dtype=np.float32))
