"""The distance between textures against its formula, and under every dtype."""

import inspect
import math
import re

import pytest
import torch
from torch.autograd import gradcheck

from glcm_mae.texture import Offset, cooccurrence, glcm_distance, soft_membership

OFFSETS = [Offset(0, 1), Offset(1, 0)]
SETTINGS = {"levels": 8, "bandwidth": 0.5, "offsets": OFFSETS}


def patches(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_equals_eq_3_written_as_loops(batch: tuple[int, ...], symmetric: bool) -> None:
    prediction, target = patches(*batch, 5, 6), patches(*batch, 5, 6, seed=1)
    terms = []
    pairs = zip(prediction.reshape(-1, 5, 6), target.reshape(-1, 5, 6), strict=True)
    for predicted, true in pairs:
        for offset in OFFSETS:
            difference = torch.zeros(8, 8, dtype=torch.float64)
            for sign, patch in ((1, predicted), (-1, true)):
                shares = soft_membership(patch, 8, 0.5)
                matrix = cooccurrence(shares, [offset])[0]
                difference += sign * ((matrix + matrix.T) / 2 if symmetric else matrix)
            terms.append((difference**2).sum().item())
    got = glcm_distance(prediction, target, **SETTINGS, symmetric=symmetric)
    assert got.shape == ()
    assert got.item() == pytest.approx(sum(terms) / len(terms), rel=1e-12)


def test_opposite_stripes_are_two_apart() -> None:
    stripes = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    settings = {"levels": 2, "bandwidth": 0.01, "offsets": [Offset(0, 1)]}
    assert glcm_distance(1 - stripes, stripes, **settings).item() == 2
    # Read both ways the two are one texture.
    assert glcm_distance(1 - stripes, stripes, **settings, symmetric=True).item() == 0


def test_the_excess_is_added_as_its_mean_square() -> None:
    target = patches(2, 4, 4, seed=1)
    inside = patches(2, 4, 4)
    inside[0, 0, 0], inside[1, 2, 3] = 0.0, 1.0
    outside = inside.clone()
    outside[0, 0, 0], outside[1, 2, 3] = -0.5, 1.25
    added = (0.5**2 + 0.25**2) / 32
    got = glcm_distance(outside, target, **SETTINGS).item()
    assert got == pytest.approx(glcm_distance(inside, target, **SETTINGS).item() + added)


def test_gradcheck_inside_and_outside_the_range() -> None:
    prediction = (patches(2, 4, 4) * 1.6 - 0.3).requires_grad_()
    assert (prediction < 0).any()
    assert (prediction > 1).any()
    target = patches(2, 4, 4, seed=1)
    for symmetric in (False, True):
        assert gradcheck(
            lambda p, s=symmetric: glcm_distance(p, target, **SETTINGS, symmetric=s),
            (prediction,),
        )


def test_the_target_gets_a_gradient_too() -> None:
    target = (0.02 + 0.96 * patches(2, 4, 4, seed=1)).requires_grad_()
    assert gradcheck(lambda t: glcm_distance(patches(2, 4, 4), t, **SETTINGS), (target,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    prediction = (patches(3, 6, 6) * 1.2 - 0.1).to(dtype)
    target = patches(3, 6, 6, seed=1).to(dtype)
    got = glcm_distance(prediction, target, **SETTINGS)
    expected = glcm_distance(prediction.double(), target.double(), **SETTINGS)
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(expected.item(), rel=1e-5)


def test_mixed_precision_takes_the_finer() -> None:
    prediction, target = patches(3, 6, 6).half(), patches(3, 6, 6, seed=1)
    got = glcm_distance(prediction, target, **SETTINGS)
    assert got.dtype == torch.float64
    expected = glcm_distance(prediction.double(), target, **SETTINGS)
    assert got.item() == expected.item()


@pytest.mark.parametrize("autocast_to", [torch.bfloat16, torch.float16])
def test_autocast_changes_neither_value_nor_gradient(autocast_to: torch.dtype) -> None:
    target = patches(3, 6, 6, seed=1, dtype=torch.float32)
    prediction = patches(3, 6, 6, dtype=torch.float32).requires_grad_()
    plain = glcm_distance(prediction, target, **SETTINGS)
    (plain_gradient,) = torch.autograd.grad(plain, prediction)
    with torch.autocast("cpu", dtype=autocast_to):
        under_autocast = glcm_distance(prediction, target, **SETTINGS)
    (gradient,) = torch.autograd.grad(under_autocast, prediction)
    assert under_autocast.dtype == torch.float32
    assert torch.equal(under_autocast, plain)
    assert torch.equal(gradient, plain_gradient)


def test_float32_follows_float64_at_the_settings_of_the_paper() -> None:
    prediction = patches(2, 16, 16).requires_grad_()
    target = patches(2, 16, 16, seed=1)
    paper = {"levels": 256, "bandwidth": 1 / 30, "offsets": OFFSETS}
    exact = glcm_distance(prediction, target, **paper)
    single = glcm_distance(prediction.float(), target.float(), **paper)
    assert single.item() == pytest.approx(exact.item(), rel=1e-4)


def test_a_nan_prediction_shows() -> None:
    prediction = patches(2, 4, 4)
    prediction[1, 2, 2] = math.nan
    assert glcm_distance(prediction, patches(2, 4, 4), **SETTINGS).isnan()


def test_leaves_its_inputs_alone() -> None:
    prediction, target = patches(2, 4, 4) * 2 - 0.5, patches(2, 4, 4, seed=1)
    before = prediction.clone(), target.clone()
    glcm_distance(prediction, target, **SETTINGS)
    assert torch.equal(prediction, before[0])
    assert torch.equal(target, before[1])


def test_descent_recovers_the_texture() -> None:
    target = patches(1, 8, 8, seed=1)
    prediction = 0.5 + 0.05 * patches(1, 8, 8)
    start = glcm_distance(prediction, target, **SETTINGS).item()
    for _ in range(100):
        prediction.requires_grad_()
        distance = glcm_distance(prediction, target, **SETTINGS)
        (gradient,) = torch.autograd.grad(distance, prediction)
        prediction = prediction.detach() - 2 * gradient
    assert distance.item() < 0.1 * start


@pytest.mark.parametrize(
    ("prediction", "target", "message"),
    [
        (
            torch.zeros(2, 4, 4),
            torch.zeros(3, 4, 4),
            "prediction must have the shape of target, got (2, 4, 4) and (3, 4, 4)",
        ),
        (
            torch.zeros(4, 4),
            torch.zeros(1, 4, 4),
            "prediction must have the shape of target, got (4, 4) and (1, 4, 4)",
        ),
        (
            torch.zeros(0, 4, 4),
            torch.zeros(0, 4, 4),
            "prediction must hold at least one patch, got shape (0, 4, 4)",
        ),
        (
            torch.zeros(1, 4, 4, dtype=torch.uint8),
            torch.zeros(1, 4, 4),
            "prediction must hold floats, got torch.uint8; scale it to [0, 1] first",
        ),
        (
            torch.zeros(1, 4, 4),
            torch.zeros(1, 4, 4, dtype=torch.int64),
            "target must hold floats, got torch.int64; scale it to [0, 1] first",
        ),
        (
            torch.zeros(4),
            torch.zeros(4),
            "prediction must have at least the axes (height, width), got shape (4,)",
        ),
    ],
)
def test_errors_of_the_patches(
    prediction: torch.Tensor, target: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        inspect.unwrap(glcm_distance)(prediction, target, **SETTINGS)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levels": 1}, "levels must be at least 2, got 1"),
        (
            {"bandwidth": 0.0},
            "bandwidth must be positive and finite, in bin widths, got 0.0",
        ),
        ({"offsets": []}, "offsets must hold at least one Offset, got none"),
        (
            {"offsets": [Offset(4, 0)]},
            "offsets must be smaller than the image of 4 x 4 pixels, "
            "got Offset(rows=4, cols=0)",
        ),
    ],
)
def test_errors_of_the_settings(changed: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        glcm_distance(patches(1, 4, 4), patches(1, 4, 4), **{**SETTINGS, **changed})
