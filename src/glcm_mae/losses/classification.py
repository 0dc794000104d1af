"""Cross-entropy of images that may have been mixed, every class with its weight."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


class MixedLabels(NamedTuple):
    """Two labels an image.

    Attributes:
        own: Class of the image.
        other: Class of the image that was mixed in.
        share: Share of the own one; 1 where nothing was mixed in.
    """

    own: Int[Tensor, "batch"]
    other: Int[Tensor, "batch"]
    share: Float[Tensor, "batch"]

    def weight(self, class_weights: Float[Tensor, "classes"]) -> float:
        """Return the sum of the weights of all images, a mixed one's by its shares.

        Example:
            >>> mixed = MixedLabels(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.25]))
            >>> mixed.weight(torch.tensor([1.0, 3.0]))
            2.5
        """
        share, weights = self.share.double(), class_weights.double()
        return float((share * weights[self.own] + (1 - share) * weights[self.other]).sum())


def mixed_cross_entropy(
    logits: Float[Tensor, "batch classes"],
    labels: MixedLabels,
    class_weights: Float[Tensor, "classes"],
    *,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    """Sum the cross-entropy over images: by shares that of the own and of the other label.

    It is the loss of mixup [1]_ and cutmix, and torch's own where nothing is mixed.

    Args:
        logits: One row an image.
        labels: On the same device.
        class_weights: What an image of each class counts.
        label_smoothing: Share of each target that is spread over all classes.

    Example:
        >>> mixed = MixedLabels(torch.tensor([0]), torch.tensor([1]), torch.tensor([0.5]))
        >>> mixed_cross_entropy(torch.zeros(1, 2), mixed, torch.ones(2))
        tensor(0.6931)

    References:
        .. [1] Zhang et al., 2018, arXiv:1710.09412
    """
    own, other = (
        functional.cross_entropy(
            logits,
            target,
            weight=class_weights,
            label_smoothing=label_smoothing,
            reduction="none",
        )
        for target in (labels.own, labels.other)
    )
    return torch.sum(labels.share * own + (1 - labels.share) * other)
