"""Texture features of an image or a volume in one call, in the manner of radiomics.

Binning, counting, merging and averaging as IBSI defines them; each feature is the
function of that name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, get_args

import numpy as np
from torch import Tensor

from glcm_mae.texture.counting import (
    Plan,
    Tally,
    VolumeOffset,
    image_offsets,
    volume_offsets,
)
from glcm_mae.texture.discretisation import (
    Bins,
    EmptyRegionError,
    Pixels,
    as_arrays,
    number_bins,
    require_levels,
    unit_bins,
    width_bins,
)
from glcm_mae.texture.haralick import HARALICK_FEATURES
from glcm_mae.texture.ibsi import IBSI_FEATURES
from glcm_mae.texture.marginals import Marginals

Binning = Literal["range", "number", "width"]
Family = Literal["haralick", "ibsi", "all"]
Aggregation = Literal[
    "averaged",
    "merged",
    "2d_averaged",
    "2d_slice_merged",
    "2.5d_direction_merged",
    "2.5d_merged",
    "3d_averaged",
    "3d_merged",
]

FOURTEENTH: Final = "maximal_correlation_coefficient"
_FEATURES = {
    "haralick": HARALICK_FEATURES,
    "ibsi": IBSI_FEATURES,
    "all": {**HARALICK_FEATURES, **IBSI_FEATURES},
}


def texture_features(
    image: Tensor | Pixels,
    mask: Tensor | Pixels | None = None,
    *,
    levels: int = 32,
    binning: Binning = "range",
    bin_width: float | None = None,
    distances: Sequence[int] = (1,),
    angles: Sequence[int] = (0, 45, 90, 135),
    symmetric: bool = True,
    aggregation: Aggregation = "averaged",
    features: Family = "haralick",
) -> dict[str, float]:
    """Measure the co-occurrence features of one image, or of a region of it.

    Convention:
        ``averaged`` measures every direction and takes the mean over directions and
        distances; ``merged`` adds their counts up and measures once. For a volume they
        stand for ``3d_averaged`` and ``3d_merged``. By IBSI's codes: ``2d_averaged``
        BTW3, ``2d_slice_merged`` SUJT, ``2.5d_direction_merged`` JJUI, ``2.5d_merged``
        ZW7Z, ``3d_averaged`` ITBB, ``3d_merged`` IAZD.

        A slice or direction without any pair in the mask is left out of the mean.

    Args:
        image: Shape (height, width), or (slices, height, width) for a volume.
        mask: Pixels that count are not 0 here; without it, all count.
        levels: Number of gray levels, from 2 to 4096; not for ``width``.
        binning: ``range`` divides ``[0, 1]`` into ``levels`` bins, or takes integers as
            gray levels, as :func:`hard_membership` does; ``number`` divides the region's
            own range, as :func:`fixed_bin_number`; ``width`` makes bins of ``bin_width``
            from the region's least value, as :func:`fixed_bin_width`.
        bin_width: Width of a bin, for ``width`` only.
        distances: Distances of pairs, in steps of a chess king.
        angles: Directions of pairs within a slice, of 0, 45, 90 and 135 degrees. The 3d
            ways take all thirteen directions.
        symmetric: Count every pair in both directions, as Haralick and IBSI do.
        aggregation: How slices, directions and distances become one number.
        features: ``haralick`` for the fourteen, ``ibsi`` for the twenty-five, ``all``.

    Returns:
        The features by name, in the order of ``HARALICK_FEATURES``, then of
        ``IBSI_FEATURES``. A flat region gives each feature's limit, never NaN.

    Raises:
        ValueError: If an argument is out of its range or unknown, if the image is none,
            or holds NaN or leaves its range inside the mask, or if the mask is empty, of
            another shape, or holds no pair.

    Example:
        >>> stripes = np.array([[0.0, 1.0], [0.0, 1.0]])
        >>> found = texture_features(stripes, levels=2, angles=[0, 90])
        >>> len(found), found["contrast"]
        (14, 0.5)

    References:
        Haralick et al., 1973, doi:10.1109/TSMC.1973.4309314; Zwanenburg et al., 2016,
        arXiv:1612.07003, section 3.6.
    """
    recipe = Recipe(
        levels=levels,
        binning=binning,
        bin_width=bin_width,
        distances=tuple(distances),
        angles=tuple(angles),
        symmetric=symmetric,
        aggregation=aggregation,
        features=features,
    )
    return measure([recipe.tally(image, mask)], recipe)[0]


_WHOLE = np.ones((0, 0, 0), np.bool_)  # tells the loops that every pixel counts


@dataclass(frozen=True)
class Recipe:
    """What :func:`texture_features` is told besides the image, checked once.

    The attributes are its arguments.
    """

    levels: int
    binning: Binning
    bin_width: float | None
    distances: tuple[int, ...]
    angles: tuple[int, ...]
    symmetric: bool
    aggregation: Aggregation
    features: Family

    def __post_init__(self) -> None:
        require_levels(self.levels)
        _require_one_of("binning", self.binning, get_args(Binning))
        _require_one_of("aggregation", self.aggregation, get_args(Aggregation))
        _require_one_of("features", self.features, get_args(Family))
        image_offsets(self.distances, self.angles)
        if (self.binning == "width") != (self.bin_width is not None):
            raise ValueError(
                "bin_width must be given for binning 'width', and only then, "
                f"got {self.bin_width} for {self.binning!r}"
            )

    def tally(self, image: Any, mask: Any = None) -> Tally:
        """Bin, count and reduce one image; most of it outside the interpreter's lock.

        Args:
            image: Shape (height, width), or (slices, height, width).
            mask: Pixels that count are not 0 here.

        Returns:
            The tally of every table that is to be measured.

        Raises:
            ValueError: For the reasons of :func:`texture_features`.
        """
        axes = len(np.shape(image))
        pixels, inside = as_arrays(image, mask)
        if axes != 2 and (axes != 3 or len(pixels) == 1):
            raise ValueError(
                "image must have the shape (height, width), or (slices, height, width) with "
                f"more than one slice, got {tuple(np.shape(image))}; pass one image at a time, "
                "such as image[0]"
            )
        bins = self._bins(pixels, inside)
        if mask is not None:
            pixels, inside = _crop(pixels, inside)
        plan = _plan(self.aggregation, self.distances, self.angles, axes, len(pixels))
        plan.require_fit(np.shape(image) if axes == 3 else (1, *np.shape(image)))
        region = _WHOLE if mask is None else inside
        found = Tally.of(pixels, region, bins, plan, symmetric=self.symmetric).occupied()
        if len(found.rows) == 0:
            raise EmptyRegionError(
                "mask must hold both pixels of at least one pair, got "
                f"{int(inside.sum())} pixels without any; choose a larger region"
            )
        return found

    def _bins(self, pixels: Pixels, inside: Pixels) -> Bins:
        if self.binning == "range":
            return unit_bins(pixels, inside, self.levels)
        if self.binning == "number":
            return number_bins(pixels, inside, self.levels)
        assert self.bin_width is not None
        bins = width_bins(pixels, inside, self.bin_width)
        return bins._replace(levels=max(bins.levels, 2))


@lru_cache(maxsize=64)
def _plan(
    way: str, distances: tuple[int, ...], angles: tuple[int, ...], axes: int, slices: int
) -> Plan:
    """Tell which slices and directions are counted into which table."""
    if way in ("averaged", "merged"):
        planar = ("2d_averaged", "2d_slice_merged")
        solid = ("3d_averaged", "3d_merged")
        way = (planar if axes == 2 else solid)[way == "merged"]
    if way.startswith("3d"):
        if axes == 2:
            raise ValueError(
                f"aggregation must be 'averaged' or 'merged' for an image, got {way!r}"
            )
        ways = volume_offsets(distances)
    else:
        ways = [VolumeOffset(0, *offset) for offset in image_offsets(distances, angles)]
    by_slice = (
        np.arange(slices)[:, None] if way.startswith("2d") else np.zeros((slices, 1), int)
    )
    if way in ("2d_slice_merged", "2.5d_merged", "3d_merged"):
        return Plan.of(ways, np.tile(by_slice, (1, len(ways))))
    return Plan.of(ways, by_slice * len(ways) + np.arange(len(ways)))


def measure(tallies: Sequence[Tally], recipe: Recipe) -> list[dict[str, float]]:
    """Measure the features of several images at once.

    Args:
        tallies: One tally per image.
        recipe: How they were made.

    Returns:
        The features of each image by name.
    """
    results: list[dict[str, float]] = [{} for _ in tallies]
    # One call of each feature for many tables: a call costs more than a table.
    for levels in {tally.rows.shape[1] for tally in tallies}:
        chosen = [n for n, tally in enumerate(tallies) if tally.rows.shape[1] == levels]
        values = _values([tallies[n] for n in chosen], _FEATURES[recipe.features])
        for n, means in zip(chosen, values, strict=True):
            results[n] = dict(zip(_FEATURES[recipe.features], means, strict=True))
    return results


def _values(
    tallies: Sequence[Tally], features: Mapping[str, Callable[[Marginals], Tensor]]
) -> list[list[float]]:
    """Return the features of each tally, the mean over its tables."""
    together = Tally(*(np.concatenate(parts) for parts in zip(*tallies, strict=True)))
    found, correlation = together.marginals()
    values = np.stack(
        [
            (correlation if name == FOURTEENTH else feature(found)).numpy()
            for name, feature in features.items()
        ]
    )
    sizes = [len(tally.rows) for tally in tallies]
    starts = np.cumsum([0, *sizes])
    return [
        values[:, start : start + size].mean(axis=1).tolist()
        for start, size in zip(starts[:-1].tolist(), sizes, strict=True)
    ]


def feature_names(features: Family) -> tuple[str, ...]:
    """List the names of a family of features, in order.

    Args:
        features: ``haralick``, ``ibsi`` or ``all``.

    Example:
        >>> feature_names("all")[0], len(feature_names("all"))
        ('angular_second_moment', 27)
    """
    return tuple(_FEATURES[features])


def _crop(pixels: Pixels, inside: Pixels) -> tuple[Pixels, Pixels]:
    """Cut rows and columns away that hold no pixel of the mask; slices stay."""
    rows = np.flatnonzero(inside.any(axis=(0, 2)))
    cols = np.flatnonzero(inside.any(axis=(0, 1)))
    box = (slice(None), slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
    return np.ascontiguousarray(pixels[box]), np.ascontiguousarray(inside[box])


def _require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
