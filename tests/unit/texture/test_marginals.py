"""The marginals of a matrix against plain loops, and their accuracy in float32."""

import math
import re

import jaxtyping
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from glcm_mae.texture import (
    Marginals,
    Offset,
    cooccurrence,
    correlation,
    hard_membership,
    ibsi_features,
    marginals,
)


def random_matrix(levels: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    counts = torch.rand(levels, levels, generator=generator).double().square()
    return counts / counts.sum()


def test_the_fields_stand_in_this_order() -> None:
    """Kernels that count pairs fill them in by place."""
    assert Marginals._fields == (
        "rows",
        "columns",
        "sums",
        "differences",
        "energy",
        "largest",
        "entropy",
        "covariance",
    )


@pytest.mark.parametrize("levels", [2, 3, 8])
def test_every_field_by_its_definition(levels: int) -> None:
    matrix = random_matrix(levels)
    p = matrix.numpy()
    rows, columns = np.zeros(levels), np.zeros(levels)
    sums, differences = np.zeros(2 * levels - 1), np.zeros(levels)
    for x, y in np.ndindex(levels, levels):
        rows[x] += p[x, y]
        columns[y] += p[x, y]
        sums[x + y] += p[x, y]
        differences[abs(x - y)] += p[x, y]
    mean_x = sum(x * rows[x] for x in range(levels))
    mean_y = sum(y * columns[y] for y in range(levels))
    covariance = sum(
        p[x, y] * (x - mean_x) * (y - mean_y) for x, y in np.ndindex(levels, levels)
    )
    found = marginals(matrix)
    np.testing.assert_allclose(found.rows, rows, rtol=1e-13)
    np.testing.assert_allclose(found.columns, columns, rtol=1e-13)
    np.testing.assert_allclose(found.sums, sums, rtol=1e-13)
    np.testing.assert_allclose(found.differences, differences, rtol=1e-13)
    assert found.energy.item() == pytest.approx((p**2).sum(), rel=1e-13)
    assert found.largest.item() == pytest.approx(p.max(), rel=1e-13)
    assert found.entropy.item() == pytest.approx(-(p * np.log2(p)).sum(), rel=1e-13)
    assert found.covariance.item() == pytest.approx(covariance, rel=1e-11)


def test_marginals_are_given_back_as_they_are() -> None:
    found = marginals(random_matrix(4))
    assert marginals(found) is found


def test_batch_axes_are_kept() -> None:
    matrices = torch.stack([random_matrix(4, seed) for seed in range(6)]).reshape(2, 3, 4, 4)
    found = marginals(matrices)
    shapes = [tuple(field.shape) for field in found]
    assert shapes == [(2, 3, 4), (2, 3, 4), (2, 3, 7), (2, 3, 4), *[(2, 3)] * 4]
    for field, alone in zip(found, marginals(matrices[1, 2]), strict=True):
        torch.testing.assert_close(field[1, 2], alone)


@pytest.mark.parametrize("field", Marginals._fields)
def test_gradcheck(field: str) -> None:
    matrix = random_matrix(4).requires_grad_()
    assert gradcheck(lambda p: getattr(marginals(p / p.sum()), field), (matrix,))


def test_rounding_is_divided_out() -> None:
    matrix = random_matrix(4)
    for field, scaled in zip(marginals(matrix), marginals(1.005 * matrix), strict=True):
        torch.testing.assert_close(scaled, field)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            torch.full((2, 2), math.nan),
            "matrix must sum to one over its last two axes, got nan; "
            "divide each matrix by its sum",
        ),
        (
            torch.ones(4) / 4,
            "matrix must be square over its last two axes, with at least 2 levels, "
            "got shape (4,)",
        ),
    ],
)
def test_errors(monkeypatch: pytest.MonkeyPatch, matrix: torch.Tensor, message: str) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        marginals(matrix)


def two_halves() -> torch.Tensor:
    """Left flat but for one pixel one level off, right noise: the spreads differ 4,700-fold."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randint(0, 256, (64, 128), generator=generator)
    image[:, :64] = 200
    image[20, 30] = 201
    image[20, 94] = 255
    return image


def one_pixel_off() -> torch.Tensor:
    image = torch.full((128, 128), 254)
    image[60, 70] = 0
    return image


def far_apart() -> torch.Tensor:
    """Neighbours 200 levels apart that vary by one: |x - y| alone would cancel."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randint(0, 2, (64, 64), generator=generator)
    flips = (torch.rand(64, 64, generator=generator) < 0.2).long()
    return torch.cat([10 + noise, 210 + (noise ^ flips)], dim=1)


@pytest.mark.parametrize(
    ("image", "offset"),
    [
        (two_halves, Offset(0, 64)),
        (one_pixel_off, Offset(0, 1)),
        (far_apart, Offset(0, 64)),
    ],
)
@pytest.mark.parametrize("symmetric", [False, True])
def test_correlation_is_exact_to_float32(image, offset: Offset, symmetric: bool) -> None:
    """Taken from variances it would be 1e-4 off on the first image, 5e-4 on the last."""
    matrix = cooccurrence(hard_membership(image(), 256), [offset], symmetric=symmetric)[0]
    p = matrix.double().numpy()
    p = p / p.sum()
    x, y = np.mgrid[:256, :256]
    x, y = x - (p * x).sum(), y - (p * y).sum()
    expected = (p * x * y).sum() / math.sqrt((p * x * x).sum() * (p * y * y).sum())
    got = correlation(matrix)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(expected, abs=3e-6)


@pytest.mark.parametrize("image", [two_halves, one_pixel_off, far_apart])
def test_float32_agrees_with_float64(image) -> None:
    offsets = [Offset(0, 1), Offset(1, 1), Offset(0, 64)]
    matrices = cooccurrence(hard_membership(image(), 256), offsets)
    single, double = ibsi_features(matrices), ibsi_features(matrices.double())
    # A root lifts the rounding of the information; a third moment is as exact as its terms.
    third = double["cluster_tendency"].max().item() ** 1.5
    atol = {"information_correlation_2": 2e-3, "cluster_shade": 1e-6 * third}
    for name, value in double.items():
        torch.testing.assert_close(
            single[name].double(),
            value,
            rtol=2e-5,
            atol=atol.get(name, 1e-6),
            msg=lambda message, name=name: f"{name}: {message}",
        )
