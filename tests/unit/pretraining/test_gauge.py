"""Texture fidelity in between, and the weights that it chooses."""

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from glcm_mae.fidelity import mean_haralick_error
from glcm_mae.pretraining.fidelity import BestWeights, Gauge, rank_of

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16), dtype=np.uint8)


class Said(NamedTuple):
    prediction: Tensor


class Model(nn.Module):
    """Predicts one gray value where it may not see, and black where it may."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))
        self.encoder = nn.Module()
        self.encoder.grid = (4, 4)
        self.asked: list[Tensor] = []

    def forward(self, images: Tensor, mask: Tensor) -> Said:
        self.asked.append(mask.clone())
        hidden = mask.view(-1, 1, 4, 4).repeat_interleave(4, 2).repeat_interleave(4, 3)
        return Said(torch.where(hidden, self.value, torch.tensor(0.0)).expand_as(images))


def gauge(rows: list[int], **changes: Any) -> Gauge:
    facts: dict[str, Any] = {
        "pixels": PIXELS,
        "rows": np.array(rows),
        "part": "fidelity",
        "mask_ratio": 0.75,
        "patch_size": 4,
        "seed": 0,
        "device": torch.device("cpu"),
        "precision": "float32",
    }
    return Gauge(**(facts | changes))


def test_every_pixel_is_predicted_while_it_is_hidden() -> None:
    rows = list(range(3, 23))
    found = gauge(rows).measure(Model(0.5))
    images = torch.from_numpy(PIXELS[rows]).float() / 255
    gray = torch.full_like(images, 0.5)
    errors = ((images - 0.5) ** 2).mean(dim=(1, 2, 3))
    assert found["fidelity/psnr"] == pytest.approx(float((-10 * errors.log10()).mean()))
    error = float(mean_haralick_error(gray, images).mean())
    assert found["fidelity/haralick_error"] == pytest.approx(error)


def test_masks_are_those_of_the_image_and_the_seed() -> None:
    one, again, part, other = (Model(0.2) for _ in range(4))
    gauge([1, 2, 3]).measure(one)
    gauge([1, 2, 3]).measure(again)
    gauge([2]).measure(part)
    gauge([1, 2, 3], seed=1).measure(other)
    assert all(torch.equal(a, b) for a, b in zip(one.asked, again.asked, strict=True))
    assert all(torch.equal(a[1:2], b) for a, b in zip(one.asked, part.asked, strict=True))
    assert not torch.equal(one.asked[0], other.asked[0])
    assert all(bool((mask.sum(dim=1) == 12).all()) for mask in one.asked)


def test_what_is_no_number_gives_none() -> None:
    found = gauge([0, 1]).measure(Model(math.nan))
    assert all(math.isnan(value) for value in found.values())


def test_the_least_error_is_kept_and_nan_is_worse_than_any() -> None:
    model = Model(0.0)
    best = BestWeights.of(model)
    for epoch, error in enumerate([math.nan, 0.5, 0.3, math.nan, 0.3, 0.4]):
        with torch.no_grad():
            model.value.fill_(float(epoch))
        best.offer(epoch, error, model)
    assert best.choice.epoch == 2
    assert best.tensors["value"].item() == 2.0


def test_a_restored_choice_goes_on() -> None:
    model = Model(7.0)
    best = BestWeights.of(model)
    best.offer(4, 0.25, model)
    tensors = {f"best/{name}": value for name, value in best.tensors.items()}
    other = BestWeights.of(Model(0.0))
    other.restore(best.choice.facts, tensors)
    other.offer(5, 0.26, Model(1.0))
    assert (other.choice.epoch, other.tensors["value"].item()) == (4, 7.0)
    other.offer(6, 0.24, Model(1.0))
    assert (other.choice.epoch, other.tensors["value"].item()) == (6, 1.0)


def test_an_epoch_that_was_not_measured_ranks_last() -> None:
    assert rank_of(None) < rank_of(1e9) < rank_of(0.1) < rank_of(0.0)
