"""Images brought to a size."""

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.errors import InputError


def test_cropping_keeps_the_middle() -> None:
    image = np.zeros((1, 4, 8), dtype=np.float32)
    image[..., 2:6] = 1
    np.testing.assert_array_equal(fit_image(image, 4, "crop"), np.ones((1, 4, 4)))


def test_padding_keeps_all_and_adds_black() -> None:
    image = np.ones((3, 4, 8), dtype=np.float32)
    fitted = fit_image(image, 8, "pad")
    np.testing.assert_array_equal(fitted[:, 2:6], np.ones((3, 4, 8)))
    np.testing.assert_array_equal(fitted[:, [0, 1, 6, 7]], np.zeros((3, 4, 8)))


@pytest.mark.parametrize("how", ["crop", "pad", "squeeze"])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 40), (8, 8), (300, 200)])
def test_fitting_gives_the_size_and_stays_in_range(how: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 2, (3, *shape)).astype(np.float32)
    fitted = fit_image(image, (6, 10), how)
    assert fitted.shape == (3, 6, 10)
    assert fitted.dtype == np.float32
    assert fitted.min() >= 0
    assert fitted.max() <= 1


@pytest.mark.parametrize("how", ["crop", "pad", "squeeze"])
def test_an_image_of_the_size_comes_back_unchanged(how: str) -> None:
    image = np.random.default_rng(0).random((1, 7, 7), dtype=np.float32)
    np.testing.assert_array_equal(fit_image(image, 7, how), image)


def test_a_circle_stays_round() -> None:
    rows, cols = np.mgrid[:90, :150]
    circle = (np.hypot(rows - 44.5, cols - 74.5) < 30).astype(np.float32)[None]
    for how in ("crop", "pad"):
        fitted = fit_image(circle, 60, how)[0]
        across, down = fitted.sum(axis=1).max(), fitted.sum(axis=0).max()
        assert abs(across - down) < 1


def test_shrinking_does_not_alias() -> None:
    """A checkerboard at the finest pitch averages to gray instead of a false pattern."""
    board = (np.indices((128, 128)).sum(axis=0) % 2).astype(np.float32)[None]
    fitted = fit_image(board, 30, "crop")[0, 3:-3, 3:-3]
    np.testing.assert_allclose(fitted, 0.5, atol=0.02)


def test_fitting_equals_pillow_on_the_cut_out() -> None:
    """The crop is scaled as if its middle had been cut out, away from the cut."""
    image = np.random.default_rng(0).random((1, 64, 128), dtype=np.float32)
    cut = Image.fromarray(image[0, :, 32:96]).resize((16, 16), Image.Resampling.LANCZOS)
    fitted = fit_image(image, 16, "crop")[0]
    np.testing.assert_allclose(fitted[:, 3:-3], np.asarray(cut)[:, 3:-3].clip(0, 1), atol=1e-5)


def test_bad_fits_are_refused() -> None:
    image = np.ones((1, 2, 2), dtype=np.float32)
    with pytest.raises(InputError, match="one of pad, crop, squeeze, got 'stretch'"):
        fit_image(image, 4, "stretch")
    with pytest.raises(InputError, match="size: must be at least 1 pixel, got 0"):
        fit_image(image, 0, "crop")


def test_squeezing_scales_each_side_by_itself() -> None:
    image = np.random.default_rng(0).random((2, 40, 90), dtype=np.float32)
    fitted = fit_image(image, (20, 15), "squeeze")
    for plane, whole in zip(fitted, image, strict=True):
        scaled = Image.fromarray(whole).resize((15, 20), Image.Resampling.LANCZOS)
        np.testing.assert_allclose(plane, np.asarray(scaled).clip(0, 1), atol=1e-6)
