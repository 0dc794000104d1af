"""Draws how soft co-occurrence tends to hard co-occurrence as the bandwidth shrinks.

    python docs/figures/soft_to_hard.py [TABLE] [--levels 32] [--out docs/figures]

Writes soft_to_hard.svg from a phantom patch. With a table of images (by default the breast
ultrasound set, where it can be found) the curve of real patches is drawn beside the
phantoms'; no image of the table is shown.
"""

import argparse
import os
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from torch import Tensor

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.colors import PowerNorm

from glcm_mae import make_phantom, read_image, read_table
from glcm_mae.texture import Offset, cooccurrence, hard_membership, soft_membership

SIDE, RIGHT = 16, [Offset(0, 1)]
SHOWN = (2.0, 1.0, 0.5, 0.2, 1 / 30)
CURVE = np.geomspace(1 / 100, 4, 25)
BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by everyone


def hard(patches: Tensor, levels: int) -> Tensor:
    return cooccurrence(hard_membership(patches, levels), RIGHT)[..., 0, :, :]


def soft(patches: Tensor, levels: int, bandwidth: float) -> Tensor:
    return cooccurrence(soft_membership(patches, levels, bandwidth), RIGHT)[..., 0, :, :]


def misplaced(patches: Tensor, levels: int, bandwidth: float) -> Tensor:
    """Return the share of pairs that softening moves to another cell, per patch."""
    difference = soft(patches, levels, bandwidth) - hard(patches, levels)
    return difference.abs().sum((-2, -1)) / 2


def cut(pictures: list[Tensor], count: int, seed: int) -> Tensor:
    generator = np.random.default_rng(seed)
    found: list[Tensor] = []
    while len(found) < count:
        picture = pictures[generator.integers(len(pictures))]
        row, col = (int(generator.integers(side - SIDE + 1)) for side in picture.shape)
        patch = picture[row : row + SIDE, col : col + SIDE]
        if patch.std() > 0.05:
            found.append(patch)
    return torch.stack(found)


def real_images(table: Path | None) -> list[Tensor]:
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    path = table or Path(os.environ.get("GLCM_MAE_DATA", beside)) / "busi" / "manifest.csv"
    if not path.is_file():
        return []
    listed = read_table(path, labelled=False)
    files = [listed.file(index) for index in range(0, len(listed), 8)]
    return [torch.as_tensor(read_image(file)).float()[0] for file in files]


def draw_matrices(axes: list[plt.Axes], patch: Tensor, levels: int) -> None:
    panels = [("hard", hard(patch, levels))]
    for width in SHOWN:
        name = f"1/{1 / width:.0f}" if width < 0.2 else f"{width:g}"
        panels.append((f"b = {name}", soft(patch, levels, width)))
    axes[0].imshow(patch, cmap="gray", vmin=0, vmax=1)
    axes[0].set_title("phantom patch")
    norm = PowerNorm(0.5, vmin=0, vmax=float(panels[0][1].max()))
    for axis, (name, matrix) in zip(axes[1:], panels, strict=True):
        axis.imshow(matrix, cmap="viridis", norm=norm, interpolation="nearest")
        axis.set_title(name)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    axes[1].set_ylabel("level of the pixel", fontsize=8)
    axes[1].set_xlabel("level to its right", fontsize=8)


def draw_curves(axis: plt.Axes, groups: dict[str, Tensor], levels: int) -> None:
    for (name, patches), colour in zip(groups.items(), (BLUE, ORANGE), strict=False):
        shares = torch.stack([misplaced(patches, levels, b) for b in CURVE])
        low, middle, high = shares.quantile(torch.tensor([0.1, 0.5, 0.9]), dim=1)
        axis.fill_between(CURVE, low, high, color=colour, alpha=0.2, lw=0)
        axis.plot(CURVE, middle, color=colour, label=f"{name} (median, 10-90 %)")
        for b in (1 / 30, 0.5):
            typical = float(misplaced(patches, levels, b).median())
            print(f"{name}: bandwidth {b:.3g} moves {100 * typical:.1f} % of the pairs")
    axis.set_xscale("log")
    axis.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
    axis.set_ylim(0, 1)
    axis.set_xlabel("bandwidth, in bin widths")
    axis.set_ylabel("share of pairs in another cell\nthan the hard one")
    axis.axvline(0.5, color="0.4", lw=0.8, ls="--")
    axis.axvline(1 / 30, color="0.4", lw=0.8, ls=":")
    axis.text(
        0.5, 1.01, "default", ha="center", fontsize=8, transform=axis.get_xaxis_transform()
    )
    axis.text(
        1 / 30, 1.01, "paper", ha="center", fontsize=8, transform=axis.get_xaxis_transform()
    )
    axis.legend(frameon=False, fontsize=8, loc="center left")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?")
    parser.add_argument("--levels", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    options = parser.parse_args()
    mpl.rcParams |= {"svg.hashsalt": "glcm-mae", "font.size": 9, "axes.spines.top": False}
    mpl.rcParams |= {"axes.spines.right": False, "axes.titlesize": 9, "svg.fonttype": "none"}
    phantoms = [
        torch.as_tensor(make_phantom(kind, size=96, seed=(3, i)).image).float()
        for i in range(30)
        for kind in ("fine", "coarse")
    ]
    groups = {"phantoms": cut(phantoms, 200, 0)}
    if pictures := real_images(options.table):
        groups["breast ultrasound"] = cut(pictures, 200, 0)
    figure = plt.figure(figsize=(9, 5), layout="constrained")
    upper, lower = figure.subfigures(2, 1, height_ratios=(2, 3))
    draw_matrices(
        list(upper.subplots(1, 2 + len(SHOWN))), groups["phantoms"][0], options.levels
    )
    draw_curves(lower.subplots(), groups, options.levels)
    figure.savefig(options.out / "soft_to_hard.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
