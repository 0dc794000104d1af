"""Images as rows of patches, and which of them are hidden."""

import torch
from jaxtyping import Bool, Float, Int
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
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    return mask_from_noise(noise, ratio)


def mask_from_noise(
    noise: Float[Tensor, "batch patches"], ratio: float
) -> Bool[Tensor, "batch patches"]:
    """Hide the patches of lowest noise; of equal ones, the first.

    Args:
        noise: One independent random number a patch, at least two patches.
        ratio: Share to hide, between 0 and 1.

    Returns:
        A mask, ``True`` where a patch is hidden, with exactly
        ``hidden_count(patches, ratio)`` patches hidden in each row.

    Raises:
        ValueError: If the ratio is not between 0 and 1, or there are under two patches.

    Example:
        >>> mask_from_noise(torch.tensor([[0.3, 0.9, 0.1, 0.5]]), 0.5)
        tensor([[ True, False,  True, False]])
    """
    patches = noise.shape[1]
    _require_maskable(patches, ratio)
    ranks = noise.argsort(dim=1, stable=True).argsort(dim=1)
    return ranks < hidden_count(patches, ratio)


def complementary_masks(
    batch: int, patches: int, ratio: float, *, generator: torch.Generator
) -> Bool[Tensor, "passes batch patches"]:
    """Return the fewest masks that together hide every patch of every image.

    Args:
        batch: Number of images.
        patches: Patches per image, at least two.
        ratio: Share to hide, as in training, between 0 and 1.
        generator: Source of the randomness; the same state gives the same masks.

    Returns:
        At least two masks, see :func:`complementary_from_noise`.

    Raises:
        ValueError: If the ratio is not between 0 and 1, or there are under two patches.

    Example:
        >>> masks = complementary_masks(3, 16, 0.75, generator=torch.Generator().manual_seed(0))
        >>> masks.shape, bool(masks.any(dim=0).all())
        (torch.Size([2, 3, 16]), True)
    """
    noise = torch.rand(batch, patches, generator=generator, device=generator.device)
    return complementary_from_noise(noise, ratio)


def complementary_from_noise(
    noise: Float[Tensor, "batch patches"], ratio: float, *, passes: int = 0
) -> Bool[Tensor, "passes batch patches"]:
    """Return masks that together hide every patch, each as much as one does in training.

    Taken alone, each mask is as random as one of :func:`mask_from_noise`: the patches stand
    in random order on a ring, a mask hides so many in a row, and the next one begins
    further along.

    Args:
        noise: One independent random number a patch, at least two patches.
        ratio: Share to hide, between 0 and 1.
        passes: Number of masks, if more than the fewest that hide every patch. Some patches
            are then hidden once more than others; where what all masks hide is a multiple
            of the patches, as in four masks of three quarters, all are equally often.

    Returns:
        Masks, ``True`` where a patch is hidden, with exactly
        ``hidden_count(patches, ratio)`` patches hidden in each row.

    Raises:
        ValueError: If the ratio is not between 0 and 1, or there are under two patches.

    Example:
        >>> noise = torch.tensor([[0.3, 0.9, 0.1, 0.5]])
        >>> complementary_from_noise(noise, 0.75)[:, 0].int()
        tensor([[1, 0, 1, 1],
                [0, 1, 1, 1]], dtype=torch.int32)
    """
    patches = noise.shape[1]
    _require_maskable(patches, ratio)
    hidden = hidden_count(patches, ratio)
    passes = max(passes, -(-patches // hidden))
    ranks = noise.argsort(dim=1, stable=True).argsort(dim=1)
    starts = (number * patches // passes for number in range(passes))
    return torch.stack([(ranks - start) % patches < hidden for start in starts])


def _require_maskable(patches: int, ratio: float) -> None:
    if not 0.0 < ratio < 1.0:
        raise ValueError(f"mask ratio must lie between 0 and 1, got {ratio}")
    if patches < 2:
        raise ValueError(f"masking needs at least two patches, got {patches}")


def visible_indices(mask: Bool[Tensor, "batch patches"]) -> Int[Tensor, "batch seen"]:
    """Return the indices of the patches that are not hidden, in order.

    It looks at the mask's values, so a mask on a GPU is waited for: made beside the
    mask on the CPU, nothing waits.

    Raises:
        ValueError: If the rows do not hide equally many patches, or hide all.

    Example:
        >>> visible_indices(torch.tensor([[True, False, False], [False, True, False]]))
        tensor([[1, 2],
                [0, 2]])
    """
    seen = (~mask).sum(dim=1)
    count = int(seen[0])
    if count == 0 or not bool((seen == count).all()):
        raise ValueError(f"every image must show equally many patches, got {seen.tolist()}")
    return split_indices(mask, count)[0]


def split_indices(
    mask: Bool[Tensor, "batch patches"], seen: int
) -> tuple[Int[Tensor, "batch seen"], Int[Tensor, "batch hidden"]]:
    """Return the indices of the visible and of the hidden patches, each in order.

    Their number is given, so that nothing has to wait for the mask's values.

    Args:
        mask: True where a patch is hidden.
        seen: Visible patches in every row; this is not checked.

    Example:
        >>> split_indices(torch.tensor([[True, False, True], [False, True, True]]), 1)
        (tensor([[1],
                [0]]), tensor([[0, 2],
                [1, 2]]))
    """
    order = mask.to(torch.uint8).argsort(dim=1, stable=True)
    return order[:, :seen], order[:, seen:]


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
