"""What became of every name when weights were loaded."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple


class Resized(NamedTuple):
    """A tensor that was fitted: its name, the sizes before, the sizes after."""

    name: str
    old: tuple[int, ...]
    new: tuple[int, ...]


@dataclass(frozen=True)
class LoadReport:
    r"""What became of every name, ours and the source's.

    Attributes:
        source: What the weights were read from.
        layout: Whose names they had.
        loaded: Our names that were filled.
        resized: Those of them that were fitted to another grid, or other channels.
        missing: Our names that the source has not: they keep their random start.
        unused: Names of the source that have no place here, such as classification heads.
        notes: What else should be known.

    Example:
        >>> report = LoadReport("mae.pth", "facebook", ("cls_token", "blocks.0.norm1.weight"),
        ...                     (Resized("pos_embed", (14, 14), (4, 4)),), (),
        ...                     ("head.weight",), ())
        >>> print("\n".join(report.lines()))
        mae.pth (facebook): 2 tensors loaded, 1 fitted, 0 missing, 1 passed over
          fitted: pos_embed 14 x 14 -> 4 x 4
          passed over: head.weight
    """

    source: str
    layout: str
    loaded: tuple[str, ...]
    resized: tuple[Resized, ...]
    missing: tuple[str, ...]
    unused: tuple[str, ...]
    notes: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report for people: counts, then every name that is not simply loaded."""
        lines = [
            f"{self.source} ({self.layout}): {len(self.loaded)} tensors loaded, "
            f"{len(self.resized)} fitted, {len(self.missing)} missing, "
            f"{len(self.unused)} passed over"
        ]
        lines += [
            f"  fitted: {name} {_sizes(old)} -> {_sizes(new)}"
            for name, old, new in self.resized
        ]
        if self.missing:
            lines.append(f"  missing, begun anew: {grouped(self.missing)}")
        if self.unused:
            lines.append(f"  passed over: {grouped(self.unused)}")
        return lines + [f"  note: {note}" for note in self.notes]


def _sizes(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def grouped(names: Sequence[str]) -> str:
    """Name everything once: the same name in several blocks is counted.

    Example:
        >>> grouped(["blocks.0.ls1.gamma", "blocks.1.ls1.gamma", "norm.bias"])
        'blocks.*.ls1.gamma (2), norm.bias'
    """
    counts = Counter(re.sub(r"\.\d+\.", ".*.", name) for name in names)
    return ", ".join(f"{name} ({n})" if "*" in name else name for name, n in counts.items())
