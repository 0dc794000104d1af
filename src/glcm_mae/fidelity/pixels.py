"""Errors of single pixels."""

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "batch channel height width"]
Scores = Float[Tensor, "batch"]


def require_alike(restored: Images, originals: Images) -> None:
    """Refuse images that cannot be held against each other.

    Raises:
        ValueError: If their shapes differ.
    """
    if restored.shape != originals.shape:
        raise ValueError(
            f"restored {tuple(restored.shape)} and originals {tuple(originals.shape)} differ"
        )


def mean_squared_error(restored: Images, originals: Images) -> Scores:
    """Return the mean squared error of each image.

    Args:
        restored: Restored images in [0, 1].
        originals: What they should be.

    Returns:
        One number an image, from 0 for equal images to 1; squared gray range.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> mean_squared_error(torch.full((1, 1, 8, 8), 0.5), torch.zeros(1, 1, 8, 8))
        tensor([0.2500])
    """
    require_alike(restored, originals)
    return (restored.float() - originals.float()).square().mean(dim=(1, 2, 3))


def psnr(restored: Images, originals: Images) -> Scores:
    """Return the peak signal-to-noise ratio of each image: -10 log10 of the squared error.

    Args:
        restored: Restored images in [0, 1].
        originals: What they should be.

    Returns:
        Decibels, higher for smaller errors; infinite for equal images.

    Raises:
        ValueError: If the shapes differ.

    Example:
        >>> psnr(torch.full((1, 1, 8, 8), 0.1), torch.zeros(1, 1, 8, 8))
        tensor([20.])
    """
    return -10.0 * torch.log10(mean_squared_error(restored, originals))
