"""Augmentation: whole pixels moved exactly, rotation by hand, nothing left of [0, 1]."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.data.batching.transforms import DRAWS, augment, augment_stored

STILL = {
    "flip_horizontal": 0.0,
    "flip_vertical": 0.0,
    "shift": 0.0,
    "rotation": 0.0,
    "scale": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
}
NAMES = ("flip_x", "flip_y", "row", "col", "angle", "size", "light", "gain")


def draws(**chosen: float) -> torch.Tensor:
    """Middle numbers, which change nothing, but for those chosen."""
    return torch.tensor([[chosen.get(name, 0.5) for name in NAMES]])


def images(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def test_there_is_a_name_for_every_number() -> None:
    assert len(NAMES) == DRAWS


@given(seed=st.integers(0, 2**32 - 1), height=st.integers(2, 9), width=st.integers(2, 9))
@settings(max_examples=50)
def test_the_result_stays_in_range_and_the_input_as_it_was(
    seed: int, height: int, width: int
) -> None:
    before = images(3, 2, height, width, seed=seed)
    given_ = before.clone()
    result = augment(
        given_,
        images(3, 8, seed=seed + 1),
        flip_horizontal=0.5,
        flip_vertical=0.5,
        shift=0.5,
        rotation=180.0,
        scale=0.9,
        brightness=1.0,
        contrast=0.9,
    )
    assert result.shape == before.shape
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(given_, before)


def test_nothing_asked_is_nothing_done() -> None:
    before = images(4, 3, 6, 7)
    result = augment(before, images(4, 8, seed=1), **STILL)
    torch.testing.assert_close(result, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "axis", "flag"), [("flip_x", 3, "flip_horizontal"), ("flip_y", 2, "flip_vertical")]
)
def test_flips_by_their_probability(name: str, axis: int, flag: str) -> None:
    before = images(1, 2, 5, 6)
    mirrored = augment(before, draws(**{name: 0.29}), **{**STILL, flag: 0.3})
    torch.testing.assert_close(mirrored, before.flip(axis), rtol=0, atol=1e-6)
    kept = augment(before, draws(**{name: 0.31}), **{**STILL, flag: 0.3})
    torch.testing.assert_close(kept, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize(("uniform", "steps"), [(0.75, 2), (0.25, -2), (0.999, 4), (0.51, 0)])
def test_a_shift_moves_whole_pixels_and_reflects(axis: int, uniform: float, steps: int) -> None:
    before = images(1, 1, 16, 16)
    chosen = draws(**{"row" if axis == 2 else "col": uniform})
    result = augment(before, chosen, **{**STILL, "shift": 0.25})
    expected = before.clone()
    for index in range(16):
        source = index + steps
        source = -source if source < 0 else 30 - source if source > 15 else source
        expected.select(axis, index).copy_(before.select(axis, source))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)


def test_a_shift_is_a_share_of_its_own_side() -> None:
    before = images(1, 1, 8, 16)
    result = augment(before, draws(row=1 - 1e-6, col=1 - 1e-6), **{**STILL, "shift": 0.25})
    torch.testing.assert_close(result[..., :6, :12], before[..., 2:, 4:], rtol=0, atol=1e-6)


@pytest.mark.parametrize(("angle", "turns"), [(1.0, 1), (0.0, -1)])
def test_a_quarter_turn_of_a_square(angle: float, turns: int) -> None:
    before = images(1, 2, 9, 9)
    result = augment(before, draws(angle=angle), **{**STILL, "rotation": 90.0})
    expected = torch.rot90(before, turns, dims=(2, 3))
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


def test_a_half_turn_of_any_image() -> None:
    before = images(1, 1, 6, 10)
    result = augment(before, draws(angle=1.0), **{**STILL, "rotation": 180.0})
    torch.testing.assert_close(result, before.flip((2, 3)), rtol=0, atol=1e-4)


def test_a_quarter_turn_keeps_lengths_where_the_sides_differ() -> None:
    # A bar of 2 x 6 pixels about the centre of a wide image stands upright afterwards.
    before = torch.zeros(1, 1, 16, 32)
    before[..., 7:9, 13:19] = 1
    expected = torch.zeros_like(before)
    expected[..., 5:11, 15:17] = 1
    result = augment(before, draws(angle=1.0), **{**STILL, "rotation": 90.0})
    # Further out the reflection of the bar is seen.
    near = slice(8, 24)
    torch.testing.assert_close(result[..., near], expected[..., near], rtol=0, atol=1e-4)


def test_scaling_up_widens_and_keeps_the_centre() -> None:
    before = torch.zeros(1, 1, 16, 16)
    before[..., 6:10, 6:10] = 1
    larger = augment(before, draws(size=1.0), **{**STILL, "scale": 0.5})
    smaller = augment(before, draws(size=0.0), **{**STILL, "scale": 0.5})
    assert larger.sum().item() == pytest.approx(16 * 1.5**2, rel=0.1)
    inside = smaller[..., 4:12, 4:12]  # around it lies its own reflection
    assert inside.sum().item() == pytest.approx(16 * 0.5**2, rel=0.1)
    for result in (larger, smaller):
        torch.testing.assert_close(result, result.flip((2, 3)), rtol=0, atol=1e-4)


def test_light_is_added_and_clamped() -> None:
    before = torch.tensor([[[[0.0, 0.5], [0.7, 1.0]]]])
    brighter = augment(before, draws(light=1.0), **{**STILL, "brightness": 0.2})
    torch.testing.assert_close(brighter, (before + 0.2).clamp(0, 1))
    darker = augment(before, draws(light=0.0), **{**STILL, "brightness": 0.2})
    torch.testing.assert_close(darker, (before - 0.2).clamp(0, 1))


def test_contrast_turns_about_the_images_own_mean() -> None:
    before = 0.4 + 0.2 * images(2, 1, 4, 4)
    chosen = torch.cat([draws(gain=1.0), draws(gain=0.0)])
    result = augment(before, chosen, **{**STILL, "contrast": 0.5})
    for image, was, factor in zip(result, before, (1.5, 0.5), strict=True):
        torch.testing.assert_close(image, (was - was.mean()) * factor + was.mean())


def test_every_image_has_its_own_numbers() -> None:
    before = images(1, 1, 8, 8).expand(3, -1, -1, -1)
    numbers = images(3, 8, seed=2)
    together = augment(before, numbers, rotation=20.0, scale=0.2)
    for index in range(3):
        alone = augment(before[[0]], numbers[[index]], rotation=20.0, scale=0.2)
        torch.testing.assert_close(together[[index]], alone, rtol=0, atol=1e-6)
    assert not torch.allclose(together[0], together[1])


@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(
        st.integers(1, 4), st.sampled_from([1, 3]), st.integers(2, 9), st.integers(2, 9)
    ),
    depth=st.sampled_from([8, 16]),
    rotation=st.sampled_from([0.0, 20.0]),
)
@settings(max_examples=30)
def test_stored_pixels_become_what_images_become(
    seed: int, shape: tuple[int, ...], depth: int, rotation: float
) -> None:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 2**depth, shape, dtype=f"uint{depth}")
    before, numbers = stored.copy(), images(shape[0], 8, seed=seed)
    chosen = {"flip_horizontal": 0.5, "flip_vertical": 0.5, "shift": 0.5, "brightness": 0.5}
    result = augment_stored(stored, numbers, rotation=rotation, contrast=0.9, **chosen)
    levels = torch.from_numpy(stored.astype(np.float32)) / (2**depth - 1)
    expected = augment(levels, numbers, rotation=rotation, contrast=0.9, **chosen)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    assert np.array_equal(stored, before)


def test_stored_pixels_have_the_same_defaults() -> None:
    stored = np.random.default_rng(0).integers(0, 256, (5, 1, 9, 9), dtype=np.uint8)
    numbers, levels = images(5, 8, seed=3), torch.from_numpy(stored.astype(np.float32)) / 255
    expected = augment(levels, numbers)
    torch.testing.assert_close(augment_stored(stored, numbers), expected, rtol=0, atol=1e-6)
