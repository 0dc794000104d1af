"""Mild augmentation of a batch, with the random numbers handed in."""

from math import pi
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from glcm_mae.data.store.pixels import white_of

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
    moves = _moves(
        uniforms.to(images.device),
        *images.shape[2:],
        flip_horizontal=flip_horizontal,
        flip_vertical=flip_vertical,
        shift=shift,
        brightness=brightness,
        contrast=contrast,
    )
    moved = images.gather(2, moves.rows[:, None, :, None].expand_as(images))
    moved = moved.gather(3, moves.cols[:, None, None, :].expand_as(images))
    if rotation > 0 or scale > 0:
        angle, size = uniforms.to(images.device)[:, 4:6].unbind(1)
        radians = _centred(angle) * rotation * pi / 180
        moved = _turn(moved, radians, 1 + _centred(size) * scale)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    factor, offset = moves.factor.view(-1, 1, 1, 1), moves.offset.view(-1, 1, 1, 1)
    return ((moved - mean) * factor + mean + offset).clamp(0.0, 1.0)


def augment_stored(
    pixels: NDArray[Any],
    uniforms: Float[Tensor, "batch 8"],
    *,
    rotation: float = 0.0,
    scale: float = 0.0,
    **settings: float,
) -> Float[Tensor, "batch channel height width"]:
    """Augment pixels as they are stored, on the CPU: :func:`augment` with fewer copies.

    Whole pixels are moved while they are still small integers, and each image is re-lit
    while it is in the processor's cache. No thread of torch is woken, so that many
    threads may each make a batch.

    Args:
        pixels: Images, uint8 or uint16.
        uniforms: Numbers in [0, 1), one row an image.
        rotation: As for :func:`augment`, as all others are.
        scale: As for :func:`augment`.
        **settings: See :func:`augment`.

    Returns:
        The images of :func:`augment`, within the rounding of float32.

    Example:
        >>> pixels = np.full((2, 1, 8, 8), 51, dtype=np.uint8)
        >>> augment_stored(pixels, torch.full((2, 8), 0.5))[1, 0, 7, 7]
        tensor(0.2000)
    """
    white = white_of(pixels.dtype)
    if rotation > 0 or scale > 0:
        levels = torch.from_numpy(pixels.astype(np.float32)) / white
        return augment(levels, uniforms, rotation=rotation, scale=scale, **settings)
    height, width = pixels.shape[2:]
    moves = _moves(uniforms, height, width, **settings)
    rows, cols = moves.rows.numpy(), moves.cols.numpy()
    factors, offsets = moves.factor.tolist(), moves.offset.tolist()
    images = np.empty(pixels.shape, dtype=np.float32)
    for number, (image, stored) in enumerate(zip(images, pixels, strict=True)):
        image[:] = stored.take(rows[number], axis=1).take(cols[number], axis=2)
        factor, mean = factors[number], float(image.mean()) / white
        image *= factor / white
        image += mean * (1 - factor) + offsets[number]
        np.clip(image, 0.0, 1.0, out=image)
    return torch.from_numpy(images)


class _Moves(NamedTuple):
    """Where each image's pixels come from, and its change of contrast and brightness."""

    rows: Int[Tensor, "batch height"]
    cols: Int[Tensor, "batch width"]
    factor: Float[Tensor, "batch"]
    offset: Float[Tensor, "batch"]


def _moves(
    uniforms: Float[Tensor, "batch 8"],
    height: int,
    width: int,
    /,
    *,
    flip_horizontal: float = 0.5,
    flip_vertical: float = 0.0,
    shift: float = 0.06,
    brightness: float = 0.05,
    contrast: float = 0.1,
) -> _Moves:
    flip_x, flip_y, row, col, _, _, light, gain = uniforms.unbind(1)
    return _Moves(
        _source_indices(height, row, shift, flip_y < flip_vertical),
        _source_indices(width, col, shift, flip_x < flip_horizontal),
        1 + _centred(gain) * contrast,
        _centred(light) * brightness,
    )


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
