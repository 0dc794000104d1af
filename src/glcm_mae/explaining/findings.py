"""Maps held against marked findings: does what the classifier looks at lie inside?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.data import ImageTable, ReadingPolicy, UnreadableImageError, fit_image, read_image
from glcm_mae.data.batching.randomness import counted_permutation
from glcm_mae.data.tables.manifests import columns_of
from glcm_mae.data.tables.masks import pair_masks, read_mask
from glcm_mae.errors import InputError
from glcm_mae.explaining.likeness import mean_interval
from glcm_mae.explaining.maps import Maps, spread
from glcm_mae.statistics import Interval, clustered_proportion_interval


@dataclass(frozen=True)
class FindingMasks:
    """The masks of a table's images, as far as there are any.

    Attributes:
        table: The images.
        files: Masks of each image by its row; images without one are left out.
        policy: How the images are read; masks are fitted alike.
    """

    table: ImageTable
    files: Mapping[int, tuple[Path, ...]]
    policy: ReadingPolicy

    @classmethod
    def find(
        cls, table: ImageTable, source: Path, masks: str, policy: ReadingPolicy
    ) -> "FindingMasks":
        """Find masks as ``glcm-mae texture`` finds them.

        Args:
            table: The images.
            source: What the table was read from.
            masks: A folder, or what names add; empty: the manifest's column ``mask``.
            policy: How the images are read.

        Raises:
            InputError: If masks are asked for and there are none, or a listed one is missing.
        """
        if masks:
            kept, found = pair_masks(table, masks)
            rows = {name: row for row, name in enumerate(table.names)}
            files = {
                rows[name]: own for name, own in zip(kept.names, found, strict=True) if own
            }
            return cls(table, files, policy)
        column = columns_of(source, table).get("mask", {})
        files = {
            row: (table.root / column[name],)
            for row, name in enumerate(table.names)
            if column.get(name)
        }
        gone = [own[0] for own in files.values() if not own[0].is_file()]
        if gone:
            raise InputError(
                f"{source}: {len(gone)} masks of its column mask are missing, such as "
                f"{gone[0]}; correct these rows or leave their masks empty"
            )
        return cls(table, files, policy)

    def read(self, row: int) -> NDArray[np.bool_] | None:
        """Return the finding of an image, fitted as the image is; None if none is left of it.

        Raises:
            InputError: If the mask cannot be read, or has another size than its image.
        """
        whole = replace(self.policy, size=None)
        try:
            image = read_image(self.table.file(row), frame=self.table.frame(row), policy=whole)
            mask = read_mask(self.files[row], (image.shape[1], image.shape[2]))
        except UnreadableImageError as error:
            raise InputError(f"masks: {error}") from error
        if self.policy.size is None:
            raise ValueError("the policy of a classifier tells the size of its images")
        fitted = fit_image(mask[None].astype(np.float32), self.policy.size, self.policy.fit)
        found = fitted[0] > 0.5
        return found if found.any() and not found.all() else None


class Hold(NamedTuple):
    """How one map lies to one finding.

    Attributes:
        mass: Share of the map that lies inside.
        area: Share of the image that the finding takes: what an even map would have inside.
        peak: Whether the highest place of the map lies inside.
    """

    mass: float
    area: float
    peak: bool


def hold_against(
    values: Float[Tensor, "height width"], finding: Bool[Tensor, "height width"]
) -> Hold:
    """Hold a map against a finding: relevance mass [1]_ and pointing game [2]_.

    Args:
        values: The map; signs are left out.
        finding: Where the finding is; not empty.

    Returns:
        Mass (the finding's area for a map of zeros), area, and whether the peak hits. Of
        several highest places the finding has its share.

    Example:
        >>> hold_against(torch.tensor([[3.0, 1.0]]), torch.tensor([[True, False]]))
        Hold(mass=0.75, area=0.5, peak=True)

    References:
        .. [1] Arras et al., 2022, doi:10.1016/j.inffus.2021.11.008
        .. [2] Zhang et al., 2018, doi:10.1007/s11263-017-1059-x
    """
    sizes = values.double().abs()
    area, total = float(finding.double().mean()), float(sizes.sum())
    mass = float(sizes[finding].sum()) / total if total > 0 else area
    highest = sizes == sizes.max()
    return Hold(mass, area, bool(2 * (highest & finding).sum() > highest.sum()))


@dataclass(frozen=True)
class Held:
    """How maps of one kind lie to the findings.

    Attributes:
        mass: Mean share of the map inside, with its interval.
        beyond: Mean of mass minus area, with its interval.
        peaks: Share of images whose peak lies inside, with its interval.
        area: Mean share of the image that the finding takes: what chance gives both.
        images: Images with a finding.
    """

    mass: Interval
    beyond: Interval
    peaks: Interval
    area: float
    images: int


def summarise_holds(holds: Sequence[Hold], clusters: NDArray[np.int64], *, seed: int) -> Held:
    """Return means over images with intervals over whole clusters.

    Args:
        holds: One an image, at least one.
        clusters: Number of the patient, or other cluster, of each image.
        seed: Seed of the bootstrap.
    """
    mass, area = (np.array([getattr(h, name) for h in holds]) for name in ("mass", "area"))
    peaks = np.array([h.peak for h in holds])
    return Held(
        mean_interval(mass, clusters, seed=seed),
        mean_interval(mass - area, clusters, seed=seed),
        clustered_proportion_interval(peaks, clusters),
        float(area.mean()),
        len(holds),
    )


def holds_of(maps: Maps, findings: Sequence[NDArray[np.bool_]]) -> dict[str, list[Hold]]:
    """Return how the maps of images lie to their findings, by kind of map.

    Args:
        maps: Maps of the images, in the order of the findings.
        findings: Where the finding of each image is.
    """
    size = findings[0].shape
    kinds = {"gradient": maps.gradient}
    if maps.rollout is not None:
        kinds = {"rollout": maps.rollout, **kinds}
    return {
        name: [
            hold_against(one, torch.from_numpy(finding))
            for one, finding in zip(spread(values, size), findings, strict=True)
        ]
        for name, values in kinds.items()
    }


def some_of(rows: NDArray[np.int64], count: int, *, seed: int, fold: int) -> NDArray[np.int64]:
    """Return some places of a list, drawn by seed and fold, in ascending order."""
    return np.sort(counted_permutation(seed, fold, len(rows))[:count])
