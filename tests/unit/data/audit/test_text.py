"""Text that is drawn is suspected; speckle is not."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageFont

from glcm_mae.data import make_phantom
from glcm_mae.data.audit.text import SUSPICIOUS, find_text

Pixels = npt.NDArray[np.float32]


def drawn(image: Pixels, text: str, *, size: int, level: int, place: tuple[int, int]) -> Pixels:
    picture = Image.fromarray(np.uint8(image * 255))
    ImageDraw.Draw(picture).text(place, text, fill=level, font=ImageFont.load_default(size))
    return np.asarray(picture, np.float32) / 255


def phantom(seed: int, size: int = 192) -> Pixels:
    return make_phantom("coarse", size=size, seed=seed).image


@pytest.mark.parametrize("size", [10, 14, 20])
@pytest.mark.parametrize("level", [0, 255])
def test_a_name_on_a_phantom_is_found_where_it_stands(size: int, level: int) -> None:
    image = drawn(phantom(1), "SMITH JANE 47", size=size, level=level, place=(8, 60))
    lines = find_text(image)
    assert lines
    top, left, bottom, right = lines[0].box
    assert 56 <= top * 192 < bottom * 192 <= 62 + 1.5 * size
    assert 4 <= left * 192 < right * 192 <= 192
    assert lines[0].letters >= SUSPICIOUS


def test_large_print_is_found_in_the_smaller_image() -> None:
    image = drawn(phantom(2, 320), "SMITH 19", size=52, level=255, place=(10, 100))
    assert find_text(image)


def test_an_image_longer_than_the_limit_is_reduced() -> None:
    large = np.full((400, 3200), 0.2, np.float32)
    image = drawn(large, "SMITH JANE 1947", size=48, level=230, place=(1000, 100))
    (line,) = find_text(image)
    assert 0.3 < line.box[1] < line.box[3] < 0.5


def test_two_lines_are_told_apart() -> None:
    image = drawn(np.zeros((120, 200), np.float32), "SMITH", size=16, level=255, place=(5, 5))
    image = drawn(image, "19:47:02 KLM", size=16, level=255, place=(5, 80))
    assert len(find_text(image)) == 2


def test_phantoms_without_text_are_rarely_suspected() -> None:
    assert sum(bool(find_text(phantom(seed))) for seed in range(8)) <= 1


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(1, 1), (6, 300), (64, 64)])
def test_nothing_is_found_in_nothing(level: float, shape: tuple[int, int]) -> None:
    assert find_text(np.full(shape, level, np.float32)) == ()


def test_a_mark_of_the_side_is_too_short() -> None:
    blank = np.zeros((120, 120), np.float32)
    assert find_text(drawn(blank, "R", size=24, level=255, place=(10, 10))) == ()


def test_a_grid_of_bars_is_no_text() -> None:
    image = np.zeros((128, 128), np.float32)
    image[:, ::8] = 1.0  # a comb as high as the image
    assert find_text(image) == ()
