"""MSE by hand, SSIM against scikit-image, and what both refuse."""

import re
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import structural_similarity
from torch.autograd import gradcheck

from glcm_mae.losses import masked_mse, masked_ssim
from glcm_mae.losses.pixel import _gaussian_band


def pair(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(shape, generator=generator, dtype=dtype),
        torch.rand(shape, generator=generator, dtype=dtype),
    )


def test_mse_of_the_hidden_patches_by_hand() -> None:
    target = torch.zeros(1, 1, 2, 6)
    prediction = target.clone()
    prediction[..., 0:2] = 0.5  # hidden
    prediction[..., 2:4] = 9.0  # visible: does not count
    prediction[0, 0, 1, 5] = 2.0  # one of four pixels of the second hidden patch
    mask = torch.tensor([[True, False, True]])
    got = masked_mse(prediction, target, mask, patch_size=2)
    assert got.item() == (4 * 0.25 + 4.0) / 8


def test_every_hidden_pixel_counts_alike_whatever_its_image() -> None:
    prediction, target = pair(2, 3, 4, 4)
    mask = torch.tensor([[True, False, False, False], [True, True, True, False]])
    errors = []
    for image, row in enumerate(mask):
        for number in row.nonzero()[:, 0].tolist():
            rows, cols = (slice(2 * i, 2 * i + 2) for i in divmod(number, 2))
            difference = prediction[image, :, rows, cols] - target[image, :, rows, cols]
            errors += difference.square().flatten().tolist()
    got = masked_mse(prediction, target, mask, patch_size=2).item()
    assert got == pytest.approx(sum(errors) / len(errors), rel=1e-12)


def test_normalised_mse_by_hand() -> None:
    prediction, target = pair(1, 2, 4, 8)
    mask = torch.tensor([[True, True]])
    parts = []
    for cols in (slice(0, 4), slice(4, 8)):
        true = target[0, :, :, cols].numpy()
        error = (prediction[0, :, :, cols].numpy() - true) ** 2
        parts.append(error.mean() / (true.var() + 1e-6))  # over both channels, 1 / n
    got = masked_mse(prediction, target, mask, patch_size=4, normalised=True).item()
    assert got == pytest.approx(np.mean(parts), rel=1e-12)


def test_normalised_mse_does_not_see_contrast() -> None:
    prediction, target = pair(1, 1, 8, 8)
    mask = torch.tensor([[True, False, True, True]])
    settings = {"patch_size": 4, "normalised": True}
    strong = masked_mse(prediction, target, mask, **settings)
    faint = masked_mse(0.4 + 0.1 * prediction, 0.4 + 0.1 * target, mask, **settings)
    torch.testing.assert_close(faint, strong, rtol=1e-2, atol=0)
    plain = masked_mse(0.1 * prediction, 0.1 * target, mask, patch_size=4)
    assert plain < 0.02 * masked_mse(prediction, target, mask, patch_size=4)


def test_the_mean_of_a_target_patch_scores_one_when_normalised() -> None:
    _, target = pair(1, 1, 4, 4)
    flat = target.mean().expand_as(target)
    got = masked_mse(flat, target, torch.tensor([[True]]), patch_size=4, normalised=True)
    assert got.item() == pytest.approx(1.0, rel=1e-4)


def test_a_flat_target_stays_finite_when_normalised() -> None:
    flat = torch.full((1, 1, 4, 4), 0.5)
    got = masked_mse(flat + 1e-3, flat, torch.tensor([[True]]), patch_size=4, normalised=True)
    assert got.item() == pytest.approx(1e-6 / 1e-6, rel=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_ssim_of_a_patch_equals_scikit_image(seed: int) -> None:
    prediction, target = pair(1, 1, 16, 16, seed=seed)
    prediction = 0.6 * target + 0.4 * prediction if seed % 2 else prediction
    expected = structural_similarity(
        target[0, 0].numpy(),
        prediction[0, 0].numpy(),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )
    got = masked_ssim(prediction, target, torch.tensor([[True]]), patch_size=16)
    assert got.item() == pytest.approx(expected, abs=1e-9)


def test_ssim_is_the_mean_over_hidden_patches_and_channels() -> None:
    prediction, target = pair(2, 3, 16, 32)
    mask = torch.tensor([[True, False], [True, True]])
    parts = []
    for image, number in mask.nonzero().tolist():
        cols = slice(16 * number, 16 * number + 16)
        for channel in range(3):
            place = (slice(image, image + 1), slice(channel, channel + 1), slice(None), cols)
            one = torch.tensor([[True]])
            parts.append(masked_ssim(prediction[place], target[place], one, patch_size=16))
    got = masked_ssim(prediction, target, mask, patch_size=16)
    torch.testing.assert_close(got, torch.stack(parts).mean(), rtol=1e-12, atol=0)


def test_ssim_of_flat_patches_by_hand() -> None:
    dark, light = torch.full((1, 1, 8, 8), 0.2), torch.full((1, 1, 8, 8), 0.6)
    got = masked_ssim(dark, light, torch.tensor([[True]]), patch_size=8, window=7)
    expected = (2 * 0.2 * 0.6 + 1e-4) / (0.2**2 + 0.6**2 + 1e-4)
    assert got.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    "term",
    [masked_mse, masked_ssim, partial(masked_ssim, border="whole")],
    ids=["mse", "ssim", "whole ssim"],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_gradcheck(term: Callable[..., torch.Tensor], channels: int) -> None:
    prediction, target = pair(1, channels, 12, 24)
    prediction.requires_grad_()
    mask = torch.tensor([[True, False]])
    assert gradcheck(lambda x: term(x, target, mask, patch_size=12), prediction)


def test_gradcheck_of_the_normalised_mse() -> None:
    prediction, target = pair(1, 2, 4, 8)
    mask = torch.tensor([[True, False]])
    assert gradcheck(
        lambda x: masked_mse(x, target, mask, patch_size=4, normalised=True),
        prediction.requires_grad_(),
    )


@pytest.mark.parametrize("window", [7, 11])
def test_whole_ssim_equals_a_normalised_convolution(window: int) -> None:
    prediction, target = (one[0, 0].numpy() for one in pair(1, 1, 16, 16))

    def blur(image: np.ndarray) -> np.ndarray:
        blurred, share = (
            gaussian_filter(part, 1.5, mode="constant", radius=window // 2)
            for part in (image, np.ones_like(image))
        )
        return blurred / share

    mean_a, mean_b = blur(prediction), blur(target)
    variances = blur(prediction**2) - mean_a**2 + blur(target**2) - mean_b**2
    covariance = blur(prediction * target) - mean_a * mean_b
    structure = (2 * covariance + 0.03**2) / (variances + 0.03**2)
    luminance = (2 * mean_a * mean_b + 0.01**2) / (mean_a**2 + mean_b**2 + 0.01**2)
    got = masked_ssim(
        torch.from_numpy(prediction)[None, None],
        torch.from_numpy(target)[None, None],
        torch.tensor([[True]]),
        patch_size=16,
        window=window,
        border="whole",
    )
    assert got.item() == pytest.approx((structure * luminance).mean(), rel=1e-9)


def test_how_much_the_rows_of_a_patch_count() -> None:
    shares = {}
    for border in ("inside", "whole"):
        weights = _gaussian_band(16, 11, 1.5, border).sum(dim=0)
        shares[border] = [round(100 * float(one / weights[7]), 1) for one in weights]
    # As docs/texture_loss.md tells.
    assert shares["inside"][:8] == [0.1, 0.9, 4.7, 16.3, 38.8, 66.9, 89.3, 100.0]
    assert shares["whole"][:5] == [83.1, 102.9, 107.2, 104.4, 101.7]


def test_only_whole_windows_judge_the_border() -> None:
    prediction, target = pair(1, 1, 16, 16)
    mask = torch.tensor([[True]])
    shares = {}
    for border in ("inside", "whole"):
        image = (0.9 * target + 0.1 * prediction).requires_grad_()
        masked_ssim(image, target, mask, patch_size=16, border=border).backward()
        strength = image.grad.abs()[0, 0]
        shares[border] = float(strength[0, 4:12].mean() / strength[6:10, 6:10].mean())
    assert shares["inside"] < 0.01
    assert shares["whole"] > 0.5


@pytest.mark.parametrize("window", [4, 17])
def test_ssim_refuses_a_window_that_is_even_or_larger_than_the_patch(window: int) -> None:
    images = torch.rand(1, 1, 16, 16)
    with pytest.raises(ValueError, match=f"window must be odd and at most 16, got {window}"):
        masked_ssim(images, images, torch.tensor([[True]]), patch_size=16, window=window)


@pytest.mark.parametrize("term", [masked_mse, masked_ssim])
@pytest.mark.parametrize(
    ("shape", "mask", "text"),
    [
        ((1, 1, 16, 30), [[True]], "mask (1, 1) does not match 1 images of 16 x 30"),
        ((1, 1, 16, 32), [[True]], "mask (1, 1) does not match 1 images of 16 x 32"),
        ((1, 1, 16, 32), [[False, False]], "mask hides no patch"),
    ],
)
def test_masks_that_do_not_fit_are_refused(
    term: Callable[..., torch.Tensor],
    shape: tuple[int, ...],
    mask: list[list[bool]],
    text: str,
) -> None:
    images = torch.rand(shape)
    with pytest.raises(ValueError, match=re.escape(text)):
        term(images, images, torch.tensor(mask), patch_size=16)


def test_half_precision_is_judged_in_float32() -> None:
    prediction, target = pair(1, 1, 16, 16, dtype=torch.float32)
    half = prediction.bfloat16()
    mask = torch.tensor([[True]])
    for term in (masked_mse, masked_ssim):
        got = term(half, target.bfloat16(), mask, patch_size=16)
        assert got.dtype == torch.float32
        exact = term(half.float(), target.bfloat16().float(), mask, patch_size=16)
        assert torch.equal(got, exact)
