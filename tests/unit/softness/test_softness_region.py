"""Which part of an image is looked at."""

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from glcm_mae.softness.region import Region, choose_region


def test_the_most_textured_square_has_the_highest_entropy() -> None:
    image = torch.from_numpy(np.random.default_rng(1).random((14, 11)) ** 3)
    side, found = 5, {}
    for row in range(14 - side + 1):
        for col in range(11 - side + 1):
            levels = (image[row : row + side, col : col + side] * 32).long().clamp(max=31)
            counts = np.bincount(levels.flatten().numpy(), minlength=32)
            found[row, col] = entropy(counts)
    region = choose_region(image, "textured", side)
    assert found[region.row, region.col] == pytest.approx(max(found.values()))
    assert (region.height, region.width) == (side, side)


def test_speckle_is_preferred_to_letters_and_the_first_of_equals_is_taken() -> None:
    image = torch.zeros(32, 48)
    image[4:12, 4:12] = 1.0  # a letter: the largest spread of gray levels
    image[16:32, 32:48] = torch.linspace(0.001, 0.999, 256).view(16, 16)
    assert choose_region(image, "textured", 16) == Region(16, 32, 16, 16)
    assert choose_region(torch.zeros(9, 9), "textured", 4) == Region(0, 0, 4, 4)


def test_a_region_is_cut_as_named() -> None:
    image = torch.arange(12.0).view(3, 4) / 12
    region = choose_region(image, (1, 2, 2, 2), 64)
    torch.testing.assert_close(region.cut(image), image[1:3, 2:4])
    assert choose_region(image, "whole", 64).cut(image).shape == (3, 4)


def test_parts_that_are_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"region \[1, 2, 3, 3\].*leaves the image of 3 x 4"):
        choose_region(torch.zeros(3, 4), (1, 2, 3, 3), 64)
    with pytest.raises(ValueError, match="side 4 is larger than the image of 3 x 4"):
        choose_region(torch.zeros(3, 4), "textured", 4)
