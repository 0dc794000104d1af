"""Corruptions against other libraries, their laws, and the levels of their source."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance
from torchvision.transforms import functional

from glcm_mae.data import make_phantom
from glcm_mae.data.corruptions import CORRUPTIONS, SEVERITIES, corrupt

NOISES = ("gaussian_noise", "speckle_noise")


def phantom(size: int = 64, channels: int = 1) -> np.ndarray:
    parts = [make_phantom("fine", size=size, seed=(7, c)).image for c in range(channels)]
    return np.stack(parts)[None].astype(np.float32)


def test_levels_are_those_of_the_source() -> None:
    # registry.py of MedMNIST-C, at the sets that each entry names.
    chest, breast = "ChestMNIST-C", "BreastMNIST-C"
    levels = {name: kind.levels for name, kind in CORRUPTIONS.items()}
    assert levels["gaussian_noise"] == (0.04, 0.08, 0.12, 0.18, 0.26)
    assert levels["speckle_noise"] == (0.10, 0.15, 0.20, 0.25, 0.30)
    assert levels["jpeg"] == (50, 30, 15, 10, 7)
    assert levels["resolution"] == (0.7, 0.5, 0.4, 0.3, 0.25)
    assert levels["gamma_up"] == levels["contrast_up"] == (1.1, 1.2, 1.3, 1.4, 1.6)
    assert levels["gamma_down"] == levels["contrast_down"] == (0.9, 0.8, 0.7, 0.6, 0.4)
    # torchvision's default for kernels of 3, 5, 7, 9 and 11 pixels.
    sigmas = [0.3 * ((kernel - 1) * 0.5 - 1) + 0.8 for kernel in (3, 5, 7, 9, 11)]
    assert levels["blur"] == pytest.approx(sigmas)
    assert CORRUPTIONS["jpeg"].source.startswith(chest)
    assert CORRUPTIONS["speckle_noise"].source.startswith(breast)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_corruption_stays_an_image_and_grows_with_severity(
    name: str, channels: int
) -> None:
    image = phantom(channels=channels)
    found = [corrupt(image, name, severity, rows=[3]) for severity in SEVERITIES]
    for one in found:
        assert one.shape == image.shape
        assert one.dtype == np.float32
        assert one.min() >= 0.0
        assert one.max() <= 1.0
    errors = [float(np.square(one - image).mean()) for one in found]
    assert errors[0] > 0
    assert errors == sorted(errors)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_an_image_is_corrupted_alike_in_any_batch(name: str) -> None:
    images = np.concatenate([phantom(32), phantom(32)[..., ::-1], phantom(32)[..., ::-1, :]])
    together = corrupt(images, name, 4, rows=[5, 8, 2], seed=1)
    alone = corrupt(images[1:2], name, 4, rows=[8], seed=1)
    np.testing.assert_array_equal(together[1:2], alone)


@pytest.mark.parametrize("name", NOISES)
def test_noise_differs_between_images_severities_and_seeds(name: str) -> None:
    image = np.full((1, 1, 16, 16), 0.5, dtype=np.float32)
    scale = CORRUPTIONS[name].levels
    base = (corrupt(image, name, 1, rows=[0]) - 0.5) / scale[0]
    for other in (
        (corrupt(image, name, 1, rows=[1]) - 0.5) / scale[0],
        (corrupt(image, name, 1, rows=[0], seed=1) - 0.5) / scale[0],
        (corrupt(image, name, 2, rows=[0]) - 0.5) / scale[1],
    ):
        assert abs(np.corrcoef(base.ravel(), other.ravel())[0, 1]) < 0.3


def test_noise_has_the_stated_spread() -> None:
    image = np.full((1, 1, 200, 200), 0.5, dtype=np.float32)
    gaussian = corrupt(image, "gaussian_noise", 2, rows=[0]) - image
    speckle = corrupt(image, "speckle_noise", 5, rows=[0]) / image - 1
    assert gaussian.std() == pytest.approx(0.08, rel=0.03)
    assert speckle.std() == pytest.approx(0.30, rel=0.03)
    assert abs(gaussian.mean()) < 0.002
    # Speckle is multiplicative: black stays black.
    np.testing.assert_array_equal(corrupt(image * 0, "speckle_noise", 5, rows=[0]), image * 0)


def test_tone_agrees_with_pillow_and_torchvision() -> None:
    image = np.rint(phantom()[0, 0] * 255).astype(np.uint8)
    unit = image[None, None].astype(np.float32) / 255
    picture = Image.fromarray(image)
    for name, enhance in (
        ("brightness_up", ImageEnhance.Brightness),
        ("brightness_down", ImageEnhance.Brightness),
        ("contrast_up", ImageEnhance.Contrast),
        ("contrast_down", ImageEnhance.Contrast),
    ):
        factor = CORRUPTIONS[name].levels[3]
        expected = np.asarray(enhance(picture).enhance(factor), dtype=np.float32)
        found = corrupt(unit, name, 4, rows=[0])[0, 0] * 255
        # Pillow rounds the mean and cuts the decimals off.
        np.testing.assert_allclose(found, expected, atol=1.5)
    for name in ("gamma_up", "gamma_down"):
        gamma = CORRUPTIONS[name].levels[4]
        expected = functional.adjust_gamma(torch.from_numpy(unit), gamma).numpy()
        found = corrupt(unit, name, 5, rows=[0])
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_blur_agrees_with_torchvision_at_the_size_of_the_source() -> None:
    image = np.tile(phantom(56), (1, 1, 4, 4))
    found = corrupt(image, "blur", 5, rows=[0])
    expected = functional.gaussian_blur(torch.from_numpy(image), [33, 33], [2.0, 2.0])
    inner = (..., slice(20, -20), slice(20, -20))
    np.testing.assert_allclose(found[inner], expected.numpy()[inner], atol=2e-4)


def test_blur_takes_the_same_share_of_a_smaller_image() -> None:
    edge = np.zeros((1, 1, 112, 112), dtype=np.float32)
    edge[..., 56:] = 1.0
    small = corrupt(edge, "blur", 5, rows=[0])[0, 0, 56]
    large = corrupt(edge.repeat(2, 2).repeat(2, 3), "blur", 5, rows=[0])[0, 0, 112]
    np.testing.assert_allclose(small, large.reshape(-1, 2).mean(axis=1), atol=0.02)


def test_resolution_keeps_what_boxes_keep() -> None:
    image = phantom(64)
    half = corrupt(image, "resolution", 2, rows=[0])[0, 0]
    boxes = image[0, 0].reshape(32, 2, 32, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(half, boxes.repeat(2, 0).repeat(2, 1), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rain", 1, [0]), "name must be one of"),
        (("blur", 6, [0]), "severity must be one of"),
        (("blur", 1, [0, 1]), "rows must number all 1 images, got 2"),
    ],
)
def test_wrong_arguments_are_named(arguments: tuple[str, int, list[int]], message: str) -> None:
    name, severity, rows = arguments
    with pytest.raises(ValueError, match=message):
        corrupt(phantom(32), name, severity, rows=rows)
