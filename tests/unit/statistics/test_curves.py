"""Curves on a grid, against scikit-learn and by their laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import auc, average_precision_score, roc_auc_score, roc_curve

from glcm_mae.statistics.curves import precision_curves, roc_curves

GRID = np.linspace(0, 1, 201)


def cases(seed: int, images: int = 60) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = np.arange(images) % 3 == 0
    return truth, np.round(rng.normal(size=images) + truth, 1)  # rounding makes ties


@pytest.mark.parametrize("seed", range(5))
def test_roc_is_that_of_scikit_learn(seed: int) -> None:
    truth, scores = cases(seed)
    weights = np.random.default_rng(seed).integers(0, 3, size=(3, len(truth))).astype(float)
    found = roc_curves(truth, scores, weights, GRID)
    for row, own in zip(found, weights, strict=True):
        x, y, _ = roc_curve(truth, scores, sample_weight=own, drop_intermediate=False)
        assert row == pytest.approx(np.interp(GRID, x, y))


@pytest.mark.parametrize("seed", range(5))
def test_the_area_under_it_is_the_auroc(seed: int) -> None:
    truth, scores = cases(seed, 30)
    places = np.unique(np.concatenate([GRID, np.arange(21) / 20]))
    curve = roc_curves(truth, scores, np.ones((1, 30)), places)[0]
    # A step that rises upright within the grid costs the trapezoids at most half a cell.
    assert auc(places, curve) == pytest.approx(roc_auc_score(truth, scores), abs=0.005)


@pytest.mark.parametrize("seed", range(5))
def test_mean_precision_over_recalls_is_the_average_precision(seed: int) -> None:
    truth, scores = cases(seed)
    positives = int(truth.sum())
    recalls = np.arange(1, positives + 1) / positives  # every recall that there is
    found = precision_curves(truth, scores, np.ones((1, len(truth))), recalls)[0]
    assert found.mean() == pytest.approx(average_precision_score(truth, scores))


@given(
    hnp.arrays(float, 24, elements=st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9])),
    hnp.arrays(float, 24, elements=st.sampled_from([0.0, 1.0, 2.0])),
)
def test_laws(scores: np.ndarray, weights: np.ndarray) -> None:
    truth = np.arange(24) % 2 == 0
    curve = roc_curves(truth, scores, weights[None], GRID)[0]
    if weights[truth].sum() == 0 or weights[~truth].sum() == 0:
        assert np.isnan(curve).all()
        return
    assert (np.diff(curve) >= -1e-12).all()
    assert curve[-1] == pytest.approx(1.0)
    precision = precision_curves(truth, scores, weights[None], GRID[1:])[0]
    assert ((precision > 0) & (precision <= 1)).all()
    share = weights[truth].sum() / weights.sum()
    assert precision[-1] >= share - 1e-12


def test_weights_of_whole_numbers_are_repeated_images() -> None:
    truth, scores = cases(1, 20)
    weights = np.random.default_rng(2).integers(0, 4, size=20)
    repeated = np.repeat(np.arange(20), weights)
    ones = np.ones((1, len(repeated)))
    for of, grid in ((roc_curves, GRID), (precision_curves, GRID[1:])):
        found = of(truth, scores, weights[None].astype(float), grid)
        again = of(truth[repeated], scores[repeated], ones, grid)
        assert found == pytest.approx(again)
