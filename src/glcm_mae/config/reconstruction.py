"""Settings of the study of what autoencoders make of images."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import PositiveInt, Seed, Settings
from glcm_mae.config.data import DataConfig

FIRST_RUN = Path("first-run")
"""In place of a table: the one that the first run was begun with."""


class RestoredConfig(DataConfig):
    """Which images are restored."""

    table: Path = FIRST_RUN
    """Folder, manifest or other table of images; first-run: those of the first run."""


class ReconstructConfig(Settings):
    """Settings of ``glcm-mae reconstruct``."""

    runs: Annotated[tuple[str, ...], Field(min_length=1)]
    """Runs of pretrain or crossval (its folds on their test images): FOLDER or NAME=FOLDER."""
    out: Path
    """Folder to create for the tables and figures."""
    data: RestoredConfig = RestoredConfig()
    """The images; how they are read is the runs' affair."""
    part: Literal["all", "train", "test"] = "all"
    """Images to restore; of a crossval run only those that its folds test."""
    cases: PositiveInt = 2
    """Best, median and worst images in the gallery, so many of each."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Share of such intervals that hold the true mean."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap."""
    seed: Seed = 0
    """Seed of the masks and of the bootstrap."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("runs: names a run twice; name each once")
        return self
