"""Frames and slices as rows of a table."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.folds.assignments import format_assignment, read_assignment
from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.reading.images import read_image
from glcm_mae.data.tables import frames as module
from glcm_mae.data.tables.frames import spaced_frames
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError


def write_pages(path: Path, count: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = [Image.new("L", (4, 4), color=page) for page in range(count)]
    pages[0].save(path, format="TIFF", save_all=True, append_images=pages[1:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_pages(tmp_path / "x" / "film.tif", 5)
    write_pages(tmp_path / "x" / "single.tif", 1)
    write_pages(tmp_path / "y" / "film.png", 2)  # a TIFF file all the same
    Image.new("L", (4, 4)).save(tmp_path / "y" / "a.png")
    (tmp_path / "y" / "broken.tif").write_bytes(b"II*\0broken")
    (tmp_path / "y" / "gone.tif").symlink_to(tmp_path / "nowhere")
    return tmp_path


def test_files_are_not_opened_unless_frames_are_wanted(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "sniff", None)
    table = read_table(folder, labelled=False)
    assert (len(table), table.frames) == (6, ())


@pytest.mark.parametrize(
    ("wanted", "of_five", "of_two"),
    [
        ("all", (0, 1, 2, 3, 4), (0, 1)),
        ("middle", (2,), (1,)),
        (1, (2,), (1,)),
        (2, (1, 3), (0, 1)),
    ],
)
def test_wanted_frames_become_rows(
    folder: Path, wanted: str | int, of_five: tuple[int, ...], of_two: tuple[int, ...]
) -> None:
    table = read_table(folder, labelled=True, frames=wanted)
    assert table.names == (
        *(f"x/film.tif#{frame}" for frame in of_five),
        "x/single.tif",
        "y/a.png",
        "y/broken.tif",  # stays, so that reading it tells what is wrong
        *(f"y/film.png#{frame}" for frame in of_two),
        "y/gone.tif",
    )
    assert table.groups == table.paths  # of a film they stay together
    assert len(table.labels) == len(table.frames) == len(table)
    assert table.frame(0) == of_five[0]
    assert table.frame(len(of_five)) is None


def test_a_single_film_is_a_table_of_itself(tmp_path: Path) -> None:
    write_pages(tmp_path / "film", 3)
    table = read_table(tmp_path / "film", labelled=False, frames="all")
    names = ("film",) * 3
    assert table == ImageTable(tmp_path, names, (), (), names, (), (0, 1, 2))


def test_hidden_names_tell_frames_apart(tmp_path: Path) -> None:
    write_pages(tmp_path / "film.tif", 3)
    table = read_table(tmp_path, labelled=False, frames="all", hide_names=True)
    assert len(set(table.names)) == 3
    assert len(set(table.groups)) == 1
    assert "film" not in "".join((*table.names, *table.groups))


def test_a_file_called_like_a_frame_is_refused(tmp_path: Path) -> None:
    write_pages(tmp_path / "film.tif", 2)
    (tmp_path / "film.tif#1").write_bytes(bytes(128) + b"DICM")
    with pytest.raises(InputError) as caught:
        read_table(tmp_path, labelled=False, frames="all")
    assert str(caught.value) == (
        f"{tmp_path}: files must not be called like frames of others, 1 are: film.tif#1; "
        "rename them"
    )


def test_slices_lead_to_the_pixels(tmp_path: Path) -> None:
    volume = np.zeros((3, 4, 5), np.uint8)
    volume[...] = np.arange(5) * 51
    np.save(tmp_path / "v.npy", volume)
    table = read_table(tmp_path, labelled=False, frames="all")
    assert table.frames == (0, 1, 2, 3, 4)
    images = [read_image(table.file(n), frame=table.frame(n)) for n in range(5)]
    assert [image.shape for image in images] == [(1, 3, 4)] * 5
    assert np.allclose([image.mean() for image in images], np.arange(5) / 5)


@pytest.mark.parametrize("hide", [False, True])
def test_parts_are_told_by_the_names_of_frames(tmp_path: Path, hide: bool) -> None:
    write_pages(tmp_path / "film.tif", 4)
    table = read_table(tmp_path, labelled=False, frames="all", hide_names=hide)
    fold = Fold(train=np.array([1, 3]), validation=np.array([0]), test=np.array([2]))
    text = format_assignment(table, fold)
    assert ("film.tif#3,train" in text) != hide
    assert ("film" in text) != hide
    (tmp_path / "parts.csv").write_text(text)
    parts = ("validation", "train", "test", "train")
    assert read_assignment(tmp_path / "parts.csv", table) == parts


@pytest.mark.parametrize("frames", ["every", "", 0, -1, True, 1.5])
def test_what_names_no_frames_is_refused(tmp_path: Path, frames: str | int) -> None:
    with pytest.raises(InputError) as caught:
        read_table(tmp_path, labelled=False, frames=frames)
    assert str(caught.value) == (
        f"frames: must be single, all, middle or a number from 1, got {frames!r}"
    )


def test_what_is_no_axis_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(InputError, match="axis: must be 0, 1 or 2, got 3"):
        read_table(tmp_path, labelled=False, frames="all", axis=3)


@pytest.mark.parametrize("count", [2, 3, 10, 97])
def test_chosen_frames_are_evenly_spaced(count: int) -> None:
    for wanted in range(1, count + 3):
        chosen = np.array(spaced_frames(count, wanted))
        assert len(chosen) == min(count, wanted)
        assert (np.diff(chosen) >= count // min(count, wanted)).all()
        assert chosen[0] >= 0
        assert abs((count - 1 - chosen[-1]) - chosen[0]) <= 1  # as much before as after


@pytest.mark.parametrize(("axis", "count"), [(0, 4), (1, 5), (2, 6)])
def test_volumes_are_counted_along_the_axis(tmp_path: Path, axis: int, count: int) -> None:
    np.save(tmp_path / "volume.npy", np.zeros((4, 5, 6), np.uint8))
    table = read_table(tmp_path, labelled=False, frames="all", axis=axis)
    assert table.frames == tuple(range(count))
