"""The majority class, and gray levels without their places."""

from pathlib import Path

import numpy as np
import pytest

from glcm_mae.baselines import (
    RADIOMICS,
    baseline_predictions,
    gray_features,
    gray_probabilities,
    majority_probabilities,
)
from glcm_mae.data import ImageTable, LoadedImages
from glcm_mae.data.folds.splits import Fold
from glcm_mae.evaluation import Judging, judge


def fold(train: list[int], validation: list[int], test: list[int]) -> Fold:
    return Fold(*(np.array(part) for part in (train, validation, test)))


def test_the_majority_knows_the_shares_of_all_but_the_test_images() -> None:
    labels = np.array([0, 0, 1, 0, 2, 2, 2, 2])
    got = majority_probabilities(labels, fold([0, 1], [2, 3], [4, 5, 6, 7]), classes=3)
    assert got.tolist() == [[0.75, 0.25, 0.0]] * 4


def test_gray_features_by_hand() -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(1, 1, 3, 4) * 5000
    flat = np.arange(12) * 5000 / 65535
    deciles = [np.quantile(flat, i / 10) for i in range(1, 10)]
    expected = [flat.mean(), flat.std(), *deciles]
    assert gray_features(pixels)[0] == pytest.approx(expected)


def test_gray_features_of_eight_bits_are_those_of_sixteen() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 6, 6), dtype=np.uint8)
    deep = pixels.astype(np.uint16) * 257  # 65535 = 257 * 255
    assert gray_features(pixels) == pytest.approx(gray_features(deep))


def test_gray_features_do_not_depend_on_places() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 65536, (3, 1, 8, 8), dtype=np.uint16)
    moved = rng.permuted(pixels.reshape(3, -1), axis=1).reshape(3, 1, 8, 8)
    assert not np.array_equal(moved, pixels)
    assert gray_features(moved) == pytest.approx(gray_features(pixels))


def test_gray_levels_tell_dark_from_bright() -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(40) % 2
    dark = rng.integers(0, 30000, (40, 1, 4, 4))
    features = gray_features((dark + 20000 * labels[:, None, None, None]).astype(np.uint16))
    some = fold(list(range(24)), list(range(24, 30)), list(range(30, 40)))
    got = gray_probabilities(features, labels, some, classes=2)
    assert got.shape == (10, 2)
    assert got.sum(axis=1) == pytest.approx(1)
    assert (got.argmax(axis=1) == labels[30:]).all()


def test_test_images_have_no_say() -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(30, 11)), np.arange(30) % 3
    some = fold(list(range(15)), list(range(15, 20)), list(range(20, 30)))
    before = gray_probabilities(features, labels, some, classes=3)
    other = labels.copy()
    other[20:] = 0
    assert np.array_equal(gray_probabilities(features, other, some, classes=3), before)
    features[21:] += 100.0
    assert np.array_equal(gray_probabilities(features, labels, some, classes=3)[0], before[0])


def test_a_class_too_rare_for_inner_folds_leaves_the_baseline_without_a_threshold() -> None:
    """In one fold it has two patients to learn from, in the other one: too few to leave out."""
    rng = np.random.default_rng(0)
    labels = [0] * 24 + [1] * 3
    names = tuple(f"{row}.png" for row in range(27))
    table = ImageTable(Path("x"), names, tuple(labels), ("a", "b"), names, ())
    images = LoadedImages(rng.integers(0, 65536, (27, 1, 32, 32), dtype=np.uint16), table, ())
    folds = (
        fold([*range(8), 24], [*range(8, 12), 25], [*range(12, 24), 26]),
        fold([*range(12, 20), 26], list(range(20, 24)), [*range(12), 24, 25]),
    )
    found = baseline_predictions(images, folds, (0, 0), seed=0)
    for name in RADIOMICS.values():
        assert found[name].inner is None, name
        settings = Judging(resamples=200)
        judge(found[name].test, found[name].inner, positive="b", settings=settings)


def test_a_class_that_was_not_learnt_has_no_probability() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 2] * 5 + [1, 1])
    some = fold(list(range(8)), [8, 9], [10, 11])
    got = gray_probabilities(rng.normal(size=(12, 11)), labels, some, classes=3)
    assert got[:, 1].tolist() == [0.0, 0.0]
    assert got.sum(axis=1) == pytest.approx(1)
