"""Loops are compiled with or without a folder to keep them in."""

from types import SimpleNamespace
from typing import Any

import numba
import pytest

from glcm_mae.texture.kernels import compiler
from glcm_mae.texture.kernels.compiler import compiled


def test_without_a_folder_to_write_to_it_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(*, cache: bool = False, **options: Any) -> Any:
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return numba.njit(**options)

    monkeypatch.setattr(compiler, "numba", SimpleNamespace(njit=njit))

    @compiled
    def ratio(one: float, other: float) -> float:
        return one / other

    assert asked == [True, False]
    assert ratio(1.0, 0.0) == float("inf")
