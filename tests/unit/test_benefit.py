"""The panel of pre-training: which arms there are, which pairs, and what the verdict says."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from glcm_mae.benefit import Contrast, verdict
from glcm_mae.benefit.contrasts import pairs_of
from glcm_mae.benefit.panel import config_of, list_arms
from glcm_mae.config import BenefitConfig


def config(**changes: object) -> BenefitConfig:
    values = {"data": {"table": "images"}, "out": "panel", **changes}
    return BenefitConfig(**values)  # type: ignore[arg-type]


def contrast(first: str, second: str, share: float, gain: float, p: float) -> Contrast:
    return Contrast(first, second, share, gain, gain - 0.01, gain + 0.01, "t", p, p)


def test_encoders_are_trained_once_and_on_all_labels_first() -> None:
    settings = config(label_shares=(0.1, 1.0), given={"dino": "timm:vit_small"})
    arms = list_arms(settings)
    assert len(arms) == len({arm.folder for arm in arms}) == 4 * 2 * 2
    stages = [config_of(settings, arm) for arm in arms]
    trained = [
        arm.folder
        for arm, stage in zip(arms, stages, strict=True)
        if stage.start == "pretraining"
    ]
    assert trained == ["mae/finetune-100", "glcm-mae/finetune-100"]
    for arm, stage in zip(arms, stages, strict=True):
        assert stage.folds.label_share == arm.share
        assert stage.protocol == arm.protocol
        assert stage.baselines == "off"
        expected = {
            "scratch": None,
            "dino": Path("timm:vit_small"),
            "mae": Path("panel/mae/finetune-100"),
            "glcm-mae": Path("panel/glcm-mae/finetune-100"),
        }[arm.system]
        assert stage.weights == (None if stage.start == "pretraining" else expected)


def test_the_mae_has_no_texture_and_the_other_has() -> None:
    settings = config()
    phases = {arm.system: config_of(settings, arm).losses.phases for arm in list_arms(settings)}
    assert [phase.glcm for phase in phases["mae"]] == [0.0]
    assert phases["glcm-mae"] == settings.losses.phases


def test_pairs_follow_from_the_systems() -> None:
    assert pairs_of(config()) == [
        ("mae", "scratch"),
        ("glcm-mae", "scratch"),
        ("glcm-mae", "mae"),
    ]
    foreign = config(systems=("scratch",), given={"dino": "timm:vit_small"})
    assert pairs_of(foreign) == [("dino", "scratch")]
    assert pairs_of(config(systems=("glcm-mae", "mae"))) == [("mae", "glcm-mae")]
    several = config(systems=("glcm-mae",), given={"a": "a", "b": "b"})
    assert pairs_of(several) == [("a", "glcm-mae"), ("b", "glcm-mae")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"systems": ("mae",)}, "at least two systems"),
        ({"given": {"mae": "somewhere"}}, "twice"),
        ({"label_shares": (1.0, 0.1)}, "must rise"),
        ({"folds": {"label_share": 0.5}}, "label_shares"),
        ({"protocols": ("linear", "linear")}, "twice"),
        ({"losses": {"phases": [{"share": 1.0, "mse": 1.0}]}}, "no texture term"),
    ],
    ids=["one system", "name taken", "falling", "share set twice", "protocol twice", "no glcm"],
)
def test_settings_that_ask_nothing_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        config(**changes)


def test_the_verdict_names_where_it_helped() -> None:
    found = [
        contrast("glcm-mae", "scratch", 0.05, 0.06, 0.001),
        contrast("glcm-mae", "scratch", 0.25, -0.03, 0.02),
        contrast("glcm-mae", "scratch", 1.0, 0.01, 0.4),
        contrast("glcm-mae", "mae", 0.05, 0.06, 0.06),
        contrast("glcm-mae", "mae", 1.0, 0.06, float("nan")),
    ]
    assert verdict(found, "auroc") == (
        "By AUROC, glcm-mae is better than scratch at 5 % of the labels (+6.0 points), worse "
        "than scratch at 25 % (-3.0 points) and not distinguishable from it at 100 %; glcm-mae "
        "is not distinguishable from mae at any share of the labels."
    )


def test_a_verdict_on_one_share() -> None:
    found = [contrast("mae", "scratch", 1.0, 0.06, 0.2)]
    assert verdict(found, "accuracy") == "By accuracy, mae is not distinguishable from scratch."
