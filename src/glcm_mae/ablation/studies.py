"""Variants, and the studies that read them: what they are called."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from glcm_mae.config import CrossValConfig

BASE = "base"
"""Name and folder of the recipe as it stands."""

_LONGEST = 32


@dataclass(frozen=True)
class Variant:
    """One cross-validation.

    Attributes:
        name: What tables call it.
        folder: Its run folder, relative to the ablation's.
        config: All of its settings.
        changes: In what it differs from the recipe, by dotted name.
    """

    name: str
    folder: str
    config: CrossValConfig
    changes: Mapping[str, Any]


@dataclass(frozen=True)
class Point:
    """A variant as one line of a study.

    Attributes:
        label: What the study calls it.
        values: The value of each of the study's factors; empty for a variant by name.
        variant: Name of the variant.
    """

    label: str
    values: tuple[Any, ...]
    variant: str


@dataclass(frozen=True)
class Study:
    """One question, and the variants that answer it.

    Attributes:
        name: What it is called.
        factors: Dotted names of what is varied; empty where variants have names.
        points: Its variants.
        base: Name of the variant that all others are compared with.
    """

    name: str
    factors: tuple[str, ...]
    points: tuple[Point, ...]
    base: str

    @property
    def others(self) -> list[Point]:
        """The points that are compared with the base."""
        return [point for point in self.points if point.variant != self.base]


@dataclass(frozen=True)
class Design:
    """All variants, each once, and the studies that read them.

    Attributes:
        variants: The variants, the base first; the order in which they are begun.
        studies: The studies.
    """

    variants: tuple[Variant, ...]
    studies: tuple[Study, ...]

    def variant(self, name: str) -> Variant:
        """Return a variant by its name."""
        return next(variant for variant in self.variants if variant.name == name)


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Return the shortest endings of dotted names that tell them apart.

    Example:
        >>> short_names(["losses.glcm.levels", "pretraining.epochs", "finetuning.epochs"])
        {'losses.glcm.levels': 'levels', 'pretraining.epochs': 'pretraining.epochs',
         'finetuning.epochs': 'finetuning.epochs'}
    """
    found = {}
    for path in paths:
        parts = path.split(".")
        endings = [".".join(parts[start:]) for start in range(len(parts) - 1, -1, -1)]
        found[path] = next(
            (
                ending
                for ending in endings
                if not any(o != path and f".{o}".endswith(f".{ending}") for o in paths)
            ),
            path,
        )
    return found


def show(value: Any) -> str:
    """Return a value of a setting as a label has it.

    Example:
        >>> show(0.0333), show(None), show([[0, 1], [1, 0]]), show("vit_tiny_patch16_224")
        ('0.0333', 'none', '[[0, 1], [1, 0]]', 'vit_tiny_patch16_224')
    """
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def as_told(point: Point, study: Study) -> str:
    """Return a point's label; of the base it says so.

    Example:
        >>> study = Study("mask", ("model.mask_ratio",), (), "base")
        >>> as_told(Point("mask_ratio 0.75", (0.75,), "base"), study)
        'mask_ratio 0.75 (base)'
    """
    if point.variant != study.base or point.label == BASE:
        return point.label
    return f"{point.label} (base)"


def with_base(study: Study) -> Study:
    """Return a study whose base is one of its lines, in front if it was none."""
    if any(point.variant == study.base for point in study.points):
        return study
    return replace(study, points=(Point(study.base, (), study.base), *study.points))
