"""What the SSIM term costs: forward and backward over the hidden patches of one image.

The Gaussian window as a matrix product against a convolution, a ratio of two ways measured in
turn in this one run. (The GLCM term: fused_distance.py.)

    python benchmarks/loss_terms.py [--threads 2]
"""

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from glcm_mae.losses import masked_ssim

PATCHES, SIDE = 147, 16  # the hidden patches of a 224 x 224 image at 75 %


def seconds(step: Callable[[], object], rounds: int) -> float:
    step()
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        step()
        best = min(best, time.perf_counter() - start)
    return best


def convolved_ssim(a: Tensor, b: Tensor) -> Tensor:
    steps = torch.arange(11.0) - 5
    weights = torch.exp(-(steps**2) / (2 * 1.5**2))
    weights = weights / weights.sum()
    stack = torch.stack([a, b, a * a, b * b, a * b], dim=1).flatten(0, 1)[:, None]
    rows = functional.conv2d(stack, weights.view(1, 1, -1, 1))
    means = functional.conv2d(rows, weights.view(1, 1, 1, -1))[:, 0]
    mean_a, mean_b, aa, bb, ab = means.view(-1, 5, *means.shape[1:]).unbind(1)
    covariance, variances = ab - mean_a * mean_b, aa - mean_a**2 + bb - mean_b**2
    luminance = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return (luminance * (2 * covariance + 9e-4) / (variances + 9e-4)).mean()


def compare(
    name: str, ours: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]
) -> None:
    prediction = torch.rand(PATCHES, SIDE, SIDE, requires_grad=True)
    assert torch.allclose(ours(prediction), other(prediction), rtol=1e-4)

    def run(loss: Callable[[Tensor], Tensor]) -> Callable[[], object]:
        return lambda: torch.autograd.grad(loss(prediction), prediction)

    slow, fast = seconds(run(other), 3), seconds(run(ours), 3)
    print(f"{name}: {1e3 * slow:.1f} ms against {1e3 * fast:.1f} ms, {slow / fast:.1f} times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    torch.set_num_threads(parser.parse_args().threads)
    torch.manual_seed(0)
    target = torch.rand(PATCHES, SIDE, SIDE)
    mask = torch.ones(PATCHES, 1, dtype=torch.bool)
    compare(
        "SSIM, convolution against matrix product",
        lambda x: masked_ssim(x[:, None], target[:, None], mask, patch_size=SIDE),
        lambda x: convolved_ssim(x, target),
    )


if __name__ == "__main__":
    main()
