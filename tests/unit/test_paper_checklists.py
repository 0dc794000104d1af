"""The checklists as data: all items, each with something that a run or a person can answer."""

import pytest

from glcm_mae.published.checklists import Checklist, read_checklists
from glcm_mae.report.answers import ANSWERS

CLAIM, TRIPOD = read_checklists()
BOTH = pytest.mark.parametrize("checklist", [CLAIM, TRIPOD], ids=lambda one: one.key)


def test_claim_counts_from_one_to_forty_four() -> None:
    assert [item.number for item in CLAIM.items] == [str(n) for n in range(1, 45)]
    assert CLAIM.doi == "10.1148/ryai.240300"


def test_tripod_has_27_main_items_and_52_with_their_parts() -> None:
    numbers = [item.number for item in TRIPOD.items]
    main = [int(number.rstrip("abcdefg")) for number in numbers]
    assert len(numbers) == len(set(numbers)) == 52
    assert sorted(set(main)) == list(range(1, 28))
    assert main == sorted(main)
    parts = {
        number: [n[-1] for n in numbers if n.rstrip("abcdefg") == str(number)]
        for number in (3, 12, 18)
    }
    assert parts == {3: list("abc"), 12: list("abcdefg"), 18: list("abcdef")}
    assert TRIPOD.doi == "10.1136/bmj-2023-078378"


@BOTH
def test_every_item_is_answered_by_a_run_or_left_to_people(checklist: Checklist) -> None:
    for item in checklist.items:
        assert item.topics or item.author, item.number
        assert set(item.topics) <= set(ANSWERS), item.number
        assert item.applies in ("development", "evaluation", "both")
        assert item.text.endswith(".")
    assert "paraphrase" in checklist.note


def test_every_answer_is_asked_for() -> None:
    asked = {topic for one in (CLAIM, TRIPOD) for item in one.items for topic in item.topics}
    assert asked == set(ANSWERS)
