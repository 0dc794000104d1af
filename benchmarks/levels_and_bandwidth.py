"""What levels and bandwidth do to the gradient of the GLCM distance, on real patches.

Textured 16 x 16 patches are replaced by their 5 x 5 mean, which is what the squared error
makes of them, and then sharpened by Adam steps on the GLCM distance alone. Written is how
far five of Haralick's features of the result are from those of the true patch, in standard
deviations over the patches: hard co-occurrence of 32 levels, right and lower neighbour,
symmetric. Beside it, the share of pixels that have any gradient at the start (a thousandth
of the largest).

    python benchmarks/levels_and_bandwidth.py [TABLE] [--patches 300 --steps 150] [--json FILE]

The default table is the breast ultrasound set where it can be found (GLCM_MAE_DATA), else
phantoms.
"""

import argparse
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from glcm_mae import make_phantom, read_image, read_table
from glcm_mae.texture import (
    Offset,
    angular_second_moment,
    contrast,
    cooccurrence,
    correlation,
    glcm_distance,
    hard_membership,
    inverse_difference_moment,
    joint_entropy,
)

SIDE = 16
OFFSETS = (Offset(0, 1), Offset(1, 0))
FEATURES = (
    contrast,
    correlation,
    inverse_difference_moment,
    angular_second_moment,
    joint_entropy,
)
SETTINGS = (
    (256, 1 / 30),
    (256, 1 / 5),
    (256, 1.0),
    (64, 1 / 30),
    (64, 1 / 2),
    (32, 1 / 30),
    (32, 1 / 2),
    (32, 1.0),
    (32, 2.0),
    (16, 1 / 2),
    (8, 1 / 2),
)


def default_table() -> Path | None:
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    table = Path(os.environ.get("GLCM_MAE_DATA", beside)) / "busi" / "manifest.csv"
    return table if table.is_file() else None


def images(table: Path | None) -> list[Tensor]:
    if table is None:
        phantoms = (make_phantom("fine", size=128, seed=(7, i)).image for i in range(100))
        return [torch.as_tensor(phantom).float() for phantom in phantoms]
    listed = read_table(table, labelled=False)
    return [torch.as_tensor(read_image(listed.root / path)).float()[0] for path in listed.paths]


def textured_patches(pictures: list[Tensor], count: int, seed: int) -> Tensor:
    """Draw patches at random places; one that is flat or clipped has no texture to lose."""
    generator = np.random.default_rng(seed)
    found: list[Tensor] = []
    while len(found) < count:
        picture = pictures[generator.integers(len(pictures))]
        row, col = (int(generator.integers(side - SIDE + 1)) for side in picture.shape)
        patch = picture[row : row + SIDE, col : col + SIDE]
        inside = ((patch > 0) & (patch < 1)).float().mean()
        if patch.std() > 0.05 and inside > 0.9:
            found.append(patch)
    return torch.stack(found)


def blurred(patches: Tensor) -> Tensor:
    padded = functional.pad(patches[:, None], (2, 2, 2, 2), mode="reflect")
    return functional.avg_pool2d(padded, 5, stride=1)[:, 0]


def features(patches: Tensor) -> Tensor:
    """Return five features per patch, averaged over the offsets."""
    membership = hard_membership(patches.clamp(0, 1), 32)
    matrices = cooccurrence(membership, OFFSETS, symmetric=True)
    return torch.stack([feature(matrices).mean(-1) for feature in FEATURES], dim=-1)


def sharpen(start: Tensor, true: Tensor, levels: int, bandwidth: float, steps: int) -> Tensor:
    guess = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([guess], lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        # Summed over patches, so that a patch moves as it would alone.
        distance = glcm_distance(
            guess, true, levels=levels, bandwidth=bandwidth, offsets=OFFSETS
        )
        (len(true) * distance).backward()
        optimizer.step()
    return guess.detach()


def share_with_gradient(start: Tensor, true: Tensor, levels: int, bandwidth: float) -> float:
    guess = start.clone().requires_grad_()
    distance = glcm_distance(guess, true, levels=levels, bandwidth=bandwidth, offsets=OFFSETS)
    (gradient,) = torch.autograd.grad(distance, guess)
    largest = gradient.abs().amax((1, 2), keepdim=True)
    return float((gradient.abs() > 1e-3 * largest).float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", default=default_table())
    parser.add_argument("--patches", type=int, default=300)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    true = textured_patches(images(options.table), options.patches, options.seed)
    start = blurred(true)
    wanted = features(true)
    spread = wanted.std(0)

    def error(patches: Tensor) -> float:
        return float(((features(patches) - wanted).abs() / spread).mean())

    source = "phantoms" if options.table is None else options.table.parent.name
    print(
        f"{len(true)} patches of {source}, {options.steps} steps; blurred: {error(start):.2f}"
    )
    print("| levels | bandwidth | error after | pixels with gradient |\n|---|---|---|---|")
    rows = []
    for levels, bandwidth in SETTINGS:
        after = error(sharpen(start, true, levels, bandwidth, options.steps))
        share = share_with_gradient(start, true, levels, bandwidth)
        rows.append({"levels": levels, "bandwidth": bandwidth, "error": after, "share": share})
        width = f"1/{1 / bandwidth:.0f}" if bandwidth < 1 else f"{bandwidth:g}"
        print(f"| {levels} | {width} | {after:.2f} | {100 * share:.0f} % |", flush=True)
    if options.json:
        about = {
            "command": "python benchmarks/levels_and_bandwidth.py",
            "data": source,
            "patches": len(true),
            "steps": options.steps,
            "seed": options.seed,
            "blurred": error(start),
        }
        options.json.write_text(json.dumps(about | {"settings": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
