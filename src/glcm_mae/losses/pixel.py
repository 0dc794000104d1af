"""Pixel and structure terms, on the hidden patches alone."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.losses.selection import hidden_patches

Border = Literal["inside", "whole"]
"""Where a window may stand: wholly inside the patch, or at every pixel of it."""


def masked_mse(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
    mask: Bool[Tensor, "batch patches"],
    *,
    patch_size: int,
    normalised: bool = False,
) -> Float[Tensor, ""]:
    """Return the mean squared error over the hidden pixels.

    With ``normalised``, the error of every patch is measured in units of its
    target's standard deviation, so that faint texture weighs as much as strong
    edges. (He et al. [1]_ predict such normalised pixels; here the prediction stays
    in image units, and only the measure changes.)

    Args:
        prediction: Predicted images.
        target: True images in [0, 1].
        mask: True where a patch was hidden.
        patch_size: Side of a patch in pixels.
        normalised: Divide each patch's error by its target's variance.

    Returns:
        A scalar, 0 or more; gray-range units squared, or without unit.

    Raises:
        ValueError: If shapes differ, or no patch is hidden.

    Example:
        >>> target = torch.zeros(1, 1, 2, 4)
        >>> masked_mse(target + 0.5, target, torch.tensor([[True, False]]), patch_size=2)
        tensor(0.2500)

    References:
        .. [1] He et al., 2022, arXiv:2111.06377
    """
    predicted, true = hidden_patches(prediction, target, mask, patch_size=patch_size)
    error = (predicted - true).square()
    if normalised:
        variance = true.var(dim=(1, 2, 3), keepdim=True, unbiased=False)
        # 1e-6 as in the MAE: a flat patch has no scale of its own.
        error = error / (variance + 1e-6)
    return error.mean()


def masked_ssim(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
    mask: Bool[Tensor, "batch patches"],
    *,
    patch_size: int,
    window: int = 11,
    sigma: float = 1.5,
    border: Border = "inside",
) -> Float[Tensor, ""]:
    """Return the mean structural similarity of the hidden patches [1]_.

    Each patch is compared with its own target through a Gaussian window, by default at
    the positions where the window lies wholly inside the patch, as is usual. There the
    outermost pixels hardly count: with a window of 11 in a patch of 16 a pixel of the
    border has a thousandth of the weight of one in the middle, and whatever another term wants
    of a patch can be put there at no cost. ``border="whole"`` lets the window stand at
    every pixel; what of it lies outside is left out, and the rest scaled up to one. The
    loss made of it is ``1 - masked_ssim(...)``.

    Args:
        prediction: Predicted images.
        target: True images in [0, 1].
        mask: True where a patch was hidden.
        patch_size: Side of a patch in pixels.
        window: Side of the window in pixels; odd, at most the patch.
        sigma: Standard deviation of the window in pixels.
        border: Where the window stands: ``inside`` or ``whole``.

    Returns:
        A scalar between -1 and 1; 1 for equal patches.

    Raises:
        ValueError: If the window is even or larger than the patch, shapes differ, or
            no patch is hidden.

    Example:
        >>> images = torch.rand(1, 1, 16, 32)
        >>> mask = torch.tensor([[True, False]])
        >>> masked_ssim(images, images, mask, patch_size=16)
        tensor(1.)

    References:
        .. [1] Wang et al., 2004, doi:10.1109/TIP.2003.819861 (K1 0.01, K2 0.03, range 1)
    """
    if window % 2 == 0 or window > patch_size:
        raise ValueError(f"window must be odd and at most {patch_size}, got {window}")
    predicted, true = hidden_patches(prediction, target, mask, patch_size=patch_size)
    with torch.autocast(predicted.device.type, enabled=False):
        luminance, structure = ssim_maps(
            predicted.flatten(0, 1),
            true.flatten(0, 1),
            window=window,
            sigma=sigma,
            border=border,
        )
        return (luminance * structure).mean()


def ssim_maps(
    a: Float[Tensor, "*batch height width"],
    b: Float[Tensor, "*batch height width"],
    *,
    window: int = 11,
    sigma: float = 1.5,
    border: Border = "inside",
) -> tuple[Float[Tensor, "*batch rows columns"], Float[Tensor, "*batch rows columns"]]:
    """Return luminance, and contrast with structure, at every position of the window [1]_.

    Their product is the structural similarity; its mean over the map is the score of
    a pair of images.

    Args:
        a: Images, or patches, in [0, 1].
        b: What they are compared with.
        window: Side of the Gaussian window in pixels, at most that of the image.
        sigma: Its standard deviation in pixels.
        border: Where the window stands: wholly ``inside``, or at every pixel (``whole``).

    Returns:
        Two maps of the positions of the window, each at most 1.

    Example:
        >>> light = torch.full((16, 16), 0.5)
        >>> luminance, structure = ssim_maps(light, light)
        >>> luminance.shape, float(luminance.mean()), float(structure.mean())
        (torch.Size([6, 6]), 1.0, 1.0)

    References:
        .. [1] Wang et al., 2004, doi:10.1109/TIP.2003.819861 (K1 0.01, K2 0.03, range 1)
    """
    bands = (_gaussian_band(side, window, sigma, border) for side in a.shape[-2:])
    down, across = (band.to(a) for band in bands)
    stack = torch.stack([a, b, a * a, b * b, a * b])
    means = down @ stack @ across.T
    mean_a, mean_b, square_a, square_b, product = means.unbind()
    c1, c2 = 0.01**2, 0.03**2
    covariance = product - mean_a * mean_b
    variances = (square_a - mean_a**2) + (square_b - mean_b**2)
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure: Tensor = (2 * covariance + c2) / (variances + c2)
    return luminance, structure


def _gaussian_band(
    side: int, window: int, sigma: float, border: Border
) -> Float[Tensor, "positions side"]:
    """Return the matrix that blurs a row of ``side`` pixels at the positions of the window.

    Over many small patches a matrix product is cheaper than a convolution
    (benchmarks/loss_terms.py).
    """
    reach = window // 2
    centres = torch.arange(side) if border == "whole" else torch.arange(reach, side - reach)
    steps = (torch.arange(side) - centres[:, None]).double()
    weights = torch.exp(-(steps**2) / (2 * sigma**2)).where(steps.abs() <= reach, 0.0)
    return weights / weights.sum(dim=1, keepdim=True)
