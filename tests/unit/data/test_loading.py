"""Images in memory: their order and depth, broken files, memory, hashes."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data import loading
from glcm_mae.data.images import fit_image, read_image
from glcm_mae.data.loading import LoadedImages, file_hashes, load_images
from glcm_mae.data.tables import ImageTable, read_table
from glcm_mae.errors import InputError


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
    return load_images(table, size=4, channels=1, fit="crop", on_error=on_error)


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
    loaded = load_images(table, size=2, channels=1, fit="pad")
    np.testing.assert_array_equal(loaded.pixels[0, 0], values)


@pytest.mark.parametrize("fit", ["crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
def test_loading_is_reading_and_fitting(tmp_path: Path, fit: str, channels: int) -> None:
    values = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    table = read_table(tmp_path, labelled=False)
    loaded = load_images(table, size=(8, 10), channels=channels, fit=fit)
    image = fit_image(read_image(tmp_path / "a.png", channels=channels), (8, 10), fit)
    np.testing.assert_array_equal(loaded.pixels[0], np.rint(image * 65535))


def test_progress_counts_every_file(folder: Path) -> None:
    calls: list[tuple[int, int]] = []
    table = read_table(folder, labelled=True)
    load_images(
        table, size=4, channels=1, fit="crop", progress=lambda *call: calls.append(call)
    )
    assert calls == [(done, 6) for done in range(1, 7)]


def test_an_interruption_comes_through(folder: Path) -> None:
    def interrupt(done: int, count: int) -> None:
        raise KeyboardInterrupt

    table = read_table(folder, labelled=True)
    with pytest.raises(KeyboardInterrupt):
        load_images(table, size=4, channels=1, fit="crop", progress=interrupt)


def test_broken_files_stop_after_all_were_tried(folder: Path) -> None:
    for index in (1, 2, 4):
        path = next(folder.glob(f"*/{index}.png"))
        path.write_bytes(b"" if index < 4 else b"<html>")
    assert refusal(folder) == (
        f"{folder}: 3 of 6 images cannot be read: ill/1.png (the file is empty), "
        "ill/2.png (the file is empty), well/4.png (no PNG, JPEG, TIFF or BMP inside); "
        "repair or remove them, or pass --data.on_error skip"
    )


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


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"on_error": "ignore"}, "data.on_error: must be 'stop' or 'skip', got 'ignore'"),
        ({"fit": "stretch"}, "fit: must be 'crop' or 'pad', got 'stretch'"),
        ({"size": 0}, "size: must be at least 1 pixel, got 0"),
        ({"channels": 2}, r"channels: must be 1 \(gray\) or 3 \(colour\), got 2"),
    ],
)
def test_settings_out_of_range(folder: Path, settings: dict[str, object], message: str) -> None:
    table = read_table(folder, labelled=True)
    with pytest.raises(InputError, match=message):
        load_images(table, **({"size": 4, "channels": 1, "fit": "crop"} | settings))


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    table = ImageTable(tmp_path, (), (), (), (), ())
    with pytest.raises(InputError, match="no images are left to load; choose some"):
        load_images(table, size=4, channels=1, fit="crop")


def test_more_than_the_memory_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = 6 * 1 * 4 * 4 * 2
    monkeypatch.setattr(loading, "_free_memory", lambda: needed / 0.8 - 1)
    assert refusal(folder) == (
        f"{folder}: 6 images of 1 x 4 x 4 need 1.92e-07 GB, more than 80 % of the 2.39e-07 GB "
        "of free memory; choose a smaller size or fewer images"
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


def test_hashes_are_of_the_content(folder: Path) -> None:
    table = read_table(folder, labelled=True)
    hashes = file_hashes(table)
    assert hashes == tuple(
        hashlib.sha256(table.file(i).read_bytes()).hexdigest() for i in range(6)
    )
    assert len(set(hashes)) == 6


def test_hashing_a_missing_file(folder: Path) -> None:
    table = read_table(folder, labelled=True)
    table.file(2).unlink()
    with pytest.raises(InputError) as caught:
        file_hashes(table)
    assert str(caught.value) == (
        f"{folder}/ill/2.png: cannot be opened (No such file or directory); "
        "check that it is there"
    )


@pytest.mark.parametrize("fixture", ["busi", "sarscov2_ct", "kermany_cxr"])
def test_real_images_load(request: pytest.FixtureRequest, fixture: str) -> None:
    folder: Path = request.getfixturevalue(fixture)
    table = read_table(folder / "manifest.csv", labelled=True)
    some = table.subset(range(0, len(table), len(table) // 12))
    loaded = load_images(some, size=64, channels=1, fit="crop")
    assert loaded.pixels.shape == (len(some), 1, 64, 64)
    assert (loaded.pixels.std(axis=(1, 2, 3)) > 0.02 * 65535).all()
