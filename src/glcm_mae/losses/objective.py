"""The weighted sum of the terms, and which weights hold when."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.losses.pixel import Border, masked_mse, masked_ssim
from glcm_mae.losses.texture import DEFAULT_OFFSETS, texture_loss
from glcm_mae.texture import Engine, Offset, Scale

TERMS = ("mse", "glcm", "ssim")
"""The terms in the order of the paper's α, β and γ."""


@dataclass(frozen=True)
class Phase:
    """The weights that hold from one epoch to the one before the next phase.

    Attributes:
        first_epoch: First epoch of the phase, counted from 0.
        weights: One weight a term; a term of weight 0 is not computed.
    """

    first_epoch: int
    weights: Mapping[str, float]


def schedule_phases(
    shares: Sequence[float], weights: Sequence[Mapping[str, float]], epochs: int
) -> tuple[Phase, ...]:
    """Divide the epochs among the phases by their shares.

    Args:
        shares: Share of the epochs of each phase; their sum is 1.
        weights: Weights of each phase.
        epochs: Number of epochs.

    Returns:
        The phases; one whose share rounds to no epoch begins where the next does.

    Example:
        >>> [phase.first_epoch for phase in schedule_phases([0.5, 0.5], [{}, {}], 10)]
        [0, 5]
    """
    starts = [round(epochs * sum(shares[:index])) for index in range(len(shares))]
    return tuple(Phase(start, dict(w)) for start, w in zip(starts, weights, strict=True))


def phase_at(phases: Sequence[Phase], epoch: int) -> int:
    """Return the index of the phase that holds in an epoch: the last that has begun."""
    return max(index for index, phase in enumerate(phases) if phase.first_epoch <= epoch)


class ObjectiveValue(NamedTuple):
    """What the objective says of one batch.

    Attributes:
        total: The weighted sum, to be minimised.
        terms: Raw value of every term computed; ``ssim`` is 1 - SSIM.
    """

    total: Float[Tensor, ""]
    terms: dict[str, Float[Tensor, ""]]


def weighted_sum(
    terms: Mapping[str, Float[Tensor, ""]], weights: Mapping[str, float]
) -> Float[Tensor, ""]:
    """Return the sum of the terms, each times its weight.

    Args:
        terms: Raw terms, at least one.
        weights: A weight for every term; further ones are ignored.

    Example:
        >>> terms = {"mse": torch.tensor(3.0), "glcm": torch.tensor(5.0)}
        >>> weighted_sum(terms, {"mse": 1.0, "glcm": 0.5, "ssim": 2.0})
        tensor(5.5000)
    """
    return torch.stack([weights[name] * term for name, term in terms.items()]).sum()


@dataclass(frozen=True)
class Objective:
    """α · MSE + β · GLCM distance + γ · (1 - SSIM) over the hidden patches [1]_.

    Attributes:
        patch_size: Side of a patch in pixels.
        normalised: Measure the MSE in each target patch's standard deviation.
        levels: Gray-level bins of the GLCM.
        bandwidth: Softness of the bins, in bin widths.
        offsets: Displacements of the GLCM.
        further_scales: More levels, bandwidths and offsets, whose distances are added.
        symmetric: Count every pair in both directions.
        engine: How the GLCM distance is computed.
        window: Side of the SSIM window.
        sigma: Standard deviation of the SSIM window.
        border: Where the SSIM window stands, see :func:`masked_ssim`.

    References:
        .. [1] Madan et al., 2025, arXiv:2507.10869, eq. 4
    """

    patch_size: int
    normalised: bool = False
    levels: int = 32
    bandwidth: float = 0.5
    offsets: tuple[Offset, ...] = DEFAULT_OFFSETS
    further_scales: tuple[Scale, ...] = ()
    symmetric: bool = False
    engine: Engine = "fused"
    window: int = 11
    sigma: float = 1.5
    border: Border = "inside"

    def term(
        self,
        name: str,
        prediction: Float[Tensor, "batch channel height width"],
        target: Float[Tensor, "batch channel height width"],
        mask: Bool[Tensor, "batch patches"],
    ) -> Float[Tensor, ""]:
        """Return the raw value of one term: ``mse``, ``glcm`` or ``ssim`` (as 1 - SSIM)."""
        terms: dict[str, Callable[[], Tensor]] = {
            "mse": lambda: masked_mse(
                prediction,
                target,
                mask,
                patch_size=self.patch_size,
                normalised=self.normalised,
            ),
            "glcm": lambda: texture_loss(
                prediction,
                target,
                mask,
                patch_size=self.patch_size,
                levels=self.levels,
                bandwidth=self.bandwidth,
                offsets=self.offsets,
                further_scales=self.further_scales,
                symmetric=self.symmetric,
                engine=self.engine,
            ),
            "ssim": lambda: (
                1.0
                - masked_ssim(
                    prediction,
                    target,
                    mask,
                    patch_size=self.patch_size,
                    window=self.window,
                    sigma=self.sigma,
                    border=self.border,
                )
            ),
        }
        return terms[name]()

    def __call__(
        self,
        prediction: Float[Tensor, "batch channel height width"],
        target: Float[Tensor, "batch channel height width"],
        mask: Bool[Tensor, "batch patches"],
        weights: Mapping[str, float],
    ) -> ObjectiveValue:
        """Return the weighted sum and the raw value of every term with a weight.

        Raises:
            ValueError: If no weight is above 0.
        """
        active = {name: weights.get(name, 0.0) for name in TERMS if weights.get(name, 0.0) > 0}
        if not active:
            raise ValueError(f"at least one weight of {TERMS} must be above 0, got {weights}")
        terms = {name: self.term(name, prediction, target, mask) for name in active}
        return ObjectiveValue(weighted_sum(terms, active), terms)


def gradient_norms(
    terms: Mapping[str, Float[Tensor, ""]], shared: Sequence[Tensor]
) -> dict[str, float]:
    """Return the norm of each raw term's gradient, at parameters they share.

    Nothing is accumulated into ``grad``, and no weight plays a part.

    Args:
        terms: Raw terms whose graph is still alive (and is kept).
        shared: Parameters to measure at, each reached by every term; one norm is
            taken over all of them.

    Example:
        >>> weight = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> gradient_norms({"mse": 3 * weight[0] + 4 * weight[1]}, [weight])
        {'mse': 5.0}
    """
    norms = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, shared, retain_graph=True)
        # In float64, for the squares of small gradients vanish in float32.
        parts = [torch.linalg.vector_norm(part, dtype=torch.float64) for part in gradients]
        norms[name] = math.hypot(*map(float, parts))
    return norms


def gradient_shares(
    value: ObjectiveValue, weights: Mapping[str, float], shared: Sequence[Tensor]
) -> dict[str, float]:
    """Return how the gradient norm divides among the terms, at parameters they share.

    Args:
        value: An objective whose graph is still alive (and is kept).
        weights: The weights it was computed with.
        shared: Parameters to measure at; the last shared layer is the usual choice [1]_.

    Returns:
        Weighted gradient norm of each term over the sum of all; they sum to one.

    References:
        .. [1] Chen et al., 2018, arXiv:1711.02257
    """
    return norm_shares(gradient_norms(value.terms, shared), weights)


def norm_shares(norms: Mapping[str, float], weights: Mapping[str, float]) -> dict[str, float]:
    """Return each weighted norm over the sum of all.

    Example:
        >>> norm_shares({"mse": 1.0, "glcm": 3.0}, {"mse": 3.0, "glcm": 1.0})
        {'mse': 0.5, 'glcm': 0.5}
    """
    weighted = {name: weights[name] * norm for name, norm in norms.items()}
    total = sum(weighted.values())
    return {name: norm / total if total > 0 else 0.0 for name, norm in weighted.items()}
