"""Patches by hand, masks counted over many draws, and the refusals."""

import re

import pytest
import torch

from glcm_mae.model import mask_from_noise, patchify, random_mask, unpatchify
from glcm_mae.model.patches import expand_mask, hidden_count, split_indices, visible_indices


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_patches_of_a_small_image_by_hand() -> None:
    image = torch.arange(24.0).view(1, 2, 2, 6)  # two channels, 2 x 6
    patches = patchify(image, 2)
    assert patches[0, 1].tolist() == [[[2, 3], [8, 9]], [[14, 15], [20, 21]]]
    assert patches[0, 2, 1].tolist() == [[16, 17], [22, 23]]


@pytest.mark.parametrize("shape", [(1, 1, 6, 8), (1, 1, 8, 6)])
def test_an_image_of_another_size_is_refused(shape: tuple[int, ...]) -> None:
    text = f"image of {shape[2]} x {shape[3]} is no multiple of patch_size 4"
    with pytest.raises(ValueError, match=re.escape(text)):
        patchify(torch.zeros(shape), 4)


def test_a_grid_that_does_not_hold_the_patches_is_refused() -> None:
    with pytest.raises(ValueError, match="a grid of 2 x 3 does not hold 4 patches"):
        unpatchify(torch.zeros(1, 4, 1, 2, 2), (2, 3))


@pytest.mark.parametrize(
    ("patches", "ratio", "hidden"),
    [(196, 0.75, 147), (196, 0.999, 195), (196, 0.001, 1), (2, 0.5, 1), (16, 0.6, 10)],
)
def test_the_number_hidden(patches: int, ratio: float, hidden: int) -> None:
    assert hidden_count(patches, ratio) == hidden
    assert random_mask(3, patches, ratio, generator=drawn(1)).sum(1).tolist() == [hidden] * 3


def test_every_patch_is_hidden_equally_often() -> None:
    draws, patches, ratio = 20_000, 16, 0.75
    mask = random_mask(draws, patches, ratio, generator=drawn(0))
    deviation = (ratio * (1 - ratio) / draws) ** 0.5
    assert (mask.float().mean(0) - ratio).abs().max() < 4 * deviation


def test_every_pair_of_patches_is_hidden_equally_often() -> None:
    draws, patches, hidden = 20_000, 8, 4
    mask = random_mask(draws, patches, hidden / patches, generator=drawn(0)).float()
    together = (mask.T @ mask / draws)[~torch.eye(patches, dtype=torch.bool)]
    expected = hidden * (hidden - 1) / (patches * (patches - 1))
    deviation = (expected * (1 - expected) / draws) ** 0.5
    assert (together - expected).abs().max() < 4.5 * deviation


def test_a_generator_gives_its_mask_again() -> None:
    first = random_mask(4, 64, 0.75, generator=drawn(5))
    torch.manual_seed(1)  # the global state has no say
    assert torch.equal(random_mask(4, 64, 0.75, generator=drawn(5)), first)
    assert not torch.equal(random_mask(4, 64, 0.75, generator=drawn(6)), first)
    assert not torch.equal(first[0], first[1])


def test_masking_leaves_the_global_state_alone() -> None:
    before = torch.random.get_rng_state()
    random_mask(4, 64, 0.75, generator=drawn(5))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("ratio", [0.0, 1.0, -0.5, 1.5, float("nan")])
def test_a_ratio_that_hides_all_or_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=f"mask ratio must lie between 0 and 1, got {ratio}"):
        random_mask(1, 16, ratio, generator=drawn(0))


@pytest.mark.parametrize("ratio", [0.0, 1.0, float("nan")])
def test_noise_with_a_ratio_that_hides_all_or_nothing_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match=f"mask ratio must lie between 0 and 1, got {ratio}"):
        mask_from_noise(torch.rand(1, 16), ratio)


def test_the_lowest_noise_hides() -> None:
    noise = torch.tensor([[0.4, 0.1, 0.9, 0.2], [0.0, 0.8, 0.7, 0.9]])
    assert mask_from_noise(noise, 0.5).int().tolist() == [[0, 1, 0, 1], [1, 0, 1, 0]]


def test_equal_noise_hides_the_first() -> None:
    noise = torch.full((1, 50), 0.5)
    assert mask_from_noise(noise, 0.4)[0].nonzero()[:, 0].tolist() == list(range(20))


def test_an_image_is_masked_by_its_own_noise_alone() -> None:
    noise = torch.rand(5, 49, generator=drawn(3))
    alone = torch.cat([mask_from_noise(row[None], 0.75) for row in noise])
    assert torch.equal(mask_from_noise(noise, 0.75), alone)


def test_a_drawn_mask_is_that_of_its_noise() -> None:
    noise = torch.rand(3, 64, generator=drawn(7))
    assert torch.equal(random_mask(3, 64, 0.6, generator=drawn(7)), mask_from_noise(noise, 0.6))


def test_indices_are_split_without_a_look_at_the_mask() -> None:
    mask = random_mask(4, 30, 0.7, generator=drawn(2))
    seen, hidden = split_indices(mask, 9)
    assert seen.tolist() == [(~row).nonzero()[:, 0].tolist() for row in mask]
    assert hidden.tolist() == [row.nonzero()[:, 0].tolist() for row in mask]
    assert torch.equal(visible_indices(mask), seen)
    shapes = [part.shape for part in split_indices(mask.to("meta"), 9)]
    assert shapes == [(4, 9), (4, 21)]  # on the meta device a mask has no values


def test_one_patch_cannot_be_masked() -> None:
    with pytest.raises(ValueError, match="masking needs at least two patches, got 1"):
        random_mask(1, 1, 0.5, generator=drawn(0))


def test_a_spread_mask_by_hand() -> None:
    mask = torch.tensor([[True, False, False, False, False, True]])
    rows = expand_mask(mask, (2, 3), 2)[0, 0].int().tolist()
    assert rows == [[1, 1, 0, 0, 0, 0]] * 2 + [[0, 0, 0, 0, 1, 1]] * 2
