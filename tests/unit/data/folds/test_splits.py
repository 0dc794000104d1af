"""Folds on cases small enough to see through, and every refusal."""

import warnings
from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.folds.splits import (
    Fold,
    fold_from_splits,
    hold_out,
    make_folds,
    official_fold,
)
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError

LABELS = [0] * 20 + [1] * 10
PATIENTS = [f"p{i // 2}" for i in range(30)]  # two images each, of one class


def parts(fold: Fold) -> tuple[set[int], set[int], set[int]]:
    return set(fold.train), set(fold.validation), set(fold.test)


def shares(rows: np.ndarray) -> list[int]:
    return np.bincount(np.take(LABELS, rows), minlength=2).tolist()


def test_folds_of_a_case_that_divides_evenly() -> None:
    folds = make_folds(LABELS, PATIENTS, count=5, validation_share=0.25, seed=0)
    for fold in folds:
        assert shares(fold.test) == [4, 2]
        assert shares(fold.validation) == [4, 2]
        assert shares(fold.train) == [12, 6]
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(30))


def test_no_patient_stands_on_two_sides() -> None:
    for fold in make_folds(LABELS, PATIENTS, count=3, validation_share=0.3, seed=1):
        sides = [{PATIENTS[i] for i in part} for part in parts(fold)]
        assert sum(map(len, sides)) == len(set.union(*sides)) == 15


def test_a_seed_draws_the_same_folds_again_and_another_does_not() -> None:
    def draw(seed: int) -> list[list[int]]:
        folds = make_folds(LABELS, PATIENTS, count=5, validation_share=0.25, seed=seed)
        return [[*getattr(fold, part)] for fold in folds for part in ("test", "validation")]

    assert draw(3) == draw(3)
    for one, other in zip(draw(3), draw(4), strict=True):
        assert one != other


def test_the_type_of_the_arguments_does_not_matter() -> None:
    listed = make_folds(LABELS, PATIENTS, count=4, validation_share=0.2, seed=0)
    labels, patients = np.array(LABELS, dtype=np.int32), np.array(PATIENTS)
    arrays = make_folds(labels, patients, count=4, validation_share=0.2, seed=0)
    for left, right in zip(listed, arrays, strict=True):
        assert parts(left) == parts(right)
        assert left.train.dtype == np.intp


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5])
def test_rare_classes_reach_every_part(share: float) -> None:
    """Three patients of a class suffice, even where one has most of the images."""
    labels = [0] * 60 + [1] * 11
    groups = [f"p{i}" for i in range(60)] + [*"abbbbbccccc"]
    for seed in range(20):
        fold = hold_out(labels, groups, validation_share=share, test_share=share, seed=seed)
        for part in parts(fold):
            assert {labels[i] for i in part} == {0, 1}


def test_a_class_of_few_patients_is_trained_and_validated_on() -> None:
    labels = [0] * 60 + [1] * 3
    groups = [f"p{i}" for i in range(63)]
    for fold in make_folds(labels, groups, count=3, validation_share=0.05, seed=0):
        for part in parts(fold):
            assert {labels[i] for i in part} == {0, 1}


def test_the_only_patient_of_a_class_is_trained_on() -> None:
    """One of the two patients of class 1 tests, the other is all that is left."""
    labels, groups = [0] * 10 + [1] * 6, [*"abcdefghij", *"kkkkkl"]
    for seed in range(10):
        for fold in make_folds(labels, groups, count=2, validation_share=0.5, seed=seed):
            assert {labels[i] for i in fold.train} == {0, 1}
            assert {labels[i] for i in fold.validation} == {0}


def test_train_keeps_a_class_that_patients_share() -> None:
    """All of class 1 outside the test part is with one patient who is mostly of class 0."""
    labels = [0] * 12 + [1, 0, 0, 0] * 2
    groups = [*"abcdefghijkl", *"mmmm", *"nnnn"]
    for seed in range(10):
        for fold in make_folds(labels, groups, count=2, validation_share=0.5, seed=seed):
            assert {labels[i] for i in fold.train} == {0, 1}


def test_the_share_is_met_among_patients_of_unequal_size() -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(1, 12, 200)
    groups = [f"p{i}" for i in np.repeat(np.arange(200), sizes)]
    labels = np.repeat(generator.integers(0, 3, 200), sizes)
    for share in (0.08, 0.15, 0.35):
        for fold in make_folds(labels, groups, count=4, validation_share=share, seed=0):
            rest = np.concatenate([fold.train, fold.validation])
            for label in range(3):
                held = (labels[fold.validation] == label).sum()
                assert abs(held - share * (labels[rest] == label).sum()) < 12


def test_hold_out_of_a_case_that_divides_evenly() -> None:
    fold = hold_out(LABELS, PATIENTS, validation_share=0.25, test_share=0.2, seed=0)
    assert [shares(part) for part in (fold.train, fold.validation, fold.test)] == [
        [12, 6],
        [4, 2],
        [4, 2],
    ]
    assert sorted(set.union(*parts(fold))) == list(range(30))


def test_warnings_of_scikit_learn_stay_inside() -> None:
    labels, groups = [0, 0, 1, 1, 1, 1], list("abcdef")
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        make_folds(labels, groups, count=2, validation_share=0.1, seed=0)
    assert not heard


@pytest.mark.parametrize("share", [0, -0.1, 0.51, 1, float("nan")])
def test_shares_out_of_range(share: float) -> None:
    message = f"validation_share: must be above 0 and at most 0.5, got {share}"
    with pytest.raises(InputError, match=message):
        make_folds(LABELS, PATIENTS, count=3, validation_share=share, seed=0)
    with pytest.raises(InputError, match=message.replace("validation", "test")):
        hold_out(LABELS, PATIENTS, validation_share=0.2, test_share=share, seed=0)


@pytest.mark.parametrize("count", [1, 0, -3])
def test_too_few_folds(count: int) -> None:
    with pytest.raises(InputError, match=f"folds: must be at least 2, got {count}"):
        make_folds(LABELS, PATIENTS, count=count, validation_share=0.2, seed=0)


def test_labels_and_groups_of_different_length() -> None:
    with pytest.raises(InputError, match="needs one entry per label, got 29 for 30 labels"):
        make_folds(LABELS, PATIENTS[1:], count=3, validation_share=0.2, seed=0)


def test_fewer_patients_than_folds() -> None:
    with pytest.raises(InputError) as caught:
        make_folds([0, 1, 0, 1], ["a", "a", "b", "b"], count=3, validation_share=0.2, seed=0)
    assert str(caught.value) == (
        "groups: 2 patients (groups) for 3 folds; each needs one of its own, "
        "ask for fewer or add patients"
    )


@pytest.mark.parametrize(("classes", "name"), [((), "1"), (("well", "ill"), "'ill'")])
def test_a_class_of_fewer_patients_than_folds(classes: tuple[str, ...], name: str) -> None:
    labels, groups = [0] * 8 + [1] * 4, [*"abcdefgh", "i", "i", "j", "j"]
    with pytest.raises(InputError) as caught:
        make_folds(labels, groups, count=4, validation_share=0.2, seed=0, classes=classes)
    assert str(caught.value) == (
        f"groups: 2 patients (groups) of class {name} for 4 folds; each needs one of its own, "
        "ask for fewer, add patients or leave out the class"
    )


def test_a_class_of_fewer_patients_than_parts() -> None:
    labels, groups = [0] * 8 + [1] * 2, list("abcdefghij")
    with pytest.raises(InputError, match="of class 'ill' for train, validation and test; each"):
        hold_out(
            labels,
            groups,
            validation_share=0.2,
            test_share=0.2,
            seed=0,
            classes=("well", "ill"),
        )


def test_one_patient_outside_the_test_part() -> None:
    with pytest.raises(InputError) as caught:
        make_folds([0, 1, 0, 1], ["a", "a", "b", "b"], count=2, validation_share=0.2, seed=0)
    assert str(caught.value) == (
        "groups: no patient (group) can be held out of train without taking a whole class "
        "along; ask for more folds or add patients"
    )


@pytest.mark.parametrize("name", ["val", "valid", "validation", " Val "])
def test_parts_by_name(name: str) -> None:
    fold = fold_from_splits(["TEST", "train", name, "train", "test"])
    assert parts(fold) == ({1, 3}, {2}, {0, 4})


def test_rows_of_no_part_are_unused() -> None:
    fold = fold_from_splits(["test", "unused", "train", "val", "Unused"])
    assert parts(fold) == ({2}, {3}, {0})


def test_the_first_repeat_is_what_one_repeat_gives_and_the_others_differ() -> None:
    once = make_folds(LABELS, PATIENTS, count=3, validation_share=0.3, seed=5)
    thrice = make_folds(LABELS, PATIENTS, count=3, validation_share=0.3, seed=5, repeats=3)
    assert [parts(fold) for fold in thrice[:3]] == [parts(fold) for fold in once]
    tests = [tuple(fold.test) for fold in thrice]
    assert len(tests) == len(set(tests)) == 9


def test_names_of_groups_in_another_order_draw_the_same_folds() -> None:
    """Pseudonyms sort in an order that their key decides."""
    renamed = [f"{(int(name[1:]) * 7) % 15:02d}" for name in PATIENTS]
    left = make_folds(LABELS, PATIENTS, count=3, validation_share=0.3, seed=5)
    right = make_folds(LABELS, renamed, count=3, validation_share=0.3, seed=5)
    assert [parts(fold) for fold in left] == [parts(fold) for fold in right]


def test_too_few_repeats() -> None:
    with pytest.raises(InputError, match="repeats: must be at least 1, got 0"):
        make_folds(LABELS, PATIENTS, count=3, validation_share=0.2, seed=0, repeats=0)


def test_unknown_parts() -> None:
    with pytest.raises(InputError) as caught:
        fold_from_splits(["train", "dev", "", "val", "test", "dev"])
    assert str(caught.value) == (
        "split: each row must say train, val, test or unused, found '', 'dev'; correct them, "
        "or leave all cells empty to have the parts drawn"
    )


@pytest.mark.parametrize(
    ("splits", "part", "name"),
    [
        (["train", "test"], "validation", "val"),
        (["train", "val"], "test", "test"),
        (["val", "test"], "train", "train"),
        ([], "train", "train"),
    ],
)
def test_missing_parts(splits: list[str], part: str, name: str) -> None:
    with pytest.raises(InputError) as caught:
        fold_from_splits(splits)
    assert str(caught.value) == (
        f"split: no row is for {part}; give some rows the split {name}, or leave all cells "
        "empty to have the parts drawn"
    )


def test_folds_of_real_patients(kermany_cxr: Path) -> None:
    table = read_table(kermany_cxr / "manifest.csv", labelled=True)
    labels, groups = np.array(table.labels), np.array(table.groups)
    prevalence = labels.mean()
    folds = make_folds(labels, table.groups, count=5, validation_share=0.1, seed=0)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(5856))
    for fold in folds:
        assert not set(groups[fold.test]) & set(groups[fold.train])
        assert not set(groups[fold.validation]) & set(groups[fold.train])
        for part in (fold.train, fold.validation, fold.test):
            assert abs(labels[part].mean() - prevalence) < 0.02
        assert abs(len(fold.validation) / (5856 - len(fold.test)) - 0.1) < 0.01


def test_the_official_parts_of_a_real_set(kermany_cxr: Path) -> None:
    fold = fold_from_splits(read_table(kermany_cxr / "manifest.csv", labelled=True).splits)
    assert [len(part) for part in parts(fold)] == [5216, 16, 624]


def test_an_official_split_with_validation_is_taken_as_it_is() -> None:
    splits = ["test"] * 6 + ["Val"] * 4 + ["train"] * 18 + ["unused"] * 2
    fold = official_fold(splits, LABELS, PATIENTS, validation_share=0.5, seed=0)
    assert parts(fold) == (set(range(10, 28)), set(range(6, 10)), set(range(6)))


def test_an_official_split_without_validation_has_it_cut_from_train() -> None:
    splits = (["test"] * 4 + ["train"] * 16) + (["test"] * 2 + ["train"] * 8)
    fold = official_fold(splits, LABELS, PATIENTS, validation_share=0.25, seed=0)
    train, validation, test = parts(fold)
    assert test == {0, 1, 2, 3, 20, 21}
    assert shares(fold.validation) == [4, 2]
    assert train | validation | test == set(range(30))
    held = {PATIENTS[row] for row in validation}
    assert not held & {PATIENTS[row] for row in train}
    other = official_fold(splits, LABELS, PATIENTS, validation_share=0.25, seed=1)
    assert parts(other)[1] != validation
    again = official_fold(splits, LABELS, PATIENTS, validation_share=0.25, seed=0)
    assert parts(again) == parts(fold)


@pytest.mark.parametrize("lacking", ["train", "test"])
def test_an_official_split_needs_train_and_test(lacking: str) -> None:
    splits = ["test" if lacking == "train" else "train"] * 30
    with pytest.raises(InputError, match=f"split: no row is for {lacking}"):
        official_fold(splits, LABELS, PATIENTS, validation_share=0.25, seed=0)
    with pytest.raises(InputError, match="validation_share: must be above 0"):
        official_fold(
            ["train"] * 20 + ["test"] * 10, LABELS, PATIENTS, validation_share=0.9, seed=0
        )
