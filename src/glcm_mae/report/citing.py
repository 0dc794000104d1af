"""Numbers of the runs' files as cells that cite where they stand."""

from collections.abc import Mapping
from functools import reduce
from typing import Any

from glcm_mae.report.blocks import Cell
from glcm_mae.report.facts import RunFacts
from glcm_mae.scoreboard import cell, interval_cell, shown

DASH = "–"


def pointer(file: str, *keys: str | int) -> str:
    """Return a JSON pointer [1]_ into a file.

    Example:
        >>> pointer("mae/scores.json", "systems", "a/b", "folds", 0)
        'mae/scores.json#/systems/a~1b/folds/0'

    References:
        .. [1] RFC 6901
    """
    steps = (str(key).replace("~", "~0").replace("/", "~1") for key in keys)
    return f"{file}#/{'/'.join(steps)}"


def found(content: Any, *keys: str | int) -> Any:
    """Return what stands in nested objects and lists, or None.

    Example:
        >>> found({"a": [{"b": 3}]}, "a", 0, "b"), found({}, "a", "b")
        (3, None)
    """

    def step(place: Any, key: str | int) -> Any:
        if isinstance(place, Mapping):
            return place.get(str(key))
        if isinstance(place, list | tuple) and isinstance(key, int) and key < len(place):
            return place[key]
        return None

    return reduce(step, keys, content)


def interval_of(run: RunFacts, score: str, *keys: str | int, strong: bool = False) -> Cell:
    """Return ``estimate [low, high]`` of a score, as it stands in ``scores.json``.

    Args:
        run: The run.
        score: Name of the score, which tells how it is written.
        keys: Way to the interval.
        strong: Whether the cell stands out.
    """
    value = found(run.scores, *keys)
    text = DASH if value is None else interval_cell(value, score)
    of = pointer(f"{run.name}/scores.json", *keys) if value is not None else ""
    return Cell(text, of, f"interval {score}", strong=strong)


def mean_of(run: RunFacts, score: str, *keys: str | int) -> Cell:
    """Return ``mean ± SD`` of a score, as it stands in ``scores.json``."""
    value = found(run.scores, *keys)
    text = DASH if value is None else cell(value, score)
    of = pointer(f"{run.name}/scores.json", *keys) if value is not None else ""
    return Cell(text, of, f"mean {score}")


def score_of(run: RunFacts, score: str, *keys: str | int) -> Cell:
    """Return one score of one fold, as it stands in ``scores.json``."""
    value = found(run.scores, *keys)
    return Cell(
        shown(value, score), pointer(f"{run.name}/scores.json", *keys), f"score {score}"
    )


def count_of(run: RunFacts, *keys: str | int) -> Cell:
    """Return a whole number of ``scores.json``."""
    value = found(run.scores, *keys)
    return Cell(
        DASH if value is None else f"{value:,}",
        pointer(f"{run.name}/scores.json", *keys),
        "count",
    )


def number_of(file: str, content: Any, *keys: str | int, digits: int = 3) -> Cell:
    """Return a number of any JSON file with so many digits behind the point."""
    value = found(content, *keys)
    text = DASH if value is None else f"{value:.{digits}f}"
    return Cell(text, pointer(file, *keys), f"number {digits}")


def limits_of(
    file: str, content: Any, *keys: str | int, digits: int = 3, times: float = 1.0
) -> Cell:
    """Return ``estimate [low, high]`` of any JSON file, with so many digits.

    Args:
        file: Name of the file, in a citation.
        content: What it holds.
        keys: Way to an object with ``estimate``, ``low`` and ``high``.
        digits: Digits behind the point.
        times: Factor, such as 100 for percent.
    """
    value = found(content, *keys)
    if value is None or value.get("estimate") is None:
        return Cell(DASH, form=f"limits {digits}")
    parts = [value.get(name) for name in ("estimate", "low", "high")]
    texts = [DASH if part is None else f"{times * part:z.{digits}f}" for part in parts]
    text = f"{texts[0]} [{texts[1]}, {texts[2]}]"
    return Cell(text, pointer(file, *keys), f"limits {digits} {times:g}")
