"""Other grids against timm, other channels against the arithmetic they stand for."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from timm.layers import resample_abs_pos_embed
from torch import Tensor
from torch.nn import functional

from glcm_mae.model.weights.resizing import (
    Embedding,
    fold_embedding,
    fold_head,
    resize_positions,
)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.mark.parametrize("new", [(4, 4), (7, 7), (2, 3), (9, 2), (1, 1), (14, 5)], ids=str)
@pytest.mark.parametrize("old", [(4, 4), (3, 5), (14, 14)], ids=str)
def test_positions_are_resized_as_timm_does(old: tuple[int, int], new: tuple[int, int]) -> None:
    positions = noise(1, old[0] * old[1], 6).float()
    expected = resample_abs_pos_embed(
        positions, new_size=list(new), old_size=list(old), num_prefix_tokens=0
    )
    torch.testing.assert_close(
        resize_positions(positions, old, new), expected, rtol=0, atol=1e-6
    )


def test_the_same_grid_keeps_every_bit() -> None:
    positions = noise(1, 12, 4)
    assert resize_positions(positions, (3, 4), (3, 4)) is positions


def test_a_grid_of_another_count_is_refused() -> None:
    with pytest.raises(ValueError, match="a grid of 3 x 3 has not 12 positions"):
        resize_positions(noise(1, 12, 4), (3, 3), (4, 4))


numbers = st.floats(-2, 2)
deviations = st.floats(0.01, 3)


@given(st.data(), st.integers(2, 4))
def test_gray_images_feel_no_folding(data: st.DataObject, channels: int) -> None:
    """Whatever the statistics: all copies, normalised apart, are one image normalised once."""
    mean = tuple(data.draw(st.lists(numbers, min_size=channels, max_size=channels)))
    std = tuple(data.draw(st.lists(deviations, min_size=channels, max_size=channels)))
    source = Embedding(noise(5, channels, 3, 3), noise(5, seed=1), mean, std)
    gray = torch.rand(
        2, 1, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2)
    )
    expected = embed(gray.expand(-1, channels, -1, -1), source)
    folded = fold_embedding(source, 1)
    assert folded.mean == pytest.approx((sum(mean) / channels,))
    assert folded.std == pytest.approx((sum(std) / channels,))
    torch.testing.assert_close(embed(gray, folded), expected, rtol=1e-9, atol=1e-9)


def embed(images: Tensor, embedding: Embedding) -> Tensor:
    mean, std = (
        torch.tensor(values, dtype=torch.float64)[:, None, None]
        for values in (embedding.mean, embedding.std)
    )
    return functional.conv2d((images - mean) / std, embedding.weight, embedding.bias, stride=3)


@pytest.mark.parametrize("channels", [2, 3])
def test_one_channel_becomes_several_by_equal_shares(channels: int) -> None:
    source = Embedding(noise(5, 1, 3, 3), noise(5), (0.3,), (0.2,))
    gray = noise(2, 1, 6, 6, seed=3)
    folded = fold_embedding(source, channels)
    assert folded.weight.shape == (5, channels, 3, 3)
    actual = embed(gray.expand(-1, channels, -1, -1), folded)
    torch.testing.assert_close(actual, embed(gray, source))


def test_equal_channels_are_left_alone() -> None:
    source = Embedding(noise(5, 3, 3, 3), noise(5), (0.1, 0.2, 0.3), (0.1, 0.2, 0.3))
    assert fold_embedding(source, 3) is source


def test_four_channels_do_not_become_three() -> None:
    source = Embedding(noise(5, 4, 3, 3), None, (0.5,) * 4, (0.5,) * 4)
    with pytest.raises(ValueError, match="weights for 4 channels fit 4 or 1"):
        fold_embedding(source, 3)


def test_without_a_bias_only_equal_means_fold() -> None:
    weight = noise(5, 3, 3, 3)
    equal = Embedding(weight, None, (0.5,) * 3, (0.1, 0.2, 0.3))
    gray = noise(2, 1, 6, 6, seed=3)
    folded = fold_embedding(equal, 1)
    torch.testing.assert_close(embed(gray, folded), embed(gray.expand(-1, 3, -1, -1), equal))
    with pytest.raises(ValueError, match="no bias"):
        fold_embedding(equal._replace(mean=(0.1, 0.2, 0.3)), 1)


@pytest.mark.parametrize(("given_channels", "wanted"), [(3, 1), (1, 3), (3, 3), (1, 1)])
def test_a_head_predicts_the_same_pixels(given_channels: int, wanted: int) -> None:
    old = ((0.4, 0.5, 0.6)[:given_channels], (0.1, 0.2, 0.4)[:given_channels])
    new = ((0.3, 0.1, 0.7)[:wanted], (0.5, 0.2, 0.3)[:wanted])
    weight, bias = noise(given_channels * 4, 6), noise(given_channels * 4, seed=1)
    folded = fold_head(weight, bias, source=old, target=new)
    tokens = noise(7, 6, seed=2)
    before = pixels(tokens, (weight, bias), old)
    after = pixels(tokens, folded, new)
    if wanted == 1:
        before = before.mean(dim=1, keepdim=True)
    torch.testing.assert_close(after, before.expand_as(after))


def pixels(
    tokens: Tensor,
    head: tuple[Tensor, Tensor],
    statistics: tuple[tuple[float, ...], tuple[float, ...]],
) -> Tensor:
    mean, std = (torch.tensor(v, dtype=torch.float64)[:, None] for v in statistics)
    said = functional.linear(tokens, *head).view(len(tokens), len(mean), -1)
    return said * std + mean
