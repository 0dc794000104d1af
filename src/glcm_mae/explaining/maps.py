"""Maps of what a classifier looks at, and what is left of them with random weights."""

import copy
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn

from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.errors import InputError
from glcm_mae.model import Classifier
from glcm_mae.model.attribution import grad_cam, integrated_gradients, saliency
from glcm_mae.model.baseline import Baseline
from glcm_mae.model.rollout import Fusion, patch_relevance

Map = Literal["integrated-gradients", "gradcam", "saliency"]

BATCH = 8
"""Images whose maps are computed at once; integrated gradients take their steps in turn."""

_SHUFFLED = 1  # sets the draws apart from those that weights started from


@dataclass(frozen=True)
class Maps:
    """Maps of some images.

    Attributes:
        rollout: Share of each patch, one sum to an image; None for a baseline.
        gradient: Map of the predicted class; of integrated gradients with signs.
        missed: By how much integrated gradients miss completeness; empty for other maps.
    """

    rollout: Float[Tensor, "batch rows cols"] | None
    gradient: Float[Tensor, "batch height width"]
    missed: Float[Tensor, "batch"]


@dataclass(frozen=True)
class Mapping:
    """How maps are made.

    Attributes:
        kind: Gradient-based map.
        steps: Points on the path of integrated gradients.
        reference: What integrated gradients start from.
        fusion: How attention rollout fuses the heads.
    """

    kind: Map
    steps: int
    reference: Literal["mean", "black"]
    fusion: Fusion

    def maps(
        self,
        model: Classifier | Baseline,
        images: Float[Tensor, "batch channel height width"],
        classes: Int[Tensor, "batch"],
    ) -> Maps:
        """Return the maps of images, on the processor.

        Args:
            model: In evaluation mode, in float32.
            images: Images in [0, 1], wherever they are.
            classes: The class asked about, of each image.

        Raises:
            InputError: If a baseline ends in no map, so that it has no Grad-CAM.
        """
        device = next(model.parameters()).device
        rollouts, gradients, missed = [], [], []
        for start in range(0, len(images), BATCH):
            some = images[start : start + BATCH].to(device)
            own = classes[start : start + BATCH].to(device)
            if isinstance(model, Classifier):
                rollouts.append(patch_relevance(model, some, self.fusion).cpu())
            gradient, miss = self._gradient(model, some, own)
            gradients.append(gradient.cpu())
            missed.append(miss.cpu())
        rolled = torch.cat(rollouts) if rollouts else None
        return Maps(rolled, torch.cat(gradients), torch.cat(missed))

    def _gradient(
        self, model: Classifier | Baseline, images: Tensor, classes: Tensor
    ) -> tuple[Tensor, Tensor]:
        nothing = torch.empty(0)
        if self.kind == "saliency":
            return saliency(model, images, classes).amax(dim=1), nothing
        if self.kind == "gradcam":
            try:
                return grad_cam(model, images, classes), nothing
            except ValueError as error:
                raise InputError(
                    f"map: gradcam is not defined here ({error}); choose another --map"
                ) from error
        start = self._start(model, images)
        found, missed = integrated_gradients(model, images, classes, start, steps=self.steps)
        return found.sum(dim=1), missed

    def _start(self, model: Classifier | Baseline, images: Tensor) -> Tensor:
        channels = images.shape[1]
        if self.reference == "black":
            return images.new_zeros(1, channels, 1, 1)
        inner = model.encoder if isinstance(model, Classifier) else model
        mean = inner.input_mean
        # A model of three channels may be shown gray images: then one gray for all.
        return (mean if len(mean) == channels else mean.mean()[None]).view(1, -1, 1, 1)


def shuffled(model: Classifier | Baseline, *, seed: int, number: int) -> Classifier | Baseline:
    """Return a copy of a model whose weights are shuffled within every tensor.

    So they keep their sizes and lose all that was learnt. One model in the place of many
    draws: the cheap end of the randomisation test of Adebayo et al. [1]_.

    Args:
        model: The model.
        seed: Seed of the shuffling.
        number: Number of the model, so that each is shuffled otherwise.

    References:
        .. [1] Adebayo et al., 2018, arXiv:1810.03292
    """
    other = copy.deepcopy(model)
    generator = counted_generator(seed, Stream.WEIGHTS, _SHUFFLED, number)
    with torch.no_grad():
        for parameter in other.parameters():
            flat = parameter.reshape(-1)
            order = torch.randperm(len(flat), generator=generator)
            parameter.copy_(flat[order.to(flat.device)].view_as(parameter))
    return other.eval()


def rank_correlation(first: Tensor, second: Tensor) -> float:
    """Return Spearman's correlation of the sizes of two maps; NaN if one is even.

    Signs are left out: a map that is turned round shows the same places.

    Example:
        >>> rank_correlation(torch.tensor([1.0, -2.0, 3.0]), torch.tensor([1.0, 4.0, 9.0]))
        1.0
    """
    one, other = (part.double().abs().reshape(-1).numpy() for part in (first, second))
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return float("nan")
    return float(spearmanr(one, other).statistic)


def correlations(known: Maps, random: Maps) -> dict[str, NDArray[np.float64]]:
    """Return of every image how alike its maps by two models are.

    Args:
        known: Maps by the trained model.
        random: Maps of the same images by one of random weights.

    Returns:
        Rank correlations, one an image: ``gradient``, and ``rollout`` where there is one.
    """
    pairs: dict[str, tuple[Any, Any]] = {"gradient": (known.gradient, random.gradient)}
    if known.rollout is not None:
        pairs = {"rollout": (known.rollout, random.rollout), **pairs}
    return {
        name: np.array([rank_correlation(a, b) for a, b in zip(*both, strict=True)])
        for name, both in pairs.items()
    }


def spread(
    values: Float[Tensor, "batch rows cols"], size: tuple[int, int]
) -> Float[Tensor, "batch height width"]:
    """Bring a map to the size of the image: every place becomes an even block.

    Example:
        >>> spread(torch.tensor([[[1.0, 2.0]]]), (1, 4))
        tensor([[[1., 1., 2., 2.]]])
    """
    return nn.functional.interpolate(values[:, None], size=size, mode="nearest")[:, 0]
