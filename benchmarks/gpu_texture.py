"""What the fused GLCM distance costs on a GPU, alone and within a step of pre-training.

Alone: equality with the dense formula in float64, time of forward and backward, and
peak memory, for the hidden patches of one image (147) and of a batch of 256 (37,632).
In a step: ViT-B/16 on 224 x 224 gray images, batch 256, bfloat16; the MSE alone against
the MSE and the GLCM distance by either engine.

Every measurement is written as soon as it is done, and those that are there are not
repeated: a run that was cut off goes on where it stopped.

    python benchmarks/gpu_texture.py [--json benchmarks/results/gpu_texture.json]
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glcm_mae.assembly import build_autoencoder
from glcm_mae.config import ModelConfig
from glcm_mae.devices import autocast
from glcm_mae.losses import Objective
from glcm_mae.model import random_mask
from glcm_mae.optimization import build_optimizer, set_learning_rate
from glcm_mae.texture import Offset, Scale, glcm_distance

OFFSETS = (Offset(0, 1), Offset(1, 0))
SCALES = {"default": Scale(32, 0.5, OFFSETS), "paper": Scale(256, 1 / 30, OFFSETS)}
RESULTS = Path(__file__).parent / "results" / "gpu_texture.json"


@dataclass(frozen=True)
class Workload:
    """How much to measure, and on what."""

    device: torch.device
    patches: tuple[int, ...] = (147, 37_632)
    model: ModelConfig = field(default_factory=ModelConfig)
    batch: int = 256
    rounds: int = 10


def tiny() -> Workload:
    """Return a rehearsal of every measurement that a processor does in seconds."""
    model = ModelConfig(
        encoder="vit_tiny_patch16_224",
        encoder_options={"depth": 1},
        image_size=(32, 32),
        decoder_depth=1,
        decoder_width=32,
        decoder_heads=2,
    )
    return Workload(torch.device("cpu"), (3,), model, batch=2, rounds=1)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def cost(run: Callable[[], object], load: Workload) -> dict[str, float]:
    """Return the median time of a run, and the peak of memory above what was there."""
    cuda = load.device.type == "cuda"
    for _ in range(2):  # the first compiles
        run()
    wait(load.device)
    held = 0
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(load.device)
        held = torch.cuda.memory_allocated(load.device)
    times = []
    for _ in range(load.rounds):
        start = time.perf_counter()
        run()
        wait(load.device)
        times.append(1e3 * (time.perf_counter() - start))
    peak = torch.cuda.max_memory_allocated(load.device) - held if cuda else 0
    return {
        "milliseconds": statistics.median(times),
        "milliseconds_least": min(times),
        "peak_mib": peak / 2**20,
    }


def pair_of_patches(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    target, noise = (torch.rand(count, 16, 16, generator=generator) for _ in range(2))
    # A blurred guess, as a model makes, with some pixels out of range.
    prediction = (0.5 + 0.6 * (noise - 0.5) + 0.3 * (target - 0.5)) * 1.1
    return prediction.to(device), target.to(device)


def distance_and_slope(
    prediction: Tensor, target: Tensor, scale: Scale, engine: str
) -> tuple[Tensor, Tensor]:
    leaf = prediction.detach().requires_grad_()
    loss = glcm_distance(leaf, target, **scale._asdict(), engine=engine)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


def measure_equality(load: Workload, *, name: str, count: int) -> dict[str, float]:
    prediction, target = pair_of_patches(count, load.device)
    loss, slope = distance_and_slope(prediction, target, SCALES[name], "fused")
    again, same = distance_and_slope(prediction, target, SCALES[name], "fused")
    # The formula goes patch by patch, so a part of them is as good as all: float64 is slow.
    part = slice(0, 2048)
    few, few_slopes = distance_and_slope(prediction[part], target[part], SCALES[name], "fused")
    exact, slopes = distance_and_slope(
        prediction[part].double(), target[part].double(), SCALES[name], "dense"
    )
    dense, _ = distance_and_slope(prediction, target, SCALES[name], "dense")
    return {
        "loss": loss.item(),
        "loss_off": abs(few.item() / exact.item() - 1),
        "gradient_off": ((few_slopes - slopes).abs().max() / slopes.abs().max()).item(),
        "loss_off_from_float32": abs(loss.item() / dense.item() - 1),
        "same_bits_twice": float(torch.equal(loss, again) and torch.equal(slope, same)),
    }


def measure_distance(load: Workload, *, name: str, count: int, engine: str) -> dict[str, float]:
    prediction, target = pair_of_patches(count, load.device)
    return cost(lambda: distance_and_slope(prediction, target, SCALES[name], engine), load)


def measure_step(load: Workload, *, name: str, engine: str | None) -> dict[str, float]:
    """Time the step of glcm_mae.pretraining: forward, terms, backward, clip, AdamW."""
    model = build_autoencoder(load.model, seed=0).to(load.device).train()
    optimizer = build_optimizer(model, weight_decay=0.05, betas=(0.9, 0.95))
    set_learning_rate(optimizer, 1e-5)
    generator = torch.Generator().manual_seed(0)
    height, width = load.model.image_size
    images = torch.rand(load.batch, 1, height, width, generator=generator).to(load.device)
    cells = (height // load.model.patch_size) * (width // load.model.patch_size)
    mask = random_mask(load.batch, cells, load.model.mask_ratio, generator=generator)
    mask = mask.to(load.device)
    scale = SCALES[name]
    objective = Objective(
        patch_size=load.model.patch_size, **scale._asdict(), engine=engine or "fused"
    )
    weights = {"mse": 1.0, "glcm": 1.0 if engine else 0.0}

    def step() -> None:
        with autocast(load.device, "bfloat16"):
            prediction = model(images, mask).prediction
        value = objective(prediction, images, mask, weights)
        optimizer.zero_grad()
        value.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    result = cost(step, load)
    return {**result, "images_per_second": 1e3 * load.batch / result["milliseconds"]}


def plan(load: Workload) -> dict[str, Callable[[], dict[str, float]]]:
    """Return every measurement by its name, the most wanted first."""
    jobs: dict[str, Callable[[], dict[str, float]]] = {}
    for name in SCALES:
        for count in load.patches:
            about = f"{name}, {count} patches"
            jobs[f"equality, {about}"] = partial(measure_equality, load, name=name, count=count)
            for engine in ("fused", "dense"):
                jobs[f"distance, {about}, {engine}"] = partial(
                    measure_distance, load, name=name, count=count, engine=engine
                )
    jobs["step, mse alone"] = partial(measure_step, load, name="default", engine=None)
    for engine in ("fused", "dense"):
        for name in SCALES:
            jobs[f"step, mse and glcm, {name}, {engine}"] = partial(
                measure_step, load, name=name, engine=engine
            )
    return jobs


def attempt(job: Callable[[], dict[str, float]]) -> dict[str, Any]:
    try:
        return {**job()}
    except torch.cuda.OutOfMemoryError:
        return {"out_of_memory": True}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def ratios(done: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Return what each engine's step takes of the plain one, and what fusing saves."""
    times = {key: value.get("milliseconds") for key, value in done.items()}
    plain = times.get("step, mse alone")
    found = {}
    for key, value in times.items():
        fused = times.get(key.replace("dense", "fused"))
        if key.endswith("dense") and value and fused:
            found[f"{key} / fused"] = value / fused
        if key.startswith("step, mse and") and value and plain:
            found[f"{key} / mse alone"] = value / plain
    return found


def measure(load: Workload, path: Path) -> None:
    device = torch.cuda.get_device_name(load.device) if load.device.type == "cuda" else "cpu"
    facts = {"device": device, "torch": torch.__version__, "batch": load.batch}
    record: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    if {key: record.get(key) for key in facts} != facts:
        record = {**facts, "measurements": {}}
    done = record["measurements"]
    for key, job in plan(load).items():
        if key not in done:
            done[key] = attempt(job)
            record["ratios"] = ratios(done)
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_suffix(".part")
            draft.write_text(json.dumps(record, indent=1) + "\n")
            draft.replace(path)
        print(f"{key}: " + ", ".join(f"{k} {v:.4g}" for k, v in done[key].items()), flush=True)
    for key, value in record.get("ratios", {}).items():
        print(f"{key}: {value:.3g}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, default=RESULTS, help="where results are kept")
    parser.add_argument("--rehearse", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rehearse:
        measure(tiny(), arguments.json)
    elif torch.cuda.is_available():
        measure(Workload(torch.device("cuda")), arguments.json)
    else:
        print("gpu_texture: torch sees no GPU here; nothing to measure")


if __name__ == "__main__":
    main()
