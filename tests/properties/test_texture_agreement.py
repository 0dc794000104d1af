"""The features equal those of scikit-image and mahotas, for every image of gray levels."""

import math

import mahotas.features
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix, graycoprops

from glcm_mae.texture import (
    IBSI_FEATURES,
    Offset,
    cooccurrence,
    haralick_features,
    hard_membership,
    ibsi_features,
)

ANGLES = [0, math.pi / 4, math.pi / 2, 3 * math.pi / 4]
DIRECTIONS = [Offset(0, 1), Offset(1, 1), Offset(1, 0), Offset(1, -1)]  # mahotas' order


@st.composite
def gray_images(draw: st.DrawFn, smallest: int) -> tuple[np.ndarray, int]:
    """An image of some of the levels from 0 to levels - 1, and the number of levels."""
    levels = draw(st.integers(2, 24))
    shape = draw(st.tuples(st.integers(smallest, 9), st.integers(smallest, 9)))
    gray = st.sampled_from(draw(st.lists(st.integers(0, levels - 1), min_size=1, max_size=5)))
    return draw(arrays(np.uint8, shape, elements=gray)), levels


@given(
    gray_images(smallest=4),
    st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True),
    st.booleans(),
)
@settings(max_examples=100)
def test_every_property_of_scikit_image(
    case: tuple[np.ndarray, int], distances: list[int], symmetric: bool
) -> None:
    image, levels = case
    # scikit-image rounds the end of the step: at 45° a distance of 3 leads to (2, 2).
    offsets = [
        Offset(round(distance * math.sin(angle)), round(distance * math.cos(angle)))
        for distance in distances
        for angle in ANGLES
    ]
    shape = len(distances), len(ANGLES)
    ours = {
        name: value.reshape(shape).numpy()
        for name, value in ibsi_features(
            cooccurrence(
                hard_membership(torch.from_numpy(image), levels).double(),
                offsets,
                symmetric=symmetric,
            )
        ).items()
    }
    counts = graycomatrix(image, distances, ANGLES, levels=levels, symmetric=symmetric)
    expected = {
        "contrast": ours["contrast"],
        "dissimilarity": ours["dissimilarity"],
        "homogeneity": ours["inverse_difference_moment"],
        "ASM": ours["angular_second_moment"],
        "energy": np.sqrt(ours["angular_second_moment"]),
        "mean": ours["joint_average"] - 1,
        "variance": ours["joint_variance"],
        "std": np.sqrt(ours["joint_variance"]),
        "entropy": ours["joint_entropy"] * math.log(2),
        "correlation": ours["correlation"],
    }
    for name, value in expected.items():
        theirs = graycoprops(counts, name)
        np.testing.assert_allclose(value, theirs, rtol=1e-9, atol=1e-9, err_msg=name)


def test_these_are_all_properties_of_scikit_image() -> None:
    """One that joins them belongs into the law above."""
    text = graycoprops.__doc__ or ""
    listed = text[text.index("prop : {") + 8 : text.index("}, optional")]
    names = {name.strip().strip("'") for name in listed.split(",")}
    assert names == {
        "contrast",
        "dissimilarity",
        "homogeneity",
        "ASM",
        "energy",
        "mean",
        "variance",
        "std",
        "entropy",
        "correlation",
    }


@given(gray_images(smallest=3))
@settings(max_examples=100)
def test_thirteen_features_of_mahotas(case: tuple[np.ndarray, int]) -> None:
    image, _ = case
    levels = max(2, int(image.max()) + 1)
    membership = hard_membership(torch.from_numpy(image), levels).double()
    features = haralick_features(cooccurrence(membership, DIRECTIONS, symmetric=True))
    ours = torch.stack(list(features.values())[:13], 1).numpy()
    theirs = mahotas.features.haralick(image, use_x_minus_y_variance=True)
    theirs[:, 5] += 2  # the sum average: mahotas counts levels from 0
    np.testing.assert_allclose(ours[:, :12], theirs[:, :12], rtol=1e-9, atol=1e-9)
    # The 13th is the root of a difference, which lifts its rounding.
    np.testing.assert_allclose(ours[:, 12], theirs[:, 12], rtol=1e-6, atol=1e-6)


@st.composite
def gray_level_matrices(draw: st.DrawFn) -> torch.Tensor:
    """Joint distributions with many empty entries, as patches have them."""
    levels = draw(st.integers(2, 12))
    counts = draw(arrays(np.int64, (levels, levels), elements=st.integers(0, 3)))
    assume(counts.sum() > 0)
    return torch.from_numpy(counts / counts.sum())


@given(gray_level_matrices())
@settings(max_examples=150)
def test_features_of_ibsi_stay_in_their_range(matrix: torch.Tensor) -> None:
    levels = len(matrix)
    steps = levels - 1
    bits = math.log2(levels)
    skew = 4 * steps**3 / math.sqrt(27)
    ranges = {
        "joint_maximum": (1 / levels**2, 1),
        "joint_average": (1, levels),
        "joint_variance": (0, steps**2 / 4),
        "joint_entropy": (0, 2 * bits),
        "difference_average": (0, steps),
        "difference_variance": (0, steps**2 / 4),
        "difference_entropy": (0, bits),
        "sum_average": (2, 2 * levels),
        "sum_variance": (0, steps**2),
        "sum_entropy": (0, math.log2(2 * levels - 1)),
        "angular_second_moment": (1 / levels**2, 1),
        "contrast": (0, steps**2),
        "dissimilarity": (0, steps),
        "inverse_difference": (1 / levels, 1),
        "normalised_inverse_difference": (levels / (2 * levels - 1), 1),
        "inverse_difference_moment": (1 / (1 + steps**2), 1),
        "normalised_inverse_difference_moment": (levels**2 / (levels**2 + steps**2), 1),
        "inverse_variance": (0, 1),
        "correlation": (-1, 1),
        "autocorrelation": (1, levels**2),
        "cluster_tendency": (0, steps**2),
        "cluster_shade": (-skew, skew),
        "cluster_prominence": (0, 4 / 3 * steps**4),
        "information_correlation_1": (-1, 0),
        "information_correlation_2": (0, 1),
    }
    features = ibsi_features(matrix)
    assert ranges.keys() == IBSI_FEATURES.keys() == features.keys()
    for name, value in features.items():
        low, high = ranges[name]
        slack = 1e-12 * max(1, abs(high))
        assert low - slack <= value <= high + slack, name


# Distributions of a sum that only meet the ends of its range, at the worst odds.
@pytest.mark.parametrize(
    ("share", "name", "bound"),
    [
        ((1 - 1 / math.sqrt(3)) / 2, "cluster_shade", 4 / math.sqrt(27)),
        ((1 + 1 / math.sqrt(3)) / 2, "cluster_shade", -4 / math.sqrt(27)),
        ((1 - 1 / math.sqrt(3)) / 2, "cluster_prominence", 4 / 3),
        (0.5, "cluster_tendency", 1),
    ],
)
def test_the_bounds_of_the_clusters_are_reached(share: float, name: str, bound: float) -> None:
    matrix = torch.zeros(6, 6).double()
    matrix[0, 0], matrix[5, 5] = 1 - share, share
    order = {"cluster_tendency": 2, "cluster_shade": 3, "cluster_prominence": 4}[name]
    value = IBSI_FEATURES[name](matrix).item()
    assert value == pytest.approx(bound * 5**order, rel=1e-12)


@given(gray_level_matrices())
@settings(max_examples=100)
def test_sums_and_differences_settle_the_covariance(matrix: torch.Tensor) -> None:
    """Var(x + y) - Var(x - y) = 4 cov; E|x - y| knows no sign, the means of x and y do."""
    features = ibsi_features(matrix)
    mean_x = features["joint_average"]
    mean_y = features["sum_average"] - mean_x
    variance_of_difference = features["contrast"] - (mean_x - mean_y).square()
    covariance = (features["sum_variance"] - variance_of_difference) / 4
    product = features["autocorrelation"] - mean_x * mean_y
    torch.testing.assert_close(product, covariance, rtol=1e-10, atol=1e-10)


@given(gray_level_matrices())
@settings(max_examples=50)
def test_only_the_reference_pixel_tells_a_matrix_from_its_transpose(
    matrix: torch.Tensor,
) -> None:
    features, turned = ibsi_features(matrix), ibsi_features(matrix.mT)
    for name in features.keys() - {"joint_average", "joint_variance"}:
        # A root in the last one lifts the rounding of two orders of summation.
        atol = 1e-6 if name == "information_correlation_2" else 1e-9
        torch.testing.assert_close(turned[name], features[name], rtol=1e-9, atol=atol)
    both = features["joint_average"] + turned["joint_average"]
    torch.testing.assert_close(both, features["sum_average"], rtol=1e-12, atol=0)
