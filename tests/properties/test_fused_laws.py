"""Over the whole grid of settings the fused engine equals the dense formula."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from glcm_mae.texture import Offset, Scale, glcm_distance
from glcm_mae.texture.dense import dense_distance

TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
KINDS = ("noise", "smooth", "edges", "flat", "near")


def make(kind: str, shape: tuple[int, ...], levels: int, dtype: torch.dtype, seed: int):
    """Return a prediction, in part outside [0, 1], and a target."""
    generator = torch.Generator().manual_seed(seed)
    noise, other = torch.rand(2, *shape, generator=generator, dtype=dtype)
    if kind == "smooth":
        ramp = torch.linspace(0, 1, shape[-1], dtype=dtype)
        return ramp + 0.05 * noise, ramp.flip(0) * (1 - 0.05 * other)
    if kind == "edges":  # on the edges of bins, black and white among them
        return (noise * (levels + 2) - 1).round() / levels, (other * levels).round() / levels
    if kind == "flat":
        return torch.full_like(noise, 0.5), torch.zeros_like(other)
    if kind == "near":
        return (other + 0.02 * (noise - 0.5)), other
    return noise * 1.4 - 0.2, other


@st.composite
def scales(draw: st.DrawFn, height: int, width: int) -> Scale:
    levels = draw(st.one_of(st.integers(2, 256), st.sampled_from([2, 3, 16, 32, 64, 256])))
    bandwidth = draw(
        st.one_of(
            st.floats(math.log(1 / 100), math.log(4)).map(math.exp),
            st.sampled_from([1 / 100, 1 / 30, 0.5, 1.0, 4.0]),
        )
    )
    steps = st.tuples(st.integers(1 - height, height - 1), st.integers(1 - width, width - 1))
    offsets = draw(st.lists(steps.filter(any), min_size=1, max_size=3))
    return Scale(levels, bandwidth, tuple(Offset(*step) for step in offsets))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=60)
@given(data=st.data())
@example(data=None)
def test_equals_the_dense_formula(dtype: torch.dtype, data: st.DataObject | None) -> None:
    if data is None:  # the default and the paper's setting, at their own patch size
        shape, kind, symmetric = (4, 16, 16), "noise", False
        offsets = (Offset(0, 1), Offset(1, 0))
        chosen = [Scale(32, 0.5, offsets), Scale(256, 1 / 30, offsets)]
    else:
        side = st.integers(8, 20)
        shape = (data.draw(st.integers(1, 3)), data.draw(side), data.draw(side))
        kind, symmetric = data.draw(st.sampled_from(KINDS)), data.draw(st.booleans())
        chosen = data.draw(st.lists(scales(*shape[1:]), min_size=1, max_size=2))
    seed = 0 if data is None else data.draw(st.integers(0, 1000))
    prediction, target = make(kind, shape, chosen[0].levels, dtype, seed)
    prediction.requires_grad_()
    value = glcm_distance(
        prediction,
        target,
        **chosen[0]._asdict(),
        further_scales=chosen[1:],
        symmetric=symmetric,
    )
    (gradient,) = torch.autograd.grad(value, prediction)
    expected = dense_distance(prediction, target, chosen, symmetric=symmetric)
    (slope,) = torch.autograd.grad(expected, prediction)
    # Both round the entries of matrices that sum to one; where matrices, or the slopes at
    # all pixels, are next to equal, rounding is all there is.
    tolerance, rounding = TOLERANCE[dtype], 16 * torch.finfo(dtype).eps
    allowed = tolerance * expected.item() + rounding * math.sqrt(expected.item())
    assert abs(value.item() - expected.item()) <= allowed
    steepest = sum(scale.levels / scale.bandwidth for scale in chosen) / prediction.numel()
    floor = rounding * steepest
    assert (gradient - slope).abs().max() <= tolerance * slope.abs().max() + floor


@settings(max_examples=30)
@given(
    scale=scales(9, 8),
    seed=st.integers(0, 1000),
    symmetric=st.booleans(),
)
def test_half_a_turn_of_both_patches_changes_nothing(
    scale: Scale, seed: int, symmetric: bool
) -> None:
    prediction, target = make("noise", (2, 9, 8), scale.levels, torch.float64, seed)
    turned = [patch.flip(1, 2) for patch in (prediction, target)]
    value = glcm_distance(prediction, target, **scale._asdict(), symmetric=symmetric)
    other = glcm_distance(*turned, **scale._asdict(), symmetric=symmetric)
    # A half turn transposes the matrices.
    assert other.item() == pytest.approx(value.item(), rel=1e-12)


@settings(max_examples=30)
@given(scale=scales(9, 8), seed=st.integers(0, 1000))
def test_predicted_and_true_change_places(scale: Scale, seed: int) -> None:
    first, second = (torch.rand(2, 9, 8, dtype=torch.float64) for _ in range(2))
    there = glcm_distance(first, second, **scale._asdict())
    back = glcm_distance(second, first, **scale._asdict())
    assert back.item() == pytest.approx(there.item(), rel=1e-12)
