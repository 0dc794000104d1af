"""Soft matrices against hard ones, and the gradient that each gives."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix
from torch import Tensor

from glcm_mae.data import make_phantom
from glcm_mae.softness.counting import Count, blurred, count_hard, count_soft
from glcm_mae.texture import Offset, cooccurrence, soft_membership

RIGHT = Offset(0, 1)
PATCH = torch.from_numpy(make_phantom("coarse", size=96, seed=4).image[30:62, 30:62]).double()


def soft(patch: Tensor, levels: int, bandwidth: float, offset: Offset = RIGHT) -> Count:
    hard = count_hard(patch, levels=levels, offset=offset)
    return count_soft(patch, blurred(patch, 5), hard, bandwidth=bandwidth, offset=offset)


@given(
    levels=arrays(np.uint8, (7, 9), elements=st.integers(0, 7)),
    rows=st.integers(-3, 3),
    cols=st.integers(-3, 3),
    symmetric=st.booleans(),
)
def test_hard_matrices_are_those_of_scikit_image(
    levels: np.ndarray, rows: int, cols: int, symmetric: bool
) -> None:
    if (rows, cols) == (0, 0):
        return
    # scikit-image turns an angle and a distance into the same offset.
    distance, angle = np.hypot(rows, cols), np.arctan2(rows, cols)
    if (round(np.sin(angle) * distance), round(np.cos(angle) * distance)) != (rows, cols):
        return
    theirs = graycomatrix(levels, [distance], [angle], 8, symmetric=symmetric, normed=True)
    middle = torch.from_numpy((levels + 0.5) / 8)
    ours = count_hard(middle, levels=8, offset=Offset(rows, cols), symmetric=symmetric).matrix
    np.testing.assert_allclose(ours.numpy(), theirs[:, :, 0, 0], atol=1e-12)


@given(
    patch=arrays(np.float64, (6, 6), elements=st.floats(0, 1)),
    levels=st.integers(2, 40),
    bandwidth=st.floats(0.02, 4.0),
)
@settings(max_examples=30)
def test_matrices_sum_to_one(patch: np.ndarray, levels: int, bandwidth: float) -> None:
    found = soft(torch.from_numpy(patch), levels, bandwidth)
    assert float(found.matrix.sum()) == pytest.approx(1.0, abs=1e-9)
    assert 0.0 <= found.moved <= 1.0 + 1e-9


@pytest.mark.parametrize("levels", [8, 32, 256])
def test_soft_tends_to_hard_as_the_bandwidth_shrinks(levels: int) -> None:
    found = [soft(PATCH, levels, bandwidth) for bandwidth in (1.0, 0.5, 0.1, 0.01, 1e-4, 1e-6)]
    for numbers in ([one.distance for one in found], [one.moved for one in found]):
        assert numbers == sorted(numbers, reverse=True)
        assert numbers[-1] < 1e-3
    hard = count_hard(PATCH, levels=levels, offset=RIGHT)
    assert found[-1].features["contrast"] == pytest.approx(hard.features["contrast"], rel=1e-3)


def test_distances_are_those_of_the_matrices() -> None:
    hard = count_hard(PATCH, levels=8, offset=RIGHT).matrix.numpy()
    found = soft(PATCH, 8, 0.5)
    difference = found.matrix.numpy() - hard
    assert found.distance == pytest.approx(np.linalg.norm(difference, "fro"))
    assert found.moved == pytest.approx(np.abs(difference).sum() / 2)


def test_the_gradient_is_that_of_the_squared_distance() -> None:
    patch = PATCH[:6, :6]
    prediction = blurred(patch, 5)
    found = soft(patch, 16, 0.5).gradient

    def distance(pixels: Tensor) -> float:
        matrices = [
            cooccurrence(soft_membership(image, 16, 0.5), [RIGHT])[0]
            for image in (pixels, patch)
        ]
        return float((matrices[0] - matrices[1]).square().sum())

    for row, col in ((0, 0), (2, 3), (5, 5)):
        step = torch.zeros_like(patch)
        step[row, col] = 1e-6
        slope = (distance(prediction + step) - distance(prediction - step)) / 2e-6
        assert found[row, col].item() == pytest.approx(slope, rel=1e-4, abs=1e-8)


@pytest.mark.parametrize("kind", ["fine", "coarse", "sparse"])
def test_sharp_bins_give_few_pixels_a_gradient_and_soft_ones_all(kind: str) -> None:
    image = torch.from_numpy(make_phantom(kind, size=96, seed=2).image).double()[32:64, 32:64]
    sharp, wide = soft(image, 256, 1 / 30), soft(image, 32, 0.5)
    assert sharp.gradient_share < 0.55
    assert wide.gradient_share > 0.98
    assert wide.effective_share > 3 * sharp.effective_share


def test_a_prediction_that_is_right_gets_no_gradient() -> None:
    hard = count_hard(PATCH, levels=8, offset=RIGHT)
    assert (hard.gradient_share, hard.effective_share, hard.distance) == (0.0, 0.0, 0.0)
    found = count_soft(PATCH, PATCH, hard, bandwidth=0.5, offset=RIGHT)
    assert (found.gradient_share, found.effective_share) == (0.0, 0.0)


def test_blurring_is_a_mean_and_keeps_flat_patches() -> None:
    flat = torch.full((4, 5), 0.3)
    torch.testing.assert_close(blurred(flat, 3), flat)
    middle = PATCH[2:7, 4:9].mean()
    torch.testing.assert_close(blurred(PATCH, 5)[4, 6], middle)
