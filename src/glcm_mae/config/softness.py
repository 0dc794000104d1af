"""Settings of the comparison of soft with hard co-occurrence."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from glcm_mae.config.base import PositiveInt
from glcm_mae.config.data import GrayLevelsConfig

SoftBandwidth = Annotated[float, Field(gt=0.0, le=4.0)]


class SoftnessConfig(GrayLevelsConfig):
    """Settings of ``glcm-mae softness``."""

    image: Path
    """Image file, of any format that is read."""
    out: Path
    """Folder to create for the figure and the numbers."""
    frame: Annotated[int, Field(ge=0)] | None = None
    """Slice or frame of a file that holds several, counted from 0."""
    levels: Annotated[int, Field(ge=2, le=256)] = 8
    """Gray-level bins on [0, 1]."""
    bandwidths: Annotated[tuple[SoftBandwidth, ...], Field(min_length=1, max_length=5)] = (
        0.0333,
        0.5,
        1.0,
    )
    """Widths of the soft bins' edges, in bin widths (the paper's W is 1/b); number or list."""
    offset: tuple[int, int] = (0, 1)
    """Displacement (rows, columns) at which gray levels are paired."""
    symmetric: bool = False
    """Count every pair in both directions."""
    region: Literal["textured", "whole"] | tuple[int, int, int, int] = "textured"
    """The square of most texture, the whole image, or [row, column, height, width]."""
    side: PositiveInt = 64
    """Side of the square of most texture, in pixels."""
    blur: Annotated[int, Field(ge=3)] = 5
    """Side of the mean filter that makes the prediction to be led back to the image; odd."""
    names: Literal["plain", "hashed"] = "plain"
    """What softness.json calls the image: its file name, or a keyed hash of it."""
    key: Path | None = None
    """File of the secret key behind hashed names; none: ~/.config/glcm-mae/key."""

    @field_validator("bandwidths", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        return (value,) if isinstance(value, float | int | str) else value

    @field_validator("bandwidths")
    @classmethod
    def _distinct(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"each bandwidth may be given once, got {list(value)}")
        return value

    @field_validator("blur")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"the mean filter must be odd, got {value}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.offset == (0, 0):
            raise ValueError("offset must not be (0, 0): it pairs every pixel with itself")
        if isinstance(self.region, tuple) and (min(self.region) < 0 or 0 in self.region[2:]):
            raise ValueError(
                "region must be [row, column, height, width], neither height nor width 0, "
                f"got {list(self.region)}"
            )
        return self
