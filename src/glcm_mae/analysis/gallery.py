"""The best, median and worst restorations, side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from glcm_mae.figures import new_figure, save_figure, show_gray, styled, without_ticks


@dataclass(frozen=True)
class Exhibit:
    """One image and what became of it.

    Attributes:
        kind: ``best``, ``median`` or ``worst``.
        image: The original.
        restored: What each system made of it.
        errors: Mean Haralick error of each.
    """

    kind: str
    image: Float[Tensor, "channel height width"]
    restored: Mapping[str, Float[Tensor, "channel height width"]]
    errors: Mapping[str, float]


@styled
def draw_gallery(path: Path, exhibits: Sequence[Exhibit]) -> None:
    """Draw originals, restorations, and where they differ; all errors share one scale.

    Args:
        path: PNG file to write, atomically.
        exhibits: Images of the same size and systems, at least one. None is named.
    """
    systems = list(exhibits[0].restored)
    columns = 1 + 2 * len(systems)
    size = (1.55 * columns + 0.9, 1.72 * len(exhibits) + 0.5)
    figure, axes = new_figure(*size, rows=len(exhibits), columns=columns)
    maps = [
        {name: (one.restored[name] - one.image).abs().mean(dim=0) for name in systems}
        for one in exhibits
    ]
    top = max(max(float(error.max()) for error in of_one.values()) for of_one in maps)
    shown = None
    for row, (one, errors) in enumerate(zip(exhibits, maps, strict=True)):
        show_gray(axes[row, 0], one.image)
        axes[row, 0].set_ylabel(one.kind, fontsize=9)
        for place, name in enumerate(systems):
            pair = axes[row, 1 + 2 * place : 3 + 2 * place]
            show_gray(pair[0], one.restored[name])
            pair[0].set_xlabel(f"Haralick error {100 * one.errors[name]:.0f} %", fontsize=7.5)
            shown = pair[1].imshow(
                errors[name].numpy(), cmap="gray", vmin=0, vmax=max(top, 1e-6)
            )
    without_ticks(axes)
    axes[0, 0].set_title("original", fontsize=9)
    for place, name in enumerate(systems):
        axes[0, 1 + 2 * place].set_title(name, fontsize=9)
        axes[0, 2 + 2 * place].set_title("absolute error", fontsize=9)
    bar = figure.colorbar(shown, ax=axes, shrink=0.5, aspect=30, pad=0.01)
    bar.set_label("absolute error, in shares of the gray range", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    save_figure(figure, path)
