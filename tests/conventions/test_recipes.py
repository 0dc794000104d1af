"""Every recipe is valid for every stage that reads it, and the paper's values stand in its."""

from pathlib import Path

import pytest
import torch

from glcm_mae.ablation import plan_design
from glcm_mae.config import AblateConfig, AnomalyConfig, CrossValConfig, PretrainConfig
from glcm_mae.config.stages import sections
from glcm_mae.model.baseline import build_baseline
from glcm_mae.settings import build

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
SECTIONS = tuple(CrossValConfig.model_fields)
BASELINES = {
    "deit_base": "deit_base_patch16_224",
    "densenet121": "densenet121",
    "efficientnet": "efficientnet_b0",
    "inception_v3": "inception_v3",
    "pvt_v2": "pvt_v2_b2",
    "resnet50": "resnet50",
    "vgg16": "vgg16",
    "vit_base": "vit_base_patch16_224",
}
ABLATIONS = ("loss_terms", "bandwidth", "mask_ratio", "encoder", "decoder_depth", "ssim_border")
CLASSIFYING = sorted(
    p
    for p in RECIPES.rglob("*.yaml")
    if not p.stem.endswith("_anomaly") and "ablations" not in p.parts
)


def test_all_recipes_are_there() -> None:
    assert {p.relative_to(RECIPES).as_posix() for p in RECIPES.rglob("*.yaml")} == {
        *(f"laptop/{name}.yaml" for name in ("busi", "kermany", "sarscov2")),
        "laptop/kermany_anomaly.yaml",
        *(f"paper/{name}.yaml" for name in ("busi", "gbcu", "kermany", "sarscov2")),
        *(f"baselines/{name}.yaml" for name in BASELINES),
        *(f"ablations/{name}.yaml" for name in ABLATIONS),
        *(f"ablations/laptop/{name}.yaml" for name in ABLATIONS),
    }


@pytest.mark.parametrize("path", CLASSIFYING, ids=lambda p: p.stem)
def test_a_recipe_serves_every_stage_and_says_where_it_is_from(path: Path) -> None:
    crossval = build(CrossValConfig, files=[path], flags={"out": "runs/x"})
    pretrain = build(
        PretrainConfig, files=[path], flags={"out": "runs/x"}, other_sections=SECTIONS
    )
    assert pretrain.losses == crossval.losses
    assert crossval.data.positive
    check_header(path)


def check_header(path: Path) -> None:
    header = path.read_text().split("\ndata:\n")[0]
    for word in ("Source:", "Cost", "Use:"):
        assert word in header


def test_the_recipe_of_anomalies_learns_from_normal_images() -> None:
    path = RECIPES / "laptop" / "kermany_anomaly.yaml"
    config = build(
        AnomalyConfig, files=[path], flags={"out": "runs/x"}, other_sections=SECTIONS
    )
    assert config.normal == "normal"
    assert config.data.positive == "pneumonia"
    check_header(path)


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


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_has_the_papers_budget_and_takes_its_images(name: str) -> None:
    paper = build(
        CrossValConfig, files=[RECIPES / "paper" / "busi.yaml"], flags={"out": "runs/x"}
    )
    path = RECIPES / "baselines" / f"{name}.yaml"
    config = build(CrossValConfig, files=[path], flags={"out": "runs/x"})
    assert (config.baseline, config.start) == (BASELINES[name], "scratch")
    assert (config.data, config.folds) == (paper.data, paper.folds)
    given = {"learning_rate": paper.finetuning.learning_rate} if name == "vgg16" else {}
    assert config.finetuning.model_copy(update=given) == paper.finetuning
    tuning = config.finetune_config(Path("runs/y"), None)
    with torch.device("meta"):  # shapes alone: VGG-16 has half a gigabyte of weights
        build_baseline(
            tuning.baseline,
            image_size=tuning.model.image_size,
            channels=tuning.model.channels,
            classes=3,
            drop_path=tuning.finetuning.drop_path,
        )


@pytest.mark.parametrize("place", ["ablations", "ablations/laptop"])
def test_every_ablation_asks_one_question_about_one_recipe(place: str) -> None:
    files = [RECIPES / place / f"{name}.yaml" for name in ABLATIONS]
    configs = [build(AblateConfig, files=[path], flags={"out": "runs/x"}) for path in files]
    for path, config in zip(files, configs, strict=True):
        assert list(config.studies) == [path.stem]
        assert _recipe(config) == _recipe(configs[0])
        design = plan_design(config)
        # The recipe as it stands is one of the values, so that nothing is trained for it alone.
        assert "base" in [point.variant for point in design.studies[0].points]
        check_header(path)
    together = plan_design(build(AblateConfig, files=files, flags={"out": "runs/x"}))
    counts = [len(plan_design(config).variants) for config in configs]
    assert len(together.variants) == sum(counts) - len(configs) + 1
    assert [study.name for study in together.studies] == list(ABLATIONS)


def _recipe(config: AblateConfig) -> CrossValConfig:
    return CrossValConfig(**sections(config, CrossValConfig))


def test_the_ablations_are_about_the_recipes_of_breast_ultrasound() -> None:
    pairs = {"ablations/encoder.yaml": "paper", "ablations/laptop/encoder.yaml": "laptop"}
    for own, place in pairs.items():
        path = RECIPES / own
        ablation = build(AblateConfig, files=[path], flags={"out": "runs/x"})
        busi = build(
            CrossValConfig, files=[RECIPES / place / "busi.yaml"], flags={"out": "runs/x"}
        )
        assert (ablation.data, ablation.model) == (busi.data, busi.model)
        assert (ablation.losses, ablation.pretraining) == (busi.losses, busi.pretraining)
