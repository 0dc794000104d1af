"""Radiomics: the features are those of other programs, and the test part has no say."""

import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops

from glcm_mae.data.folds.splits import Fold
from glcm_mae.data.phantoms import PHANTOM_CLASSES, make_phantom
from glcm_mae.radiomics import (
    Learner,
    _inner_folds,
    _model,
    radiomics_features,
    radiomics_names,
    radiomics_probabilities,
)

LEARNERS: tuple[Learner, ...] = ("logistic", "boosting")


def textured(count: int = 6) -> NDArray[np.uint16]:
    return np.random.default_rng(0).integers(0, 65536, (count, 1, 24, 20), dtype=np.uint16)


def test_contrast_is_scikit_images() -> None:
    pixels = textured(1)
    levels = np.minimum(pixels[0, 0] / 65535 * 32, 31).astype(np.uint8)
    row = dict(zip(radiomics_names(), radiomics_features(pixels)[0], strict=True))
    for distance in (1, 2, 4):
        # A king's step along a diagonal, where scikit-image measures in Euclidean pixels.
        values = []
        for angle in (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4):
            reach = distance * (np.sqrt(2) if angle % (np.pi / 2) else 1)
            matrix = graycomatrix(levels, [reach], [angle], 32, symmetric=True, normed=True)
            values.append(graycoprops(matrix, "contrast")[0, 0])
        assert row[f"contrast_{distance}"] == pytest.approx(np.mean(values), rel=1e-6)


def test_many_images_are_measured_as_one_alone() -> None:
    pixels = textured(70)  # more than are measured at once
    together = radiomics_features(pixels)
    alone = np.concatenate(
        [radiomics_features(pixels[row : row + 1]) for row in (0, 63, 64, 69)]
    )
    assert np.array_equal(together[[0, 63, 64, 69]], alone)
    assert np.isfinite(together).all()


def test_eight_bits_and_three_channels() -> None:
    gray = np.random.default_rng(1).integers(0, 256, (2, 1, 16, 16), dtype=np.uint8)
    colour = np.repeat(gray, 3, axis=1)
    assert radiomics_features(colour) == pytest.approx(radiomics_features(gray))


def division(count: int) -> Fold:
    rows = np.random.default_rng(2).permutation(count)
    a, b = count // 2, 3 * count // 4
    return Fold(np.sort(rows[:a]), np.sort(rows[a:b]), np.sort(rows[b:]))


@pytest.mark.parametrize("learner", LEARNERS)
def test_textures_are_told_apart(learner: Learner) -> None:
    labels = np.arange(120) % len(PHANTOM_CLASSES)
    images = [
        make_phantom(PHANTOM_CLASSES[label], size=32, seed=(0, number)).image
        for number, label in enumerate(labels)
    ]
    pixels = np.round(np.stack(images)[:, None] * 255).astype(np.uint8)
    features, fold = radiomics_features(pixels), division(len(pixels))
    inner, test = radiomics_probabilities(
        learner, features, labels, np.arange(len(labels)), fold, classes=3, seed=0
    )
    assert (test.argmax(axis=1) == labels[fold.test]).mean() > 0.7
    assert inner is not None
    assert (inner.argmax(axis=1) == labels[fold.validation]).mean() > 0.7
    assert test.sum(axis=1) == pytest.approx(1)
    assert inner.sum(axis=1) == pytest.approx(1)


@pytest.mark.parametrize("learner", LEARNERS)
def test_the_test_part_has_no_say(learner: Learner) -> None:
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(60, 5)), np.arange(60) % 2
    groups, fold = np.arange(60), division(60)
    first = radiomics_probabilities(learner, features, labels, groups, fold, classes=2, seed=0)
    labels = labels.copy()
    labels[fold.test] = 1 - labels[fold.test]
    features = features.copy()
    features[fold.test[1:]] += 100
    second = radiomics_probabilities(learner, features, labels, groups, fold, classes=2, seed=0)
    assert first[0] is not None
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1][0], second[1][0])


def test_inner_predictions_never_learnt_the_groups_other_images() -> None:
    """Pairs of equal images with labels by chance: whoever learns a twin is always right."""
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(100, 4)), 2, axis=0)
    labels = np.repeat(rng.integers(0, 2, 100), 2)
    groups = np.repeat(np.arange(100), 2)
    fold = Fold(np.arange(0, 200, 2), np.arange(1, 180, 2), np.arange(181, 200, 2))
    apart, _ = radiomics_probabilities(
        "boosting", features, labels, groups, fold, classes=2, seed=0
    )
    leaking, _ = radiomics_probabilities(
        "boosting", features, labels, np.arange(200), fold, classes=2, seed=0
    )
    truth = labels[fold.validation]
    assert apart is not None
    assert leaking is not None
    assert (apart.argmax(axis=1) == truth).mean() < 0.65
    assert (leaking.argmax(axis=1) == truth).mean() > 0.75


@pytest.mark.parametrize("learner", LEARNERS)
@pytest.mark.parametrize("classes", [2, 3])
def test_a_class_of_one_patient_is_learnt_without_inner_folds(
    learner: Learner, classes: int
) -> None:
    """It cannot stand on both sides of an inner fold, so that nothing can be chosen by them."""
    rng = np.random.default_rng(0)
    labels = np.array([*(np.arange(20) % (classes - 1)), *([classes - 1] * 8)])
    groups = np.array([*range(20), *([20] * 5), *([21] * 3)])  # two patients of the rare class
    features = rng.normal(size=(28, 4)) + 3 * labels[:, None]
    test = np.array([0, 1, 25, 26, 27])
    known = np.setdiff1d(np.arange(28), test)
    fold = Fold(known[:-6], known[-6:], test)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        inner, found = radiomics_probabilities(
            learner, features, labels, groups, fold, classes=classes, seed=0
        )
    assert inner is None
    assert found.sum(axis=1) == pytest.approx(1)
    if learner == "logistic":  # boosting asks for 20 images in a leaf
        assert (found.argmax(axis=1) == labels[test]).mean() > 0.7


def test_the_penalty_is_chosen_also_where_an_inner_fold_tests_no_image_of_a_class() -> None:
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [30, 30, 6])
    groups = np.array([*range(60), *([60] * 3), *([61] * 3)])
    features = 4 * np.eye(3)[labels] + rng.normal(size=(66, 3)) / 10
    known = np.arange(66)
    cut = _inner_folds(labels, groups, seed=0)
    lacking = [(own, rest) for own, rest in cut if len(np.unique(labels[rest])) == 3]
    cut = [*lacking, (known[groups != 0], np.flatnonzero(groups == 0))]
    model = _model("logistic", cut, labels, seed=0).fit(features, labels)
    assert np.isfinite(model.cv_results_["mean_test_score"]).all()
    assert model.best_params_["logisticregression__C"] > 0.001
