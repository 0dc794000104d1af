"""Which frequencies of an image are left in its restoration."""

import torch
from jaxtyping import Float
from torch import Tensor

from glcm_mae.fidelity.pixels import Images, Scores

HIGH_FREQUENCY = 0.25
"""Cycles per pixel above which a frequency counts as high: waves shorter than 4 pixels."""


def power_spectrum(images: Images) -> Float[Tensor, "batch height half"]:
    """Return the power of every frequency of each image.

    The mean is taken off, and a Hann window is laid over the image: without it the border,
    where the left edge meets the right, would put power into all frequencies.

    Args:
        images: Images in [0, 1]; of colour, the mean over the channels counts.

    Returns:
        Squared magnitudes of ``torch.fft.rfft2`` by the number of pixels (float64).

    Example:
        >>> power_spectrum(torch.full((1, 1, 8, 8), 0.5)).abs().max() < 1e-20
        tensor(True)
    """
    gray = images.double().mean(dim=1)
    height, width = gray.shape[1:]
    windows = (
        torch.hann_window(side, periodic=True, dtype=gray.dtype, device=gray.device)
        for side in (height, width)
    )
    down, across = windows
    gray = (gray - gray.mean(dim=(1, 2), keepdim=True)) * down[:, None] * across
    power: Tensor = torch.fft.rfft2(gray).abs().square() / (height * width)
    return power


def radial_frequencies(height: int, width: int) -> Float[Tensor, "radii"]:
    """Return the middle of each ring of frequencies, in cycles per pixel.

    The rings are as wide as the frequencies of the shorter side are apart, from the first
    above 0 up to half a cycle per pixel.

    Example:
        >>> radial_frequencies(8, 8)
        tensor([0.1250, 0.2500, 0.3750, 0.5000], dtype=torch.float64)
    """
    shorter = min(height, width)
    return torch.arange(1, shorter // 2 + 1, dtype=torch.float64) / shorter


def radial_power(
    power: Float[Tensor, "batch height half"], width: int
) -> Float[Tensor, "batch radii"]:
    """Return the mean power over all directions, at each of :func:`radial_frequencies`.

    Args:
        power: Of :func:`power_spectrum`.
        width: Width of the images in pixels.

    Example:
        >>> waves = torch.arange(16) % 4 / 4.0
        >>> power = power_spectrum(waves.expand(1, 1, 16, 16))
        >>> int(radial_power(power, 16)[0].argmax())  # 1/4 is the fourth of 1/16, 2/16, ...
        3
    """
    height = power.shape[1]
    shorter = min(height, width)
    radius, twice = _frequencies(height, width)
    ring = (radius * shorter).round().long()
    inside = (ring >= 1) & (ring <= shorter // 2)
    places = (ring[inside] - 1).to(power.device)
    share = twice[inside].to(power)
    sums = torch.zeros(len(power), shorter // 2, dtype=power.dtype, device=power.device)
    sums.index_add_(1, places, power[:, inside.to(power.device)] * share)
    counts = torch.zeros(shorter // 2, dtype=power.dtype, device=power.device)
    counts.index_add_(0, places, share)
    return sums / counts


def high_frequency_power(
    restored: Float[Tensor, "batch radii"],
    originals: Float[Tensor, "batch radii"],
    frequencies: Float[Tensor, "radii"],
    *,
    above: float = HIGH_FREQUENCY,
) -> Scores:
    """Return the share of the original's high-frequency power that the restored images keep.

    Ring by ring the smaller of both powers counts, against the original's, each ring by as
    many frequencies as it has. So power in excess at one frequency, as the seams of patches
    put there, does not make up for what is missing at another.

    Args:
        restored: Radial power of restored images, of :func:`radial_power`.
        originals: That of the originals.
        frequencies: Of :func:`radial_frequencies`.
        above: Cycles per pixel.

    Returns:
        One number an image, from 0 to 1 where all is kept; NaN where the original has none.

    Example:
        >>> originals = torch.tensor([[9.0, 1.0, 1.0]])
        >>> frequencies = torch.tensor([0.2, 0.3, 0.5])
        >>> high_frequency_power(torch.tensor([[9.0, 8.0, 0.0]]), originals, frequencies)
        tensor([0.3750])
    """
    # A ring has about as many frequencies as it is long.
    lengths = torch.where(frequencies > above, frequencies, 0.0).to(originals)
    return (torch.minimum(restored, originals) @ lengths) / (originals @ lengths)


def _frequencies(
    height: int, width: int
) -> tuple[Float[Tensor, "height half"], Float[Tensor, "height half"]]:
    """Return the radius of each frequency of ``rfft2``, and how often it stands for one."""
    down = torch.fft.fftfreq(height, dtype=torch.float64)
    across = torch.fft.rfftfreq(width, dtype=torch.float64)
    radius = (down[:, None].square() + across.square()).sqrt()
    twice = torch.full_like(radius, 2.0)
    twice[:, 0] = 1.0
    if width % 2 == 0:
        twice[:, -1] = 1.0
    return radius, twice
