"""The data sets that are known: what was published of them, and how to use them."""

import difflib
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from glcm_mae.errors import InputError

_FACTS = Path(__file__).with_name("catalog.yaml")
_WIDTH = 100


@dataclass(frozen=True)
class KnownSet:
    """What is known of a data set.

    Attributes:
        name: What the catalog calls it.
        title: What its authors call it.
        task: ``two classes``, ``several classes``, ``ordered classes``, ``several labels``.
        modality: What the images are.
        channels: 1 for gray, 3 for colour.
        classes: Names of the classes, in the order of its numbered labels where it has any.
        counts: Images published for each part (``all`` where there are none) and class
            (``""`` for all classes together, where only that is published).
        patients: How many patients, and whether their images are told apart.
        licence: Its licence, as far as known.
        unattended: Whether the licence lets a program fetch it for anyone.
        citation: What to cite.
        doi: Of the citation.
        source: Where to get it.
        layout: ``folders`` (one a class), ``listed`` (labels in text files), ``npz``.
        expected: What lies where, for people.
        group_reason: What is known of the patients in its file names.
        official_split: The parts that were published.
        size: Of the images.
        positive: Class that counts as positive; empty where none does.
        masks: Pattern of the names of files that are masks; empty where there are none.
        group_pattern: Pattern that finds the patient in a path, as ``data.group_pattern``
            takes it; empty where the names tell none.
        trouble: What to know before using it.
        address: Where its files are fetched, with ``{file}`` for the name of the file.
        files: MD5 of the file of each size in pixels.
    """

    name: str
    title: str
    task: str
    modality: str
    channels: int
    classes: tuple[str, ...]
    counts: Mapping[str, Mapping[str, int]]
    patients: str
    licence: str
    unattended: bool
    citation: str
    doi: str
    source: str
    layout: str
    expected: str
    group_reason: str
    official_split: str
    size: str
    positive: str = ""
    masks: str = ""
    group_pattern: str = ""
    trouble: tuple[str, ...] = ()
    address: str = ""
    files: Mapping[int, str] | None = None

    @property
    def images(self) -> int:
        """How many images were published."""
        return sum(sum(part.values()) for part in self.counts.values())

    @property
    def parts(self) -> tuple[str, ...]:
        """The official parts; empty where there are none."""
        return tuple(part for part in self.counts if part != "all")

    def group_of(self, path: str) -> str:
        """Return the patient that a file's name tells, or nothing.

        Example:
            >>> find_set("kermany-cxr").group_of("test/PNEUMONIA/person7_virus_9.jpeg")
            'person7'
        """
        found = re.search(self.group_pattern, path) if self.group_pattern else None
        return found.group(1) if found else ""

    def is_mask(self, path: str) -> bool:
        """Say whether a file's name is that of a mask."""
        return bool(self.masks) and re.search(self.masks, path) is not None

    def file_name(self, size: int) -> str:
        """Return the name of the file of a size.

        Example:
            >>> find_set("breastmnist").file_name(28), find_set("breastmnist").file_name(224)
            ('breastmnist.npz', 'breastmnist_224.npz')
        """
        return f"{self.name}.npz" if size == 28 else f"{self.name}_{size}.npz"


@cache
def known_sets() -> tuple[KnownSet, ...]:
    """Return all data sets that are known.

    Example:
        >>> [entry.name for entry in known_sets()][:3]
        ['busi', 'kermany-cxr', 'sarscov2-ct']
    """
    import yaml  # 20 ms that only this needs

    facts: dict[str, dict[str, Any]] = yaml.safe_load(_FACTS.read_text(encoding="utf-8"))
    return tuple(
        _known(name, entry) for name, entry in facts.items() if not name.startswith(".")
    )


def _known(name: str, entry: Mapping[str, Any]) -> KnownSet:
    values: dict[str, Any] = {
        key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()
    }
    return KnownSet(name=name, **values)


def find_set(name: str) -> KnownSet:
    """Return a data set by its name, in any case, ``-`` and ``_`` being the same.

    Args:
        name: What the catalog calls it.

    Raises:
        InputError: If no set is called so.

    Example:
        >>> find_set("Kermany_CXR").images
        5856
    """
    wanted = _plain(name)
    names = {_plain(entry.name): entry for entry in known_sets()}
    if wanted in names:
        return names[wanted]
    close = difflib.get_close_matches(wanted, names, n=1, cutoff=0.5)
    hint = f"did you mean {names[close[0]].name}? " if close else ""
    known = ", ".join(entry.name for entry in known_sets())
    raise InputError(f"name: no data set {name!r} is known; {hint}known are: {known}")


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def format_catalog() -> str:
    """Return all sets as a table for the terminal, one a line, 100 columns wide."""
    header = ("name", "modality", "task", "images", "licence", "fetched")
    rows = [
        (
            entry.name,
            entry.modality,
            entry.task,
            f"{entry.images:,}",
            re.split(r"[,;]| for ", entry.licence)[0],
            "yes" if entry.unattended else "by you",
        )
        for entry in known_sets()
    ]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, "", "glcm-mae data catalog NAME tells more of one."])


def format_set(entry: KnownSet) -> str:
    """Return all that is known of a set, for the terminal.

    Args:
        entry: The set.

    Example:
        >>> print(format_set(find_set("breastmnist")).splitlines()[0])
        breastmnist: BreastMNIST
    """
    colour = "colour" if entry.channels == 3 else "gray"
    facts = {
        "task": f"{entry.task}: {'; '.join(entry.classes)}",
        "positive": entry.positive,
        "images": f"{entry.images:,} ({colour}), {entry.modality}",
        "published": _published(entry),
        "size": entry.size,
        "patients": entry.patients,
        "groups": entry.group_reason
        + (f"; --data.group_pattern '{entry.group_pattern}'" if entry.group_pattern else ""),
        "split": entry.official_split,
        "licence": entry.licence,
        "get it": f"glcm-mae data download {entry.name} --out FOLDER ({entry.source})"
        if entry.unattended
        else entry.source,
        "expected": entry.expected,
        "compare": f"glcm-mae data check {entry.name} FOLDER",
        "cite": f"{entry.citation}. doi:{entry.doi}",
    }
    lines = [_entry(key, text) for key, text in facts.items() if text]
    lines += [_entry("beware" if i == 0 else "", text) for i, text in enumerate(entry.trouble)]
    return "\n".join([f"{entry.name}: {entry.title}", *lines])


def _published(entry: KnownSet) -> str:
    told = []
    for part, counts in entry.counts.items():
        classes = ", ".join(f"{n:,} {name}" if name else f"{n:,}" for name, n in counts.items())
        told.append(classes if part == "all" else f"{part} {classes}")
    return "; ".join(told)


def _entry(key: str, text: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=f"  {key:<11}",
        subsequent_indent=" " * 13,
        break_long_words=False,
        break_on_hyphens=False,
    )
