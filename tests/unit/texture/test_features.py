"""Features in one call: IBSI's published values, other libraries, plain compositions."""

import inspect
import json
import math
import re
from pathlib import Path

import mahotas
import numpy as np
import pytest
import torch

from glcm_mae.texture import (
    HARALICK_FEATURES,
    IBSI_FEATURES,
    Offset,
    cooccurrence,
    fixed_bin_number,
    fixed_bin_width,
    haralick_features,
    hard_membership,
    ibsi_features,
    texture_features,
)
from glcm_mae.texture.features import Recipe, measure

PHANTOM = json.loads(
    (Path(__file__).parents[2] / "golden" / "ibsi_digital_phantom.json").read_text()
)
ANGLES = [Offset(0, 1), Offset(-1, 1), Offset(1, 0), Offset(1, 1)]


def speckled(*shape: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    smooth = np.cumsum(rng.normal(size=shape), axis=-1)
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


@pytest.mark.parametrize("aggregation", PHANTOM["values"])
def test_the_digital_phantom_of_ibsi(aggregation: str) -> None:
    volume = np.array(PHANTOM["volume"])
    found = texture_features(
        volume - 1,
        volume > 0,
        levels=PHANTOM["levels"],
        aggregation=aggregation,
        features="ibsi",
    )
    assert found.keys() == IBSI_FEATURES.keys()
    for name, published in PHANTOM["values"][aggregation].items():
        digits = 2 - math.floor(math.log10(abs(published)))  # published to three
        assert abs(found[name] - published) <= 0.51 * 10.0**-digits, name


def test_the_phantom_has_six_levels_by_number_and_by_width() -> None:
    volume = np.array(PHANTOM["volume"])
    keywords = {"aggregation": "3d_merged", "features": "ibsi"}
    plain = texture_features(volume - 1, volume > 0, levels=6, **keywords)
    by_number = texture_features(volume, volume > 0, levels=6, binning="number", **keywords)
    by_width = texture_features(volume, volume > 0, binning="width", bin_width=1.0, **keywords)
    assert by_number == plain
    assert by_width == plain


def test_averaged_is_the_mean_over_directions_and_merged_the_mean_matrix() -> None:
    image = speckled(20, 30).astype(np.float64)
    membership = hard_membership(torch.from_numpy(image), 16)
    matrices = cooccurrence(membership, ANGLES, symmetric=True)
    pairs = torch.tensor([20 * 29, 19 * 29, 19 * 30, 19 * 29])[:, None, None]
    merged = (matrices * pairs).sum(0) / pairs.sum()
    averaged = texture_features(image, levels=16, features="all")
    at_once = texture_features(image, levels=16, features="all", aggregation="merged")
    assert list(averaged) == list(HARALICK_FEATURES | IBSI_FEATURES)
    for family in (haralick_features, ibsi_features):
        for name, values in family(matrices).items():
            assert averaged[name] == pytest.approx(values.mean().item(), rel=1e-9, abs=1e-7)
        for name, value in family(merged).items():
            assert at_once[name] == pytest.approx(value.item(), rel=1e-9, abs=1e-7)


def test_equals_mahotas_up_to_its_conventions() -> None:
    image = speckled(40, 50)
    gray = np.minimum(image * 32, 31).astype(np.uint8)
    theirs = mahotas.features.haralick(gray, use_x_minus_y_variance=True).mean(axis=0)
    ours = list(texture_features(image).values())[:13]
    theirs[5] += 2  # it counts levels from 0
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("binning", ["number", "width"])
def test_binning_is_that_of_the_functions(binning: str) -> None:
    image = 300 * speckled(12, 14) - 40
    mask = speckled(12, 14, seed=1) > 0.4
    tensors = {"mask": torch.from_numpy(mask)}
    if binning == "number":
        level = fixed_bin_number(torch.from_numpy(image), 9, **tensors)
        found = texture_features(image, mask, levels=9, binning="number", features="all")
    else:
        level = fixed_bin_width(torch.from_numpy(image), 25.0, **tensors)
        found = texture_features(image, mask, binning="width", bin_width=25.0, features="all")
    count = int(level.max()) + 1
    assert found == texture_features(level, mask, levels=count, features="all")


@pytest.mark.parametrize("levels", [2, 32])
@pytest.mark.parametrize("binning", ["range", "number"])
def test_a_flat_region_gives_the_limits(binning: str, levels: int) -> None:
    found = texture_features(
        np.full((5, 5), 0.3), levels=levels, binning=binning, features="all"
    )
    assert not [name for name, value in found.items() if math.isnan(value)]
    expected = {
        "angular_second_moment": 1,
        "contrast": 0,
        "correlation": 1,
        "joint_entropy": 0,
        "information_correlation_1": 0,
        "information_correlation_2": 0,
        "maximal_correlation_coefficient": 1,
        "joint_maximum": 1,
    }
    assert {name: found[name] for name in expected} == expected


def test_a_direction_without_a_pair_is_left_out_of_the_mean() -> None:
    mask = np.zeros((6, 6), dtype=bool)
    mask[2] = True  # one row
    image = speckled(6, 6)
    assert texture_features(image, mask) == texture_features(image, mask, angles=[0])


def test_several_images_at_once_have_the_numbers_of_each_alone() -> None:
    for keywords in ({"levels": 32, "binning": "range"}, {"binning": "width"}):
        width = 0.03 if keywords["binning"] == "width" else None
        recipe = Recipe(
            **{"levels": 8, **keywords},
            bin_width=width,
            distances=(1, 2),
            angles=(0, 90),
            symmetric=False,
            aggregation="averaged",
            features="all",
        )
        images = [speckled(9 + seed, 30, seed=seed) for seed in range(40)]
        together = measure([recipe.tally(image) for image in images], recipe)
        for image, found in zip(images, together, strict=True):
            alone = texture_features(
                image,
                **{"levels": 8, **keywords},
                bin_width=width,
                distances=(1, 2),
                angles=(0, 90),
                symmetric=False,
                features="all",
            )
            assert found == alone  # to the last bit


def test_tensors_and_arrays_of_any_type_are_taken() -> None:
    levels = np.random.default_rng(0).integers(0, 8, (6, 7))
    expected = texture_features(levels, levels=8)
    for kind in (np.uint8, np.int16, np.uint16):
        assert texture_features(levels.astype(kind), levels=8) == expected
    assert texture_features(torch.from_numpy(levels), levels=8) == expected
    assert texture_features(levels.T.copy().T, levels=8) == expected


@pytest.mark.parametrize(
    ("image", "keywords", "message"),
    [
        (np.zeros((4, 4)), {"levels": 1}, "levels must be at least 2, got 1"),
        (
            np.array([[0.0, math.nan]]),
            {"angles": [0]},
            "image must not hold NaN or infinity, got NaN; "
            "fill the missing pixels first, or leave them out of the mask",
        ),
        (
            np.zeros((4, 4)),
            {"distances": [4], "angles": [0]},
            "offsets must be smaller than the image of 4 x 4 pixels, "
            "got Offset(rows=0, cols=4)",
        ),
        (
            np.zeros((4, 4)),
            {"mask": np.zeros((4, 4))},
            "mask must hold at least one pixel, got none; leave such an image out, or its mask",
        ),
        (
            np.zeros((4, 4)),
            {"mask": np.eye(4)[:, ::-1], "angles": [0]},
            "mask must hold both pixels of at least one pair, "
            "got 4 pixels without any; choose a larger region",
        ),
        (
            np.full((4, 4), 40, np.uint8),
            {},
            "image must hold gray levels from 0 to 31, got 40; "
            "raise levels, or pass floats in [0, 1] to have them binned",
        ),
        (np.zeros((4, 4)), {"distances": [0]}, "distances must be at least 1 pixel, got 0"),
        (
            np.zeros((4, 4)),
            {"angles": [30]},
            "angles must be of 0, 45, 90 and 135 degrees, got 30; opposite directions are "
            "one and the same in a symmetric matrix",
        ),
        (
            np.zeros((4, 4)),
            {"bin_width": 0.1},
            "bin_width must be given for binning 'width', and only then, got 0.1 for 'range'",
        ),
        (
            np.zeros((4, 4)),
            {"aggregation": "3d_merged"},
            "aggregation must be 'averaged' or 'merged' for an image, got '3d_merged'",
        ),
        (
            np.zeros((1, 4, 4)),
            {},
            "image must have the shape (height, width), or (slices, height, width) with more "
            "than one slice, got (1, 4, 4); pass one image at a time, such as image[0]",
        ),
        (np.array([["a", "b"]]), {}, "image must hold real numbers, got <U1"),
    ],
)
def test_errors(image: np.ndarray, keywords: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        inspect.unwrap(texture_features)(image, **keywords)
