"""How far Haralick's features of a restored image are from those of its original."""

from collections.abc import Mapping
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor

from glcm_mae.data.threads import in_threads
from glcm_mae.fidelity.pixels import Images, Scores, require_alike
from glcm_mae.texture import HARALICK_FEATURES
from glcm_mae.texture.features import Recipe, measure

FIGURE_FEATURES: Final = tuple(
    name
    for name in HARALICK_FEATURES
    if name not in ("sum_variance", "maximal_correlation_coefficient")
)
"""Twelve of Haralick's fourteen features, for figures and for the mean error.

The paper's figure 3 shows twelve and publishes no code for them. These are our reading:
those that pyradiomics lists too, without the maximal correlation coefficient, which
Haralick himself called unstable, and the sum variance, which pyradiomics dropped as being
the cluster tendency.
"""

LEVELS: Final = 32

_FLOOR: Final = 0.1
"""Least scale of a relative error.

About the spread that rounding to levels makes by itself (1/12 squared levels), and a tenth
of a bit or of a correlation: below it a feature has nothing to be relative to.
"""
_FLOORS: Final = {"angular_second_moment": 0.0, "inverse_difference_moment": 0.0}
"""Features that are never 0, so that they need no floor."""


def haralick_values(
    images: Images, *, levels: int = LEVELS
) -> dict[str, Float[Tensor, "batch"]]:
    """Measure Haralick's fourteen features of whole images.

    Counted pairs of hard gray levels between 0 and 1, neighbours at distance 1 in both
    senses of four directions, the mean over the directions; as
    :func:`glcm_mae.texture.texture_features` does by itself, many images at a time.

    Args:
        images: Images in [0, 1]; of colour, the mean over the channels is measured.
        levels: Gray levels.

    Returns:
        One number an image (float64, on the CPU) under each name of ``HARALICK_FEATURES``.

    Raises:
        ValueError: If an image leaves [0, 1] or is smaller than 2 x 2 pixels.

    Example:
        >>> flat = haralick_values(torch.zeros(1, 1, 8, 8))
        >>> flat["contrast"], flat["sum_average"]
        (tensor([0.], dtype=torch.float64), tensor([2.], dtype=torch.float64))
    """
    recipe = Recipe(
        levels=levels,
        binning="range",
        bin_width=None,
        distances=(1,),
        angles=(0, 45, 90, 135),
        symmetric=True,
        aggregation="averaged",
        features="haralick",
    )
    gray = images.detach().float().mean(dim=1).cpu().numpy()
    tallies = in_threads(lambda number: recipe.tally(gray[number]), len(gray))
    rows = measure(tallies, recipe)
    return {
        name: torch.tensor([row[name] for row in rows], dtype=torch.float64)
        for name in HARALICK_FEATURES
    }


def relative_errors(
    restored: Mapping[str, Scores], originals: Mapping[str, Scores]
) -> dict[str, Float[Tensor, "batch"]]:
    """Return how far features are off, as a share of the original's.

    The error of feature f is ``|f(restored) - f(original)| / max(|f(original)|, floor)``,
    image by image. The floor is 0.1 (squared levels, levels, bits, or none, as the feature
    has it), so that a feature which is next to 0 in the original is not divided by; the two
    features that are never 0 have none.

    Args:
        restored: Features of the restored images, by name.
        originals: The same of the originals.

    Returns:
        One error an image and feature: 0 where the feature is kept, 1 where it is off by
        as much as it is.

    Example:
        >>> off = {"contrast": torch.tensor([3.0, 0.05])}
        >>> relative_errors(off, {"contrast": torch.tensor([4.0, 0.0])})
        {'contrast': tensor([0.2500, 0.5000])}
    """
    return {
        name: (restored[name] - value).abs() / value.abs().clamp(min=_FLOORS.get(name, _FLOOR))
        for name, value in originals.items()
    }


def haralick_errors(
    restored: Images, originals: Images, *, levels: int = LEVELS
) -> dict[str, Float[Tensor, "batch"]]:
    """Return the relative error of each of Haralick's features, image by image.

    Args:
        restored: Restored images in [0, 1].
        originals: What they should be.
        levels: Gray levels.

    Returns:
        One error an image under each name of ``HARALICK_FEATURES``, 0 for equal images;
        see :func:`relative_errors`.

    Raises:
        ValueError: If the shapes differ or an image leaves [0, 1].

    Example:
        >>> images = torch.rand(2, 1, 16, 16)
        >>> haralick_errors(torch.full_like(images, 0.5), images)["contrast"]
        tensor([1., 1.], dtype=torch.float64)
    """
    require_alike(restored, originals)
    return relative_errors(
        haralick_values(restored, levels=levels), haralick_values(originals, levels=levels)
    )


def mean_haralick_error(
    restored: Images, originals: Images, *, levels: int = LEVELS
) -> Float[Tensor, "batch"]:
    """Return the mean of the relative errors of :data:`FIGURE_FEATURES`, image by image.

    Args:
        restored: Restored images in [0, 1].
        originals: What they should be.
        levels: Gray levels.

    Returns:
        One number an image, 0 for equal images (float64, on the CPU).

    Raises:
        ValueError: If the shapes differ or an image leaves [0, 1].

    Example:
        >>> images = torch.rand(2, 1, 16, 16)
        >>> mean_haralick_error(images, images)
        tensor([0., 0.], dtype=torch.float64)
    """
    return mean_of_figure(haralick_errors(restored, originals, levels=levels))


def mean_of_figure(errors: Mapping[str, Scores]) -> Float[Tensor, "batch"]:
    """Return the mean of some errors over :data:`FIGURE_FEATURES`."""
    return torch.stack([errors[name] for name in FIGURE_FEATURES]).mean(dim=0)
