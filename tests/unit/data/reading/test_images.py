"""From a file to pixels in [0, 1], and what is said of files that are not read."""

import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from corpus.making import COLOUR, DEEP, GRAY
from glcm_mae.data import reading
from glcm_mae.data.reading.images import (
    UnreadableImageError,
    count_frames,
    decode_here,
    read_frames,
    read_here,
    read_image,
)
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.errors import InputError


def png(path: Path, values: np.ndarray = GRAY, **options: object) -> Path:
    Image.fromarray(values).save(path, "PNG", **options)
    return path


def test_pixels_are_float32_and_channels_first(tmp_path: Path) -> None:
    pixels = read_image(png(tmp_path / "a.png", COLOUR), policy=ReadingPolicy(channels=3))
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    np.testing.assert_allclose(pixels, np.moveaxis(COLOUR, -1, 0) / 255, atol=1e-7)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("fit", ["crop", "pad", "squeeze"])
def test_frames_are_fitted_one_by_one(tmp_path: Path, channels: int, fit: str) -> None:
    stack = np.stack([DEEP, DEEP[::-1], DEEP // 2])
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack")
    policy = ReadingPolicy(channels=channels, size=(6, 8), fit=fit)
    images = read_frames(tmp_path / "a.tif", [2, 0], policy)
    assert images.shape == (2, channels, 6, 8)
    for image, frame in zip(images, (2, 0), strict=True):
        levels = (stack[frame][None] / np.float32(65535)).astype(np.float32)
        expected = reading.fit_image(levels, (6, 8), fit)
        np.testing.assert_allclose(image, np.repeat(expected, channels, axis=0), atol=1e-6)


def test_bands_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = png(tmp_path / "a.png", COLOUR)
    whole = read_image(path)
    monkeypatch.setattr(reading.images, "_BAND", 40)
    np.testing.assert_array_equal(read_image(path), whole)


def test_a_child_decodes_as_this_process_does(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([DEEP, DEEP // 3]))
    policy = ReadingPolicy(window="percentile", size=(9, 9))
    np.testing.assert_array_equal(
        read_frames(tmp_path / "a.tif", [1], policy),
        read_here(tmp_path / "a.tif", [1], policy),
    )
    assert count_frames(tmp_path / "a.tif") == 2
    assert count_frames(png(tmp_path / "a.png")) == 1


def test_the_error_names_file_reason_and_remedies(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"<!doctype html><title>404</title>")
    for read in (read_image, count_frames):
        with pytest.raises(InputError) as caught:
            read(path)
        assert str(caught.value) == (
            f"{path}: cannot be read as an image (it is a web page, no PNG, JPEG, BMP, WebP, "
            "TIFF, DICOM, NIfTI, NPY or NPZ); convert it or remove it, or pass "
            "--data.on_error skip"
        )
        assert isinstance(caught.value, UnreadableImageError)
        assert caught.value.reason.startswith("it is a web page")


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for read in (read_image, count_frames):
        with pytest.raises(UnreadableImageError, match=r"\(No such file or directory\)"):
            read(tmp_path / "gone.png")
        with pytest.raises(UnreadableImageError, match=r"\(Is a directory\)"):
            read(tmp_path)


def test_decoders_fail_as_refusals_and_programs_as_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(error: BaseException):
        def decode(*_: object) -> None:
            raise error

        return decode

    path = png(tmp_path / "a.png")
    name = "glcm_mae.data.reading.raster.decode_raster"
    monkeypatch.setattr(name, fail(KeyError("tag\n5")))
    with pytest.raises(RefusedPixelsError, match="tag"):
        decode_here(path, None, ReadingPolicy())
    monkeypatch.setattr(name, fail(MemoryError()))
    with pytest.raises(UnreadableImageError, match="more memory than there is"):
        read_image(path)
    monkeypatch.setattr(name, fail(ImportError("no such library")))
    with pytest.raises(ImportError):
        read_image(path)


def test_overlapping_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", np.tile(COLOUR, (9, 9, 1)))
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [read_image(path) for _ in range(20)]) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_decoders_may_warn_unheard(tmp_path: Path) -> None:
    cut_off = b"Exif\0\0II*\0\x08\0\0\0\xff\0"  # promises 255 entries
    path = png(tmp_path / "a.png", exif=cut_off)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with Image.open(path) as image:
            image.getexif()
        assert heard
        heard.clear()
        read_image(path)
    assert not heard
