"""Weights that keep the terms' shares of the gradient norm."""

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class GradientBalance:
    """Read the weights of the terms as their shares of the gradient norm.

    The idea is GradNorm's [1]_: what a term brings to the sum is the norm of its
    gradient at the last layer that all terms share, not its value. GradNorm learns its
    weights by descent on a loss of their own, whose targets follow each task's rate of
    training. Here nothing is learned: the targets are the weights w as given, and the
    weights λ that meet them are written down, with n the smoothed norms of the raw terms::

        λ_i = w_i / sum(w) * sum(w * n) / n_i

    So λ_i n_i is in proportion to w_i, and the norms add up to what they do with fixed
    weights.

    Norms are smoothed by a geometric mean, since terms differ by orders of magnitude and
    a norm must weigh as much as its inverse. The first of a term is taken as it is. One
    that is zero or not finite is passed over: it says nothing about the scale of its
    term. A term that has no norm yet keeps its weight, and the others are balanced among
    themselves.

    Attributes:
        momentum: Share of the old norm in the new, from 0 to below 1.
        limit: Largest factor between the weight given and the one used, either way;
            beyond it the shares are not reached, rather than noise blown up.
        norms: Smoothed gradient norm of each raw term measured so far.

    Raises:
        ValueError: If ``momentum`` or ``limit`` is out of range.

    Example:
        >>> balance = GradientBalance()
        >>> balance.update({"mse": 1.0, "glcm": 4.0})
        >>> balance.weights({"mse": 0.5, "glcm": 0.5})
        {'mse': 1.25, 'glcm': 0.3125}

    References:
        .. [1] Chen et al., 2018, arXiv:1711.02257
    """

    momentum: float = 0.9
    limit: float = 1000.0
    norms: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be from 0 to below 1, got {self.momentum}")
        if not self.limit >= 1:
            raise ValueError(f"limit must be at least 1, got {self.limit}")

    def needs(self, weights: Mapping[str, float]) -> bool:
        """Return whether a term with a weight has no norm yet, as when a phase begins."""
        return any(weight > 0 and name not in self.norms for name, weight in weights.items())

    def update(self, norms: Mapping[str, float]) -> None:
        """Take in the gradient norms of raw terms, measured at the same parameters.

        Args:
            norms: As :func:`glcm_mae.losses.gradient_norms` gives them; of several
                processes, their mean. Terms that are not in it keep their norms.
        """
        for name, norm in norms.items():
            if _is_scale(norm):
                old = self.norms.get(name)
                self.norms[name] = norm if old is None else self._mean(old, norm)

    def weights(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Return the weights that give the terms their shares of the gradient norm.

        Args:
            weights: The weights of the phase, to be read as shares.

        Returns:
            The weights to sum the terms with, in the same order; plain numbers, so that
            no gradient passes through them.
        """
        measured = [
            name for name, weight in weights.items() if weight > 0 and name in self.norms
        ]
        if not measured:
            return dict(weights)
        total = math.fsum(weights[name] for name in measured)
        mean = math.fsum(weights[name] / total * self.norms[name] for name in measured)
        factors = {
            name: min(max(mean / self.norms[name], 1 / self.limit), self.limit)
            for name in measured
        }
        return {name: weight * factors.get(name, 1.0) for name, weight in weights.items()}

    def _mean(self, old: float, new: float) -> float:
        mean = math.pow(old, self.momentum) * math.pow(new, 1 - self.momentum)
        # Rounding must not carry it past either: equal norms have that norm as their mean.
        return min(max(mean, min(old, new)), max(old, new))

    def state(self) -> dict[str, float]:
        """Return the smoothed norms, all there is to remember; JSON keeps them bit for bit."""
        return dict(self.norms)

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from what :meth:`state` returned.

        Raises:
            ValueError: If a norm is not a finite number above 0.
        """
        for name, norm in state.items():
            if not _is_scale(norm):
                raise ValueError(f"norm of {name} must be finite and above 0, got {norm}")
        self.norms = {name: float(norm) for name, norm in state.items()}


def _is_scale(norm: float) -> bool:
    """Return whether a norm can be divided by: finite, and not as small as a rounding."""
    return math.isfinite(norm) and norm >= sys.float_info.min
