"""Numbers about sizes, gray levels and classes, by hand and against scikit-learn."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from glcm_mae.data import ImageTable
from glcm_mae.data.audit.statistics import (
    BINS,
    area_under_curve,
    class_areas,
    count_classes,
    describe_grays,
    describe_sizes,
    giveaways,
)


@pytest.mark.parametrize("seed", range(5))
def test_the_area_is_that_of_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    values, positive = generator.integers(0, 7, 60), generator.random(60) < 0.3
    expected = roc_auc_score(positive, values)
    assert area_under_curve(values.astype(float), positive) == pytest.approx(
        expected, abs=1e-12
    )


def test_one_class_alone_has_no_area() -> None:
    assert area_under_curve(np.arange(3.0), np.ones(3, bool)) is None
    assert class_areas(np.arange(2.0), (0, 0), ("ill", "well")) == {"ill": None, "well": None}


def test_a_constant_tells_nothing() -> None:
    assert class_areas(np.ones(4), (0, 1, 0, 1), ("ill", "well")) == {"ill": 0.5, "well": 0.5}


def test_classes_are_counted_in_each_part() -> None:
    names = tuple("abcd")
    parts = ("train", "test", "", "train")
    table = ImageTable(Path(), names, (0, 0, 1, 1), ("ill", "well"), names, parts)
    assert count_classes(table) == {
        "ill": {"all": 2, "(none)": 0, "test": 1, "train": 1},
        "well": {"all": 2, "(none)": 1, "test": 0, "train": 1},
    }
    assert count_classes(ImageTable(Path(), names, (), (), names, ())) == {}


def test_sizes_give_the_class_away() -> None:
    sizes = np.array([(10, 20), (12, 24), (30, 60), (34, 68)])
    described = describe_sizes(sizes, (0, 0, 1, 1), ("ill", "well"))
    assert described["height"] == {"min": 10.0, "median": 21.0, "max": 34.0}
    assert described["distinct"] == 4
    assert described["areas"]["shorter_side"] == {"ill": 0.0, "well": 1.0}
    assert described["areas"]["aspect_ratio"] == {"ill": 0.5, "well": 0.5}
    assert giveaways(described["areas"]) == [("shorter_side", "ill", 0.0)]


def test_gray_levels_are_those_of_the_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (700, 1, 8, 8), dtype=np.uint8)
    pixels[0], pixels[1] = 0, 255
    labels = (0,) * 350 + (1,) * 350
    described = describe_grays(pixels, labels, ("ill", "well"))
    flat = pixels.reshape(700, -1) / 255
    assert described["mean"]["median"] == pytest.approx(np.median(flat.mean(axis=1)), abs=1e-4)
    assert described["sd"]["max"] == pytest.approx(flat.std(axis=1).max(), abs=1e-4)
    assert described["black"]["max"] == described["white"]["max"] == 1.0
    assert set(described["histograms"]) == {"ill", "well"}
    assert len(described["histograms"]["ill"]) == BINS
    assert sum(described["histograms"]["well"]) == pytest.approx(1, abs=1e-3)


def test_flat_images_of_equal_gray_have_exactly_no_spread() -> None:
    pixels = np.repeat(np.arange(0, 240, 10, dtype=np.uint8), 64).reshape(24, 1, 8, 8)
    described = describe_grays(pixels, (0, 1) * 12, ("ill", "well"))
    assert described["sd"]["max"] == 0
    assert described["areas"]["sd"] == {"ill": 0.5, "well": 0.5}
