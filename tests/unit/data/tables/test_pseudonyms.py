"""Pseudonyms: one key, kept to its owner, and nothing without it."""

import hashlib
import hmac
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from glcm_mae.data.tables.pseudonyms import KEY_VARIABLE, Pseudonyms
from glcm_mae.errors import InputError


def refusal(key: Path) -> str:
    with pytest.raises(InputError) as caught:
        Pseudonyms.load(key)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_pseudonym_is_the_start_of_a_keyed_hash() -> None:
    key = bytes(range(32))
    expected = hmac.new(key, b"patient\x00M\xc3\xbcller", hashlib.sha256).hexdigest()[:16]
    assert Pseudonyms(key).of("patient", "Müller") == expected
    assert re.fullmatch("[0-9a-f]{16}", expected)
    assert Pseudonyms(key).of("study", "Müller") != expected
    assert Pseudonyms(bytes(32)).of("patient", "Müller") != expected
    assert Pseudonyms(key).of("image", "\udcff") == Pseudonyms(key).of("image", "\udcff")


def test_the_key_is_not_shown() -> None:
    assert repr(Pseudonyms(b"secret")) == "Pseudonyms()"


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "key"
    first = Pseudonyms.load(path)
    assert re.fullmatch("[0-9a-f]{64}\n", path.read_text())
    assert first.key == bytes.fromhex(path.read_text())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["key"]
    assert Pseudonyms.load(path) == first
    assert Pseudonyms.load(tmp_path / "other") != first


def test_where_the_key_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "named"))
    named = Pseudonyms.load()
    assert named.key == bytes.fromhex((tmp_path / "named").read_text())
    monkeypatch.setenv(KEY_VARIABLE, "")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert Pseudonyms.load() != named
    assert (tmp_path / "config" / "glcm-mae" / "key").is_file()
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Pseudonyms.load()
    assert (tmp_path / "home" / ".config" / "glcm-mae" / "key").is_file()
    assert Pseudonyms.load(Path("~/.config/glcm-mae/key")) == Pseudonyms.load()


def test_of_two_that_make_a_key_one_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All have seen that there is no key before the first of them makes one."""
    path, count = tmp_path / "key", 8
    gate, link = threading.Barrier(count), os.link
    keys: list[bytes] = []

    def late(*arguments: str) -> None:
        gate.wait()
        link(*arguments)

    monkeypatch.setattr(os, "link", late)
    threads = [
        threading.Thread(target=lambda: keys.append(Pseudonyms.load(path).key))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert keys == [bytes.fromhex(path.read_text())] * count
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("text", ["", "ab" * 31, "g" * 64, "ab" * 32 + "c", "ab cd" * 20])
def test_what_is_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text)
    assert refusal(path) == (
        f"{path}: a key is 64 hexadecimal digits or more, this is not; name the right file, or "
        "remove it to have a new key made"
    )
    assert path.read_text() == text


def test_a_longer_key_is_taken(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(" " + "AB" * 40 + "\r\n")
    assert Pseudonyms.load(tmp_path / "key").key == b"\xab" * 40


def test_a_key_that_cannot_be_read_or_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff\xfe")
    assert "the key cannot be read or made (Is a directory)" in refusal(tmp_path)
    assert "the key cannot be read or made (not text)" in refusal(tmp_path / "file")
    message = refusal(tmp_path / "file" / "key")
    assert "cannot be read or made (Not a directory); name another file by the sett" in message


def test_a_run_folder_holds_no_key(tmp_path: Path) -> None:
    for name in ("config.yaml", "environment.json"):
        (tmp_path / name).touch()
    path = tmp_path / "deep" / "key"
    assert refusal(path) == (
        f"{path}: the key must not lie in the run folder {tmp_path}, which others may get to "
        "see; keep it elsewhere"
    )
    assert not path.parent.exists()
