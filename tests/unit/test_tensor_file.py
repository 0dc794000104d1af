"""One safetensors file: what the library reads, written whole or not at all."""

import errno
import json
import os
import stat
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save, save_file
from torch import Tensor

from glcm_mae import __version__
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import (
    DTYPES,
    TensorFile,
    read_tensor_file,
    stored_bytes,
    write_tensor_file,
    write_tensors,
)

CPU = torch.device("cpu")
FACTS = {"epoch": 3, "classes": ["ill", "well"], "nested": {"a": None}}


def full_disk(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def tensors() -> dict[str, Tensor]:
    return {
        "model/weight": torch.arange(6.0).view(2, 3).T,  # not contiguous
        "model/half": torch.tensor([1.5], dtype=torch.bfloat16),
        "optimizer/step": torch.tensor(3.0),
        "modelling/other": torch.tensor([1, 2]),
    }


def awkward() -> dict[str, Tensor]:
    """Tensors of every type and of every shape that could be written wrongly."""
    base = torch.arange(24, dtype=torch.float32).view(2, 3, 4)
    found = {
        f"type/{name}": torch.tensor([0, 1, 1]).to(dtype) for dtype, name in DTYPES.items()
    }
    return found | {
        "shape/number": torch.tensor(-0.0),
        "shape/truth": torch.tensor(True),
        "shape/empty": torch.zeros(0, 3),
        "shape/strided": base[:, ::2, 1:3],
        "shape/permuted": base.permute(2, 0, 1),
        "shape/expanded": torch.tensor([7], dtype=torch.int16).expand(5),
        "shared/one": base,
        "shared/two": base[1],
        "odd/parameter": torch.nn.Parameter(torch.tensor([float("nan"), float("inf")])),
        'odd/näme with spaces and "quotes"': torch.ones(1),
    }


def same_bits(one: Tensor, two: Tensor) -> bool:
    if one.dtype != two.dtype or one.shape != two.shape:
        return False
    pair = [t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (one, two)]
    return torch.equal(*pair)


def test_tensors_and_facts_come_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "last.safetensors"
    write_tensor_file(path, tensors(), FACTS)
    back = read_tensor_file(path, CPU)
    assert back.facts == {"glcm_mae": __version__, **FACTS}
    assert set(back.tensors) == set(tensors())
    assert all(same_bits(back.tensors[name], tensor) for name, tensor in tensors().items())
    assert set(back.group("model")) == {"weight", "half"}
    assert files(path.parent) == ["last.safetensors"]


def test_the_library_reads_what_is_written(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_tensor_file(path, awkward(), FACTS)
    back = load_file(path)
    assert set(back) == set(awkward())
    assert [
        name for name, tensor in awkward().items() if not same_bits(back[name], tensor)
    ] == []
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    assert json.loads(metadata["facts"]) == {"glcm_mae": __version__, **FACTS}
    # The format wants a header of a multiple of eight bytes, which keeps tensors aligned.
    length = int.from_bytes(path.read_bytes()[:8], "little")
    assert length % 8 == 0


def test_the_bytes_are_those_of_the_library(tmp_path: Path) -> None:
    several = {"b": torch.rand(3, 2), "a": torch.rand(5), "long": torch.arange(4)}
    write_tensors(tmp_path / "file", several)
    assert (tmp_path / "file").read_bytes() == save(several, metadata={"format": "pt"})


def test_nothing_may_be_saved(tmp_path: Path) -> None:
    write_tensor_file(tmp_path / "file", {}, {})
    back = read_tensor_file(tmp_path / "file", CPU)
    assert back == TensorFile({}, {"glcm_mae": __version__})


def test_bytes_are_counted_whole() -> None:
    assert stored_bytes({"a": torch.zeros(3, 2), "b": torch.zeros((), dtype=torch.int64)}) == 32


def test_others_may_read_the_file_as_the_system_is_set(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_tensor_file(tmp_path / "file", tensors(), {})
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@pytest.mark.parametrize("where", ["fsync", "replace", "write"])
def test_a_full_disk_leaves_the_older_file(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.safetensors"
    write_tensor_file(path, tensors(), FACTS)
    with monkeypatch.context() as patch:
        if where == "fsync":
            patch.setattr(os, "fsync", full_disk)
        elif where == "replace":
            patch.setattr(Path, "replace", full_disk)
        else:
            patch.setattr("glcm_mae.tensor_file._write", full_disk)
        with pytest.raises(InputError) as caught:
            write_tensor_file(path, {"a": torch.zeros(25)}, {"epoch": 4})
    message = str(caught.value)
    assert message.startswith(
        f"{path}: cannot be written (No space left on device: 100 bytes needed, "
    )
    assert message.endswith(" free); free space or choose another --out")
    assert "\n" not in message
    assert read_tensor_file(path, CPU).facts["epoch"] == 3
    assert files(tmp_path) == ["last.safetensors"]


def test_what_is_not_plain_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with pytest.raises(TypeError):
        write_tensor_file(path, {}, {"a": object()})
    with pytest.raises(
        ValueError, match=r"model/a: tensors of torch\.complex64 are not stored"
    ):
        write_tensor_file(path, {"model/a": torch.zeros(1, dtype=torch.complex64)}, {})
    assert files(tmp_path) == []


def test_a_truncated_file_is_told_at_every_length(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_tensor_file(path, tensors(), FACTS)
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError) as caught:
            read_tensor_file(path, CPU)
        assert str(caught.value).startswith(f"{path}: not a whole safetensors file (")
        assert "\n" not in str(caught.value)


def test_a_flipped_bit_of_the_header_is_told_or_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "last.safetensors"
    write_tensor_file(path, {"model/a": torch.zeros(2, 2), "b": torch.ones(3)}, {"epoch": 3})
    whole = path.read_bytes()
    messages = []
    for position in range(8 + int.from_bytes(whole[:8], "little")):
        changed = bytearray(whole)
        changed[position] ^= 1 << (position % 8)
        path.write_bytes(changed)
        try:
            read_tensor_file(path, CPU)
        except InputError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert [text for text in messages if not text.startswith(f"{path}: not ")] == []
    assert [text for text in messages if "\n" in text] == []


@pytest.mark.parametrize(
    "metadata",
    [None, {"format": "pt"}, {"facts": "[1]"}, {"facts": "{"}, {"facts": "[" * 100_000}],
    ids=["none", "format", "list", "torn", "deep"],
)
def test_a_foreign_safetensors_file_is_told(
    metadata: dict[str, str] | None, tmp_path: Path
) -> None:
    path = tmp_path / "theirs.safetensors"
    save_file({"weight": torch.zeros(2)}, path, metadata=metadata)
    with pytest.raises(InputError) as caught:
        read_tensor_file(path, CPU)
    assert str(caught.value) == f"{path}: not written by glcm-mae (no facts in its header)"


def test_a_type_that_torch_lacks_is_told(tmp_path: Path) -> None:
    entry = {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}
    header = json.dumps({"__metadata__": {"facts": "{}"}, "a": entry}).encode()
    path = tmp_path / "strange.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0\0")
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read_tensor_file(path, CPU)


def test_a_pickle_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    torch.save({"weight": torch.zeros(2)}, path)
    with pytest.raises(InputError, match="not a whole safetensors file"):
        read_tensor_file(path, CPU)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_missing_file_is_told(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "none" if kind == "missing" else tmp_path
    with pytest.raises(InputError) as caught:
        read_tensor_file(path, CPU)
    assert str(caught.value) == f"{path}: no such checkpoint; has the run saved one yet?"
