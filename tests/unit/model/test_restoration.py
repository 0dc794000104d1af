"""Every pixel of a restored image was predicted while it was hidden."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glcm_mae.model import (
    MaskedAutoencoder,
    Reconstruction,
    build_encoder,
    complementary_from_noise,
    complementary_masks,
    restore,
)
from glcm_mae.model.patches import expand_mask, hidden_count

SEEDS = st.integers(0, 2**32 - 1)
RATIOS = st.floats(0.01, 0.99)


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.integers(1, 4), st.integers(2, 120), RATIOS, SEEDS)
@settings(max_examples=80)
def test_the_fewest_masks_hide_every_patch_each_exactly_its_share(
    batch: int, patches: int, ratio: float, seed: int
) -> None:
    masks = complementary_masks(batch, patches, ratio, generator=drawn(seed))
    hidden = hidden_count(patches, ratio)
    assert masks.shape == (-(-patches // hidden), batch, patches)
    assert bool((masks.sum(dim=2) == hidden).all())
    assert bool(masks.any(dim=0).all())


@given(st.integers(2, 60), RATIOS, st.integers(2, 12), SEEDS)
@settings(max_examples=50)
def test_more_masks_hide_no_patch_much_more_often(
    patches: int, ratio: float, passes: int, seed: int
) -> None:
    noise = torch.rand(2, patches, generator=drawn(seed))
    masks = complementary_from_noise(noise, ratio, passes=passes)
    times = masks.sum(dim=0)
    assert len(masks) >= passes
    assert int(times.min()) >= 1
    assert int(times.max() - times.min()) <= 1


def test_as_much_is_hidden_as_in_training() -> None:
    masks = complementary_masks(2, 196, 0.75, generator=drawn(0))
    assert [mask.sum(dim=1).tolist() for mask in masks] == [[147, 147]] * 2


@pytest.mark.parametrize(
    ("patches", "ratio", "message"),
    [(4, 1.0, "between 0 and 1"), (1, 0.5, "at least two patches")],
)
def test_masks_refuse_what_cannot_be_hidden(patches: int, ratio: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        complementary_from_noise(torch.rand(1, patches), ratio)


def visible_or_seven(images: Tensor, mask: Tensor) -> Reconstruction:
    """Predict the images where they are hidden, and nonsense where they are visible."""
    hidden = expand_mask(mask, (4, 4), 8)
    return Reconstruction(torch.where(hidden, images, torch.tensor(7.0)), mask)


def test_what_is_predicted_of_visible_patches_is_never_taken() -> None:
    images = torch.rand(3, 1, 32, 32, generator=drawn(1))
    masks = complementary_masks(3, 16, 0.6, generator=drawn(2))
    assert torch.equal(restore(visible_or_seven, images, masks, patch_size=8), images)


def test_predictions_are_not_averaged_and_idle_masks_cost_nothing() -> None:
    calls = []

    def count(images: Tensor, mask: Tensor) -> Reconstruction:
        calls.append(mask)
        return Reconstruction(torch.full_like(images, 0.25 * len(calls)), mask)

    masks = complementary_from_noise(torch.rand(1, 16, generator=drawn(3)), 0.75, passes=4)
    restored = restore(count, torch.zeros(1, 1, 32, 32), masks, patch_size=8)
    assert len(calls) == 2
    assert set(restored.unique().tolist()) == {0.25, 0.5}
    assert int((restored == 0.25).sum()) == 12 * 64  # all that the first mask hides


@given(st.integers(0, 15), SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_patch_is_restored_without_a_look_at_itself(patch: int, seed: int) -> None:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(32, 32),
        patch_size=8,
        channels=1,
        options={"depth": 1, "embed_dim": 32, "num_heads": 2},
    )
    model = MaskedAutoencoder(encoder, decoder_depth=1, decoder_width=32, decoder_heads=2)
    model.eval()
    images = torch.rand(1, 1, 32, 32, generator=drawn(seed))
    masks = complementary_masks(1, 16, 0.75, generator=drawn(seed + 1))
    here = expand_mask(torch.arange(16)[None] == patch, (4, 4), 8)
    changed = torch.where(here, 1.0 - images, images)
    one, other = (restore(model, some, masks, patch_size=8) for some in (images, changed))
    assert torch.equal(one[here], other[here])
    looked_at = not bool(masks[:, 0, patch].all())
    assert torch.equal(one, other) != looked_at  # others do, where it is visible


def test_masks_that_leave_a_patch_visible_are_refused() -> None:
    masks = torch.ones(2, 1, 16, dtype=torch.bool)
    masks[:, :, 5] = False
    with pytest.raises(ValueError, match="must together hide every patch"):
        restore(visible_or_seven, torch.zeros(1, 1, 32, 32), masks, patch_size=8)
    with pytest.raises(ValueError, match="do not match 1 images of 2 x 2 patches"):
        restore(visible_or_seven, torch.zeros(1, 1, 16, 16), masks, patch_size=8)
