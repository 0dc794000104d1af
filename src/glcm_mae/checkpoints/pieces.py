"""Tensors as pieces: how a file stores them, and what of them a process holds.

A whole checkpoint has one piece a tensor. A sharded one is what torch's distributed
checkpoint writes as safetensors: each file holds pieces, and in its header where they lie.
Reading goes by overlap, so that any number of processes loads what any number has saved,
without talking to each other.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from safetensors import safe_open
from torch import Tensor

from glcm_mae.checkpoints.state import TensorKind, group_of
from glcm_mae.distributed import ranks
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import readable

if TYPE_CHECKING:
    from torch.distributed.tensor import DTensor
    from typing_extensions import TypeIs

SUFFIX = ".safetensors"
_OFFSETS = "DCP_SHARDING_INFO"


@dataclass(frozen=True)
class _Piece:
    """A box of a tensor in a file: its numbers ``offset[d]`` to ``offset[d] + shape[d]``."""

    file: Any
    offset: tuple[int, ...]
    shape: tuple[int, ...]

    def overlap(self, offset: tuple[int, ...], shape: tuple[int, ...]) -> list[range]:
        """Return the numbers along each axis that this and another box both hold."""
        mine = zip(self.offset, self.shape, strict=True)
        other = zip(offset, shape, strict=True)
        return [
            range(max(a, b), min(a + length, b + extent))
            for (a, length), (b, extent) in zip(mine, other, strict=True)
        ]


class StoredPieces:
    """The open files of a checkpoint; a context manager.

    Args:
        folder: The checkpoint.
        names: Of its files.
        kinds: The tensors that will be asked for.

    Raises:
        InputError: On entering, if a file cannot be read or a tensor is not there in full.
    """

    def __init__(
        self, folder: Path, names: Iterable[str], kinds: Mapping[str, TensorKind]
    ) -> None:
        self._folder = folder
        self._names = frozenset(names)
        self._kinds = kinds
        self._files = ExitStack()
        self._pieces: dict[str, list[_Piece]] = {name: [] for name in kinds}

    def __enter__(self) -> Self:
        with ExitStack() as on_failure:
            on_failure.push(self._files)
            for path in self._paths():
                with readable(path):
                    self._open(path)
            self._check()
            on_failure.pop_all()
        return self

    def _paths(self) -> list[Path]:
        """Return the files: those of the groups alone, or every shard."""
        whole = {f"{group_of(name)}{SUFFIX}" for name in self._kinds}
        shards = {name for name in self._names if name.startswith("shard-")}
        return [self._folder / name for name in sorted(shards or whole & self._names)]

    def _open(self, path: Path) -> None:
        file = self._files.enter_context(safe_open(path, framework="pt"))
        text = (file.metadata() or {}).get(_OFFSETS)
        offsets = json.loads(text) if text else {}
        for name in self._pieces.keys() & set(file.keys()):
            shape = tuple(file.get_slice(name).get_shape())
            offset = offsets[name]["saved_offsets"] if text else (0,) * len(shape)
            self._pieces[name].append(_Piece(file, tuple(offset), shape))

    def _check(self) -> None:
        for name, kind in self._kinds.items():
            pieces = self._pieces[name]
            inside = all(
                len(piece.shape) == len(piece.offset) == len(kind.shape)
                and all(map(_within, piece.offset, piece.shape, kind.shape))
                for piece in pieces
            )
            held = sum(math.prod(piece.shape) for piece in pieces)
            if not inside or held != math.prod(kind.shape):
                raise InputError(
                    f"{self._folder}: {name} is not there in full; remove this checkpoint to "
                    "go on from the one before it"
                )

    def copy(self, name: str, target: Tensor, offset: tuple[int, ...]) -> None:
        """Fill a part of a tensor.

        Args:
            name: The tensor.
            target: The part, filled in place; on any device.
            offset: Where in the tensor the part begins.
        """
        for piece in self._pieces[name]:
            shared = piece.overlap(offset, tuple(target.shape))
            if not all(shared):
                continue
            source = tuple(
                slice(span.start - start, span.stop - start)
                for span, start in zip(shared, piece.offset, strict=True)
            )
            place = tuple(
                slice(span.start - start, span.stop - start)
                for span, start in zip(shared, offset, strict=True)
            )
            with readable(self._folder):
                target[place].copy_(piece.file.get_slice(name)[source])

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()


def _within(offset: int, length: int, whole: int) -> bool:
    return offset >= 0 and offset + length <= whole


def local_parts(tensor: Tensor) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Yield what this process holds of a tensor, and where in the whole it begins.

    Gradients must be off: the parts are the storage itself.
    """
    if not is_shard(tensor):
        yield tensor.detach(), (0,) * tensor.dim()
        return
    (piece,) = tensor.__create_chunk_list__()  # type: ignore[no-untyped-call]
    yield tensor.to_local(), tuple(piece.offsets)


def is_shard(tensor: Tensor) -> "TypeIs[DTensor]":
    """Say whether other processes hold parts of a tensor."""
    if ranks().size == 1:
        return False
    # Where there is one process, its import would be for nothing.
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
