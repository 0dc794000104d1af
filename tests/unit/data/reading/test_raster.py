"""What the corpus does not show of PNG, JPEG, BMP and WebP."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from corpus.making import COLOUR, DEEP_COLOUR, GRAY, png, png_chunk
from glcm_mae.data.reading.images import UnreadableImageError, read_frames, read_image
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.reading.raster import count_raster_frames


def animation(path: Path, frames: int, **options: object) -> Path:
    first, *rest = [Image.fromarray(np.roll(COLOUR, n, axis=1)) for n in range(frames)]
    first.save(path, save_all=True, append_images=rest, **options)
    return path


def test_frames_are_counted(tmp_path: Path) -> None:
    assert count_raster_frames(animation(tmp_path / "a.png", 3)) == 3
    assert count_raster_frames(animation(tmp_path / "a.webp", 4)) == 4
    assert count_raster_frames(animation(tmp_path / "a.mpo", 2)) == 1
    Image.fromarray(GRAY).save(tmp_path / "a.bmp")
    assert count_raster_frames(tmp_path / "a.bmp") == 1


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_any_frames_of_an_animation(tmp_path: Path, suffix: str) -> None:
    options = {"lossless": True} if suffix == "webp" else {}
    path = animation(tmp_path / f"a.{suffix}", 4, **options)
    images = read_frames(path, [3, 1], ReadingPolicy(channels=3))
    for image, shift in zip(images, (3, 1), strict=True):
        expected = np.moveaxis(np.roll(COLOUR, shift, axis=1), -1, 0) / 255
        np.testing.assert_allclose(image, expected, atol=1e-7)


def test_an_animation_with_16_bits_of_colour_is_refused(tmp_path: Path) -> None:
    control = b"\0\0\0\1\0\0\0\0"
    frame = b"\0\0\0\0\0\0\0\x10\0\0\0\x0b" + bytes(14)
    chunks = png_chunk(b"acTL", control) + png_chunk(b"fcTL", frame)
    data = png(DEEP_COLOUR, bits=16, colour=2, chunks=chunks)
    (tmp_path / "one.png").write_bytes(data)
    assert read_image(tmp_path / "one.png").shape == (1, 11, 16)
    second = png_chunk(b"fcTL", b"\0\0\0\1" + frame[4:]) + png_chunk(b"fdAT", b"\0\0\0\2")
    data = data.replace(png_chunk(b"acTL", control), png_chunk(b"acTL", b"\0\0\0\2\0\0\0\0"))
    (tmp_path / "two.png").write_bytes(data[:-12] + second + data[-12:])
    with pytest.raises(UnreadableImageError, match="an animation with 16 bits"):
        read_image(tmp_path / "two.png", frame=0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_half_files_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(COLOUR, (4, 4, 1))).save(path)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(UnreadableImageError):
        read_image(path)


def test_broken_metadata_does_not_matter(tmp_path: Path) -> None:
    Image.fromarray(GRAY).save(tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    np.testing.assert_allclose(read_image(tmp_path / "a.png")[0], GRAY / 255, atol=1e-7)


def test_real_ultrasound_agrees_with_pillow(busi: Path) -> None:
    for path in sorted((busi / "images" / "benign").iterdir())[:3]:
        with Image.open(path) as image:
            expected = np.asarray(image) / 255
        np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-7)
