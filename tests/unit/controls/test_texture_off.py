"""A run without the texture loss differs from one with it in nothing else, or that is said."""

from types import SimpleNamespace
from typing import Any

from glcm_mae.config import CrossValConfig
from glcm_mae.controls.texture_off import _notes


def config(**settings: Any) -> CrossValConfig:
    return CrossValConfig(data={"table": "t"}, out="o", **settings)


PIXELS = {"losses": {"phases": [{"share": 1.0, "mse": 1.0}]}}


def notes(one: CrossValConfig, other: CrossValConfig) -> list[str]:
    subject: Any = SimpleNamespace(config=one, models=range(9))
    return _notes(subject, other)


def test_the_losses_may_differ() -> None:
    assert notes(config(), config(**PIXELS)) == []


def test_weights_that_only_one_began_with_are_told() -> None:
    begun = {"pretraining": {"weights": "timm:vit_tiny_patch16_224"}}
    (note,) = notes(config(**begun), config(**PIXELS))
    assert note.startswith("NOT ALIKE")
    assert note.endswith("pretraining.weights")
    assert notes(config(**begun), config(**begun, **PIXELS)) == []
    assert (
        "pretraining.epochs" in notes(config(), config(pretraining={"epochs": 3}, **PIXELS))[0]
    )
