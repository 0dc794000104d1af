"""Structural similarity, at one scale and at several."""

import torch
from torch import Tensor
from torch.nn import functional

from glcm_mae.fidelity.pixels import Images, Scores, require_alike
from glcm_mae.losses.pixel import ssim_maps

WINDOW = 11
"""Side of the Gaussian window in pixels; its standard deviation is 1.5."""

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the scales, the finest first, as Wang et al. measured them on people."""


def ssim(restored: Images, originals: Images) -> Scores:
    """Return the structural similarity of each image [1]_.

    The mean over the positions of a Gaussian window of 11 pixels that lies wholly inside:
    as ``skimage.metrics.structural_similarity`` with ``gaussian_weights=True``,
    ``use_sample_covariance=False`` and ``data_range=1``.

    Args:
        restored: Restored images in [0, 1], at least 11 pixels high and wide.
        originals: What they should be.

    Returns:
        One number an image, from -1 to 1 for equal images; the mean over its channels.

    Raises:
        ValueError: If the shapes differ or the images are smaller than the window.

    Example:
        >>> images = torch.rand(2, 1, 16, 24)
        >>> ssim(images, images)
        tensor([1., 1.])

    References:
        .. [1] Wang et al., 2004, doi:10.1109/TIP.2003.819861 (K1 0.01, K2 0.03, range 1)
    """
    _require_room(restored, originals)
    return _scores(restored.float(), originals.float())[0].mean(dim=1)


def count_scales(height: int, width: int) -> int:
    """Return at how many scales images of a size are compared: five where they allow it.

    Each scale halves the image, and the coarsest still holds the window.

    Example:
        >>> count_scales(224, 224), count_scales(96, 128), count_scales(16, 224)
        (5, 4, 1)
    """
    shorter, scales = min(height, width), 1
    while scales < len(WEIGHTS) and shorter // 2 >= WINDOW:
        shorter, scales = shorter // 2, scales + 1
    return scales


def ms_ssim(restored: Images, originals: Images, *, scales: int | None = None) -> Scores:
    """Return the multi-scale structural similarity of each image [1]_.

    Contrast and structure at every scale, each to the power of its weight, times the
    luminance at the coarsest. Between scales the mean of 2 x 2 pixels is taken. Images too
    small for five scales are compared at fewer, the finest ones, and the weights of these
    are divided by their sum; at one scale it is the SSIM. A negative mean counts as 0, for
    it has no such power.

    Args:
        restored: Restored images in [0, 1], at least 11 pixels high and wide.
        originals: What they should be.
        scales: How many; without it, :func:`count_scales`.

    Returns:
        One number an image, from 0 to 1 for equal images; the mean over its channels.

    Raises:
        ValueError: If the shapes differ, or the images are too small for the scales.

    Example:
        >>> images = torch.rand(2, 1, 48, 48)
        >>> ms_ssim(images, images)
        tensor([1., 1.])

    References:
        .. [1] Wang et al., 2003, doi:10.1109/ACSSC.2003.1292216
    """
    _require_room(restored, originals)
    possible = count_scales(*originals.shape[2:])
    scales = possible if scales is None else scales
    if not 1 <= scales <= possible:
        raise ValueError(
            f"scales must lie between 1 and {possible} for images of {originals.shape[2]} x "
            f"{originals.shape[3]} pixels, got {scales}"
        )
    return _over_scales(restored.float(), originals.float(), scales)[1]


def similarities(restored: Images, originals: Images) -> tuple[Scores, Scores]:
    """Return :func:`ssim` and :func:`ms_ssim`, whose finest scale is computed once.

    Raises:
        ValueError: If the shapes differ or the images are smaller than the window.

    Example:
        >>> images = torch.rand(1, 1, 48, 48)
        >>> similarities(images, images)
        (tensor([1.]), tensor([1.]))
    """
    _require_room(restored, originals)
    scales = count_scales(*originals.shape[2:])
    return _over_scales(restored.float(), originals.float(), scales)


def _over_scales(a: Images, b: Images, scales: int) -> tuple[Scores, Scores]:
    """Return the similarity at the finest scale, and that of several."""
    whole, structure = _scores(a, b)
    finest = whole.mean(dim=1)
    if scales == 1:
        return finest, finest
    weights = torch.tensor(WEIGHTS[:scales]) / sum(WEIGHTS[:scales])
    product = torch.ones_like(whole)
    for weight in weights[:-1].tolist():
        product = product * structure.clamp(min=0.0) ** weight
        a, b = functional.avg_pool2d(a, 2), functional.avg_pool2d(b, 2)
        whole, structure = _scores(a, b)
    product = product * whole.clamp(min=0.0) ** float(weights[-1])
    return finest, product.mean(dim=1)


def _scores(a: Images, b: Images) -> tuple[Tensor, Tensor]:
    """Return the mean similarity of each channel, and that without the luminance."""
    luminance, structure = ssim_maps(a, b, window=WINDOW)
    return (luminance * structure).mean(dim=(2, 3)), structure.mean(dim=(2, 3))


def _require_room(restored: Images, originals: Images) -> None:
    require_alike(restored, originals)
    if min(originals.shape[2:]) < WINDOW:
        raise ValueError(
            f"images must be at least {WINDOW} pixels high and wide, the window of the SSIM, "
            f"got {originals.shape[2]} x {originals.shape[3]}"
        )
