"""How long hard Haralick features take beside scikit-image, mahotas and pyradiomics.

Everything that ``glcm-mae texture`` does after reading, from float pixels to fourteen
numbers per image, at 224 x 224 pixels and four angles. Every library runs as its user
would call it, on the same cores, once on one thread and once with a pool of threads over
the images; runs take turns, and the best of a few counts.

    python benchmarks/hard_features.py [--images 64] [--rounds 5] [--json FILE]
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mahotas
import numpy as np
import torch
from skimage.feature import graycomatrix, graycoprops

from glcm_mae import read_image, read_table
from glcm_mae.data import make_phantom
from glcm_mae.data.images import fit_image
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


def pyradiomics(levels: int) -> Task:
    import SimpleITK as sitk  # noqa: N813
    from radiomics.glcm import RadiomicsGLCM

    region = sitk.GetImageFromArray(np.ones((1, SIZE, SIZE), np.uint8))

    def work(image: Image) -> object:
        pixels = sitk.GetImageFromArray(as_levels(image, levels)[None].astype(np.float32))
        extractor = RadiomicsGLCM(pixels, region, binWidth=1, force2D=True)
        extractor.enableAllFeatures()
        return extractor.execute()

    return one_by_one(work)


def competitors(levels: int) -> dict[str, Task]:
    tasks = {
        "glcm-mae (14 features)": ours(levels),
        "scikit-image (10 properties)": scikit_image(levels),
        "mahotas (13 features)": mahotas_haralick(levels, fourteen=False),
        "mahotas (14 features)": mahotas_haralick(levels, fourteen=True),
    }
    if find_spec("radiomics") and find_spec("SimpleITK"):
        tasks["pyradiomics (24 features)"] = pyradiomics(levels)
    return tasks


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
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    source, images = real_or_synthetic(options.images)
    print(f"{len(images)} images of {SIZE} x {SIZE} pixels ({source}), 4 angles")
    if not find_spec("radiomics"):
        print("pyradiomics is not installed: left out")
    results = []
    for levels in (32, 256):
        for threads in sorted({1, os.cpu_count() or 1}):
            times = best_times(competitors(levels), images, threads, options.rounds)
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
        facts = {"images": len(images), "source": source, "size": SIZE, "results": results}
        options.json.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
