"""PSNR, SSIM and MS-SSIM against scikit-image and hand-made values."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torch.nn import functional

from glcm_mae.data import make_phantom
from glcm_mae.fidelity import (
    count_scales,
    mean_squared_error,
    ms_ssim,
    psnr,
    similarities,
    ssim,
)


def phantoms(count: int = 3, size: int = 96) -> Tensor:
    images = [make_phantom("fine", size=size, seed=(5, row)).image for row in range(count)]
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32))


def blurred(images: Tensor, sigma: float) -> Tensor:
    smooth = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="reflect")
    return torch.from_numpy(smooth.astype(np.float32))


def test_psnr_and_ssim_equal_scikit_image() -> None:
    images = phantoms()
    restored = blurred(images, 1.2)
    settings = {"data_range": 1.0, "gaussian_weights": True, "use_sample_covariance": False}
    for index, (one, true) in enumerate(zip(restored.numpy(), images.numpy(), strict=True)):
        expected = structural_similarity(
            true[0].astype(float), one[0].astype(float), **settings
        )
        assert float(ssim(restored, images)[index]) == pytest.approx(expected, abs=1e-5)
        noise = peak_signal_noise_ratio(true, one, data_range=1.0)
        assert float(psnr(restored, images)[index]) == pytest.approx(noise, rel=1e-5)


def test_images_need_not_be_square() -> None:
    images = phantoms(size=64)[:, :, :40]
    restored = blurred(images, 0.8)
    expected = structural_similarity(
        *(part[0, 0].double().numpy() for part in (images, restored)),
        data_range=1.0,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    assert float(ssim(restored, images)[0]) == pytest.approx(expected, abs=1e-5)


def test_equal_images_are_perfect() -> None:
    images = phantoms()
    assert mean_squared_error(images, images).tolist() == [0.0] * 3
    assert psnr(images, images).tolist() == [float("inf")] * 3
    for scores in similarities(images, images):
        torch.testing.assert_close(scores, torch.ones(3), rtol=0, atol=1e-5)


def test_ms_ssim_falls_as_the_blur_grows() -> None:
    images = phantoms(size=192)
    found = torch.stack([ms_ssim(blurred(images, s), images) for s in (0.5, 1, 2, 4, 8)])
    assert bool((found.diff(dim=0) < 0).all())


def test_ms_ssim_of_one_scale_is_the_ssim() -> None:
    images = phantoms()
    restored = 1.0 - images  # anticorrelated: negative similarities too
    one = ms_ssim(restored, images, scales=1)
    torch.testing.assert_close(one, ssim(restored, images), rtol=0, atol=1e-6)
    small = images[:, :, :20, :20]
    torch.testing.assert_close(ms_ssim(1 - small, small), ssim(1 - small, small))


def test_ms_ssim_by_its_formula() -> None:
    images = phantoms(1, size=48)
    restored = blurred(images, 1.0)
    halves = [functional.avg_pool2d(part, 2) for part in (restored, images)]
    first, second = 0.0448 / 0.3304, 0.2856 / 0.3304
    _, structure = maps(restored, images)
    luminance, coarse = maps(*halves)
    expected = float(structure.mean()) ** first * float((luminance * coarse).mean()) ** second
    assert float(ms_ssim(restored, images, scales=2)[0]) == pytest.approx(expected, rel=1e-5)


def maps(restored: Tensor, images: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Luminance, and contrast with structure, by scipy's filters."""
    a, b = (part[0, 0].double().numpy() for part in (restored, images))

    def mean(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, truncate=3.5)[5:-5, 5:-5]

    mean_a, mean_b = mean(a), mean(b)
    spread = mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return luminance, (2 * (mean(a * b) - mean_a * mean_b) + 9e-4) / (spread + 9e-4)


@pytest.mark.parametrize(
    ("side", "scales"), [(11, 1), (21, 1), (22, 2), (96, 4), (175, 4), (176, 5), (512, 5)]
)
def test_the_number_of_scales(side: int, scales: int) -> None:
    assert count_scales(side, 600) == count_scales(600, side) == scales


def test_colour_is_the_mean_over_channels() -> None:
    images = phantoms(3).transpose(0, 1)
    restored = blurred(images, 1.0)
    alone = ssim(restored.transpose(0, 1), images.transpose(0, 1))
    assert float(ssim(restored, images)) == pytest.approx(float(alone.mean()), abs=1e-6)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match=r"restored \(1, 1, 8, 8\) and originals .* differ"):
        psnr(torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 9))
    with pytest.raises(ValueError, match="at least 11 pixels high and wide"):
        ssim(torch.zeros(1, 1, 8, 20), torch.zeros(1, 1, 8, 20))
    with pytest.raises(ValueError, match="scales must lie between 1 and 2 for images of 32"):
        ms_ssim(torch.zeros(1, 1, 32, 32), torch.zeros(1, 1, 32, 32), scales=3)
