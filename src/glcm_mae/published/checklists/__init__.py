"""Checklists for papers: what each item asks, in other words, and what a run can answer.

The texts are paraphrases, written for this package; the originals say what counts.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

FILES = ("claim_2024.json", "tripod_ai_2024.json")


@dataclass(frozen=True)
class Item:
    """One item of a checklist.

    Attributes:
        number: Its number in the original.
        section: Where it stands there.
        text: What it asks, in other words.
        applies: ``development``, ``evaluation`` or ``both``: what kind of study it is for.
        topics: What a run can tell of it; empty where only people know.
        author: What people have to write, or to add; empty where the run tells all.
    """

    number: str
    section: str
    text: str
    applies: str
    topics: tuple[str, ...]
    author: str


@dataclass(frozen=True)
class Checklist:
    """A checklist for papers.

    Attributes:
        key: Short name, for files.
        name: What it is called.
        reference: Who published it, and where.
        doi: Where the original is found.
        note: What to know of the texts here.
        items: Its items, in their order.
    """

    key: str
    name: str
    reference: str
    doi: str
    note: str
    items: tuple[Item, ...]


@cache
def read_checklists() -> tuple[Checklist, ...]:
    """Read the checklists: CLAIM [1]_ and TRIPOD+AI [2]_.

    Example:
        >>> [(one.name, len(one.items)) for one in read_checklists()]
        [('CLAIM 2024 update', 44), ('TRIPOD+AI', 52)]
        >>> first = read_checklists()[0].items[19]
        >>> first.number, first.topics
        ('20', ('disjoint',))

    References:
        .. [1] Tejani et al., 2024, doi:10.1148/ryai.240300
        .. [2] Collins et al., 2024, doi:10.1136/bmj-2023-078378
    """
    return tuple(_read(name) for name in FILES)


def _read(name: str) -> Checklist:
    facts = json.loads(files(__name__).joinpath(name).read_text(encoding="utf-8"))
    items = tuple(Item(**{**one, "topics": tuple(one["topics"])}) for one in facts["items"])
    return Checklist(**{**facts, "items": items})
