"""Copies are found whatever was done to them, and different patients are not."""

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from glcm_mae.data import PHANTOM_CLASSES, ReadingPolicy, load_images, make_phantom, read_table
from glcm_mae.data.audit.duplicates import Duplicates, Pair, duplicate_groups, find_duplicates
from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.data.reading.images import read_image
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.errors import InputError

THUMBNAIL = ReadingPolicy(size=(128, 128), fit="squeeze", depth=8)
Change = Callable[[Image.Image], Image.Image]


def phantom(number: int) -> Image.Image:
    kind = PHANTOM_CLASSES[number % len(PHANTOM_CLASSES)]
    pixels = make_phantom(kind, size=160, seed=(40, number)).image
    return Image.fromarray(np.rint(pixels * 255).astype(np.uint8))


def thumbnails(images: list[Image.Image]) -> np.ndarray:
    gray = [np.asarray(image, dtype=np.float32)[None] / 255 for image in images]
    fitted = np.stack([fit_image(image, (128, 128), "squeeze") for image in gray])
    return np.rint(fitted * 255).astype(np.uint8)


def as_jpeg(image: Image.Image) -> Image.Image:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=50)
    return Image.open(data).convert("L")


def with_calipers(image: Image.Image) -> Image.Image:
    marked = image.copy()
    pen = ImageDraw.Draw(marked)
    pen.line([(30, 40), (120, 90)], fill=255)
    pen.line([(40, 110), (100, 30)], fill=255)
    pen.text((5, 140), "1 D 12.3 mm", fill=255)
    return marked


CHANGES: dict[str, Change] = {
    "flipped left-right": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "flipped up-down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    "turned by 90": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "turned by 180": lambda image: image.transpose(Image.Transpose.ROTATE_180),
    "turned by 270": lambda image: image.transpose(Image.Transpose.ROTATE_270),
    "half the size": lambda image: image.resize((80, 80), Image.Resampling.BICUBIC),
    "larger": lambda image: image.resize((240, 240), Image.Resampling.BICUBIC),
    "JPEG": as_jpeg,
    "darker": lambda image: image.point(lambda value: 0.9 * value),
    "brighter": lambda image: image.point(lambda value: min(1.1 * value, 255)),
    "cropped at a corner": lambda image: image.crop((16, 0, 160, 144)),
    "cropped in the middle": lambda image: image.crop((8, 8, 152, 152)),
    "narrower": lambda image: image.crop((0, 0, 146, 160)),
    "marked": with_calipers,
}


@pytest.fixture(scope="module")
def originals() -> list[Image.Image]:
    return [phantom(number) for number in range(20)]


@pytest.fixture(scope="module")
def found(originals: list[Image.Image]) -> Duplicates:
    """Each change made to one original, all in one set with all originals."""
    copies = [change(image) for image, change in zip(originals, CHANGES.values(), strict=False)]
    return find_duplicates(thumbnails(originals + copies))


def test_finds_the_copy_of_every_change_and_nothing_else(found: Duplicates) -> None:
    wanted = [(number, 20 + number) for number in range(len(CHANGES))]
    assert [(pair.a, pair.b) for pair in found.pairs] == wanted
    assert found.clusters == tuple(wanted)
    assert found.threshold == 0.5
    assert {pair.kind for pair in found.pairs} == {"copy"}


def test_tells_how_a_copy_was_turned(found: Duplicates) -> None:
    told = dict(zip(CHANGES, found.pairs, strict=True))
    for name in [name for name in CHANGES if name.startswith(("turned", "flipped"))]:
        assert told[name].orientation == name
        assert told[name].scale == pytest.approx((1, 1), abs=0.01)
        assert told[name].distance <= 10
    for name in ("JPEG", "marked", "narrower"):
        assert told[name].orientation == "as it is"


def test_tells_how_a_copy_was_cropped(found: Duplicates) -> None:
    told = dict(zip(CHANGES, found.pairs, strict=True))
    assert told["cropped at a corner"].scale == pytest.approx((0.9, 0.9), abs=0.01)
    assert told["narrower"].scale == pytest.approx((1.0, 146 / 160), abs=0.01)
    assert all(pair.correlation > 0.9 for pair in found.pairs)


def test_an_original_after_its_turned_crop_is_told_the_other_way_round() -> None:
    whole = phantom(50)
    part = whole.crop((0, 0, 144, 160)).transpose(Image.Transpose.ROTATE_90)
    (pair,) = find_duplicates(thumbnails([part, phantom(51), whole])).pairs
    assert (pair.a, pair.b, pair.orientation) == (0, 2, "turned by 270")
    assert pair.scale == pytest.approx((1.0, 160 / 144), abs=0.02)


def test_equal_pixels_are_told_from_equal_thumbnails(originals: list[Image.Image]) -> None:
    images = thumbnails([originals[0], originals[1], originals[0], originals[0]])
    sizes = {0: 4, 2: 4, 3: 5}
    found = find_duplicates(images, read=lambda row: np.zeros((1, sizes[row], 4)))
    assert [(p.a, p.b, p.exact, p.kind) for p in found.pairs] == [
        (0, 2, True, "equal"),
        (0, 3, False, "copy"),
    ]
    assert found.clusters == ((0, 2, 3),)
    assert not any(pair.exact for pair in find_duplicates(images).pairs)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_have_no_pairs(count: int) -> None:
    found = find_duplicates(np.zeros((count, 1, 128, 128), np.uint8))
    assert (found.pairs, found.clusters) == ((), ())


def test_blank_images_of_other_gray_are_no_copies() -> None:
    images = np.stack([np.full((1, 128, 128), gray, np.uint8) for gray in (0, 9, 200)])
    assert find_duplicates(images).pairs == ()


def test_the_same_call_finds_the_same(found: Duplicates, originals: list[Image.Image]) -> None:
    images = thumbnails([*originals[:6], with_calipers(originals[2])])
    assert find_duplicates(images) == find_duplicates(images)


def test_a_given_threshold_counts(originals: list[Image.Image]) -> None:
    images = thumbnails([*originals[:3], as_jpeg(originals[1])])
    assert len(find_duplicates(images, threshold=0.9).pairs) == 1
    assert find_duplicates(images, threshold=0.9999).pairs == ()


def test_progress_reaches_the_end(originals: list[Image.Image]) -> None:
    told: list[tuple[int, int]] = []
    find_duplicates(
        thumbnails([*originals, as_jpeg(originals[1])]),
        progress=lambda done, total: told.append((done, total)),
    )
    assert told[-1][0] == told[-1][1] > 0


@pytest.mark.parametrize("shape", [(3, 128, 128), (3, 3, 128, 128), (3, 1, 64, 64)])
def test_refuses_other_thumbnails(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"thumbnails: must have the shape .* got"):
        find_duplicates(np.zeros(shape, np.uint8))


def test_groups_of_a_cluster_are_joined_with_all_their_images() -> None:
    paths = tuple("abcdefg")
    table = ImageTable(Path(), paths, (), (), ("p", "p", "q", "r", "r", "s", "t"), ())
    pairs = tuple(Pair(a, b, 0, 1.0, 1.0, "", (1.0, 1.0), False) for a, b in [(1, 3), (4, 6)])
    groups = duplicate_groups(table, Duplicates(pairs, ((1, 3), (4, 6)), 0.5))
    assert groups == ("p", "p", "q", "p", "p", "s", "p")
    alone = replace(table, groups=paths)
    assert duplicate_groups(alone, Duplicates((), (), 0.5)) == paths


def listed(folder: Path, table: ImageTable) -> list[tuple[int, int]]:
    rows = {path: row for row, path in enumerate(table.paths)}
    with (folder / "near_duplicates.csv").open(newline="") as file:
        return [(rows[line["path_a"]], rows[line["path_b"]]) for line in csv.DictReader(file)]


@pytest.mark.slow
def test_finds_all_known_pairs_of_breast_ultrasound(busi: Path) -> None:
    table = read_table(busi / "manifest.csv", labelled=True)
    images = load_images(table, THUMBNAIL).pixels
    found = find_duplicates(images, read=lambda row: read_image(table.file(row)))
    cluster = {row: number for number, rows in enumerate(found.clusters) for row in rows}
    assert all(cluster.get(a, -1) == cluster.get(b, -2) for a, b in listed(busi, table))
    # all pairs beyond the list were looked at: 57 copies, and frames of one sweep
    assert 215 <= len(found.pairs) <= 235
    exact = [(table.paths[pair.a], table.paths[pair.b]) for pair in found.pairs if pair.exact]
    assert exact == [("images/benign/benign_(433).png", "images/malignant/malignant_(145).png")]


@pytest.mark.slow
def test_calls_no_chest_of_another_child_a_copy(kermany_cxr: Path) -> None:
    table = read_table(kermany_cxr / "manifest.csv", labelled=True)
    test_part = table.subset([row for row, part in enumerate(table.splits) if part == "test"])
    found = find_duplicates(load_images(test_part, THUMBNAIL).pixels)
    across = [p for p in found.pairs if test_part.groups[p.a] != test_part.groups[p.b]]
    assert [(test_part.groups[p.a], test_part.groups[p.b], p.distance) for p in across] == [
        ("NORMAL2-IM-0095", "NORMAL2-IM-0096", 0)  # one file with two names
    ]
