"""What a pre-training step costs against batch, image size, model size and loss.

Each point is a process of its own: some steps of the masked autoencoder of the paper's
shape (75 % hidden, decoder 8 x 512 x 16), from the squared error alone or from the default
texture loss (squared error, GLCM distance and SSIM). One setting is changed at a time from
ViT-B/16, 224 x 224 and the middle batch. Images a second of the best step, the process's
(or the GPU's) peak memory, and the share of the peak of a matrix product.

    python benchmarks/scaling.py [--threads 2 --device cpu] [--out FILE]

`--out` is written after every point; a point that is there already is not measured again.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "scaling.json"
TERMS = {
    "mse": {"mse": 1.0},
    "texture": {"mse": 1.0, "glcm": 1.0, "ssim": 0.1},
}
MODELS = {name: f"vit_{name}_patch16_224" for name in ("tiny", "small", "base")}
SWEEPS: dict[str, dict[str, list[Any]]] = {
    "cpu": {"batch": [1, 2, 4, 8, 16], "size": [96, 160, 224, 320], "model": [*MODELS]},
    "cuda": {
        "batch": [8, 32, 64, 128, 256],
        "size": [96, 160, 224, 320, 448],
        "model": [*MODELS],
    },
}
MIDDLE = {"cpu": 4, "cuda": 64}


def points(device: str) -> list[dict[str, Any]]:
    """Return the points: from the middle, one setting changed at a time."""
    middle = {"batch": MIDDLE[device], "size": 224, "model": "base"}
    found: list[dict[str, Any]] = []
    for key, values in SWEEPS[device].items():
        for value in values:
            for loss in TERMS:
                point = {**middle, key: value, "loss": loss}
                if point not in found:
                    found.append(point)
    return found


def measure(point: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    """Take the steps of one point; run in a process of its own."""
    import torch

    from glcm_mae.assembly import build_objective
    from glcm_mae.config import LossesConfig
    from glcm_mae.model import MaskedAutoencoder, build_encoder, random_mask
    from glcm_mae.model.mae import visible_indices
    from glcm_mae.performance import (
        flops_per_image,
        matrix_peak,
        peak_memory,
    )

    torch.set_num_threads(options.threads)
    device, side = torch.device(options.device), point["size"]
    encoder = build_encoder(
        MODELS[point["model"]], image_size=(side, side), patch_size=16, channels=1
    )
    model = MaskedAutoencoder(encoder).to(device).train()
    objective, weights = build_objective(LossesConfig(), 16), TERMS[point["loss"]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(point["batch"], 1, side, side, generator=generator).to(device)
    low = options.precision == "bfloat16"

    def step() -> None:
        mask = random_mask(len(images), (side // 16) ** 2, 0.75, generator=generator)
        visible = visible_indices(mask).to(device, non_blocking=True)
        mask = mask.to(device, non_blocking=True)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=low):
            prediction = model(images, mask, visible).prediction
        objective(prediction, images, mask, weights).total.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if device.type == "cuda":
            torch.cuda.synchronize()

    best, steps, until = float("inf"), 0, time.perf_counter() + options.seconds
    step()
    while steps < 2 or (time.perf_counter() < until and steps < options.steps):
        started = time.perf_counter()
        step()
        best, steps = min(best, time.perf_counter() - started), steps + 1
    memory = peak_memory(device) / 1e9
    one = random_mask(1, (side // 16) ** 2, 0.75, generator=generator).to(device)
    flops = flops_per_image(model, images[:1], one)
    speed = len(images) / best
    peak = matrix_peak(device, getattr(torch, options.precision))
    return {
        "images_per_second": speed,
        "seconds_per_step": best,
        "steps": steps,
        "peak_memory_gb": memory,
        "gflops_per_image": flops / 1e9,
        "utilisation": speed * flops / peak,
    }


def about(options: argparse.Namespace) -> dict[str, Any]:
    import torch

    keys = ("device", "precision", "threads", "steps", "seconds")
    return {
        "command": "python benchmarks/scaling.py",
        **{key: getattr(options, key) for key in keys},
        "processors": os.cpu_count(),
        "torch": torch.__version__,
    }


def in_a_process(point: dict[str, Any], options: argparse.Namespace) -> dict[str, float]:
    threads = str(options.threads)
    command = [sys.executable, __file__, "--point", json.dumps(point)]
    for key in ("device", "precision", "threads", "steps", "seconds"):
        command += [f"--{key}", str(getattr(options, key))]
    environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=environment
    )
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--steps", type=int, default=20, help="steps of a point at most")
    parser.add_argument("--seconds", type=float, default=4.0, help="begin no step later")
    parser.add_argument("--limit", type=int, help="new points at most")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--point", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        print(json.dumps(measure(json.loads(options.point), options)))
        return
    found: dict[str, Any] = {"about": about(options), "points": []}
    if options.out.exists():
        before = json.loads(options.out.read_text("utf-8"))
        found = before if before.get("about") == found["about"] else found
    options.out.parent.mkdir(parents=True, exist_ok=True)
    keys = ("batch", "size", "model", "loss")
    there = [{key: row[key] for key in keys} for row in found["points"]]
    missing = [point for point in points(options.device) if point not in there]
    for point in missing[: options.limit]:
        row = {**point, **in_a_process(point, options), "load_average": os.getloadavg()[0]}
        found["points"].append(row)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for row in found["points"]:
        print(
            f"{row['model']:>6} {row['size']:4} batch {row['batch']:4} {row['loss']:<8}"
            f"{row['images_per_second']:9.2f} images/s{row['peak_memory_gb']:7.2f} GB"
            f"{row['gflops_per_image']:8.1f} GFLOP/image{row['utilisation']:6.0%} of peak"
        )


if __name__ == "__main__":
    main()
