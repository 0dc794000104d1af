"""Mixing the images of a step with each other: mixup and cutmix, with counted numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from glcm_mae.data.batching.randomness import Stream, counted_uniforms

DRAWS = 6
"""Uniform numbers that an image needs."""


class Mixing(NamedTuple):
    """How the images of a step are mixed.

    Attributes:
        mixup: Both parameters of the beta distribution of the share in mixup [1]_; 0: none.
        cutmix: The same in cutmix [2]_; where both are above 0, either happens to half of
            the images that are mixed.
        probability: Probability that an image is mixed at all.

    References:
        .. [1] Zhang et al., 2018, arXiv:1710.09412
        .. [2] Yun et al., 2019, arXiv:1905.04899
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0

    @property
    def active(self) -> bool:
        """Whether anything is mixed."""
        return max(self.mixup, self.cutmix) > 0 and self.probability > 0


class Mixture(NamedTuple):
    """With which other image each image of a step is mixed, and how.

    Attributes:
        partners: Position in the step of the other image.
        shares: Share of the image, and of its label, that stays; 1 where nothing is mixed.
        boxes: Top, bottom, left and right of what the other's pixels replace; all 0 where
            the two are blended.
    """

    partners: NDArray[np.int64]
    shares: NDArray[np.float64]
    boxes: NDArray[np.int64]

    def part(self, begin: int, count: int) -> "Mixture":
        """Return that of some images of the step, one after the other."""
        return self.rows(slice(begin, begin + count))

    def rows(self, chosen: slice | NDArray[np.int64]) -> "Mixture":
        """Return that of some images of the step."""
        return Mixture(self.partners[chosen], self.shares[chosen], self.boxes[chosen])


UNMIXED = Mixture(np.empty(0, dtype=np.int64), np.empty(0), np.empty((0, 4), dtype=np.int64))
"""That of a step whose images stay as they are."""


def draw_mixture(
    samples: Sequence[int] | NDArray[np.int64],
    size: tuple[int, int],
    mixing: Mixing,
    *,
    seed: int,
    epoch: int,
) -> Mixture:
    """Draw with what each image of a whole step is mixed.

    Every number follows from seed, epoch and sample, and a partner is a position in the
    step: so it does not matter how a step is divided over processes and parts.

    Args:
        samples: Number of each sample of the step, in its order.
        size: Height and width of the images.
        mixing: How they are mixed.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.

    Example:
        >>> mixture = draw_mixture([7, 8, 9], (4, 4), Mixing(mixup=0.8), seed=0, epoch=0)
        >>> bool((mixture.partners != [0, 1, 2]).all())
        True
    """
    numbers = [int(sample) for sample in samples]
    count, (height, width) = len(numbers), size
    uniforms = counted_uniforms(seed, epoch, numbers, DRAWS, stream=Stream.MIXING)
    chance, kind, strength, other, row, col = uniforms.T.astype(np.float64)
    steps = 1 + np.floor(other * (count - 1)).astype(np.int64)
    partners = (np.arange(count) + steps) % count
    mixed = (chance < mixing.probability) & (partners != np.arange(count))
    cut = mixed & (kind < 0.5 if mixing.mixup > 0 else mixing.cutmix > 0) & (mixing.cutmix > 0)
    shares = np.where(cut, _beta(strength, mixing.cutmix), _beta(strength, mixing.mixup))
    shares[~mixed] = 1.0
    side = np.where(cut, np.sqrt(1.0 - shares), 0.0)
    boxes = np.stack([*_span(row, side, height), *_span(col, side, width)], axis=1)
    boxes[~cut] = 0
    areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
    shares[cut] = 1.0 - areas[cut] / (height * width)  # boxes are cut off at the border
    return Mixture(partners, shares, boxes)


def _beta(uniforms: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Return numbers of the distribution Beta(alpha, alpha), by the inverse of its integral."""
    if alpha <= 0:
        return np.ones_like(uniforms)
    return np.asarray(betaincinv(alpha, alpha, uniforms))


def _span(
    centre: NDArray[np.float64], share: NDArray[np.float64], side: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    middle, length = np.floor(centre * side), np.floor(share * side)
    first = np.clip(middle - length // 2, 0, side)
    last = np.clip(middle + (length + 1) // 2, 0, side)
    return first.astype(np.int64), last.astype(np.int64)


def mix(
    images: Float[Tensor, "batch channel height width"],
    others: Float[Tensor, "batch channel height width"],
    mixture: Mixture,
) -> Float[Tensor, "batch channel height width"]:
    """Mix images with others as a mixture says, one row an image; returns new images.

    Example:
        >>> import torch
        >>> half = Mixture(np.array([0]), np.array([0.5]), np.zeros((1, 4), dtype=int))
        >>> mix(torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), half).item()
        0.5
    """
    mixed = images.clone()
    for image, other, share, box in zip(
        mixed, others, mixture.shares.tolist(), mixture.boxes.tolist(), strict=True
    ):
        top, bottom, left, right = box
        if bottom > top and right > left:
            image[:, top:bottom, left:right] = other[:, top:bottom, left:right]
        else:
            image.lerp_(other, 1.0 - share)
    return mixed
