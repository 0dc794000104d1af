"""Which image is in which part, written and read."""

from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.folds.assignments import (
    format_assignment,
    format_groups,
    read_assignment,
    read_groups,
    training_rows,
)
from glcm_mae.data.folds.splits import Fold, fold_from_splits
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.errors import InputError

PATHS = ("a.png", "b, c/d.png", "é.png", "z.png")
TABLE = ImageTable(Path("images"), PATHS, (), (), PATHS, ())
FOLD = Fold(train=np.array([0, 3]), validation=np.array([1]), test=np.array([2]))


def written(folder: Path, text: str) -> Path:
    path = folder / "split.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_fold_comes_back(tmp_path: Path) -> None:
    text = format_assignment(TABLE, FOLD)
    assert text.splitlines()[:3] == ["path,split", "a.png,train", '"b, c/d.png",validation']
    parts = read_assignment(written(tmp_path, text), TABLE)
    assert parts == ("train", "validation", "test", "train")


def test_an_unused_image_is_told_and_comes_back(tmp_path: Path) -> None:
    fold = Fold(train=np.array([3]), validation=np.array([1]), test=np.array([2]))
    text = format_assignment(TABLE, fold)
    assert text.splitlines()[1] == "a.png,unused"
    parts = read_assignment(written(tmp_path, text), TABLE)
    back = fold_from_splits(parts)
    assert (back.train.tolist(), back.validation.tolist(), back.test.tolist()) == (
        [3],
        [1],
        [2],
    )
    assert training_rows(parts, 4).tolist() == [0, 1, 3]


def test_a_list_may_know_more_images_and_columns(tmp_path: Path) -> None:
    text = "path,split,note\nother.png,test,x\nb.png,train,\na.png,test,y\n"
    table = TABLE.subset([0])
    assert read_assignment(written(tmp_path, text), table) == ("test",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "needs the columns path and split, has []"),
        ("path,part\na.png,train\n", "needs the columns path and split, has ['path', 'part']"),
        (
            "path,split\na.png,train\nz.png,test\n",
            "does not list 2 of the images, such as b, c/d.png; list every image of the table",
        ),
    ],
)
def test_a_list_that_does_not_serve_is_told(text: str, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_assignment(path, TABLE)
    assert str(caught.value) == f"{path}: {reason}"


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*check data\.split"):
        read_assignment(tmp_path / "none.csv", TABLE)


def test_all_but_the_test_images_may_be_trained_on() -> None:
    assert training_rows(("train", "test", "validation", "Val"), 4).tolist() == [0, 2, 3]
    assert training_rows((), 3).tolist() == [0, 1, 2]
    assert training_rows(("test", "TEST"), 2).tolist() == []


def test_an_image_of_an_unknown_part_is_not_trained_on() -> None:
    with pytest.raises(InputError, match="train, val, test or unused, found 'tset'"):
        training_rows(("train", "tset"), 2)


def test_groups_come_back_as_numbers_without_their_names(tmp_path: Path) -> None:
    table = ImageTable(Path("images"), PATHS, (), (), ("ann", "bob", "ann", "cleo"), ())
    text = format_groups(table)
    assert text.splitlines()[:2] == ["path,group", "a.png,0"]
    assert read_groups(written(tmp_path, text), table) == ("0", "1", "0", "2")


def test_an_image_without_a_group_is_its_own(tmp_path: Path) -> None:
    rows = ["path,group", "a.png,0", '"b, c/d.png",', "é.png,", "z.png,0", "other.png,0"]
    groups = read_groups(written(tmp_path, "\n".join(rows)), TABLE)
    assert groups[0] == groups[3] == "0"
    assert len(set(groups)) == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path,split\na.png,train\n", "needs the columns path and group"),
        ("path,group\na.png,1\n", "does not list 3 of the images, such as b, c/d.png"),
    ],
)
def test_groups_that_do_not_serve_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_groups(written(tmp_path, text), TABLE)
    with pytest.raises(InputError, match=r"cannot be read .*; check data.groups"):
        read_groups(tmp_path / "none.csv", TABLE)


def test_clusters_of_copies_are_not_taken_for_patients(tmp_path: Path) -> None:
    text = "path,cluster\n" + "".join(f"{name},0\n" for name in TABLE.names)
    with pytest.raises(InputError, match=r"near-duplicates stay together without it: to tell"):
        read_groups(written(tmp_path, text), TABLE)
