"""Nearest images and agreement of neighbours, against scikit-learn and by chance."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from glcm_mae.explaining.likeness import (
    mean_interval,
    measure_agreement,
    nearest_images,
    shares_of_neighbours,
)


def test_nearest_images_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    asked, known = rng.normal(size=(7, 5)).astype(np.float32), rng.normal(size=(30, 5))
    rows, cosines = nearest_images(asked, known, 4)
    other = NearestNeighbors(n_neighbors=4, metric="cosine", algorithm="brute").fit(known)
    distances, expected = other.kneighbors(asked)
    np.testing.assert_array_equal(rows, expected)
    np.testing.assert_allclose(cosines, 1 - distances, atol=1e-6)


def test_fewer_known_images_than_asked_for_are_all_returned() -> None:
    rows, cosines = nearest_images(np.ones((1, 2)), np.array([[1.0, 0.0], [1.0, 1.0]]), 5)
    assert rows.tolist() == [[1, 0]]
    np.testing.assert_allclose(cosines, [[1.0, np.sqrt(0.5)]])


def test_features_of_nothing_are_like_nothing() -> None:
    _, cosines = nearest_images(np.zeros((1, 3)), np.ones((2, 3)), 2)
    np.testing.assert_array_equal(cosines, [[0.0, 0.0]])


def test_agreement_is_that_of_scikit_learns_neighbours() -> None:
    rng = np.random.default_rng(1)
    features, labels = rng.normal(size=(40, 6)), rng.integers(0, 3, 40)
    found, chance = shares_of_neighbours(features, labels, np.arange(40), 5)
    other = NearestNeighbors(n_neighbors=6, metric="cosine", algorithm="brute").fit(features)
    near = other.kneighbors(features, return_distance=False)[:, 1:]
    np.testing.assert_allclose(found, (labels[near] == labels[:, None]).mean(axis=1))
    counts = np.bincount(labels)
    np.testing.assert_allclose(chance, (counts[labels] - 1) / 39)


def test_features_that_tell_nothing_agree_as_often_as_by_chance() -> None:
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 0, 0, 1], 100)
    found = measure_agreement(
        *shares_of_neighbours(rng.normal(size=(400, 8)), labels, np.arange(400), 10),
        np.arange(400),
        seed=0,
    )
    assert found.chance == pytest.approx(0.625, abs=0.002)
    assert found.share.low < found.chance < found.share.high


def test_images_of_one_patient_are_no_neighbours() -> None:
    # Each patient's two images coincide; the next patient beside them is of the other class.
    features = np.array([[np.cos(a), np.sin(a)] for a in (0.0, 0.0, 0.1, 0.1, 1.2, 1.2)])
    labels, patients = np.array([0, 0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 2, 2])
    alone, _ = shares_of_neighbours(features, labels, np.arange(6), 1)
    grouped, chance = shares_of_neighbours(features, labels, patients, 1)
    np.testing.assert_array_equal(alone, np.ones(6))
    np.testing.assert_array_equal(grouped, [0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(chance, [0.5, 0.5, 0, 0, 0.5, 0.5])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    features, labels = rng.normal(size=(23, 4)), rng.integers(0, 2, 23)
    whole = shares_of_neighbours(features, labels, np.arange(23), 3)
    monkeypatch.setattr("glcm_mae.explaining.likeness._ENTRIES", 50)
    np.testing.assert_array_equal(
        whole, shares_of_neighbours(features, labels, np.arange(23), 3)
    )


def test_an_image_without_possible_neighbours_does_not_count() -> None:
    found, chance = shares_of_neighbours(np.eye(2), np.zeros(2, int), np.zeros(2, int), 1)
    assert np.isnan(found).all()
    agreement = measure_agreement(found, chance, np.zeros(2, int), seed=0)
    assert np.isnan(agreement.share.estimate)


def test_a_mean_of_one_cluster_has_no_limits() -> None:
    found = mean_interval(np.array([0.0, 1.0]), np.zeros(2, int), seed=0)
    assert found.estimate == 0.5
    assert np.isnan([found.low, found.high]).all()
