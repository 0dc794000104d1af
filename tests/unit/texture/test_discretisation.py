"""Gray levels by IBSI's formulas, on values worked out by hand."""

import inspect
import math
import re

import pytest
import torch

from glcm_mae.texture import fixed_bin_number, fixed_bin_width, hard_membership


class TestFixedBinNumber:
    def test_the_range_is_that_of_the_region(self) -> None:
        image = torch.tensor([[-100, 0, 10, 20, 30, 40, 900]])
        mask = torch.tensor([[0, 1, 1, 1, 1, 1, 0]])
        levels = fixed_bin_number(image, 4, mask=mask)
        assert levels.tolist() == [[-1, 0, 1, 2, 3, 3, -1]]
        assert levels.dtype == torch.int64

    @pytest.mark.parametrize("levels", [2, 3, 7, 10, 32, 256])
    def test_unit_range_equals_hard_membership(self, levels: int) -> None:
        image = torch.rand(40, 50, generator=torch.Generator().manual_seed(levels))
        image[0, :11] = torch.linspace(0, 1, 11)
        expected = hard_membership(image, levels).argmax(-1)
        assert torch.equal(fixed_bin_number(image, levels, low=0.0, high=1.0), expected)

    @pytest.mark.parametrize("levels", [2, 3, 5, 8, 15, 16, 64])
    def test_an_eight_bit_image_in_floats_gets_the_levels_of_its_integers(
        self, levels: int
    ) -> None:
        gray = torch.arange(13, 253).reshape(12, 20)
        floats = gray.float() / 255
        expected = fixed_bin_number(gray, levels)
        assert torch.equal(fixed_bin_number(floats, levels), expected)
        exact = ((gray - 13) * levels) // (252 - 13)
        assert torch.equal(expected, exact.clamp(max=levels - 1))

    def test_one_value_is_level_zero(self) -> None:
        assert fixed_bin_number(torch.full((2, 2), 7.5), 8).tolist() == [[0, 0], [0, 0]]

    def test_a_volume_keeps_its_shape(self) -> None:
        volume = torch.arange(24.0).reshape(2, 3, 4)
        assert fixed_bin_number(volume, 24).flatten().tolist() == list(range(24))

    @pytest.mark.parametrize(
        ("values", "keywords", "message"),
        [
            ([0.0, 1.0], {"levels": 1}, "levels must be at least 2, got 1"),
            (
                [0.0, 1.0],
                {"levels": 4, "low": 0.0},
                "low and high must be given together or not at all, got low=0.0 and high=None",
            ),
            (
                [0.0, 1.0],
                {"levels": 4, "low": 2.0, "high": 1.0},
                "low must be below high, and both finite, got 2 and 1",
            ),
            (
                [0.0, 1.0],
                {"levels": 4, "low": 0.0, "high": 0.5},
                "image must lie in [0, 0.5], got 1; "
                "clamp it first, or leave the pixel out of the mask",
            ),
            (
                [0.0, math.inf],
                {"levels": 4},
                "image must not hold NaN or infinity, got infinity; "
                "fill the missing pixels first, or leave them out of the mask",
            ),
            (
                [0.0, 1.0],
                {"levels": 4, "mask": torch.zeros(1, 2)},
                "mask must hold at least one pixel, got none; "
                "leave such an image out, or its mask",
            ),
        ],
    )
    def test_errors(
        self, values: list[float], keywords: dict[str, object], message: str
    ) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            inspect.unwrap(fixed_bin_number)(torch.tensor([values]), **keywords)


class TestFixedBinWidth:
    def test_from_the_least_value_and_from_an_origin(self) -> None:
        image = torch.tensor([[12, 15, 21, 24, 40]])
        assert fixed_bin_width(image, 5.0).tolist() == [[0, 0, 1, 2, 5]]
        assert fixed_bin_width(image, 5.0, origin=10.0).tolist() == [[0, 1, 2, 2, 6]]

    @pytest.mark.parametrize("width", [1, 3, 8, 25])
    def test_an_eight_bit_image_in_floats_gets_the_levels_of_its_integers(
        self, width: int
    ) -> None:
        gray = torch.arange(5, 245).reshape(12, 20)
        floats = fixed_bin_width(gray.float() / 255, width / 255)
        assert torch.equal(floats, fixed_bin_width(gray, float(width)))
        assert torch.equal(floats, (gray - 5) // width)

    def test_one_value_is_level_zero(self) -> None:
        assert fixed_bin_width(torch.full((2, 2), 7.5), 0.1).tolist() == [[0, 0], [0, 0]]

    @pytest.mark.parametrize(
        ("keywords", "message"),
        [
            ({"width": 0.0}, "width must be positive and finite, got 0"),
            ({"width": math.nan}, "width must be positive and finite, got nan"),
            (
                {"width": 1e-4},
                "width must give at most 4096 levels, got 10001 of width 0.0001; "
                "choose wider bins",
            ),
            (
                {"width": 0.5, "origin": 0.5},
                "image must not lie below origin 0.5, got 0; lower the origin, "
                "or leave the pixel out of the mask",
            ),
        ],
    )
    def test_errors(self, keywords: dict[str, float], message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            inspect.unwrap(fixed_bin_width)(torch.tensor([[0.0, 1.0]]), **keywords)
