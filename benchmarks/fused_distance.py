"""What the fused engine of the GLCM distance saves over the dense formula, on the CPU.

Forward and backward over the hidden patches of one 224 x 224 image (147 of 16 x 16), two
offsets, float32; each ratio is of two ways measured in turn in this one run. "Dense" is
the formula as it stands, over all patches at once; "in chunks" is the dense engine of
the project, which takes a few patches at a time. Memory is the peak above what the
process held before, each way in a process of its own (Linux only).

    python benchmarks/fused_distance.py [--threads 2] [--json FILE]
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from glcm_mae.performance import forget_peak_memory
from glcm_mae.texture import Offset, Scale, glcm_distance
from glcm_mae.texture.dense import dense_distance

PATCHES, SIDE = 147, 16
OFFSETS = (Offset(0, 1), Offset(1, 0))
SCALES = {"paper": Scale(256, 1 / 30, OFFSETS), "default": Scale(32, 0.5, OFFSETS)}
TARGETS = {"paper": 150, "default": 5}


def dense(prediction: Tensor, target: Tensor, scale: Scale) -> Tensor:
    return dense_distance(prediction, target, [scale], symmetric=False)


def chunks(prediction: Tensor, target: Tensor, scale: Scale) -> Tensor:
    return glcm_distance(prediction, target, **scale._asdict(), engine="dense")


def fused(prediction: Tensor, target: Tensor, scale: Scale) -> Tensor:
    return glcm_distance(prediction, target, **scale._asdict())


WAYS = {"dense": dense, "in chunks": chunks, "fused": fused}


def step(way: str, scale: Scale, patches: int = PATCHES) -> Callable[[], Tensor]:
    torch.manual_seed(0)
    target = torch.rand(patches, SIDE, SIDE)
    # A blurred guess, as a model makes, with some pixels out of range.
    prediction = (
        0.5 + 0.6 * (torch.rand(patches, SIDE, SIDE) - 0.5) + 0.3 * (target - 0.5)
    ) * 1.1
    prediction.requires_grad_()
    return lambda: torch.autograd.grad(WAYS[way](prediction, target, scale), prediction)[0]


def milliseconds(run: Callable[[], object], least: float = 1.0) -> float:
    """Return the best of as many rounds as fit in a second, at least three."""
    run()
    best, begin, rounds = float("inf"), time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - begin < least:
        start = time.perf_counter()
        run()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return 1e3 * best


def peak_mib(way: str, name: str) -> float:
    """Return how far the memory of a fresh process rises in one step."""
    command = [sys.executable, __file__, "--memory", way, name]
    command += ["--threads", str(torch.get_num_threads())]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure_memory(way: str, name: str) -> None:
    step(way, SCALES[name], patches=1)()  # what is loaded and compiled does not count
    run = step(way, SCALES[name])
    forget_peak_memory()
    before = status("VmRSS")
    run()
    print((status("VmHWM") - before) / 1024)


def status(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def compare(name: str) -> dict[str, float]:
    scale = SCALES[name]
    gradients = {way: step(way, scale)() for way in WAYS}
    reference = gradients["dense"]
    off = max((g - reference).abs().max() / reference.abs().max() for g in gradients.values())
    times = {way: milliseconds(step(way, scale)) for way in WAYS}
    print(f"{scale.levels} levels, bandwidth {scale.bandwidth:.3g} (the {name} setting)")
    result = {f"{way} ms": value for way, value in times.items()}
    for way in ("dense", "in chunks"):
        result[f"times faster than {way}"] = times[way] / times["fused"]
        print(
            f"  {way:<10}{times[way]:9.1f} ms   fused {times['fused']:6.2f} ms   "
            f"{times[way] / times['fused']:6.1f} times faster"
        )
    if Path("/proc/self/clear_refs").exists():
        peaks = {way: peak_mib(way, name) for way in WAYS}
        result |= {f"{way} MiB": value for way, value in peaks.items()}
        for way in ("dense", "in chunks"):
            share = peaks[way] / max(peaks["fused"], 1 / 256)
            print(
                f"  {way:<10}{peaks[way]:9.1f} MiB  fused {peaks['fused']:6.2f} MiB  "
                f"{share:6.1f} times less"
            )
    print(
        f"  gradients differ by at most {off:.1e} of the largest; aim {TARGETS[name]} times\n"
    )
    return result


def curves() -> dict[str, dict[str, float]]:
    print("Cost against levels, bandwidth 0.5 (16 bins a pixel), 147 patches")
    by_levels = {}
    for levels in (16, 32, 64, 128, 256):
        by_levels[str(levels)] = milliseconds(step("fused", Scale(levels, 0.5, OFFSETS)))
        print(f"  {levels:4d} levels  {by_levels[str(levels)]:7.2f} ms")
    print("Cost against patches, 32 levels, bandwidth 0.5")
    by_patches = {}
    for patches in (37, 147, 588, 2352):
        cost = milliseconds(step("fused", SCALES["default"], patches))
        by_patches[str(patches)] = cost
        print(f"  {patches:5d} patches {cost:8.2f} ms  {1e3 * cost / patches:6.1f} us a patch")
    return {"ms by levels": by_levels, "ms by patches": by_patches}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.memory:
        measure_memory(*options.memory)
        return
    results = {name: compare(name) for name in SCALES} | curves()
    if options.json:
        about = {
            "command": "python benchmarks/fused_distance.py",
            "threads": options.threads,
            "processors": os.cpu_count(),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        options.json.write_text(json.dumps(about | results, indent=1) + "\n")


if __name__ == "__main__":
    main()
