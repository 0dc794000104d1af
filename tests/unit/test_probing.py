"""Probes against scikit-learn's own classifiers, and what the inner part may choose."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glcm_mae.config import ProbingConfig
from glcm_mae.probing import Part, choose, linear_probes, nearest_probes

CLASSES = ("a", "b", "c")
ALIKE = np.ones(3)


def part(count: int, seed: int, *, apart: float = 1.0) -> Part:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    centres = np.random.default_rng(99).normal(size=(3, 6))
    features = apart * centres[labels] + rng.normal(size=(count, 6))
    return Part((5 * features + 3).astype(np.float32), labels)


@pytest.mark.parametrize("weights", [ALIKE, np.array([0.5, 1.0, 2.0])])
def test_the_linear_probe_is_scikit_learns_pipeline(weights: np.ndarray) -> None:
    train, other = part(60, 0), part(30, 1)
    settings = ProbingConfig(penalties=(0.01, 1.0))
    for candidate, penalty in zip(
        linear_probes(settings, train, weights), (0.01, 1.0), strict=True
    ):
        model = make_pipeline(
            StandardScaler(),
            LogisticRegression(C=penalty, class_weight=dict(enumerate(weights))),
        ).fit(train.features, train.labels)
        expected = model.predict_proba(other.features)
        assert candidate.values == {"C": penalty}
        assert candidate.predict(other.features) == pytest.approx(expected, abs=2e-3)


def test_nearest_images_vote_as_scikit_learn_has_them() -> None:
    train, other = part(40, 0), part(20, 1)
    settings = ProbingConfig(method="knn", neighbours=(1, 7), temperatures=(0.07, 1.0))
    found = list(nearest_probes(settings, train, ALIKE))
    assert len(found) == 4
    for candidate in found:
        heat = candidate.values["temperature"]
        model = KNeighborsClassifier(
            n_neighbors=int(candidate.values["neighbours"]),
            metric="cosine",
            algorithm="brute",
            weights=lambda distances, heat=heat: np.exp(-distances / heat),
        ).fit(train.features, train.labels)
        expected = model.predict_proba(other.features)
        assert candidate.predict(other.features) == pytest.approx(expected, abs=1e-6)


def test_votes_are_weighed_by_class() -> None:
    train = Part(np.array([[1, 0], [1, 0], [1, 0]], dtype=np.float32), np.array([0, 0, 1]))
    settings = ProbingConfig(method="knn", neighbours=(3,), temperatures=(1.0,))
    (candidate,) = nearest_probes(settings, train, np.array([1.0, 2.0]))
    assert candidate.predict(train.features[:1]) == pytest.approx(np.array([[0.5, 0.5]]))


def test_a_class_without_a_training_image_has_no_probability() -> None:
    train = Part(part(12, 0).features, np.arange(12) % 2)
    for fitted in (linear_probes, nearest_probes):
        for candidate in fitted(ProbingConfig(), train, ALIKE):
            probabilities = candidate.predict(train.features)
            assert (probabilities[:, 2] == 0).all()
            assert probabilities.sum(axis=1) == pytest.approx(1)


def test_more_neighbours_than_images_are_left_out() -> None:
    few = part(6, 0)
    settings = ProbingConfig(method="knn", neighbours=(2, 50), temperatures=(1.0,))
    found = [c.values["neighbours"] for c in nearest_probes(settings, few, ALIKE)]
    assert found == [2]
    settings = ProbingConfig(method="knn", neighbours=(50,), temperatures=(1.0,))
    found = [c.values["neighbours"] for c in nearest_probes(settings, few, ALIKE)]
    assert found == [6]


@pytest.mark.parametrize("method", ["linear", "knn"])
@pytest.mark.parametrize("select_by", ["loss", "auroc", "accuracy", "balanced_accuracy"])
def test_the_candidate_that_is_best_on_the_inner_part_is_chosen(
    method: str, select_by: str
) -> None:
    train, inner = part(45, 0, apart=0.4), part(30, 1, apart=0.4)
    settings = ProbingConfig(
        method=method, select_by=select_by, balance="none", penalties=(1e-3, 0.1, 10.0)
    )
    chosen = choose(settings, train, inner, CLASSES, "")
    fitted = linear_probes if method == "linear" else nearest_probes
    candidates = list(fitted(settings, train, ALIKE))
    values = [goodness(c.predict(inner.features), inner.labels, select_by) for c in candidates]
    assert chosen.values in [
        c.values for c, v in zip(candidates, values, strict=True) if v == max(values)
    ]


def goodness(probabilities: np.ndarray, labels: np.ndarray, name: str) -> float:
    from sklearn import metrics

    if name == "loss":
        own = np.clip(probabilities[np.arange(len(labels)), labels], 1e-12, None)
        return float(np.log(own).mean())
    if name == "auroc":
        found = [metrics.roc_auc_score(labels == k, probabilities[:, k]) for k in range(3)]
        return float(np.mean(found))
    called = probabilities.argmax(axis=1)
    scorer = {
        "accuracy": metrics.accuracy_score,
        "balanced_accuracy": metrics.balanced_accuracy_score,
    }
    return float(scorer[name](labels, called))


def test_shuffled_labels_leave_chance() -> None:
    train, inner, test = part(120, 0), part(60, 1), part(600, 2)
    shuffled = np.random.default_rng(5).permutation(train.labels)
    for method in ("linear", "knn"):
        settings = ProbingConfig(method=method, penalties=(1e-3, 0.1))
        chosen = choose(settings, Part(train.features, shuffled), inner, CLASSES, "")
        honest = choose(settings, train, inner, CLASSES, "")
        aurocs = [
            goodness(one.predict(test.features), test.labels, "auroc")
            for one in (chosen, honest)
        ]
        assert abs(aurocs[0] - 0.5) < 0.2 < aurocs[1] - 0.5
