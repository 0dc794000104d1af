"""Settings of the search for what is not normal."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import PositiveInt
from glcm_mae.config.evaluation import EvaluationConfig
from glcm_mae.config.losses import LossesConfig, check_losses_fit_patch
from glcm_mae.config.stages import PretrainConfig, StageConfig
from glcm_mae.config.training import FoldsConfig, PretrainingConfig


class AnomalyConfig(StageConfig):
    """Settings of ``glcm-mae anomaly``."""

    losses: LossesConfig = LossesConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    folds: FoldsConfig = FoldsConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    normal: str = "normal"
    """Class that is normal; every other class counts as abnormal."""
    rounds: PositiveInt = 2
    """Times that every pixel is hidden in all its ways, each time by other masks."""
    specificity: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.95
    """Share of the inner normal images that the operating point calls normal."""
    leak_check: Literal["on", "off"] = "on"
    """Find near-duplicates first, and keep them in one part; a given split is only checked."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_losses_fit_patch(self.losses, self.model)
        if self.data.positive == self.normal:
            raise ValueError(
                f"data.positive is the normal class {self.normal!r}; name an abnormal one, or "
                "another normal one as --normal"
            )
        return self

    def pretrain_config(self, out: Path, split: Path) -> PretrainConfig:
        """Return the settings of the pre-training on the images that a split calls train."""
        names = PretrainConfig.model_fields
        shared = {name: getattr(self, name) for name in names if hasattr(self, name)}
        data = self.data.model_copy(update={"split": split})
        return PretrainConfig(**{**shared, "data": data, "out": out})
