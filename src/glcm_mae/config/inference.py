"""Settings of what a finished classifier says of new images."""

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from glcm_mae.config.data import ImagesConfig
from glcm_mae.config.evaluation import OperatingPoint


class PredictConfig(ImagesConfig):
    """Settings of ``glcm-mae predict``."""

    run: Path
    """Run folder of a finished finetune or crossval."""
    out: Path
    """CSV file to write, a line an image; what it was made by goes beside it, as .json."""
    operating_point: OperatingPoint = "youden"
    """How the run's inner part chooses the threshold: Youden's index, or a sensitivity."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read: stop, or leave them out and count them."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""

    @field_validator("out")
    @classmethod
    def _csv(cls, out: Path) -> Path:
        if out.suffix.lower() != ".csv":
            raise ValueError(f"must end in .csv, got {out}")
        return out
