"""How the gray levels of an image are distributed, wherever they stand."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from glcm_mae.fidelity.pixels import Images, Scores, require_alike

BINS = 64
"""Bins of a histogram between black and white."""

_SMOOTHING = 0.5
"""Pixels added to every bin before logarithms are taken (Jeffreys' prior)."""


def gray_histogram(images: Images, *, bins: int = BINS) -> Float[Tensor, "batch bins"]:
    """Return the share of pixels in each of equal bins of [0, 1].

    Args:
        images: Images in [0, 1]; of colour, the mean over the channels counts.
        bins: Number of bins; white belongs to the last.

    Returns:
        One row an image, which sums to one.

    Example:
        >>> gray_histogram(torch.tensor([[[[0.0, 0.2, 0.9, 1.0]]]]), bins=2)
        tensor([[0.5000, 0.5000]])
    """
    gray = images.float().mean(dim=1).flatten(1)
    places = (gray * bins).long().clamp(0, bins - 1)
    counts = torch.zeros(len(gray), bins, device=gray.device)
    counts.scatter_add_(1, places, torch.ones_like(gray))
    return counts / gray.shape[1]


def wasserstein_distance(restored: Images, originals: Images) -> Scores:
    """Return how far gray levels must be moved to have the original's distribution.

    The first Wasserstein distance of all pixels, without bins: the mean difference of the
    sorted gray levels, as ``scipy.stats.wasserstein_distance`` gives it.

    Args:
        restored: Restored images in [0, 1]; of colour, the mean over the channels counts.
        originals: What they should be.

    Returns:
        One number an image, in shares of the gray range, 0 for equal distributions; on the
        CPU.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> light = torch.tensor([[[[0.0, 0.5]]]])
        >>> wasserstein_distance(light.flip(3), light)
        tensor([0.], dtype=torch.float64)
        >>> wasserstein_distance(light + 0.25, light)
        tensor([0.2500], dtype=torch.float64)
    """
    require_alike(restored, originals)
    pair = (images.float().mean(dim=1).flatten(1) for images in (restored, originals))
    # NumPy sorts numbers many times faster than torch.
    one, other = (np.sort(gray.detach().cpu().numpy(), axis=1) for gray in pair)
    return torch.from_numpy(np.abs(one - other).mean(axis=1, dtype=np.float64))


def histogram_divergence(restored: Images, originals: Images, *, bins: int = BINS) -> Scores:
    """Return the Kullback-Leibler divergence of the original's histogram from the restored.

    ``Σ p log2(p / q)`` over the bins, p of the original. Half a pixel is added to every
    bin of both, so that an empty one does not make it infinite.

    Args:
        restored: Restored images in [0, 1]; of colour, the mean over the channels counts.
        originals: What they should be.
        bins: Number of bins.

    Returns:
        Bits, one number an image, 0 for equal histograms.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> images = torch.rand(2, 1, 16, 16)
        >>> histogram_divergence(images, images)
        tensor([0., 0.], dtype=torch.float64)
    """
    require_alike(restored, originals)
    pixels = originals.shape[2] * originals.shape[3]
    shares = []
    for images in (restored, originals):
        counts = gray_histogram(images, bins=bins).double() * pixels
        shares.append((counts + _SMOOTHING) / (pixels + _SMOOTHING * bins))
    q, p = shares
    return (p * (p / q).log2()).sum(dim=1)
