"""A map laid over the image that it tells of."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from glcm_mae.figures.language import PALETTE
from glcm_mae.figures.printed import show_gray

STRONGEST = 0.75
"""Strength of the colour at the end of the scale: the image stays seen below."""


def show_overlay(
    axes: Any,
    image: Float[Tensor, "channel height width"],
    values: Float[Tensor, "rows cols"],
    *,
    limits: tuple[float, float],
    signed: bool = False,
) -> Any:
    """Lay a map over an image: the colour is clear where there is little, strong where much.

    Convention:
        Much is vermilion; what speaks against, with ``signed``, is blue. Colour-blind readers
        tell both apart, and from gray.

    Args:
        axes: Where to.
        image: Gray or colour, in [0, 1].
        values: The map, spread over the whole image whatever its grid.
        limits: Values at the ends of the scale; beyond them the colour stays.
        signed: Whether the map has values on both sides of zero.

    Returns:
        What a colour bar is made of.
    """
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    blue, vermilion = to_rgb(PALETTE[0]), to_rgb(PALETTE[1])
    ends = [(*vermilion, 0.0), (*vermilion, STRONGEST)]
    if signed:
        ends = [(*blue, STRONGEST), (*blue, 0.0), *ends]
    places = [0.0, 0.5, 0.5, 1.0] if signed else [0.0, 1.0]
    scale = LinearSegmentedColormap.from_list("overlay", list(zip(places, ends, strict=True)))
    show_gray(axes, image)
    height, width = image.shape[1:]
    return axes.imshow(
        values.numpy(),
        cmap=scale,
        vmin=limits[0],
        vmax=limits[1],
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest",
    )
