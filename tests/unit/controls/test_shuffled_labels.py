"""Labels dealt anew: what stays, what changes, and what the mean over shuffles tells."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from glcm_mae.controls.shuffling import Shuffles, shuffle_labels


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), min_size=1, max_size=40),
    st.integers(0, 2**32 - 1),
)
def test_cards_are_dealt_whole_and_none_is_lost(
    images: list[tuple[int, int]], seed: int
) -> None:
    groups, labels = np.array(images).T
    dealt = shuffle_labels(labels, groups, np.random.default_rng(seed))
    cards: dict[tuple[int, int], set[int]] = {}
    for card, new in zip(images, dealt.tolist(), strict=True):
        cards.setdefault(card, set()).add(new)
    assert all(len(new) == 1 for new in cards.values())
    now = Counter(next(iter(new)) for new in cards.values())
    assert now == Counter(label for _, label in cards)


def test_without_groups_it_is_a_permutation_that_depends_on_the_generator_alone() -> None:
    labels, groups = np.repeat([0, 1], 50), np.arange(100)
    first, again, other = (
        shuffle_labels(labels, groups, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert first.sum() == 50
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert 30 < (first == labels).sum() < 70, "half agree by chance"


def test_labels_of_other_length_than_groups_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be alike, got \(2,\), \(3,\)"):
        shuffle_labels(np.zeros(2, int), np.zeros(3, int), np.random.default_rng(0))


def test_the_mean_has_students_interval_and_the_observed_counts_as_one() -> None:
    areas = np.array([0.4, 0.5, 0.6, 0.45])
    found = Shuffles(areas, observed=0.55, confidence=0.9)
    low, high = stats.t.interval(0.9, 3, loc=areas.mean(), scale=stats.sem(areas))
    assert found.mean == pytest.approx((0.4875, low, high))
    assert found.inside
    assert found.p_value == pytest.approx(2 / 5)  # 0.6 is as good, and the observed itself
    assert found.facts()["permutations"] == 4


@pytest.mark.parametrize(("shift", "inside"), [(0.0, True), (0.1, False), (-0.1, False)])
def test_chance_is_missed_on_either_side(shift: float, inside: bool) -> None:
    areas = 0.5 + shift + 0.01 * np.array([-2.0, -1, 0, 1, 2])
    assert Shuffles(areas, 0.9, 0.95).inside is inside


def test_no_score_has_no_p_value() -> None:
    assert np.isnan(Shuffles(np.array([0.5, 0.6]), float("nan"), 0.95).p_value)
