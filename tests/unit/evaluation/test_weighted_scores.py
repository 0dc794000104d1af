"""Scores under weights: equal to scikit-learn's, and to counting images several times."""

import numpy as np
import pytest
from sklearn import metrics

from glcm_mae.evaluation import SCORES, Cases, WeightedScores, score_cases

COUNT, SETS = 90, 6


def drawn(classes: int, *, ties: bool, seed: int = 0) -> Cases:
    rng = np.random.default_rng(seed)
    labels = np.arange(COUNT) % classes
    logits = rng.normal(size=(COUNT, classes)) + 1.2 * np.eye(classes)[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if ties:
        shares = np.round(shares, 1) + 0.01
        shares /= shares.sum(axis=1, keepdims=True)
    return Cases.of(labels, shares, positive=1)


@pytest.fixture(params=[(2, False), (2, True), (3, False), (4, True)], ids=str)
def cases(request: pytest.FixtureRequest) -> Cases:
    classes, ties = request.param
    return drawn(classes, ties=ties)


def test_weights_of_one_are_the_scores_themselves(cases: Cases) -> None:
    found = WeightedScores(cases, SCORES)(np.ones((1, COUNT)))
    expected = score_cases(cases)
    assert list(found) == list(SCORES)
    for name in SCORES:
        assert found[name][0] == pytest.approx(expected[name], abs=1e-12), name


def test_a_weight_is_how_often_an_image_counts(cases: Cases) -> None:
    weights = np.random.default_rng(1).integers(0, 4, (SETS, COUNT))
    names = [name for name in SCORES if name != "ece"]  # its bins are those of all images
    found = WeightedScores(cases, names)(weights.astype(float))
    for number, row in enumerate(weights):
        expected = score_cases(cases.rows(np.repeat(np.arange(COUNT), row)))
        for name in names:
            assert found[name][number] == pytest.approx(expected[name], abs=1e-10), name


def scikit_learns(cases: Cases, weight: np.ndarray) -> dict[str, float]:
    """Every score as scikit-learn has it, with its own sample_weight."""
    labels, called, shares = cases.labels, cases.called, cases.probabilities
    options = {"sample_weight": weight}
    numbers = range(cases.classes) if cases.positive is None else [cases.positive]
    own = []
    for number in numbers:
        truth, chosen, certainty = labels == number, called == number, shares[:, number]
        own.append(
            {
                "sensitivity": metrics.recall_score(truth, chosen, **options),
                "specificity": metrics.recall_score(~truth, ~chosen, **options),
                "ppv": metrics.precision_score(truth, chosen, **options),
                "npv": metrics.precision_score(~truth, ~chosen, **options),
                "f1": metrics.f1_score(truth, chosen, **options),
                "auroc": metrics.roc_auc_score(truth, certainty, **options),
                "auprc": metrics.average_precision_score(truth, certainty, **options),
            }
        )
    return {
        "accuracy": metrics.accuracy_score(labels, called, **options),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, called, **options),
        "mcc": metrics.matthews_corrcoef(labels, called, **options),
        "log_loss": metrics.log_loss(labels, shares, **options),
        "brier": metrics.brier_score_loss(labels, shares, scale_by_half=True, **options)
        if cases.classes > 2
        else metrics.brier_score_loss(labels, shares[:, 1], **options),
        **{name: float(np.mean([scores[name] for scores in own])) for name in own[0]},
    }


def test_scikit_learn_agrees_for_any_weights(cases: Cases) -> None:
    weights = np.random.default_rng(2).gamma(1.0, size=(SETS, COUNT))
    found = WeightedScores(cases, SCORES)(weights)
    for number, weight in enumerate(weights):
        for name, expected in scikit_learns(cases, weight).items():
            assert found[name][number] == pytest.approx(expected, abs=1e-10), name


def test_only_what_is_asked_for_is_returned(cases: Cases) -> None:
    assert list(WeightedScores(cases, ["f1", "accuracy"])(np.ones((2, COUNT)))) == [
        "f1",
        "accuracy",
    ]


def test_a_score_without_meaning_under_some_weights_is_nan_there() -> None:
    cases = drawn(2, ties=False)
    weights = np.stack([np.ones(COUNT), (cases.labels == 0).astype(float)])
    found = WeightedScores(cases, SCORES)(weights)
    for name in ("sensitivity", "auroc", "auprc", "mcc"):
        assert np.isfinite(found[name]).tolist() == [True, False], name
    for name in ("accuracy", "balanced_accuracy", "specificity", "brier", "ece"):
        assert np.isfinite(found[name]).all(), name
