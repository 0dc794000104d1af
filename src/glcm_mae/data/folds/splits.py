"""Folds that share no patient: every group lies on one side of each split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glcm_mae.data.folds.dealing import deal_groups
from glcm_mae.data.folds.parts import number_groups, part_names
from glcm_mae.errors import InputError

_Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fold:
    """Rows of a table in three disjoint parts, each in ascending order.

    Rows in none of them are unused.

    Attributes:
        train: Rows to learn from.
        validation: Rows to choose settings and epochs by.
        test: Rows to report on, and for nothing else.
    """

    train: _Indices
    validation: _Indices
    test: _Indices


def make_folds(
    labels: Sequence[int] | npt.NDArray[np.integer],
    groups: Sequence[str],
    *,
    count: int,
    validation_share: float,
    seed: int,
    classes: Sequence[str] = (),
    repeats: int = 1,
) -> list[Fold]:
    """Cut folds for cross-validation, stratified by class and disjoint in groups.

    In each repeat, every row is in the test part of exactly one fold. From the other
    rows of a fold the validation part is cut by the same two rules. Where each group is
    of one class, each part has every class; only validation lacks a class that has a
    single group outside the test part.

    Where all groups of a class hold no other class, the rows of that class in any two
    test parts of a repeat differ by at most its largest group: groups are dealt by size,
    each to the fold that has fewest rows of its class. (They are dealt as scikit-learn
    deals them, which takes scores within 1e-5 of each other for equal; beyond some 50,000
    rows the bound may therefore be missed by a few.) No bound holds for groups of several
    classes.

    Args:
        labels: Class index of each row.
        groups: Patient (or other source) of each row.
        count: Number of folds, at least 2.
        validation_share: Share of the rows outside the test part that validate, above
            0 and up to 0.5; whole groups move, so it is met as nearly as they allow.
        seed: The same seed draws the same folds, whatever the groups are called; they
            are numbered as they first appear.
        classes: Names of the classes, for error messages.
        repeats: Times that folds are cut anew, each by a seed of its own.

    Returns:
        The folds, ``count`` for each repeat.

    Raises:
        InputError: If ``count``, ``repeats`` or ``validation_share`` is out of its range,
            a class has fewer groups than there are folds, or none can be spared for
            validation.

    Example:
        >>> labels, patients = [0, 0, 0, 1, 1, 1] * 2, list("abcdefabcdef")
        >>> folds = make_folds(labels, patients, count=3, validation_share=0.5, seed=0)
        >>> [len(fold.test) for fold in folds]
        [4, 4, 4]
        >>> {patients[i] for i in folds[0].test} & {patients[i] for i in folds[0].train}
        set()
    """
    if count < 2:
        raise InputError(f"folds: must be at least 2, got {count}")
    if repeats < 1:
        raise InputError(f"repeats: must be at least 1, got {repeats}")
    _check_share("validation_share", validation_share)
    classes_of, groups_of = _as_arrays(labels, groups)
    _check_groups(classes_of, groups_of, count, f"{count} folds", classes)
    return [
        Fold(*_cut(rest, classes_of, groups_of, validation_share, drawn), np.sort(test))
        for drawn in (_repeat_seed(seed, repeat) for repeat in range(repeats))
        for rest, test in _deal(classes_of, groups_of, count, drawn)
    ]


def _repeat_seed(seed: int, repeat: int) -> int:
    if repeat == 0:
        return seed
    return int(np.random.SeedSequence([seed, repeat]).generate_state(1)[0])


def _deal(
    labels: _Indices, groups: _Indices, count: int, seed: int
) -> list[tuple[_Indices, _Indices]]:
    fold_of = deal_groups(labels, groups, count, seed=seed)
    return [
        (np.flatnonzero(fold_of != fold), np.flatnonzero(fold_of == fold))
        for fold in range(count)
    ]


def hold_out(
    labels: Sequence[int] | npt.NDArray[np.integer],
    groups: Sequence[str],
    *,
    validation_share: float,
    test_share: float,
    seed: int,
    classes: Sequence[str] = (),
) -> Fold:
    """Cut one test and one validation part, stratified and disjoint in groups.

    Args:
        labels: Class index of each row.
        groups: Patient (or other source) of each row.
        validation_share: Share of the rows outside the test part that validate, as in
            :func:`make_folds`; above 0 and up to 0.5.
        test_share: Share of all rows that test, above 0 and up to 0.5.
        seed: The same seed draws the same parts.
        classes: Names of the classes, for error messages.

    Returns:
        The three parts.

    Raises:
        InputError: If a share is out of its range, or a class has fewer than three
            groups, one for each part.

    Example:
        >>> labels, patients = [0, 1] * 10, list("abcdefghijklmnopqrst")
        >>> fold = hold_out(labels, patients, validation_share=0.25, test_share=0.2, seed=0)
        >>> len(fold.train), len(fold.validation), len(fold.test)
        (12, 4, 4)
    """
    _check_share("validation_share", validation_share)
    _check_share("test_share", test_share)
    classes_of, groups_of = _as_arrays(labels, groups)
    _check_groups(classes_of, groups_of, 3, "train, validation and test", classes)
    every = np.arange(len(classes_of))
    rest, test = _cut(every, classes_of, groups_of, test_share, seed, keep=2)
    return Fold(*_cut(rest, classes_of, groups_of, validation_share, seed), test)


def fold_from_splits(splits: Sequence[str]) -> Fold:
    """Take the parts that a manifest tells in its column ``split``.

    Args:
        splits: ``train``, ``val`` (or ``valid``, ``validation``), ``test`` or ``unused``
            for each row, in any case.

    Returns:
        The three parts.

    Raises:
        InputError: If a name is unknown or empty, or a part has no rows.

    Example:
        >>> fold = fold_from_splits(["train", "val", "test", "train"])
        >>> fold.train, fold.validation, fold.test
        (array([0, 3]), array([1]), array([2]))
    """
    names = np.array(part_names(splits))
    _check_parts(names, ("train", "validation", "test"))
    train, validation, test = (
        np.flatnonzero(names == part) for part in ("train", "validation", "test")
    )
    return Fold(train, validation, test)


def _check_parts(names: npt.NDArray[np.str_], needed: Sequence[str]) -> None:
    for part in needed:
        if part not in names:
            raise InputError(
                f"split: no row is for {part}; give some rows the split "
                f"{'val' if part == 'validation' else part}, or leave all cells empty to have "
                "the parts drawn"
            )


def official_fold(
    splits: Sequence[str],
    labels: Sequence[int] | npt.NDArray[np.integer],
    groups: Sequence[str],
    *,
    validation_share: float,
    seed: int,
) -> Fold:
    """Take the parts of a data set's own split; cut validation from train if it has none.

    Args:
        splits: ``train``, ``val``, ``test`` or ``unused`` for each row.
        labels: Class index of each row.
        groups: Patient (or other source) of each row; the cut keeps them together.
        validation_share: Share of the train rows that validate, where no row does.
        seed: The same seed makes the same cut.

    Returns:
        The three parts. Groups that the given split tears apart stay torn.

    Raises:
        InputError: If a name is unknown, no row is for train or test, or none can be
            spared for validation.

    Example:
        >>> splits, labels = ["train"] * 4 + ["test"], [0, 0, 1, 1, 0]
        >>> fold = official_fold(splits, labels, list("abcde"), validation_share=0.5, seed=0)
        >>> len(fold.train), len(fold.validation), fold.test
        (2, 2, array([4]))
    """
    names = np.array(part_names(splits))
    if "validation" in names:
        return fold_from_splits(splits)
    _check_parts(names, ("train", "test"))
    _check_share("validation_share", validation_share)
    train, test = np.flatnonzero(names == "train"), np.flatnonzero(names == "test")
    classes_of, groups_of = _as_arrays(labels, groups)
    return Fold(*_cut(train, classes_of, groups_of, validation_share, seed), test)


def _check_share(name: str, share: float) -> None:
    if not 0 < share <= 0.5:
        raise InputError(f"{name}: must be above 0 and at most 0.5, got {share}")


def _as_arrays(
    labels: Sequence[int] | npt.NDArray[np.integer], groups: Sequence[str]
) -> tuple[_Indices, _Indices]:
    if len(labels) != len(groups):
        raise InputError(
            f"groups: needs one entry per label, got {len(groups)} for {len(labels)} labels"
        )
    return np.asarray(labels, dtype=np.intp), number_groups(groups)


def _check_groups(
    labels: _Indices, groups: _Indices, needed: int, purpose: str, classes: Sequence[str]
) -> None:
    found = len(np.unique(groups))
    if found < needed:
        raise InputError(
            f"groups: {found} patients (groups) for {purpose}; each needs one of its own, "
            "ask for fewer or add patients"
        )
    for label in np.unique(labels):
        found = len(np.unique(groups[labels == label]))
        if found < needed:
            name = repr(classes[label]) if label < len(classes) else f"{label}"
            raise InputError(
                f"groups: {found} patients (groups) of class {name} for {purpose}; each needs "
                "one of its own, ask for fewer, add patients or leave out the class"
            )


def _cut(
    rows: _Indices, labels: _Indices, groups: _Indices, share: float, seed: int, keep: int = 1
) -> tuple[_Indices, _Indices]:
    """Cut off about ``share`` of the rows, leaving each class ``keep`` groups or more.

    Done here because scikit-learn cuts only shares of 1/n.
    """
    labels = labels[rows]
    names, members = np.unique(groups[rows], return_inverse=True)
    counts = np.zeros((len(names), labels.max() + 1), dtype=np.intp)  # rows of (group, class)
    np.add.at(counts, (members, labels), 1)
    cut = _fill_up(counts, _draw_groups(counts, share, seed), keep)
    if not cut.any():
        raise InputError(
            "groups: no patient (group) can be held out of train without taking a whole class "
            "along; ask for more folds or add patients"
        )
    return rows[~cut[members]], rows[cut[members]]


def _draw_groups(counts: _Indices, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Draw groups class by class, each while its middle row lies within the share.

    A group of several classes counts for its most frequent one.
    """
    cut = np.zeros(len(counts), dtype=np.bool_)
    order = np.random.default_rng(seed).permutation(len(counts))
    main_class = counts.argmax(axis=1)
    for label in range(counts.shape[1]):
        drawn = order[main_class[order] == label]
        sizes = counts[drawn, label]
        cut[drawn] = sizes.cumsum() - sizes / 2 < share * sizes.sum()
    return cut


def _lacking(
    counts: _Indices, part: npt.NDArray[np.bool_], needed: int
) -> npt.NDArray[np.bool_]:
    """Tell which classes have fewer groups in a part than they need."""
    return np.asarray((counts[part] > 0).sum(axis=0) < needed)


def _fill_up(counts: _Indices, cut: npt.NDArray[np.bool_], keep: int) -> npt.NDArray[np.bool_]:
    """Move small groups to the side that lacks their class.

    The rest comes first and takes what it needs; the cut takes what the rest can spare.
    """
    cut = cut.copy()
    for side, needed, spare in ((False, keep, 0), (True, 1, keep)):
        for label in range(counts.shape[1]):
            while _lacking(counts, cut == side, needed)[label]:
                donors = np.flatnonzero((cut != side) & (counts[:, label] > 0))
                scarce = _lacking(counts, cut != side, spare + 1)
                donors = donors[~(counts[donors][:, scarce] > 0).any(axis=1)]
                if len(donors) == 0:
                    break
                cut[donors[counts[donors].sum(axis=1).argmin()]] = side
    return cut
