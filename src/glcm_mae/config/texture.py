"""Settings of the measurement of texture features."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from glcm_mae.config.base import Positive, PositiveInt
from glcm_mae.config.data import GrayLevelsConfig, ImagesConfig


class TextureConfig(GrayLevelsConfig, ImagesConfig):
    """Settings of ``glcm-mae texture``."""

    out: Path
    """File to write, .parquet or .csv; an existing one is never overwritten."""
    masks: str = ""
    """Folder of masks, or what their names add, such as _mask; else the manifest's column."""
    unmasked: Literal["stop", "skip", "whole"] = "stop"
    """Images without a mask, or with an empty one: stop, leave out, or measure whole."""
    features: Literal["haralick", "ibsi", "all"] = "haralick"
    """Haralick's 14 features, IBSI's 25, or both."""
    levels: Annotated[int, Field(ge=2, le=4096)] = 32
    """Number of gray levels; not for binning by width."""
    binning: Literal["range", "number", "width"] = "range"
    """Bins on [0, 1], on the region's own range, or of bin_width from its least value."""
    bin_width: Positive | None = None
    """Width of a bin on the scale where white is 1; for binning by width only."""
    distances: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    """Distances of the pairs in pixels; one number or a list."""
    angles: Annotated[tuple[Literal[0, 45, 90, 135], ...], Field(min_length=1)] = (
        0,
        45,
        90,
        135,
    )
    """Directions of the pairs in degrees, of 0, 45, 90, 135; one number or a list."""
    symmetric: bool = True
    """Count every pair in both directions."""
    aggregation: Literal["averaged", "merged"] = "averaged"
    """Mean of the features of all directions, or features of their added counts."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read: stop and tell them all, or leave them out."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Images measured at the same time; 0 is one per processor core."""

    @field_validator("distances", "angles", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return (int(value),)
        return value

    @field_validator("distances", "angles")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"each number may be given once, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.out.suffix.lower() not in (".parquet", ".csv"):
            raise ValueError(f"out must end in .parquet or .csv, got {self.out}")
        if (self.binning == "width") != (self.bin_width is not None):
            raise ValueError(
                "bin_width is needed for binning 'width', and only there: pass both, or none"
            )
        return self
