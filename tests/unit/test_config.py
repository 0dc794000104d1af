"""Settings survive a round trip, and say what is wrong with them."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from glcm_mae.config import (
    CrossValConfig,
    FinetuneConfig,
    GLCMConfig,
    LossesConfig,
    ModelConfig,
    PhantomsConfig,
    PhaseConfig,
    PretrainConfig,
    PretrainingConfig,
    Settings,
)
from glcm_mae.config.losses import check_losses_fit_patch
from glcm_mae.runs import dump_config

NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
SHARES = st.floats(0, 1)
RATES = st.floats(1e-12, 1e3)


@st.composite
def models(draw: st.DrawFn) -> dict[str, Any]:
    patch, heads = draw(st.integers(11, 32)), draw(st.integers(1, 8))
    return {
        "encoder": draw(NAMES),
        "encoder_options": draw(st.dictionaries(NAMES, st.integers(), max_size=3)),
        "image_size": [patch * draw(st.integers(1, 9)), patch * draw(st.integers(1, 9))],
        "patch_size": patch,
        "channels": draw(st.sampled_from([1, 3])),
        "mask_ratio": draw(st.floats(0, 1, exclude_min=True, exclude_max=True)),
        "decoder_heads": heads,
        "decoder_width": 4 * heads * draw(st.integers(1, 8)),
    }


@st.composite
def losses(draw: st.DrawFn) -> dict[str, Any]:
    weights = st.fixed_dictionaries({"mse": RATES, "glcm": SHARES, "ssim": SHARES})
    first, second, share = draw(weights), draw(weights), draw(st.floats(0.01, 0.99))
    steps = st.lists(st.integers(-10, 10), min_size=2, max_size=2).filter(any)
    return {
        "mse": {"normalised": draw(st.booleans())},
        "glcm": {
            "levels": draw(st.integers(2, 256)),
            "bandwidth": draw(st.floats(1e-6, 4)),
            "offsets": draw(st.lists(steps, min_size=1, max_size=4)),
            "symmetric": draw(st.booleans()),
        },
        "ssim": {"window": draw(st.sampled_from([3, 5, 7, 9, 11])), "sigma": draw(RATES)},
        "phases": [{"share": share, **first}, {"share": 1 - share, **second}],
    }


@st.composite
def optimizations(draw: st.DrawFn) -> dict[str, Any]:
    low, high = sorted(draw(st.tuples(RATES, RATES)))
    return {
        "epochs": draw(st.integers(1, 10**6)),
        "learning_rate": high,
        "min_learning_rate": low,
        "betas": draw(st.lists(st.floats(0, 0.9999), min_size=2, max_size=2)),
        "augmentation": {"flip_horizontal": draw(SHARES), "rotation": draw(st.floats(0, 180))},
    }


@given(
    model=models(),
    losses=losses(),
    pretraining=optimizations(),
    finetuning=optimizations(),
    names=st.tuples(NAMES, NAMES, NAMES),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=60)
def test_settings_survive_a_round_trip(
    model: dict[str, Any],
    losses: dict[str, Any],
    pretraining: dict[str, Any],
    finetuning: dict[str, Any],
    names: tuple[str, str, str],
    seed: int,
) -> None:
    table, out, positive = names
    config = CrossValConfig(
        data={"table": table, "positive": positive},
        out=out,
        seed=seed,
        model=model,
        losses=losses,
        pretraining=pretraining,
        finetuning=finetuning,
    )
    text = dump_config(config)
    back = CrossValConfig(**yaml.safe_load(text))
    assert back == config
    assert dump_config(back) == text


@pytest.mark.parametrize(
    ("name", "patch"),
    [("vit_huge_patch14_224", 14), ("vit_small_patch32_224", 32), ("vit_x", 16)],
)
def test_the_patch_size_is_read_from_the_encoders_name(name: str, patch: int) -> None:
    assert ModelConfig(encoder=name).patch_size == patch
    assert ModelConfig(encoder=name, patch_size=8).patch_size == 8


@pytest.mark.parametrize("given_", [64, "64", (64, 64), [64, 64]])
def test_one_number_is_a_square(given_: object) -> None:
    assert ModelConfig(image_size=given_).image_size == (64, 64)


def refusal(kind: type[Settings], **values: Any) -> str:
    with pytest.raises(ValidationError) as caught:
        kind(**values)
    (fault,) = caught.value.errors()
    return str(fault["msg"]).removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        (
            ModelConfig,
            {"image_size": (100, 224)},
            "model.image_size 100 x 224 is no multiple of model.patch_size 16: choose for "
            "instance 96 x 224",
        ),
        (
            ModelConfig,
            {"image_size": 4},
            "model.image_size 4 x 4 is no multiple of model.patch_size 16: choose for "
            "instance 16 x 16",
        ),
        (
            ModelConfig,
            {"decoder_width": 100, "decoder_heads": 3},
            "model.decoder_width 100 must be a multiple of 4 and of model.decoder_heads 3",
        ),
        (
            ModelConfig,
            {"decoder_width": 6, "decoder_heads": 3},
            "model.decoder_width 6 must be a multiple of 4 and of model.decoder_heads 3",
        ),
        (
            PhaseConfig,
            {"share": 1.0},
            "a phase needs at least one weight above 0 (mse, glcm or ssim)",
        ),
        (
            LossesConfig,
            {"phases": [{"share": 0.5, "mse": 1}, {"share": 0.6, "mse": 1}]},
            "the shares of losses.phases must sum to 1, got 1.1",
        ),
        (
            PretrainingConfig,
            {"learning_rate": 1e-4, "min_learning_rate": 1e-3},
            "min_learning_rate 0.001 is above the peak learning rate 0.0001",
        ),
        (
            PretrainConfig,
            {"data": {"table": "t"}, "out": "o", "model": {"patch_size": 8}},
            "losses.ssim.window 11 is larger than model.patch_size 8: pass "
            "--losses.ssim.window 7",
        ),
        (
            PretrainConfig,
            {"data": {"table": "t"}, "out": "o", "losses": {"glcm": {"offsets": [[0, -16]]}}},
            "losses.glcm.offsets (0, -16) must be shorter than model.patch_size 16 and not "
            "(0, 0)",
        ),
        (
            PretrainConfig,
            {"data": {"table": "t"}, "out": "o", "losses": {"glcm": {"offsets": [[0, 0]]}}},
            "losses.glcm.offsets (0, 0) must be shorter than model.patch_size 16 and not "
            "(0, 0)",
        ),
        (
            FinetuneConfig,
            {"data": {"table": "t"}, "out": "o"},
            "start: weights needs --weights RUN_FOLDER (or pass --start scratch to begin with "
            "random weights)",
        ),
        (
            FinetuneConfig,
            {"data": {"table": "t"}, "out": "o", "start": "scratch", "weights": "w"},
            "weights are given but start is 'scratch': pass --start weights too",
        ),
        (
            CrossValConfig,
            {"data": {"table": "t"}, "out": "o", "weights": "w"},
            "weights are given but start is 'pretraining': pass --start weights too",
        ),
    ],
)
def test_rules_between_settings_tell_what_to_do(
    kind: type[Settings], values: dict[str, Any], text: str
) -> None:
    assert refusal(kind, **values) == text


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ModelConfig, {"mask_ratio": 0.0}),
        (ModelConfig, {"mask_ratio": 1.0}),
        (ModelConfig, {"channels": 2}),
        (GLCMConfig, {"levels": 1}),
        (GLCMConfig, {"levels": 257}),
        (GLCMConfig, {"bandwidth": 0.0}),
        (GLCMConfig, {"offsets": []}),
        (PhaseConfig, {"mse": -1.0}),
        (PhaseConfig, {"mse": float("nan")}),
        (PretrainingConfig, {"learning_rate": float("inf")}),
        (PretrainingConfig, {"betas": (0.9, 1.0)}),
        (PretrainingConfig, {"epochs": 0}),
        (PhantomsConfig, {"out": "a", "size": 31}),
        (PhantomsConfig, {"out": "a", "shape": "square"}),
    ],
)
def test_values_out_of_range_are_refused(kind: type[Settings], values: dict[str, Any]) -> None:
    assert refusal(kind, **values)


def test_a_window_larger_than_the_patch_matters_only_where_ssim_is_used() -> None:
    small = ModelConfig(patch_size=8)
    check_losses_fit_patch(LossesConfig(phases=[{"mse": 1.0}]), small)
    with pytest.raises(ValueError, match=r"losses\.ssim\.window 11"):
        check_losses_fit_patch(LossesConfig(phases=[{"ssim": 1.0}]), small)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ModelConfig().channels = 3


def test_a_fold_has_the_settings_of_the_cross_validation() -> None:
    config = CrossValConfig(
        data={"table": "t", "positive": "ill"},
        out="o",
        seed=3,
        model={"mask_ratio": 0.6},
        pretraining={"epochs": 7},
        finetuning={"epochs": 8},
        losses={"phases": [{"mse": 1.0}]},
    )
    first = config.pretrain_config(Path("o/fold_0/pretraining"))
    second = config.finetune_config(Path("o/fold_0"), Path("o/fold_0/pretraining"))
    for part in (first, second):
        assert (part.data, part.model, part.seed) == (config.data, config.model, 3)
    assert (first.pretraining, first.losses) == (config.pretraining, config.losses)
    assert first.out == Path("o/fold_0/pretraining")
    assert (second.finetuning, second.folds) == (config.finetuning, config.folds)
    assert (second.start, second.weights) == ("weights", Path("o/fold_0/pretraining"))
    assert config.finetune_config(Path("o"), None).start == "scratch"
