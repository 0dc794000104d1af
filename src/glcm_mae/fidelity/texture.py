"""The distance between the textures of an image and of its restoration."""

from collections.abc import Sequence

import torch

from glcm_mae.fidelity.pixels import Images, Scores, require_alike
from glcm_mae.losses.texture import DEFAULT_OFFSETS
from glcm_mae.texture import Offset, glcm_distance


def glcm_distances(
    restored: Images,
    originals: Images,
    *,
    patch_size: int = 16,
    levels: int = 32,
    bandwidth: float = 0.5,
    offsets: Sequence[Offset] = DEFAULT_OFFSETS,
) -> Scores:
    """Return the GLCM distance of each image, the mean over its patches.

    The same distance that the texture loss asks for, see
    :func:`glcm_mae.texture.glcm_distance`; here over all patches. Rows and columns that
    fill no patch are left out.

    Args:
        restored: Restored images in [0, 1].
        originals: What they should be.
        patch_size: Side of a patch in pixels, at most that of the image.
        levels: Gray-level bins on [0, 1].
        bandwidth: Width of the bins' soft edges, in bin widths.
        offsets: Displacements, each shorter than the patch.

    Returns:
        One number an image, from 0 for equal textures to 2.

    Raises:
        ValueError: If the shapes differ, or a patch or an offset does not fit.

    Example:
        >>> images = torch.rand(2, 1, 32, 32)
        >>> glcm_distances(images, images)
        tensor([0., 0.])
    """
    require_alike(restored, originals)
    if not 2 <= patch_size <= min(originals.shape[2:]):
        raise ValueError(
            f"patch_size must lie between 2 and the image's side, got {patch_size} for "
            f"{originals.shape[2]} x {originals.shape[3]} pixels"
        )
    pair = torch.stack([restored.float(), originals.float()])
    grid = pair.unfold(3, patch_size, patch_size).unfold(4, patch_size, patch_size)
    found = [
        glcm_distance(
            *grid[:, image].contiguous(), levels=levels, bandwidth=bandwidth, offsets=offsets
        )
        for image in range(len(originals))
    ]
    return torch.stack(found) if found else pair.new_zeros(0)
