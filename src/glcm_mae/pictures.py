"""Pictures of reconstructions."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from glcm_mae.model.mae import Reconstruction
from glcm_mae.model.patches import expand_mask, patchify
from glcm_mae.runs import write_atomically
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
    from matplotlib.figure import Figure  # slow to import

    hidden = expand_mask(reconstruction.mask, grid, patch_size)
    composed = compose(images, reconstruction, grid=grid, patch_size=patch_size)
    figure = Figure(figsize=(2 * len(COLUMNS), 2 * len(images) + 0.5), layout="constrained")
    axes = figure.subplots(len(images), len(COLUMNS), squeeze=False)
    for row in range(len(images)):
        true, predicted = _textured_patch(
            images[row], composed[row], reconstruction.mask[row], patch_size
        )
        masked = torch.where(hidden[row], torch.tensor(float("nan")), images[row])
        for axis, image in zip(
            axes[row], (images[row], masked, composed[row], true, predicted), strict=False
        ):
            _show(axis, image)
        matrices = [_glcm(patch, levels, bandwidth, offset) for patch in (true, predicted)]
        top = max(float(matrix.max()) for matrix in matrices)
        for axis, matrix in zip(axes[row, 5:], matrices, strict=True):
            axis.imshow(matrix.sqrt().numpy(), cmap="viridis", vmin=0, vmax=top**0.5)
    _label(axes, COLUMNS)
    if title:
        figure.suptitle(title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    write_atomically(path, buffer.getvalue())


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


def _show(axis: Any, image: Float[Tensor, "channel height width"]) -> None:
    axis.set_facecolor("#d9d9d9")
    if image.shape[0] == 1:
        axis.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=1)
    else:
        axis.imshow(image.permute(1, 2, 0).nan_to_num(0.85).clamp(0, 1).numpy())


def _label(axes: Any, names: Sequence[str]) -> None:
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, name in zip(axes[0], names, strict=True):
        axis.set_title(name, fontsize=9)
