"""Laws of the three terms, for any prediction, target and mask."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.losses import Objective
from glcm_mae.losses.objective import TERMS
from glcm_mae.losses.selection import hidden_patches
from glcm_mae.model import patchify
from glcm_mae.model.patches import expand_mask

PATCH = 6
JUDGE = Objective(patch_size=PATCH, levels=8, window=5)
term_names = pytest.mark.parametrize("name", TERMS)


@st.composite
def judged(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Prediction (also outside [0, 1]), target and a mask that hides something."""
    batch, channels = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rows, cols = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    hidden = draw(
        st.lists(st.booleans(), min_size=batch * rows * cols, max_size=batch * rows * cols)
    )
    mask = torch.tensor(hidden).view(batch, rows * cols)
    mask[0, draw(st.integers(0, rows * cols - 1))] = True
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    shape = (batch, channels, rows * PATCH, cols * PATCH)
    target = torch.rand(shape, generator=generator, dtype=torch.float64)
    prediction = torch.rand(shape, generator=generator, dtype=torch.float64) * 1.4 - 0.2
    return prediction, target, mask


def pixels_of(mask: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
    grid = (images.shape[2] // PATCH, images.shape[3] // PATCH)
    return expand_mask(mask, grid, PATCH).expand_as(images)


@term_names
@given(case=judged())
@settings(max_examples=25)
def test_visible_pixels_have_no_gradient(
    name: str, case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    prediction, target, mask = case
    prediction.requires_grad_()
    JUDGE.term(name, prediction, target, mask).backward()
    hidden = pixels_of(mask, target)
    assert not prediction.grad[~hidden].any()
    assert prediction.grad[hidden].any()


@term_names
@given(case=judged())
@settings(max_examples=25)
def test_visible_pixels_have_no_say(
    name: str, case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    prediction, target, mask = case
    hidden = pixels_of(mask, target)
    other = torch.where(hidden, prediction, torch.full_like(prediction, 7.0))
    value = JUDGE.term(name, prediction, target, mask)
    assert JUDGE.term(name, other, target, mask).item() == value.item()


@term_names
@given(case=judged())
@settings(max_examples=25)
def test_a_perfect_prediction_costs_nothing_and_another_does(
    name: str, case: tuple[torch.Tensor, torch.Tensor, torch.Tensor]
) -> None:
    prediction, target, mask = case
    perfect = torch.where(pixels_of(mask, target), target, prediction)
    assert JUDGE.term(name, perfect, target, mask).item() == pytest.approx(0, abs=1e-12)
    assert JUDGE.term(name, prediction, target, mask).item() > 1e-4


@term_names
@given(case=judged(), data=st.data())
@settings(max_examples=25)
def test_the_order_of_the_images_has_no_say(
    name: str, case: tuple[torch.Tensor, torch.Tensor, torch.Tensor], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(case[0]))))
    value = JUDGE.term(name, *case).item()
    assert JUDGE.term(name, *(part[order] for part in case)).item() == pytest.approx(
        value, rel=1e-9
    )


@given(case=judged(), weights=st.tuples(*[st.floats(0.01, 10)] * 3))
@settings(max_examples=25)
def test_the_total_is_linear_in_the_weights(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor], weights: tuple[float, float, float]
) -> None:
    value = JUDGE(*case, dict(zip(TERMS, weights, strict=True)))
    expected = sum(
        weight * JUDGE.term(name, *case).item()
        for name, weight in zip(TERMS, weights, strict=True)
    )
    assert value.total.item() == pytest.approx(expected, rel=1e-6)


@given(case=judged())
@settings(max_examples=25)
def test_the_losses_and_the_model_cut_the_same_patches(
    case: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
) -> None:
    prediction, target, mask = case
    chosen = hidden_patches(prediction, target, mask, patch_size=PATCH)
    for part, images in zip(chosen, (prediction, target), strict=True):
        assert torch.equal(part, patchify(images, PATCH)[mask])
