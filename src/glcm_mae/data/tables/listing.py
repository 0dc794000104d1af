"""What a folder, a manifest or an archive tells of its images, before it becomes a table."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

_Value = TypeVar("_Value")

WHOLE = -1
"""In place of a frame's number: the file is one image."""

_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True)
class Listing:
    """What is told of every image, one entry per image in each tuple.

    Attributes:
        source: Folder or file that tells it; errors name it.
        root: Folder that the paths start from.
        paths: Files relative to ``root``, with forward slashes.
        labels: Class names; empty when none are wanted.
        groups: Patients, ``""`` where none is told; empty when none is told at all.
        splits: Parts, ``""`` where none is told; empty when none is told at all.
        frames: Frame in the file, or ``WHOLE``; empty when all are ``WHOLE``.
        apart: Whether the frames of a file are images of their own, not slices of one
            volume.
    """

    source: Path
    root: Path
    paths: tuple[str, ...]
    labels: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    splits: tuple[str, ...] = ()
    frames: tuple[int, ...] = ()
    apart: bool = False

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, rows: Sequence[int]) -> "Listing":
        """Return some rows, in the order given; a row may stand in it more than once."""
        return replace(
            self,
            paths=taken(self.paths, rows),
            labels=taken(self.labels, rows),
            groups=taken(self.groups, rows),
            splits=taken(self.splits, rows),
            frames=taken(self.frames, rows),
        )


def taken(values: tuple[_Value, ...], rows: Sequence[int]) -> tuple[_Value, ...]:
    """Return the values of some rows; nothing where no row has one."""
    return tuple(values[row] for row in rows) if values else ()


def name_of(path: str, frame: int) -> str:
    """Return what an image is called: its path, or path and frame.

    Example:
        >>> name_of("a.png", WHOLE), name_of("b.nii", 12)
        ('a.png', 'b.nii#12')
    """
    return path if frame == WHOLE else f"{path}#{frame}"


def is_plain(path: str) -> bool:
    r"""Say whether a path can be written as text on one line.

    Example:
        >>> is_plain("é\u00a0(1).png"), is_plain("a\nb.png"), is_plain("\udcff.png")
        (True, False, False)
    """
    return not _NO_TEXT.search(path)


def first_few(names: Sequence[str]) -> str:
    """Return up to three names, as errors tell them.

    Example:
        >>> first_few(["a", "b", "c", "d"])
        'a, b, c, ...'
    """
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
