"""The texture term: the GLCM distance of the hidden patches."""

from collections.abc import Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.losses.selection import hidden_patches
from glcm_mae.texture import Engine, Offset, Scale, glcm_distance

DEFAULT_OFFSETS = (Offset(0, 1), Offset(1, 0))
"""The right neighbour and the one below: the paper's H and V."""


def texture_loss(
    prediction: Float[Tensor, "batch channel height width"],
    target: Float[Tensor, "batch channel height width"],
    mask: Bool[Tensor, "batch patches"],
    *,
    patch_size: int,
    levels: int = 32,
    bandwidth: float = 0.5,
    offsets: Sequence[Offset] = DEFAULT_OFFSETS,
    further_scales: Sequence[Scale] = (),
    symmetric: bool = False,
    engine: Engine = "fused",
) -> Float[Tensor, ""]:
    """Return the mean GLCM distance between hidden patches and their targets.

    Channels are compared one by one and averaged.

    Args:
        prediction: Predicted images.
        target: True images in [0, 1].
        mask: True where a patch was hidden.
        patch_size: Side of a patch in pixels.
        levels: Gray-level bins on [0, 1].
        bandwidth: Width of the bins' soft edges, in bin widths.
        offsets: Displacements, each shorter than the patch.
        further_scales: More levels, bandwidths and offsets; their distances are added.
        symmetric: Count every pair in both directions.
        engine: ``"fused"``, or ``"dense"`` for the formula as it stands.

    Returns:
        A scalar, 0 or more (see :func:`glcm_mae.texture.glcm_distance`).

    Raises:
        ValueError: If shapes differ, no patch is hidden, or an offset leaves the patch.

    Example:
        >>> import torch
        >>> images = torch.rand(1, 1, 8, 16)
        >>> mask = torch.tensor([[True, False]])
        >>> float(texture_loss(images, images, mask, patch_size=8))
        0.0
    """
    predicted, true = hidden_patches(prediction, target, mask, patch_size=patch_size)
    return glcm_distance(
        predicted.flatten(0, 1),
        true.flatten(0, 1),
        levels=levels,
        bandwidth=bandwidth,
        offsets=offsets,
        further_scales=further_scales,
        symmetric=symmetric,
        engine=engine,
    )
