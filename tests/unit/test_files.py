"""Whole files or none; how a run uses them is in test_runs.py."""

from pathlib import Path

import pytest

from glcm_mae import runs
from glcm_mae.errors import InputError
from glcm_mae.files import TEMPORARY, flush_folder, write_atomically


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file"
    for content in (b"one", b"", b"three"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert [entry.name for entry in path.parent.iterdir()] == ["file"]


def test_what_a_dead_writer_left_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ("file" + TEMPORARY)).write_bytes(b"half of something longer")
    write_atomically(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        write_atomically(tmp_path / "file" / "below", b"new")
    assert str(caught.value) == (
        f"{tmp_path}/file/below: cannot be written (File exists); free space or choose "
        "another --out"
    )


def test_a_missing_folder_cannot_be_flushed(tmp_path: Path) -> None:
    flush_folder(tmp_path)
    with pytest.raises(FileNotFoundError):
        flush_folder(tmp_path / "gone")


def test_runs_write_the_same_way() -> None:
    assert runs.write_atomically is write_atomically
