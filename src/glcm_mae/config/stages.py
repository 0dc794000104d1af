"""Settings of the stages, put together from the sections."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from glcm_mae.config.base import PositiveInt, Seed, Settings
from glcm_mae.config.data import DataConfig
from glcm_mae.config.engine import EngineConfig, MachinesConfig
from glcm_mae.config.evaluation import EvaluationConfig
from glcm_mae.config.fanout import FanoutConfig
from glcm_mae.config.losses import LossesConfig, check_losses_fit_patch
from glcm_mae.config.model import ModelConfig
from glcm_mae.config.probing import ProbingConfig
from glcm_mae.config.training import FinetuningConfig, FoldsConfig, PretrainingConfig


class StageConfig(EngineConfig):
    """What every stage asks for."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    out: Path
    """Run folder to create; an existing one is never overwritten."""
    seed: Seed = 0
    """Seed of every random number."""


class PretrainConfig(MachinesConfig, StageConfig):
    """Settings of ``glcm-mae pretrain``."""

    losses: LossesConfig = LossesConfig()
    pretraining: PretrainingConfig = PretrainingConfig()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_losses_fit_patch(self.losses, self.model)
        self.refuse_unknown_scaling(self.precision)
        return self


class FinetuneConfig(MachinesConfig, StageConfig):
    """Settings of ``glcm-mae finetune``."""

    finetuning: FinetuningConfig = FinetuningConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    folds: FoldsConfig = FoldsConfig()
    start: Literal["weights", "scratch"] = "weights"
    """Start from given weights, or from random ones."""
    weights: Path | None = None
    """Pre-training run, weights of another library (file or folder), or timm:NAME."""
    baseline: str = ""
    """A timm model by name in place of the encoder, such as resnet50; none: the encoder."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part; a given split is only checked."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        check_start(self.start, self.weights)
        self.refuse_unknown_scaling(self.precision)
        check_baseline(self.baseline, self.finetuning)
        return self


class ProbeConfig(StageConfig):
    """Settings of ``glcm-mae probe``."""

    probing: ProbingConfig = ProbingConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    folds: FoldsConfig = FoldsConfig()
    start: Literal["weights", "scratch"] = "weights"
    """Features of given weights, or of random ones (a negative control)."""
    weights: Path | None = None
    """Pre-training run, weights of another library (file or folder), or timm:NAME."""
    baseline: str = ""
    """A timm model by name in place of the encoder, such as resnet50; none: the encoder."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part; a given split is only checked."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        check_start(self.start, self.weights)
        return self


class CrossValConfig(StageConfig):
    """Settings of ``glcm-mae crossval``."""

    losses: LossesConfig = LossesConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    folds: FoldsConfig = FoldsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    probing: ProbingConfig = ProbingConfig()
    fanout: FanoutConfig = FanoutConfig()
    protocol: Literal["finetune", "linear", "attentive", "knn"] = "finetune"
    """What is put on the encoder: a classifier trained with it, or on it while it is frozen."""
    baseline: str = ""
    """A timm model by name in place of the encoder, such as resnet50; none: the encoder."""
    seeds: PositiveInt = 1
    """Models trained in every fold; the seed of model K is that of the fold plus 1000 K."""
    baselines: Literal["on", "off"] = "on"
    """Also score what needs no network: majority class, gray levels, radiomics."""
    transductive: bool = False
    """Pre-train once, on all images, those of the test folds too; every table tells so."""
    start: Literal["pretraining", "weights", "scratch"] = "pretraining"
    """Pre-train in every fold without its test images, or start from given weights, or none."""
    weights: Path | None = None
    """With start: weights, a pre-training or crossval run, another library's, or timm:NAME."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part of every fold."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.start == "pretraining":
            check_losses_fit_patch(self.losses, self.model)
        check_start(self.start, self.weights)
        if self.data.split is not None and not self.folds.official:
            raise ValueError(
                "data.split is not for crossval, which draws its own folds: pass "
                "--folds.official true to test on the given split alone, or leave data.split "
                "out"
            )
        self._check_system()
        return self

    def _check_system(self) -> None:
        if self.transductive and self.start != "pretraining":
            raise ValueError(
                f"transductive is about how crossval pre-trains, but start is {self.start!r}: "
                "leave one of them out"
            )
        if not self.baseline:
            return
        if self.start == "pretraining":
            raise ValueError(
                f"baseline {self.baseline} cannot be pre-trained by masking patches: pass "
                "--start scratch, or --start weights with --weights"
            )
        if self.protocol == "attentive":
            raise ValueError("protocol attentive is for the encoder, not for a baseline")
        check_baseline(self.baseline, self.finetuning)

    def pretrain_config(self, out: Path) -> PretrainConfig:
        """Return the settings of one fold's pre-training."""
        return PretrainConfig(**sections(self, PretrainConfig, out=out))

    def finetune_config(self, out: Path, weights: Path | None) -> FinetuneConfig:
        """Return the settings of one fold's fine-tuning."""
        start = "scratch" if weights is None else "weights"
        tuning = self.finetuning
        if self.protocol == "attentive":
            tuning = tuning.model_copy(update={"trained": "head", "pooling": "attention"})
        found = sections(self, FinetuneConfig, out=out, start=start, weights=weights)
        return FinetuneConfig(**{**found, "finetuning": tuning})

    def probe_config(self, out: Path, weights: Path | None) -> ProbeConfig:
        """Return the settings of one fold's probe of frozen features."""
        start = "scratch" if weights is None else "weights"
        found = sections(self, ProbeConfig, out=out, start=start, weights=weights)
        probing = self.probing.model_copy(update={"method": self.protocol})
        return ProbeConfig(**{**found, "probing": probing})


class ReplayConfig(Settings):
    """Settings of ``glcm-mae replay``."""

    run: Path
    """Run folder of a pre-training that left the finite numbers."""
    table: Path | None = None
    """Where the images lie now; none: where they lay when the run was begun."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""


class AuditConfig(Settings):
    """Settings of ``glcm-mae data audit``."""

    data: DataConfig
    out: Path
    """Folder to create for audit.json, audit.html, duplicates.csv and groups.csv."""
    with_images: bool = True
    """Show images on the page; without them it can be passed on."""


class SplitConfig(Settings):
    """Settings of ``glcm-mae data split``."""

    data: DataConfig
    folds: FoldsConfig = FoldsConfig()
    out: Path
    """CSV file to write: path, and a column per fold; for folds.file of crossval."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part of every fold."""
    seed: Seed = 0
    """Seed of the folds."""


class ShardConfig(Settings):
    """Settings of ``glcm-mae data shard``."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    out: Path
    """Folder to create for the shards."""
    labelled: bool = True
    """Whether every image needs a class."""
    images_per_shard: PositiveInt = 2048
    """Images in one tar file."""


class DemoConfig(Settings):
    """Settings of ``glcm-mae demo``."""

    out: Path = Path("runs/demo")
    """Folder to create."""
    seed: Seed = 0
    """Seed of every random number."""


def sections(source: Settings, target: type[Settings], **values: Any) -> dict[str, Any]:
    """Return the settings that two stages share by name, and the values given."""
    shared = {
        name: getattr(source, name) for name in target.model_fields if hasattr(source, name)
    }
    return {**shared, **values}


def check_start(start: str, weights: Path | None) -> None:
    """Refuse a start that contradicts the weights.

    Raises:
        ValueError: If weights are missing, or given but not used.
    """
    if start == "weights" and weights is None:
        raise ValueError(
            "start: weights needs --weights RUN_FOLDER (or pass --start scratch to begin with "
            "random weights)"
        )
    if start != "weights" and weights is not None:
        raise ValueError(f"weights are given but start is {start!r}: pass --start weights too")


def check_baseline(baseline: str, finetuning: FinetuningConfig) -> None:
    """Refuse settings that a timm model as baseline has no use for.

    Raises:
        ValueError: If the pooling is that of an encoder.
    """
    if baseline and finetuning.pooling != "mean":
        raise ValueError(
            f"finetuning.pooling {finetuning.pooling!r} is for the encoder; {baseline} pools "
            "its own way: leave the setting out"
        )
