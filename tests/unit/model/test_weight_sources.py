"""Files of tensors that are damaged, lying, or larger inside than outside."""

import argparse
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save, save_file

from glcm_mae.model.weights.sources import (
    LARGEST_HEADER,
    Content,
    read_file,
    read_json,
    read_pickled,
    read_safetensors,
)

TENSORS = {
    "cls_token": torch.arange(4.0).view(1, 1, 4),
    "pos_embed": torch.ones(1, 5, 4),
    "patch_embed.proj.weight": torch.ones(4, 3, 2, 2).half(),
    "count": torch.tensor(3),
}


def damaged(path: Path, content: bytes) -> str:
    """Read content that must be refused, and return the message."""
    path.write_bytes(content)
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the message is looked at
        read_file(path)
    message = str(refusal.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def with_header(header: Any, body: bytes = b"\0" * 16) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_safetensors_come_back_with_their_metadata(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors", {"facts": "{}"})
    content = read_safetensors(tmp_path / "a.safetensors")
    assert content.metadata == {"facts": "{}"}
    assert content.tensors.keys() == TENSORS.keys()
    assert all(torch.equal(content.tensors[name], TENSORS[name]) for name in TENSORS)


def entry(**other: Any) -> dict[str, Any]:
    return {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **other}}


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (entry(shape=[5]), "larger or smaller"),
        (entry(shape=[10**30]), "larger or smaller"),
        (entry(shape=[-4]), "where a count must stand"),
        (entry(shape=[4.0]), "where a count must stand"),
        (entry(shape=[True, 4]), "where a count must stand"),
        (entry(shape=4), "damaged"),
        (entry(shape=None), "damaged"),
        (entry(data_offsets=[0, 17]), "outside"),
        (entry(data_offsets=[16, 0]), "outside"),
        (entry(data_offsets=[0]), "damaged"),
        (entry(dtype="F31"), "damaged"),
        (entry(dtype=["F32"]), "damaged"),
        ({"a": 1}, "damaged"),
        ({"a": {}}, "damaged"),
        ([], "no object"),
        (b"[" * 100_000, "damaged"),
        (b'{"a":' * 100_000, "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"{ ", "damaged"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"9" * 5000, "damaged"),
        ({**entry(), "b": entry()["a"]}, "not a whole"),
        ({"__metadata__": {"a": 1}, **entry()}, "not a whole"),
    ],
    ids=str,
)
def test_headers_that_lie_are_refused(tmp_path: Path, header: Any, reason: str) -> None:
    assert reason in damaged(tmp_path / "a.safetensors", with_header(header))


@pytest.mark.parametrize("length", [0, 1, LARGEST_HEADER + 1, 2**63, 2**64 - 1])
def test_no_header_larger_than_the_cap_is_read(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", length))
        file.truncate(2 * LARGEST_HEADER)
    assert "its header is larger than 4 MiB" in damaged(path, path.read_bytes())


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 40])
def test_files_cut_short_are_refused(tmp_path: Path, size: int) -> None:
    damaged(tmp_path / "a.safetensors", save(TENSORS)[:size])


def test_a_file_of_which_the_last_byte_is_missing_is_refused(tmp_path: Path) -> None:
    damaged(tmp_path / "a.safetensors", save(TENSORS)[:-1])


def mutate(content: bytes, header: int, chance: random.Random) -> bytes:
    """Change one to four places of the header: bits, bytes, digits, pieces."""
    changed = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(min(8 + header, len(changed)))
        kind = chance.randrange(5)
        if kind == 0:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[at] = chance.choice(b'0123456789-{}[],:"eE.\\')
        elif kind == 2:
            del changed[at : at + chance.randint(1, 9)]
        elif kind == 3:
            changed[at:at] = bytes(chance.randrange(256) for _ in range(chance.randint(1, 5)))
        else:
            other = chance.randrange(8, 8 + header)
            changed[at : at + 6] = changed[other : other + 6]
    if chance.random() < 0.5:  # else nearly all fail at the length
        changed[:8] = content[:8]
    return bytes(changed)


def outcome(path: Path) -> Content | str:
    """Read a file; return what it holds, or the reason of its refusal."""
    try:
        return read_file(path)
    except ValueError as error:
        return str(error)


def check(path: Path) -> bool:
    """Say whether a file is refused; it must be so in one line that names it."""
    read = outcome(path)
    if isinstance(read, str):
        assert read.startswith(f"{path}: ")
        assert "\n" not in read
        return True
    assert sum(value.nbytes for value in read.tensors.values()) <= path.stat().st_size
    return False


def test_damage_to_a_header_is_refused_or_harmless(tmp_path: Path) -> None:
    content = save(TENSORS, {"facts": "{}"})
    header = struct.unpack("<Q", content[:8])[0]
    chance = random.Random(0)
    path, refused = tmp_path / "a.safetensors", 0
    for _ in range(2500):
        path.write_bytes(mutate(content, header, chance))
        refused += check(path)
    assert 1800 < refused < 2500


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_damage_to_a_checkpoint_is_refused_or_harmless(tmp_path: Path, zipped: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save({"model": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    chance = random.Random(1)
    refused = 0
    for _ in range(300):
        path.write_bytes(mutate(content, min(1500, len(content) - 9), chance))
        refused += check(path)
    assert refused > 100


# Pickled checkpoints


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_only_the_guarded_reader_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    """Weights alone, on the CPU, mapped where the form of the file allows it."""
    path, calls, load = tmp_path / "a.pth", [], torch.load
    torch.save({"model": TENSORS}, path, _use_new_zipfile_serialization=zipped)
    monkeypatch.setattr(torch, "load", lambda *a, **k: (calls.append(k), load(*a, **k))[1])
    tensors = read_pickled(path).tensors
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert calls == [{"map_location": "cpu", "weights_only": True, "mmap": zipped}]


def test_no_class_stays_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"model": TENSORS, "args": argparse.Namespace(lr=1)}, path)
    assert read_pickled(path).arguments == {"lr": 1}
    assert argparse.Namespace not in torch.serialization.get_safe_globals()
    with pytest.raises(Exception, match=r"argparse\.Namespace"):
        torch.load(path, weights_only=True)


def test_compressed_archives_are_refused(tmp_path: Path) -> None:
    plain, path = tmp_path / "a.pth", tmp_path / "b.pth"
    torch.save({"a": torch.zeros(2**20)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    assert path.stat().st_size < 10_000
    with pytest.raises(ValueError, match=r"b\.pth: refused.*it is compressed"):
        read_file(path)


@pytest.mark.parametrize(
    "value",
    [
        torch.zeros(1).expand(10**9),
        torch.eye(3).to_sparse(),
        torch.zeros(3, device="meta"),
        3,
        "text",
        None,
        [torch.zeros(3)],
        {"deeper": torch.zeros(3)},
    ],
    ids=["vast", "sparse", "meta", "count", "text", "none", "list", "nested"],
)
@pytest.mark.filterwarnings("ignore:.*[Ss]parse.*:UserWarning")
def test_values_that_are_no_plain_tensors_are_refused(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "a.pth"
    torch.save({"cls_token": torch.zeros(3), "odd": value}, path)
    with pytest.raises(ValueError, match=r"a\.pth: ('odd' is no plain tensor|refused)"):
        read_file(path)


@pytest.mark.parametrize(
    "content", [[], {}, torch.zeros(3), {"model": {}}, {1: torch.zeros(2)}]
)
def test_checkpoints_without_named_tensors_are_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "a.pt"
    torch.save(content, path)
    with pytest.raises(ValueError, match="state_dict"):
        read_file(path)


@pytest.mark.parametrize("name", ["weights.npz", "weights", "weights.pkl", "weights.h5"])
def test_other_kinds_of_files_are_refused_unread(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x80\x02.")
    with pytest.raises(ValueError, match=r"ending in \.safetensors, \.pth"):
        read_file(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_file(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 90_000, b" " * 2**21])
def test_json_that_is_no_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json: "):
        read_json(path)
