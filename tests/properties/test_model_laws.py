"""Laws of patches and masks, for any image and any grid."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.model import patchify, random_mask, unpatchify
from glcm_mae.model.mae import visible_indices
from glcm_mae.model.patches import expand_mask, hidden_count, mask_from_noise, split_indices

SIDES = st.integers(1, 5)
SEEDS = st.integers(0, 2**32 - 1)
RATIOS = st.floats(0.01, 0.99)


def counted(*shape: int) -> torch.Tensor:
    """Every pixel another number."""
    return torch.arange(float(torch.Size(shape).numel())).view(shape)


@given(st.integers(1, 3), st.integers(1, 3), SIDES, SIDES, SIDES)
@settings(max_examples=50)
def test_unpatchify_inverts_patchify(
    batch: int, channels: int, rows: int, cols: int, side: int
) -> None:
    images = counted(batch, channels, rows * side, cols * side)
    patches = patchify(images, side)
    assert patches.shape == (batch, rows * cols, channels, side, side)
    assert torch.equal(unpatchify(patches, (rows, cols)), images)
    assert torch.equal(patchify(unpatchify(patches, (rows, cols)), side), patches)


@given(SIDES, SIDES, SIDES, st.data())
@settings(max_examples=50)
def test_patches_come_row_by_row(rows: int, cols: int, side: int, data: st.DataObject) -> None:
    images = counted(2, 3, rows * side, cols * side)
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    there = images[:, :, row * side : (row + 1) * side, col * side : (col + 1) * side]
    assert torch.equal(patchify(images, side)[:, row * cols + col], there)


@given(st.integers(1, 4), st.integers(2, 200), RATIOS, SEEDS)
@settings(max_examples=80)
def test_a_mask_hides_exactly_its_share(
    batch: int, patches: int, ratio: float, seed: int
) -> None:
    mask = random_mask(batch, patches, ratio, generator=torch.Generator().manual_seed(seed))
    hidden = hidden_count(patches, ratio)
    assert mask.shape == (batch, patches)
    assert mask.sum(dim=1).tolist() == [hidden] * batch
    assert 1 <= hidden <= patches - 1
    # One away from the exact share only where that would hide or show everything.
    assert abs(hidden - patches * ratio) <= 0.5 or hidden in (1, patches - 1)


@given(st.integers(1, 4), st.integers(2, 50), RATIOS, SEEDS)
@settings(max_examples=50)
def test_visible_and_hidden_patches_are_all_patches(
    batch: int, patches: int, ratio: float, seed: int
) -> None:
    mask = random_mask(batch, patches, ratio, generator=torch.Generator().manual_seed(seed))
    for row, visible in zip(mask, visible_indices(mask), strict=True):
        hidden = row.nonzero()[:, 0]
        assert sorted(torch.cat([visible, hidden]).tolist()) == list(range(patches))
        assert visible.tolist() == sorted(visible.tolist())


@given(st.integers(1, 4), st.integers(2, 60), RATIOS, SEEDS)
@settings(max_examples=60)
def test_hidden_patches_have_less_noise_than_visible_ones(
    batch: int, patches: int, ratio: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randint(
        0, patches, (batch, patches), generator=generator
    ).float()  # with ties
    mask = mask_from_noise(noise, ratio)
    seen, hidden = split_indices(mask, patches - hidden_count(patches, ratio))
    assert torch.equal(seen, visible_indices(mask))
    for row, shown, gone in zip(noise, seen, hidden, strict=True):
        assert sorted([*shown.tolist(), *gone.tolist()]) == list(range(patches))
        pairs = [(float(row[index]), int(index)) for index in gone]
        assert max(pairs) < min((float(row[index]), int(index)) for index in shown)


@given(SIDES, SIDES, SIDES, SEEDS)
@settings(max_examples=30)
def test_a_spread_mask_is_constant_on_every_patch(
    rows: int, cols: int, side: int, seed: int
) -> None:
    mask = torch.rand(2, rows * cols, generator=torch.Generator().manual_seed(seed)) < 0.5
    pixels = expand_mask(mask, (rows, cols), side)
    patches = patchify(pixels.float(), side)
    assert torch.equal(patches.amin((2, 3, 4)), mask.float())
    assert torch.equal(patches.amax((2, 3, 4)), mask.float())
