"""Laws of texture that hold for every image, level count, bandwidth and offset."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix

from glcm_mae.texture import (
    HARALICK_FEATURES,
    Offset,
    cooccurrence,
    glcm_distance,
    haralick_features,
    hard_membership,
    soft_membership,
)

levels_st = st.integers(2, 256)
bandwidth_st = st.floats(0.01, 4.0)
seed_st = st.integers(0, 2**32 - 1)


def random_patches(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).double()


@st.composite
def leveled_images(draw: st.DrawFn) -> tuple[np.ndarray, int, Offset]:
    """A gray-level image, its number of levels, and an offset that fits into it."""
    levels = draw(levels_st)
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    offset = Offset(
        draw(st.integers(1 - height, height - 1)), draw(st.integers(1 - width, width - 1))
    )
    assume(offset != (0, 0))
    gray = st.integers(0, levels - 1)
    image = draw(arrays(np.uint8, (height, width), elements=gray))
    return image, levels, offset


@st.composite
def distance_settings(draw: st.DrawFn) -> dict[str, object]:
    offsets = [Offset(0, 1), Offset(1, 0), Offset(1, -1), Offset(-2, 1)]
    return {
        "levels": draw(st.integers(2, 16)),
        "bandwidth": draw(bandwidth_st),
        "offsets": draw(st.lists(st.sampled_from(offsets), min_size=1, max_size=3)),
        "symmetric": draw(st.booleans()),
    }


@given(leveled_images(), st.booleans())
@settings(max_examples=100)
def test_equals_scikit_image(case: tuple[np.ndarray, int, Offset], symmetric: bool) -> None:
    image, levels, offset = case
    membership = hard_membership(torch.from_numpy(image), levels)
    ours = cooccurrence(membership, [offset], symmetric=symmetric)[0]
    theirs = graycomatrix(
        image,
        [math.hypot(*offset)],
        [math.atan2(offset.rows, offset.cols)],
        levels=levels,
        symmetric=symmetric,
        normed=True,
    )[:, :, 0, 0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@given(levels_st, bandwidth_st, st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=150)
def test_shares_of_every_value_sum_to_one(
    levels: int, bandwidth: float, values: list[float]
) -> None:
    image = torch.tensor([values], dtype=torch.float64)
    shares = soft_membership(image, levels, bandwidth)
    assert (shares.sum(-1) - 1).abs().max() < 1e-14
    assert shares.min() >= 0
    single = soft_membership(image.float(), levels, bandwidth)
    assert (single.sum(-1) - 1).abs().max() < 2e-6
    assert single.min() >= 0


@given(levels_st, bandwidth_st, st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(max_examples=50)
def test_a_negative_has_mirrored_shares(
    levels: int, bandwidth: float, values: list[float]
) -> None:
    image = torch.tensor([values], dtype=torch.float64)
    shares = soft_membership(image, levels, bandwidth)
    negative = soft_membership(1 - image, levels, bandwidth)
    # Near a bin's edge 1 - x rounds, and a sharp kernel magnifies it.
    torch.testing.assert_close(negative.flip(-1), shares, rtol=0, atol=1e-11)


@given(st.integers(2, 64), seed_st)
@settings(max_examples=50)
def test_soft_tends_to_hard(levels: int, seed: int) -> None:
    inside_bin = 0.1 + 0.8 * random_patches(seed, 4, 4)
    level = (random_patches(seed + 1, 4, 4) * levels).floor()
    image = (level + inside_bin) / levels
    hard = hard_membership(image, levels)
    errors = [
        (soft_membership(image, levels, bandwidth) - hard).abs().amax(-1)
        for bandwidth in (1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64, 1 / 256)
    ]
    for wider, sharper in itertools.pairwise(errors):
        assert (sharper <= wider).all()
    assert errors[-1].max() < 1e-10
    assert errors[0].max() > 1e-3


@given(st.integers(2, 32), bandwidth_st, seed_st, st.booleans())
@settings(max_examples=50)
def test_every_matrix_sums_to_one(
    levels: int, bandwidth: float, seed: int, symmetric: bool
) -> None:
    shares = soft_membership(random_patches(seed, 2, 5, 6), levels, bandwidth)
    offsets = [Offset(0, 1), Offset(3, -2), Offset(-4, 5)]
    matrices = cooccurrence(shares, offsets, symmetric=symmetric)
    torch.testing.assert_close(
        matrices.sum((-2, -1)), torch.ones(2, 3).double(), rtol=0, atol=1e-13
    )
    assert (matrices >= 0).all()
    assert torch.equal(matrices, matrices.mT) or not symmetric


@given(leveled_images())
@settings(max_examples=50)
def test_a_half_turn_transposes(case: tuple[np.ndarray, int, Offset]) -> None:
    image, levels, offset = case
    membership = hard_membership(torch.from_numpy(image), levels)
    turned = cooccurrence(membership.flip(-3, -2), [offset])
    opposite = cooccurrence(membership, [Offset(-offset.rows, -offset.cols)])
    expected = cooccurrence(membership, [offset]).mT
    torch.testing.assert_close(turned, expected)
    torch.testing.assert_close(opposite, expected)


@given(leveled_images())
@settings(max_examples=50)
def test_transposing_the_image_swaps_rows_and_cols(
    case: tuple[np.ndarray, int, Offset],
) -> None:
    image, levels, offset = case
    membership = hard_membership(torch.from_numpy(image), levels)
    swapped = cooccurrence(membership.transpose(-3, -2), [Offset(offset.cols, offset.rows)])
    torch.testing.assert_close(swapped, cooccurrence(membership, [offset]))


@given(distance_settings(), seed_st)
@settings(max_examples=50)
def test_the_distance_is_a_squared_distance(chosen: dict[str, object], seed: int) -> None:
    a, b = random_patches(seed, 2, 4, 5), random_patches(seed + 1, 2, 4, 5)
    forth, back = glcm_distance(a, b, **chosen), glcm_distance(b, a, **chosen)
    assert glcm_distance(a, a, **chosen) == 0
    assert 0 <= forth <= 2
    torch.testing.assert_close(forth, back)


@given(distance_settings(), seed_st)
@settings(max_examples=50)
def test_the_distance_is_the_mean_over_patches_and_offsets(
    chosen: dict[str, object], seed: int
) -> None:
    a, b = 1.5 * random_patches(seed, 3, 4, 5) - 0.25, random_patches(seed + 1, 3, 4, 5)
    alone = [
        glcm_distance(a[n], b[n], **{**chosen, "offsets": [offset]})
        for n in range(3)
        for offset in chosen["offsets"]
    ]
    torch.testing.assert_close(glcm_distance(a, b, **chosen), torch.stack(alone).mean())


@given(distance_settings(), seed_st, st.floats(1e-3, 10))
@settings(max_examples=50)
def test_every_pixel_outside_is_pulled_back(
    chosen: dict[str, object], seed: int, reach: float
) -> None:
    target = random_patches(seed, 2, 4, 5)
    prediction = ((1 + 2 * reach) * random_patches(seed + 1, 2, 4, 5) - reach).requires_grad_()
    distance = glcm_distance(prediction, target, **chosen)
    (gradient,) = torch.autograd.grad(distance, prediction)
    below, above = prediction < 0, prediction > 1
    assume((below | above).any())
    assert (gradient[below] < 0).all()
    assert (gradient[above] > 0).all()
    excess = prediction - prediction.clamp(0, 1)
    outside = below | above
    torch.testing.assert_close(gradient[outside], 2 * excess[outside] / prediction.numel())


@st.composite
def gray_level_matrices(draw: st.DrawFn) -> torch.Tensor:
    """Joint distributions with many empty entries, as patches have them."""
    levels = draw(st.integers(2, 12))
    counts = draw(arrays(np.int64, (levels, levels), elements=st.integers(0, 3)))
    assume(counts.sum() > 0)
    return torch.from_numpy(counts / counts.sum())


@given(gray_level_matrices())
@settings(max_examples=150)
def test_features_stay_in_their_range(matrix: torch.Tensor) -> None:
    levels = len(matrix)
    bits = math.log2(levels)
    ranges = {
        "angular_second_moment": (1 / levels**2, 1),
        "contrast": (0, (levels - 1) ** 2),
        "correlation": (-1, 1),
        "sum_of_squares_variance": (0, (levels - 1) ** 2 / 4),
        "inverse_difference_moment": (1 / (1 + (levels - 1) ** 2), 1),
        "sum_average": (2, 2 * levels),
        "sum_variance": (0, (levels - 1) ** 2),
        "sum_entropy": (0, math.log2(2 * levels - 1)),
        "joint_entropy": (0, 2 * bits),
        "difference_variance": (0, (levels - 1) ** 2 / 4),
        "difference_entropy": (0, bits),
        "information_correlation_1": (-1, 0),
        "information_correlation_2": (0, 1),
        "maximal_correlation_coefficient": (0, 1),
    }
    assert ranges.keys() == HARALICK_FEATURES.keys()
    for name, value in haralick_features(matrix).items():
        low, high = ranges[name]
        assert low - 1e-12 <= value <= high + 1e-12, name


@given(gray_level_matrices(), st.randoms(use_true_random=False))
@settings(max_examples=50)
def test_information_does_not_depend_on_the_names_of_levels(
    matrix: torch.Tensor, random: object
) -> None:
    order = list(range(len(matrix)))
    random.shuffle(order)
    shuffled = matrix[order][:, order]
    for name in (
        "angular_second_moment",
        "joint_entropy",
        "information_correlation_1",
        "maximal_correlation_coefficient",
    ):
        feature = HARALICK_FEATURES[name]
        assert feature(shuffled).item() == pytest.approx(feature(matrix).item(), abs=1e-7)


@given(gray_level_matrices())
@settings(max_examples=50)
def test_the_maximal_correlation_is_no_less_than_the_correlation(
    matrix: torch.Tensor,
) -> None:
    features = haralick_features(matrix)
    assert features["maximal_correlation_coefficient"] >= features["correlation"].abs() - 1e-9
