"""Decoded images on disk: whole or not there, found again, and shared."""

import json
import os
import shutil
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from forks import Forks, kill
from PIL import Image

from glcm_mae.data.reading.images import read_image
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store import building, cache, loading
from glcm_mae.data.store.cache import cache_entries, clear_cache
from glcm_mae.data.store.loading import LoadedImages, load_images
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError

POLICY = ReadingPolicy(size=(8, 8), depth=8)
SAMPLE = 64  # bytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images; the tone of image i is 10 i."""
    images = tmp_path / "images"
    images.mkdir()
    for index in range(6):
        Image.new("L", (9, 9), color=10 * index).save(images / f"{index}.png")
    return images


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files that are decoded."""
    names: list[str] = []

    def noted(path: Path, **settings: object) -> np.ndarray:
        names.append(Path(path).name)
        return read_image(path, **settings)

    monkeypatch.setattr(loading, "read_image", noted)
    return names


def load(folder: Path, on_error: str = "stop", **changes: object) -> LoadedImages:
    table = read_table(folder, labelled=False)
    policy = ReadingPolicy(**{"size": (8, 8), "depth": 8, **changes})
    return load_images(table, policy, on_error=on_error, cache=folder.parent / "cache")


def tones(loaded: LoadedImages) -> list[int]:
    return np.asarray(loaded.pixels)[:, 0, 4, 4].tolist()


def entries(folder: Path) -> list[Path]:
    """The entries of the cache, and what else is in it beside the memo."""
    return sorted(p for p in (folder.parent / "cache").iterdir() if p.name != "contents")


def test_the_cache_holds_what_memory_would(folder: Path) -> None:
    cached, plain = load(folder), load_images(read_table(folder, labelled=False), POLICY)
    np.testing.assert_array_equal(cached.pixels, plain.pixels)
    assert cached.table == plain.table
    assert isinstance(cached.pixels, np.memmap)
    assert not cached.pixels.flags.writeable


def test_a_second_start_decodes_nothing(folder: Path, decoded: list[str]) -> None:
    first = load(folder)
    assert len(decoded) == 6
    second = load(folder)
    assert len(decoded) == 6
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_progress_ends_complete_either_way(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    table, place = read_table(folder, labelled=False), folder.parent / "cache"
    load_images(table, POLICY, cache=place, progress=lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]
    calls.clear()
    load_images(table, POLICY, cache=place, progress=lambda *call: calls.append(call))
    assert calls == [(6, 6)]


@pytest.mark.parametrize(
    "change",
    [{"depth": 16}, {"fit": "crop"}, {"window": "range"}, {"size": (4, 4)}, {"channels": 3}],
)
def test_another_policy_is_another_entry(
    folder: Path, decoded: list[str], change: dict[str, object]
) -> None:
    load(folder)
    load(folder, **change)
    assert len(decoded) == 12
    assert len(entries(folder)) == 2


def test_other_content_is_another_entry(folder: Path, decoded: list[str]) -> None:
    load(folder)
    Image.new("L", (9, 9), color=200).save(folder / "2.png")
    assert tones(load(folder)) == [0, 10, 200, 30, 40, 50]


def test_names_and_places_do_not_count(folder: Path, decoded: list[str]) -> None:
    load(folder)
    shutil.copytree(folder, folder.parent / "elsewhere")
    for path in sorted((folder.parent / "elsewhere").iterdir()):
        path.rename(path.with_name(f"scan_{path.name}"))
    assert tones(load(folder.parent / "elsewhere")) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) == 6


def test_an_entry_is_for_its_owner_alone_and_tells_no_names(folder: Path) -> None:
    os.umask(os.umask(0o022))
    load(folder)
    (entry,) = entries(folder)
    assert entry.parent.stat().st_mode & 0o777 == 0o700
    assert entry.stat().st_mode & 0o777 == 0o700
    assert (entry / "pixels.bin").stat().st_size == 6 * SAMPLE
    index = json.loads((entry / "index.json").read_text("utf-8"))
    assert index["policy"] == POLICY.facts()
    assert index["shape"] == [6, 1, 8, 8]
    for file in entry.rglob("*"):
        assert b"png" not in file.read_bytes()


@pytest.mark.parametrize(
    "damage", ["cut", "longer", "no pixels", "no index", "half index", "other key", "a file"]
)
def test_a_torn_or_foreign_entry_is_made_anew(
    folder: Path, decoded: list[str], damage: str
) -> None:
    load(folder)
    (entry,) = entries(folder)
    pixels, index = entry / "pixels.bin", entry / "index.json"
    if damage in ("cut", "longer"):
        os.truncate(pixels, 6 * SAMPLE + (-1 if damage == "cut" else 1))
    elif damage == "no pixels":
        pixels.unlink()
    elif damage == "no index":
        index.unlink()
    elif damage == "half index":
        index.write_bytes(index.read_bytes()[:40])
    elif damage == "other key":
        index.write_text(index.read_text("utf-8").replace(entry.name, "0" * 64), "utf-8")
    else:
        shutil.rmtree(entry)
        entry.write_text("")
    assert tones(load(folder)) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) == 12
    assert tones(load(folder)) == [0, 10, 20, 30, 40, 50]
    assert len(decoded) == 12
    assert entries(folder) == [entry]


def test_skipped_rows_take_no_room(folder: Path) -> None:
    for index in (0, 3):
        (folder / f"{index}.png").write_bytes(b"")
    for _ in range(2):
        loaded = load(folder, "skip")
        assert tones(loaded) == [10, 20, 40, 50]
        assert loaded.table.paths == ("1.png", "2.png", "4.png", "5.png")
        assert loaded.skipped == (
            ("0.png", "the file is empty"),
            ("3.png", "the file is empty"),
        )
    (entry,) = entries(folder)
    assert (entry / "pixels.bin").stat().st_size == 4 * SAMPLE


def test_broken_files_stop_whether_or_not_the_cache_knows_them(folder: Path) -> None:
    (folder / "3.png").write_bytes(b"")
    with pytest.raises(InputError) as first:
        load(folder)
    assert entries(folder) == []
    load(folder, "skip")
    with pytest.raises(InputError) as second:
        load(folder)
    assert str(first.value) == str(second.value)
    assert "1 of 6 images cannot be read: 3.png (the file is empty)" in str(second.value)


def test_what_can_be_read_by_now_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The same bytes: a reader of their format was not installed.
    def lacking(path: Path, **settings: object) -> np.ndarray:
        if Path(path).name == "2.png":
            raise loading.UnreadableImageError(path, "needs a library")
        return read_image(path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "read_image", lacking)
        assert tones(load(folder, "skip")) == [0, 10, 30, 40, 50]
    assert tones(load(folder, "skip")) == [0, 10, 20, 30, 40, 50]
    assert len(entries(folder)) == 1


def test_a_full_disk_is_told_before_any_work(
    folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(0, 0, 6 * SAMPLE - 1))
    with pytest.raises(InputError) as caught:
        load(folder)
    assert str(caught.value) == (
        f"{folder.parent}/cache: 6 decoded images of 1 x 8 x 8 need 3.84e-07 GB, 3.83e-07 GB "
        "are free; choose another folder as --data.cache, or none to keep the images in memory"
    )
    assert decoded == []
    assert entries(folder) == []


def test_a_disk_that_fills_up_leaves_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for name in ("posix_fallocate", "pwrite", "fsync"):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, full)
            with pytest.raises(InputError, match=r"No space left on device\); choose another"):
                load(folder)
        assert entries(folder) == []
    assert tones(load(folder)) == [0, 10, 20, 30, 40, 50]


def test_a_cache_that_is_a_file_is_told(folder: Path) -> None:
    (folder.parent / "cache").write_text("")
    with pytest.raises(InputError, match="cannot be used for decoded images"):
        load(folder)


def test_a_file_that_changes_meanwhile_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meddling(path: Path, **settings: object) -> np.ndarray:
        if Path(path).name == "0.png":
            Image.new("L", (5, 5)).save(folder.parent / "new.png")
            (folder.parent / "new.png").replace(folder / "4.png")
        return read_image(path, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(loading, "read_image", meddling)
        with pytest.raises(InputError, match=r"4.png: was changed while the images were read"):
            load(folder)
    assert entries(folder) == []


def test_a_file_that_appears_meanwhile_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its pixels must not be kept under the key of a file that nobody could open.
    table = read_table(folder, labelled=False)
    (folder / "3.png").rename(folder.parent / "away.png")

    def restoring(path: Path, **settings: object) -> np.ndarray:
        if Path(path).name == "3.png":
            (folder.parent / "away.png").rename(path)
        return read_image(path, **settings)

    monkeypatch.setattr(loading, "read_image", restoring)
    with pytest.raises(InputError, match=r"3.png: was changed while the images were read"):
        load_images(table, POLICY, on_error="skip", cache=folder.parent / "cache")
    assert entries(folder) == []


def test_an_interruption_leaves_nothing(folder: Path) -> None:
    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    table = read_table(folder, labelled=False)
    with pytest.raises(KeyboardInterrupt):
        load_images(table, POLICY, cache=folder.parent / "cache", progress=interrupt)
    assert entries(folder) == []


def test_entries_are_listed_and_cleared_and_nothing_else(folder: Path) -> None:
    place = folder.parent / "cache"
    assert cache_entries(place) == ()
    assert clear_cache(place) == 0
    first = load(folder)
    load(folder, depth=16)
    (place / "notes.txt").write_text("mine")
    (place / "folder").mkdir()
    found = cache_entries(place)
    assert sorted(entry.depth for entry in found) == [8, 16]
    assert {entry.shape for entry in found} == {(6, 1, 8, 8)}
    assert all(entry.age < 600 for entry in found)
    assert any(
        str(entry).endswith("6 images of 1 x 8 x 8, 8 bits, 0.0 MB, last used 0.0 hours ago")
        for entry in found
    )
    (found[0].folder / "index.json").unlink()  # torn ones go too
    assert clear_cache(place) == found[1].size
    assert sorted(path.name for path in place.iterdir()) == ["contents", "folder", "notes.txt"]
    assert tones(first) == [0, 10, 20, 30, 40, 50]  # a run keeps what it has mapped


def test_a_live_maker_is_left_alone_and_a_dead_ones_rest_is_swept(tmp_path: Path) -> None:
    dead = tmp_path / ("a" * 64 + ".building")
    dead.mkdir()
    (dead / "lock").touch()
    (dead / "pixels.bin").write_bytes(b"half")
    (tmp_path / ("b" * 64 + ".building")).mkdir()
    with building.building(tmp_path / ("c" * 64)) as alive:
        (alive / "pixels.bin").write_bytes(b"half")
        building.sweep(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == [alive.name]
        assert (alive / "pixels.bin").read_bytes() == b"half"
    assert list(tmp_path.iterdir()) == []


LOAD = """
import time
from pathlib import Path
from glcm_mae.data.store import loading
from glcm_mae.data.reading.images import read_image
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.tables.table import ImageTable

folder, pause = Path(sys.argv[1]), float(sys.argv[2])
names = tuple(sorted(path.name for path in folder.iterdir()))

def slow(path, **settings):
    tell()
    time.sleep(pause)
    return read_image(path, **settings)

loading.read_image = slow
table = ImageTable(folder, names, (), (), names, ())
policy = ReadingPolicy(size=(8, 8), depth=8)

def work():
    images = loading.load_images(table, policy, cache=folder.parent / "cache")
    assert [int(image[0, 4, 4]) for image in images.pixels] == [0, 10, 20, 30, 40, 50]
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_next_start_has_a_whole_entry(folder: Path) -> None:
    rng, forks, found = np.random.default_rng(0), Forks(LOAD, folder, 0.01), set()
    for trial in range(14):
        pid = forks.start()
        forks.wait(trial // 2)  # images begun, none to all six
        time.sleep(float(rng.uniform(0, 0.02)))
        kill(pid)
        if (folder.parent / "cache").is_dir():
            found |= {path.suffix for path in entries(folder)}
        assert tones(load(folder)) == [0, 10, 20, 30, 40, 50], trial
        assert len(entries(folder)) == 1
        clear_cache(folder.parent / "cache")
    forks.finish()
    assert ".building" in found  # some died at work


@pytest.mark.slow
def test_of_three_at_once_one_decodes_and_all_have_it(folder: Path) -> None:
    forks = Forks(LOAD, folder, 0.1)
    for _ in range(3):
        forks.start()
    told = forks.finish()
    assert told.count("done") == 3
    assert told.count(".") <= 6  # some may have been told before
    assert len(entries(folder)) == 1


@pytest.mark.slow
def test_when_the_maker_dies_one_that_waits_takes_over(folder: Path) -> None:
    forks = Forks(LOAD, folder, 0.2)
    first = forks.start()
    forks.wait(1)
    forks.start()
    kill(first)
    told = forks.finish()
    assert told.count("done") == 1
    assert told.count(".") >= 6
    assert len(entries(folder)) == 1
