"""What the texture phase adds to a pre-training step on the CPU.

Whole steps of the autoencoder of the paper (ViT-B/16, 224 x 224, 75 % hidden, decoder
8 x 512): forward, loss, backward, clipping, AdamW. The MSE-only step and the steps with
the texture term take turns, so that a busy machine slows all alike; ratios are of medians.

    python benchmarks/texture_step.py [--batch 16 --rounds 5 --threads 2] [--json FILE]
"""

import argparse
import json
import math
import os
import platform
import statistics
import time
from pathlib import Path

import torch

from glcm_mae.assembly import build_autoencoder, build_objective
from glcm_mae.config import GLCMConfig, LossesConfig, ModelConfig
from glcm_mae.model import random_mask

MSE = {"mse": 1.0}
TEXTURE = {"mse": 1.0, "glcm": 1.0, "ssim": 0.1}
PAPER = GLCMConfig(levels=256, bandwidth=1 / 30)
STEPS = {
    "MSE alone": (MSE, GLCMConfig()),
    "texture phase, 32 levels, bandwidth 0.5": (TEXTURE, GLCMConfig()),
    "texture phase, 256 levels, bandwidth 1/30": (TEXTURE, PAPER),
    "texture phase, dense, 32 levels": (TEXTURE, GLCMConfig(engine="dense")),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    settings = ModelConfig()
    model = build_autoencoder(settings, seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(options.batch, 1, *settings.image_size, generator=generator)
    patches = math.prod(settings.image_size) // settings.patch_size**2
    times: dict[str, list[float]] = {name: [] for name in STEPS}
    for turn in range(options.rounds + 1):
        for name, (weights, glcm) in STEPS.items():
            objective = build_objective(LossesConfig(glcm=glcm), settings.patch_size)
            mask = random_mask(options.batch, patches, settings.mask_ratio, generator=generator)
            start = time.perf_counter()
            optimizer.zero_grad(set_to_none=True)
            reconstruction = model(images, mask)
            objective(reconstruction.prediction, images, mask, weights).total.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if turn:  # the first turn warms up
                times[name].append(time.perf_counter() - start)
    base = statistics.median(times["MSE alone"])
    print(f"batch {options.batch}, {options.threads} threads, median of {options.rounds} steps")
    results = {}
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        spread = (max(seconds) - min(seconds)) / middle
        results[name] = {"seconds": middle, "ratio": middle / base, "spread": spread}
        print(
            f"  {name:<44}{middle:7.2f} s  {options.batch / middle:5.2f} images/s  "
            f"{middle / base:.3f} of MSE alone  (spread {100 * spread:.0f} %)"
        )
    if options.json:
        about = {
            "command": "python benchmarks/texture_step.py",
            "batch": options.batch,
            "threads": options.threads,
            "processors": os.cpu_count(),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        options.json.write_text(json.dumps(about | {"steps": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
