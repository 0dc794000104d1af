"""Mixup and cutmix: shares, boxes and partners, whoever computes which part of a step."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from glcm_mae.data.batching.batches import Batch, Division, training_batches
from glcm_mae.data.batching.mixing import Mixing, Mixture, draw_mixture, mix

MANY = np.arange(4000)
BOTH = Mixing(mixup=0.8, cutmix=1.0, probability=0.9)


def drawn(mixing: Mixing, samples: np.ndarray = MANY, epoch: int = 0) -> Mixture:
    return draw_mixture(samples, (16, 24), mixing, seed=3, epoch=epoch)


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0, 4.0])
def test_the_shares_of_mixup_are_beta_distributed(alpha: float) -> None:
    shares = drawn(Mixing(mixup=alpha)).shares
    assert kstest(shares, beta(alpha, alpha).cdf).pvalue > 0.01


def test_partners_are_uniform_among_the_others() -> None:
    partners = np.concatenate(
        [drawn(Mixing(mixup=1.0), np.arange(8), epoch).partners for epoch in range(500)]
    ).reshape(-1, 8)
    for place in range(8):
        counts = np.bincount(partners[:, place], minlength=8)
        assert counts[place] == 0
        others = np.delete(counts, place)
        assert others.sum() == 500
        assert ((others - 500 / 7) ** 2 / (500 / 7)).sum() < 22.5  # chi2, 6 degrees, 0.1 %


@given(st.floats(0, 3), st.floats(0, 3), st.floats(0, 1), st.integers(1, 9), st.integers(0, 50))
def test_shares_are_what_is_seen(
    mixup: float, cutmix: float, probability: float, count: int, epoch: int
) -> None:
    mixture = drawn(Mixing(mixup, cutmix, probability), np.arange(count), epoch)
    images, others = torch.zeros(count, 1, 16, 24), torch.ones(count, 1, 16, 24)
    seen = 1 - mix(images, others, mixture).mean(dim=(1, 2, 3))
    assert seen.numpy() == pytest.approx(mixture.shares, abs=1e-6)
    assert ((mixture.shares >= 0) & (mixture.shares <= 1)).all()
    if count == 1:
        assert mixture.shares.tolist() == [1.0]


def test_cutmix_puts_in_a_rectangle_and_mixup_blends() -> None:
    mixture = drawn(Mixing(cutmix=1.0))
    images, others = torch.zeros(len(MANY), 1, 16, 24), torch.ones(len(MANY), 1, 16, 24)
    cut = mix(images, others, mixture)
    assert set(cut.unique().tolist()) == {0.0, 1.0}
    blended = mix(images, others, drawn(Mixing(mixup=1.0)))
    assert (blended.flatten(1).std(dim=1) < 1e-6).all()
    # The middle of a rectangle is anywhere, so at the border less of it is left.
    assert 0.55 < mixture.shares.mean() < 0.75


def test_as_many_are_mixed_as_was_asked_and_half_of_them_cut() -> None:
    mixture = drawn(BOTH)
    boxed = mixture.boxes.any(axis=1)
    assert (mixture.shares < 1).mean() == pytest.approx(0.9, abs=0.03)
    assert boxed.mean() == pytest.approx(0.45, abs=0.03)
    assert not Mixing(mixup=1.0, probability=0.0).active
    assert not Mixing().active


def batches(division: Division, mixing: Mixing, **more: object) -> list[Batch]:
    pixels = np.random.default_rng(0).integers(0, 256, (23, 1, 12, 16), dtype=np.uint8)
    settings = {"augmentation": {"rotation": 10.0, "scale": 0.1}, **more}
    return list(
        training_batches(
            *(pixels, np.arange(23)),
            batch_size=9,
            seed=5,
            epoch=2,
            device=torch.device("cpu"),
            division=division,
            mixing=mixing,
            **settings,  # type: ignore[arg-type]
        )
    )


@pytest.mark.parametrize(("ranks", "parts"), [(1, 2), (1, 9), (3, 1), (2, 2)])
def test_a_mixed_step_is_the_same_however_it_is_divided(ranks: int, parts: int) -> None:
    whole = batches(Division(), BOTH)
    pieces = [batches(Division(rank, ranks, parts), BOTH) for rank in range(ranks)]
    for step, one in enumerate(whole):
        mine = [b for rank in pieces for b in rank[step * parts : (step + 1) * parts]]
        mine = [b for b in mine if b.share > 0]
        together = torch.cat([b.images for b in mine])
        torch.testing.assert_close(together, one.images, rtol=0, atol=1e-6)
        for batch in mine:
            assert np.array_equal(batch.together, one.together)
            for mixed, expected in zip(batch.mixture, one.mixture, strict=True):
                assert np.array_equal(mixed, expected)
            assert np.array_equal(
                batch.rows, one.together[batch.begin : batch.begin + len(batch.rows)]
            )


def test_images_are_mixed_with_their_partners_as_the_step_shows_them() -> None:
    still = batches(Division(), Mixing())
    for plain, mixed in zip(still, batches(Division(), BOTH), strict=True):
        partners = plain.images[mixed.mixture.partners]
        expected = mix(plain.images, partners, mixed.mixture)
        torch.testing.assert_close(mixed.images, expected, rtol=0, atol=1e-6)
        assert not torch.equal(mixed.images, plain.images)
        assert len(plain.mixture.shares) == 0


def test_neither_workers_nor_the_place_of_a_restart_change_a_mixture() -> None:
    whole = batches(Division(), BOTH)
    for more in ({"workers": 2}, {"first_step": 1}):
        again = batches(Division(), BOTH, **more)
        for one, other in zip(whole[-len(again) :], again, strict=True):
            assert torch.equal(one.images, other.images)
