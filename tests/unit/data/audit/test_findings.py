"""What was found, in counts and in words."""

from pathlib import Path

import pytest

from glcm_mae.data import ImageTable
from glcm_mae.data.audit.duplicates import Duplicates, Pair
from glcm_mae.data.audit.findings import (
    by_weight,
    count_groups,
    count_pairs,
    describe_headers,
    describe_pair,
    describe_text,
    verdict,
)
from glcm_mae.data.audit.inspection import Header, Inspection
from glcm_mae.data.audit.text import Line

NAMES = ("a.png", "b.png", "c.png", "d.png")


def pair(a: int, b: int, *, exact: bool = False, detail: float = 0.9) -> Pair:
    return Pair(a, b, 3, 0.99, detail, "as it is", (1.0, 1.0), exact)


FOUND = Duplicates((pair(0, 1, exact=True), pair(1, 2), pair(2, 3)), ((0, 1, 2, 3),), 0.5)


def table(*, splits: tuple[str, ...] = (), grouping: str = "manifest") -> ImageTable:
    groups = ("p", "p", "q", "r")
    labels = (0, 0, 0, 1)
    return ImageTable(Path(), NAMES, labels, ("ill", "well"), groups, splits, grouping=grouping)


def test_pairs_are_counted_by_what_they_contradict() -> None:
    counts = count_pairs(table(splits=("train", "train", "test", "test")), FOUND)
    assert counts == {
        "pairs": 3,
        "exact_pairs": 1,
        "near_pairs": 2,
        "clusters": 1,
        "images_in_clusters": 4,
        "pairs_across_classes": 1,
        "pairs_across_splits": 1,
        "pairs_across_groups": 2,
    }


def test_what_is_not_known_is_not_counted() -> None:
    bare = ImageTable(Path(), NAMES, (), (), NAMES, ())
    counts = count_pairs(bare, FOUND)
    unknown = ("pairs_across_classes", "pairs_across_splits", "pairs_across_groups")
    assert [counts[name] for name in unknown] == [None] * 3
    assert count_groups(bare, FOUND)["across_splits"] is None
    assert describe_pair(bare, FOUND.pairs[0])["same_label"] is None


def test_groups_are_joined_and_looked_for_in_the_parts() -> None:
    groups = count_groups(table(splits=("train", "test", "test", "test")), FOUND)
    assert groups == {"grouping": "manifest", "groups": 3, "joined": 1, "across_splits": 1}


def test_pairs_of_two_classes_come_first() -> None:
    pairs = [describe_pair(table(), each) for each in FOUND.pairs]
    assert by_weight(pairs) == [2, 0, 1]


def test_suspected_images_are_named_fullest_first() -> None:
    line = Line(5, (0.1, 0.1, 0.2, 0.5))
    seen = [
        Inspection(),
        Inspection(lines=(line,)),
        Inspection(),
        Inspection(lines=(line,) * 2),
    ]
    text = describe_text(table(), seen)
    assert [each["image"] for each in text["images"]] == ["d.png", "b.png"]
    assert text["suspected"] == 2
    assert text["by_class"] == {"ill": 1, "well": 1}


def test_headers_are_counted_once_a_file() -> None:
    frames = ImageTable(Path(), ("v.dcm",) * 3, (), (), ("v",) * 3, (), (0, 1, 2))
    seen = [Inspection(header=Header("US", "", ("PatientName",)))] * 3
    assert describe_headers(frames, seen) == {
        "files": 1,
        "modality": {"US": 1},
        "burned_in": {"(not stated)": 1},
        "identifying": {"PatientName": 1},
    }


def facts(**changes: object) -> dict[str, object]:
    clean = count_pairs(table(), Duplicates((), (), 0.5))
    base = {
        "duplicates": {"counts": clean},
        "classes": {"ill": {"all": 1}},
        "groups": {"grouping": "manifest", "across_splits": None},
        "sizes": {"areas": {}},
        "gray": {"areas": {}},
        "text": {"suspected": 0},
        "dicom": {"burned_in": {}, "identifying": {}},
        "unreadable": [],
    }
    return base | changes


def test_a_clean_table_has_a_short_verdict() -> None:
    assert verdict(facts()) == ["no duplicates or near-duplicates were found"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"duplicates": {"counts": count_pairs(table(), FOUND)}},
            "1 pair of near-duplicates has different",
        ),
        (
            {"groups": {"grouping": "image", "across_splits": None}},
            "scores from random folds are upper bounds",
        ),
        (
            {"groups": {"grouping": "manifest", "across_splits": 2}},
            "2 groups stand in two parts",
        ),
        ({"gray": {"areas": {"sd": {"ill": 0.2, "well": 0.8}}}}, "AUC 0.20"),
        ({"text": {"suspected": 3}}, "3 images may have text burned in (a suspicion"),
        ({"dicom": {"burned_in": {"YES": 1}, "identifying": {}}}, "1 DICOM file says"),
        ({"dicom": {"burned_in": {}, "identifying": {"PatientName": 4}}}, "first PatientName"),
        ({"unreadable": [{}]}, "--data.on_error skip"),
    ],
)
def test_the_verdict_says_what_and_what_next(changes: dict[str, object], words: str) -> None:
    told = verdict(facts(**changes))
    assert any(words in line for line in told), told
