"""Classes: from the names that a source tells to the numbers that a model learns."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from glcm_mae.data.tables.listing import first_few
from glcm_mae.errors import InputError


def map_labels(
    source: Path, names: Sequence[str], label_map: Mapping[str, str | None]
) -> tuple[list[int], tuple[str, ...]]:
    """Rename, join and drop classes.

    Args:
        source: What tells the names; errors name it.
        names: Class of each image.
        label_map: From each class found to the class wanted; None leaves its images out.

    Returns:
        Rows of the images that are left, and their classes.

    Raises:
        InputError: If the map lacks a class, names one that is not there, or leaves
            nothing.

    Example:
        >>> wanted = {"low": "benign", "high": "malignant", "unclear": None}
        >>> map_labels(Path("x"), ["unclear", "high", "low"], wanted)
        ([1, 2], ('malignant', 'benign'))
    """
    found = sorted(set(names))
    if missing := [name for name in found if name not in label_map]:
        raise InputError(
            f"{source}: label_map must say what becomes of every class, {len(missing)} "
            f"missing: {first_few(missing)}; add them, with null to leave their images out"
        )
    if unknown := [name for name in label_map if name not in found]:
        raise InputError(
            f"{source}: label_map names classes that are not there: {first_few(unknown)}; "
            f"the classes are {', '.join(found)}"
        )
    wanted = [(row, label_map[name]) for row, name in enumerate(names)]
    kept = [(row, name) for row, name in wanted if name is not None]
    if not kept:
        raise InputError(
            f"{source}: label_map leaves every image out; map two classes or more to names"
        )
    return [row for row, _ in kept], tuple(name for _, name in kept)


def number_labels(
    source: Path, names: tuple[str, ...]
) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the number of each image's class, and the classes in sorted order.

    Raises:
        InputError: If there is only one class.

    Example:
        >>> number_labels(Path("x"), ("well", "ill", "well"))
        ((1, 0, 1), ('ill', 'well'))
    """
    classes = tuple(sorted(set(names)))
    if len(classes) == 1:
        raise InputError(
            f"{source}: classification needs two classes or more, found only {classes[0]!r}; "
            "add images of another class"
        )
    number = {name: i for i, name in enumerate(classes)}
    return tuple(number[name] for name in names), classes
