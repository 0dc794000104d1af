"""The learning rate over the epochs, and AdamW with its moments saved and put back."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import AdamW

from glcm_mae.model import Classifier, build_encoder
from glcm_mae.optimization import (
    RunningStatistics,
    WeightAverage,
    allocate_moments,
    build_optimizer,
    learning_rate_at,
    set_learning_rate,
    training_state,
)


def schedule(**changes: float) -> list[float]:
    settings = {"epochs": 20, "peak": 1e-3, "floor": 1e-5, "warmup_epochs": 4} | changes
    moments = np.linspace(0, settings["epochs"], 201)
    return [learning_rate_at(moment, **settings) for moment in moments]


def test_the_warm_up_is_a_line() -> None:
    rates = schedule()[:41]  # 4 of 20 epochs
    assert rates == pytest.approx(np.linspace(0, 1e-3, 41))


def test_the_rest_is_half_a_cosine_to_the_floor() -> None:
    rates = np.array(schedule()[40:])
    expected = 1e-5 + (1e-3 - 1e-5) * np.cos(np.linspace(0, np.pi / 2, len(rates))) ** 2
    assert rates == pytest.approx(expected)
    assert rates[-1] == pytest.approx(1e-5)
    assert (np.diff(rates) <= 0).all()


def test_no_warm_up_starts_at_the_peak() -> None:
    assert schedule(warmup_epochs=0)[0] == 1e-3


def test_a_warm_up_longer_than_half_is_cut_to_half() -> None:
    assert schedule(warmup_epochs=50) == schedule(warmup_epochs=10)


def test_moments_past_the_end_keep_the_floor() -> None:
    settings = {"epochs": 2, "peak": 1.0, "floor": 0.1, "warmup_epochs": 1}
    assert learning_rate_at(2.5, **settings) == pytest.approx(0.1)


def built() -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 16),
        patch_size=8,
        channels=1,
        options={"depth": 2, "embed_dim": 24, "num_heads": 2},
    )
    return Classifier(encoder, classes=2)


def optimizer_of(model: nn.Module) -> torch.optim.AdamW:
    return build_optimizer(model, weight_decay=0.05, betas=(0.9, 0.95), layer_decay=0.5)


def step(model: nn.Module, optimizer: torch.optim.AdamW, seed: int) -> None:
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    set_learning_rate(optimizer, 1e-2)
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(images), torch.tensor([0, 1, 0, 1])).backward()
    optimizer.step()


def test_every_group_learns_at_its_own_rate() -> None:
    optimizer = optimizer_of(built())
    set_learning_rate(optimizer, 2.0)
    for group in optimizer.param_groups:
        assert group["lr"] == 2.0 * group["scale"]
        assert group["betas"] == (0.9, 0.95)
    assert {group["lr"] for group in optimizer.param_groups} == {0.25, 0.5, 1.0, 2.0}
    assert {group["weight_decay"] for group in optimizer.param_groups} == {0.0, 0.05}


def test_an_optimizer_put_back_continues_bit_for_bit() -> None:
    model = built()
    optimizer = optimizer_of(model)
    for seed in range(3):
        step(model, optimizer, seed)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = {name: value.clone() for name, value in training_state(model, optimizer).items()}
    step(model, optimizer, 3)

    other = built()
    restored = optimizer_of(other)
    load(other, restored, state)
    step(other, restored, 3)
    for name, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[name]), name

    # ... and without its moments it would not.
    forgetful = built()
    forgetful.load_state_dict(weights)
    step(forgetful, optimizer_of(forgetful), 3)
    assert not torch.equal(forgetful.head.weight, model.head.weight)


def load(model: Classifier, optimizer: AdamW, state: dict[str, torch.Tensor]) -> None:
    """Copy a state into tensors that are there, as a checkpoint is read."""
    allocate_moments(optimizer)
    held = training_state(model, optimizer)
    assert held.keys() == state.keys()
    with torch.no_grad():
        for name, value in held.items():
            value.copy_(state[name])


def test_zeros_are_what_a_first_step_begins_with() -> None:
    plain, prepared = built(), built()
    first, second = optimizer_of(plain), optimizer_of(prepared)
    allocate_moments(second)
    for seed in range(2):
        step(plain, first, seed)
        step(prepared, second, seed)
    for name, value in training_state(plain, first).items():
        assert torch.equal(value, training_state(prepared, second)[name]), name


def test_an_average_follows_its_formula() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = WeightAverage(model, 0.5)
    expected = 0.0
    for steps in range(1, 20):
        with torch.no_grad():
            model.weight.fill_(float(steps))
        average.update()
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * steps
        assert float(average.tensors()["ema/weight"]) == pytest.approx(expected, rel=1e-6)
    with average.in_place():
        assert float(model.weight.detach()) == pytest.approx(expected, rel=1e-6)
    assert float(model.weight.detach()) == 19.0
    assert float(average.tensors()["ema/weight"]) == pytest.approx(expected, rel=1e-6)


def test_without_a_decay_there_is_no_average() -> None:
    model = nn.Linear(1, 1)
    before = model.weight.detach().clone()
    average = WeightAverage(model, 0.0)
    average.update()
    assert average.tensors() == {}
    with average.in_place():
        assert torch.equal(model.weight, before)


def test_moments_are_named_after_their_parameters() -> None:
    model = built()
    optimizer = optimizer_of(model)
    weights = {f"model/{name}" for name in model.state_dict()}
    assert set(training_state(model, optimizer)) == weights
    step(model, optimizer, 0)
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    parts = ("step", "exp_avg", "exp_avg_sq")
    moments = {f"optimizer/{part}/{name}" for name in trainable for part in parts}
    assert set(training_state(model, optimizer)) == weights | moments


def with_batch_norm() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.LazyLinear(2))


def test_an_average_has_the_running_statistics_that_go_with_its_weights() -> None:
    model = with_batch_norm()
    model(torch.rand(4, 1, 6, 6))
    average = WeightAverage(model, 0.5)
    expected = model[1].running_var.clone()
    for steps in (1, 2, 3):
        model(torch.rand(4, 1, 6, 6) * steps)
        average.update()
        decay = min(0.5, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * model[1].running_var
    torch.testing.assert_close(average.tensors()["ema/1.running_var"], expected)
    raw = model[1].running_var.clone()
    with average.in_place():
        torch.testing.assert_close(model[1].running_var, expected)
    assert torch.equal(model[1].running_var, raw)


def test_a_step_that_is_skipped_leaves_no_trace_in_running_statistics() -> None:
    model = with_batch_norm()
    model(torch.rand(4, 1, 6, 6))
    before = {name: value.clone() for name, value in model[1].named_buffers()}
    statistics = RunningStatistics(model)
    statistics.keep()
    model(torch.full((4, 1, 6, 6), float("nan")))
    assert model[1].running_mean.isnan().all()
    statistics.put_back()
    for name in ("running_mean", "running_var"):
        assert torch.equal(getattr(model[1], name), before[name])
