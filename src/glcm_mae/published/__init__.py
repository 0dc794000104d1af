"""Figures that others published, each with its source: package data, read without torch.

They come from other folds and splits, often with an epoch picked on the part that is
reported, so they stand beside our scores and never in a test against them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

SCORES: Mapping[str, str] = {
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "auroc": "AUROC",
    "f1": "F1",
    "gain": "gain (points)",
    "unnamed": "score that the source does not name",
}
"""Scores that a figure may be of, and what a table calls them; all in percent."""

TASKS = ("gbcu", "busi", "kermany-cxr", "sarscov2-ct")
"""Data sets of the four tasks of the paper, as the catalog of known sets calls them."""


@dataclass(frozen=True)
class Source:
    """Where a figure was read.

    Attributes:
        key: What the data call it.
        kind: ``abstract``, ``repository``, ``leaderboard``, ``model card``, or ``notes``
            (taken from notes on the tables, not from the tables once more).
        title: Of the paper, repository or page.
        place: Table or section.
        address: Where it is found.
        caveat: What to know before believing it.
    """

    key: str
    kind: str
    title: str
    place: str
    address: str
    caveat: str


@dataclass(frozen=True)
class Figure:
    """One published number, or the note that it was not found.

    Attributes:
        data: Key of the data set.
        data_title: What the data set is.
        score: One of :data:`SCORES`.
        value: In percent; ``None`` where it was not found in the sources at hand.
        sd: Standard deviation as printed, in percent; ``None`` where none is.
        upto: End of the range where a range is printed, which ``value`` begins.
        protocol: How it came about, as far as the source tells.
        source: Where it was read; ``None`` where it was not found.
        look: Where a reader would look for it; empty where it was found.
    """

    data: str
    data_title: str
    score: str
    value: float | None
    sd: float | None
    upto: float | None
    protocol: str
    source: Source | None
    look: str


@dataclass(frozen=True)
class System:
    """A system that GLCM-MAE is, or may be, compared with.

    Attributes:
        name: Key, which is the name of its recipe too.
        title: What its authors call it.
        family: What kind of system it is.
        compared: Whether the paper compares with it; the others are strong and easy to run.
        what: The idea in a line.
        reference: Its paper, as ``arXiv:...`` or ``doi:...``.
        code: Where its public code is; ``timm``, or empty where none was looked up.
        licence: Of that code, as far as known.
        timm: Name of the model in timm; empty where there is none.
        recipe: Recipe that runs it here; empty where there is none.
        how: What it takes to run it with this package.
        figures: What was published of it.
    """

    name: str
    title: str
    family: str
    compared: bool
    what: str
    reference: str
    code: str
    licence: str
    timm: str
    recipe: str
    how: str
    figures: tuple[Figure, ...]


@cache
def published_systems() -> tuple[System, ...]:
    """Read the systems and what was published of them, in the order of the page.

    Example:
        >>> squid = next(s for s in published_systems() if s.name == "squid")
        >>> [(f.score, f.value, f.sd) for f in squid.figures]
        [('accuracy', 80.3, 1.3), ('auroc', 87.6, 1.5), ('f1', 84.7, 0.8)]
        >>> squid.figures[0].source.address
        'https://github.com/sunzc-sunny/PPAD'
    """
    facts = json.loads(files(__name__).joinpath("systems.json").read_text(encoding="utf-8"))
    sources = {key: Source(key, **entry) for key, entry in facts["sources"].items()}
    return tuple(_system(entry, facts["data_sets"], sources) for entry in facts["systems"])


def _system(
    entry: dict[str, Any], data_sets: Mapping[str, str], sources: Mapping[str, Source]
) -> System:
    figures = tuple(_figure(figure, data_sets, sources) for figure in entry["figures"])
    return System(**{**entry, "figures": figures})


def _figure(
    entry: dict[str, Any], data_sets: Mapping[str, str], sources: Mapping[str, Source]
) -> Figure:
    source = sources[entry["source"]] if entry["source"] else None
    return Figure(**{**entry, "source": source, "data_title": data_sets[entry["data"]]})
