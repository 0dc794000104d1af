"""The most and the least abnormal images, and what was predicted of them."""

from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from glcm_mae.figures import COARSE, new_figure, save_figure, show_gray, styled, without_ticks

COLUMNS = ("image", "predicted while hidden", "error")


@styled
def draw_anomalies(
    path: Path,
    images: Float[Tensor, "batch channel height width"],
    restored: Float[Tensor, "batch channel height width"],
    captions: Sequence[str],
) -> None:
    """Draw images, what was predicted of them, and where both differ.

    All errors share one scale of gray. No image is named.

    Args:
        path: PNG file to write, atomically.
        images: Images in [0, 1].
        restored: What was predicted of every pixel while it was hidden.
        captions: What stands beside each image, such as its class and score.
    """
    errors = (images - restored).abs().mean(dim=1)
    top = max(float(errors.max()), 1e-6)
    size = (2 * len(COLUMNS), 2 * len(images) + 0.4)
    figure, axes = new_figure(*size, rows=len(images), columns=len(COLUMNS))
    for row, caption in enumerate(captions):
        for axis, picture in zip(axes[row], (images[row], restored[row]), strict=False):
            show_gray(axis, picture)
        axes[row, 2].imshow(errors[row].numpy(), cmap="gray", vmin=0, vmax=top)
        axes[row, 0].set_ylabel(caption, fontsize=8)
    without_ticks(axes)
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    save_figure(figure, path, dots=COARSE)
