"""Whose the nearest image is, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from glcm_mae.controls.identity import Retrieval, retrieve_patients


def asked_and_learnt(count: int, tested: int) -> dict[str, np.ndarray]:
    asked = np.arange(count) < tested
    return {"asked": asked, "learnt": ~asked}


def test_the_nearest_is_that_of_scikit_learn_within_the_class() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 3)
    labels = patients % 2
    features = (rng.normal(size=(30, 8))[patients] + rng.normal(size=(90, 8))).astype("f4")
    parts = asked_and_learnt(90, 36)
    found = retrieve_patients(features, labels, patients, **parts)
    known = StandardScaler().fit(features[36:]).transform(features)
    hits, learnt = [], []
    for label in (0, 1):
        own = np.flatnonzero(labels == label)
        nearest = NearestNeighbors(n_neighbors=2, metric="cosine").fit(known[own])
        rows = own[own < 36]
        second = own[nearest.kneighbors(known[rows])[1][:, 1]]
        hits += (patients[second] == patients[rows]).tolist()
        learnt += ((patients[second] == patients[rows]) & (second >= 36)).tolist()
    np.testing.assert_array_equal(found.found, hits)
    np.testing.assert_array_equal(found.learnt, learnt)
    assert 0.2 < found.found.mean() < 1
    np.testing.assert_allclose(found.chance, 2 / 44)  # two others among 44 of the class


def test_features_that_tell_the_class_alone_do_not_tell_the_patient() -> None:
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(100), 2)
    labels = patients % 2
    features = rng.normal(size=(200, 6)).astype("f4")
    features[:, 0] += 50 * labels
    found = retrieve_patients(features, labels, patients, **asked_and_learnt(200, 100))
    assert found.found.mean() < 0.1
    told = found.facts(torn=0, confidence=0.95)
    assert told["low"] <= told["chance"] <= told["high"]


def test_who_has_no_other_image_of_the_class_is_not_asked_about() -> None:
    features = np.eye(4, dtype="f4")
    labels, patients = np.array([0, 1, 0, 1]), np.array([5, 5, 6, 7])
    found = retrieve_patients(features, labels, patients, **asked_and_learnt(4, 2))
    assert len(found.found) == 0


def test_a_feature_that_never_varies_takes_no_part() -> None:
    features = np.array([[1.0, 9], [1.1, 9], [-1, 9], [-1.1, 9]], dtype="f4")
    one = np.zeros(4, dtype=np.int64)
    parts = {"asked": np.array([True, False, False, False])}
    found = retrieve_patients(
        features,
        one,
        np.array([1, 1, 2, 2]),
        **parts,
        learnt=np.array([False, True, True, True]),
    )
    assert found.found.tolist() == found.learnt.tolist() == [True]


def test_images_of_one_patient_widen_the_interval() -> None:
    hits = np.arange(40) % 2 == 0
    alone = Retrieval(hits, hits, np.full(40, 0.1), np.arange(40))
    sorted_hits = np.sort(hits)
    together = Retrieval(sorted_hits, sorted_hits, alone.chance, np.arange(40) // 10)
    one, four = (r.facts(torn=0, confidence=0.95) for r in (alone, together))
    assert one["estimate"] == four["estimate"] == 0.5
    assert four["high"] - four["low"] > 1.5 * (one["high"] - one["low"])
    assert (one["patients"], four["patients"]) == (40, 4)


def test_nothing_learnt_is_refused() -> None:
    with pytest.raises(ValueError, match="learnt must hold at least one image"):
        retrieve_patients(
            np.eye(2, dtype="f4"),
            np.zeros(2, int),
            np.zeros(2, int),
            asked=np.ones(2, bool),
            learnt=np.zeros(2, bool),
        )
