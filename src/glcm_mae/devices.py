"""Where a run computes, and how precisely."""

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch

from glcm_mae.errors import InputError


def choose_device(name: Literal["best", "cpu", "cuda"]) -> torch.device:
    """Return the device of a setting; ``best`` is the GPU if there is one.

    Raises:
        InputError: If a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: cuda is asked for, but torch sees no GPU; pass --device cpu")
    use_gpu = name == "cuda" or (name == "best" and torch.cuda.is_available())
    return torch.device("cuda" if use_gpu else "cpu")


def has_bfloat16(device: torch.device) -> bool:
    """Say whether the device computes bfloat16 natively."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported())


def precision_on(
    device: torch.device, precision: Literal["bfloat16", "float32"]
) -> Literal["bfloat16", "float32"]:
    """Return the precision that is really used: bfloat16 only where it is native."""
    return "bfloat16" if precision == "bfloat16" and has_bfloat16(device) else "float32"


def autocast(
    device: torch.device, precision: Literal["bfloat16", "float32"]
) -> AbstractContextManager[object]:
    """Return the context in which a model runs; losses are computed outside it."""
    if precision_on(device, precision) == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()
