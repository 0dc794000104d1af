"""Every recipe is valid for every stage that reads it, and the paper's values stand in its."""

from pathlib import Path

import pytest

from glcm_mae.config import CrossValConfig, PretrainConfig
from glcm_mae.settings import build

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SECTIONS = tuple(CrossValConfig.model_fields)


def test_all_recipes_are_there() -> None:
    assert {p.relative_to(RECIPES).as_posix() for p in RECIPES.rglob("*.yaml")} == {
        *(f"laptop/{name}.yaml" for name in ("busi", "kermany", "sarscov2")),
        *(f"paper/{name}.yaml" for name in ("busi", "gbcu", "kermany", "sarscov2")),
    }


@pytest.mark.parametrize("path", sorted(RECIPES.rglob("*.yaml")), ids=lambda p: p.stem)
def test_a_recipe_serves_every_stage_and_says_where_it_is_from(path: Path) -> None:
    crossval = build(CrossValConfig, files=[path], flags={"out": "runs/x"})
    pretrain = build(
        PretrainConfig, files=[path], flags={"out": "runs/x"}, other_sections=SECTIONS
    )
    assert pretrain.losses == crossval.losses
    assert crossval.data.positive
    header = path.read_text().split("\ndata:\n")[0]
    for word in ("Source:", "Cost", "Use:"):
        assert word in header


@pytest.mark.parametrize(
    "path", sorted((RECIPES / "paper").glob("*.yaml")), ids=lambda p: p.stem
)
def test_paper_values(path: Path) -> None:
    config = build(CrossValConfig, files=[path], flags={"out": "runs/x"})
    assert config.model.encoder == "vit_base_patch16_224"
    assert config.model.image_size == (224, 224)
    assert config.model.mask_ratio == 0.75
    assert (config.model.decoder_depth, config.model.decoder_width) == (8, 512)
    assert config.losses.glcm.levels == 256
    assert config.losses.glcm.bandwidth == pytest.approx(1 / 30, abs=1e-4)
    assert config.losses.glcm.offsets == ((0, 1), (1, 0))
    first, second = config.losses.phases
    assert (first.mse, first.glcm, first.ssim) == (1.0, 0.0, 0.0)
    assert (second.mse, second.glcm, second.ssim) == (0.1, 1.0, 1.0)
    assert config.pretraining.epochs * first.share == 200
    assert config.pretraining.epochs * second.share == 200
    assert (config.pretraining.batch_size, config.pretraining.learning_rate) == (8, 1e-6)
    tuning = config.finetuning
    assert (tuning.epochs, tuning.batch_size, tuning.weight_decay) == (100, 128, 0.05)
    assert (tuning.learning_rate, tuning.min_learning_rate) == (1e-3, 1e-6)


def test_the_default_is_two_equal_phases() -> None:
    phases = PretrainConfig(data={"table": "x"}, out="y").losses.phases
    assert [phase.share for phase in phases] == [0.5, 0.5]
    assert (phases[0].mse > 0, phases[0].glcm, phases[0].ssim) == (True, 0.0, 0.0)
    assert min(phases[1].mse, phases[1].glcm, phases[1].ssim) > 0
