"""The device of a setting, and the precision that it really computes."""

import os
from contextlib import nullcontext
from typing import Literal

import pytest
import torch

from glcm_mae.devices import (
    autocast,
    be_deterministic,
    choose_device,
    has_bfloat16,
    loss_scaler,
    precision_on,
    should_compile,
)
from glcm_mae.errors import InputError

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("name", "gpu_there", "expected"),
    [("best", True, GPU), ("best", False, CPU), ("cpu", True, CPU), ("cuda", True, GPU)],
)
def test_the_device_of_a_setting(
    name: Literal["best", "cpu", "cuda"],
    gpu_there: bool,
    expected: torch.device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu_there)
    assert choose_device(name) == expected


def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match=r"^device: cuda is asked for.*pass --device cpu$"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("asked", "native", "used"),
    [
        ("bfloat16", True, "bfloat16"),
        ("bfloat16", False, "float32"),
        ("float32", True, "float32"),
        ("float32", False, "float32"),
    ],
)
def test_bfloat16_is_used_only_where_it_is_native(
    asked: Literal["bfloat16", "float32"],
    native: bool,
    used: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: native)
    assert has_bfloat16(CPU) is native
    assert precision_on(CPU, asked) == used
    with autocast(CPU, asked):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == getattr(torch, used)


def test_an_emulated_gpu_precision_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def supported(*, including_emulation: bool) -> bool:
        return including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert not has_bfloat16(GPU)
    assert isinstance(autocast(GPU, "bfloat16"), nullcontext)


def test_only_deterministic_algorithms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    try:
        be_deterministic()
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)


@pytest.mark.parametrize(
    ("setting", "device", "expected"),
    [
        ("gpu", CPU, False),
        ("gpu", GPU, True),
        ("always", CPU, True),
        ("never", GPU, False),
    ],
)
def test_what_is_compiled(
    setting: Literal["gpu", "always", "never"], device: torch.device, expected: bool
) -> None:
    assert should_compile(device, setting) is expected


def test_float16_is_for_gpus_and_scales_its_loss() -> None:
    assert precision_on(CPU, "float16") == "float32"
    assert precision_on(GPU, "float16") == "float16"
    assert not loss_scaler(CPU, "float16").is_enabled()
