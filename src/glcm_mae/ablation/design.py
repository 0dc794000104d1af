"""From settings to variants: grids and names become cross-validations, each once."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, count, product
from math import prod
from typing import Any

from pydantic import ValidationError

from glcm_mae.ablation.budget import cap_epochs
from glcm_mae.ablation.studies import BASE, Design, Point, Study, Variant, short_names, show
from glcm_mae.config import AblateConfig, CrossValConfig, StudyConfig
from glcm_mae.config.model import patch_in_name
from glcm_mae.config.stages import sections
from glcm_mae.errors import InputError
from glcm_mae.settings import explain, merge, nest

MOST_VARIANTS = 200
"""Variants of one call; more are rather a mistake than a question."""

SAME_FOR_ALL = (
    *("out", "seed", "seeds", "folds", "evaluation", "fanout", "leak_check", "baselines"),
    *("device", "compile", "checkpoints"),
    *(
        f"data.{name}"
        for name in (
            *("table", "split", "groups", "positive", "label_map", "group_pattern"),
            *("names", "key", "frames", "on_error", "cache"),
        )
    ),
)
"""What no variant may change: who is tested on what and how it is scored, or the machine."""


def plan_design(config: AblateConfig) -> Design:
    """Turn grids and named variants into cross-validations, and validate every one.

    Two studies that ask for the same settings share a variant.

    Args:
        config: Settings of the stage.

    Raises:
        InputError: If a setting is unknown, must stay the same or refuses its value, a study
            names the same settings twice, or there are too many variants.

    Example:
        >>> config = AblateConfig(
        ...     data={"table": "scans"}, out="runs/ablation",
        ...     vary={"model.mask_ratio": [0.5, 0.75]})
        >>> design = plan_design(config)
        >>> [(v.name, v.folder, dict(v.changes)) for v in design.variants]
        [('base', 'base', {}), ('mask_ratio 0.5', 'mask_ratio-0.5', {'model.mask_ratio': 0.5})]
        >>> [point.variant for point in design.studies[0].points]
        ['mask_ratio 0.5', 'base']
    """
    questions = config.questions()
    _check_count(questions)
    return _Designer(config).design(questions)


def _check_count(questions: Mapping[str, StudyConfig]) -> None:
    total = sum(
        len(question.variants) or prod(len(values) for values in question.vary.values())
        for question in questions.values()
    )
    if total > MOST_VARIANTS:
        raise InputError(
            f"vary: asks for {total} variants, and at most {MOST_VARIANTS} are allowed; name "
            "fewer values, or ask about one setting at a time (studies)"
        )


class _Designer:
    """Makes variants, and remembers them by their settings."""

    def __init__(self, config: AblateConfig) -> None:
        self.config = config
        values = sections(config, CrossValConfig, out=config.out / BASE)
        self.recipe = CrossValConfig(**values)
        self.found: dict[str, Variant] = {}

    def design(self, questions: Mapping[str, StudyConfig]) -> Design:
        """Return all studies and their variants."""
        if self.config.base == "recipe":
            self._variant(BASE, {}, "")
        studies = tuple(self._study(name, question) for name, question in questions.items())
        return Design(tuple(self.found.values()), studies)

    def _study(self, name: str, question: StudyConfig) -> Study:
        points: list[Point] = []
        entries = list(_grid(question.vary) if question.vary else _named(question.variants))
        for label, changes in entries:
            variant = self._variant(label, changes, name)
            if same := [point for point in points if point.variant == variant.name]:
                raise InputError(
                    f"{name}: {same[0].label} and {label} have the same settings; name each "
                    "once (budget.epochs may have made them alike)"
                )
            values = tuple(_value_at(variant.config, path) for path in question.vary)
            points.append(Point(label, values, variant.name))
        base = BASE if self.config.base == "recipe" else points[0].variant
        return Study(name, tuple(question.vary), tuple(points), base)

    def _variant(self, label: str, changes: Mapping[str, Any], study: str) -> Variant:
        """Return the variant of some settings, made once."""
        config = self._settings(label, changes, study)
        if self.config.budget.epochs is not None:
            config = cap_epochs(config, self.config.budget.epochs)
        key = _identity(config)
        if key not in self.found:
            name = self._free_name(label, study)
            folder = self._free_folder(name)
            baselines = self.config.baselines if not self.found else "off"
            update = {"out": self.config.out / folder, "baselines": baselines}
            named = config.model_copy(update=update)
            self.found[key] = Variant(name, folder, named, dict(changes))
        return self.found[key]

    def _settings(self, label: str, changes: Mapping[str, Any], study: str) -> CrossValConfig:
        for path in _leaves(changes):
            _refuse_shared(path, label)
        values = copy.deepcopy(self.recipe.model_dump())
        encoder = self.recipe.model.encoder
        if patch_in_name(encoder) == self.recipe.model.patch_size:
            del values["model"]["patch_size"]  # it comes with the name of the encoder
        for path, value in changes.items():
            merge(values, nest(path, copy.deepcopy(value)))
        try:
            return CrossValConfig(**values)
        except ValidationError as error:
            where = f"{study}, {label}" if study else label
            raise InputError(f"{where}: {explain(error, CrossValConfig)}") from error

    def _free_name(self, label: str, study: str) -> str:
        taken = {variant.name for variant in self.found.values()}
        if label not in taken:
            return label
        return _numbered(f"{study}: {label}", taken)

    def _free_folder(self, name: str) -> str:
        taken = {variant.folder for variant in self.found.values()}
        folder = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip("-.") or "variant"
        return _numbered(folder, taken)


def _numbered(name: str, taken: set[str]) -> str:
    names = chain([name], (f"{name}-{number}" for number in count(2)))
    return next(name for name in names if name not in taken)


def _grid(vary: Mapping[str, Sequence[Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the label and the settings of every combination of values."""
    names = short_names(list(vary))
    for values in product(*vary.values()):
        changes = dict(zip(vary, values, strict=True))
        label = ", ".join(f"{names[path]} {show(value)}" for path, value in changes.items())
        yield label, changes


def _named(variants: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    for variant in variants:
        yield variant["name"], {key: value for key, value in variant.items() if key != "name"}


def _leaves(changes: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in changes.items():
        path = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}.")
        else:
            yield path


def _refuse_shared(path: str, label: str) -> None:
    for fixed in SAME_FOR_ALL:
        if path == fixed or path.startswith(f"{fixed}.") or fixed.startswith(f"{path}."):
            raise InputError(
                f"{label}: {path} is the same for all variants, for they are compared on the "
                "same images, folds and scores; set it for the whole ablation"
            )


def _identity(config: CrossValConfig) -> str:
    """Return what two variants with the same settings have in common."""
    same = config.model_copy(update={"out": config.out.parent, "baselines": "off"})
    return json.dumps(same.model_dump(mode="json"), sort_keys=True)


def _value_at(config: CrossValConfig, path: str) -> Any:
    """Return a setting as JSON has it: a number, a word, or lists and tables of them."""
    place: Any = config.model_dump(mode="json")
    for part in path.split("."):
        place = place[part]
    return place
