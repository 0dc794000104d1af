"""The look from afar: orientations, hashes, and the nearest few of each image."""

import numpy as np
import pytest

from glcm_mae.data.audit.candidates import NEIGHBOURS, find_candidates
from glcm_mae.data.audit.comparison import calibrate
from glcm_mae.data.audit.signatures import (
    ORIENTATIONS,
    VIEWS,
    describe,
    difference_hashes,
    orient,
)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    generator = np.random.default_rng(7)
    coarse = generator.integers(0, 256, (300, 8, 8), dtype=np.uint8)
    return np.kron(coarse, np.ones((16, 16), np.uint8))


def test_orientations_are_the_eight_and_named_as_they_look() -> None:
    image = np.arange(6).reshape(2, 3)
    seen = {name: orient(image, number) for number, name in enumerate(ORIENTATIONS)}
    assert len({(array.shape, array.tobytes()) for array in seen.values()}) == 8
    assert np.array_equal(seen["flipped left-right"], np.fliplr(image))
    assert np.array_equal(seen["flipped up-down"], np.flipud(image))
    assert np.array_equal(seen["turned by 90"], np.rot90(image, 1))
    assert np.array_equal(seen["turned by 180"], np.rot90(image, 2))
    assert np.array_equal(seen["turned by 270"], np.rot90(image, 3))
    assert np.array_equal(seen["transposed"], image.T)


def test_description_does_not_see_brightness(images: np.ndarray) -> None:
    dim = images[:4] // 2
    for view in VIEWS:
        brighter = describe(dim + 40, view)
        np.testing.assert_allclose(brighter, describe(dim, view), atol=1e-3)


def test_a_view_of_an_image_describes_the_image_so_turned(images: np.ndarray) -> None:
    for number in range(8):
        turned = np.ascontiguousarray(orient(images[:3], number))
        np.testing.assert_allclose(
            describe(turned, VIEWS[0]), describe(images[:3], VIEWS[number]), atol=1e-3
        )


def test_hash_counts_bits(images: np.ndarray) -> None:
    hashes = difference_hashes(images[:2])
    assert hashes.shape == (2, 256)
    ramp = np.broadcast_to(np.arange(128, dtype=np.uint8), (1, 128, 128))
    assert difference_hashes(ramp).all()
    assert not difference_hashes(ramp[:, :, ::-1]).any()


def test_each_pair_is_named_once_and_no_image_with_itself(images: np.ndarray) -> None:
    found = find_candidates(images[:, None], np.arange(300))
    pairs = {tuple(sorted(pair)) for pair in zip(found.moving, found.fixed, strict=True)}
    assert len(pairs) == len(found.moving) <= 300 * NEIGHBOURS
    assert not (found.moving == found.fixed).any()


def test_a_turned_copy_is_among_the_candidates_in_its_view(images: np.ndarray) -> None:
    images = images.copy()
    images[250] = images[20].T[::-1]  # beyond the first rows, among 300
    found = find_candidates(images[:, None], np.arange(300))
    (place,) = [
        n
        for n in range(len(found.moving))
        if {int(found.moving[n]), int(found.fixed[n])} == {20, 250}
    ]
    moving, fixed = images[found.moving[place]], images[found.fixed[place]]
    view = VIEWS[found.view[place]]
    assert np.array_equal(orient(moving, view.orientation), fixed)


def test_few_images_are_all_compared(images: np.ndarray) -> None:
    rows = np.array([3, 5, 8, 9])
    found = find_candidates(images[:, None], rows)
    assert len(found.moving) == 6
    assert set(found.moving) | set(found.fixed) == {3, 5, 8, 9}


def test_threshold_rises_with_what_different_images_have_in_common() -> None:
    generator = np.random.default_rng(0)
    apart, akin = generator.normal(0.03, 0.02, 1000), generator.normal(0.3, 0.08, 1000)
    assert calibrate(apart) == 0.5
    assert 0.55 < calibrate(akin) < 0.75
    assert calibrate(akin + 0.4) == 0.75
    assert calibrate(akin[:20]) == 0.5
