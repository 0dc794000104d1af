"""One test for each convention of texture, so that none can drift."""

import inspect

import pytest
import torch

import glcm_mae.texture
from glcm_mae.texture import (
    HARALICK_FEATURES,
    Offset,
    contrast,
    cooccurrence,
    glcm_distance,
    hard_membership,
    joint_entropy,
    soft_membership,
    sum_average,
)

BLACK_ABOVE_WHITE = torch.tensor([[0.0, 0.0], [1.0, 1.0]])


def test_rows_grow_downward() -> None:
    """Below a black pixel is a white one, never the other way round."""
    matrix = cooccurrence(hard_membership(BLACK_ABOVE_WHITE, 2), [Offset(rows=1, cols=0)])
    assert matrix.tolist() == [[[0, 1], [0, 0]]]


def test_a_negative_row_is_above() -> None:
    matrix = cooccurrence(hard_membership(BLACK_ABOVE_WHITE, 2), [Offset(rows=-1, cols=0)])
    assert matrix.tolist() == [[[0, 0], [1, 0]]]


def test_columns_grow_to_the_right() -> None:
    image = BLACK_ABOVE_WHITE.T
    matrix = cooccurrence(hard_membership(image, 2), [Offset(rows=0, cols=1)])
    assert matrix.tolist() == [[[0, 1], [0, 0]]]


def test_an_offset_is_rows_then_columns() -> None:
    assert Offset(1, 0) == Offset(rows=1, cols=0)


def test_the_first_index_is_the_reference_pixel() -> None:
    """The paper's H: the pixel to the right, read along one row."""
    image = torch.tensor([[0, 1, 2]])
    matrix = cooccurrence(hard_membership(image, 3), [Offset(0, 1)])[0]
    assert matrix.nonzero().tolist() == [[0, 1], [1, 2]]


def test_levels_are_bins_of_equal_width() -> None:
    centers = (torch.arange(7) + 0.5) / 7
    assert hard_membership(centers[None], 7).argmax(-1).tolist() == [list(range(7))]


def test_the_last_bin_holds_one() -> None:
    assert hard_membership(torch.tensor([[1.0]]), 4).tolist() == [[[0, 0, 0, 1]]]


def test_bandwidth_is_in_bin_widths() -> None:
    """A value one bandwidth inside its bin keeps σ(1) of itself, at any bin width."""
    for levels in (4, 32):
        image = torch.tensor([[(2 + 0.02) / levels]], dtype=torch.float64)
        share = soft_membership(image, levels, bandwidth=0.02)[0, 0, 2]
        assert share.item() == pytest.approx(torch.tensor(1.0).sigmoid().item(), rel=1e-6)


def test_a_small_bandwidth_is_sharp() -> None:
    image = torch.tensor([[0.4]])
    sharp, wide = (soft_membership(image, 4, bandwidth).amax() for bandwidth in (0.05, 2.0))
    assert sharp > 0.99
    assert wide < 0.5


def test_black_and_white_count_whole() -> None:
    """Without the mirror terms each would count half."""
    shares = soft_membership(torch.tensor([[0.0, 1.0]]), 256, 1 / 30)
    assert shares.sum(-1).tolist() == [[1, 1]]


def test_an_image_is_black_at_zero_and_white_at_one() -> None:
    levels = hard_membership(torch.tensor([[0.0, 1.0]]), 256).argmax(-1)
    assert levels.tolist() == [[0, 255]]


def test_features_count_levels_from_one() -> None:
    black = cooccurrence(hard_membership(torch.zeros(3, 3), 4), [Offset(0, 1)])
    assert sum_average(black).item() == 2


def test_entropies_are_in_bits() -> None:
    assert joint_entropy(torch.full((4, 4), 1 / 16)).item() == 4


def test_contrast_is_in_squared_levels() -> None:
    assert contrast(torch.tensor([[0, 0, 1.0], [0, 0, 0], [0, 0, 0]])).item() == 4


def test_matrices_are_one_way_unless_asked() -> None:
    membership = hard_membership(BLACK_ABOVE_WHITE, 2)
    one_way = cooccurrence(membership, [Offset(1, 0)])
    both_ways = cooccurrence(membership, [Offset(1, 0)], symmetric=True)
    assert one_way.tolist() == [[[0, 1], [0, 0]]]
    assert both_ways.tolist() == [[[0, 0.5], [0.5, 0]]]


def test_the_distance_leaves_its_settings_to_the_caller() -> None:
    parameters = inspect.signature(glcm_distance).parameters
    for name in ("levels", "bandwidth", "offsets"):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is inspect.Parameter.empty
    assert parameters["symmetric"].default is False


def test_features_stand_in_the_order_of_the_paper() -> None:
    assert list(HARALICK_FEATURES) == [
        "angular_second_moment",
        "contrast",
        "correlation",
        "sum_of_squares_variance",
        "inverse_difference_moment",
        "sum_average",
        "sum_variance",
        "sum_entropy",
        "joint_entropy",
        "difference_variance",
        "difference_entropy",
        "information_correlation_1",
        "information_correlation_2",
        "maximal_correlation_coefficient",
    ]
    for name, feature in HARALICK_FEATURES.items():
        assert feature is getattr(glcm_mae.texture, name)
        assert feature.__name__ == name


@pytest.mark.parametrize("name", HARALICK_FEATURES)
def test_every_feature_is_described(name: str) -> None:
    text = HARALICK_FEATURES[name].__doc__ or ""
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in text
    assert "IBSI" in text


def test_the_public_names_of_texture() -> None:
    assert glcm_mae.texture.__all__ == sorted(
        [
            *HARALICK_FEATURES,
            "HARALICK_FEATURES",
            "Offset",
            "cooccurrence",
            "glcm_distance",
            "haralick_features",
            "hard_membership",
            "soft_membership",
        ]
    )
