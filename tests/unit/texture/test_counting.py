"""Counted matrices against plain loops, worked examples and the dense formula."""

import inspect
import re

import numpy as np
import pytest
import torch

from glcm_mae.texture import (
    Offset,
    VolumeOffset,
    cooccurrence,
    gray_level_cooccurrence,
    hard_membership,
    image_offsets,
    marginals,
    maximal_correlation_coefficient,
    volume_offsets,
)
from glcm_mae.texture.counting import Tally

HARALICK_IMAGE = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]])


def counted_by_hand(
    volume: np.ndarray, mask: np.ndarray, levels: int, offset: tuple[int, int, int]
) -> np.ndarray:
    """Every pair of voxels, one after the other."""
    counts = np.zeros((levels, levels))
    for place in np.ndindex(volume.shape):
        other = tuple(np.add(place, offset))
        if any(n < 0 or n >= size for n, size in zip(other, volume.shape, strict=True)):
            continue
        if mask[place] and mask[other]:
            counts[volume[place], volume[other]] += 1
    return counts


def test_the_worked_example_of_haralick() -> None:
    counts = gray_level_cooccurrence(
        HARALICK_IMAGE, 4, image_offsets(), symmetric=True, normalised=False
    )
    assert counts.dtype == torch.float64
    assert counts.tolist() == [
        [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]],
        [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]],
        [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]],
        [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]],
    ]


@pytest.mark.parametrize("symmetric", [False, True])
def test_floats_are_binned_as_hard_membership_does(symmetric: bool) -> None:
    image = torch.rand(2, 3, 9, 8, generator=torch.Generator().manual_seed(0))
    offsets = [Offset(0, 1), Offset(2, -3), Offset(-1, 0), Offset(1, 1), Offset(-4, 2)]
    ours = gray_level_cooccurrence(image, 10, offsets, symmetric=symmetric)
    dense = cooccurrence(hard_membership(image, 10), offsets, symmetric=symmetric)
    assert ours.shape == (2, 3, 5, 10, 10)
    torch.testing.assert_close(ours, dense.double(), rtol=1e-6, atol=0)


def test_a_masked_volume_equals_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    volume, mask = rng.integers(0, 5, (4, 5, 6)), rng.random((4, 5, 6)) < 0.6
    offsets = [*volume_offsets([1, 2]), VolumeOffset(-3, 4, -5)]
    ours = gray_level_cooccurrence(
        torch.from_numpy(volume), 5, offsets, mask=torch.from_numpy(mask), normalised=False
    )
    for matrix, offset in zip(ours, offsets, strict=True):
        np.testing.assert_array_equal(matrix, counted_by_hand(volume, mask, 5, offset))


def test_pixels_outside_the_mask_may_hold_anything() -> None:
    image = torch.tensor([[0.1, 0.9, float("nan")], [0.1, 0.9, 7.0]])
    mask = torch.tensor([[1, 1, 0], [1, 255, 0]], dtype=torch.uint8)
    matrix = gray_level_cooccurrence(image, 2, [Offset(0, 1)], mask=mask)[0]
    assert matrix.tolist() == [[0, 1], [0, 0]]


def test_a_batch_of_volumes() -> None:
    volumes = torch.randint(0, 3, (2, 3, 4, 5), generator=torch.Generator().manual_seed(1))
    together = gray_level_cooccurrence(volumes, 3, volume_offsets())
    assert together.shape == (2, 13, 3, 3)
    alone = gray_level_cooccurrence(volumes[1], 3, volume_offsets())
    assert torch.equal(together[1], alone)


def test_thirteen_directions_and_their_opposites_are_all_neighbours() -> None:
    ways = volume_offsets()
    both = {*ways, *(tuple(-n for n in way) for way in ways)}
    assert len(ways) == 13
    assert len(both) == 26
    assert volume_offsets([3])[0] == VolumeOffset(0, 0, 3)


def test_directions_of_an_image() -> None:
    expected = [Offset(0, 1), Offset(-1, 1), Offset(1, 0), Offset(1, 1)]
    assert image_offsets() == expected
    assert image_offsets([2], [45]) == [Offset(-2, 2)]


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("levels", [2, 7, 32, 100])
def test_tallied_tables_have_the_marginals_of_the_matrices(
    levels: int, symmetric: bool
) -> None:
    rng = np.random.default_rng(levels)
    smooth = np.cumsum(rng.normal(size=(60, 61)), axis=0)
    image = np.interp(smooth, (smooth.min(), smooth.max()), (0, levels - 1)).astype(int)
    image[image == 1] = 0  # an empty level
    offsets = image_offsets([1, 3])
    tensor = torch.from_numpy(image)
    counts = gray_level_cooccurrence(tensor, levels, offsets, normalised=False)
    matrices = gray_level_cooccurrence(tensor, levels, offsets, symmetric=symmetric)
    tally = Tally.of_tables(counts.numpy().astype(np.uint32), symmetric=symmetric)
    found, correlation = tally.marginals()
    for name, ours, dense in zip(found._fields, found, marginals(matrices), strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-12, atol=1e-14, msg=name)
    expected = maximal_correlation_coefficient(matrices)
    torch.testing.assert_close(correlation, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ([[5, 0], [0, 0]], 1.0),  # one level
        ([[3, 4], [0, 0]], 1.0),  # one level of the reference pixel
        ([[3, 0], [0, 4]], 1.0),  # each settles the other
        ([[0, 3], [4, 0]], 1.0),
        ([[4, 1], [1, 4]], 0.6),
        ([[1, 4], [4, 1]], 0.6),  # the eigenvalue is negative
        ([[1, 2], [3, 6]], 0.0),  # independent
        ([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 2, 1], [0, 0, 1, 2]], 1.0),  # two blocks
    ],
)
def test_maximal_correlation_of_special_tables(table: list[list[int]], expected: float) -> None:
    counts = np.array([table], dtype=np.uint32)
    got = Tally.of_tables(counts.copy(), symmetric=False).marginals()[1].item()
    assert got == pytest.approx(expected, abs=1e-6)
    if np.array_equal(counts[0], counts[0].T):
        got = Tally.of_tables(counts, symmetric=True).marginals()[1].item()
        assert got == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("image", "levels", "offsets", "mask", "message"),
    [
        ([[0, 1]], 1, [Offset(0, 1)], None, "levels must be at least 2, got 1"),
        ([[0, 1]], 5000, [Offset(0, 1)], None, "levels must be at most 4096, got 5000"),
        (
            [[0, 4]],
            4,
            [Offset(0, 1)],
            None,
            "image must hold gray levels from 0 to 3, got 4; "
            "raise levels, or pass floats in [0, 1] to have them binned",
        ),
        (
            [[0.0, float("nan")]],
            4,
            [Offset(0, 1)],
            None,
            "image must not hold NaN or infinity, got NaN; "
            "fill the missing pixels first, or leave them out of the mask",
        ),
        (
            [[0.0, 1.5]],
            4,
            [Offset(0, 1)],
            None,
            "image must lie in [0, 1], got 1.5; clamp or rescale it first",
        ),
        ([[0, 1]], 4, [], None, "offsets must hold at least one Offset, got none"),
        (
            [[0, 1]],
            4,
            [Offset(0, 0)],
            None,
            "offsets must lead to another pixel, got Offset(rows=0, cols=0); "
            "the pixel to the right is Offset(0, 1)",
        ),
        (
            [[0, 1]],
            4,
            [Offset(0, 2)],
            None,
            "offsets must be smaller than the image of 1 x 2 pixels, "
            "got Offset(rows=0, cols=2)",
        ),
        (
            [[[0, 1]], [[0, 1]]],
            4,
            [VolumeOffset(2, 0, 0)],
            None,
            "offsets must be smaller than the volume of 2 x 1 x 2 pixels, "
            "got VolumeOffset(slices=2, rows=0, cols=0)",
        ),
        (
            [[0, 1]],
            4,
            [VolumeOffset(1, 0, 0)],
            None,
            "image must have at least 3 axes for offsets of 3 numbers, got shape (1, 2)",
        ),
        (
            [[0, 1]],
            4,
            [Offset(0, 1)],
            [[0, 0]],
            "mask must hold at least one pixel, got none; leave such an image out, or its mask",
        ),
        (
            [[0, 1]],
            4,
            [Offset(0, 1)],
            [[1, 0]],
            "mask must hold both pixels of at least one pair at every offset, "
            "got none at Offset(rows=0, cols=1); pass normalised=False to have zeros",
        ),
        (
            [[0, 1]],
            4,
            [Offset(0, 1)],
            [[1, 1, 1]],
            "mask must have the shape of image, got (1, 3) and (1, 2)",
        ),
    ],
)
def test_errors(
    image: list[object], levels: int, offsets: list[Offset], mask: object, message: str
) -> None:
    region = None if mask is None else torch.tensor(mask)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        inspect.unwrap(gray_level_cooccurrence)(
            torch.tensor(image), levels, offsets, mask=region
        )


@pytest.mark.parametrize(
    ("distances", "angles", "message"),
    [
        ([0], [0], "distances must be at least 1 pixel, got 0"),
        ([], [0], "distances must hold each distance once, at least one, got []"),
        ([1, 1], [0], "distances must hold each distance once, at least one, got [1, 1]"),
        ([1], [], "angles must hold each angle once, at least one, got []"),
        (
            [1],
            [30],
            "angles must be of 0, 45, 90 and 135 degrees, got 30; opposite directions are "
            "one and the same in a symmetric matrix",
        ),
    ],
)
def test_errors_of_directions(distances: list[int], angles: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        image_offsets(distances, angles)
