"""Where a run computes, and how precisely."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from glcm_mae.errors import InputError

Precision = Literal["bfloat16", "float16", "float32"]


def choose_device(name: Literal["best", "cpu", "cuda"]) -> torch.device:
    """Return the device of a setting; ``best`` is the GPU if there is one.

    Raises:
        InputError: If a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda is asked for, but torch sees no GPU; pass --device cpu")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    local = os.environ.get("LOCAL_RANK")  # of several processes, each has a GPU of its own
    return torch.device("cuda") if local is None else torch.device("cuda", int(local))


def has_bfloat16(device: torch.device) -> bool:
    """Say whether the device computes bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported())


def precision_on(device: torch.device, precision: Precision) -> Precision:
    """Return the precision that is really used.

    bfloat16 is used only where it is native, float16 only on a GPU; else float32.
    """
    if precision == "bfloat16" and has_bfloat16(device):
        return "bfloat16"
    if precision == "float16" and device.type == "cuda":
        return "float16"
    return "float32"


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """Return the context in which a model runs; losses are computed outside it."""
    used = precision_on(device, precision)
    if used == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, used))


def loss_scaler(device: torch.device, precision: Precision) -> torch.amp.GradScaler:
    """Return what scales losses up for float16, whose smallest gradients would be zero."""
    enabled = precision_on(device, precision) == "float16"
    return torch.amp.GradScaler(device.type, enabled=enabled)


def should_compile(device: torch.device, setting: Literal["gpu", "always", "never"]) -> bool:
    """Say whether a model is compiled: it pays on a GPU, rarely on a CPU."""
    return setting == "always" or (setting == "gpu" and device.type == "cuda")


def be_deterministic() -> None:
    """Let torch use deterministic algorithms only; before the first work on a GPU."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
