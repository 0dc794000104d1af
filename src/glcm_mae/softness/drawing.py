"""The figure of soft against hard."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from glcm_mae.figures import (
    ORIGINAL,
    QUIET,
    colour,
    new_figure,
    save_figure,
    show_gray,
    styled,
)
from glcm_mae.softness.counting import Count
from glcm_mae.softness.region import Region
from glcm_mae.texture import Offset, hard_membership, soft_membership

SHOWN_LEVELS = 8
"""Membership functions drawn; of more levels those about the median."""

POINTS = 401
RUG = -0.09  # height of the ticks that are the pixels


class Scene(NamedTuple):
    """What is looked at.

    Attributes:
        image: The whole image.
        region: The part of it.
        patch: The pixels of the part.
        prediction: The same as a model might predict it.
        offset: Displacement of the pairs.
    """

    image: Tensor
    region: Region
    patch: Tensor
    prediction: Tensor
    offset: Offset


def name_bandwidth(bandwidth: float | None) -> str:
    """Return what a way to count is called.

    Example:
        >>> name_bandwidth(None), name_bandwidth(1 / 30)
        ('hard', 'b = 0.0333')
    """
    return "hard" if bandwidth is None else f"b = {bandwidth:.3g}"


@styled
def draw_softness(paths: Sequence[Path], scene: Scene, counts: Sequence[Count]) -> None:
    """Draw the image, and of each way to count its matrix, its memberships, its gradient.

    Args:
        paths: Files to write, atomically; their endings tell the formats.
        scene: What is looked at.
        counts: The hard count first, then the soft ones.
    """
    columns = 1 + len(counts)
    figure, axes = new_figure(1.9 * columns, 6.6, rows=3, columns=columns)
    _draw_scene(axes[:, 0], scene)
    top = float(counts[0].matrix.max())
    low, high = _shown_range(scene.patch, len(counts[0].matrix))
    for place, (axis, count) in enumerate(zip(axes[0, 1:], counts, strict=True)):
        _draw_matrix(axis, count, top, scene.offset, labelled=place == 0)
    for place, (axis, count) in enumerate(zip(axes[1, 1:], counts, strict=True)):
        _draw_memberships(axis, count, scene.patch, (low, high), labelled=place == 0)
    for axis, count in zip(axes[2, 1:], counts, strict=True):
        _draw_gradient(axis, count)
    save_figure(figure, *paths)


def _draw_scene(axes: Any, scene: Scene) -> None:
    row, col, height, width = scene.region
    show_gray(axes[0], scene.image[None])
    across, down = (col, col + width, col + width, col, col), (row, row, row + height)
    axes[0].plot(across, (*down, row + height, row), color=colour(4), linewidth=1.2)
    axes[0].set_title("image")
    show_gray(axes[1], scene.patch[None])
    axes[1].set_title(f"region, {height} x {width}")
    show_gray(axes[2], scene.prediction[None])
    axes[2].set_title("blurred prediction")
    for axis in axes:
        _bare(axis)


def _bare(axis: Any) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
    for side in axis.spines.values():
        side.set_visible(False)


def _draw_matrix(
    axis: Any, count: Count, top: float, offset: Offset, *, labelled: bool
) -> None:
    from matplotlib.colors import PowerNorm  # slow to import

    norm = PowerNorm(0.5, vmin=0, vmax=top)  # a few cells hold most pairs
    axis.imshow(count.matrix.numpy(), cmap="viridis", norm=norm, interpolation="nearest")
    title = name_bandwidth(count.bandwidth)
    if count.bandwidth is not None:
        title = f"soft, {title}\n(the paper's W = {1 / count.bandwidth:.3g})"
    axis.set_title(title)
    _bare(axis)
    if labelled:
        axis.set_ylabel("level of the pixel")
        axis.set_xlabel(f"level at offset ({offset.rows}, {offset.cols})")
    else:
        axis.set_xlabel(f"{100 * count.moved:.1f} % of the pairs moved")


def _shown_range(patch: Tensor, levels: int) -> tuple[float, float]:
    """Return the gray values between which memberships are drawn: whole bins."""
    if levels <= SHOWN_LEVELS:
        return 0.0, 1.0
    middle = int(float(patch.median()) * levels)
    first = min(max(middle - SHOWN_LEVELS // 2, 0), levels - SHOWN_LEVELS)
    return first / levels, (first + SHOWN_LEVELS) / levels


def _draw_memberships(
    axis: Any, count: Count, patch: Tensor, limits: tuple[float, float], *, labelled: bool
) -> None:
    levels = len(count.matrix)
    values = torch.linspace(*limits, POINTS, dtype=torch.float64)
    shares = (
        hard_membership(values[None], levels)
        if count.bandwidth is None
        else soft_membership(values[None], levels, count.bandwidth)
    )[0]
    first = round(limits[0] * levels)
    for place in range(min(levels, SHOWN_LEVELS)):
        axis.plot(values, shares[:, first + place], color=colour(place), linewidth=1.1)
    inside = patch[(patch >= limits[0]) & (patch <= limits[1])].flatten()
    rug = {"color": QUIET, "markersize": 5, "alpha": 0.35, "rasterized": True}
    axis.plot(inside, torch.full_like(inside, RUG), "|", **rug)
    axis.set_xlim(*limits)
    axis.set_ylim(-0.16, 1.05)
    axis.set_yticks([RUG, 0, 0.5, 1], ["pixels", "0", "0.5", "1"] if labelled else [""] * 4)
    axis.locator_params(axis="x", nbins=3)
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set_xlabel("gray value x")
    if labelled:
        axis.set_ylabel("share $r_k(x)$ in level k")


def _draw_gradient(axis: Any, count: Count) -> None:
    size = count.gradient.abs()
    top = float(size.max())
    _bare(axis)
    if count.bandwidth is None:
        for side in axis.spines.values():
            side.set_visible(True)
            side.set_color(QUIET)
        axis.set_box_aspect(size.shape[0] / size.shape[1])
        axis.text(
            *(0.5, 0.5, "no gradient\nanywhere"),
            ha="center",
            va="center",
            color=ORIGINAL,
            transform=axis.transAxes,
        )
        axis.set_ylabel("size of the gradient")
        return
    axis.imshow(
        (size / (top or 1.0)).numpy(), cmap="viridis", vmin=0, vmax=1, interpolation="nearest"
    )
    axis.set_xlabel(f"gradient in {100 * count.gradient_share:.0f} % of pixels")
