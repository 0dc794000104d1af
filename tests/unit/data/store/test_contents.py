"""Hashes of files: of their content, and remembered only while nothing has changed."""

import hashlib
import os
from pathlib import Path

import pytest

from glcm_mae.data.store import contents
from glcm_mae.data.store.contents import file_contents, file_hashes
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.errors import InputError

OLD = 1_600_000_000


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    names = tuple(f"{index}.png" for index in range(4))
    root = tmp_path / "images"
    root.mkdir()
    for index, name in enumerate(names):
        (root / name).write_bytes(bytes([index]) * 10)
    return ImageTable(root, names, (), (), names, ())


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files count as settled at once: tests cannot set the time of a change."""
    monkeypatch.setattr(contents, "_SETTLED", -(10**12))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are read, not remembered."""
    names: list[str] = []
    read = contents._read

    def noted(path: Path) -> contents.Content:
        names.append(path.name)
        return read(path)

    monkeypatch.setattr(contents, "_read", noted)
    return names


def test_hashes_are_of_the_content(table: ImageTable) -> None:
    expected = [hashlib.sha256(table.file(i).read_bytes()).hexdigest() for i in range(4)]
    assert list(file_hashes(table)) == expected
    assert len(set(expected)) == 4


def test_frames_of_one_file_share_its_hash(table: ImageTable, reads: list[str]) -> None:
    paths = ("1.png", "0.png", "1.png")
    frames = ImageTable(table.root, paths, (), (), paths, (), (0, 0, 1))
    first, second, third = file_hashes(frames)
    assert first == third != second
    assert sorted(reads) == ["0.png", "1.png"]


def test_hashing_a_missing_file(table: ImageTable, tmp_path: Path) -> None:
    table.file(2).unlink()
    with pytest.raises(InputError) as caught:
        file_hashes(table, tmp_path / "cache")
    assert str(caught.value) == (
        f"{table.root}/2.png: cannot be opened (No such file or directory); "
        "check that it is there"
    )


@pytest.mark.usefixtures("settled")
def test_a_second_start_reads_no_file(
    table: ImageTable, tmp_path: Path, reads: list[str]
) -> None:
    cache = tmp_path / "cache"
    first = file_contents(table, cache)
    assert len(reads) == 4
    assert file_contents(table, cache) == first
    assert file_contents(table.subset([2]), cache) == [first[2]]
    assert len(reads) == 4
    assert cache.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("change", ["content", "time", "file"])
def test_a_changed_file_is_read_again(
    table: ImageTable, tmp_path: Path, reads: list[str], change: str
) -> None:
    file_hashes(table, tmp_path)
    reads.clear()
    path = table.file(1)
    if change == "content":  # as rsync and cp -p may: same size, same time of change
        before = path.stat()
        path.write_bytes(b"other text"[:10])
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    elif change == "time":
        os.utime(path, (OLD, OLD))
    else:
        (tmp_path / "new").write_bytes(path.read_bytes())
        (tmp_path / "new").replace(path)
    assert file_hashes(table, tmp_path) == file_hashes(table)
    assert reads[0] == "1.png"
    assert len(reads) == 1 + 4  # the four are of the call without a memo


def test_a_young_file_is_not_trusted(
    table: ImageTable, tmp_path: Path, reads: list[str]
) -> None:
    file_hashes(table, tmp_path)
    file_hashes(table, tmp_path)
    assert len(reads) == 8


@pytest.mark.usefixtures("settled")
def test_the_memo_grows_and_tells_no_names(
    table: ImageTable, tmp_path: Path, reads: list[str]
) -> None:
    cache = tmp_path / "cache"
    file_hashes(table.subset([0, 1]), cache)
    file_hashes(table.subset([2, 3]), cache)
    file_hashes(table, cache)
    assert len(reads) == 4
    (memo,) = (cache / "contents").iterdir()
    assert b"png" not in memo.read_bytes()
    assert "images" not in memo.name


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "foreign"])
def test_a_damaged_memo_knows_nothing(
    table: ImageTable, tmp_path: Path, reads: list[str], damage: str
) -> None:
    cache = tmp_path / "cache"
    first = file_hashes(table, cache)
    (memo,) = (cache / "contents").iterdir()
    data = bytearray(memo.read_bytes())
    if damage == "flip":
        data[-5] ^= 1
    memo.write_bytes(
        {"cut": data[:-7], "flip": data, "empty": b"", "foreign": b"hello" * 99}[damage]
    )
    reads.clear()
    assert file_hashes(table, cache) == first
    assert len(reads) == 4
    assert file_hashes(table, cache) == first
    assert len(reads) == 4


def test_a_folder_that_cannot_be_written_forgets(table: ImageTable, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert file_hashes(table, tmp_path / "file") == file_hashes(table)
