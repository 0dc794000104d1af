"""Two workers against one: the wall time of the same five-fold cross-validation.

    python benchmarks/fanout.py [--count 240 --epochs 24 --rounds 1] [--out FILE]

Phantoms of 64 pixels, the model of the demonstration, pre-training and fine-tuning in every
fold: ten jobs. Three ways in turn, each a process of its own with a run folder of its own:
one worker with all threads, one worker with one thread, two workers with one thread each.
Images are decoded and compared before the first. `--baselines off`: what needs no network
is scored by the driver alone, whatever the workers.

The ratio that counts is that of one worker with one thread to two workers: what the second
worker brings. That to one worker with all threads says what a user gains who has two cores.
The predictions of both ways with one thread must be the same bytes, which is checked.

`--out` is written after every run, and gone on from when the same command is given again.
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import yaml

from glcm_mae.data import write_phantoms
from glcm_mae.planning.executors import cores
from glcm_mae.version import __version__

RESULTS = Path(__file__).parent / "results" / "fanout.json"
SIZE = 64
WAYS = {
    "one worker, all threads": (1, cores()),
    "one worker, one thread": (1, 1),
    "two workers, one thread each": (2, 1),
}


def recipe(epochs: int) -> dict[str, Any]:
    return {
        "model": {
            "encoder": "vit_tiny_patch16_224",
            "encoder_options": {"depth": 4, "embed_dim": 96, "num_heads": 3},
            "image_size": SIZE,
            "patch_size": 8,
            "decoder_depth": 2,
            "decoder_width": 64,
            "decoder_heads": 2,
        },
        "losses": {"ssim": {"window": 7}},
        "pretraining": {"epochs": epochs, "batch_size": 32, "warmup_epochs": 2},
        "finetuning": {"epochs": epochs, "batch_size": 16, "warmup_epochs": 2},
        "checkpoints": {"every_epochs": 5},
        "folds": {"count": 5},
        "evaluation": {"resamples": 200},
        "baselines": "off",
    }


def run(folder: Path, images: Path, out: Path, workers: int, threads: int) -> float:
    """Return the seconds of one cross-validation, from its command to its table."""
    command = [sys.executable, "-m", "glcm_mae", "crossval", "--data.table", str(images)]
    command += ["--config", str(folder / "recipe.yaml"), "--data.positive", "fine"]
    command += ["--fanout.workers", str(workers), "--fanout.threads", str(threads)]
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "GLCM_MAE_CACHE": str(folder / "cache"),
    }
    begun = time.perf_counter()
    subprocess.run([*command, "--out", str(out)], env=environment, check=True)
    return time.perf_counter() - begun


def measure(options: argparse.Namespace, results: dict[str, Any]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="glcm-mae-fanout-"))
    try:
        images = write_phantoms(folder / "images", count=options.count, size=SIZE, seed=0)
        (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe(options.epochs)))
        decode = {**recipe(1), "start": "scratch", "folds": {"count": 2}}
        (folder / "decode.yaml").write_text(yaml.safe_dump(decode))
        for number in range(options.rounds):
            for name, (workers, threads) in WAYS.items():
                found = results["seconds"].setdefault(name, [])
                if len(found) > number:
                    continue
                warm(folder, images)
                out = folder / "run"
                found.append(round(run(folder, images, out, workers, threads), 2))
                digest = hashlib.sha256((out / "predictions.csv").read_bytes()).hexdigest()
                if threads == 1 and results.setdefault("predictions", digest) != digest:
                    raise SystemExit(f"{name}: other predictions than before")
                shutil.rmtree(out)
                write(options.out, results)
    finally:
        shutil.rmtree(folder)


def warm(folder: Path, images: Path) -> None:
    """Have the images in the cache, decoded and compared, before the clock starts."""
    if (folder / "cache").is_dir():
        return
    command = [sys.executable, "-m", "glcm_mae", "crossval", "--data.table", str(images)]
    command += ["--config", str(folder / "decode.yaml"), "--data.positive", "fine"]
    environment = {**os.environ, "GLCM_MAE_CACHE": str(folder / "cache")}
    out = folder / "decode"
    subprocess.run([*command, "--out", str(out)], env=environment, check=True)
    shutil.rmtree(out)


def write(path: Path, results: dict[str, Any]) -> None:
    best = {name: min(seconds) for name, seconds in results["seconds"].items()}
    two = best.get("two workers, one thread each")
    if two and len(best) == len(WAYS):
        results["two workers against one of one thread"] = round(
            best["one worker, one thread"] / two, 2
        )
        results["two workers against one of all threads"] = round(
            best["one worker, all threads"] / two, 2
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(json.dumps(results, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=240, help="phantoms")
    parser.add_argument("--epochs", type=int, default=24, help="epochs of either stage")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each way")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    settings = {
        "glcm_mae": __version__,
        "python": platform.python_version(),
        "cores": cores(),
        "count": options.count,
        "epochs": options.epochs,
    }
    results: dict[str, Any] = {**settings, "seconds": {}}
    if options.out.is_file():
        kept = json.loads(options.out.read_text())
        if all(kept.get(key) == value for key, value in settings.items()):
            results = kept
    measure(options, results)


if __name__ == "__main__":
    main()
