"""Memberships and co-occurrence matrices against formulas written out anew."""

import inspect
import math
import re

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch.autograd import gradcheck

from glcm_mae.texture import Offset, cooccurrence, hard_membership, soft_membership

# The worked image of Haralick's paper (fig. 3), and its four matrices (fig. 3e-h).
HARALICK_IMAGE = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])
HARALICK_COUNTS = {
    "0 degrees": (Offset(0, 1), [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]]),
    "45 degrees": (Offset(-1, 1), [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]]),
    "90 degrees": (Offset(1, 0), [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]]),
    "135 degrees": (Offset(1, 1), [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]]),
}


def random_image(
    *shape: int, seed: int = 0, dtype: torch.dtype = torch.float64
) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mirrored_kernel(x: np.ndarray, levels: int, bandwidth: float) -> np.ndarray:
    """The shares as an infinite hall of mirrors: images of x at 2m + x and 2m - x."""
    k = np.arange(levels)
    shares = np.zeros((*x.shape, levels))
    for turn in range(-60, 61):
        for image in (2 * turn + x, 2 * turn - x):
            position = image[..., None] * levels
            shares += expit((position - k) / bandwidth)
            shares -= expit((position - k - 1) / bandwidth)
    return shares


class TestHardMembership:
    def test_bins_of_a_float_image_hold_their_lower_edge(self) -> None:
        image = torch.tensor([[0.0, 0.24, 0.25, 0.5, 0.75, 0.99, 1.0]])
        level = hard_membership(image, levels=4).argmax(-1)
        assert level.tolist() == [[0, 0, 1, 2, 3, 3, 3]]

    @pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
    def test_integers_are_gray_levels(self, dtype: torch.dtype) -> None:
        membership = hard_membership(torch.tensor([[0, 1, 3]], dtype=dtype), levels=4)
        expected = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]]])
        torch.testing.assert_close(membership, expected, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("given", "returned"),
        [
            (torch.float16, torch.float32),
            (torch.bfloat16, torch.float32),
            (torch.float32, torch.float32),
            (torch.float64, torch.float64),
            (torch.uint8, torch.float32),
        ],
    )
    def test_precision(self, given: torch.dtype, returned: torch.dtype) -> None:
        assert hard_membership(torch.zeros(2, 2, dtype=given), levels=2).dtype == returned

    def test_half_precision_is_binned_in_float32(self) -> None:
        # In float16 the product with 3 rounds up to 1, the next bin.
        image = torch.tensor([[0.33325]], dtype=torch.float16)
        assert (image * 3).item() == 1
        assert hard_membership(image, levels=3).argmax(-1).item() == 0

    def test_an_empty_batch_stays_empty(self) -> None:
        assert hard_membership(torch.zeros(0, 3, 4), levels=5).shape == (0, 3, 4, 5)

    @pytest.mark.parametrize(
        ("image", "levels", "message"),
        [
            (
                torch.tensor([[0.5, math.nan]]),
                4,
                "image must not hold NaN, got NaN; fill the missing pixels first",
            ),
            (
                torch.tensor([[0.5, 1.5]]),
                4,
                "image must lie in [0, 1], got 1.5; clamp or rescale it first",
            ),
            (
                torch.tensor([[-0.25, 0.5]]),
                4,
                "image must lie in [0, 1], got -0.25; clamp or rescale it first",
            ),
            (
                torch.tensor([[0, 4]]),
                4,
                "image must hold gray levels from 0 to 3, got 4; "
                "raise levels, or pass floats in [0, 1] to have them binned",
            ),
            (
                torch.tensor([[0, -1]]),
                4,
                "image must hold gray levels from 0 to 3, got -1; "
                "raise levels, or pass floats in [0, 1] to have them binned",
            ),
            (torch.zeros(2, 2), 1, "levels must be at least 2, got 1"),
            (
                torch.zeros(3),
                4,
                "image must have at least the axes (height, width), got shape (3,)",
            ),
        ],
    )
    def test_errors(self, image: torch.Tensor, levels: int, message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            inspect.unwrap(hard_membership)(image, levels)


class TestSoftMembership:
    @pytest.mark.parametrize(
        ("levels", "bandwidth"),
        [(2, 4.0), (3, 1.7), (5, 0.5), (8, 4.0), (16, 1 / 30), (64, 1.0), (256, 1 / 30)],
    )
    def test_equals_the_infinite_hall_of_mirrors(self, levels: int, bandwidth: float) -> None:
        x = np.concatenate([np.linspace(0, 1, 33), [1 / levels, 0.5 / levels]])
        got = soft_membership(torch.from_numpy(x)[None], levels, bandwidth)[0]
        np.testing.assert_allclose(got, mirrored_kernel(x, levels, bandwidth), atol=5e-15)

    def test_equals_the_three_terms_of_the_design(self) -> None:
        levels, bandwidth = 8, 0.2
        x = random_image(1, 9)
        k = torch.arange(levels, dtype=torch.float64)

        def r(value: torch.Tensor) -> torch.Tensor:
            position = value.unsqueeze(-1) * levels
            return torch.sigmoid((position - k) / bandwidth) - torch.sigmoid(
                (position - k - 1) / bandwidth
            )

        expected = r(x) + r(-x) + r(2 - x)
        torch.testing.assert_close(
            soft_membership(x, levels, bandwidth), expected, rtol=0, atol=1e-14
        )

    def test_float32_is_float64_to_seven_digits(self) -> None:
        image = random_image(4, 16, 16, dtype=torch.float32)
        for levels, bandwidth in [(32, 0.5), (256, 1.0)]:
            got = soft_membership(image, levels, bandwidth)
            exact = soft_membership(image.double(), levels, bandwidth)
            assert got.dtype == torch.float32
            torch.testing.assert_close(got.double(), exact, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32(self, dtype: torch.dtype) -> None:
        image = random_image(2, 5, 5).to(dtype)
        got = soft_membership(image, 32, 0.5)
        torch.testing.assert_close(got, soft_membership(image.float(), 32, 0.5), rtol=0, atol=0)

    def test_autocast_changes_nothing(self) -> None:
        image = random_image(2, 5, 5, dtype=torch.float32)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            got = soft_membership(image, 32, 0.5)
        torch.testing.assert_close(got, soft_membership(image, 32, 0.5), rtol=0, atol=0)

    def test_outside_counts_as_the_nearest_edge_without_gradient(self) -> None:
        image = torch.tensor([[-0.3, 1.2, -math.inf, math.inf]], requires_grad=True)
        membership = soft_membership(image, 4, 0.5)
        edges = soft_membership(torch.tensor([[0.0, 1.0, 0.0, 1.0]]), 4, 0.5)
        torch.testing.assert_close(membership, edges, rtol=0, atol=0)
        (gradient,) = torch.autograd.grad(membership[..., 0].sum(), image)
        assert gradient.tolist() == [[0, 0, 0, 0]]

    def test_nan_stays_nan_in_its_own_pixel(self) -> None:
        membership = soft_membership(torch.tensor([[0.5, math.nan]]), 4, 0.5)
        assert membership.isnan().all(-1).tolist() == [[False, True]]
        assert membership.isnan().any(-1).tolist() == [[False, True]]

    @pytest.mark.parametrize(("levels", "bandwidth"), [(4, 0.5), (2, 4.0), (8, 0.1), (5, 2.0)])
    def test_gradcheck(self, levels: int, bandwidth: float) -> None:
        image = (0.02 + 0.96 * random_image(2, 3)).requires_grad_()
        assert gradcheck(lambda x: soft_membership(x, levels, bandwidth), (image,))

    def test_leaves_its_input_alone(self) -> None:
        image = random_image(2, 3) * 2 - 0.5
        before = image.clone()
        soft_membership(image, 4, 4.0)
        assert torch.equal(image, before)

    @pytest.mark.parametrize(
        ("image", "levels", "bandwidth", "message"),
        [
            (torch.zeros(2, 2), 1, 0.5, "levels must be at least 2, got 1"),
            (
                torch.zeros(2, 2),
                4,
                0.0,
                "bandwidth must be positive and finite, in bin widths, got 0.0",
            ),
            (
                torch.zeros(2, 2),
                4,
                -1.0,
                "bandwidth must be positive and finite, in bin widths, got -1.0",
            ),
            (
                torch.zeros(2, 2),
                4,
                math.nan,
                "bandwidth must be positive and finite, in bin widths, got nan",
            ),
            (
                torch.zeros(2, 2),
                4,
                math.inf,
                "bandwidth must be positive and finite, in bin widths, got inf",
            ),
            (
                torch.zeros(2, 2, dtype=torch.uint8),
                4,
                0.5,
                "image must hold floats in [0, 1], got torch.uint8; "
                "divide it by its largest possible value",
            ),
            (
                torch.zeros(3),
                4,
                0.5,
                "image must have at least the axes (height, width), got shape (3,)",
            ),
        ],
    )
    def test_errors(
        self, image: torch.Tensor, levels: int, bandwidth: float, message: str
    ) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            inspect.unwrap(soft_membership)(image, levels, bandwidth)


class TestCooccurrence:
    @pytest.mark.parametrize("angle", HARALICK_COUNTS)
    def test_the_worked_example_of_haralick(self, angle: str) -> None:
        offset, counts = HARALICK_COUNTS[angle]
        matrix = cooccurrence(hard_membership(HARALICK_IMAGE, 4), [offset], symmetric=True)[0]
        expected = torch.tensor(counts, dtype=torch.float32)
        torch.testing.assert_close(matrix * expected.sum(), expected)

    def test_one_direction_counts_reference_then_neighbour(self) -> None:
        matrix = cooccurrence(hard_membership(HARALICK_IMAGE, 4), [Offset(0, 1)])[0]
        expected = torch.tensor([[2.0, 2, 1, 0], [0, 2, 0, 0], [0, 0, 3, 1], [0, 0, 0, 1]])
        torch.testing.assert_close(matrix * 12, expected)

    def test_pairs_leaving_the_image_do_not_count(self) -> None:
        image = torch.tensor([[0, 9, 9], [9, 9, 9], [9, 9, 1]])
        matrix = cooccurrence(hard_membership(image, 10), [Offset(2, 2)])[0]
        assert matrix[0, 1] == 1
        assert matrix.sum() == 1

    def test_soft_entry_is_the_mean_product_of_shares(self) -> None:
        shares = soft_membership(random_image(3, 4), levels=2, bandwidth=0.3)
        matrix = cooccurrence(shares, [Offset(-1, 2)])[0]
        for i in range(2):
            for j in range(2):
                products = [
                    shares[row, col, i] * shares[row - 1, col + 2, j]
                    for row in (1, 2)
                    for col in (0, 1)
                ]
                assert matrix[i, j].item() == pytest.approx(sum(products).item() / 4)

    def test_batch_axes_and_offsets_come_first(self) -> None:
        offsets = [Offset(0, 1), Offset(1, 0), Offset(2, -1)]
        image = random_image(2, 3, 6, 5)
        matrices = cooccurrence(hard_membership(image, 4), offsets)
        assert matrices.shape == (2, 3, 3, 4, 4)
        for a in range(2):
            for b in range(3):
                for c, offset in enumerate(offsets):
                    alone = cooccurrence(hard_membership(image[a, b], 4), [offset])[0]
                    torch.testing.assert_close(matrices[a, b, c], alone)

    def test_symmetric_is_the_mean_with_the_transpose(self) -> None:
        shares = soft_membership(random_image(5, 5), 3, 0.5)
        one_way = cooccurrence(shares, [Offset(1, 1)])
        both_ways = cooccurrence(shares, [Offset(1, 1)], symmetric=True)
        torch.testing.assert_close(both_ways, 0.5 * one_way + 0.5 * one_way.mT)

    def test_an_empty_batch_stays_empty(self) -> None:
        assert cooccurrence(torch.zeros(0, 4, 4, 3), [Offset(0, 1)]).shape == (0, 1, 3, 3)

    @pytest.mark.parametrize("symmetric", [False, True])
    def test_gradcheck(self, symmetric: bool) -> None:
        shares = random_image(2, 3, 4, 3).requires_grad_()
        offsets = [Offset(0, 1), Offset(1, -1)]
        assert gradcheck(lambda m: cooccurrence(m, offsets, symmetric=symmetric), (shares,))

    def test_autocast_changes_nothing(self) -> None:
        shares = soft_membership(random_image(9, 9, dtype=torch.float32), 8, 0.5)
        plain = cooccurrence(shares, [Offset(0, 1)])
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert (shares[0].mT @ shares[0]).dtype == torch.bfloat16  # it is really on
            under_autocast = cooccurrence(shares, [Offset(0, 1)])
        assert under_autocast.dtype == torch.float32
        torch.testing.assert_close(under_autocast, plain, rtol=0, atol=0)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_computed_in_float32(self, dtype: torch.dtype) -> None:
        shares = soft_membership(random_image(9, 9), 8, 0.5).to(dtype)
        got = cooccurrence(shares, [Offset(0, 1)])
        expected = cooccurrence(shares.float(), [Offset(0, 1)])
        torch.testing.assert_close(got, expected, rtol=0, atol=0)

    @pytest.mark.parametrize(
        ("shape", "offsets", "message"),
        [
            ((4, 5, 2), [], "offsets must hold at least one Offset, got none"),
            (
                (4, 5, 2),
                [Offset(0, 1), Offset(0, 0)],
                "offsets must lead to another pixel, got Offset(rows=0, cols=0); "
                "the pixel to the right is Offset(0, 1)",
            ),
            (
                (4, 5, 2),
                [Offset(4, 0)],
                "offsets must be smaller than the image of 4 x 5 pixels, "
                "got Offset(rows=4, cols=0)",
            ),
            (
                (4, 5, 2),
                [Offset(0, -5)],
                "offsets must be smaller than the image of 4 x 5 pixels, "
                "got Offset(rows=0, cols=-5)",
            ),
            (
                (5, 2),
                [Offset(0, 1)],
                "membership must have at least the axes (height, width, levels), "
                "got shape (5, 2)",
            ),
        ],
    )
    def test_errors(self, shape: tuple[int, ...], offsets: list[Offset], message: str) -> None:
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            inspect.unwrap(cooccurrence)(torch.ones(shape) / 2, offsets)

    def test_the_largest_offset_allowed_leaves_one_pair(self) -> None:
        image = torch.tensor([[0, 1], [2, 3]])
        matrix = cooccurrence(hard_membership(image, 4), [Offset(-1, 1)])[0]
        assert matrix.nonzero().tolist() == [[2, 1]]
