"""Folders and manifests as tables, and every way in which they can be wrong."""

import csv
import os
import re
import sys
import types
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.reading.formats import IMAGE_SUFFIXES
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def manifest(root: Path, rows: Sequence[Sequence[str]], name: str = "manifest.csv") -> Path:
    path = root / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def refusal(path: Path, *, labelled: bool, **more: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, labelled=labelled, **more)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_searched_to_any_depth_in_sorted_order(tmp_path: Path) -> None:
    touch(
        tmp_path, "z.png", "b/c/d.TIFF", "b/a.Jpg", "a.bmp", "notes.txt", "b/x.nii.GZ", "x.gz"
    )
    table = read_table(tmp_path, labelled=False)
    assert table.paths == ("a.bmp", "b/a.Jpg", "b/c/d.TIFF", "b/x.nii.GZ", "z.png")
    assert table.groups is table.paths
    assert table.names is table.paths
    assert (table.frames, table.shown, table.grouping, table.source) == (
        (),
        (),
        "image",
        "files",
    )
    assert (table.labels, table.classes, table.splits) == ((), (), ())
    assert len(table) == 5
    assert table.file(2) == tmp_path / "b" / "c" / "d.TIFF"


def test_a_labelled_folder_has_a_class_per_subfolder(tmp_path: Path) -> None:
    touch(tmp_path, "well/2.png", "well/deep/1.png", "ill/3.png", "empty/readme.md")
    table = read_table(tmp_path, labelled=True)
    assert table.paths == ("ill/3.png", "well/2.png", "well/deep/1.png")
    assert table.classes == ("ill", "well")
    assert table.labels == (0, 1, 1)
    assert table.groups == table.paths


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "._a.png", ".cache/b.png", "__MACOSX/a.png")
    assert read_table(tmp_path, labelled=False).paths == ("a.png",)


def test_a_hidden_folder_may_be_the_root(tmp_path: Path) -> None:
    touch(tmp_path, ".scans/a.png")
    assert read_table(tmp_path / ".scans", labelled=False).paths == ("a.png",)


def test_links_are_followed_but_not_round_and_round(tmp_path: Path) -> None:
    touch(tmp_path, "data/a/1.png", "elsewhere/2.png")
    root = tmp_path / "data"
    (root / "a" / "up").symlink_to(root)
    (root / "self").symlink_to(root / "self")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "c").symlink_to(tmp_path / "elsewhere")
    table = read_table(root, labelled=False)
    assert table.paths == ("a/1.png", "b/2.png", "c/2.png")


def test_a_dangling_link_counts_as_an_image_that_is_broken(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
    assert read_table(tmp_path, labelled=False).paths == ("a.png", "b.png")


def test_a_manifest_keeps_its_order_and_tells_groups_and_splits(tmp_path: Path) -> None:
    touch(tmp_path, "x/2.png", "1.png", "3.png")
    rows = [
        ("path", "age", "label", "group", "split"),
        ("x/2.png", "50", "well", "p1", "train"),
        ("./1.png", "", "ill", "", ""),
        (" 3.png ", "7", " ill ", "p1", "test"),
    ]
    table = read_table(manifest(tmp_path, rows), labelled=True)
    assert table.root == tmp_path
    assert table.paths == ("x/2.png", "1.png", "3.png")
    assert table.classes == ("ill", "well")
    assert table.labels == (1, 0, 0)
    assert table.groups == ("p1", "1.png", "p1")
    assert table.splits == ("train", "", "test")


def test_an_unlabelled_manifest_needs_paths_only(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    table = read_table(manifest(tmp_path, [["path"], ["b.png"], ["a.png"]]), labelled=False)
    assert table == ImageTable(tmp_path, ("b.png", "a.png"), (), (), ("b.png", "a.png"), ())


def test_labels_are_not_read_where_none_are_wanted(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = manifest(tmp_path, [["path", "label", "split"], ["a.png", "", ""]])
    table = read_table(path, labelled=False)
    assert (table.labels, table.classes, table.splits) == ((), (), ())


def test_a_manifest_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    """Byte-order mark, CRLF, quotes, an empty line, short rows, capital suffix."""
    touch(tmp_path, "a, b.png", "ü.png")
    path = tmp_path / "LIST.CSV"
    text = '\ufeffpath,label,group\r\n"a, b.png",ill,p1\r\n,,\r\nü.png,well\r\n'
    path.write_bytes(text.encode())
    table = read_table(path, labelled=True)
    assert table.paths == ("a, b.png", "ü.png")
    assert table.groups == ("p1", "ü.png")


def test_a_manifest_may_point_out_of_its_folder(tmp_path: Path) -> None:
    touch(tmp_path, "scans/a.png", "lists/other.txt")
    path = manifest(tmp_path / "lists", [["path"], ["../scans/a.png"]])
    table = read_table(path, labelled=False)
    assert table.file(0).samefile(tmp_path / "scans" / "a.png")


def test_subset_keeps_the_classes_and_takes_arrays(tmp_path: Path) -> None:
    table = ImageTable(
        tmp_path, ("a", "b", "c"), (0, 1, 0), ("n", "y"), ("1", "2", "3"), ("t", "v", "t")
    )
    part = table.subset(np.array([2, 0]))
    assert part == ImageTable(tmp_path, ("c", "a"), (0, 0), ("n", "y"), ("3", "1"), ("t", "t"))
    assert table.subset([]).classes == ("n", "y")


def test_subset_keeps_every_field() -> None:
    table = ImageTable(
        Path("x"),
        ("v.nii", "v.nii", "a.png"),
        (0, 1, 0),
        ("n", "y"),
        ("v", "v", "a"),
        ("train", "train", "test"),
        (4, 5, -1),
        ("p", "q", "r"),
        grouping="manifest",
        source="shards",
    )
    part = table.subset(np.array([2, 1]))
    assert (part.frames, part.shown, part.splits) == ((-1, 5), ("r", "q"), ("test", "train"))
    assert (part.grouping, part.source) == ("manifest", "shards")
    assert part.names == ("r", "q")
    assert table.subset(range(3)) == table


def test_frames_make_names() -> None:
    table = ImageTable(Path("x"), ("v.nii", "a.png"), (), (), ("v", "a"), (), (3, -1))
    assert table.names == tuple(map(table.name, range(2))) == ("v.nii#3", "a.png")
    assert [table.frame(row) for row in range(2)] == [3, None]
    hidden = replace(table, shown=("p", "q"))
    assert hidden.names == tuple(map(hidden.name, range(2))) == ("p", "q")
    assert hidden.plain_name(0) == "v.nii#3"


@pytest.mark.parametrize("field", ["labels", "groups", "splits", "frames", "shown"])
def test_tuples_of_other_lengths_are_refused(field: str) -> None:
    table = ImageTable(Path("x"), ("a", "b"), (), (), ("a", "b"), ())
    with pytest.raises(ValueError, match=f"^{field}: must have an entry for each of 2 images"):
        replace(table, **{field: (1,)})


def test_names_can_be_hidden(tmp_path: Path) -> None:
    touch(tmp_path, "ill/secret.png", "well/mueller.png")
    open_table = read_table(tmp_path, labelled=True)
    table = read_table(tmp_path, labelled=True, hide_names=True, key=tmp_path / "k" / "key")
    assert table.paths == open_table.paths  # files must be found
    shown = repr((table.names, table.groups, table.shown))
    assert not re.search("secret|mueller|ill|well|png", shown)
    assert len({*table.names, *table.groups}) == 4
    again = read_table(tmp_path, labelled=True, hide_names=True, key=tmp_path / "k" / "key")
    assert again == table
    other = read_table(tmp_path, labelled=True, hide_names=True, key=tmp_path / "k" / "key2")
    assert not set(other.names) & set(table.names)


def test_hidden_groups_keep_patients_together(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png")
    rows = [["path", "group"], ["1.png", "meier"], ["2.png", "meier"], ["3.png", ""]]
    table = read_table(manifest(tmp_path, rows), labelled=False, hide_names=True)
    assert table.groups[0] == table.groups[1] != table.groups[2]
    assert "meier" not in repr(table.groups)
    assert "png" not in repr(table.groups)
    assert table.grouping == "manifest"


def test_a_class_can_be_renamed_joined_and_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/2.png", "c/3.png", "d/4.png")
    wanted = {"a": "ill", "b": "ill", "c": None, "d": "fine"}
    table = read_table(tmp_path, labelled=True, label_map=wanted)
    assert table.paths == ("a/1.png", "b/2.png", "d/4.png")
    assert (table.classes, table.labels) == (("fine", "ill"), (1, 1, 0))


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (
            {"a": "x"},
            "label_map must say what becomes of every class, 1 missing: b; add them, with "
            "null to leave their images out",
        ),
        (
            {"a": "x", "b": "y", "B": "y"},
            "label_map names classes that are not there: B; the classes are a, b",
        ),
        (
            {"a": None, "b": None},
            "label_map leaves every image out; map two classes or more to names",
        ),
        (
            {"a": "x", "b": "x"},
            "classification needs two classes or more, found only 'x'; add images of another "
            "class",
        ),
    ],
)
def test_a_map_of_classes_that_does_not_fit(
    tmp_path: Path, wanted: dict[str, str | None], told: str
) -> None:
    touch(tmp_path, "a/1.png", "b/2.png")
    assert refusal(tmp_path, labelled=True, label_map=wanted) == f"{tmp_path}: {told}"
    assert len(read_table(tmp_path, labelled=False, label_map=wanted)) == 2


def shard_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch, **fields: object
) -> tuple[Path, ImageTable]:
    """A folder of shards, as far as a table looks at it."""
    touch(folder, "shards.json")
    table = ImageTable(
        folder, ("p1_a", "p1_b", "p2_c"), (0, 1, 2), ("i", "j", "k"), ("1", "2", "3"), ()
    )
    table = replace(table, source="shards", **fields)
    module = types.ModuleType("glcm_mae.data.store.shards")
    module.read_shard_table = lambda path: table  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "glcm_mae.data.store.shards", module)
    return folder, table


def test_shards_tell_their_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, table = shard_folder(tmp_path, monkeypatch)
    assert read_table(folder, labelled=True) == table
    plain = read_table(folder, labelled=False)
    assert (plain.labels, plain.classes, plain.source) == ((), (), "shards")
    wanted = {"i": "j", "j": "i", "k": None}
    mapped = read_table(folder, labelled=True, label_map=wanted)
    assert (mapped.paths, mapped.labels, mapped.classes) == (
        ("p1_a", "p1_b"),
        (1, 0),
        ("i", "j"),
    )
    grouped = read_table(folder, labelled=True, group_pattern=r"p\d")
    assert (grouped.groups, grouped.grouping) == (("p1", "p1", "p2"), "pattern")
    hidden = read_table(folder, labelled=True, hide_names=True)
    assert not {*hidden.names, *hidden.groups} & {*table.names, *table.groups}


def test_shards_keep_what_was_told_when_they_were_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("x", "y", "z")
    folder, table = shard_folder(tmp_path, monkeypatch, grouping="manifest", shown=names)
    told = read_table(folder, labelled=True, group_pattern="p", hide_names=True)
    assert told == table


def test_shards_without_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, _ = shard_folder(tmp_path, monkeypatch, labels=(), classes=())
    assert refusal(folder, labelled=True) == (
        f"{folder}: holds shards without labels; make them anew from a labelled table"
    )


def test_missing_path(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    assert refusal(path, labelled=False) == (
        f"{path}: no such folder or manifest; check the path (that of a recipe is a "
        "stand-in for yours)"
    )


def test_neither_folder_nor_manifest_nor_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = tmp_path / "a.png"
    assert refusal(path, labelled=False) == (
        f"{path}: is neither a folder of images, a manifest (.csv, .parquet) nor an image; "
        "give one of them"
    )


@pytest.mark.parametrize("suffix", [".xlsx", ".ods", ".TSV"])
def test_spreadsheets_are_not_read(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path, f"list{suffix}")
    path = tmp_path / f"list{suffix}"
    assert refusal(path, labelled=True) == (
        f"{path}: {suffix.lower()} files are not read; save it as CSV (comma-separated UTF-8)"
    )


def test_a_single_image_is_a_table_without_classes(tmp_path: Path) -> None:
    path = tmp_path / "a.scan"
    Image.new("L", (2, 2)).save(path, format="PNG")
    table = read_table(path, labelled=False)
    assert table == ImageTable(tmp_path, ("a.scan",), (), (), ("a.scan",), ())
    assert refusal(path, labelled=True) == (
        f"{path}: a single file tells no classes; give a folder with a subfolder for each "
        "class, or a manifest"
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_folder_without_images(tmp_path: Path, labelled: bool) -> None:
    suffixes = " ".join(IMAGE_SUFFIXES) + " and DICOM files of any name count"
    assert refusal(tmp_path, labelled=labelled) == (
        f"{tmp_path}: holds no images ({suffixes}); give the folder that holds them"
    )
    touch(tmp_path, "a.gif", "s/b.gif", "LICENSE", ".hidden")
    assert refusal(tmp_path, labelled=labelled) == (
        f"{tmp_path}: holds no images ({suffixes}) but 3 other files "
        "(2 .gif, 1 without suffix); give the folder that holds them"
    )


def test_dicom_is_found_under_any_name_but_its_index_is_not(tmp_path: Path) -> None:
    dicom = bytes(128) + b"DICM" + bytes(8)
    for name in ("scans/1.2.840", "scans/IM0001", "DICOMDIR", "scans/Dicomdir"):
        touch(tmp_path, name)
        (tmp_path / name).write_bytes(dicom)
    (tmp_path / "notes.txt").write_text("DICM " * 100)
    os.mkfifo(tmp_path / "pipe")
    table = read_table(tmp_path, labelled=False)
    assert table.paths == ("scans/1.2.840", "scans/IM0001")


@pytest.mark.parametrize("name", ["a\nb.png", "a\u2028b.png", os.fsdecode(b"\xff.png")])
def test_names_that_are_no_text_are_refused(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a.png", name)
    message = refusal(tmp_path, labelled=False)
    assert message == (
        f"{tmp_path}: the names of images must be text on one line, 1 are not: {name!a}; "
        "rename them"
    )


def test_a_folder_that_cannot_be_searched_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(folder: str) -> None:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(os, "scandir", closed)
    assert refusal(tmp_path, labelled=False) == (
        f"{tmp_path}: cannot be searched (Permission denied); check who may read it"
    )


def test_images_outside_the_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "ill/a.png", "well/b.png", "1.png", "2.png", "3.png", "4.png")
    assert refusal(tmp_path, labelled=True) == (
        f"{tmp_path}: each image must lie in the subfolder of its class, 4 outside: "
        "1.png, 2.png, 3.png, ...; move them into one folder per class, or give a manifest"
    )


def test_folders_of_parts_are_not_taken_for_classes(tmp_path: Path) -> None:
    touch(tmp_path, "train/ill/a.png", "train/well/b.png", "test/ill/c.png", "val/ill/d.png")
    assert refusal(tmp_path, labelled=True) == (
        f"{tmp_path}: its subfolders test, train, val are parts, not classes; give one of "
        "them, or a manifest with the columns path,label,split"
    )
    assert len(read_table(tmp_path, labelled=False)) == 4


def test_one_class_only(tmp_path: Path) -> None:
    touch(tmp_path, "ill/a.png", "ill/b.png")
    rule = "classification needs two classes or more, found only 'ill'"
    remedy = "add images of another class"
    assert refusal(tmp_path, labelled=True) == f"{tmp_path}: {rule}; {remedy}"
    path = manifest(tmp_path, [["path", "label"], ["ill/a.png", "ill"]])
    assert refusal(path, labelled=True) == f"{path}: {rule}; {remedy}"


@pytest.mark.parametrize(
    ("header", "labelled", "column", "found"),
    [
        (["file", "label"], False, "path", "file, label"),
        (["path", "class"], True, "label", "path, class"),
        (["path;label"], True, "path", "path;label"),
        ([], False, "path", "none"),
    ],
)
def test_missing_column(
    tmp_path: Path, header: list[str], labelled: bool, column: str, found: str
) -> None:
    path = manifest(tmp_path, [header])
    assert refusal(path, labelled=labelled) == (
        f"{path}: needs the column '{column}', found {found}; add it to the header"
    )


def test_manifest_without_rows(tmp_path: Path) -> None:
    path = manifest(tmp_path, [["path", "label"]])
    assert refusal(path, labelled=True) == (
        f"{path}: has no rows below its header; add one row per image"
    )


def test_files_that_are_not_there(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "folder.png/x.txt")
    rows = [["path", "label"], ["a.png", "0"], ["b.png", "0"], ["", "1"], ["folder.png", "1"]]
    path = manifest(tmp_path, rows)
    message = refusal(path, labelled=True)
    assert message == (
        f"{path}: each path must be a file, starting from {tmp_path}, 3 missing: "
        "b.png, (empty), folder.png; correct or remove these rows"
    )


def test_of_many_missing_files_three_are_named(tmp_path: Path) -> None:
    path = manifest(tmp_path, [["path"], *([f"{i}.png"] for i in range(9))])
    assert "9 missing: 0.png, 1.png, 2.png, ...;" in refusal(path, labelled=False)


def test_repeated_paths(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png")
    path = manifest(tmp_path, [["path"], ["a.png"], ["b.png"], ["x/../a.png"]])
    assert refusal(path, labelled=False) == (
        f"{path}: each path may stand in one row only, 1 repeated: a.png; remove the repeats"
    )


def test_rows_without_label(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "b.png", "c.png")
    rows = [["path", "label"], ["a.png", "ill"], ["b.png", " "], ["c.png"]]
    path = manifest(tmp_path, rows)
    assert refusal(path, labelled=True) == (
        f"{path}: each row needs a label, 2 without: b.png, c.png; fill in or remove these rows"
    )


@pytest.mark.parametrize("content", [b"path\n\xff\xfe.png\n", b'path\n"a.png', b"path\n\0\xe9"])
def test_files_that_are_no_csv(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "manifest.csv"
    path.write_bytes(content)
    message = refusal(path, labelled=False)
    assert message.startswith(f"{path}: cannot be read as CSV (")
    assert message.endswith("); save it as comma-separated UTF-8")


@pytest.mark.parametrize(
    ("fixture", "count", "classes", "groups"),
    [
        ("busi", 780, ("benign", "malignant", "normal"), 780),
        ("kermany_cxr", 5856, ("normal", "pneumonia"), 3118),
        ("sarscov2_ct", 2481, ("covid", "non-covid"), 2481),
    ],
)
def test_real_manifests(
    request: pytest.FixtureRequest,
    fixture: str,
    count: int,
    classes: tuple[str, ...],
    groups: int,
) -> None:
    folder: Path = request.getfixturevalue(fixture)
    table = read_table(folder / "manifest.csv", labelled=True)
    assert len(table) == count
    assert table.classes == classes
    assert len(set(table.groups)) == groups
    assert bool(table.splits) == (fixture == "kermany_cxr")
