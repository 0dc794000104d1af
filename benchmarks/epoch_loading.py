"""What an epoch of augmented images costs: decoded each time, from the cache, from shards.

Speed: the images of BUSI at 224 x 224, one channel, in batches of 64. The usual way is
torchvision's ImageFolder with Grayscale, RandomResizedCrop, RandomHorizontalFlip and
ToTensor in a DataLoader; ours are the batches of pre-training with its own augmentation:
the first epoch with the cache still to be made, the second from the cache, and one from
shards. Both make gray float32 batches with as many workers (processes there, threads
here), one thread of torch in each; runs take turns, and the best of a few counts.

Memory: private resident memory (RssAnon) of a fresh process before and after one pass of
the same batches over sets of growing size, from a mapped file and from shards.

    python benchmarks/epoch_loading.py [FOLDER OF BUSI] [--rounds 3] [--json FILE]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from glcm_mae.config import PretrainingConfig
from glcm_mae.data.batching.batches import training_batches
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store.contents import file_hashes
from glcm_mae.data.store.loading import load_images
from glcm_mae.data.store.pixel_file import PixelFile, Plan
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.data.store.shards import read_shard_table, write_shards
from glcm_mae.data.tables.table import ImageTable, read_table

SIZE, BATCH = 224, 64
MEMORY_SIZE = 64
COUNTS = (1_000, 10_000, 100_000)
AUGMENTATION = PretrainingConfig().augmentation.model_dump()


def epoch_of(pixels: Pixels, workers: int) -> Iterable[Any]:
    return training_batches(
        pixels,
        np.arange(len(pixels)),
        batch_size=BATCH,
        seed=0,
        epoch=0,
        device=torch.device("cpu"),
        augmentation=AUGMENTATION,
        workers=workers,
    )


def usual_epoch(folder: Path, workers: int) -> Iterable[Any]:
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    steps = [
        transforms.Grayscale(),
        transforms.RandomResizedCrop(SIZE),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
    ]
    images = datasets.ImageFolder(str(folder), transforms.Compose(steps))
    return DataLoader(images, batch_size=BATCH, shuffle=True, num_workers=workers)


def seconds(epoch: Callable[[], Iterable[Any]]) -> float:
    started = time.perf_counter()
    for _ in epoch():
        pass
    return time.perf_counter() - started


def measure_speed(folder: Path, rounds: int) -> list[dict[str, Any]]:
    table = read_table(folder / "images", labelled=True)
    policy = ReadingPolicy(size=(SIZE, SIZE))
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        made = load_images(table, policy, cache=Path(place, "kept"))
        write_shards(table, made.pixels, policy, Path(place, "shards"), images_per_shard=256)
        shards = load_images(read_shard_table(Path(place, "shards")), policy).pixels
        for workers in (0, 2):
            best = dict.fromkeys(("usual", "first", "cached", "shards"), float("inf"))
            for turn in range(rounds):
                ways: dict[str, Callable[[], Iterable[Any]]] = {
                    "usual": lambda w=workers: usual_epoch(folder / "images", w),
                    "first": lambda w=workers, t=turn: epoch_of(
                        load_images(table, policy, cache=Path(place, f"{w}-{t}")).pixels, w
                    ),
                    "cached": lambda w=workers, t=turn: epoch_of(
                        load_images(table, policy, cache=Path(place, f"{w}-{t}")).pixels, w
                    ),
                    "shards": lambda w=workers: epoch_of(shards, w),
                }
                for name, way in ways.items():
                    best[name] = min(best[name], seconds(way))
            rows += [
                {
                    "workers": workers,
                    "way": name,
                    "images_per_second": round(len(table) / taken, 1),
                    "times_usual": round(best["usual"] / taken, 2),
                }
                for name, taken in best.items()
            ]
    return rows


def write_set(folder: Path, count: int) -> None:
    """Write ``count`` small speckled images as a mapped file and as shards."""
    policy = ReadingPolicy(size=(MEMORY_SIZE, MEMORY_SIZE), depth=8)
    some = np.random.default_rng(0).rayleigh(40, (64, 1, MEMORY_SIZE, MEMORY_SIZE))
    images = some.clip(0, 255).astype(np.uint8)
    file = PixelFile(folder / f"{count}.bin", Plan("", policy, count))
    for row in range(count):
        file[row] = images[row % len(images)]
    file.close(range(count))
    (folder / "image").touch()
    names = tuple(f"{row:06d}" for row in range(count))
    table = ImageTable(
        folder, ("image",) * count, (), (), names, (), tuple(range(count)), names
    )
    pixels = np.memmap(folder / f"{count}.bin", np.uint8, "r", shape=(count, *images.shape[1:]))
    write_shards(table, pixels, policy, folder / f"shards-{count}", images_per_shard=4096)


def private_memory() -> float:
    """Return the private resident memory of this process in MB."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def pass_over(folder: Path, way: str, count: int) -> None:
    """Run in a fresh process: print the memory before and after a pass, and its peak."""
    policy = ReadingPolicy(size=(MEMORY_SIZE, MEMORY_SIZE), depth=8)
    torch.set_num_threads(1)
    warm = np.zeros((BATCH, 1, MEMORY_SIZE, MEMORY_SIZE), np.uint8)
    list(epoch_of(warm, 0))
    before = private_memory()
    pixels: Pixels
    if way == "mapped":
        shape = (count, 1, MEMORY_SIZE, MEMORY_SIZE)
        pixels = np.memmap(folder / f"{count}.bin", np.uint8, "r", shape=shape)
    else:
        pixels = load_images(read_shard_table(folder / f"shards-{count}"), policy).pixels
    opened = private_memory()
    peak, seen = opened, 0
    for number, batch in enumerate(epoch_of(pixels, 0)):
        seen += len(batch.rows)
        if number % 16 == 0:
            peak = max(peak, private_memory())
    assert seen == count
    print(json.dumps({"before": before, "opened": opened, "peak": peak}))


def measure_memory() -> list[dict[str, Any]]:
    rows = []
    with tempfile.TemporaryDirectory() as place:
        for count in COUNTS:
            write_set(Path(place), count)
            for way in ("mapped", "shards"):
                command = [sys.executable, __file__, "--pass-over", place, way, str(count)]
                text = subprocess.run(
                    command, capture_output=True, text=True, check=True
                ).stdout
                rows.append(
                    {
                        "way": way,
                        "images": count,
                        "pixels_mb": round(count * MEMORY_SIZE**2 / 2**20, 1),
                    }
                    | {f"{name}_mb": round(mb, 1) for name, mb in json.loads(text).items()}
                )
    return rows


def measure_hashing(folder: Path) -> dict[str, float]:
    """Time the question whether any file has changed, without and with a memory of it."""
    table = read_table(folder / "images", labelled=True)
    with tempfile.TemporaryDirectory() as place:
        taken = [seconds(lambda: file_hashes(table, Path(place))) for _ in range(3)]
    return {"first_seconds": round(taken[0], 4), "again_seconds": round(min(taken[1:]), 4)}


def main() -> None:
    root = os.environ.get("GLCM_MAE_DATA")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=(Path(root) if root else beside) / "busi")
    parser.add_argument("--rounds", type=int, default=3)
    default = Path(__file__).parent / "results" / "epoch_loading.json"
    parser.add_argument("--json", type=Path, default=default)
    parser.add_argument("--pass-over", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.pass_over:
        place, way, count = given.pass_over
        pass_over(Path(place), way, int(count))
        return
    torch.set_num_threads(1)
    packages = ("torch", "torchvision", "numpy", "pillow")
    found = {
        "command": f"python benchmarks/epoch_loading.py --rounds {given.rounds}",
        "processors": os.cpu_count(),
        "machine": platform.machine(),
        "processor": processor(),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
        "speed": measure_speed(Path(given.folder), given.rounds),
        "hashing": measure_hashing(Path(given.folder)),
        "memory": measure_memory(),
    }
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(found, indent=2))


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()


if __name__ == "__main__":
    main()
