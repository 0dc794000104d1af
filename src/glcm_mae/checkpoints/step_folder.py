"""One checkpoint on disk: what it holds, and its tensors brought back whole or by shards."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glcm_mae.checkpoints.manifest import MANIFEST, DamageError, verify
from glcm_mae.checkpoints.pieces import StoredPieces, local_parts
from glcm_mae.checkpoints.state import STATE, State, TensorKind, group_of, read_state
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import write_tensor_file

_TOLD = 4
"""Differences named in a message; of the others only their number is."""


class StepFolder:
    """A checkpoint: ``step-0000000123/``, made by one process or by several.

    Attributes:
        path: The folder.
        step: The optimiser steps done.
        facts: Plain values of the run.
        rank: How good it is, if that was known when it was made.
        names: Of its tensors: "group/rest".
    """

    def __init__(self, path: Path, state: State, files: frozenset[str]) -> None:
        self.path = path
        self.step = state.step
        self.facts: dict[str, Any] = state.facts
        self.rank = state.rank
        self.names = set(state.kinds)
        self._kinds = state.kinds
        self._files = files

    @classmethod
    def open(cls, path: Path, *, trusted: bool = False) -> "StepFolder":
        """Open a checkpoint after verifying it.

        Args:
            path: The folder.
            trusted: Skip the verification, for it was done by another process.

        Raises:
            DamageError: If it is not whole, to the bit.
        """
        if path.is_symlink() or not path.is_dir():
            raise DamageError("is not a folder")
        files = verify(path, hashes=not trusted)
        if STATE not in files:
            raise DamageError(f"{MANIFEST}: does not list {STATE}")
        state = read_state(path)
        if path.name != step_name(state.step):
            raise DamageError(f"{STATE}: is of step {state.step}")
        return cls(path, state, files)

    def load_into(self, tensors: Mapping[str, Tensor]) -> None:
        """Copy the checkpoint into tensors that are there, plain ones or shards (DTensors).

        Names, shapes and types of all given groups are compared before any number is
        read; groups of which no tensor is given are left alone. The processes that load
        need not be as many as those that saved; each reads what it holds.

        Raises:
            InputError: If they differ, or a file cannot be read.
        """
        groups = {group_of(name) for name in tensors}
        there = {name: self._kinds[name] for name in self.names if group_of(name) in groups}
        differences = _differences(
            there, {name: TensorKind.of(tensor) for name, tensor in tensors.items()}
        )
        if differences:
            raise InputError(
                f"{self.path}: does not fit this run: {differences}; resume with the settings "
                "it was made with, or start anew with another --out"
            )
        with torch.no_grad(), StoredPieces(self.path, self._files, there) as stored:
            for name, tensor in tensors.items():
                for part, offset in local_parts(tensor):
                    stored.copy(name, part, offset)

    def read(self, group: str, device: torch.device) -> dict[str, Tensor]:
        """Read the tensors of a group whole, without the group in their names.

        Args:
            group: "model", "ema", "best", ....
            device: Where they are put.

        Raises:
            InputError: If there is no such group, or a file cannot be read.
        """
        prefix = group + "/"
        whole = self._whole(name for name in self.names if name.startswith(prefix))
        if not whole:
            there = ", ".join(sorted({group_of(name) for name in self.names})) or "nothing"
            raise InputError(f"{self.path}: holds no tensors of {group!r}; it holds {there}")
        return {name.removeprefix(prefix): whole[name].to(device) for name in whole}

    def _whole(self, names: Iterable[str]) -> dict[str, Tensor]:
        kinds = {name: self._kinds[name] for name in sorted(names)}
        whole = {
            name: torch.empty(kind.shape, dtype=kind.torch_dtype)
            for name, kind in kinds.items()
        }
        with StoredPieces(self.path, self._files, kinds) as stored:
            for name, tensor in whole.items():
                stored.copy(name, tensor, (0,) * tensor.dim())
        return whole


def step_name(step: int) -> str:
    """Return the name of the folder of a step.

    Example:
        >>> step_name(123)
        'step-0000000123'
    """
    return f"step-{step:010d}"


def consolidate(
    step: StepFolder, path: Path, *, groups: Iterable[str] | None = ("model",)
) -> None:
    """Write groups of a checkpoint, sharded or not, into one safetensors file.

    One process does it, whatever their number was that made the checkpoint.

    Args:
        step: The checkpoint.
        path: The file; its facts are those of the checkpoint, its names "group/rest".
        groups: The groups it holds; None for all.

    Raises:
        InputError: If the checkpoint lacks a group, or the file cannot be written.

    Example:
        >>> import tempfile
        >>> from glcm_mae.checkpoints import Checkpoints
        >>> from glcm_mae.tensor_file import read_tensor_file
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints, path = Checkpoints(Path(folder)), Path(folder, "model.safetensors")
        ...     made = checkpoints.save(1, {"model/bias": torch.ones(2)}, {})
        ...     consolidate(checkpoints.newest(), path)
        ...     read_tensor_file(path, torch.device("cpu")).tensors
        {'model/bias': tensor([1., 1.])}
    """
    there = {group_of(name) for name in step.names}
    wanted = there if groups is None else set(groups)
    tensors: dict[str, Tensor] = {}
    for group in sorted(wanted):
        read = step.read(group, torch.device("cpu"))
        tensors |= {f"{group}/{name}": tensor for name, tensor in read.items()}
    write_tensor_file(path, tensors, step.facts)


def _differences(there: Mapping[str, TensorKind], here: Mapping[str, TensorKind]) -> str:
    """Name what differs between a checkpoint and the tensors of a run."""
    found = [f"{name} is missing in it" for name in sorted(here.keys() - there.keys())]
    found += [f"{name} is not of this run" for name in sorted(there.keys() - here.keys())]
    found += [
        f"{name} is {there[name]} in it, {here[name]} here"
        for name in sorted(there.keys() & here.keys())
        if there[name] != here[name]
    ]
    more = [f"and {len(found) - _TOLD} more"] if len(found) > _TOLD else []
    return ", ".join(found[:_TOLD] + more)
