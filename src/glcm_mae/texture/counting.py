"""Hard co-occurrence by counting pairs of gray levels, in images, volumes and regions.

The same matrices as :func:`cooccurrence` of a :func:`hard_membership`, without writing
that out: no gradient, but hundreds of times faster, and with a mask.
"""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float64, Real, Shaped
from torch import Tensor

from glcm_mae.texture.discretisation import (
    Bins,
    Pixels,
    as_arrays,
    place_in_bins,
    refuse_stray,
    require_levels,
    unit_bins,
)
from glcm_mae.texture.glcm import Offset
from glcm_mae.texture.marginals import Marginals

ANGLES = {0: (0, 1), 45: (-1, 1), 90: (1, 0), 135: (1, 1)}
"""Haralick's directions in degrees, as rows and columns."""


class VolumeOffset(NamedTuple):
    """Displacement from a reference voxel to its neighbour, in whole voxels.

    Attributes:
        slices: Voxels along the first axis.
        rows: Voxels downward; negative is upward.
        cols: Voxels to the right; negative is to the left.

    Example:
        >>> VolumeOffset(slices=1, rows=0, cols=0)
        VolumeOffset(slices=1, rows=0, cols=0)
    """

    slices: int
    rows: int
    cols: int


def image_offsets(
    distances: Sequence[int] = (1,), angles: Sequence[int] = (0, 45, 90, 135)
) -> list[Offset]:
    """List the offsets of Haralick's directions.

    Convention:
        A distance counts steps of a chess king, as Haralick and IBSI have it: 45° at
        distance 2 is ``Offset(-2, 2)``. scikit-image rounds to a circle instead.

    Args:
        distances: Distances in pixels, at least 1.
        angles: Some of 0, 45, 90 and 135 degrees.

    Returns:
        One offset for each distance and angle.

    Raises:
        ValueError: If there is no distance or angle, one is given twice, or one is bad.

    Example:
        >>> image_offsets([1, 2], [0, 45])
        [Offset(rows=0, cols=1), Offset(rows=-1, cols=1),
         Offset(rows=0, cols=2), Offset(rows=-2, cols=2)]
    """
    _require_distances(distances)
    if not angles or len(set(angles)) < len(angles):
        raise ValueError(f"angles must hold each angle once, at least one, got {list(angles)}")
    for angle in angles:
        if angle not in ANGLES:
            raise ValueError(
                f"angles must be of 0, 45, 90 and 135 degrees, got {angle}; opposite "
                "directions are one and the same in a symmetric matrix"
            )
    return [
        Offset(distance * ANGLES[angle][0], distance * ANGLES[angle][1])
        for distance in distances
        for angle in angles
    ]


def volume_offsets(distances: Sequence[int] = (1,)) -> list[VolumeOffset]:
    """List the thirteen directions of a volume, one of each pair of opposites.

    Args:
        distances: Distances in voxels, steps of a chess king, at least 1.

    Returns:
        Thirteen offsets for each distance.

    Raises:
        ValueError: If there is no distance, or one is given twice or below 1.

    Example:
        >>> len(volume_offsets([1, 2])), volume_offsets()[0]
        (26, VolumeOffset(slices=0, rows=0, cols=1))
    """
    _require_distances(distances)
    ways = [way for way in product((0, 1, -1), repeat=3) if way > (0, 0, 0)]
    return [
        VolumeOffset(*(distance * n for n in way)) for distance in distances for way in ways
    ]


def gray_level_cooccurrence(
    image: Real[Tensor, "*batch height width"],
    levels: int,
    offsets: Sequence[Offset] | Sequence[VolumeOffset],
    *,
    mask: Shaped[Tensor, "*batch height width"] | None = None,
    symmetric: bool = False,
    normalised: bool = True,
) -> Float64[Tensor, "*matrices levels levels"]:
    """Count how often gray levels meet at each offset.

    Entry ``[i, j]`` tells how often the reference pixel has level ``i`` and its
    neighbour level ``j`` [1]_. A pair counts if both pixels are in the image and in the
    mask. Equal to ``cooccurrence(hard_membership(image, levels), offsets)`` where there
    is no mask; that one passes gradients on and takes soft memberships.

    Args:
        image: Floats in ``[0, 1]``, binned as :func:`hard_membership` does, or integers
            from 0 to ``levels - 1``. Offsets of two numbers take its last two axes as an
            image, offsets of three its last three as a volume; the others are the batch.
        levels: Number of gray levels, from 2 to 4096.
        offsets: Displacements to count, of either sign.
        mask: Pixels that count are not 0 here; without it, all count.
        symmetric: Count every pair in both directions, as Haralick does.
        normalised: Divide each matrix by its number of pairs; else give the numbers.

    Returns:
        One matrix per image and offset, shape (batch, offsets, levels, levels).

    Raises:
        ValueError: If the image has too few axes, holds NaN or leaves its range inside
            the mask, if ``levels`` is out of range, if there is no offset, if one leads
            nowhere or is as large as the image, if the mask is empty or of another
            shape, or if a matrix to be normalised has no pair.

    Example:
        >>> ramp = torch.tensor([[0.0, 0.0, 1.0]])
        >>> gray_level_cooccurrence(ramp, 2, [Offset(0, 1)], normalised=False)
        tensor([[[1., 1.],
                 [0., 0.]]], dtype=torch.float64)

    References:
        .. [1] Haralick et al., 1973, doi:10.1109/TSMC.1973.4309314
    """
    require_levels(levels)
    ways = _as_ways(offsets)
    axes = len(offsets[0])
    if image.ndim < axes:
        raise ValueError(
            f"image must have at least {axes} axes for offsets of {axes} numbers, "
            f"got shape {tuple(image.shape)}"
        )
    pixels, inside = as_arrays(image, mask)
    bins = unit_bins(pixels, inside, levels)
    depth = image.shape[-3] if axes == 3 else 1
    plan = Plan.of(ways, np.tile(np.arange(len(ways)), (depth, 1)))
    plan.require_fit((depth, *image.shape[-2:]))
    counts = [
        count_tables(place_in_bins(block, within, bins, plan.reach), levels, plan)
        for block, within in zip(
            pixels.reshape(-1, depth, *pixels.shape[1:]),
            inside.reshape(-1, depth, *pixels.shape[1:]),
            strict=True,
        )
    ]
    tables = torch.from_numpy(np.stack(counts).astype(np.float64))
    tables = tables.reshape(*image.shape[:-axes], *tables.shape[1:])
    tables = tables + tables.mT if symmetric else tables
    return _normalised(tables, offsets) if normalised else tables


def _normalised(tables: Tensor, offsets: Sequence[tuple[int, ...]]) -> Tensor:
    pairs = tables.sum((-2, -1), keepdim=True)
    for offset, empty in zip(offsets, (pairs == 0).reshape(-1, len(offsets)).T, strict=True):
        if empty.any():
            raise ValueError(
                "mask must hold both pixels of at least one pair at every offset, "
                f"got none at {offset}; pass normalised=False to have zeros"
            )
    return tables / pairs


class Plan(NamedTuple):
    """Which pairs are counted into which table.

    Attributes:
        ways: Displacements to count.
        reach: How far they lead along each axis.
        targets: Table of each slice and way, with ways to spare that go to the last table;
            shape (slices, a multiple of four).
        tables: Number of tables that count.
        steps: The ways as an array, with those to spare, which lead nowhere.
    """

    ways: tuple[VolumeOffset, ...]
    reach: tuple[int, int, int]
    targets: Pixels
    tables: int
    steps: Pixels

    @classmethod
    def of(cls, ways: Sequence[VolumeOffset], places: Pixels) -> "Plan":
        """Plan the counting.

        Args:
            ways: Displacements to count.
            places: Table of each slice and way, counted from 0.
        """
        slices, count = places.shape
        tables = int(places.max()) + 1
        targets = np.full((slices, count + -count % 4), tables, np.int64)
        targets[:, :count] = places
        steps = np.zeros((targets.shape[1], 3), np.int64)
        steps[:count] = ways
        depth, rows, cols = (max(abs(way[axis]) for way in ways) for axis in range(3))
        return cls(tuple(ways), (depth, rows, cols), targets, tables, steps)

    def require_fit(self, shape: Sequence[int]) -> None:
        """Refuse ways that lead out of the volume from everywhere.

        Args:
            shape: Slices, rows and columns of the volume; one slice for an image.

        Raises:
            ValueError: If a way is as long as the volume along an axis.
        """
        for way in self.ways:
            if any(abs(step) >= size for step, size in zip(way, shape, strict=True)):
                flat = shape[0] == 1
                size = " x ".join(str(n) for n in (shape[1:] if flat else shape))
                offset, name = (Offset(*way[1:]), "image") if flat else (way, "volume")
                raise ValueError(
                    f"offsets must be smaller than the {name} of {size} pixels, got {offset}"
                )


def count_tables(padded: Pixels, levels: int, plan: Plan) -> Pixels:
    """Count the pairs of one volume of levels, without any check.

    Args:
        padded: Levels with a margin as wide as the plan reaches, shape (slices, rows,
            cols); the margin, and what does not count, holds ``levels``.
        levels: Number of gray levels.
        plan: What to count into which table.

    Returns:
        Counts, shape (tables, levels, levels); a part of a larger array.
    """
    from glcm_mae.texture import tallies  # numba takes a second

    counts = np.zeros((plan.tables + 1, levels + 1, levels + 1), np.uint32)
    tallies.count_pairs(padded, plan.reach, plan.steps, plan.targets, counts, levels + 1)
    return counts[: plan.tables, :levels, :levels]


class Tally(NamedTuple):
    """What is needed of counted tables: their marginals, and what these do not settle.

    Attributes:
        rows: Distribution of the reference pixel's level, shape (tables, levels).
        columns: Distribution of its neighbour's level, shape (tables, levels).
        sums: Distribution of their sum, shape (tables, 2 * levels - 1).
        differences: Distribution of their absolute difference, shape (tables, levels).
        scalars: Energy, largest probability, entropy, covariance, the maximal
            correlation coefficient and the number of pairs, shape (tables, 6).
    """

    rows: Pixels
    columns: Pixels
    sums: Pixels
    differences: Pixels
    scalars: Pixels

    @classmethod
    def of(
        cls, pixels: Pixels, inside: Pixels, bins: Bins, plan: Plan, *, symmetric: bool
    ) -> "Tally":
        """Bin the pixels of one image or volume, count their pairs, reduce the tables.

        Args:
            pixels: Gray values, shape (slices, height, width).
            inside: Whether a pixel counts; of no pixel at all, if every one does.
            bins: How a value becomes a level.
            plan: What to count into which table.
            symmetric: Whether to count every pair in both directions.

        Raises:
            ValueError: If a pixel that counts is NaN or outside ``[0, 1]``, for the bins
                of that.
        """
        from glcm_mae.texture import tallies  # numba takes a second

        found = cls._empty(plan.tables, bins.levels)
        if tallies.tally(
            pixels,
            inside,
            bins[:6],
            bins.levels,
            plan.reach,
            plan.steps,
            plan.targets,
            symmetric,
            *found,
            tallies.LANES,
        ):
            refuse_stray(pixels, inside if inside.size else np.ones(pixels.shape, np.bool_))
        return found

    @classmethod
    def of_tables(cls, tables: Pixels, *, symmetric: bool) -> "Tally":
        """Reduce tables that are counted already; they are used up.

        Args:
            tables: Counts, shape (tables, levels, levels).
            symmetric: Whether to count every pair in both directions.
        """
        from glcm_mae.texture import tallies  # numba takes a second

        found = cls._empty(*tables.shape[:2])
        tallies.reduce_tables(tables, symmetric, *found, tallies.LANES)
        return found

    @classmethod
    def _empty(cls, count: int, levels: int) -> "Tally":
        rows, columns, differences = np.zeros((3, count, levels))
        sums, scalars = np.zeros((count, 2 * levels - 1)), np.zeros((count, 6))
        return cls(rows, columns, sums, differences, scalars)

    def occupied(self) -> "Tally":
        """Leave out the tables without any pair."""
        rows = self.scalars[:, 5] > 0
        return self if rows.all() else Tally(*(part[rows] for part in self))

    def marginals(self) -> tuple[Marginals, Tensor]:
        """Return the marginals of the tables, and their maximal correlation coefficients."""
        rows, columns, sums, differences, scalars = (torch.from_numpy(part) for part in self)
        energy, largest, entropy, covariance, correlation, _ = scalars.T.contiguous()
        found = Marginals(
            rows, columns, sums, differences, energy, largest, entropy, covariance
        )
        return found, correlation


def _as_ways(offsets: Sequence[tuple[int, ...]]) -> list[VolumeOffset]:
    """Return offsets of three numbers; refuse what leads nowhere."""
    if not offsets:
        raise ValueError("offsets must hold at least one Offset, got none")
    lengths = {len(offset) for offset in offsets}
    if lengths not in ({2}, {3}):
        raise ValueError(
            f"offsets must all have two numbers, or all three, got {list(offsets)}"
        )
    for offset in offsets:
        if not any(offset):
            raise ValueError(
                f"offsets must lead to another pixel, got {offset}; "
                "the pixel to the right is Offset(0, 1)"
            )
    return [VolumeOffset(*(0,) * (3 - len(offset)), *offset) for offset in offsets]


def _require_distances(distances: Sequence[int]) -> None:
    if not distances or len(set(distances)) < len(distances):
        raise ValueError(
            f"distances must hold each distance once, at least one, got {list(distances)}"
        )
    for distance in distances:
        if distance < 1:
            raise ValueError(f"distances must be at least 1 pixel, got {distance}")
