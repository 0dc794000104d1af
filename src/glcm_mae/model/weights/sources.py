"""Files of tensors, read so that nothing in them runs and no size is believed unchecked."""

import argparse
import json
import re
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

PICKLED = (".pth", ".pt", ".bin", ".ckpt")
LARGEST_HEADER = 4 * 2**20
LARGEST_PICKLE = 64 * 2**20
LARGEST_JSON = 2**20
# Where training scripts keep the weights; an average of the weights comes first, as in timm.
WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model")
ITEM_SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True)
class Content:
    """What a file of tensors holds.

    Attributes:
        tensors: By name, as the file spells them.
        metadata: Text from the header of a safetensors file.
        arguments: Arguments of the training script, where a pickled file kept them.
        wrapper: Entry of a pickled file in which the tensors stood; empty for none.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    wrapper: str = ""


def read_file(path: Path) -> Content:
    """Read the tensors of a file: safetensors, or pickled but holding tensors alone.

    Raises:
        ValueError: If it is missing, of another kind, damaged, or holds more than tensors.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file of weights; check the path")
    if path.suffix == ".safetensors":
        return read_safetensors(path)
    if path.suffix in PICKLED:
        return read_pickled(path)
    raise ValueError(
        f"{path}: weights are files ending in .safetensors, {', '.join(PICKLED)}; give one"
    )


def read_safetensors(path: Path) -> Content:
    """Read a safetensors file; its header is checked before any tensor is.

    Raises:
        ValueError: If the header is too large, contradicts itself or the file's size.
    """
    _check_header(path)
    with (
        _as_value_errors(path, "not a whole safetensors file; give another"),
        safe_open(path, framework="pt", device="cpu") as file,
    ):
        metadata = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return Content(tensors, metadata)


def _check_header(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= length <= min(LARGEST_HEADER, size - 8):
            raise ValueError(
                f"{path}: no safetensors file, or its header is larger than "
                f"{LARGEST_HEADER // 2**20} MiB; give another"
            )
        text = file.read(length)
    with _as_value_errors(path, "the header of the safetensors file is damaged; give another"):
        header = json.loads(text, object_pairs_hook=_without_repeats)
        if not isinstance(header, dict):
            raise ValueError("it is no object")
        for name, entry in header.items():
            if name != "__metadata__":
                _check_entry(name, entry, size - 8 - length)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name stands twice")
    return content


def _check_entry(name: str, entry: Any, room: int) -> None:
    """Hold one line of a header against the bytes that are there for it."""
    shape, (first, last) = entry["shape"], entry["data_offsets"]
    for number in (*shape, first, last):
        if type(number) is not int or number < 0:
            raise ValueError(f"{name!r} has {number!r} where a count must stand")
    if not first <= last <= room:
        raise ValueError(f"{name!r} lies outside of the file")
    if prod(shape) * ITEM_SIZES[entry["dtype"]] != last - first:
        raise ValueError(f"{name!r} is larger or smaller than its shape says")


def read_pickled(path: Path) -> Content:
    """Read a pickled checkpoint with torch's restricted reader, which builds tensors alone.

    The one class allowed besides is ``argparse.Namespace``, a plain record in which the
    checkpoints of the masked autoencoder keep the arguments of their training.

    Raises:
        ValueError: If the file asks for anything else, or is damaged.
    """
    zipped = zipfile.is_zipfile(path)
    if zipped:
        _check_archive(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace]):
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    # A hostile file fails in any way there is: recursion, missing keys, too little memory.
    except Exception as error:
        raise ValueError(
            f"{path}: refused, because it is no whole checkpoint of tensors alone"
            f"{_reason(error)}; convert it to safetensors where you trust it"
        ) from None
    wrapper, tensors = _unwrap(path, loaded)
    arguments = loaded.get("args") if wrapper else None
    if isinstance(arguments, argparse.Namespace):
        arguments = vars(arguments)
    if not isinstance(arguments, dict):
        arguments = {}
    return Content(tensors, arguments=arguments, wrapper=wrapper)


def _check_archive(path: Path) -> None:
    """Refuse archives that torch does not write, which unfold to more than they hold."""
    with _as_value_errors(path, "refused, because the archive is damaged; give another"):
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("it is compressed")
        if sum(entry.file_size for entry in entries) > path.stat().st_size:
            raise ValueError("it is larger inside than outside")
        pickled = (entry for entry in entries if entry.filename.endswith(".pkl"))
        if any(entry.file_size > LARGEST_PICKLE for entry in pickled):
            raise ValueError(f"it has more than {LARGEST_PICKLE // 2**20} MiB beside tensors")


def _reason(error: Exception) -> str:
    found = re.search(
        r"GLOBAL ([\w.]+)|module ([\w.]+) is blocked|function ([\w.]+)", str(error)
    )
    return f" (it asks for {next(filter(None, found.groups()))})" if found else ""


def _unwrap(path: Path, loaded: Any) -> tuple[str, dict[str, Tensor]]:
    """Find the tensors by name; return the entry that held them, and them."""
    wrapper = ""
    if isinstance(loaded, Mapping):
        for name in WRAPPERS:
            if isinstance(loaded.get(name), Mapping):
                wrapper, loaded = name, loaded[name]
                break
    if not isinstance(loaded, Mapping) or not loaded:
        raise ValueError(f"{path}: holds no tensors by name; give a state_dict")
    room = path.stat().st_size
    for name, value in loaded.items():
        if not isinstance(name, str) or not _is_plain(value, room):
            raise ValueError(
                f"{path}: {str(name)[:80]!r} is no plain tensor with a name; give a state_dict"
            )
    return wrapper, _without_prefix({name: value.detach() for name, value in loaded.items()})


def _is_plain(value: Any, room: int) -> bool:
    """Say whether a value is a dense tensor in memory, no larger than its file."""
    return (
        isinstance(value, Tensor)
        and type(value) in (Tensor, torch.nn.Parameter)
        and value.device.type == "cpu"
        and value.layout is torch.strided
        and not value.is_quantized
        and value.numel() * value.element_size() <= room
    )


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop what wrappers of models put before every name."""
    for prefix in ("module.", "_orig_mod.", "module."):
        if all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that stands beside weights.

    Raises:
        ValueError: If it is too large, damaged, or no object.
    """
    if path.stat().st_size > LARGEST_JSON:
        raise ValueError(f"{path}: larger than {LARGEST_JSON // 2**20} MiB; give another")
    with _as_value_errors(path, "no JSON object; download it again"):
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict):
            raise ValueError("it is none")
        return content


@contextmanager
def _as_value_errors(path: Path, what: str) -> Iterator[None]:
    """Turn whatever damaged content brings about into one line that names the file."""
    try:
        yield
    except (
        *(ValueError, TypeError, KeyError, AttributeError, RuntimeError, OSError),
        *(RecursionError, OverflowError, MemoryError, NotImplementedError),
        *(SafetensorError, zipfile.BadZipFile),
    ) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: {what} ({reason})") from None
