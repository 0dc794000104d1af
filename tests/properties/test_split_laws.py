"""Laws of folds, for any labels and any patients."""

import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from glcm_mae.data.folds.fold_files import check_folds, format_folds, read_folds, repeat_numbers
from glcm_mae.data.folds.fractions import label_fraction
from glcm_mae.data.folds.splits import Fold, hold_out, make_folds
from glcm_mae.errors import InputError

SHARES = st.floats(0.02, 0.5)
SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def patients_of_one_class(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Labels and groups in random order; each patient has one class, 1 to 5 images."""
    per_class = draw(st.lists(st.integers(4, 15), min_size=2, max_size=4))
    label_of = np.repeat(np.arange(len(per_class)), per_class)
    sizes = draw(st.lists(st.integers(1, 5), min_size=len(label_of), max_size=len(label_of)))
    patient = np.repeat(np.arange(len(label_of)), sizes)
    patient = draw(st.randoms(use_true_random=False).map(lambda r: shuffled(patient, r)))
    return label_of[patient], [f"p{i}" for i in patient]


def shuffled(values: np.ndarray, random: object) -> np.ndarray:
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    return values[order]


@st.composite
def patients_of_any_class(draw: st.DrawFn) -> tuple[np.ndarray, list[str]]:
    """Labels and groups drawn row by row, so that patients may have several classes."""
    rows = draw(
        st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), min_size=40, max_size=90)
    )
    return np.array([label for label, _ in rows]), [f"p{group}" for _, group in rows]


def check_fold(fold: Fold, labels: np.ndarray, groups: list[str]) -> None:
    parts = (fold.train, fold.validation, fold.test)
    rows = np.concatenate(parts)
    assert (np.sort(rows) == np.arange(len(labels))).all()  # disjoint and complete
    assert all(len(part) > 0 and (np.diff(part) > 0).all() for part in parts)
    sides = [{groups[i] for i in part} for part in parts]
    assert sum(map(len, sides)) == len(set.union(*sides))


@given(patients_of_one_class(), st.integers(2, 4), SHARES, SEEDS)
@settings(max_examples=40)
def test_folds_are_disjoint_complete_and_stratified(
    table: tuple[np.ndarray, list[str]], count: int, share: float, seed: int
) -> None:
    labels, groups = table
    folds = make_folds(labels, groups, count=count, validation_share=share, seed=seed)
    assert len(folds) == count
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(labels)))
    classes = set(labels)
    for fold in folds:
        check_fold(fold, labels, groups)
        assert set(labels[fold.train]) == set(labels[fold.test]) == classes
        rest = np.concatenate([fold.train, fold.validation])
        patients = {(labels[i], groups[i]) for i in rest}
        spared = {c for c in classes if sum(label == c for label, _ in patients) > 1}
        assert set(labels[fold.validation]) == spared


@given(patients_of_one_class(), st.integers(2, 4), SHARES, SEEDS)
@settings(max_examples=25)
def test_the_validation_share_is_met_within_one_patient_per_class(
    table: tuple[np.ndarray, list[str]], count: int, share: float, seed: int
) -> None:
    labels, groups = table
    for fold in make_folds(labels, groups, count=count, validation_share=share, seed=seed):
        rest = np.concatenate([fold.train, fold.validation])
        for label in set(labels):
            held = (labels[fold.validation] == label).sum()
            assert abs(held - share * (labels[rest] == label).sum()) <= 5


@given(patients_of_one_class(), SHARES, SHARES, SEEDS)
@settings(max_examples=40)
def test_a_hold_out_is_disjoint_complete_and_stratified(
    table: tuple[np.ndarray, list[str]], validation: float, test: float, seed: int
) -> None:
    labels, groups = table
    fold = hold_out(labels, groups, validation_share=validation, test_share=test, seed=seed)
    check_fold(fold, labels, groups)
    for part in (fold.train, fold.validation, fold.test):
        assert set(labels[part]) == set(labels)


@given(patients_of_any_class(), st.integers(2, 4), SHARES, SEEDS)
@settings(max_examples=60)
def test_patients_of_several_classes_are_never_torn(
    table: tuple[np.ndarray, list[str]], count: int, share: float, seed: int
) -> None:
    labels, groups = table
    try:
        folds = make_folds(labels, groups, count=count, validation_share=share, seed=seed)
    except InputError:
        reject()  # too few patients
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(labels)))
    for fold in folds:
        check_fold(fold, labels, groups)
        assert set(labels[fold.train]) >= set(labels[fold.validation])


@given(patients_of_any_class(), SHARES, SHARES, SEEDS)
@settings(max_examples=60)
def test_a_hold_out_of_patients_of_several_classes_trains_on_all(
    table: tuple[np.ndarray, list[str]], validation: float, test: float, seed: int
) -> None:
    labels, groups = table
    try:
        fold = hold_out(labels, groups, validation_share=validation, test_share=test, seed=seed)
    except InputError:
        reject()  # too few patients
    check_fold(fold, labels, groups)
    assert set(labels[fold.train]) == set(labels)


@given(patients_of_one_class(), st.randoms(use_true_random=False), SEEDS)
@settings(max_examples=15)
def test_names_of_patients_do_not_matter(
    table: tuple[np.ndarray, list[str]], random: object, seed: int
) -> None:
    """Names in any other order leave folds and fractions as they are."""
    labels, groups = table
    names = sorted(set(groups))
    other = dict(zip(names, shuffled(np.array(names), random), strict=True))
    renamed = [f"hospital 7, {other[name]}" for name in groups]
    left, right = (
        make_folds(labels, names_of, count=3, validation_share=0.2, seed=seed, repeats=2)
        for names_of in (groups, renamed)
    )
    for one, fold in zip(left, right, strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(fold, part))
    rows = left[0].train
    np.testing.assert_array_equal(
        label_fraction(labels, groups, rows, 0.3, seed=seed),
        label_fraction(labels, renamed, rows, 0.3, seed=seed),
    )


def check_repeats(
    table: tuple[np.ndarray, list[str]], count: int, repeats: int, share: float, seed: int
) -> None:
    """All laws that hold for any manifest whose patients have one class each."""
    labels, groups = table
    folds = make_folds(
        labels, groups, count=count, validation_share=share, seed=seed, repeats=repeats
    )
    assert repeat_numbers(folds) == [i // count for i in range(count * repeats)]
    check_folds(folds, groups)
    largest = Counter(zip(labels.tolist(), groups, strict=True))
    for first in range(0, len(folds), count):
        repeat = folds[first : first + count]
        tested = np.concatenate([fold.test for fold in repeat])
        assert (np.sort(tested) == np.arange(len(labels))).all()
        for label in set(labels.tolist()):
            held = [(labels[fold.test] == label).sum() for fold in repeat]
            bound = max(size for (of, _), size in largest.items() if of == label)
            assert max(held) - min(held) <= bound
    for fold in folds:
        check_fold(fold, labels, groups)
        assert set(labels[fold.train]) == set(labels[fold.test]) == set(labels)


@given(patients_of_one_class(), st.integers(2, 4), st.integers(1, 3), SHARES, SEEDS)
@settings(max_examples=60)
def test_every_repeat_tests_each_row_once_within_one_group_of_even(
    table: tuple[np.ndarray, list[str]], count: int, repeats: int, share: float, seed: int
) -> None:
    check_repeats(table, count, repeats, share, seed)


@pytest.mark.slow
def test_ten_thousand_random_manifests() -> None:
    """numpy draws them, since hypothesis would take minutes for so many."""
    rng, refused = np.random.default_rng(0), 0
    for seed in range(10_000):
        per_class = rng.integers(4, 9, rng.integers(2, 4))
        sizes = rng.integers(1, 6, per_class.sum())
        patient = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        labels = np.repeat(np.arange(len(per_class)), per_class)[patient]
        count, share = int(rng.integers(2, 4)), float(rng.uniform(0.02, 0.5))
        try:
            check_repeats((labels, [f"p{i}" for i in patient]), count, 1, share, seed)
        except InputError:
            refused += 1  # every class has but one patient outside a test part
    assert refused < 100


@given(st.one_of(patients_of_one_class(), patients_of_any_class()), SEEDS)
@settings(max_examples=30)
def test_smaller_fractions_lie_inside_larger_ones(
    table: tuple[np.ndarray, list[str]], seed: int
) -> None:
    labels, groups = table
    rows = np.arange(len(labels))
    smaller: set[int] = set()
    for share in (0.01, 0.05, 0.1, 0.25, 0.6, 1.0):
        drawn = label_fraction(labels, groups, rows, share, seed=seed)
        assert (np.diff(drawn) > 0).all()
        assert set(labels[drawn]) == set(labels)  # each class has a group
        assert smaller <= set(drawn)
        inside, outside = (
            {groups[i] for i in drawn},
            {groups[i] for i in set(rows) - set(drawn)},
        )
        assert not inside & outside
        smaller = set(drawn)
    assert smaller == set(rows)


@given(patients_of_one_class(), st.floats(0.02, 1.0), SEEDS)
@settings(max_examples=60)
def test_a_fraction_is_met_within_half_a_group_per_class(
    table: tuple[np.ndarray, list[str]], share: float, seed: int
) -> None:
    labels, groups = table
    drawn = label_fraction(labels, groups, np.arange(len(labels)), share, seed=seed)
    for label in set(labels):
        taken, every = (labels[drawn] == label).sum(), (labels == label).sum()
        only = len({groups[i] for i in drawn if labels[i] == label}) == 1
        assert abs(taken - share * every) <= 2.5 or (only and taken > share * every)


@given(patients_of_any_class(), st.integers(2, 4), st.integers(1, 2), SHARES, SEEDS)
@settings(max_examples=30)
def test_folds_come_back_from_a_file(
    table: tuple[np.ndarray, list[str]], count: int, repeats: int, share: float, seed: int
) -> None:
    labels, groups = table
    try:
        folds = make_folds(
            labels, groups, count=count, validation_share=share, seed=seed, repeats=repeats
        )
    except InputError:
        reject()  # too few patients
    folds[0] = replace(folds[0], train=folds[0].train[::2])  # the others are unused
    names = [f"image, {i}.png" for i in range(len(labels))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "folds.csv")
        path.write_text(format_folds(names, folds), encoding="utf-8")
        back = read_folds(path, names)
    check_folds(back, groups)
    for one, other in zip(folds, back, strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
