"""Settings of the tests of a finished classifier under corruption and elsewhere."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from glcm_mae.config.base import Seed, Settings
from glcm_mae.config.evaluation import EvaluationConfig

CorruptionName = Literal[
    "blur",
    "gaussian_noise",
    "speckle_noise",
    "contrast_down",
    "contrast_up",
    "brightness_down",
    "brightness_up",
    "jpeg",
    "resolution",
    "gamma_down",
    "gamma_up",
]


class RobustnessConfig(Settings):
    """Settings of ``glcm-mae robustness``."""

    run: Path
    """Run folder of a finished finetune or crossval."""
    out: Path
    """Folder to create for the scores, the table and the figure."""
    table: Path | None = None
    """Where the run's images lie now; none: where they lay when it was begun."""
    corruptions: Annotated[tuple[CorruptionName, ...], Field(min_length=1)] = get_args(
        CorruptionName
    )
    """Corruptions to try, each at five severities."""
    score: Literal["balanced_accuracy", "accuracy", "auroc"] = "balanced_accuracy"
    """Score of the printed table and of the figure; the files hold all three."""
    reference: Path | None = None
    """Folder of another robustness report on the same images, to divide the errors by its."""
    external: Path | None = None
    """Another table with the same classes, to test the averaged classifiers on."""
    external_label_map: dict[str, str | None] = {}
    """Class found in the external table to class of the run; null leaves its images out."""
    external_group_pattern: str = ""
    """Regular expression that finds the patient in a path of the external table."""
    leak_check: Literal["on", "off"] = "on"
    """Look for near-duplicates of external images among those of the run."""
    evaluation: EvaluationConfig = EvaluationConfig()
    seed: Seed = 0
    """Seed of the noise and of the resampling."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""
