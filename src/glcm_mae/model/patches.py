"""Images as rows of patches, and which of them are hidden."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def patchify(
    images: Float[Tensor, "batch channel height width"], patch_size: int
) -> Float[Tensor, "batch patches channel side side"]:
    """Cut images into square patches, row by row from the top left.

    Args:
        images: Images whose sides are multiples of ``patch_size``.
        patch_size: Side of a patch in pixels.

    Returns:
        The patches; patch ``r * columns + c`` is the one in row r and column c.

    Raises:
        ValueError: If a side is no multiple of the patch.

    Example:
        >>> patchify(torch.arange(8.0).view(1, 1, 2, 4), 2)[0, :, 0]
        tensor([[[0., 1.],
                 [4., 5.]],
        <BLANKLINE>
                [[2., 3.],
                 [6., 7.]]])
    """
    batch, channel, height, width = images.shape
    if height % patch_size or width % patch_size:
        raise ValueError(
            f"image of {height} x {width} is no multiple of patch_size {patch_size}"
        )
    rows, cols = height // patch_size, width // patch_size
    grid = images.reshape(batch, channel, rows, patch_size, cols, patch_size)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(
        batch, rows * cols, channel, patch_size, patch_size
    )


def unpatchify(
    patches: Float[Tensor, "batch patches channel side side"], grid: tuple[int, int]
) -> Float[Tensor, "batch channel height width"]:
    """Put patches back together; the inverse of :func:`patchify`.

    Args:
        patches: Patches in row order.
        grid: Rows and columns of patches.

    Raises:
        ValueError: If the grid does not hold that many patches.

    Example:
        >>> images = torch.rand(2, 1, 4, 6)
        >>> torch.equal(unpatchify(patchify(images, 2), (2, 3)), images)
        True
    """
    batch, count, channel, side, _ = patches.shape
    rows, cols = grid
    if rows * cols != count:
        raise ValueError(f"a grid of {rows} x {cols} does not hold {count} patches")
    image = patches.reshape(batch, rows, cols, channel, side, side)
    return image.permute(0, 3, 1, 4, 2, 5).reshape(batch, channel, rows * side, cols * side)


def hidden_count(patches: int, ratio: float) -> int:
    """Return how many of ``patches`` a ratio hides: rounded, at least one hidden and one seen.

    Example:
        >>> hidden_count(196, 0.75)
        147
    """
    return min(max(round(patches * ratio), 1), patches - 1)


def random_mask(
    batch: int, patches: int, ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "batch patches"]:
    """Hide a uniformly random share of the patches of every image.

    Convention:
        ``True`` where a patch is hidden.

    Args:
        batch: Number of images.
        patches: Patches per image, at least two.
        ratio: Share to hide, between 0 and 1.
        generator: Source of the randomness; the same state gives the same mask.

    Returns:
        A mask with exactly ``hidden_count(patches, ratio)`` patches hidden in each row.

    Raises:
        ValueError: If the ratio is not between 0 and 1, or there are under two patches.

    Example:
        >>> mask = random_mask(2, 16, 0.75, generator=torch.Generator().manual_seed(0))
        >>> mask.sum(dim=1)
        tensor([12, 12])
    """
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"mask ratio must lie between 0 and 1, got {ratio}")
    if patches < 2:
        raise ValueError(f"masking needs at least two patches, got {patches}")
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    ranks = noise.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks < hidden_count(patches, ratio)


def expand_mask(
    mask: Bool[Tensor, "batch patches"], grid: tuple[int, int], patch_size: int
) -> Bool[Tensor, "batch 1 height width"]:
    """Spread a patch mask over the pixels.

    Example:
        >>> expand_mask(torch.tensor([[True, False]]), (1, 2), 2)[0, 0].int()
        tensor([[1, 1, 0, 0],
                [1, 1, 0, 0]], dtype=torch.int32)
    """
    image = mask.view(mask.shape[0], 1, *grid)
    return image.repeat_interleave(patch_size, dim=2).repeat_interleave(patch_size, dim=3)
