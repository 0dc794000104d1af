"""Manifests in CSV and Parquet: columns beyond path and label, and what is wrong with them."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.data.tables.manifests import columns_of, read_columns
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def written(root: Path, *rows: Sequence[str]) -> Path:
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def as_parquet(root: Path, **columns: Sequence[Any]) -> Path:
    import pyarrow
    from pyarrow import parquet

    path = root / "manifest.parquet"
    parquet.write_table(pyarrow.table(columns), path)
    return path


def refusal(path: Path, *, labelled: bool = False, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, labelled=labelled, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(f"{path}: ")


def test_frames_are_images_of_their_own(tmp_path: Path) -> None:
    touch(tmp_path, "v.nii", "a.png")
    path = written(
        tmp_path, ["path", "frame"], ["v.nii", "7"], ["v.nii", "0"], ["a.png", ""], ["./a.png"]
    )
    assert "each path and frame may stand in one row only, 1 repeated: a.png;" in refusal(path)
    path = written(tmp_path, ["path", "frame"], ["v.nii", "7"], ["v.nii", "0"], ["a.png", ""])
    table = read_table(path, labelled=False)
    assert table.names == ("v.nii#7", "v.nii#0", "a.png")
    assert table.frames == (7, 0, -1)
    assert table.groups == ("v.nii", "v.nii", "a.png")  # slices of one volume stay together
    assert read_table(path, labelled=False, frames="all") == table


@pytest.mark.parametrize("cell", ["-1", "1.5", "first", "٣", "1e3", "9999999999"])
def test_a_frame_is_a_number(tmp_path: Path, cell: str) -> None:
    touch(tmp_path, "v.nii")
    path = written(tmp_path, ["path", "frame"], ["v.nii", cell])
    assert refusal(path) == (
        f"each frame must be a number from 0 up, or empty, 1 are not: {cell}; correct them"
    )


def test_a_file_is_cut_in_all_rows_or_in_none(tmp_path: Path) -> None:
    touch(tmp_path, "v.nii")
    path = written(tmp_path, ["path", "frame"], ["v.nii", "1"], ["v.nii", ""])
    assert refusal(path) == (
        "a path must have a frame in all its rows or in none, 1 in some: v.nii; fill in the "
        "column frame"
    )


@pytest.mark.parametrize("column", ["patient_id", "Patient", "PatientID", "subject id"])
def test_patients_in_another_column_are_not_overlooked(tmp_path: Path, column: str) -> None:
    touch(tmp_path, "p1.png", "p2.png")
    rows = [["path", "label", column], ["p1.png", "x", "1"], ["p2.png", "y", "2"]]
    path = written(tmp_path, *rows)
    assert refusal(path, labelled=True) == (
        f"has the column {column!r} but no column 'group', which keeps the images of a patient "
        "together; rename it to group"
    )
    assert len(read_table(path, labelled=False)) == 2
    assert len(read_table(path, labelled=True, group_pattern=r"p\d")) == 2
    path = written(
        tmp_path, *[[*row, "g"] if row[0] != "path" else [*row, "group"] for row in rows]
    )
    assert set(read_table(path, labelled=True).groups) == {"g"}


def test_a_column_that_is_read_stands_there_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = written(tmp_path, ["path", "note", "group", "note", " group "], ["a.png"])
    assert refusal(path) == "has the column 'group' more than once; keep one of them"
    path = written(tmp_path, ["path", "note", "note"], ["a.png"])
    assert len(read_table(path, labelled=False)) == 1


def test_a_path_may_be_absolute(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.png", "lists/x")
    name = str(tmp_path / "scans" / "a.png")
    table = read_table(written(tmp_path / "lists", ["path"], [name]), labelled=False)
    assert table.file(0) == tmp_path / "scans" / "a.png"


@pytest.mark.parametrize("name", ["a\0b.png", "x" * 300 + ".png", "a\nb.png"])
def test_names_that_no_file_has_are_told(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, ["path"], [name])
    with pytest.raises(InputError, match="each path must be a file"):
        read_table(path, labelled=False)


def test_parquet_is_read_as_text(tmp_path: Path) -> None:
    touch(tmp_path, "b.png", "v.nii")
    path = as_parquet(
        tmp_path,
        path=["v.nii", "v.nii", " ./b.png"],
        label=[1, 0, 1],
        group=[12.0, None, float("nan")],
        split=["train", "test", None],
        frame=[3.0, 4.0, None],
    )
    table = read_table(path, labelled=True)
    assert table.names == ("v.nii#3", "v.nii#4", "b.png")
    assert (table.classes, table.labels) == (("0", "1"), (1, 0, 1))
    assert table.groups == ("12", "v.nii", "b.png")
    assert table.splits == ("train", "test", "")


def test_parquet_and_csv_tell_the_same(tmp_path: Path) -> None:
    columns = {"path": ["a.png", "b.png"], "label": ["x", "y"], "age": ["50", ""]}
    touch(tmp_path, *columns["path"])
    table = read_table(as_parquet(tmp_path, **columns), labelled=True)
    rows = zip(*columns.values(), strict=True)
    path = written(tmp_path, list(columns), *rows)
    assert read_table(path, labelled=True) == table
    assert read_columns(path) == read_columns(tmp_path / "manifest.parquet")


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    path = tmp_path / "list.PARQUET"
    path.write_bytes(b"path\na.png\n")
    message = refusal(path)
    assert message.startswith("cannot be read as Parquet (")
    assert message.endswith("); write it again, or save it as CSV")
    assert "needs the column 'path', found file" in refusal(as_parquet(tmp_path, file=["a"]))
    assert "has no rows" in refusal(as_parquet(tmp_path, path=[]))


def test_parquet_needs_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = as_parquet(tmp_path, path=["a.png"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(path) == (
        "a Parquet file needs pyarrow: pip install 'glcm-mae[parquet]', or save it as CSV"
    )


def test_further_columns_are_told_by_name(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "v.nii", "w.nii")
    path = written(
        tmp_path,
        ["path", "frame", "mask", "group"],
        ["w.nii", "", "w_mask.nii", "p"],
        ["a.png", "", "", ""],
        ["v.nii", "2", "v_mask.nii", "p"],
    )
    table = read_table(path, labelled=False)
    assert columns_of(path, table)["mask"] == {
        "w.nii": "w_mask.nii",
        "a.png": "",
        "v.nii#2": "v_mask.nii",
    }
    assert columns_of(path, table.subset([2]))["group"] == {"v.nii#2": "p"}
    hidden = read_table(path, labelled=False, hide_names=True)
    told = columns_of(path, hidden)
    assert list(told["mask"]) == list(hidden.names)
    assert tuple(told["group"].values()) == hidden.groups


def test_subfolders_are_told_as_labels(tmp_path: Path) -> None:
    touch(tmp_path, "ill/a.png", "well/b.png")
    table = read_table(tmp_path, labelled=False)
    assert columns_of(tmp_path, table) == {"label": {"ill/a.png": "ill", "well/b.png": "well"}}
    assert columns_of(tmp_path, table.subset([0])) == {}
    touch(tmp_path, "c.png")
    assert columns_of(tmp_path, read_table(tmp_path, labelled=False)) == {}
    assert columns_of(tmp_path / "c.png", table) == {}
