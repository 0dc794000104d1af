"""Mild augmentation of a batch, with the random numbers handed in."""

from math import pi

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

DRAWS = 8
"""Uniform numbers that :func:`augment` uses per image."""


def augment(
    images: Float[Tensor, "batch channel height width"],
    uniforms: Float[Tensor, "batch 8"],
    *,
    flip_horizontal: float = 0.5,
    flip_vertical: float = 0.0,
    shift: float = 0.06,
    rotation: float = 0.0,
    scale: float = 0.0,
    brightness: float = 0.05,
    contrast: float = 0.1,
) -> Float[Tensor, "batch channel height width"]:
    """Flip, shift, turn, scale and re-light each image by its own random numbers.

    Flips and shifts move whole pixels, so they leave texture as it is; rotation and
    scale resample (bicubic) and smooth a little. What a shift uncovers is filled by
    reflection, and so is what an image made smaller leaves at its border.

    Args:
        images: Images in [0, 1].
        uniforms: Numbers in [0, 1), one row an image.
        flip_horizontal: Probability of a left-right mirror.
        flip_vertical: Probability of an up-down mirror.
        shift: Largest shift as a share of the side.
        rotation: Largest rotation in degrees.
        scale: Largest relative change of size.
        brightness: Largest change of brightness in gray-range units.
        contrast: Largest relative change of contrast about the image's mean.

    Returns:
        New images in [0, 1]; the input is not changed.

    Example:
        >>> images = torch.rand(2, 1, 8, 8)
        >>> still = augment(images, torch.full((2, 8), 0.5), flip_horizontal=0.0)
        >>> torch.allclose(still, images)
        True
    """
    flip_x, flip_y, row, col, angle, size, light, gain = uniforms.to(images.device).unbind(1)
    height, width = images.shape[2:]
    rows = _source_indices(height, row, shift, flip_y < flip_vertical)
    cols = _source_indices(width, col, shift, flip_x < flip_horizontal)
    moved = images.gather(2, rows[:, None, :, None].expand_as(images))
    moved = moved.gather(3, cols[:, None, None, :].expand_as(images))
    if rotation > 0 or scale > 0:
        radians = _centred(angle) * rotation * pi / 180
        moved = _turn(moved, radians, 1 + _centred(size) * scale)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    factor = (1 + _centred(gain) * contrast).view(-1, 1, 1, 1)
    offset = (_centred(light) * brightness).view(-1, 1, 1, 1)
    return ((moved - mean) * factor + mean + offset).clamp(0.0, 1.0)


def _centred(uniform: Float[Tensor, "batch"]) -> Float[Tensor, "batch"]:
    return 2 * uniform - 1


def _source_indices(
    side: int, uniform: Float[Tensor, "batch"], shift: float, flip: Tensor
) -> Int[Tensor, "batch side"]:
    """Return the pixel that each new pixel is read from, along one axis."""
    steps = (_centred(uniform) * shift * side).round().long()
    index = torch.arange(side, device=uniform.device)[None] + steps[:, None]
    index = torch.where(index < 0, -index, index)
    index = torch.where(index >= side, 2 * (side - 1) - index, index)
    return torch.where(flip[:, None], side - 1 - index, index)


def _turn(images: Tensor, radians: Tensor, size: Tensor) -> Tensor:
    """Rotate by ``radians`` and enlarge by ``size`` about the centre."""
    height, width = images.shape[2:]
    cos, sin = torch.cos(radians) / size, torch.sin(radians) / size
    zero = torch.zeros_like(cos)
    # affine_grid speaks in half-sides, so a rotation needs the aspect ratio.
    first = torch.stack([cos, -sin * height / width, zero], dim=1)
    second = torch.stack([sin * width / height, cos, zero], dim=1)
    grid = functional.affine_grid(
        torch.stack([first, second], dim=1), list(images.shape), align_corners=False
    )
    return functional.grid_sample(
        images, grid, mode="bicubic", padding_mode="reflection", align_corners=False
    )
