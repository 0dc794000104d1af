"""Whole images as a masked autoencoder predicts them, every pixel while it is hidden."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.model.patches import expand_mask


@torch.no_grad()
def restore(
    model: Callable[[Tensor, Tensor], Any],
    images: Float[Tensor, "batch channel height width"],
    masks: Bool[Tensor, "passes batch patches"],
    *,
    patch_size: int,
) -> Float[Tensor, "batch channel height width"]:
    """Return images of which every pixel was predicted while it was hidden.

    Every patch is taken from the first mask that hides it. So nothing visible is copied,
    and predictions are not averaged, which would blur them; masks of which no patch is
    taken cost nothing. Autocast is the caller's.

    Args:
        model: Called with images and a mask; what it returns has a ``prediction`` in image
            units, as that of a ``MaskedAutoencoder`` has.
        images: Images in [0, 1].
        masks: Masks that together hide every patch, such as
            :func:`glcm_mae.model.patches.complementary_masks`; best on the CPU.
        patch_size: Side of a patch in pixels.

    Returns:
        The restored images, float32, clamped to [0, 1].

    Raises:
        ValueError: If a patch is hidden by no mask, or the masks do not fit the images.

    Example:
        >>> from glcm_mae.model.mae import Reconstruction
        >>> masks = torch.tensor([[[True, False]], [[False, True]]])
        >>> gray = lambda images, mask: Reconstruction(torch.full_like(images, 0.5), mask)
        >>> restore(gray, torch.rand(1, 1, 2, 4), masks, patch_size=2)[0, 0]
        tensor([[0.5000, 0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000, 0.5000]])
    """
    grid = images.shape[2] // patch_size, images.shape[3] // patch_size
    if masks.shape[1:] != (len(images), grid[0] * grid[1]):
        raise ValueError(
            f"masks {tuple(masks.shape)} do not match {len(images)} images of {grid[0]} x "
            f"{grid[1]} patches"
        )
    taken = masks & (masks.cumsum(dim=0) == 1)
    if not bool(taken.any(dim=0).all()):
        raise ValueError("masks must together hide every patch; some is never hidden")
    restored = torch.zeros_like(images, dtype=torch.float32)
    for mask, chosen in zip(masks, taken, strict=True):
        if bool(chosen.any()):
            prediction = model(images, mask.to(images.device)).prediction
            here = expand_mask(chosen, grid, patch_size).to(images.device)
            restored = torch.where(here, prediction.float(), restored)
    return restored.clamp(0.0, 1.0)
