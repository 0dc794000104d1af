"""Groups are dealt to folds as scikit-learn deals them."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedGroupKFold

from glcm_mae.data.folds.dealing import deal_groups


def by_scikit_learn(
    labels: np.ndarray, groups: np.ndarray, count: int, seed: int
) -> np.ndarray:
    folds = np.full(len(labels), -1)
    splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class may have fewer rows than there are folds
        for number, (_, test) in enumerate(splitter.split(labels, labels, groups)):
            folds[test] = number
    return folds


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(2, 6),
    classes=st.integers(1, 5),
    patients=st.integers(6, 40),
    alone=st.booleans(),
)
@settings(max_examples=100)
def test_folds_are_those_of_scikit_learn(
    seed: int, count: int, classes: int, patients: int, alone: bool
) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(patients), rng.integers(1, 6, patients)))
    labels = groups % classes if alone else rng.integers(0, classes, len(groups))
    labels = 2 * labels + 1  # which need not be numbered from zero
    found = deal_groups(labels, groups, count, seed=seed)
    np.testing.assert_array_equal(found, by_scikit_learn(labels, groups, count, seed))


@pytest.mark.parametrize("count", [2, 3])
def test_a_group_is_in_one_fold(count: int) -> None:
    groups = np.arange(60) // 4
    folds = deal_groups(np.arange(60) % 3, groups, count, seed=0)
    assert {len(set(folds[groups == group])) for group in range(15)} == {1}
    assert set(folds) == set(range(count))
