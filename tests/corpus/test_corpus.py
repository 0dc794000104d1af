"""Every file of the corpus is read as it must be, or refused on one line."""

import re
from pathlib import Path

import numpy as np
import pytest

from corpus.case import Case
from corpus.table import ALL_CASES, PAGE, grouped, table, with_table
from glcm_mae.data.reading.images import UnreadableImageError, read_image

AS_USED = "python tests/corpus/table.py"


SLOW = {"dicom-deflate-bomb"}


def by_name(accepted: bool) -> list[object]:
    return [
        pytest.param(case, id=case.name, marks=[pytest.mark.slow] * (case.name in SLOW))
        for case in ALL_CASES
        if (case.expected is not None) == accepted
    ]


@pytest.mark.parametrize("case", by_name(accepted=True))
def test_its_pixels_are_those_of_the_oracle(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    pixels = read_image(path, frame=case.frame, policy=case.policy)
    assert case.expected is not None
    expected = np.asarray(case.expected(path))
    assert pixels.dtype == np.float32
    assert pixels.ndim == 3
    assert len(pixels) == case.policy.channels
    assert pixels.shape == expected.shape
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    np.testing.assert_allclose(pixels, expected, rtol=0, atol=case.tolerance)


@pytest.mark.parametrize("case", by_name(accepted=False))
def test_it_is_refused_on_one_line(case: Case, tmp_path: Path) -> None:
    path = case.make(tmp_path)
    with pytest.raises(UnreadableImageError) as error:
        read_image(path, frame=case.frame, policy=case.policy)
    text, reason = str(error.value), error.value.reason
    assert text.isprintable()  # one line, and nothing that a terminal obeys
    assert text.startswith(f"{path}: ")
    assert reason
    remedy = text.split(f"({reason}); ")[1]
    assert re.fullmatch(r"\S.*\S, or pass --data\.on_error skip", remedy)
    assert case.refusal
    assert re.search(case.refusal, text)


def test_the_corpus_is_large_and_its_names_are_unique() -> None:
    names = [case.name for case in ALL_CASES]
    assert len(names) >= 120
    assert len(set(names)) == len(names)
    assert [name for name in names if not re.fullmatch("[A-Za-z0-9-]+", name)] == []


def test_every_case_says_what_comes_of_it_and_who_says_so() -> None:
    for case in ALL_CASES:
        assert case.kind, case.name
        assert case.content, case.name
        assert case.outcome, case.name
        assert case.oracle, case.name
        assert (case.expected is None) == bool(case.refusal), case.name
        assert case.outcome.startswith("refused") == (case.expected is None), case.name


def test_the_page_shows_the_corpus_as_it_is() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_table(page), f"run: {AS_USED}"


def test_kinds_stand_together() -> None:
    def case(name: str, kind: str) -> Case:
        return Case(name, kind, "a|b", "value / 255", "by construction", lambda folder: folder)

    cases = [case("one", "PNG"), case("two", "BMP"), case("three", "PNG")]
    assert [one.name for one in grouped(cases)] == ["one", "three", "two"]
    assert "### PNG: 2\n" in table(cases)
    assert "| two | a\\|b | value / 255 | by construction |" in table(cases)
