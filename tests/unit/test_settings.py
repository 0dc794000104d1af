"""Files and flags to settings, and errors that people can read."""

import argparse
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.config import (
    CrossValConfig,
    FinetuneConfig,
    PhantomsConfig,
    PretrainConfig,
    Settings,
    StageConfig,
)
from glcm_mae.errors import InputError
from glcm_mae.settings import Parser, add_flags, build, fields, read_yaml

NEEDED = {"data.table": "images", "out": "runs/a"}
STAGES = [PretrainConfig, FinetuneConfig, CrossValConfig, PhantomsConfig]


def yaml_file(folder: Path, text: str, name: str = "settings.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def pretraining(files: tuple[Path, ...] = (), **flags: str) -> PretrainConfig:
    dotted = {name.replace("__", "."): text for name, text in flags.items()}
    return build(PretrainConfig, files=files, flags={**NEEDED, **dotted})


def refusal(model: type[Settings], files: tuple[Path, ...] = (), **flags: str) -> str:
    dotted = {name.replace("__", "."): text for name, text in flags.items()}
    with pytest.raises(InputError) as caught:
        build(model, files=files, flags=dotted)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_later_files_win_key_by_key_and_flags_win_over_all(tmp_path: Path) -> None:
    first = yaml_file(tmp_path, "seed: 1\nmodel: {mask_ratio: 0.5, channels: 3}\n", "a.yaml")
    second = yaml_file(tmp_path, "seed: 2\nmodel: {mask_ratio: 0.6}\n", "b.yaml")
    config = pretraining((first, second), seed="3")
    assert (config.seed, config.model.mask_ratio, config.model.channels) == (3, 0.6, 3)
    assert pretraining((second, first)).model.mask_ratio == 0.5


def test_files_are_not_changed_by_flags(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "model: {encoder_options: {depth: 2}}\n")
    assert pretraining((path,), model__channels="3").model.encoder_options == {"depth": 2}
    assert pretraining((path,)).model.channels == 1


def test_a_number_without_a_point_is_a_number(tmp_path: Path) -> None:
    # YAML 1.1 reads 1e-6 as text.
    path = yaml_file(tmp_path, "pretraining: {learning_rate: 1e-6}\n")
    assert pretraining((path,)).pretraining.learning_rate == 1e-6
    assert pretraining(pretraining__learning_rate="1e-6").pretraining.learning_rate == 1e-6


def test_lists_and_mappings_as_flags() -> None:
    config = pretraining(
        losses__glcm__offsets="[[0, 1], [-2, 3]]",
        losses__phases="[{share: 0.25, mse: 1}, {share: 0.75, glcm: 2}]",
        model__image_size="[32, 48]",
        model__encoder_options="{depth: 2}",
        pretraining__betas="[0.8, 0.9]",
    )
    assert config.losses.glcm.offsets == ((0, 1), (-2, 3))
    assert [phase.glcm for phase in config.losses.phases] == [0, 2]
    assert config.model.image_size == (32, 48)
    assert config.model.encoder_options == {"depth": 2}
    assert config.pretraining.betas == (0.8, 0.9)


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False), ("0", False)])
def test_truth_values_as_flags(text: str, value: bool) -> None:
    assert pretraining(losses__mse__normalised=text).losses.mse.normalised is value


def test_none_is_nothing_only_where_nothing_is_allowed() -> None:
    config = build(
        FinetuneConfig,
        flags={**NEEDED, "start": "scratch", "weights": "none", "finetuning.balance": "none"},
    )
    assert config.weights is None
    assert config.finetuning.balance == "none"


def test_a_class_may_be_named_by_a_number() -> None:
    assert pretraining(data__positive="1").data.positive == "1"


def test_sections_of_other_stages_are_passed_over_in_files(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "seed: 5\nfinetuning: {epochs: 3}\nfolds: {count: 3}\n")
    config = build(
        PretrainConfig,
        files=[path],
        flags=NEEDED,
        other_sections=tuple(CrossValConfig.model_fields),
    )
    assert config.seed == 5
    text = refusal(PretrainConfig, (path,), **{"data.table": "images", "out": "a"})
    assert text.startswith("finetuning: no such setting")
    # A section that no stage has is wrong for all.
    path = yaml_file(tmp_path, "fintuning: {epochs: 3}\n")
    with pytest.raises(InputError, match="fintuning: no such setting"):
        build(
            PretrainConfig,
            files=[path],
            flags=NEEDED,
            other_sections=tuple(CrossValConfig.model_fields),
        )


def test_the_settings_that_go_with_weights_yield_to_files_and_flags(tmp_path: Path) -> None:
    path = yaml_file(tmp_path, "model: {mask_ratio: 0.5}\n")
    theirs = {"model": {"mask_ratio": 0.9, "channels": 3, "image_size": [32, 32]}}
    asked: list[Path] = []

    def inherit(weights: Path) -> dict[str, Any]:
        asked.append(weights)
        return theirs

    config = build(
        FinetuneConfig,
        files=[path],
        flags={**NEEDED, "weights": "runs/w", "model.image_size": "64"},
        inherit=inherit,
    )
    assert asked == [Path("runs/w")]
    assert config.model.mask_ratio == 0.5
    assert config.model.image_size == (64, 64)
    assert config.model.channels == 3
    assert theirs["model"]["mask_ratio"] == 0.9  # untouched


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (
            {"model.mask_ration": "0.5"},
            "model.mask_ration: no such setting; did you mean model.mask_ratio?",
        ),
        ({"zzzzzz": "1"}, "zzzzzz: no such setting"),
        ({"seed": "-1"}, "seed: input should be greater than or equal to 0, got '-1'"),
        (
            {"device": "tpu"},
            "device: input should be 'best', 'cpu' or 'cuda', got 'tpu'",
        ),
        (
            {"pretraining.betas": "[0.9]"},
            "pretraining.betas.1: is required; pass --pretraining.betas.1",
        ),
        (
            {"losses.ssim.window": "4"},
            "losses.ssim.window: the window must be odd, got 4",
        ),
        (
            {"model.image_size": "100"},
            "model.image_size 100 x 100 is no multiple of model.patch_size 16: choose for "
            "instance 96 x 96",
        ),
        (
            {"losses.phases": "[{share: 1}]"},
            "losses.phases.0: a phase needs at least one weight above 0 (mse, glcm or ssim)",
        ),
        (
            {"losses.phases": "[{share: 0.5, mse: 1}]"},
            "losses: the shares of losses.phases must sum to 1, got 0.5",
        ),
    ],
)
def test_errors_tell_key_rule_and_value(flags: dict[str, str], text: str) -> None:
    assert refusal(PretrainConfig, (), **NEEDED, **flags) == text


def test_all_faults_are_told_at_once() -> None:
    text = refusal(PretrainConfig, (), **{"seed": "x", "data.table": "images"})
    assert text == (
        "out: is required; pass --out; seed: input should be a valid integer, unable to "
        "parse string as an integer, got 'x'"
    )


def test_a_required_section_is_told() -> None:
    text = refusal(PretrainConfig, (), out="a")
    assert text == "data.table: is required; pass --data.table"


@pytest.mark.parametrize("text", ["[1, 2", "{a: b: c}"])
def test_a_flag_that_is_no_yaml_is_told(text: str) -> None:
    told = refusal(PretrainConfig, (), **NEEDED, model__image_size=text)
    assert told.startswith(f"{text!r} is not YAML: ")


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"a: [1", "is not YAML"),
        (b"a: \xff\xfe", "is not YAML"),
        (b"- 1\n- 2\n", "must hold settings as 'key: value', got list"),
        (b"", "must hold settings as 'key: value', got NoneType"),
        (b"a: !!python/object/apply:os.getcwd []", "is not YAML"),
    ],
)
def test_a_file_that_holds_no_settings_is_told(
    content: bytes, text: str, tmp_path: Path
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: {text}")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*check --config"):
        read_yaml(tmp_path / "none.yaml")


@pytest.mark.parametrize("model", STAGES)
def test_every_setting_has_a_flag_and_a_description(model: type[Settings]) -> None:
    parser = Parser(prog="glcm-mae stage")
    add_flags(parser, model)
    flags = {option for action in parser._actions for option in action.option_strings}
    for name, _, description in fields(model):
        assert f"--{name}" in flags
        assert description.endswith("."), name
    assert "%(" not in parser.format_help()


def test_the_help_tells_the_defaults() -> None:
    parser = Parser(prog="glcm-mae pretrain")
    add_flags(parser, PretrainConfig)
    helps = {action.dest: str(action.help) for action in parser._actions}
    assert helps["out"].endswith("(required)")
    assert helps["data.table"].endswith("(required)")
    assert helps["model.mask_ratio"].endswith("(default 0.75)")
    assert "224, 224" in helps["model.image_size"]
    assert helps["pretraining.epochs"].endswith("(default 400)")
    assert helps["pretraining.augmentation.shift"].endswith("(default 0.06)")
    assert helps["data.split"].endswith("(default none)")
    assert "glcm: 1" in helps["losses.phases"]


def test_only_flags_that_are_given_are_passed_on() -> None:
    parser = Parser(prog="glcm-mae pretrain")
    add_flags(parser, PretrainConfig)
    given = parser.parse_args(["--model.mask_ratio", "0.5"])
    assert given == argparse.Namespace(**{"model.mask_ratio": "0.5"})


def test_bad_arguments_are_input_errors() -> None:
    parser = Parser(prog="glcm-mae pretrain")
    with pytest.raises(
        InputError, match=r"unrecognized arguments.*see glcm-mae pretrain --help"
    ):
        parser.parse_args(["--nonsense"])


def test_a_stage_inherits_the_descriptions_of_its_base() -> None:
    base = {name: text for name, _, text in fields(StageConfig)}
    stage = {name: text for name, _, text in fields(CrossValConfig)}
    assert {name: stage[name] for name in base} == base
