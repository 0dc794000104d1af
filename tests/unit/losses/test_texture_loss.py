"""The texture term is the GLCM distance of the hidden patches."""

import pytest
import torch
from torch.autograd import gradcheck

from glcm_mae.losses import texture_loss
from glcm_mae.losses.texture import DEFAULT_OFFSETS
from glcm_mae.texture import Offset, glcm_distance

SETTINGS = {"levels": 8, "bandwidth": 0.5, "offsets": (Offset(0, 1), Offset(2, -1))}


def pair(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return (
        torch.rand(shape, generator=generator, dtype=torch.float64),
        torch.rand(shape, generator=generator, dtype=torch.float64),
    )


@pytest.mark.parametrize("symmetric", [False, True])
def test_equals_the_distance_of_the_hidden_patches(symmetric: bool) -> None:
    prediction, target = pair(2, 1, 6, 12)
    mask = torch.tensor([[False, True], [True, False]])
    selected = [
        torch.stack([images[0, 0, :, 6:], images[1, 0, :, :6]])
        for images in (prediction, target)
    ]
    expected = glcm_distance(*selected, **SETTINGS, symmetric=symmetric)
    got = texture_loss(prediction, target, mask, patch_size=6, **SETTINGS, symmetric=symmetric)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=0)


def test_channels_are_averaged() -> None:
    prediction, target = pair(2, 3, 6, 12)
    mask = torch.tensor([[False, True], [True, True]])
    parts = [
        texture_loss(
            prediction[:, [channel]], target[:, [channel]], mask, patch_size=6, **SETTINGS
        )
        for channel in range(3)
    ]
    got = texture_loss(prediction, target, mask, patch_size=6, **SETTINGS)
    torch.testing.assert_close(got, torch.stack(parts).mean(), rtol=1e-12, atol=0)
    assert len({part.item() for part in parts}) == 3


def test_the_neighbours_are_the_papers_right_and_below() -> None:
    assert (Offset(0, 1), Offset(1, 0)) == DEFAULT_OFFSETS
    prediction, target = pair(1, 1, 6, 6)
    mask = torch.tensor([[True]])
    got = texture_loss(prediction, target, mask, patch_size=6)
    spelled = texture_loss(
        prediction,
        target,
        mask,
        patch_size=6,
        levels=32,
        bandwidth=0.5,
        offsets=[Offset(0, 1), Offset(1, 0)],
        symmetric=False,
    )
    assert got.item() == spelled.item()


def test_another_texture_of_equal_gray_levels_costs() -> None:
    # Stripes and a checkerboard hold the same gray levels and differ in their neighbours.
    stripes = torch.tensor([0.0, 1.0]).repeat(4).expand(8, 8)[None, None]
    board = (torch.arange(8)[:, None] + torch.arange(8)).remainder(2).float()[None, None]
    mask = torch.tensor([[True]])
    assert texture_loss(board, stripes, mask, patch_size=8).item() > 0.1
    # A texture moved by its period is the same texture.
    assert texture_loss(stripes.roll(2, 3), stripes, mask, patch_size=8).item() == 0


@pytest.mark.parametrize("channels", [1, 2])
def test_gradcheck(channels: int) -> None:
    prediction, target = pair(1, channels, 5, 10)
    mask = torch.tensor([[True, False]])
    assert gradcheck(
        lambda x: texture_loss(x, target, mask, patch_size=5, **SETTINGS),
        prediction.requires_grad_(),
    )


def test_an_offset_that_leaves_the_patch_is_refused() -> None:
    images = torch.rand(1, 1, 4, 8)
    with pytest.raises(ValueError, match="offset"):
        texture_loss(
            images, images, torch.tensor([[True, False]]), patch_size=4, offsets=[Offset(0, 4)]
        )
