"""The most and the least abnormal images, and what was predicted of them."""

import io
from collections.abc import Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from glcm_mae.files import write_atomically

COLUMNS = ("image", "predicted while hidden", "error")


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
    from matplotlib.figure import Figure  # slow to import

    errors = (images - restored).abs().mean(dim=1)
    top = max(float(errors.max()), 1e-6)
    figure = Figure(figsize=(2 * len(COLUMNS), 2 * len(images) + 0.4), layout="constrained")
    axes = figure.subplots(len(images), len(COLUMNS), squeeze=False)
    for row, caption in enumerate(captions):
        for axis, picture in zip(axes[row], (images[row], restored[row]), strict=False):
            gray = picture.mean(dim=0) if len(picture) != 3 else picture.permute(1, 2, 0)
            axis.imshow(gray.numpy(), cmap="gray", vmin=0, vmax=1)
        axes[row, 2].imshow(errors[row].numpy(), cmap="gray", vmin=0, vmax=top)
        axes[row, 0].set_ylabel(caption, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    write_atomically(path, buffer.getvalue())
