"""Soft against hard, for any image and any setting: the paper's figure 1."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from glcm_mae.config import SoftnessConfig
from glcm_mae.data import ReadingPolicy, UnreadableImageError, read_image
from glcm_mae.data.tables.pseudonyms import Pseudonyms
from glcm_mae.errors import InputError
from glcm_mae.runs import write_atomically, write_json
from glcm_mae.softness.counting import NOTICEABLE, Count, blurred, count_hard, count_soft
from glcm_mae.softness.drawing import Scene, draw_softness, name_bandwidth
from glcm_mae.softness.region import Region, choose_region
from glcm_mae.texture import Offset

FIGURE, RESULT, TABLE = "softness", "softness.json", "softness.csv"
MOST_SHARES = 2**26
"""Pixels of the region times gray levels; beyond, the shares take too much memory."""

HEADING = "Quantity"


@dataclass(frozen=True)
class Softness:
    """What was found.

    Attributes:
        config: Settings of the stage.
        region: The part of the image that was looked at.
        counts: The hard count first, then the soft ones.
    """

    config: SoftnessConfig
    region: Region
    counts: tuple[Count, ...]

    @property
    def headings(self) -> list[str]:
        """Headings of the table: a column for each way to count."""
        return [HEADING, *(name_bandwidth(count.bandwidth) for count in self.counts)]

    @property
    def notes(self) -> Sequence[str]:
        """What explains the table."""
        return (
            "b: bandwidth in bin widths; the paper's W is 1 / b",
            "distance: Frobenius norm of soft minus hard; moved: share of the pairs in another "
            "cell than the hard ones",
            "gradient_share: pixels of a blurred prediction whose gradient is at least "
            f"{NOTICEABLE:g} of the largest",
            "effective_share: (sum |g|)^2 / (N sum g^2); 1 where all pixels get as much",
        )

    def rows(self, digits: int = 4) -> list[list[str]]:
        """Return the cells of the table; the features below the distances."""
        names = ("distance", "moved", "gradient_share", "effective_share")
        numbers = {name: [getattr(count, name) for count in self.counts] for name in names}
        numbers |= {
            name: [count.features[name] for count in self.counts]
            for name in self.counts[0].features
        }
        return [
            [name, *(f"{value:.{digits}g}" for value in values)]
            for name, values in numbers.items()
        ]


def compare_softness(config: SoftnessConfig) -> Softness:
    """Count one part of an image hard, and soft at several bandwidths; draw what differs.

    The folder gets ``softness.png``, ``.svg`` and ``.pdf`` (the part, its matrices, the
    membership functions, the gradient of a blurred prediction), ``softness.csv`` (distance
    to the hard matrix, share of pixels that get a gradient, Haralick's features) and
    ``softness.json`` (the same with the settings).

    Args:
        config: Settings of the stage.

    Returns:
        The counts.

    Raises:
        InputError: If the image cannot be read, the part is not inside it or too small, or
            the folder exists.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: exists and is not empty; choose another --out")
    image = _read(config)
    region = _region(config, image)
    patch = region.cut(image)
    prediction = blurred(patch, config.blur)
    found = Softness(config, region, _counts(config, patch, prediction))
    paths = [config.out / f"{FIGURE}.{kind}" for kind in ("png", "svg", "pdf")]
    offset = Offset(*config.offset)
    draw_softness(paths, Scene(image, region, patch, prediction, offset), found.counts)
    write_atomically(config.out / TABLE, _as_csv(found).encode())
    write_json(config.out / RESULT, _facts(found))
    return found


def _read(config: SoftnessConfig) -> Tensor:
    """Return the image in gray, in float64: sharp bins ask for it."""
    if not config.image.is_file():
        what = "is a folder; give one image" if config.image.is_dir() else "no such file"
        raise InputError(f"{config.image}: {what}; check the path")
    policy = ReadingPolicy(
        window=config.window, percentiles=config.percentiles, axis=config.axis
    )
    try:
        pixels = read_image(config.image, frame=config.frame, policy=policy)
    except UnreadableImageError as error:
        raise InputError(
            f"{config.image}: cannot be read as an image ({error.reason}); give another file, "
            "or, if it holds several images, pass the number of one as --frame"
        ) from error
    return torch.from_numpy(pixels[0]).double()


def _region(config: SoftnessConfig, image: Tensor) -> Region:
    try:
        region = choose_region(image, config.region, config.side)
    except ValueError as error:
        raise InputError(f"{config.image}: {error}") from error
    height, width = region.height, region.width
    if abs(config.offset[0]) >= height or abs(config.offset[1]) >= width:
        raise InputError(
            f"offset {list(config.offset)} must be shorter than the region of {height} x "
            f"{width} pixels: pass a larger --region or --side, or a shorter --offset"
        )
    if height * width * config.levels > MOST_SHARES:
        raise InputError(
            f"region of {height} x {width} pixels at {config.levels} levels takes too much "
            "memory: pass a smaller --region, or fewer --levels"
        )
    return region


def _counts(config: SoftnessConfig, patch: Tensor, prediction: Tensor) -> tuple[Count, ...]:
    offset, symmetric = Offset(*config.offset), config.symmetric
    hard = count_hard(patch, levels=config.levels, offset=offset, symmetric=symmetric)
    soft = (
        count_soft(patch, prediction, hard, bandwidth=width, offset=offset, symmetric=symmetric)
        for width in sorted(config.bandwidths)
    )
    return (hard, *soft)


def _as_csv(found: Softness) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["quantity", "hard", *(f"bandwidth {c.bandwidth!r}" for c in found.counts[1:])]
    )
    writer.writerows(found.rows(digits=9))
    return text.getvalue()


def _facts(found: Softness) -> dict[str, Any]:
    config = found.config
    name = config.image.name
    if config.names == "hashed":
        name = Pseudonyms.load(config.key).of("image", name)
    return {
        "image": name,
        "region": found.region._asdict(),
        "settings": config.model_dump(mode="json", exclude={"image", "out", "key"}),
        "hard": {"features": found.counts[0].features},
        "soft": [_count_facts(count) for count in found.counts[1:]],
    }


def _count_facts(count: Count) -> dict[str, Any]:
    size = count.gradient.abs()
    return {
        "bandwidth": count.bandwidth,
        "paper_w": 1 / (count.bandwidth or 1.0),
        "distance": count.distance,
        "moved": count.moved,
        "gradient": {
            "share": count.gradient_share,
            "effective_share": count.effective_share,
            "largest": float(size.max()),
            "mean": float(size.mean()),
        },
        "features": count.features,
    }
