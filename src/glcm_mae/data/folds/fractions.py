"""Few labels: a share of the rows, in whole groups, the smaller inside the larger."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glcm_mae.data.folds.parts import number_groups
from glcm_mae.errors import InputError

_Indices = npt.NDArray[np.intp]


def label_fraction(
    labels: Sequence[int] | npt.NDArray[np.integer],
    groups: Sequence[str],
    rows: npt.NDArray[np.integer],
    share: float,
    *,
    seed: int,
    classes: Sequence[str] = (),
    every_class: bool = True,
) -> _Indices:
    """Draw a share of some rows, stratified by class, in whole groups.

    Groups are ranked once for each class, and a share is as many from the front as come
    nearest to it: for one seed, the rows of a smaller share are among those of a larger.
    Each class keeps one group or more, however small the share. A group of several
    classes counts for its most frequent one.

    Args:
        labels: Class index of each row of the table.
        groups: Patient (or other source) of each row of the table.
        rows: Rows to draw from, such as the train part of a fold.
        share: Share of them to draw, above 0 and up to 1.
        seed: The same seed draws the same rows, whatever the groups are called.
        classes: Names of the classes, for error messages.
        every_class: Whether each class of the table must be among the rows.

    Returns:
        The rows drawn, in ascending order.

    Raises:
        InputError: If the share is out of its range, or none of the rows is of some
            class of the table where each is asked for.

    Example:
        >>> labels, patients, rows = [0] * 6 + [1] * 6, list("aabbccddeeff"), np.arange(12)
        >>> third = label_fraction(labels, patients, rows, 0.34, seed=0)
        >>> [labels[row] for row in third]
        [0, 0, 1, 1]
        >>> set(third) <= set(label_fraction(labels, patients, rows, 0.7, seed=0))
        True
    """
    if not 0 < share <= 1:
        raise InputError(f"label_share: must be above 0 and at most 1, got {share}")
    drawn_from: _Indices = np.sort(np.asarray(rows, dtype=np.intp))
    every_label = np.asarray(labels)
    missing = np.setdiff1d(every_label, every_label[drawn_from]) if every_class else ()
    for label in missing:
        name = repr(classes[label]) if label < len(classes) else f"{label}"
        raise InputError(
            f"label_share: no image of class {name} to draw from; give the train part some, or "
            "leave out the class"
        )
    members = number_groups([groups[row] for row in drawn_from])
    counts = np.zeros((members.max(initial=-1) + 1, every_label.max(initial=-1) + 1), np.intp)
    np.add.at(counts, (members, every_label[drawn_from]), 1)  # rows of (group, class)
    return drawn_from[_first_groups(counts, share, seed)[members]]


def _first_groups(counts: _Indices, share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Take groups from the front of each class while their middle row is within the share."""
    order = np.random.default_rng(seed).permutation(len(counts))
    main_class = counts.argmax(axis=1)
    taken = np.zeros(len(counts), dtype=np.bool_)
    taken[_representatives(counts, order, main_class)] = True
    order = order[np.argsort(~taken[order], kind="stable")]  # they rank first
    for label in range(counts.shape[1]):
        ranked = order[main_class[order] == label]
        sizes = counts[ranked].sum(axis=1)
        taken[ranked] |= sizes.cumsum() - sizes / 2 < share * sizes.sum()
    return taken


def _representatives(counts: _Indices, order: _Indices, main_class: _Indices) -> list[int]:
    """Return one group of each class: a group mostly of this class, if there is one."""
    chosen = []
    for label in np.flatnonzero(counts.sum(axis=0)):
        holders = order[counts[order, label] > 0]
        chosen.append(int(holders[np.argmax(main_class[holders] == label)]))
    return chosen
