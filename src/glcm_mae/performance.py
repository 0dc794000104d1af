"""What a step costs: floating-point operations, the machine's peak, memory."""

import functools
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
MATRIX_SECONDS = 0.5


def flops_per_image(model: nn.Module, *inputs: Tensor, backward: bool = True) -> int:
    """Count the floating-point operations of a model on one image.

    Matrix products, convolutions and attention count, a multiplication and an addition
    as two operations; what is done element by element does not. The way backward counts
    as two ways forward: one product for the gradient of either factor.

    Args:
        model: It is run once without gradients, in the mode it is in.
        inputs: What it is called with: tensors of one image (a batch of one).
        backward: Count a training step; otherwise the forward pass alone.

    Example:
        >>> flops_per_image(nn.Linear(10, 20), torch.zeros(1, 10), backward=False)
        400
    """
    # The counter does not know the fused attention of the CPU.
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops}
    counter = FlopCounterMode(display=False, custom_mapping=attention)
    with torch.no_grad(), counter:
        model(*inputs)
    return int(counter.get_total_flops()) * (3 if backward else 1)


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    batch, heads, asked, width = query
    return 2 * batch * heads * asked * key[2] * (width + value[3])


@functools.cache
def matrix_peak(device: torch.device, dtype: torch.dtype) -> float:
    """Measure how fast the device multiplies large matrices, in operations a second.

    No transformer made of such products is faster, whatever its code: the share of this
    peak that a training reaches tells what is left to gain. The best of several products
    counts, measured once per process with as many threads as torch has.

    Args:
        device: Where to multiply.
        dtype: Type of the matrices.
    """
    side = MATRIX_SIDE.get(device.type, MATRIX_SIDE["cpu"])
    generator = torch.Generator(device).manual_seed(0)
    left, right = torch.rand(2, side, side, generator=generator, device=device).to(dtype)
    product, best = torch.empty_like(left), float("inf")
    until = time.perf_counter() + MATRIX_SECONDS
    with torch.no_grad(), torch.autocast(device.type, enabled=False):
        while time.perf_counter() < until or best == float("inf"):
            _wait(device)
            started = time.perf_counter()
            torch.mm(left, right, out=product)
            _wait(device)
            best = min(best, time.perf_counter() - started)
    return 2 * side**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> int:
    """Return the most memory held so far, in bytes.

    On a GPU what tensors took of it; else the largest resident size of this process,
    which counts the interpreter and its libraries too.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text("ascii", errors="replace").splitlines()
        peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
        if peak is not None:
            return int(peak) * 1024
    # Second choice: on Linux it begins with the size of the process that started this one.
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else size * 1024


def forget_peak_memory() -> None:
    """Have :func:`peak_memory` tell of what is held from now on, where the system lets it."""
    with suppress(OSError):  # not Linux, or not allowed: the peak stays that of the process
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    if torch.cuda.memory_stats():  # nothing where CUDA was not used
        torch.cuda.reset_peak_memory_stats()
