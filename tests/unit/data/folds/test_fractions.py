"""Shares of the labels, on cases small enough to see through."""

import numpy as np
import pytest

from glcm_mae.data.folds.fractions import label_fraction
from glcm_mae.errors import InputError

LABELS = np.array([0] * 40 + [1] * 20)
PATIENTS = [f"p{i // 2}" for i in range(60)]  # two images each, of one class
ROWS = np.arange(60)


@pytest.mark.parametrize(
    ("share", "counts"), [(0.01, [2, 2]), (0.1, [4, 2]), (0.25, [10, 4]), (1.0, [40, 20])]
)
def test_a_share_of_each_class(share: float, counts: list[int]) -> None:
    for seed in range(5):
        drawn = label_fraction(LABELS, PATIENTS, ROWS, share, seed=seed)
        assert np.bincount(LABELS[drawn]).tolist() == counts


def test_only_the_given_rows_are_drawn_from() -> None:
    rows = np.arange(59, 20, -1)
    drawn = label_fraction(LABELS, PATIENTS, rows, 0.5, seed=0)
    assert set(drawn) < set(rows)
    assert (np.diff(drawn) > 0).all()


def test_a_seed_draws_the_same_rows_again_and_another_does_not() -> None:
    def draw(seed: int) -> list[int]:
        return label_fraction(LABELS, PATIENTS, ROWS, 0.2, seed=seed).tolist()

    assert draw(1) == draw(1) != draw(2)


def test_a_class_that_only_mixed_patients_have_is_kept() -> None:
    labels = np.array([0] * 20 + [0, 0, 0, 1] * 3)
    groups = [*"abcdefghijklmnopqrst", *"uuuu", *"vvvv", *"wwww"]
    for seed in range(10):
        drawn = label_fraction(labels, groups, np.arange(32), 0.05, seed=seed)
        assert set(labels[drawn]) == {0, 1}


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_shares_out_of_range(share: float) -> None:
    with pytest.raises(InputError, match=f"above 0 and at most 1, got {share}"):
        label_fraction(LABELS, PATIENTS, ROWS, share, seed=0)


@pytest.mark.parametrize(("classes", "name"), [((), "1"), (("well", "ill"), "'ill'")])
def test_a_class_that_is_not_among_the_rows(classes: tuple[str, ...], name: str) -> None:
    with pytest.raises(InputError) as caught:
        label_fraction(LABELS, PATIENTS, ROWS[:30], 0.5, seed=0, classes=classes)
    assert str(caught.value) == (
        f"label_share: no image of class {name} to draw from; give the train part some, or "
        "leave out the class"
    )
