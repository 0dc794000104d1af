"""One test for each convention of texture, so that none can drift."""

import inspect
from collections.abc import Callable

import pytest
import torch

import glcm_mae.texture
from glcm_mae.texture import (
    HARALICK_FEATURES,
    IBSI_FEATURES,
    Offset,
    contrast,
    cooccurrence,
    glcm_distance,
    hard_membership,
    inverse_difference,
    joint_average,
    joint_entropy,
    normalised_inverse_difference,
    soft_membership,
    sum_average,
    sum_of_squares_variance,
)

# Every feature of IBSI's co-occurrence family, in the order of its manual, section 3.6.
IBSI_CODES = {
    "joint_maximum": "GYBY",
    "joint_average": "60VM",
    "joint_variance": "UR99",
    "joint_entropy": "TU9B",
    "difference_average": "TF7R",
    "difference_variance": "D3YU",
    "difference_entropy": "NTRS",
    "sum_average": "ZGXS",
    "sum_variance": "OEEB",
    "sum_entropy": "P6QZ",
    "angular_second_moment": "8ZQL",
    "contrast": "ACUI",
    "dissimilarity": "8S9J",
    "inverse_difference": "IB1Z",
    "normalised_inverse_difference": "NDRX",
    "inverse_difference_moment": "WF0Z",
    "normalised_inverse_difference_moment": "1QCO",
    "inverse_variance": "E8JP",
    "correlation": "NI2N",
    "autocorrelation": "QWB0",
    "cluster_tendency": "DG8W",
    "cluster_shade": "7NFM",
    "cluster_prominence": "AE86",
    "information_correlation_1": "R8DG",
    "information_correlation_2": "JN9H",
}

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


def test_the_row_speaks_where_a_matrix_is_not_symmetric() -> None:
    """The reference pixel has levels 1 and 3, its neighbour always 2."""
    matrix = torch.tensor([[0, 0.5, 0], [0, 0, 0], [0, 0.5, 0]])
    assert joint_average(matrix).item() == 2
    assert sum_of_squares_variance(matrix).item() == 1
    assert sum_of_squares_variance(matrix.T).item() == 0


def test_normalised_differences_are_shares_of_all_levels() -> None:
    """Of the levels the matrix has, not of those that occur: 1 / (1 + 1 / 4)."""
    step = torch.zeros(4, 4)
    step[0, 1] = 1
    assert normalised_inverse_difference(step).item() == pytest.approx(0.8)
    assert inverse_difference(step).item() == 0.5


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


def test_features_of_ibsi_stand_in_its_order_under_its_codes() -> None:
    assert list(IBSI_FEATURES) == list(IBSI_CODES)
    for name, feature in IBSI_FEATURES.items():
        own_name = "sum_of_squares_variance" if name == "joint_variance" else name
        assert feature is getattr(glcm_mae.texture, own_name)
        assert feature.__name__ == own_name
        assert f"IBSI {IBSI_CODES[name]}" in " ".join((feature.__doc__ or "").split())


@pytest.mark.parametrize(
    "feature", {**HARALICK_FEATURES, **IBSI_FEATURES}.values(), ids=lambda f: f.__name__
)
def test_every_feature_is_described(feature: Callable[..., torch.Tensor]) -> None:
    text = feature.__doc__ or ""
    for section in ("Args:", "Returns:", "Raises:", "Example:"):
        assert section in text
    assert "IBSI" in text


def test_the_public_names_of_texture() -> None:
    assert sorted(glcm_mae.texture.__all__) == sorted(
        [
            *(HARALICK_FEATURES.keys() | IBSI_FEATURES.keys() - {"joint_variance"}),
            "Engine",
            "HARALICK_FEATURES",
            "IBSI_FEATURES",
            "Marginals",
            "Offset",
            "Scale",
            "VolumeOffset",
            "cooccurrence",
            "fixed_bin_number",
            "fixed_bin_width",
            "glcm_distance",
            "gray_level_cooccurrence",
            "haralick_features",
            "hard_membership",
            "ibsi_features",
            "image_offsets",
            "marginals",
            "soft_membership",
            "volume_offsets",
            "texture_features",
        ]
    )
