"""How the gradient divides among MSE, GLCM and SSIM, and which weights balance it.

Pre-trains a small autoencoder on one data set with MSE alone, then goes on with
each set of weights and samples, every few steps, the share of each weighted term
in the gradient norm: at the last shared layer (what a run logs) and over all
parameters. Prints the shares and writes them as JSON.

    python benchmarks/gradient_shares.py [TABLE] [--size 128 --patch 16 --epochs 10]
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

from glcm_mae.assembly import build_autoencoder, build_objective
from glcm_mae.config import DataConfig, LossesConfig, ModelConfig
from glcm_mae.data import write_phantoms
from glcm_mae.data.batching.batches import gray_statistics, training_batches
from glcm_mae.data.batching.randomness import Stream, counted_generator
from glcm_mae.intake import load_table
from glcm_mae.losses import gradient_shares
from glcm_mae.model import random_mask
from glcm_mae.optimization import build_optimizer, set_learning_rate

WEIGHTS = {
    "paper": {"mse": 0.1, "glcm": 1.0, "ssim": 1.0},
    "ones": {"mse": 1.0, "glcm": 1.0, "ssim": 1.0},
    "default": {
        name: getattr(LossesConfig().phases[-1], name) for name in ("mse", "glcm", "ssim")
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", type=Path, nargs="?", help="default: 256 phantoms")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--patch", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--levels", type=int, default=32)
    parser.add_argument("--bandwidth", type=float, default=0.5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = ModelConfig(
        encoder="vit_tiny_patch16_224",
        encoder_options={"depth": 6},
        image_size=(options.size, options.size),
        patch_size=options.patch,
        decoder_depth=2,
        decoder_width=128,
        decoder_heads=4,
    )
    if options.table is None:
        options.table = write_phantoms(
            Path(tempfile.mkdtemp()) / "phantoms", count=256, size=options.size, seed=0
        )
    images = load_table(DataConfig(table=options.table, fit="crop"), settings, labelled=False)
    window = min(11, options.patch - 1 + options.patch % 2)
    glcm = {"levels": options.levels, "bandwidth": options.bandwidth}
    losses = LossesConfig(ssim={"window": window}, glcm=glcm)
    result = {"arguments": {k: str(v) for k, v in vars(options).items()}, "shares": {}}
    for name, weights in WEIGHTS.items():
        shares = measure(settings, losses, images.pixels, weights, options.epochs)
        result["shares"][name] = {"weights": weights, **shares}
        print(f"{name}: {weights}")
        for where, values in shares.items():
            print(f"  {where:<12}" + "  ".join(f"{k} {v:.3g}" for k, v in values.items()))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


def measure(settings, losses, pixels, weights, epochs):
    rows = np.arange(len(pixels))
    model = build_autoencoder(settings, seed=0)
    model.encoder.set_input_statistics(*gray_statistics(pixels, rows))
    optimizer = build_optimizer(model, weight_decay=0.05, betas=(0.9, 0.95))
    set_learning_rate(optimizer, 5e-4)
    objective = build_objective(losses, settings.patch_size)
    parameters = [p for p in model.parameters() if p.requires_grad]
    grid = model.encoder.grid
    found: dict[str, dict[str, list[float]]] = {"last layer": {}, "all": {}, "value": {}}
    first_phase = epochs - max(1, epochs // 4)
    for epoch in range(epochs):
        now = {"mse": 1.0} if epoch < first_phase else weights
        batches = training_batches(
            pixels,
            rows,
            batch_size=32,
            seed=0,
            epoch=epoch,
            device=torch.device("cpu"),
            augmentation={},
        )
        for step, batch in enumerate(batches):
            generator = counted_generator(0, Stream.MASK, epoch, step)
            mask = random_mask(
                len(batch.rows), grid[0] * grid[1], settings.mask_ratio, generator=generator
            )
            value = objective(model(batch.images, mask).prediction, batch.images, mask, now)
            if epoch >= first_phase and step % 8 == 0:
                for where, shared in (("last layer", [model.head.weight]), ("all", parameters)):
                    for name, share in gradient_shares(value, now, shared).items():
                        found[where].setdefault(name, []).append(share)
                for name, term in value.terms.items():
                    found["value"].setdefault(name, []).append(float(term.detach()))
            optimizer.zero_grad()
            value.total.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
    return {
        where: {k: float(np.mean(v)) for k, v in terms.items()}
        for where, terms in found.items()
    }


if __name__ == "__main__":
    main()
