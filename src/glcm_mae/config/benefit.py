"""Settings of the panel that asks whether pre-training helped."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from glcm_mae.config.evaluation import EvaluationConfig
from glcm_mae.config.fanout import FanoutConfig
from glcm_mae.config.losses import LossesConfig, PhaseConfig, check_losses_fit_patch
from glcm_mae.config.probing import ProbingConfig
from glcm_mae.config.stages import CrossValConfig, StageConfig, sections
from glcm_mae.config.training import FinetuningConfig, FoldsConfig, PretrainingConfig

System = Literal["scratch", "mae", "glcm-mae"]
Protocol = Literal["finetune", "linear", "attentive", "knn"]
LabelShare = Annotated[float, Field(gt=0.0, le=1.0)]


def _ascending(shares: tuple[float, ...]) -> tuple[float, ...]:
    if list(shares) != sorted(set(shares)):
        raise ValueError("must rise, each share once, such as [0.05, 0.25, 1.0]")
    return shares


class BenefitConfig(StageConfig):
    """Settings of ``glcm-mae benefit``."""

    losses: LossesConfig = LossesConfig()
    """Losses of the GLCM-MAE; the MAE beside it has the mean squared error alone."""
    pretraining: PretrainingConfig = PretrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    probing: ProbingConfig = ProbingConfig()
    folds: FoldsConfig = FoldsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    fanout: FanoutConfig = FanoutConfig()
    systems: Annotated[tuple[System, ...], Field(min_length=1)] = ("scratch", "mae", "glcm-mae")
    """Systems to compare; both MAEs are pre-trained in every fold without its test images."""
    given: dict[str, Path] = {}
    """Further systems by name: a pre-training run, another library's weights, or timm:NAME."""
    protocols: Annotated[tuple[Protocol, ...], Field(min_length=1)] = ("finetune", "linear")
    """What is put on every encoder; the first one is what the verdict is about."""
    label_shares: Annotated[
        tuple[LabelShare, ...], Field(min_length=1), AfterValidator(_ascending)
    ] = (0.05, 0.1, 0.25, 0.5, 1.0)
    """Shares of the training labels; smaller shares lie within larger ones."""
    score: Literal["auroc", "balanced_accuracy", "accuracy", "f1"] = "auroc"
    """Score of the table, the plot and the verdict."""
    seeds: Annotated[int, Field(ge=1)] = 1
    """Models trained in every fold of every system."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part of every fold."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_losses_fit_patch(self.losses, self.model)
        names = [*self.systems, *self.given]
        if len(set(names)) < len(names):
            raise ValueError(f"systems and given name a system twice: {', '.join(names)}")
        if len(names) < 2:
            raise ValueError(
                "systems: name at least two systems, for there is nothing to compare"
            )
        if len(set(self.protocols)) < len(self.protocols):
            raise ValueError(f"protocols names one twice: {', '.join(self.protocols)}")
        if self.folds.label_share < 1:
            raise ValueError("folds.label_share is set by label_shares here: leave it out")
        if "glcm-mae" in self.systems and not any(p.glcm > 0 for p in self.losses.phases):
            raise ValueError(
                "losses.phases has no texture term: give one a weight glcm, or leave glcm-mae "
                "out of systems"
            )
        return self

    def arm(
        self, system: str, protocol: Protocol, share: float, out: Path, shared: Path | None
    ) -> CrossValConfig:
        """Return the cross-validation of one system, protocol and share of the labels.

        Args:
            system: One of ``systems``, or a name in ``given``.
            protocol: What is put on the encoder.
            share: Share of the training labels.
            out: Run folder.
            shared: Cross-validation whose encoders are used; none: they are trained here.
        """
        start, weights = "pretraining", shared
        if system in self.given:
            weights = self.given[system]
        if system == "scratch":
            weights = None
            start = "scratch"
        elif weights is not None:
            start = "weights"
        losses = self.losses
        if system == "mae":
            losses = losses.model_copy(update={"phases": (PhaseConfig(share=1.0, mse=1.0),)})
        folds = self.folds.model_copy(update={"label_share": share})
        values = sections(self, CrossValConfig, out=out, start=start, weights=weights)
        changed = {"losses": losses, "folds": folds, "protocol": protocol, "baselines": "off"}
        return CrossValConfig(**{**values, **changed})
