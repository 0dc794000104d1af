"""Whether two runs may be compared, and how they differ if not."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from glcm_mae.comparison.finished import FinishedRun
from glcm_mae.errors import InputError


@dataclass(frozen=True)
class Discrepancy:
    """In what two runs differ that have to be alike.

    Attributes:
        text: What differs, in how many images and in which, for instance.
        grave: Whether a comparison would have no meaning at all.
    """

    text: str
    grave: bool


def check_comparable(runs: Sequence[FinishedRun], *, force: bool) -> list[str]:
    """Refuse runs that were not tested alike.

    Args:
        runs: Runs to compare.
        force: Let pass what only makes a comparison unfair.

    Returns:
        What was let pass, for the notes of every table.

    Raises:
        InputError: If a run differs from the first; the message says how.
    """
    passed = []
    first = runs[0]
    for other in runs[1:]:
        found = discrepancies(first, other)
        grave = [item.text for item in found if item.grave]
        unfair = [item.text for item in found if not item.grave]
        names = f"{first.name} and {other.name}"
        if grave:
            raise InputError(f"{names} cannot be compared: {'; '.join(grave + unfair)}")
        if unfair and not force:
            raise InputError(
                f"{names} were not tested alike: {'; '.join(unfair)}; run both alike, or pass "
                "--force true, and every table will tell"
            )
        passed += [f"NOT ALIKE ({names}): {text}" for text in unfair]
    return passed


def discrepancies(first: FinishedRun, other: FinishedRun) -> list[Discrepancy]:
    """Return in what two runs differ; later checks need what earlier ones found alike."""
    for check in (_classes, _images, _labels, _test_folds):
        if text := check(first, other):
            return [Discrepancy(text, grave=True)]
    texts = [check(first, other) for check in (_training, _grouping, _selection, _seen)]
    return [Discrepancy(text, grave=False) for text in texts if text]


def _classes(first: FinishedRun, other: FinishedRun) -> str:
    one, two = first.predictions.classes, other.predictions.classes
    if one != two:
        return f"the classes are {', '.join(one)} in one and {', '.join(two)} in the other"
    if first.positive != other.positive:
        named = [run.positive or "none" for run in (first, other)]
        return f"the positive class is {named[0]} in one and {named[1]} in the other"
    return ""


def _images(first: FinishedRun, other: FinishedRun) -> str:
    one, two = set(first.predictions.paths), set(other.predictions.paths)
    parts = [
        f"{_count(names)} only in {run.name}"
        for run, names in ((first, one - two), (other, two - one))
        if names
    ]
    return f"test images: {', and '.join(parts)}" if parts else ""


def _labels(first: FinishedRun, other: FinishedRun) -> str:
    known = dict(zip(first.predictions.paths, first.predictions.labels.tolist(), strict=True))
    pairs = zip(other.predictions.paths, other.predictions.labels.tolist(), strict=True)
    wrong = {path for path, label in pairs if known[path] != label}
    return f"labels: another one of {_count(wrong)}" if wrong else ""


def _test_folds(first: FinishedRun, other: FinishedRun) -> str:
    one, two = test_folds(first), test_folds(other)
    if len(one) != len(two):
        return f"there are {len(one)} trained models in one and {len(two)} in the other"
    passes = [{repeat for repeat, _ in folds} for folds in (one, two)]
    if len(passes[0]) != len(passes[1]):
        return f"the images are passed {len(passes[0])} and {len(passes[1])} times"
    if set(one) == set(two):
        return ""
    kept = {path for repeat, fold in set(one) & set(two) if repeat == 0 for path in fold}
    moved = set(first.predictions.paths) - kept
    return (
        f"folds: {len(set(one) - set(two))} of {len(one)} test folds hold other images, "
        f"{_count(moved)} concerned; draw them alike by --folds.file "
        f"{first.home / 'folds.csv'}"
    )


def test_folds(run: FinishedRun) -> dict[tuple[int, tuple[str, ...]], int]:
    """Return the number of each trained model by its pass and its test images."""
    found = {}
    for number in np.unique(run.predictions.folds).tolist():
        part = run.predictions.fold(number)
        found[int(part.repeat[0]), tuple(sorted(part.paths))] = number
    return found


def _training(first: FinishedRun, other: FinishedRun) -> str:
    none: Mapping[str, str] = {}
    moved = {
        path
        for one, two in zip_longest(first.parts, other.parts, fillvalue=none)
        for path in {*one, *two}
        if one.get(path, "unused") != two.get(path, "unused")
    }
    return f"training parts: {_count(moved)} in another part" if moved else ""


def _grouping(first: FinishedRun, other: FinishedRun) -> str:
    one, two = (_by_path(run, run.predictions.clusters) for run in (first, other))
    names = sorted(one)
    here, there = (_first_of_each([part[name] for name in names]) for part in (one, two))
    differ = {name for name, a, b in zip(names, here, there, strict=True) if a != b}
    return f"groups: {_count(differ)} in another group" if differ else ""


def _by_path(run: FinishedRun, values: NDArray[np.int64]) -> dict[str, int]:
    return dict(zip(run.predictions.paths, values.tolist(), strict=True))


def _first_of_each(groups: Sequence[Hashable]) -> list[int]:
    """Return for each place the first one of the same group, whatever groups are called."""
    places: Mapping[Hashable, int] = {
        group: place for place, group in reversed(list(enumerate(groups)))
    }
    return [places[group] for group in groups]


def _selection(first: FinishedRun, other: FinishedRun) -> str:
    marked = [run.selection == "test-fold" for run in (first, other)]
    if marked[0] == marked[1]:
        return ""
    name = (first if marked[0] else other).name
    return f"selection: {name} picked its epoch on the test images, the other did not"


def _seen(first: FinishedRun, other: FinishedRun) -> str:
    if first.transductive == other.transductive:
        return ""
    name = (first if first.transductive else other).name
    return f"pre-training: {name} was pre-trained on the test images too, the other was not"


def _count(names: set[str]) -> str:
    """Say how many images, and which for instance."""
    shown = ", ".join(sorted(names)[:3])
    more = ", ..." if len(names) > 3 else ""
    return f"{len(names)} image{'s' if len(names) > 1 else ''} ({shown}{more})"
