"""Images of a table: their order and depth, frames, broken files, memory."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.reading.images import read_frames, read_image
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store import loading
from glcm_mae.data.store.loading import LoadedImages, load_images
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError

SMALL = ReadingPolicy(size=(4, 4), fit="crop")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images of two classes; the tone of image i is 10 i."""
    for index in range(6):
        path = tmp_path / ("ill" if index < 3 else "well") / f"{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (9, 7), color=10 * index).save(path)
    return tmp_path


def load(folder: Path, on_error: str = "stop", labelled: bool = True) -> LoadedImages:
    table = read_table(folder, labelled=labelled)
    return load_images(table, SMALL, on_error=on_error)


def refusal(folder: Path, on_error: str = "stop") -> str:
    with pytest.raises(InputError) as caught:
        load(folder, on_error)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_images_come_in_the_order_of_the_table(folder: Path) -> None:
    loaded = load(folder)
    assert loaded.pixels.shape == (6, 1, 4, 4)
    assert loaded.pixels.dtype == np.uint16
    tones = np.rint(np.arange(6) * 10 / 255 * 65535)
    np.testing.assert_array_equal(loaded.pixels[:, 0, 2, 2], tones)
    assert loaded.table == read_table(folder, labelled=True)
    assert loaded.skipped == ()


def test_sixteen_bits_survive(tmp_path: Path) -> None:
    values = np.array([[0, 1], [40001, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    table = read_table(tmp_path, labelled=False)
    loaded = load_images(table, ReadingPolicy(size=(2, 2)))
    np.testing.assert_array_equal(loaded.pixels[0, 0], values)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize(("fit", "channels"), [("crop", 1), ("pad", 3), ("squeeze", 1)])
def test_loading_is_reading_and_rounding(
    tmp_path: Path, fit: str, channels: int, depth: int
) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    table = read_table(tmp_path, labelled=False)
    policy = ReadingPolicy(channels=channels, size=(8, 10), fit=fit, depth=depth)
    loaded = load_images(table, policy)
    assert loaded.pixels.shape == (1, channels, 8, 10)
    assert loaded.pixels.dtype == f"uint{depth}"
    image = read_image(tmp_path / "a.png", policy=policy)
    np.testing.assert_array_equal(loaded.pixels[0], np.rint(image * (2**depth - 1)))


def test_eight_bits_keep_eight_bit_images_exactly(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    table = read_table(tmp_path, labelled=False)
    loaded = load_images(table, ReadingPolicy(size=(16, 16), depth=8))
    np.testing.assert_array_equal(loaded.pixels[0][0], values)


def test_frames_come_in_the_order_of_the_table(tmp_path: Path) -> None:
    volume = np.arange(5 * 48, dtype=np.uint8).reshape(5, 6, 8)
    np.save(tmp_path / "v.npy", volume)
    Image.fromarray(volume[0] + 1).save(tmp_path / "a.png")
    rows = (("v.npy", 3), ("a.png", -1), ("v.npy", 0), ("v.npy", 3))
    paths, frames = zip(*rows, strict=True)
    table = ImageTable(tmp_path, paths, (), (), paths, (), frames)
    policy = ReadingPolicy(size=(6, 8), depth=8, axis=0)
    loaded = load_images(table, policy)
    assert loaded.table.names == ("v.npy#3", "a.png", "v.npy#0", "v.npy#3")
    expected = read_frames(tmp_path / "v.npy", [3, 0, 3], policy)
    np.testing.assert_array_equal(loaded.pixels[np.array([0, 2, 3])], np.rint(expected * 255))
    np.testing.assert_array_equal(loaded.pixels[1][0], volume[0] + 1)


def test_a_file_of_frames_is_read_once_in_blocks(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[int]] = []

    def read(path: Path, frames: list[int], policy: ReadingPolicy) -> np.ndarray:
        asked.append(frames)
        return np.full((len(frames), 1, 4, 4), 0.5, np.float32)

    monkeypatch.setattr(loading, "read_frames", read)
    monkeypatch.setattr(loading, "_BLOCK", 3 * 4 * 16)
    table = ImageTable(folder, ("v",) * 8, (), (), ("v",) * 8, (), tuple(range(8)))
    assert len(load_images(table, SMALL).pixels) == 8
    assert sorted(asked) == [[0, 1, 2], [3, 4, 5], [6, 7]]


def test_progress_counts_every_file(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    table = read_table(folder, labelled=True)
    load_images(table, SMALL, progress=lambda *call: calls.append(call))
    assert calls == [(done, 6) for done in range(1, 7)]


def test_an_interruption_comes_through(folder: Path) -> None:
    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    table = read_table(folder, labelled=True)
    with pytest.raises(KeyboardInterrupt):
        load_images(table, SMALL, progress=interrupt)


def test_broken_files_stop_after_all_were_tried(folder: Path) -> None:
    for index in (1, 2, 4):
        path = next(folder.glob(f"*/{index}.png"))
        path.write_bytes(b"" if index < 4 else b"<html>")
    assert refusal(folder) == (
        f"{folder}: 3 of 6 images cannot be read: ill/1.png (the file is empty), "
        "ill/2.png (the file is empty), well/4.png (it is a web page, "
        "no PNG, JPEG, BMP, WebP, TIFF, DICOM, NIfTI, NPY or NPZ); repair or remove them, or "
        "pass --data.on_error skip"
    )


def test_broken_files_tell_the_remedy_that_helps(folder: Path) -> None:
    np.save(folder / "ill" / "v.npy", np.zeros((5, 6, 8), np.uint8))
    table = ImageTable(folder, ("ill/v.npy",), (), (), ("v",), ())
    with pytest.raises(InputError) as caught:
        load_images(table, SMALL)
    assert "ill/v.npy (it holds 8 frames" in str(caught.value)
    assert "choose some with --data.frames all, middle or a number" in str(caught.value)
    assert str(caught.value).endswith(", or pass --data.on_error skip")


def test_of_many_broken_files_five_are_named(folder: Path) -> None:
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    message = refusal(folder)
    assert message.startswith(f"{folder}: 6 of 6 images cannot be read: ill/0.png (")
    assert message.count("the file is empty") == 5
    assert "well/4.png (the file is empty), ...; repair" in message


def test_skipping_leaves_the_others_in_order(folder: Path) -> None:
    (folder / "ill" / "1.png").write_bytes(b"")
    (folder / "well" / "4.png").unlink()
    (folder / "well" / "4.png").symlink_to(folder / "gone.png")
    loaded = load(folder, "skip")
    assert loaded.table.paths == ("ill/0.png", "ill/2.png", "well/3.png", "well/5.png")
    assert loaded.table.labels == (0, 0, 1, 1)
    tones = np.rint(np.array([0, 20, 30, 50]) / 255 * 65535)
    np.testing.assert_array_equal(loaded.pixels[:, 0, 0, 0], tones)
    assert loaded.skipped == (
        ("ill/1.png", "the file is empty"),
        ("well/4.png", "No such file or directory"),
    )


def test_skipping_everything_is_refused(folder: Path) -> None:
    for path in folder.glob("*/*.png"):
        path.write_bytes(b"")
    message = refusal(folder, "skip")
    assert message.startswith(f"{folder}: 6 of 6 images cannot be read: ")
    assert message.endswith("; repair or remove them")


def test_skipping_a_whole_class_is_refused(folder: Path) -> None:
    for path in folder.glob("ill/*.png"):
        path.write_bytes(b"")
    assert refusal(folder, "skip") == (
        f"{folder}: each class needs an image, but every image of ill was skipped as broken; "
        "repair them or remove the class"
    )
    assert len(load(folder, "skip", labelled=False).table) == 3


def test_settings_out_of_range(folder: Path) -> None:
    table = read_table(folder, labelled=True)
    message = "data.on_error: must be 'stop' or 'skip', got 'ignore'"
    with pytest.raises(InputError, match=message):
        load_images(table, SMALL, on_error="ignore")
    with pytest.raises(InputError, match="size: images are kept in one size"):
        load_images(table, ReadingPolicy())


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    table = ImageTable(tmp_path, (), (), (), (), ())
    with pytest.raises(InputError, match="no images are left to load; choose some"):
        load_images(table, SMALL)


def test_more_than_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 6 * 1 * 4 * 4 * 2
    monkeypatch.setattr(loading, "_free_memory", lambda: needed / 0.8 - 1)
    assert refusal(folder) == (
        f"{folder}: 6 images of 1 x 4 x 4 need 1.92e-07 GB, more than 80 % of the 2.39e-07 GB "
        "of free memory; give a folder as --data.cache, or choose a smaller size or "
        "fewer images"
    )
    monkeypatch.setattr(loading, "_free_memory", lambda: needed / 0.8 + 1)
    assert len(load(folder).pixels) == 6


def test_free_memory_is_told_within_the_machine() -> None:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = loading._free_memory()
    assert free is not None
    assert 0 < free <= total


def test_free_memory_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert loading._free_memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.delattr(os, "sysconf")
    assert loading._free_memory() is None


@pytest.mark.parametrize("fixture", ["busi", "sarscov2_ct", "kermany_cxr"])
def test_real_images_load(request: pytest.FixtureRequest, fixture: str) -> None:
    folder: Path = request.getfixturevalue(fixture)
    table = read_table(folder / "manifest.csv", labelled=True)
    some = table.subset(range(0, len(table), len(table) // 12))
    loaded = load_images(some, ReadingPolicy(size=(64, 64), fit="crop"))
    assert loaded.pixels.shape == (len(some), 1, 64, 64)
    assert (np.asarray(loaded.pixels).std(axis=(1, 2, 3)) > 0.02 * 65535).all()
