"""What a checkpoint says of itself in ``state.json``: its step, its facts, its tensors."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glcm_mae.checkpoints.manifest import DamageError, read_json
from glcm_mae.tensor_file import DTYPES
from glcm_mae.version import __version__

STATE = "state.json"


@dataclass(frozen=True)
class TensorKind:
    """What is known of a tensor without reading it.

    Attributes:
        dtype: The type of its numbers, as safetensors calls it.
        shape: Its whole shape, however it is sharded.
    """

    dtype: str
    shape: tuple[int, ...]

    @classmethod
    def of(cls, tensor: Tensor) -> "TensorKind":
        """Return the kind of a tensor."""
        return cls(DTYPES.get(tensor.dtype, str(tensor.dtype)), tuple(tensor.shape))

    @property
    def torch_dtype(self) -> torch.dtype:
        """The type of its numbers, as torch calls it."""
        return next(dtype for dtype, name in DTYPES.items() if name == self.dtype)

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class State:
    """What a checkpoint says of itself.

    Attributes:
        step: The optimiser steps done.
        facts: Plain values of the run, as they were given.
        rank: How good it is, for keeping the best; higher is better, in the order of a tuple.
        kinds: Of its tensors, by name.
    """

    step: int
    facts: dict[str, Any]
    rank: tuple[float, ...] | None
    kinds: dict[str, TensorKind]

    @property
    def merit(self) -> tuple[float, ...] | None:
        """The rank for comparing: a number that is none (NaN) is the worst."""
        if self.rank is None:
            return None
        return tuple(-math.inf if math.isnan(value) else value for value in self.rank)


def describe(
    step: int,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, Any],
    rank: Sequence[float] | None,
) -> bytes:
    """Return the content of ``state.json``.

    Raises:
        TypeError: If a fact is not a plain value.
        ValueError: If a tensor is of a type that is not stored, or has no group in its name.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name}: tensors of {tensor.dtype} are not stored")
        if not group_of(name).isidentifier():
            raise ValueError(f"{name}: must be named group/rest, the group a plain word")
    kinds = {name: TensorKind.of(tensor) for name, tensor in tensors.items()}
    content = {
        "glcm_mae": __version__,
        "step": step,
        "rank": None if rank is None else [float(value) for value in rank],
        "facts": dict(facts),
        "tensors": {name: [kind.dtype, list(kind.shape)] for name, kind in kinds.items()},
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def read_state(folder: Path) -> State:
    """Read ``state.json`` of a checkpoint.

    Raises:
        DamageError: If it is missing or is not what :func:`describe` writes.
    """
    content = read_json(folder / STATE)
    try:
        rank = content["rank"]
        state = State(
            int(content["step"]),
            dict(content["facts"]),
            None if rank is None else tuple(float(value) for value in rank),
            {
                name: TensorKind(dtype, tuple(int(length) for length in shape))
                for name, (dtype, shape) in content["tensors"].items()
            },
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise DamageError(f"{STATE}: is not what glcm-mae writes") from error
    for name, kind in state.kinds.items():
        if kind.dtype not in DTYPES.values() or any(length < 0 for length in kind.shape):
            raise DamageError(f"{STATE}: {name} cannot be {kind}")
    return state


def group_of(name: str) -> str:
    """Return the group of a tensor: what comes before the first slash of its name.

    Example:
        >>> group_of("model/blocks.0/weight")
        'model'
    """
    group, slash, _ = name.partition("/")
    return group if slash else ""
