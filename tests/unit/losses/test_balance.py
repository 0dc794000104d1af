"""Norms by hand, the shares that the balance keeps, what it remembers and passes over."""

import json
import math
from collections.abc import Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.losses import Objective, gradient_shares
from glcm_mae.losses.balance import GradientBalance
from glcm_mae.losses.objective import (
    TERMS,
    ObjectiveValue,
    gradient_norms,
    weighted_sum,
)

WEIGHTS = {"mse": 0.5, "glcm": 0.3, "ssim": 0.2}
UNITS = {"mse": 1.0, "glcm": 1.0, "ssim": 1.0}
NOTHING = [0.0, -0.0, math.nan, math.inf, -math.inf, -1.0, 5e-324]


def known_terms(
    norms: Mapping[str, float], scales: Mapping[str, float] = UNITS
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Terms with gradients along axes of their own, of the norms given times the scales."""
    shared = torch.zeros(len(norms), dtype=torch.float64, requires_grad=True)
    terms = {
        name: scales[name] * norm * shared[axis]
        for axis, (name, norm) in enumerate(norms.items())
    }
    return terms, shared


def total_gradient(
    terms: Mapping[str, torch.Tensor], weights: Mapping[str, float], shared: torch.Tensor
) -> torch.Tensor:
    (gradient,) = torch.autograd.grad(weighted_sum(terms, weights), shared, retain_graph=True)
    return gradient


def balanced_by(
    norms: Mapping[str, float], weights: Mapping[str, float], limit: float = 1e6
) -> dict[str, float]:
    balance = GradientBalance(limit=limit)
    balance.update(norms)
    return balance.weights(weights)


def test_norms_are_of_the_raw_terms_over_all_parameters() -> None:
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    terms = {"mse": 3 * first[0] + 4 * second[0], "glcm": 5 * first[1] + 12 * second[0]}
    assert gradient_norms(terms, [first, second]) == {"mse": 5.0, "glcm": 13.0}
    assert gradient_norms(terms, [second]) == {"mse": 4.0, "glcm": 12.0}


def test_norms_keep_the_graph_and_accumulate_nothing() -> None:
    shared = torch.tensor([2.0], requires_grad=True)
    terms = {"mse": shared.square().sum(), "glcm": shared.exp().sum()}
    assert gradient_norms(terms, [shared]) == gradient_norms(terms, [shared])
    assert shared.grad is None
    weighted_sum(terms, {"mse": 1.0, "glcm": 0.0}).backward()
    assert shared.grad.item() == 4.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_small_gradients_have_a_norm(dtype: torch.dtype) -> None:
    small = 2.0**-80  # whose square is below what float32 can hold
    shared = torch.zeros(2, dtype=dtype, requires_grad=True)
    term = (torch.tensor([3 * small, 4 * small], dtype=dtype) * shared).sum()
    assert gradient_norms({"mse": term}, [shared]) == {"mse": 5 * small}


def test_norms_can_be_measured_at_a_prediction() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 1, 12, 24, generator=generator)
    prediction = torch.rand(1, 1, 12, 24, generator=generator, requires_grad=True)
    value = Objective(patch_size=12)(prediction, target, torch.tensor([[True, True]]), WEIGHTS)
    norms = gradient_norms(value.terms, [prediction])
    error = prediction.detach() - target
    assert norms["mse"] == pytest.approx(2 * error.norm().item() / error.numel(), rel=1e-5)


def test_the_shares_are_the_norms_times_the_weights() -> None:
    terms, shared = known_terms({"mse": 8.0, "glcm": 2.0, "ssim": 4.0})
    value = ObjectiveValue(weighted_sum(terms, WEIGHTS), terms)
    shares = gradient_shares(value, {"mse": 1.0, "glcm": 2.0, "ssim": 5.0}, [shared])
    assert shares == {"mse": 0.25, "glcm": 0.125, "ssim": 0.625}


def test_the_weighted_sum_by_hand() -> None:
    terms = {"mse": torch.tensor(3.0), "glcm": torch.tensor(5.0)}
    total = weighted_sum(terms, {"glcm": 0.5, "mse": 2.0, "ssim": math.nan})
    assert total.shape == ()
    assert total.item() == 8.5
    with pytest.raises(KeyError, match="glcm"):
        weighted_sum(terms, {"mse": 1.0})


def test_the_objective_is_the_weighted_sum_of_its_terms() -> None:
    images = torch.rand(2, 1, 12, 24, generator=torch.Generator().manual_seed(1))
    value = Objective(patch_size=12)(images, images.flip(3), torch.ones(2, 2) > 0, WEIGHTS)
    assert value.total.item() == weighted_sum(value.terms, WEIGHTS).item()


def test_the_balanced_weights_by_hand() -> None:
    # The weighted norms are 1, 6 and 1; their sum, 8, is given out by halves and quarters.
    weights = {"mse": 2.0, "glcm": 1.0, "ssim": 1.0}
    norms = {"mse": 0.5, "glcm": 6.0, "ssim": 1.0}
    assert balanced_by(norms, weights) == {"mse": 8.0, "glcm": 2.0 / 6.0, "ssim": 2.0}


@pytest.mark.parametrize("scale", [1.0, 7.0], ids=["shares", "any_scale"])
def test_measured_shares_become_the_weights(scale: float) -> None:
    terms, shared = known_terms({"mse": 0.01, "glcm": 3.0, "ssim": 0.7})
    given_weights = {name: scale * weight for name, weight in WEIGHTS.items()}
    used = balanced_by(gradient_norms(terms, [shared]), given_weights)
    value = ObjectiveValue(weighted_sum(terms, used), terms)
    assert gradient_shares(value, used, [shared]) == pytest.approx(WEIGHTS, rel=1e-12)
    before = gradient_shares(value, given_weights, [shared])
    assert before["mse"] < 0.01 < before["glcm"]


@pytest.mark.parametrize("name", TERMS)
def test_the_unit_of_a_term_does_not_turn_the_gradient(name: str) -> None:
    norms = {"mse": 0.4, "glcm": 3.0, "ssim": 0.7}
    directions = []
    for scale in (1.0, 1000.0):
        terms, shared = known_terms(norms, UNITS | {name: scale})
        used = balanced_by(gradient_norms(terms, [shared]), WEIGHTS)
        gradient = total_gradient(terms, used, shared)
        directions.append(gradient / gradient.norm())
        fixed = total_gradient(terms, WEIGHTS, shared)
        # The axes are at right angles, so the sum of norms is the sum of entries.
        assert gradient.sum().item() == pytest.approx(fixed.sum().item(), rel=1e-12)
    assert directions[1].tolist() == pytest.approx(directions[0].tolist(), rel=1e-12)


def test_equal_norms_change_no_weight() -> None:
    weights = {"mse": 0.25, "glcm": 0.5, "ssim": 0.25}
    assert balanced_by(dict.fromkeys(weights, 3.0), weights) == weights


def test_one_term_alone_keeps_its_weight() -> None:
    assert balanced_by({"mse": 1e-9}, {"mse": 0.3}) == {"mse": 0.3}
    balance = GradientBalance()
    balance.update({"mse": 4.0, "glcm": 1e6})
    # The norm of a term without a weight has no say.
    assert balance.weights({"mse": 0.3, "glcm": 0.0}) == {"mse": 0.3, "glcm": 0.0}


def test_the_first_norm_is_taken_as_it_is_and_later_ones_smoothed() -> None:
    balance = GradientBalance(momentum=0.75)
    balance.update({"mse": 16.0})
    assert balance.norms == {"mse": 16.0}
    balance.update({"mse": 1.0, "glcm": 5.0})
    assert balance.norms == {"mse": pytest.approx(8.0, rel=1e-15), "glcm": 5.0}
    balance.update({"glcm": 5.0 * 16})
    assert balance.norms == {
        "mse": pytest.approx(8.0, rel=1e-15),
        "glcm": pytest.approx(10.0, rel=1e-15),
    }


def test_smoothing_follows_its_law() -> None:
    generator = torch.Generator().manual_seed(0)
    measured = (torch.randn(40, generator=generator, dtype=torch.float64) * 3).exp().tolist()
    balance = GradientBalance(momentum=0.9)
    for norm in measured:
        balance.update({"mse": norm})
    shares = [0.9**39, *(0.1 * 0.9 ** (39 - step) for step in range(1, 40))]
    expected = sum(s * math.log(n) for s, n in zip(shares, measured, strict=True))
    assert math.log(balance.norms["mse"]) == pytest.approx(expected, rel=1e-12)


def test_without_momentum_the_last_norm_counts() -> None:
    balance = GradientBalance(momentum=0.0)
    for norm in (3.0, 1e-200, 7.0):
        balance.update({"mse": norm})
    assert balance.norms == {"mse": 7.0}


@pytest.mark.parametrize("norm", [2.0, 1e-300, 1.7e308, 0.1])
def test_a_steady_norm_does_not_drift(norm: float) -> None:
    balance = GradientBalance()
    for _ in range(1000):
        balance.update({"mse": norm})
    assert balance.norms == {"mse": norm}


@pytest.mark.parametrize("norm", NOTHING)
def test_a_norm_that_says_nothing_keeps_the_last_good(norm: float) -> None:
    balance = GradientBalance()
    balance.update({"mse": 2.0, "glcm": 3.0})
    before = balance.weights(WEIGHTS)
    balance.update({"mse": norm, "glcm": norm})
    assert balance.norms == {"mse": 2.0, "glcm": 3.0}
    assert balance.weights(WEIGHTS) == before
    balance.update({"mse": norm, "glcm": 6.0})
    assert balance.norms["mse"] == 2.0
    assert balance.norms["glcm"] > 3.0


@pytest.mark.parametrize("norm", NOTHING)
def test_a_term_never_measured_keeps_its_weight(norm: float) -> None:
    balance = GradientBalance()
    balance.update({"mse": norm})
    assert balance.weights(WEIGHTS) == WEIGHTS
    balance.update({"glcm": 4.0, "ssim": 1.0})
    weights = balance.weights(WEIGHTS)
    assert balance.needs(WEIGHTS)
    assert list(weights) == list(WEIGHTS)
    assert weights["mse"] == WEIGHTS["mse"]
    # The other two share 0.3 * 4 + 0.2 * 1 = 1.4 between them, three to two.
    assert weights["glcm"] * 4 == pytest.approx(1.4 * 0.6, rel=1e-12)
    assert weights["ssim"] * 1 == pytest.approx(1.4 * 0.4, rel=1e-12)


def test_a_perfect_prediction_leaves_the_weights() -> None:
    target = torch.rand(1, 1, 12, 24, generator=torch.Generator().manual_seed(0))
    prediction = target.clone().requires_grad_()
    weights = {"mse": 0.4}
    value = Objective(patch_size=12)(prediction, target, torch.tensor([[True, False]]), weights)
    norms = gradient_norms(value.terms, [prediction])
    assert norms == {"mse": 0.0}
    assert balanced_by(norms, weights) == weights


def test_a_term_of_a_later_phase_is_asked_for_at_once() -> None:
    balance = GradientBalance()
    first, second = {"mse": 1.0, "glcm": 0.0}, {"mse": 1.0, "glcm": 1.0}
    assert balance.needs(first)
    balance.update({"mse": 2.0})
    assert not balance.needs(first)
    assert balance.needs(second)
    balance.update({"mse": 2.0, "glcm": 200.0})
    assert balance.norms == {"mse": 2.0, "glcm": 200.0}
    assert not balance.needs(second)
    weights = balance.weights(second)
    assert weights["mse"] * 2 == pytest.approx(weights["glcm"] * 200, rel=1e-12)
    assert balance.weights(first) == first


def test_no_weight_needs_no_norm() -> None:
    assert not GradientBalance().needs({})
    assert not GradientBalance().needs({"mse": 0.0})
    assert GradientBalance().weights({}) == {}
    assert balanced_by({"mse": 2.0}, {"mse": 0.0}) == {"mse": 0.0}


@pytest.mark.parametrize("limit", [1.0, 10.0, 1000.0])
def test_a_vanishing_term_is_not_blown_up_beyond_the_limit(limit: float) -> None:
    balance = GradientBalance(limit=limit)
    balance.update({"mse": 1.0, "glcm": 1e-30})
    assert balance.weights({"mse": 1.0, "glcm": 0.5})["glcm"] == 0.5 * limit


def test_a_bystander_is_not_silenced_beyond_the_limit() -> None:
    balance = GradientBalance(limit=10.0)
    balance.update({"mse": 1.0, "glcm": 1e30})
    weights = balance.weights({"mse": 1.0, "glcm": 1e-30})
    assert weights == pytest.approx({"mse": 2.0, "glcm": 1e-31}, rel=1e-12, abs=0.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"momentum": 1.0}, "momentum must be from 0 to below 1, got 1.0"),
        ({"momentum": -0.1}, "momentum must be from 0 to below 1, got -0.1"),
        ({"momentum": math.nan}, "momentum must be from 0 to below 1, got nan"),
        ({"limit": 0.5}, "limit must be at least 1, got 0.5"),
        ({"limit": math.nan}, "limit must be at least 1, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        GradientBalance(**arguments)


NORMS = st.floats(min_value=1e-290, max_value=1e290)


@given(measured=st.lists(st.dictionaries(st.sampled_from(TERMS), NORMS), max_size=6))
@settings(max_examples=100)
def test_a_round_trip_by_json_changes_no_bit(measured: list[dict[str, float]]) -> None:
    whole, resumed = GradientBalance(), GradientBalance()
    for norms in measured:
        whole.update(norms)
        resumed.update(norms)
        state = json.loads(json.dumps(resumed.state(), allow_nan=False))
        resumed = GradientBalance()
        resumed.load(state)
    bits = {name: norm.hex() for name, norm in whole.norms.items()}
    assert {name: norm.hex() for name, norm in resumed.norms.items()} == bits
    assert resumed.weights(WEIGHTS) == whole.weights(WEIGHTS)
    assert resumed.needs(WEIGHTS) == whole.needs(WEIGHTS)


def test_the_state_is_a_copy_both_ways() -> None:
    balance = GradientBalance()
    balance.update({"mse": 2.0})
    state = balance.state()
    state["mse"] = 9.0
    assert balance.norms == {"mse": 2.0}
    balance.load(state)
    state["mse"] = 1.0
    assert balance.norms == {"mse": 9.0}
    balance.load({})
    assert balance.needs({"mse": 1.0})


@pytest.mark.parametrize("norm", NOTHING)
def test_a_state_that_no_update_leaves_is_refused(norm: float) -> None:
    balance = GradientBalance()
    balance.update({"mse": 2.0})
    with pytest.raises(ValueError, match=r"^norm of glcm must be finite and above 0, got "):
        balance.load({"mse": 1.0, "glcm": norm})
    assert balance.norms == {"mse": 2.0}


@st.composite
def weighted_norms(draw: st.DrawFn) -> tuple[dict[str, float], dict[str, float]]:
    """Norms and weights of some terms, within what no limit of a million touches."""
    names = draw(st.lists(st.sampled_from(TERMS), min_size=1, unique=True))
    scale = draw(st.floats(1e-100, 1e100))
    norms = {name: scale * draw(st.floats(1e-2, 1e3)) for name in names}
    return norms, {name: draw(st.floats(1e-2, 1e2)) for name in names}


def close(number: float) -> object:
    return pytest.approx(number, rel=1e-12, abs=0.0)


@given(case=weighted_norms())
@settings(max_examples=200)
def test_norms_are_given_out_by_weight_and_none_is_lost(
    case: tuple[dict[str, float], dict[str, float]],
) -> None:
    norms, weights = case
    balance = GradientBalance(limit=1e6)
    balance.update(norms)
    used = balance.weights(weights)
    total = sum(weights[name] * norms[name] for name in norms)
    assert sum(used[name] * norms[name] for name in norms) == close(total)
    for name in norms:
        share = weights[name] / sum(weights.values())
        assert used[name] * norms[name] == close(share * total)


@given(case=weighted_norms(), factor=st.floats(1e-3, 1e3))
@settings(max_examples=100)
def test_a_common_unit_changes_no_weight(
    case: tuple[dict[str, float], dict[str, float]], factor: float
) -> None:
    norms, weights = case
    scaled = {name: factor * norm for name, norm in norms.items()}
    assert balanced_by(scaled, weights) == pytest.approx(balanced_by(norms, weights), rel=1e-12)


@given(norms=st.dictionaries(st.sampled_from(TERMS), NORMS), limit=st.floats(1.0, 1e6))
@settings(max_examples=200)
def test_no_weight_leaves_the_limit(norms: dict[str, float], limit: float) -> None:
    balance = GradientBalance(limit=limit)
    balance.update(norms)
    for name, used in balance.weights(WEIGHTS).items():
        assert (
            WEIGHTS[name] / limit * (1 - 1e-12) <= used <= WEIGHTS[name] * limit * (1 + 1e-12)
        )


def test_no_gradient_passes_through_the_weights() -> None:
    shared = torch.tensor([0.3, -0.7], dtype=torch.float64, requires_grad=True)

    def balanced(at: torch.Tensor) -> torch.Tensor:
        terms = {"mse": at.square().sum(), "glcm": at[0].exp() * at[1]}
        return weighted_sum(terms, used)

    terms = {"mse": shared.square().sum(), "glcm": shared[0].exp() * shared[1]}
    used = balanced_by(gradient_norms(terms, [shared]), {"mse": 1.0, "glcm": 1.0})
    assert used["mse"] != 1.0
    assert all(type(weight) is float for weight in used.values())
    assert torch.autograd.gradcheck(balanced, shared)


def test_a_training_run_keeps_the_shares() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(8, 1, 12, 24, generator=generator)
    codes = torch.randn(8, 6, generator=generator)
    head = torch.zeros(12 * 24, 6, requires_grad=True)
    optimizer = torch.optim.Adam([head], lr=0.02)
    judge, mask = Objective(patch_size=12, levels=8), torch.ones(8, 2, dtype=torch.bool)
    balance, samples, fixed = GradientBalance(momentum=0.5), [], []
    for _ in range(40):
        prediction = torch.sigmoid(codes @ head.T).view_as(target)
        terms = judge(prediction, target, mask, WEIGHTS).terms
        balance.update(gradient_norms(terms, [head]))
        used = balance.weights(WEIGHTS)
        value = ObjectiveValue(weighted_sum(terms, used), terms)
        samples.append(gradient_shares(value, used, [head]))
        fixed.append(gradient_shares(value, WEIGHTS, [head]))
        optimizer.zero_grad()
        value.total.backward()
        optimizer.step()
    assert samples[0] == pytest.approx(WEIGHTS, rel=1e-6)
    for name, weight in WEIGHTS.items():
        assert sum(s[name] for s in samples) / 40 == pytest.approx(weight, abs=0.03)
    assert max(abs(sum(s[n] for s in fixed) / 40 - w) for n, w in WEIGHTS.items()) > 0.15
