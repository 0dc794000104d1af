"""Checklists filled from runs of every kind: what is claimed stands in the run's files."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs_by_hand import facts_of
from sklearn.metrics import confusion_matrix

from glcm_mae.published.checklists import Checklist, read_checklists
from glcm_mae.report.answers import ANSWERS
from glcm_mae.report.compliance import (
    FilledItem,
    fill,
    format_csv,
    format_markdown,
    share_filled,
    summary,
    write_checklist,
)
from glcm_mae.report.evidence import Evidence
from glcm_mae.report.facts import Attachment, Facts

CLAIM, TRIPOD = read_checklists()
KINDS: dict[str, dict[str, Any]] = {
    "fine-tuned": {},
    "linear": {"protocol": "linear"},
    "nearest": {"protocol": "knn", "seeds": 2},
    "scratch": {"start": "scratch"},
    "given": {"start": "weights", "weights": "/home/ann/encoders/dino"},
    "baseline": {"start": "scratch", "baseline": "resnet18"},
    "official": {"given_split": True, "folds": 1, "scores": {"official": True}},
    "three classes": {"classes": ("a", "b", "c"), "positive": ""},
    "merged": {"classes": ("a", "b", "c"), "positive": "b"},
    "optimistic": {"finetuning": {"selection": "test-fold"}, "transductive": True},
}


def facts_of_kind(kind: str) -> Facts:
    return facts_of(**KINDS[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("checklist", [CLAIM, TRIPOD], ids=lambda one: one.key)
def test_three_fifths_of_a_run_of_any_kind_are_filled(checklist: Checklist, kind: str) -> None:
    items = fill(checklist, facts_of_kind(kind))
    assert [item.number for item in items] == [item.number for item in checklist.items]
    assert share_filled(items) >= 0.6
    for item in items:
        assert item.answer or item.remains
        assert bool(item.answer) == bool(item.source) == (item.status != "todo")
        assert "/home" not in item.answer
        assert "ann" not in re.findall(r"\w+", item.answer)


class Spy(Evidence):
    """Remembers the values that answers were made of."""

    values: list[Any]

    def begin(self) -> None:
        super().begin()
        self.values = []

    def _note(self, value: Any) -> Any:
        self.values.append(value)
        return value

    def setting(self, key: str) -> Any:
        return self._note(super().setting(key))

    def score(self, key: str) -> Any:
        return self._note(super().score(key))

    def judged(self, key: str) -> Any:
        return self._note(super().judged(key))

    def environment(self, key: str) -> Any:
        return self._note(super().environment(key))

    def hash(self, file: str) -> str:
        return str(self._note(super().hash(file)))


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield len(value)
        for key, inner in value.items():
            yield from (str(key), *leaves(inner))
    elif isinstance(value, list | tuple):
        yield len(value)
        for inner in value:
            yield from leaves(inner)
    else:
        yield value


def numbers_of(values: list[Any]) -> set[str]:
    """Return every number that a value may be written as."""
    written: set[str] = set()
    for value in leaves(values):
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, str):
            written |= set(re.findall(r"\d+(?:\.\d+)?", value))
            written |= set(re.findall(r"\d+(?:\.\d+)?", value[:16]))  # a hash is cut
            continue
        size = abs(value)
        written |= {f"{size:g}", f"{100 * size:g}", f"{100 * size:.1f}", f"{size:.3f}"}
        written |= {f"{size + 1:g}"}  # folds are counted from 1
    return written


COUNTED = {"sizes", "class_counts", "failures", "flow", "internal", "external", "computation"}
"""Topics that count rows of tables, which tests of their own hold."""
OWN = {"0", "1", "256", "2.0"}  # gray levels in [0, 1], F1, the linear rule, Apache-2.0


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_of_an_answer_stands_in_the_files_it_names(kind: str) -> None:
    facts = facts_of_kind(kind)
    spy = Spy(facts, facts.runs[0])
    for topic in sorted(set(ANSWERS) - COUNTED - {"explainability"}):
        spy.begin()
        answer = ANSWERS[topic](spy)
        folds = {str(len(facts.runs[0].parts))}
        told = set(re.findall(r"(?<![\w.])\d+(?:\.\d+)?", answer))
        assert told <= numbers_of(spy.values) | OWN | folds, topic
        assert not answer or spy.source, topic


def test_counts_are_those_of_the_tables() -> None:
    facts = facts_of(classes=("a", "b", "c"), positive="")
    found = facts.runs[0].predictions
    matrix = confusion_matrix(found.labels, found.probabilities.argmax(axis=1))
    of = {item.number: item.answer for item in fill(CLAIM, facts)}
    wrong = int(matrix.sum() - matrix.trace())
    assert f"{wrong} of 60 answers are wrong" in of["39"]
    for truth in range(3):
        for called in range(3):
            text = f"{matrix[truth, called]} {'abc'[truth]} called {'abc'[called]}"
            assert (text in of["39"]) == (truth != called and matrix[truth, called] > 0)
    assert "Test images by class: 20 a, 20 b, 20 c (fold 1: 7 a, 7 b, 6 c" in of["36"]
    assert "60 images in 30 groups took part, 2 files were skipped, 60 images were" in of["35"]
    assert "fold 2: 20 train, 20 validation, 20 test" in of["21"]


def test_what_a_run_does_wrong_is_not_left_out() -> None:
    notes = ["WARNING: 3 groups stand in two parts of the given split, which leaks"]
    changed = {
        "notes": notes,
        "grouping": "image",
        "leak_check": {"check": "off"},
        "selection": "test-fold",
        "transductive": True,
    }
    facts = facts_of(finetuning={"selection": "test-fold"}, transductive=True, scores=changed)
    of = {item.number: item.answer for item in fill(CLAIM, facts)}
    assert "3 groups stand in two parts" in of["20"]
    assert "ON THE TEST PART" in of["26"]
    assert "all images, those of the test folds too" in of["24"]
    assert "picked by the labels of the test part" in of["32"]
    for fault in ("one patient", "3 groups", "test part", "saw the test", "not looked for"):
        assert fault in of["40"]


def test_what_only_people_know_is_left_to_them() -> None:
    for checklist, numbers in ((CLAIM, "2 3 34 41 44"), (TRIPOD, "3a 17 18a 18b 18d 19 25")):
        of = {item.number: item for item in fill(checklist, facts_of())}
        for number in numbers.split():
            assert of[number].status == "todo"
            assert of[number].remains.startswith("Write ")
            assert not of[number].source


def test_a_study_that_was_not_made_is_not_claimed_and_one_that_was_is() -> None:
    of = {item.number: item for item in fill(CLAIM, facts_of())}
    assert of["31"].status == "todo"
    assert "explanations.json, which glcm-mae explain makes" in of["31"].remains
    assert "controls" not in of["30"].answer
    content = {"run": "one", "cases": [{}] * 5, "map": {"points": [{}] * 9}}
    score = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    kinds = ("label_shuffle", "random_encoder", "trained_encoder")
    controls = {"run": "one", "controls": dict.fromkeys(kinds, score)}
    folder = Path("elsewhere")
    attached = {
        "explanations": [Attachment(folder, {**content, "run": "two"})],
        "controls": [Attachment(folder, controls)],
    }
    of = {item.number: item for item in fill(CLAIM, facts_of(attached=attached))}
    assert of["31"].status == "todo", "it explains another run"
    assert "labels shuffled 50.0 [40.0, 60.0]" in of["30"].answer
    assert "controls.json" in of["30"].source
    attached["explanations"] = [Attachment(folder, content)]
    of = {item.number: item for item in fill(CLAIM, facts_of(attached=attached))}
    assert "maps of 5 test images" in of["31"].answer


def test_changed_images_and_those_of_elsewhere_are_told_where_they_were_tested() -> None:
    of = {item.number: item for item in fill(CLAIM, facts_of())}
    assert "changed" not in of["30"].answer
    assert of["33"].answer.startswith("None in this run")

    def drop(middle: float) -> dict[str, dict[str, float]]:
        limits = {"estimate": middle, "low": middle - 0.01, "high": middle + 0.01}
        return {"mean_drop": {"balanced_accuracy": limits}}

    told = {
        "run": "one",
        "settings": {"score": "balanced_accuracy"},
        "corruptions": {"jpeg": drop(0.0), "blur": drop(0.1), "noise": drop(0.05)},
        **drop(0.05),
        "external": None,
    }
    attached = {"robustness": [Attachment(Path("elsewhere"), told)]}
    of = {item.number: item for item in fill(CLAIM, facts_of(attached=attached))}
    assert (
        "5.0 [4.0, 6.0] over 3 changes; most by blur 10.0 [9.0, 11.0], noise" in of["30"].answer
    )
    assert "robustness.json" in of["30"].source
    assert of["33"].answer.startswith("None in this run")
    pooled = {"auroc": {"estimate": 0.75, "low": 0.7, "high": 0.8}}
    told["external"] = {"pooled": pooled}
    of = {item.number: item for item in fill(CLAIM, facts_of(attached=attached))}
    assert "AUROC (%) 75.0 [70.0, 80.0]" in of["33"].answer


def test_a_run_of_an_older_version_leaves_what_it_lacks_to_the_authors() -> None:
    facts = facts_of()
    facts.runs[0].settings["data"].pop("depth")  # type: ignore[attr-defined]
    of = {item.number: item for item in fill(CLAIM, facts)}
    assert of["9"].status == "todo"
    assert of["9"].remains == "The run does not tell data.depth in config.yaml."


def test_in_cross_validation_there_are_no_two_sets_to_compare() -> None:
    one, other = (
        next(item for item in fill(TRIPOD, facts_of_kind(kind)) if item.number == "20c")
        for kind in ("fine-tuned", "official")
    )
    assert (one.status, one.remains) == ("not applicable", "")
    assert other.status == "todo"
    assert other.remains.startswith("Compare the images of both parts")


def test_a_filled_list_is_written_for_people_and_for_machines(tmp_path: Path) -> None:
    items = fill(TRIPOD, facts_of())
    markdown, table = write_checklist(tmp_path, TRIPOD, items, "one")
    assert (markdown.name, table.name) == (
        "checklist-tripod-ai.md",
        "checklist-tripod-ai.csv",
    )
    text = markdown.read_text()
    assert text == format_markdown(TRIPOD, items, "one")
    assert "doi:10.1136/bmj-2023-078378" in text
    assert "paraphrase" in text
    assert summary(items) in text
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 52 + 2
    assert all(len(re.findall(r"(?<!\\)\|", line)) == 6 for line in lines)
    assert sum("**TODO by the author:**" in line for line in lines) == sum(
        bool(item.remains) for item in items
    )
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [row["status"] for row in rows] == [item.status for item in items]
    assert format_csv(items) == table.read_text()


def test_bars_in_names_do_not_break_the_table() -> None:
    item = FilledItem("1", "Title", "Asks a|b", "filled", "c|d", "e", "")
    text = format_markdown(CLAIM, [item], "one")
    assert "Asks a\\|b" in text
    assert "c\\|d" in text
