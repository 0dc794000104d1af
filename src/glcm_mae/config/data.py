"""Settings of images: where they lie, how they are read, what is done with them."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from glcm_mae.config.base import PositiveInt, Seed, Settings

DEFAULT_CACHE = Path("~/.cache/glcm-mae")
"""Where decoded images are kept, unless GLCM_MAE_CACHE or a setting says otherwise."""


class GrayLevelsConfig(Settings):
    """How the values in a file become gray levels; a checkpoint keeps it."""

    window: str = "file"
    """Black and white: file, full (all bits), range, percentile, or CENTRE/WIDTH as 40/400."""
    percentiles: tuple[float, float] = (0.5, 99.5)
    """Percentiles that become black and white, with window: percentile."""
    axis: Literal[0, 1, 2] = 2
    """Axis along which volumes are cut into slices."""


class ImagesConfig(Settings):
    """Which images there are, and what they are called."""

    table: Path
    """Folder, folder per class, CSV or Parquet manifest, MedMNIST .npz, or folder of shards."""
    frames: Literal["single", "all", "middle"] | PositiveInt = "single"
    """Of volumes and films: none (refused), all slices, the middle one, or N evenly spaced."""
    names: Literal["plain", "hashed"] = "plain"
    """What outputs call the images: their path, or a keyed hash of it."""
    key: Path | None = None
    """File of the secret key behind hashed names and patients; none: ~/.config/glcm-mae/key."""

    @field_validator("frames", mode="before")
    @classmethod
    def _number(cls, value: Any) -> Any:
        return int(value) if isinstance(value, str) and value.isdigit() else value


class DataConfig(GrayLevelsConfig, ImagesConfig):
    """Which images, what they show, whose they are, and how they are read."""

    label_map: dict[str, str | None] = {}
    """Class found to class wanted, every one listed; null leaves its images out."""
    group_pattern: str = ""
    """Regular expression that finds the patient in a path, such as (person\\d+)_."""
    cache: Path | None = DEFAULT_CACHE
    """Folder for decoded images, shared by all runs; none: keep them in memory."""
    fit: Literal["pad", "crop", "squeeze"] = "pad"
    """Bring images to model.image_size by padding with black, cropping, or squeezing."""
    depth: Literal[8, 16] = 16
    """Bits per value of the decoded images."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read: stop at the start, or skip and count."""
    split: Path | None = None
    """CSV (path,split) with train, validation and test, in place of the table's own column."""
    groups: Path | None = None
    """CSV (path,group) of what stays together, in place of the table's own groups."""
    positive: str = ""
    """Class counted as positive (required when there are two classes)."""


class CatalogConfig(Settings):
    """Settings of ``glcm-mae data catalog``."""

    name: str = ""
    """Data set to describe; none lists all."""


class CheckConfig(Settings):
    """Settings of ``glcm-mae data check``."""

    name: str
    """Data set, as the catalog calls it."""
    folder: Path
    """Folder or .npz file to compare with what was published."""
    manifest: Path | None = None
    """Also write a manifest (path,label,group,split) of the folder, in it or beside it."""


class DownloadConfig(Settings):
    """Settings of ``glcm-mae data download``."""

    name: str
    """Data set, as the catalog calls it."""
    out: Path
    """Folder to put the file into."""
    size: PositiveInt = 224
    """Side of the images, where the set comes in several."""


class CacheConfig(Settings):
    """Settings of ``glcm-mae data cache``."""

    cache: Path = DEFAULT_CACHE
    """Folder of decoded images."""
    clear: bool = False
    """Remove all that is in it."""


class PhantomsConfig(Settings):
    """Settings of ``glcm-mae data phantoms``."""

    out: Path
    """Folder to create."""
    count: PositiveInt = 300
    """Number of images."""
    size: Annotated[int, Field(ge=32)] = 64
    """Side of an image in pixels."""
    seed: Seed = 0
    """Seed of the images."""
    labelled: bool = True
    """One folder per class and a manifest, or one flat folder."""
