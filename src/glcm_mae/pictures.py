"""Pictures of reconstructions."""

from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.figures import COARSE, new_figure, save_figure, show_gray, styled, without_ticks
from glcm_mae.model.mae import Reconstruction
from glcm_mae.model.patches import expand_mask, patchify
from glcm_mae.texture import Offset, cooccurrence, soft_membership

COLUMNS = (
    "original",
    "masked",
    "reconstruction",
    "hidden patch",
    "reconstructed",
    "GLCM of it",
    "GLCM reconstructed",
)


def compose(
    images: Float[Tensor, "batch channel height width"],
    reconstruction: Reconstruction,
    *,
    grid: tuple[int, int],
    patch_size: int,
) -> Float[Tensor, "batch channel height width"]:
    """Return the images with their hidden patches replaced by the prediction, in [0, 1]."""
    hidden = expand_mask(reconstruction.mask, grid, patch_size)
    return torch.where(hidden, reconstruction.prediction.clamp(0.0, 1.0), images)


@styled
def draw_reconstructions(
    path: Path,
    images: Float[Tensor, "batch channel height width"],
    reconstruction: Reconstruction,
    *,
    grid: tuple[int, int],
    patch_size: int,
    levels: int,
    bandwidth: float,
    offset: Offset,
    title: str = "",
) -> None:
    """Draw original, masked image, reconstruction, and one hidden patch with its GLCM.

    The patch shown is the hidden one with the largest gray-level spread, for there is
    texture to see; both GLCMs share one colour scale. The true pixels stand only in
    the visible patches of the reconstruction.

    Args:
        path: PNG file to write, atomically.
        images: Images in [0, 1].
        reconstruction: What the model made of them.
        grid: Rows and columns of patches.
        patch_size: Side of a patch in pixels.
        levels: Gray-level bins of the GLCM.
        bandwidth: Softness of the bins, in bin widths.
        offset: Displacement of the GLCM.
        title: Line above the picture.
    """
    hidden = expand_mask(reconstruction.mask, grid, patch_size)
    composed = compose(images, reconstruction, grid=grid, patch_size=patch_size)
    size = (2 * len(COLUMNS), 2 * len(images) + 0.5)
    figure, axes = new_figure(*size, rows=len(images), columns=len(COLUMNS))
    for row in range(len(images)):
        true, predicted = _textured_patch(
            images[row], composed[row], reconstruction.mask[row], patch_size
        )
        masked = torch.where(hidden[row], torch.tensor(float("nan")), images[row])
        for axis, image in zip(
            axes[row], (images[row], masked, composed[row], true, predicted), strict=False
        ):
            show_gray(axis, image)
        matrices = [_glcm(patch, levels, bandwidth, offset) for patch in (true, predicted)]
        top = max(float(matrix.max()) for matrix in matrices)
        for axis, matrix in zip(axes[row, 5:], matrices, strict=True):
            axis.imshow(matrix.sqrt().numpy(), cmap="viridis", vmin=0, vmax=top**0.5)
    without_ticks(axes)
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name)
    if title:
        figure.suptitle(title)
    save_figure(figure, path, dots=COARSE)


def _textured_patch(
    image: Tensor, composed: Tensor, mask: Bool[Tensor, "patches"], patch_size: int
) -> tuple[Tensor, Tensor]:
    true, predicted = (patchify(part[None], patch_size)[0] for part in (image, composed))
    spread = true.flatten(1).std(dim=1)
    best = int(torch.where(mask, spread, torch.full_like(spread, -1.0)).argmax())
    return true[best], predicted[best]


def _glcm(patch: Tensor, levels: int, bandwidth: float, offset: Offset) -> Tensor:
    membership = soft_membership(patch.mean(dim=0), levels, bandwidth)
    return cooccurrence(membership, [offset])[0]
