"""Shards: read by tar and webdataset as by us, whole or refused, any image by its place."""

import gc
import hashlib
import io
import json
import os
import shutil
import tarfile
import threading
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forks import Forks, kill
from PIL import Image

from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store import shard_pixels, shards
from glcm_mae.data.store.contents import file_hashes
from glcm_mae.data.store.loading import load_images
from glcm_mae.data.store.shards import check_shards, read_shard_table, write_shards
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError

POLICY = ReadingPolicy(size=(6, 8))
COUNT = 7


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    """Seven small images of three classes, with patients and parts."""
    root = tmp_path / "images"
    root.mkdir()
    rng = np.random.default_rng(0)
    names = tuple(f"é {index}.b.png" for index in range(COUNT))
    for name in names:
        Image.fromarray(rng.integers(0, 256, (6, 8), dtype=np.uint8)).save(root / name)
    return ImageTable(
        root,
        names,
        labels=(0, 1, 2, 2, 1, 0, 2),
        classes=("benign", "malignant", "normal"),
        groups=("p1", "p1", "p2", "p3", "p4", "p5", "p5"),
        splits=("train",) * 5 + ("test",) * 2,
        grouping="manifest",
    )


@pytest.fixture
def folder(table: ImageTable, tmp_path: Path) -> Path:
    """Shards of three, three and one image."""
    return write(table, tmp_path / "shards")


def write(table: ImageTable, out: Path, policy: ReadingPolicy = POLICY) -> Path:
    pixels = load_images(table, policy).pixels
    return write_shards(table, pixels, policy, out, images_per_shard=3)


def refusal(folder: Path, policy: ReadingPolicy = POLICY) -> str:
    with pytest.raises(InputError) as caught:
        load_images(read_shard_table(folder), policy).pixels[np.arange(COUNT)]
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_folder_of_shards_holds_these_files(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "index.npy",
        "shard-000000.tar",
        "shard-000001.tar",
        "shard-000002.tar",
        "shards.json",
    ]
    assert [path.name for path in folder.parent.iterdir() if "building" in path.name] == []


def test_the_table_comes_back(table: ImageTable, folder: Path) -> None:
    found = read_shard_table(folder)
    assert found.source == "shards"
    assert found.root == folder
    for name in ("names", "labels", "classes", "groups", "splits", "grouping", "shown"):
        assert getattr(found, name) == getattr(table, name), name
    assert file_hashes(found) == file_hashes(table)
    assert file_hashes(found.subset([4, 1])) == file_hashes(table.subset([4, 1]))


def test_an_unlabelled_table_and_pseudonyms_come_back(
    table: ImageTable, tmp_path: Path
) -> None:

    shown = tuple(f"image-{index}" for index in range(COUNT))
    bare = replace(table, labels=(), classes=(), splits=(), shown=shown, grouping="image")
    folder = write(bare, tmp_path / "bare")
    found = read_shard_table(folder)
    assert (found.labels, found.classes, found.splits) == ((), (), ())
    assert found.names == found.shown == shown
    for path in folder.iterdir():
        assert b".b.png" not in path.read_bytes()
    with tarfile.open(folder / "shard-000000.tar") as tar:
        assert tar.getnames()[:2] == ["000000000.json", "000000000.npy"]


@pytest.mark.parametrize(("depth", "channels"), [(8, 1), (16, 1), (8, 3)])
def test_the_pixels_come_back(
    table: ImageTable, tmp_path: Path, depth: int, channels: int
) -> None:
    policy = ReadingPolicy(size=(6, 8), depth=depth, channels=channels)
    expected = np.asarray(load_images(table, policy).pixels)
    pixels = load_images(
        read_shard_table(write(table, tmp_path / "new", policy)), policy
    ).pixels
    assert pixels.shape == expected.shape == (COUNT, channels, 6, 8)
    assert pixels.dtype == expected.dtype
    assert len(pixels) == COUNT
    order = np.array([6, 0, 3, 3, 5])
    np.testing.assert_array_equal(pixels[order], expected[order])
    np.testing.assert_array_equal(pixels[4], expected[4])
    np.testing.assert_array_equal(pixels[-1], expected[-1])
    assert pixels[np.array([], dtype=np.int64)].shape == (0, channels, 6, 8)
    with pytest.raises(IndexError):
        pixels[COUNT]


def test_some_rows_of_a_table(table: ImageTable, folder: Path) -> None:
    expected = np.asarray(load_images(table, POLICY).pixels)
    some = read_shard_table(folder).subset([5, 2])
    loaded = load_images(some, POLICY)
    assert loaded.table == some
    assert loaded.skipped == ()
    np.testing.assert_array_equal(loaded.pixels[np.arange(2)], expected[[5, 2]])


def test_read_table_finds_shards(table: ImageTable, folder: Path) -> None:
    found = read_table(folder, labelled=True)
    assert found.names == table.names
    assert found.labels == table.labels
    assert len(load_images(found, POLICY).pixels) == COUNT


def test_tar_reads_them(table: ImageTable, folder: Path) -> None:
    expected = np.asarray(load_images(table, POLICY).pixels)
    with tarfile.open(folder / "shard-000001.tar", "r:") as tar:
        assert tar.getnames() == [
            f"00000000{row}.{kind}" for row in (3, 4, 5) for kind in ("cls", "json", "npy")
        ]
        for row in (3, 4, 5):
            number, facts, values = (
                tar.extractfile(f"00000000{row}.{kind}").read()
                for kind in ("cls", "json", "npy")
            )
            assert number == str(table.labels[row]).encode()
            np.testing.assert_array_equal(
                np.load(io.BytesIO(values), allow_pickle=False), expected[row]
            )
            assert json.loads(facts) == {
                "name": table.names[row],
                "label": table.classes[table.labels[row]],
                "group": table.groups[row],
                "split": table.splits[row],
            }


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # it leaves closing to the end
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(table: ImageTable, folder: Path) -> None:
    from webdataset import WebDataset

    expected = np.asarray(load_images(table, POLICY).pixels)
    urls = [str(path) for path in sorted(folder.glob("*.tar"))]
    dataset = WebDataset(urls, shardshuffle=False, empty_check=False).decode()
    samples = list(dataset)
    assert [sample["__key__"] for sample in samples] == [f"{row:09d}" for row in range(COUNT)]
    for row, sample in enumerate(samples):
        np.testing.assert_array_equal(sample["npy"], expected[row])
        assert sample["cls"] == table.labels[row]
        assert sample["json"]["name"] == table.names[row]
    del dataset
    gc.collect()


def test_the_same_images_make_the_same_bytes(
    table: ImageTable, folder: Path, tmp_path: Path
) -> None:
    again = write(table, tmp_path / "again")
    for path in folder.iterdir():
        assert (again / path.name).read_bytes() == path.read_bytes()
    facts = json.loads((folder / "shards.json").read_text("utf-8"))
    for number, shard in enumerate(facts["shards"]):
        data = (folder / f"shard-{number:06d}.tar").read_bytes()
        assert len(data) == shard["bytes"]
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
    assert [shard["images"] for shard in facts["shards"]] == [3, 3, 1]


def test_another_policy_is_refused_by_name(folder: Path) -> None:
    policy = ReadingPolicy(size=(6, 6), window="range")
    assert refusal(folder, policy) == (
        f"{folder}: was written with other settings: window file (here range); "
        "size [6, 8] (here [6, 6]); use the same, or write the shards anew"
    )


def test_a_torn_shard_is_refused(folder: Path) -> None:
    path = folder / "shard-000001.tar"
    size = path.stat().st_size
    os.truncate(path, size - 1)
    remedy = "copy it again, or write the shards anew with glcm-mae data shard"
    assert refusal(folder) == f"{path}: has {size - 1} bytes, {size} were written; {remedy}"
    path.unlink()
    assert refusal(folder) == (f"{path}: cannot be read (No such file or directory); {remedy}")


def test_a_shard_that_is_torn_during_use_is_told(folder: Path) -> None:
    pixels = load_images(read_shard_table(folder), POLICY).pixels
    os.truncate(folder / "shard-000002.tar", 600)
    with pytest.raises(InputError, match="it ends before its images do"):
        pixels[6]


def test_changed_bytes_are_found_by_a_check(folder: Path) -> None:
    assert check_shards(folder) == COUNT
    path = folder / "shard-000000.tar"
    data = bytearray(path.read_bytes())
    data[3000] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"shard-000000.tar: is not what was written"):
        check_shards(folder)


@pytest.mark.parametrize("file", ["index.npy", "shards.json"])
def test_a_damaged_index_is_refused(folder: Path, file: str) -> None:
    data = (folder / file).read_bytes()
    (folder / file).write_bytes(data[: len(data) // 2])
    assert refusal(folder).startswith(f"{folder}/{file}: ")
    (folder / file).unlink()
    with pytest.raises(InputError, match=f"{file}: cannot be read"):
        load_images(read_shard_table(folder), POLICY)


def test_facts_that_are_not_ours_are_refused(folder: Path) -> None:
    for text in ("[]", '{"format": 9}', '{"format": 1}', "null"):
        (folder / "shards.json").write_text(text)
        with pytest.raises(InputError, match="is damaged or of another version"):
            read_shard_table(folder)


def test_an_existing_folder_is_left_alone(table: ImageTable, folder: Path) -> None:
    before = (folder / "shards.json").stat().st_mtime_ns
    with pytest.raises(InputError) as caught:
        write(table, folder)
    assert str(caught.value) == f"{folder}: exists; choose another --out"
    assert (folder / "shards.json").stat().st_mtime_ns == before


def test_a_shard_holds_an_image_at_least(table: ImageTable, tmp_path: Path) -> None:
    pixels = load_images(table, POLICY).pixels
    with pytest.raises(InputError, match="images_per_shard: must be at least 1, got 0"):
        write_shards(table, pixels, POLICY, tmp_path / "new", images_per_shard=0)


def test_a_full_disk_leaves_nothing(
    table: ImageTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shards.shutil, "disk_usage", lambda _: usage(0, 0, 99))
        with pytest.raises(InputError, match=r"the shards need .* GB, 9.9e-08 GB are free"):
            write(table, tmp_path / "new")
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(InputError, match="No space left on device"):
            write(table, tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_progress_counts_every_image(table: ImageTable, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    pixels = load_images(table, POLICY).pixels
    write_shards(
        table,
        pixels,
        POLICY,
        tmp_path / "new",
        images_per_shard=2,
        progress=lambda *call: calls.append(call),
    )
    assert calls == [(done, COUNT) for done in range(1, COUNT + 1)]


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # that is the test
@pytest.mark.parametrize("limit", [0, 1, 128])
def test_threads_and_forks_read_at_once(
    table: ImageTable, folder: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(shard_pixels, "_OPEN", limit)
    expected = np.asarray(load_images(table, POLICY).pixels)
    opened = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    pixels = load_images(read_shard_table(folder), POLICY).pixels
    wrong: list[int] = []

    def read(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(50):
            rows = rng.integers(0, COUNT, 4)
            if not np.array_equal(pixels[rows], expected[rows]):
                wrong.append(seed)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    child = os.fork()
    if child == 0:
        read(99)
        os._exit(bool(wrong))
    read(98)
    assert os.waitpid(child, 0)[1] == 0
    assert wrong == []
    # the mapped index has one, and each shard that is kept open
    more = len(os.listdir("/proc/self/fd")) - opened  # noqa: PTH208
    assert more <= (4 if limit else 1)


WRITE = """
from pathlib import Path
import numpy as np
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store.shards import write_shards
from glcm_mae.data.tables.table import ImageTable

root, count = Path(sys.argv[1]), 40
shown = tuple(str(row) for row in range(count))
table = ImageTable(root, ("a",) * count, (), (), shown, (), tuple(range(count)), shown)
pixels = np.arange(count * 48, dtype=np.uint16).reshape(count, 1, 6, 8)

def work():
    policy = ReadingPolicy(size=(6, 8))
    told = lambda *done: tell()
    write_shards(table, pixels, policy, root / "out", images_per_shard=3, progress=told)
"""


@pytest.mark.slow
def test_killed_at_any_moment_the_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    out, torn, forks = tmp_path / "out", 0, Forks(WRITE, tmp_path)
    for written in (0, 0, 1, 3, 5, 12, 20, 33, 38, 39):
        pid = forks.start()
        forks.wait(written)
        kill(pid)
        torn += (tmp_path / "out.building").exists()
        if out.exists():
            assert check_shards(out) == 40
            shutil.rmtree(out)
    forks.start()
    assert forks.finish().endswith("done ")
    assert check_shards(out) == 40
    assert torn > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "out"]
