"""Haralick errors, gray levels and spectra against scikit-image, scipy and NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from scipy.stats import entropy, wasserstein_distance
from skimage.feature import graycomatrix, graycoprops
from torch import Tensor

from glcm_mae import fidelity
from glcm_mae.data import make_phantom
from glcm_mae.texture import HARALICK_FEATURES, glcm_distance, texture_features
from glcm_mae.texture.haralick import contrast


def phantoms(count: int = 3, size: int = 64) -> Tensor:
    images = [make_phantom("fine", size=size, seed=(6, row)).image for row in range(count)]
    return torch.from_numpy(np.stack(images)[:, None].astype(np.float32))


def blurred(images: Tensor, sigma: float) -> Tensor:
    smooth = gaussian_filter(images.double().numpy(), (0, 0, sigma, sigma), mode="wrap")
    return torch.from_numpy(smooth.astype(np.float32)).clamp(0, 1)


def contrast_by_scikit_image(image: np.ndarray) -> float:
    levels = np.minimum((image * 32).astype(int), 31).astype(np.uint8)
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(levels, [1], angles, levels=32, symmetric=True, normed=True)
    return float(graycoprops(counts, "contrast").mean())


def test_the_twelve_of_the_figure() -> None:
    assert len(fidelity.FIGURE_FEATURES) == 12
    assert set(fidelity.FIGURE_FEATURES) < set(HARALICK_FEATURES)


def test_equal_images_have_no_error() -> None:
    images = phantoms()
    errors = fidelity.haralick_errors(images, images)
    assert list(errors) == list(HARALICK_FEATURES)
    assert all(values.tolist() == [0.0] * 3 for values in errors.values())
    assert fidelity.mean_haralick_error(images, images).tolist() == [0.0] * 3
    assert fidelity.glcm_distances(images, images).abs().max() < 1e-6
    assert fidelity.wasserstein_distance(images, images).tolist() == [0.0] * 3
    assert fidelity.histogram_divergence(images, images).tolist() == [0.0] * 3
    power = fidelity.radial_power(fidelity.power_spectrum(images), 64)
    kept = fidelity.high_frequency_power(power, power, fidelity.radial_frequencies(64, 64))
    torch.testing.assert_close(kept, torch.ones(3, dtype=torch.float64))


def test_a_blur_loses_contrast_as_scikit_image_counts_it() -> None:
    images = phantoms()
    restored = blurred(images, 1.0)
    errors = fidelity.haralick_errors(restored, images)["contrast"]
    values = fidelity.haralick_values(restored)["contrast"]
    for index in range(3):
        before, after = (
            contrast_by_scikit_image(x[index, 0].numpy()) for x in (images, restored)
        )
        assert after < before
        assert float(values[index]) == pytest.approx(after)
        assert float(errors[index]) == pytest.approx((before - after) / before)


def test_values_are_those_of_single_images() -> None:
    images = phantoms(2)
    found = fidelity.haralick_values(images)
    for index in range(2):
        alone = texture_features(images[index, 0].numpy())
        assert {name: float(values[index]) for name, values in found.items()} == alone


def test_the_mean_error_is_that_of_the_twelve() -> None:
    images = phantoms()
    restored = blurred(images, 0.7)
    errors = fidelity.haralick_errors(restored, images)
    expected = np.mean([errors[name].numpy() for name in fidelity.FIGURE_FEATURES], axis=0)
    np.testing.assert_allclose(fidelity.mean_haralick_error(restored, images), expected)


def test_errors_of_flat_originals_are_finite() -> None:
    flat = torch.zeros(1, 1, 16, 16)
    errors = fidelity.haralick_errors(phantoms(1, size=32)[:, :, :16, :16], flat)
    assert all(bool(values.isfinite().all()) for values in errors.values())
    found = contrast(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    off = {"contrast": found[None] + 0.05}
    assert float(fidelity.relative_errors(off, {"contrast": found[None]})["contrast"]) == 0.5


def test_an_image_scores_alike_in_any_batch() -> None:
    images, restored = phantoms(), blurred(phantoms(), 1.0)
    for measure in (fidelity.mean_haralick_error, fidelity.glcm_distances):
        together = measure(restored, images)
        alone = measure(restored[1:2], images[1:2])
        assert float(together[1]) == pytest.approx(float(alone), rel=1e-6)


def test_the_glcm_distance_is_the_mean_over_patches() -> None:
    images, restored = phantoms(1, size=32), blurred(phantoms(1, size=32), 1.0)
    expected = np.mean(
        [
            float(
                glcm_distance(
                    restored[0, :, row : row + 16, col : col + 16],
                    images[0, :, row : row + 16, col : col + 16],
                    levels=32,
                    bandwidth=0.5,
                    offsets=fidelity.texture.DEFAULT_OFFSETS,
                )
            )
            for row in (0, 16)
            for col in (0, 16)
        ]
    )
    assert float(fidelity.glcm_distances(restored, images)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match="patch_size must lie between 2 and the image's side"):
        fidelity.glcm_distances(restored, images, patch_size=33)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12))
@settings(max_examples=30)
def test_the_wasserstein_distance_equals_scipy(seed: int, height: int, width: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    one, other = torch.rand(2, 1, 1, height, width, generator=generator)
    expected = wasserstein_distance(one.flatten().numpy(), other.flatten().numpy())
    assert float(fidelity.wasserstein_distance(one, other)) == pytest.approx(expected, abs=1e-6)


def test_the_divergence_equals_scipy() -> None:
    images, restored = phantoms(1), blurred(phantoms(1), 1.0)
    counts = [
        np.histogram(x.numpy(), bins=64, range=(0, 1))[0] + 0.5 for x in (images, restored)
    ]
    expected = entropy(counts[0], counts[1], base=2)
    assert float(fidelity.histogram_divergence(restored, images)) == pytest.approx(expected)
    empty = torch.zeros(1, 1, 8, 8)
    assert np.isfinite(float(fidelity.histogram_divergence(empty, empty + 1)))


def test_the_histogram_equals_numpy() -> None:
    images = phantoms(1)
    expected = np.histogram(images.numpy(), bins=64, range=(0, 1))[0] / images.numel()
    np.testing.assert_allclose(fidelity.gray_histogram(images)[0], expected, atol=1e-7)


def radial_by_numpy(image: np.ndarray) -> np.ndarray:
    """Mean power in rings, over the whole plane of frequencies."""
    height, width = image.shape
    window = np.outer(*(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n) for n in image.shape))
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2 / image.size
    down, across = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    shorter = min(image.shape)
    ring = np.rint(np.hypot(down, across) * shorter).astype(int)
    return np.array([power[ring == number].mean() for number in range(1, shorter // 2 + 1)])


@pytest.mark.parametrize("shape", [(64, 64), (48, 61), (33, 64)])
def test_the_radial_spectrum_equals_numpy(shape: tuple[int, int]) -> None:
    images = phantoms(2)[:, :, : shape[0], : shape[1]]
    found = fidelity.radial_power(fidelity.power_spectrum(images), shape[1])
    assert found.shape[1] == len(fidelity.radial_frequencies(*shape))
    for image, radial in zip(images[:, 0].double().numpy(), found, strict=True):
        np.testing.assert_allclose(radial, radial_by_numpy(image), rtol=1e-9)


def test_a_blur_loses_high_frequencies_as_its_transfer_function_says() -> None:
    images = phantoms()
    sigma = 1.0
    restored = blurred(images, sigma)
    frequencies = fidelity.radial_frequencies(64, 64)
    after, before = (
        fidelity.radial_power(fidelity.power_spectrum(x), 64) for x in (restored, images)
    )
    kept = fidelity.high_frequency_power(after, before, frequencies)
    high = frequencies > fidelity.HIGH_FREQUENCY
    expected = []
    for image in images[:, 0].double().numpy():
        power = radial_by_numpy(image)[high] * frequencies[high].numpy()
        transfer = np.exp(-((2 * np.pi * frequencies[high].numpy() * sigma) ** 2))
        expected.append((power * transfer).sum() / power.sum())
    np.testing.assert_allclose(kept, expected, rtol=0.15)
    assert float(kept.max()) < 0.1


def test_seams_do_not_make_up_for_lost_texture() -> None:
    """Planted: a grid of bright lines in a blurred image."""
    images = phantoms(1)
    restored = blurred(images, 2.0)
    restored[:, :, ::8] = 1.0
    frequencies = fidelity.radial_frequencies(64, 64)
    after, before = (
        fidelity.radial_power(fidelity.power_spectrum(x), 64) for x in (restored, images)
    )
    high = frequencies > fidelity.HIGH_FREQUENCY
    assert float(after[0, high].sum()) > float(before[0, high].sum())
    assert float(fidelity.high_frequency_power(after, before, frequencies)) < 0.75
