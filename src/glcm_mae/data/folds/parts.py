"""What parts are called, and how groups are numbered."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from glcm_mae.errors import InputError

_PARTS = {
    "train": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "unused": "unused",
}


def part_names(splits: Sequence[str]) -> list[str]:
    """Return ``train``, ``validation``, ``test`` or ``unused``, however a cell spells it.

    Args:
        splits: Cells such as ``train``, ``Val``, ``valid`` or ``TEST``.

    Raises:
        InputError: If a cell names no part.

    Example:
        >>> part_names(["train", "Val", " TEST"])
        ['train', 'validation', 'test']
    """
    unknown = sorted({name for name in splits if name.strip().lower() not in _PARTS})
    if unknown:
        raise InputError(
            f"split: each row must say train, val, test or unused, found "
            f"{', '.join(map(repr, unknown[:3]))}; correct them, or leave all cells empty to "
            "have the parts drawn"
        )
    return [_PARTS[name.strip().lower()] for name in splits]


def number_groups(groups: Sequence[str]) -> npt.NDArray[np.intp]:
    """Number groups as they first appear, so that what they are called does not matter.

    Pseudonyms differ with the key that made them; their order must not change a fold.

    Args:
        groups: Group of each row.

    Returns:
        Number of the group of each row, from 0.

    Example:
        >>> number_groups(["zoe", "ann", "zoe"])
        array([0, 1, 0])
    """
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in groups], dtype=np.intp)
