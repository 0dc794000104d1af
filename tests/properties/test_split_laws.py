"""Laws of folds, for any labels and any patients."""

import numpy as np
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from glcm_mae.data.splits import Fold, hold_out, make_folds
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
    assert sorted(rows) == list(range(len(labels)))  # disjoint and complete
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


@given(patients_of_one_class(), SEEDS)
@settings(max_examples=15)
def test_names_of_patients_do_not_matter(
    table: tuple[np.ndarray, list[str]], seed: int
) -> None:
    """Renaming that keeps the order of the names leaves the folds as they are."""
    labels, groups = table
    renamed = [f"hospital 7, {name}" for name in groups]
    left = make_folds(labels, groups, count=3, validation_share=0.2, seed=seed)
    right = make_folds(labels, renamed, count=3, validation_share=0.2, seed=seed)
    for one, other in zip(left, right, strict=True):
        for part in ("train", "validation", "test"):
            np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
