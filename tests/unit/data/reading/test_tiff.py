"""What the corpus does not show of TIFF."""

import logging
from pathlib import Path

import numpy as np
import pytest
import tifffile

from corpus.making import DEEP, GRAY, tiff_by_hand
from glcm_mae.data.reading.images import decode_here
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.tiff import count_tiff_frames, decode_tiff

FILE = ReadingPolicy()
TAGS = {256: 16, 257: 11, 258: 8, 259: 1, 262: 1, 277: 1}


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_pages_are_counted_without_thumbnails_and_masks(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for kind in (0, 1, 0, 4):
            values = GRAY > 99 if kind == 4 else GRAY
            file.write(values, photometric="minisblack", subfiletype=kind, metadata=None)
    assert count_tiff_frames(tmp_path / "a.tif") == 2


def test_a_file_of_reduced_images_alone_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="minisblack", subfiletype=1)
    assert count_tiff_frames(tmp_path / "a.tif") == 1


def test_a_stack_behind_one_page_is_refused(tmp_path: Path) -> None:
    told = "ImageJ=1.54\nimages=9\nslices=9\n"
    tifffile.imwrite(tmp_path / "a.tif", GRAY, description=told, metadata=None)
    with pytest.raises(RefusedPixelsError, match="a stack of 9 images behind one page"):
        count_tiff_frames(tmp_path / "a.tif")


def test_colours_are_guessed_where_they_are_not_stated(tmp_path: Path) -> None:
    gray = {tag: value for tag, value in TAGS.items() if tag != 262}
    decoded = decode_tiff(
        written(tmp_path / "a.tif", tiff_by_hand(GRAY.tobytes(), gray)), None, FILE
    )
    np.testing.assert_array_equal(decoded.values[0, ..., 0], GRAY)
    assert (decoded.black, decoded.white) == (0, 255)


def test_white_as_zero_turns_the_limits(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP, photometric="miniswhite")
    decoded = decode_tiff(tmp_path / "a.tif", None, FILE)
    assert (decoded.black, decoded.white) == (65535, 0)


def test_pages_of_unlike_size_are_not_read_together(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GRAY, photometric="minisblack", metadata=None)
        file.write(GRAY[:4], photometric="minisblack", metadata=None)
    with pytest.raises(RefusedPixelsError, match="differ in size or depth"):
        decode_tiff(tmp_path / "a.tif", [0, 1], FILE)


def test_a_strip_that_takes_no_bytes_is_missing(tmp_path: Path) -> None:
    data = tiff_by_hand(GRAY.tobytes(), {**TAGS, 279: 0})
    with pytest.raises(RefusedPixelsError, match="parts of the image are missing"):
        decode_tiff(written(tmp_path / "a.tif", data), None, FILE)


def test_a_palette_lacks_no_colour(tmp_path: Path) -> None:
    data = tiff_by_hand(GRAY.tobytes(), {**TAGS, 262: 3})
    with pytest.raises(RefusedPixelsError, match="its palette lacks colours"):
        decode_tiff(written(tmp_path / "a.tif", data), None, FILE)


@pytest.mark.parametrize("share", np.linspace(0.02, 0.98, 25))
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "jpeg"])
def test_no_cut_gives_half_an_image(
    tmp_path: Path, share: float, compression: str | None
) -> None:
    """A file that was cut is refused; tifffile writes the tags first."""
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    tifffile.imwrite(path, values, compression=compression, rowsperstrip=8)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(RefusedPixelsError):
        decode_here(path, None, FILE)


def test_what_tifffile_logs_is_not_printed() -> None:
    handlers = logging.getLogger("tifffile").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)
