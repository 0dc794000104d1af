"""Folds as a file: what is written comes back, and what does not serve is told."""

from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.folds.fold_files import check_folds, format_folds, read_folds, repeat_numbers
from glcm_mae.data.folds.splits import Fold, make_folds
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError

NAMES = ["a.png", "b, c.png", "é.png", "z.png"]
GOOD = """path,fold-0,fold-1
a.png,test,train
"b, c.png",train,test
é.png,validation,validation
z.png,unused,train
"""


def written(folder: Path, text: str, name: str = "folds.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_folds_are_read(tmp_path: Path) -> None:
    folds = read_folds(written(tmp_path, GOOD), NAMES)
    assert [fold.train.tolist() for fold in folds] == [[1], [0, 3]]
    assert [fold.validation.tolist() for fold in folds] == [[2], [2]]
    assert [fold.test.tolist() for fold in folds] == [[0], [1]]
    assert format_folds(NAMES, folds) == GOOD


def test_rows_and_columns_stand_in_any_order_and_others_may_be_there(tmp_path: Path) -> None:
    text = "fold-0,note,path\ntest,,z.png\nTRAIN,x,a.png\ntest,,other.png\nVal,,b.png\n"
    (fold,) = read_folds(written(tmp_path, "\ufeff" + text), ["a.png", "b.png", "z.png"])
    assert (fold.train.tolist(), fold.validation.tolist(), fold.test.tolist()) == (
        [0],
        [1],
        [2],
    )


NEEDS = (
    "needs the columns path, fold-0, fold-1, ..., each cell train, validation, test or unused; "
    "found the columns "
)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", NEEDS + "none"),
        ("path,split\na.png,train\n", NEEDS + "path, split"),
        ("path,fold-0,fold-2\na.png,train,test\n", NEEDS + "path, fold-0, fold-2"),
        (
            GOOD.replace("é.png", "e.png"),
            "does not list 1 of the images, such as é.png; list every image of the table",
        ),
        (GOOD + "z.png,train,train\n", "lists 1 images twice; keep one row of each"),
        (
            GOOD.replace("unused", "dev"),
            "fold-0 must say train, validation, test or unused in each row, found 'dev'; "
            "correct these cells",
        ),
        (
            GOOD.replace("z.png,unused,train", "z.png,unused"),
            "fold-1 must say train, validation, test or unused in each row, found ''; correct "
            "these cells",
        ),
        (
            GOOD.replace("validation,validation", "validation,train"),
            "fold-1 has no validation image; give it some",
        ),
        (
            GOOD.replace("a.png,test,train", "a.png,test,test"),
            "fold-1 tests 1 images again before all others have been tested; test each image "
            "once in each repeat",
        ),
    ],
)
def test_a_file_that_does_not_serve_is_told(text: str, reason: str, tmp_path: Path) -> None:
    path = written(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_folds(path, NAMES)
    assert str(caught.value) == f"{path}: {reason}"


@pytest.mark.parametrize("name", ["splits_final.json", "folds.csv"])
def test_the_splits_of_nnunet_are_refused(name: str, tmp_path: Path) -> None:
    path = written(tmp_path, '[{"train": ["a", "b"], "val": ["c"]}]', name)
    with pytest.raises(
        InputError, match=r"is JSON, such as nnU-Net's .* the columns path, fold-0"
    ):
        read_folds(path, NAMES)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be read \(No such file.*check the path"):
        read_folds(tmp_path / "none.csv", NAMES)
    path = tmp_path / "folds.csv"
    path.write_bytes(b"path,fold-0\n\xff\xfe,train\n")
    with pytest.raises(InputError, match="save it as comma-separated UTF-8"):
        read_folds(path, NAMES)


def fold(train: list[int], validation: list[int], test: list[int]) -> Fold:
    return Fold(np.array(train), np.array(validation), np.array(test))


def test_repeats_are_told_apart() -> None:
    folds = make_folds([0, 1] * 6, list("abcdefghijkl"), count=3, validation_share=0.3, seed=0)
    assert repeat_numbers(folds * 3) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    with pytest.raises(InputError, match="the last repeat does not test 8 of 12 images"):
        repeat_numbers([*folds, folds[0]])


def test_folds_that_tear_patients_apart_are_refused_without_their_names() -> None:
    groups = ["ann", "ann", "bob", "bob", "cleo", "dan"]
    check_folds([fold([0, 1], [2, 3], [4, 5])], groups)
    torn = fold([0, 2], [1, 4], [3, 5])
    with pytest.raises(InputError) as caught:
        check_folds([fold([0, 1], [2, 3], [4, 5]), torn], groups)
    assert str(caught.value) == (
        "fold-1: 2 of 4 groups (patients) stand in two parts; keep all images of a group in "
        "one part"
    )
    with pytest.raises(
        InputError, match=r"such as 0\.png \(train\) and 1\.png \(validation\);"
    ):
        check_folds([torn], groups, [f"{row}.png" for row in range(6)])
    unused = fold([0], [3], [4, 5])  # what no part holds tears nothing
    check_folds([unused], ["ann", "ann", "bob", "bob", "cleo", "dan"], list("abcdef"))


def test_the_official_parts_of_a_real_set_tear_numbers_apart(kermany_cxr: Path) -> None:
    """What its README says: 170 numbers stand in train and in test."""
    table = read_table(kermany_cxr / "manifest.csv", labelled=True)
    parts = np.array(table.splits)
    official = Fold(*(np.flatnonzero(parts == part) for part in ("train", "val", "test")))
    without = Fold(official.train, official.validation[:0], official.test)
    with pytest.raises(InputError, match="fold-0: 170 of "):
        check_folds([without], table.groups)
