"""How long hard Haralick features take beside scikit-image, mahotas and pyradiomics.

Everything that ``glcm-mae texture`` does after reading, from float pixels to fourteen
numbers per image, at 224 x 224 pixels and four angles. Every library runs as its user
would call it, on the same cores: once on one thread, once with the images shared out over
as many threads as there are processors. Runs take turns, and the best of a few counts.

    python benchmarks/hard_features.py [--images 64] [--rounds 5] [--pyradiomics PYTHON]
        [--json FILE]
"""

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mahotas
import numpy as np
import torch
from skimage.feature import graycomatrix, graycoprops

from glcm_mae import read_image, read_table
from glcm_mae.data import fit_image, make_phantom
from glcm_mae.texture.features import Recipe, measure

SIZE = 224
RADIANS = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
PROPERTIES = (
    *("contrast", "dissimilarity", "homogeneity", "ASM", "energy"),
    *("correlation", "mean", "variance", "std", "entropy"),
)

Image = np.ndarray[Any, Any]
Task = Callable[[list[Image], int], None]


def real_or_synthetic(count: int) -> tuple[str, list[Image]]:
    """Return float images of 224 x 224 pixels: breast ultrasound if there is any."""
    root = os.environ.get("GLCM_MAE_DATA")
    beside = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    manifest = (Path(root) if root else beside) / "busi" / "manifest.csv"
    if not manifest.is_file():
        return "phantoms", [
            make_phantom(kind, size=SIZE, seed=(5, seed)).image
            for seed in range(count // 2)
            for kind in ("fine", "coarse")
        ]
    table = read_table(manifest, labelled=False)
    rows = np.linspace(0, len(table) - 1, count).astype(int)
    return "BUSI", [fit_image(read_image(table.file(n)), SIZE, "crop")[0] for n in rows]


def ours(levels: int) -> Task:
    recipe = Recipe(levels, "range", None, (1,), (0, 45, 90, 135), True, "averaged", "haralick")

    return in_threads(lambda images: measure([recipe.tally(image) for image in images], recipe))


def in_threads(work: Callable[[list[Image]], object]) -> Task:
    """Give each thread its part of the images; one thread is the program's own."""

    def run(images: list[Image], threads: int) -> None:
        if threads == 1:
            work(images)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, [images[first::threads] for first in range(threads)]))

    return run


def one_by_one(work: Callable[[Image], object]) -> Task:
    return in_threads(lambda images: [work(image) for image in images])


def as_levels(image: Image, levels: int) -> Image:
    return np.minimum(image * np.float32(levels), levels - 1).astype(np.uint8)


def scikit_image(levels: int) -> Task:
    def work(image: Image) -> list[Image]:
        gray = as_levels(image, levels)
        matrix = graycomatrix(gray, [1], RADIANS, levels=levels, symmetric=True, normed=True)
        return [graycoprops(matrix, name) for name in PROPERTIES]

    return one_by_one(work)


def mahotas_haralick(levels: int, *, fourteen: bool) -> Task:
    return one_by_one(
        lambda image: mahotas.features.haralick(
            as_levels(image, levels), compute_14th_feature=fourteen
        ).mean(axis=0)
    )


PYRADIOMICS = """
import sys, time
import numpy as np, SimpleITK as sitk
from radiomics import logger
from radiomics.glcm import RadiomicsGLCM
logger.setLevel("ERROR")
levels = np.load(sys.argv[1])
region = sitk.GetImageFromArray(np.ones((1, *levels.shape[1:]), np.uint8))
best = float("inf")
for turn in range(3):
    start = time.perf_counter()
    for image in levels:
        pixels = sitk.GetImageFromArray(image[None].astype(np.float32))
        extractor = RadiomicsGLCM(pixels, region, binWidth=1, force2D=True)
        extractor.enableAllFeatures()
        extractor.execute()
    best = min(best, (time.perf_counter() - start) / len(levels))
print(best)
"""


def pyradiomics_seconds(python: Path, images: list[Image], levels: int) -> float:
    """Return seconds per image; pyradiomics builds on Python 3.10 at most, so it runs apart."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "levels.npy"
        np.save(file, np.stack([as_levels(image, levels) for image in images[:4]]))
        command = [str(python), "-c", PYRADIOMICS, str(file)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def competitors(levels: int) -> dict[str, Task]:
    return {
        "glcm-mae (14 features)": ours(levels),
        "scikit-image (10 properties)": scikit_image(levels),
        "mahotas (13 features)": mahotas_haralick(levels, fourteen=False),
        "mahotas (14 features)": mahotas_haralick(levels, fourteen=True),
    }


def best_times(
    tasks: dict[str, Task], images: list[Image], threads: int, rounds: int
) -> dict[str, float]:
    """Return seconds per image, the best of some rounds in which all take turns."""
    for task in tasks.values():
        task(images[:2], 1)  # compiles and fills the caches
    best = dict.fromkeys(tasks, float("inf"))
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.perf_counter()
            task(images, threads)
            best[name] = min(best[name], (time.perf_counter() - start) / len(images))
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pyradiomics", type=Path, metavar="PYTHON")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source, images = real_or_synthetic(options.images)
    print(f"{len(images)} images of {SIZE} x {SIZE} pixels ({source}), 4 angles")
    if not options.pyradiomics:
        print("pyradiomics is left out: it needs a Python of its own (--pyradiomics PYTHON)")
    results = []
    for levels in (32, 256):
        for threads in sorted({1, os.cpu_count() or 1}):
            times = best_times(competitors(levels), images, threads, options.rounds)
            if options.pyradiomics and threads == 1:
                seconds = pyradiomics_seconds(options.pyradiomics, images, levels)
                times["pyradiomics (24 features)"] = seconds
            first, *_ = times.values()
            print(f"\n{levels} levels, {threads} thread(s)")
            for name, seconds in times.items():
                print(f"  {name:30} {1e3 * seconds:9.3f} ms/image {seconds / first:8.1f} x")
                results.append(
                    {
                        "levels": levels,
                        "threads": threads,
                        "library": name,
                        "milliseconds_per_image": 1e3 * seconds,
                        "times_ours": seconds / first,
                    }
                )
    if options.json:
        facts = {
            "command": "python benchmarks/hard_features.py",
            "processors": os.cpu_count(),
            "machine": platform.machine(),
        }
        facts |= {"images": len(images), "source": source, "size": SIZE, "results": results}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
