"""Settings of the negative controls of a finished cross-validation."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from glcm_mae.config.base import Seed, Settings


class ControlsConfig(Settings):
    """Settings of ``glcm-mae controls``."""

    run: Path
    """Run folder of a finished crossval whose encoders were pre-trained or given."""
    out: Path
    """Folder to create for controls.json, .csv, .md, .png and .svg."""
    table: Path | None = None
    """Where the run's images lie now; none: where they lay when it was begun."""
    without_texture: Path | None = None
    """Run folder of the same crossval without the texture loss, to tell what that loss adds."""
    group_pattern: str = ""
    """Regular expression that finds the patient in a path, where the run knew of none."""
    permutations: Annotated[int, Field(ge=5)] = 20
    """Times that the training labels are shuffled."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Share of such intervals that hold the true value."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap."""
    seed: Seed = 0
    """Seed of the shuffles and of the resampling."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""
