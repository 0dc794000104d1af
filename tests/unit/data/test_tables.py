"""Folders and manifests as tables, and every way in which they can be wrong."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.tables import ImageTable, read_table
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


def refusal(path: Path, *, labelled: bool) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, labelled=labelled)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_is_searched_to_any_depth_in_sorted_order(tmp_path: Path) -> None:
    touch(tmp_path, "z.png", "b/c/d.TIFF", "b/a.Jpg", "a.bmp", "notes.txt", "b/x.dcm")
    table = read_table(tmp_path, labelled=False)
    assert table.paths == ("a.bmp", "b/a.Jpg", "b/c/d.TIFF", "z.png")
    assert table.groups == table.paths
    assert (table.labels, table.classes, table.splits) == ((), (), ())
    assert len(table) == 4
    assert table.file(2) == tmp_path / "b" / "c" / "d.TIFF"


def test_a_labelled_folder_has_a_class_per_subfolder(tmp_path: Path) -> None:
    touch(tmp_path, "well/2.png", "well/deep/1.png", "ill/3.png", "empty/readme.md")
    table = read_table(tmp_path, labelled=True)
    assert table.paths == ("ill/3.png", "well/2.png", "well/deep/1.png")
    assert table.classes == ("ill", "well")
    assert table.labels == (0, 1, 1)
    assert table.groups == table.paths


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "a.png", "._a.png", ".cache/b.png")
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


def test_missing_path(tmp_path: Path) -> None:
    path = tmp_path / "gone"
    assert (
        refusal(path, labelled=False) == f"{path}: no such folder or manifest; check the path"
    )


def test_neither_folder_nor_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "a.png")
    path = tmp_path / "a.png"
    assert refusal(path, labelled=False) == (
        f"{path}: is neither a folder of images nor a .csv manifest; give one of them"
    )


@pytest.mark.parametrize("labelled", [True, False])
def test_folder_without_images(tmp_path: Path, labelled: bool) -> None:
    suffixes = ".png .jpg .jpeg .tif .tiff .bmp count"
    assert refusal(tmp_path, labelled=labelled) == (
        f"{tmp_path}: holds no images ({suffixes}); give the folder that holds them"
    )
    touch(tmp_path, "a.dcm", "s/b.dcm", "LICENSE", ".hidden")
    assert refusal(tmp_path, labelled=labelled) == (
        f"{tmp_path}: holds no images ({suffixes}) but 3 other files "
        "(2 .dcm, 1 without suffix); give the folder that holds them"
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
