"""The fourteen features against two libraries, and by hand; IBSI's values are in test_ibsi."""

import math
import re

import jaxtyping
import mahotas.features
import numpy as np
import pytest
import torch
from skimage.feature import graycoprops
from torch.autograd import gradcheck

from glcm_mae.texture import (
    HARALICK_FEATURES,
    Offset,
    contrast,
    cooccurrence,
    correlation,
    haralick_features,
    hard_membership,
    information_correlation_1,
    information_correlation_2,
    inverse_difference_moment,
    joint_entropy,
    maximal_correlation_coefficient,
    sum_entropy,
)

DIRECTIONS = [Offset(0, 1), Offset(1, 1), Offset(1, 0), Offset(1, -1)]  # mahotas' order
ALL_FEATURES = pytest.mark.parametrize("name", HARALICK_FEATURES)


def textured_image(seed: int, levels: int, size: int = 12) -> np.ndarray:
    """Gray levels with neighbours alike, all levels present."""
    noise = np.random.default_rng(seed).normal(size=(size + 2, size + 2))
    smooth = noise[:-2, :-2] + noise[1:-1, 1:-1] + noise[2:, 2:]
    ranks = smooth.ravel().argsort().argsort().reshape(smooth.shape)
    return (ranks * levels // ranks.size).astype(np.uint8)


def matrices_of(image: np.ndarray, *, symmetric: bool) -> torch.Tensor:
    membership = hard_membership(torch.from_numpy(image), int(image.max()) + 1).double()
    return cooccurrence(membership, DIRECTIONS, symmetric=symmetric)


def random_matrices(*batch: int, levels: int = 4, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    counts = 0.05 + torch.rand(*batch, levels, levels, generator=generator).double()
    return counts / counts.sum((-2, -1), keepdim=True)


@pytest.mark.parametrize(("seed", "levels"), [(0, 3), (1, 8), (2, 16), (3, 32)])
def test_thirteen_features_equal_mahotas(seed: int, levels: int) -> None:
    image = textured_image(seed, levels)
    ours = torch.stack(list(haralick_features(matrices_of(image, symmetric=True)).values()), 1)
    theirs = mahotas.features.haralick(image, use_x_minus_y_variance=True)
    theirs[:, 5] += 2  # the sum average: mahotas counts levels from 0
    np.testing.assert_allclose(ours[:, :13], theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("seed", "levels"), [(0, 3), (1, 8), (2, 16), (3, 32)])
@pytest.mark.parametrize("symmetric", [False, True])
def test_the_fourteenth_equals_its_definition(seed: int, levels: int, symmetric: bool) -> None:
    matrices = matrices_of(textured_image(seed, levels), symmetric=symmetric)
    for matrix, ours in zip(matrices, maximal_correlation_coefficient(matrices), strict=True):
        p = matrix.numpy()
        rows, columns = p.sum(1) > 0, p.sum(0) > 0
        p = p[rows][:, columns]
        q = (p / p.sum(1, keepdims=True)) @ (p / p.sum(0)).T
        second = np.sort(np.linalg.eigvals(q).real)[-2]
        assert ours.item() == pytest.approx(math.sqrt(max(second, 0)), abs=1e-7)


def test_the_fourteenth_of_mahotas_is_another_quantity() -> None:
    """Mahotas correlates the rows of p: its value may pass 1, Haralick's never does."""
    theirs = mahotas.features.haralick(textured_image(1, 8), compute_14th_feature=True)
    assert theirs[:, 13].max() > 1


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("angular_second_moment", "ASM"),
        ("contrast", "contrast"),
        ("correlation", "correlation"),
        ("sum_of_squares_variance", "variance"),
        ("inverse_difference_moment", "homogeneity"),
        ("joint_entropy", "entropy"),
    ],
)
def test_equals_scikit_image(name: str, theirs: str, symmetric: bool) -> None:
    matrices = matrices_of(textured_image(4, 16), symmetric=symmetric)
    expected = graycoprops(matrices.permute(1, 2, 0)[..., None].numpy(), theirs)[:, 0]
    if theirs == "entropy":
        expected = expected / math.log(2)  # scikit-image takes natural logarithms
    np.testing.assert_allclose(HARALICK_FEATURES[name](matrices), expected, rtol=1e-12)


def test_the_worked_image_of_haralick_by_hand() -> None:
    image = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
    matrix = cooccurrence(hard_membership(image, 4), [Offset(0, 1)], symmetric=True)[0]
    counts = [4, 4, 6, 2, 2, 2, 1, 1, 1, 1]  # the entries of 24 · p that are not zero
    by_hand = {
        "angular_second_moment": 84 / 576,
        "contrast": 14 / 24,
        "sum_of_squares_variance": 65 / 24 - (31 / 24) ** 2,
        "inverse_difference_moment": (16 + 6 / 2 + 2 / 5) / 24,
        "sum_average": 2 + 2 * 31 / 24,
        "joint_entropy": -sum(n / 24 * math.log2(n / 24) for n in counts),
        "difference_variance": 14 / 24 - (10 / 24) ** 2,
        "difference_entropy": -sum(n / 24 * math.log2(n / 24) for n in (16, 6, 2)),
    }
    features = haralick_features(matrix)
    for name, value in by_hand.items():
        assert features[name].item() == pytest.approx(value, rel=1e-6), name


def test_two_levels_by_hand() -> None:
    """On two levels both correlations are the phi coefficient, the maximal one unsigned."""
    matrix = torch.tensor([[0.1, 0.5], [0.3, 0.1]]).double()
    phi = (0.1 * 0.1 - 0.5 * 0.3) / math.sqrt(0.6 * 0.4 * 0.4 * 0.6)
    assert correlation(matrix).item() == pytest.approx(phi)
    assert maximal_correlation_coefficient(matrix).item() == pytest.approx(-phi)
    assert contrast(matrix).item() == pytest.approx(0.8)
    assert inverse_difference_moment(matrix).item() == pytest.approx(0.2 + 0.4)
    expected = -(0.1 * math.log2(0.1) + 0.8 * math.log2(0.8) + 0.1 * math.log2(0.1))
    assert sum_entropy(matrix).item() == pytest.approx(expected)


def test_a_checkerboard_settles_its_neighbour() -> None:
    matrix = torch.tensor([[0.0, 0.5], [0.5, 0.0]]).double()
    features = {name: value.item() for name, value in haralick_features(matrix).items()}
    assert features["correlation"] == pytest.approx(-1)
    assert features["information_correlation_1"] == pytest.approx(-1)
    assert features["information_correlation_2"] == pytest.approx(math.sqrt(1 - math.exp(-2)))
    assert features["maximal_correlation_coefficient"] == pytest.approx(1)


FLAT_VALUES = {
    "angular_second_moment": 1,
    "contrast": 0,
    "correlation": 1,
    "sum_of_squares_variance": 0,
    "inverse_difference_moment": 1,
    "sum_average": 6,
    "sum_variance": 0,
    "sum_entropy": 0,
    "joint_entropy": 0,
    "difference_variance": 0,
    "difference_entropy": 0,
    "information_correlation_1": 0,
    "information_correlation_2": 0,
    "maximal_correlation_coefficient": 1,
}


@ALL_FEATURES
def test_limit_of_a_flat_patch(name: str) -> None:
    flat = hard_membership(torch.full((7, 7), 2), 5)
    matrices = cooccurrence(flat, DIRECTIONS)
    assert HARALICK_FEATURES[name](matrices).tolist() == [FLAT_VALUES[name]] * 4
    # Rounding of the one entry is not texture.
    rounded = HARALICK_FEATURES[name](matrices * 0.99999994)
    assert rounded.tolist() == [FLAT_VALUES[name]] * 4


@pytest.mark.parametrize("transposed", [False, True])
def test_limit_of_one_constant_pixel(transposed: bool) -> None:
    """The reference pixel always black, its neighbour not: still undefined, still no NaN."""
    matrix = torch.tensor([[0.5, 0.25, 0.25], [0, 0, 0], [0, 0, 0]])
    features = haralick_features(matrix.T if transposed else matrix)
    assert features["correlation"] == 1
    assert features["maximal_correlation_coefficient"] == 1
    assert features["information_correlation_1"] == 0
    assert features["information_correlation_2"] == 0


def test_independent_pixels_share_no_information() -> None:
    rows, columns = torch.tensor([0.2, 0.3, 0.5]).double(), torch.tensor([0.6, 0.4, 0.0])
    matrix = rows[:, None] * columns.double()
    assert information_correlation_1(matrix).item() == pytest.approx(0, abs=1e-12)
    assert information_correlation_2(matrix).item() == pytest.approx(0, abs=1e-6)
    assert maximal_correlation_coefficient(matrix).item() == pytest.approx(0, abs=1e-12)
    assert correlation(matrix).item() == pytest.approx(0, abs=1e-12)


def test_rounding_neither_turns_information_around_nor_into_nan() -> None:
    """Of 200 independent pairs many come out a little below no information at all."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.rand(2, 200, 8, generator=generator)
    matrices = (rows[:, :, None] * columns[:, None, :]).requires_grad_()
    normalised = matrices / matrices.sum((-2, -1), keepdim=True)
    first, second = information_correlation_1(normalised), information_correlation_2(normalised)
    assert (first <= 0).all()
    assert (first > -1e-5).all()
    assert (second >= 0).all()
    assert (second < 2e-3).all()
    (gradient,) = torch.autograd.grad(second.sum(), matrices)
    assert gradient.isfinite().all()


def test_information_is_relative_to_the_richer_pixel() -> None:
    """One pixel has two levels, the other four and settles it: 1 bit of 2."""
    matrix = torch.tensor([[0.25, 0.25, 0, 0], [0, 0, 0.25, 0.25], [0] * 4, [0] * 4])
    assert information_correlation_1(matrix).item() == -0.5
    assert information_correlation_1(matrix.T).item() == -0.5


def test_vanishing_shares_stay_finite() -> None:
    """A flat soft patch has tails whose products underflow in float32."""
    tail = 2e-22
    level = torch.tensor([0.0, 1.0, tail])
    for name, value in haralick_features(level[:, None] * level).items():
        assert value.isfinite(), name


@ALL_FEATURES
def test_gradcheck(name: str) -> None:
    matrices = random_matrices(2, seed=3).requires_grad_()
    assert gradcheck(HARALICK_FEATURES[name], (matrices,))


@ALL_FEATURES
@pytest.mark.parametrize("image", ["flat", "stripes", "sparse"])
def test_gradient_is_finite_where_entries_are_zero(name: str, image: str) -> None:
    pixels = {
        "flat": torch.zeros(6, 6, dtype=torch.int64),
        "stripes": torch.tensor([0, 3]).repeat(6, 3),
        "sparse": torch.arange(36).reshape(6, 6) % 7,
    }[image]
    membership = hard_membership(pixels, 8).requires_grad_()
    values = HARALICK_FEATURES[name](cooccurrence(membership, DIRECTIONS))
    (gradient,) = torch.autograd.grad(values.sum(), membership)
    assert values.isfinite().all()
    assert gradient.isfinite().all()


@ALL_FEATURES
def test_batch_axes_are_kept(name: str) -> None:
    feature = HARALICK_FEATURES[name]
    matrices = random_matrices(2, 3)
    batched = feature(matrices)
    assert batched.shape == (2, 3)
    for a in range(2):
        for b in range(3):
            torch.testing.assert_close(batched[a, b], feature(matrices[a, b]))
    assert feature(matrices[:0]).shape == (0, 3)


@ALL_FEATURES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    matrices = random_matrices(3).to(dtype)
    got = HARALICK_FEATURES[name](matrices)
    assert got.dtype == torch.float32
    exact = HARALICK_FEATURES[name](matrices.double())
    torch.testing.assert_close(got.double(), exact, rtol=1e-4, atol=1e-4)


@ALL_FEATURES
def test_autocast_changes_nothing(name: str) -> None:
    matrices = random_matrices(3).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = HARALICK_FEATURES[name](matrices)
    torch.testing.assert_close(got, HARALICK_FEATURES[name](matrices), rtol=0, atol=0)


@ALL_FEATURES
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            torch.ones(2, 2),
            "matrix must sum to one over its last two axes, got 4; "
            "divide each matrix by its sum",
        ),
        (
            torch.stack([torch.ones(2, 2) / 4, torch.zeros(2, 2)]),
            "matrix must sum to one over its last two axes, got 0; "
            "divide each matrix by its sum",
        ),
        (
            torch.full((2, 2), math.nan),
            "matrix must sum to one over its last two axes, got nan; "
            "divide each matrix by its sum",
        ),
        (
            torch.ones(2, 3) / 6,
            "matrix must be square over its last two axes, with at least 2 levels, "
            "got shape (2, 3)",
        ),
        (
            torch.ones(1, 1),
            "matrix must be square over its last two axes, with at least 2 levels, "
            "got shape (1, 1)",
        ),
        (
            torch.ones(4) / 4,
            "matrix must be square over its last two axes, with at least 2 levels, "
            "got shape (4,)",
        ),
    ],
)
def test_errors(
    monkeypatch: pytest.MonkeyPatch, name: str, matrix: torch.Tensor, message: str
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        HARALICK_FEATURES[name](matrix)


def test_joint_entropy_does_not_fear_empty_pairs() -> None:
    assert joint_entropy(torch.tensor([[0.5, 0.0], [0.0, 0.5]])).item() == 1
