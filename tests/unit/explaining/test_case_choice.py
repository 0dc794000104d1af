"""Which cases are looked at, in the order of their confidence."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from glcm_mae.errors import InputError
from glcm_mae.evaluation import Predictions
from glcm_mae.explaining.cases import choose_cases


def said(shares: list[float], labels: list[int], fold: int = 0) -> Predictions:
    """Two classes; the shares are those of the second."""
    second = np.array(shares)
    return Predictions(
        tuple(f"{n}.png" for n in range(len(shares))),
        np.full(len(shares), fold),
        np.array(labels),
        np.stack([1 - second, second], axis=1),
        ("well", "ill"),
    )


def test_the_most_confident_of_each_kind_come_first() -> None:
    found = said([0.9, 0.2, 0.7, 0.45, 0.05, 0.6], [0, 1, 1, 0, 0, 0])
    cases = choose_cases(found, wrong=2, right=2, uncertain=1)
    assert [(case.place, case.kind, case.number) for case in cases] == [
        (0, "wrong", 1),
        (1, "wrong", 2),
        (4, "right", 1),
        (2, "right", 2),
        (3, "uncertain", 1),
    ]


def test_fewer_errors_than_asked_for_are_all_taken() -> None:
    cases = choose_cases(said([0.9, 0.1, 0.2], [1, 0, 1]), wrong=2, right=1, uncertain=0)
    assert [(case.place, case.kind) for case in cases] == [(2, "wrong"), (0, "right")]


def test_of_several_classes_the_two_likeliest_decide_what_is_uncertain() -> None:
    found = Predictions(
        ("a", "b"),
        np.zeros(2, dtype=int),
        np.zeros(2, dtype=int),
        np.array([[0.4, 0.3, 0.3], [0.48, 0.47, 0.05]]),
        ("x", "y", "z"),
    )
    (case,) = choose_cases(found, wrong=0, right=0, uncertain=1)
    assert case.place == 1


def test_more_cases_than_images_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"4 cases are asked for, but fold 3 has 3 test images"
    ):
        choose_cases(said([0.1, 0.2, 0.3], [0, 0, 1], fold=3), wrong=1, right=1, uncertain=2)


@given(
    rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 1)), min_size=6, max_size=20),
    counts=st.tuples(*[st.integers(0, 2)] * 3),
)
def test_no_image_is_chosen_twice_and_kinds_are_what_they_say(
    rows: list[tuple[float, int]], counts: tuple[int, int, int]
) -> None:
    found = said([share for share, _ in rows], [label for _, label in rows])
    wrong, right, uncertain = counts
    hit = found.probabilities.argmax(axis=1) == found.labels
    assume(uncertain or (wrong and not hit.all()) or (right and hit.any()))
    cases = choose_cases(found, wrong=wrong, right=right, uncertain=uncertain)
    places = [case.place for case in cases]
    assert len(set(places)) == len(places) <= sum(counts)
    assert all(
        hit[case.place] == (case.kind == "right") for case in cases if case.kind != "uncertain"
    )
    assert sum(case.kind == "uncertain" for case in cases) == uncertain


def test_wrong_images_alone_are_not_to_be_had_where_there_are_none() -> None:
    with pytest.raises(InputError, match=r"fold 3 has no image of the kind asked for; ask for"):
        choose_cases(said([0.1, 0.2, 0.3], [0, 0, 0], fold=3), wrong=2, right=0, uncertain=0)
