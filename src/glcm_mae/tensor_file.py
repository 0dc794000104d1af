"""Tensors by name and the plain facts that go with them, in one safetensors file.

No pickle: reading such a file runs no code. Any reader of safetensors opens it; the facts
are JSON in its header.
"""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from glcm_mae.errors import InputError
from glcm_mae.files import replacing
from glcm_mae.version import __version__

DTYPES = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}
"""The types of numbers that are stored, and what the format calls them."""

UNREADABLE = (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError)
"""What safetensors and torch raise on a file that is damaged."""


@dataclass(frozen=True)
class TensorFile:
    """Tensors and the facts that go with them.

    Attributes:
        tensors: By name; groups are told apart by a prefix such as ``model/``.
        facts: Plain values: epoch, step, classes, ....
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors of a group, without the prefix.

        Example:
            >>> file = TensorFile({"model/bias": torch.zeros(2), "models": torch.ones(1)}, {})
            >>> file.group("model")
            {'bias': tensor([0., 0.])}
        """
        start = prefix + "/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def write_tensor_file(
    path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
) -> None:
    """Write tensors and facts atomically as one safetensors file.

    The version of glcm-mae is added to the facts. A tensor on a device is brought over
    when its turn comes, so that no second copy of them all is held.

    Args:
        path: The file; an older one of that name is replaced.
        tensors: By name, of any layout in memory.
        facts: Plain values, as JSON has them.

    Raises:
        InputError: If it cannot be written; an older file of that name stays whole.
        ValueError: If a tensor is of a type that is not stored, or a fact is not plain.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "model.safetensors")
        ...     write_tensor_file(path, {"model/bias": torch.ones(2)}, {"epoch": 3})
        ...     read = read_tensor_file(path, torch.device("cpu"))
        >>> read.group("model"), read.facts["epoch"]
        ({'bias': tensor([1., 1.])}, 3)

    References:
        .. [1] The format: https://huggingface.co/docs/safetensors
    """
    metadata = {"facts": json.dumps({"glcm_mae": __version__, **facts}), "format": "pt"}
    header, names = _header(tensors, metadata)
    with replacing(path, needed=stored_bytes(tensors)) as file:
        _write(file, header, (tensors[name] for name in names))


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a new safetensors file without facts straight to its place, and flush it.

    Raises:
        OSError: If it cannot be written.
        ValueError: If a tensor is of a type that is not stored.
    """
    header, names = _header(tensors, {"format": "pt"})
    with path.open("xb") as file:
        _write(file, header, (tensors[name] for name in names))
        file.flush()
        os.fsync(file.fileno())


def stored_bytes(tensors: Mapping[str, Tensor]) -> int:
    """Return the bytes of tensors on disk, without the small header; shards count in full."""
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())


# The library's save_file writes to a hidden file of its own that nobody else may read, leaves
# it behind when it is killed, and turns the system's errors into text. The format is a
# header and the numbers, so they are written here; the tests compare with the library.
def _header(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """Return the header, with its length before it, and the names in their order."""
    # The widest first: so each begins at a multiple of its width, as the format wants.
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    entries: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in DTYPES:
            raise ValueError(f"{name}: tensors of {tensor.dtype} are not stored")
        end = start + tensor.numel() * tensor.element_size()
        entries[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text, names


def _write(file: BinaryIO, header: bytes, tensors: Iterator[Tensor]) -> None:
    file.write(header)
    for tensor in tensors:
        file.write(_raw(tensor))


def _raw(tensor: Tensor) -> memoryview:
    """Return the numbers as bytes; those of a tensor that lies in order are not copied."""
    numbers = tensor.detach().cpu().contiguous().reshape(-1)
    return numbers.view(torch.uint8).numpy().data if len(numbers) else memoryview(b"")


def read_tensor_file(path: Path, device: torch.device) -> TensorFile:
    """Read tensors and facts; the header is judged before any tensor is read.

    Raises:
        InputError: If the file is missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; has the run saved one yet?")
    with readable(path), safe_open(path, framework="pt", device=str(device)) as file:
        facts = _facts(path, (file.metadata() or {}).get("facts"))
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return TensorFile(tensors, facts)


def _facts(path: Path, text: str | None) -> dict[str, Any]:
    try:
        facts = json.loads(text or "")
    except (json.JSONDecodeError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise InputError(f"{path}: not written by glcm-mae (no facts in its header)")
    return facts


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Tell in one line that a safetensors file is damaged, whatever was raised about it."""
    try:
        yield
    except InputError:
        raise
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: not a whole safetensors file ({reason}); give another"
        ) from error
