"""Settings of the ablation: one recipe, many values, one table."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, model_validator

from glcm_mae.config.base import NonNegative, PositiveInt, Settings
from glcm_mae.config.stages import CrossValConfig

Grid = dict[str, list[Any]]
Named = dict[str, Any]


def _listed(grid: Any) -> Any:
    """Take one value for a list of one."""
    if not isinstance(grid, dict):
        return grid
    return {
        path: [value] if isinstance(value, str | int | float) else value
        for path, value in grid.items()
    }


def _with_values(grid: Grid) -> Grid:
    for path, values in grid.items():
        if not values:
            raise ValueError(
                f"{path} has no values: name some, such as {path}=[1, 2], or leave it out"
            )
    return grid


def _with_names(variants: tuple[Named, ...]) -> tuple[Named, ...]:
    for number, variant in enumerate(variants, 1):
        if not isinstance(variant.get("name"), str) or not variant["name"].strip():
            raise ValueError(
                f"variant {number} has no name: give every one a name and the settings in "
                "which it differs, such as {name: half hidden, model.mask_ratio: 0.5}"
            )
    return variants


Vary = Annotated[Grid, BeforeValidator(_listed), AfterValidator(_with_values)]
Variants = Annotated[tuple[Named, ...], AfterValidator(_with_names)]


class StudyConfig(Settings):
    """One question: every combination of some values, or variants by name."""

    vary: Vary = {}
    """Settings and the values of each; every combination is a variant."""
    variants: Variants = ()
    """Variants by name: mappings of name and of the settings in which each differs."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if bool(self.vary) == bool(self.variants):
            raise ValueError("a study has either vary or variants")
        return self


class BudgetConfig(Settings):
    """What the ablation may cost."""

    hours: NonNegative | None = None
    """Hours after which this call begins no further job; --resume goes on. none: no end."""
    epochs: PositiveInt | None = None
    """Most epochs of pre-training and of fine-tuning, warm-up in proportion; none: as set."""


class AblateConfig(CrossValConfig):
    """Settings of ``glcm-mae ablate``."""

    vary: Vary = {}
    """A setting and its values: losses.glcm.levels=[16, 32]; several make a grid."""
    variants: Variants = ()
    """Variants by name: a list of {name: NAME, SETTING: VALUE, ...}."""
    studies: dict[str, StudyConfig] = {}
    """Several questions about one recipe, by name; each has vary or variants of its own."""
    base: Literal["recipe", "first"] = "recipe"
    """What every variant is compared with: the recipe as it stands, or a study's first."""
    score: Literal["auroc", "balanced_accuracy", "accuracy", "f1"] = "auroc"
    """Score of the tests and the verdict, beside texture fidelity."""
    budget: BudgetConfig = BudgetConfig()
    baselines: Literal["on", "off"] = "off"
    """Also score, in the base's folder, what needs no network: gray levels, radiomics, ..."""

    @model_validator(mode="after")
    def _some_study(self) -> Self:
        if not (self.vary or self.variants or self.studies):
            raise ValueError(
                "vary: names no setting; pass --vary losses.glcm.levels=[16, 32], or a recipe "
                "with vary, variants or studies"
            )
        return self

    def questions(self) -> dict[str, StudyConfig]:
        """Return all studies by name; a grid without a name is called by what it varies."""
        found = dict(self.studies)
        if self.vary:
            found[" x ".join(path.rpartition(".")[2] for path in self.vary)] = StudyConfig(
                vary=self.vary
            )
        if self.variants:
            found["variants"] = StudyConfig(variants=self.variants)
        return found
