"""How images are divided: folds of a file, few labels, given parts, unused images."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glcm_mae.config import DataConfig, FinetuneConfig, FoldsConfig, PretrainConfig, SplitConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages, write_phantoms
from glcm_mae.data.folds.fold_files import format_folds, read_folds
from glcm_mae.division import draw_folds, keep_together
from glcm_mae.downstream import Trial
from glcm_mae.errors import InputError
from glcm_mae.pretraining.parts import divide
from glcm_mae.splitting import write_split


def table_of(labels: list[int], groups: list[str], splits: tuple[str, ...] = ()) -> ImageTable:
    names = tuple(f"{row}.png" for row in range(len(labels)))
    return ImageTable(Path("x"), names, tuple(labels), ("a", "b"), tuple(groups), splits)


def pictures(table: ImageTable, seed: int = 0) -> LoadedImages:
    shape = (len(table), 1, 16, 16)
    return LoadedImages(
        np.random.default_rng(seed).integers(0, 99, shape, np.uint16), table, ()
    )


TABLE = table_of([0, 1] * 50, [str(row) for row in range(100)])


def file_of(folds: list[Fold], folder: Path) -> Path:
    path = folder / "folds.csv"
    path.write_text(format_folds(TABLE.names, folds))
    return path


def test_a_share_of_the_labels_is_drawn_from_folds_of_a_file_too(tmp_path: Path) -> None:
    whole = draw_folds(TABLE, FoldsConfig(count=2), 0)
    few = FoldsConfig(file=file_of(whole, tmp_path), label_share=0.1)
    drawn = draw_folds(TABLE, FoldsConfig(count=2, label_share=0.1), 0)
    for own, other, every in zip(draw_folds(TABLE, few, 0), drawn, whole, strict=True):
        assert own.train.tolist() == other.train.tolist()
        assert own.test.tolist() == every.test.tolist()
        assert len(own.train) == pytest.approx(0.1 * len(every.train), abs=2)


def test_folds_that_hold_a_share_already_are_not_reduced_twice(tmp_path: Path) -> None:
    few = draw_folds(TABLE, FoldsConfig(count=2, label_share=0.1), 0)
    path = file_of(few, tmp_path)
    again = draw_folds(TABLE, FoldsConfig(file=path, label_share=0.1), 0)
    assert [fold.train.tolist() for fold in again] == [fold.train.tolist() for fold in few]
    with pytest.raises(InputError, match=r"uses 0\.\d+ of the labels .*, not 0\.5"):
        draw_folds(TABLE, FoldsConfig(file=path, label_share=0.5), 0)


def test_the_part_that_picks_may_lack_a_class_where_few_labels_are_drawn() -> None:
    """The official parts: no b in validation."""
    labels = [0] * 12 + [1] * 4 + [0] * 4 + [0, 1] * 2
    splits = ("train",) * 16 + ("val",) * 4 + ("test",) * 4
    table = table_of(labels, [str(row) for row in range(24)], splits)
    (fold,) = draw_folds(table, FoldsConfig(official=True, label_share=0.5), 0)
    assert {labels[row] for row in fold.train} == {0, 1}
    assert {labels[row] for row in fold.validation} == {0}


def test_unused_images_of_tested_patients_are_not_pre_trained_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    splits = ("train", "train", "test", "unused", "unused")
    table = table_of([0, 1, 0, 0, 1], ["p1", "p2", "p3", "p3", "p4"], splits)
    config = PretrainConfig(data={"table": "x"}, out="o")
    assert divide(pictures(table), config).train.tolist() == [0, 1, 4]
    assert "1 unused images of tested groups left out" in capsys.readouterr().err


def test_a_given_split_is_checked_for_what_it_tears_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a column, and as a file; a part spelt otherwise and unused images tear nothing."""
    cells = ("train", "Train", "unused", "test")
    for tested, torn in (("d", 0), ("a", 1)):
        table = table_of([0, 1, 0, 1], ["a", "a", "a", tested], cells)
        keep_together(pictures(table), DataConfig(table="x"), "off")
        assert ("WARNING: 1 groups" in capsys.readouterr().err) == bool(torn)
    source = write_phantoms(tmp_path / "images", count=12, size=32, seed=0)
    rows = (source / "manifest.csv").read_text().splitlines()
    names = [row.split(",")[0] for row in rows[1:]]
    shutil.copy(source / names[0], source / names[11])  # trained on, and tested
    cells = ("train",) * 4 + ("val",) * 4 + ("test",) * 4
    lines = [f"{name},{cell}" for name, cell in zip(names, cells, strict=True)]
    (tmp_path / "parts.csv").write_text("\n".join(["path,split", *lines]))
    data: dict[str, Any] = {"table": source / "manifest.csv", "cache": None}
    data |= {"split": tmp_path / "parts.csv", "positive": "coarse"}
    model = {"image_size": 32, "patch_size": 8}
    Trial.prepare(FinetuneConfig(data=data, model=model, out=tmp_path / "o", start="scratch"))
    assert (
        "groups stand in two parts of the given split, which leaks" in capsys.readouterr().err
    )


def test_folds_as_a_file_follow_the_given_parts_and_leave_out_broken_files(
    tmp_path: Path,
) -> None:
    source = write_phantoms(tmp_path / "images", count=24, size=32, seed=0)
    manifest = source / "manifest.csv"
    rows = [row.split(",") for row in manifest.read_text().splitlines()]
    place = rows[0].index("label")
    whole = [row[0] for row in rows[1:]]
    broken = ["broken.png" if n == 0 else "x" for n in range(len(rows[0]))]
    broken[place] = rows[1][place]
    manifest.write_text("\n".join(",".join(row) for row in [*rows, broken]) + "\n")
    (source / "broken.png").write_bytes(b"no image")
    part = {name: "test" if n % 3 == 0 else "train" for n, name in enumerate(whole)}
    lines = [f"{name},{part[name]}" for name in whole]
    (tmp_path / "parts.csv").write_text("\n".join(["path,split", *lines, "broken.png,test"]))
    data: dict[str, Any] = {"table": manifest, "cache": None, "positive": "coarse"}
    data |= {"split": tmp_path / "parts.csv", "on_error": "skip"}
    folds = {"official": True}
    told = write_split(SplitConfig(data=data, folds=folds, out=tmp_path / "folds.csv"))
    assert told[0] == "24 images in 1 folds"
    (fold,) = read_folds(tmp_path / "folds.csv", tuple(whole))
    assert {whole[row] for row in fold.test} == {
        n for n, name in part.items() if name == "test"
    }
