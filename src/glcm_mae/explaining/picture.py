"""Pictures of cases, and of the map of features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.figures import (
    ORIGINAL,
    mark,
    new_figure,
    save_figure,
    show_gray,
    show_overlay,
    styled,
    without_ticks,
)

LONGEST = 60
"""Letters of a name in a picture; of a longer one the end is shown."""

_LAST_LETTER = 0x500  # beyond it the font of the figures lacks letters
_TITLE = 8  # points
_FINE = 400  # values of a map, from which the hundredth that is largest sets no scale
_PLANE = 2.6  # inches


@dataclass(frozen=True)
class Overlay:
    """One map to be laid over the image.

    Attributes:
        title: What stands above it.
        values: The map.
        unit: What its scale tells.
        signed: Whether it has values on both sides of zero.
    """

    title: str
    values: Float[Tensor, "rows cols"]
    unit: str
    signed: bool = False

    @property
    def clipped(self) -> bool:
        """Whether single values may lie beyond the scale: of a fine map the largest do."""
        return self.values.numel() >= _FINE

    @property
    def limits(self) -> tuple[float, float]:
        """Ends of the scale, around zero where there are signs."""
        values = self.values.double().flatten()
        share = 0.99 if self.clipped else 1.0
        if self.signed:
            top = max(float(values.abs().quantile(share)), 1e-12)
            return -top, top
        low, high = float(values.min()), float(values.quantile(share))
        return low, max(high, low + 1e-12)


@styled
def draw_case(
    path: Path,
    image: Float[Tensor, "channel height width"],
    overlays: Sequence[Overlay],
    nearest: Sequence[tuple[Float[Tensor, "channel height width"], str]],
    *,
    caption: str,
) -> None:
    """Draw a test image, maps over it, and the training images that are most like it.

    Args:
        path: PNG file to write, atomically.
        image: The image, in [0, 1].
        overlays: Maps of it.
        nearest: Training images, and what stands below each.
        caption: Lines above the picture.
    """
    columns = 1 + len(overlays) + len(nearest)
    height, width = image.shape[1:]
    size = (1.6 * columns, 1.6 * height / width + 1.2)
    figure, axes = new_figure(*size, columns=columns)
    row = axes[0]
    show_gray(row[0], image)
    row[0].set_title("image", fontsize=_TITLE)
    for axis, overlay in zip(row[1:], overlays, strict=False):
        shown = show_overlay(
            axis, image, overlay.values, limits=overlay.limits, signed=overlay.signed
        )
        axis.set_title(overlay.title, fontsize=_TITLE)
        _scale(figure, axis, shown, overlay)
    others = zip(row[1 + len(overlays) :], nearest, strict=True)
    for number, (axis, (other, below)) in enumerate(others, start=1):
        show_gray(axis, other)
        axis.set_title(f"training image {number}", fontsize=_TITLE)
        axis.set_xlabel(below, fontsize=_TITLE, parse_math=False)
        for side in axis.spines.values():
            side.set(visible=True, color=ORIGINAL, linestyle="--")
    for axis in row:
        axis.set_anchor("N")  # some have a scale below: all begin at one height
    for axis in row[: 1 + len(overlays)]:
        axis.spines[:].set_visible(False)
    without_ticks(axes)
    figure.suptitle(caption, fontsize=8.5, ha="left", x=0.01, parse_math=False)
    save_figure(figure, path)


def _scale(figure: Any, axis: Any, shown: Any, overlay: Overlay) -> None:
    bar = figure.colorbar(
        shown,
        ax=axis,
        location="bottom",
        shrink=0.9,
        aspect=14,
        pad=0.02,
        extend=("both" if overlay.signed else "max") if overlay.clipped else "neither",
    )
    low, high = overlay.limits
    ticks = [low, 0.0, high] if overlay.signed else [low, high]
    bar.set_ticks(ticks, labels=[f"{value:.2g}" for value in ticks])
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(overlay.unit, fontsize=7)


def summed(values: Float[Tensor, "height width"], side: int) -> Tensor:
    """Return the sum of a map over blocks of pixels: single pixels are too fine to be seen.

    Example:
        >>> import torch
        >>> summed(torch.ones(2, 4), 2)
        tensor([[4., 4.]])
    """
    pooled = nn.functional.avg_pool2d(values[None, None], side, ceil_mode=False)
    return pooled[0, 0] * side**2


def printable(name: str) -> str:
    """Return a name as a picture can show it: its end, and no letters that the font lacks.

    Example:
        >>> printable("images/ill/1.png"), printable("病/1.png")
        ('images/ill/1.png', '?/1.png')
    """
    known = "".join(c if c.isprintable() and ord(c) < _LAST_LETTER else "?" for c in name)
    return known if len(known) <= LONGEST else f"…{known[1 - LONGEST :]}"


@dataclass(frozen=True)
class Plane:
    """Points of one map of features.

    Attributes:
        title: What stands above it.
        points: Two columns, one row an image.
        colours: What each point is coloured by, from 0.
        names: What the colours stand for.
        errors: Whether each image was called wrong; ringed.
    """

    title: str
    points: NDArray[np.float64]
    colours: NDArray[np.int64]
    names: Sequence[str]
    errors: NDArray[np.bool_]


@styled
def draw_planes(paths: Sequence[Path], planes: Sequence[Plane]) -> None:
    """Draw maps of features beside each other; no image is shown or named.

    Args:
        paths: Files to write, atomically.
        planes: The maps; those with the same names share a legend.
    """
    columns = min(3, len(planes))
    rows = -(-len(planes) // columns)
    shared = len({tuple(plane.names) for plane in planes}) == 1
    size = (_PLANE * columns + 1.2, _PLANE * rows + 0.2)
    figure, axes = new_figure(*size, rows=rows, columns=columns)
    for axis, plane in zip(axes.flat, planes, strict=False):
        _draw_plane(axis, plane)
        if not shared:
            _name(axis, axis, plane.names)
    for axis in axes.flat[len(planes) :]:
        axis.set_axis_off()
    if shared:
        _name(figure, axes.flat[0], planes[0].names)
    without_ticks(axes)
    save_figure(figure, *paths)


def _draw_plane(axis: Any, plane: Plane) -> None:
    size = float(np.clip(3000 / max(len(plane.points), 1), 3, 22))
    for number, _ in enumerate(plane.names):
        own = plane.points[plane.colours == number]
        drawn = mark(number)
        axis.scatter(
            *own.T, s=size, c=drawn.colour, marker=drawn.marker, alpha=0.7, linewidths=0
        )
    wrong = plane.points[plane.errors]
    axis.scatter(*wrong.T, s=3 * size, facecolors="none", edgecolors=ORIGINAL, linewidths=0.7)
    axis.set_title(plane.title, fontsize=9, parse_math=False)
    for side in axis.spines.values():
        side.set(visible=True, color=ORIGINAL, linewidth=0.6)


def _name(where: Any, axis: Any, names: Sequence[str]) -> None:
    """Put a legend beside the axes (of a figure) or below them."""
    handles: Mapping[str, Any] = {
        name: axis.scatter([], [], s=16, c=mark(n).colour, marker=mark(n).marker)
        for n, name in enumerate(names)
    }
    ring = axis.scatter([], [], s=40, facecolors="none", edgecolors=ORIGINAL, linewidths=0.7)
    entries = {**handles, "called wrong": ring}
    place = (
        {"loc": "outside right upper"}
        if where is not axis
        else {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}
    )
    look = {"fontsize": 8, "frameon": False}
    legend = where.legend(
        list(entries.values()), [printable(n) for n in entries], **place, **look
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
