"""Grids and named variants: what they become, and what is refused before anything runs."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from glcm_mae.ablation.budget import Clock, cap_epochs, epochs_note
from glcm_mae.ablation.design import MOST_VARIANTS, plan_design
from glcm_mae.ablation.figure import _values as values_of
from glcm_mae.ablation.studies import Design
from glcm_mae.config import AblateConfig, CrossValConfig
from glcm_mae.errors import InputError
from glcm_mae.settings import build


def design(**settings: Any) -> Design:
    return plan_design(config(**settings))


def config(**settings: Any) -> AblateConfig:
    return AblateConfig(**{"data": {"table": "scans"}, "out": "runs/a", **settings})


@given(
    levels=st.lists(st.integers(2, 256), min_size=1, max_size=4, unique=True),
    ratios=st.lists(st.sampled_from([0.3, 0.5, 0.75, 0.9]), min_size=1, unique=True),
)
def test_a_grid_is_every_combination_once(levels: list[int], ratios: list[float]) -> None:
    found = design(vary={"losses.glcm.levels": levels, "model.mask_ratio": ratios})
    (study,) = found.studies
    assert [point.values for point in study.points] == list(itertools.product(levels, ratios))
    for point in study.points:
        own = found.variant(point.variant).config
        assert (own.losses.glcm.levels, own.model.mask_ratio) == point.values
    # The recipe itself is there once, in the grid or beside it.
    assert [variant.name for variant in found.variants].count("base") == 1
    holds_base = 32 in levels and 0.75 in ratios
    assert len(found.variants) == len(levels) * len(ratios) + (not holds_base)
    assert len({variant.folder for variant in found.variants}) == len(found.variants)


def test_nothing_but_what_is_varied_differs_from_the_recipe() -> None:
    found = design(vary={"model.mask_ratio": [0.5]}, seed=3, protocol="linear")
    base, half = (variant.config.model_dump() for variant in found.variants)
    assert half["model"].pop("mask_ratio") == 0.5
    assert base["model"].pop("mask_ratio") == 0.75
    assert str(half.pop("out")) == "runs/a/mask_ratio-0.5"
    assert str(base.pop("out")) == "runs/a/base"
    assert half == base


def test_named_variants_take_dotted_and_nested_settings() -> None:
    found = design(
        variants=[
            {"name": "all", "losses": {"glcm": {"levels": 16}}, "model.mask_ratio": 0.5},
            {"name": "as it is"},
        ]
    )
    first, second = found.studies[0].points
    own = found.variant("all").config
    assert (own.losses.glcm.levels, own.model.mask_ratio) == (16, 0.5)
    assert own.losses.glcm.bandwidth == 0.5  # beside what is named, the recipe's
    assert (first.variant, second.variant) == ("all", "base")


def test_studies_share_variants_with_the_same_settings() -> None:
    found = design(
        studies={
            "ratio": {"vary": {"model.mask_ratio": [0.5, 0.75]}},
            "again": {"variants": [{"name": "half", "model.mask_ratio": 0.5}]},
            "levels": {"vary": {"losses.glcm.levels": [16, 32]}},
        }
    )
    assert [variant.name for variant in found.variants] == [
        "base",
        "mask_ratio 0.5",
        "levels 16",
    ]
    by_name = {study.name: study for study in found.studies}
    assert by_name["again"].points[0].variant == by_name["ratio"].points[0].variant
    assert {study.base for study in found.studies} == {"base"}


def test_the_first_variant_may_be_the_base() -> None:
    found = design(vary={"model.mask_ratio": [0.5, 0.6]}, base="first")
    assert [variant.name for variant in found.variants] == ["mask_ratio 0.5", "mask_ratio 0.6"]
    assert found.studies[0].base == "mask_ratio 0.5"


def test_equal_names_of_different_settings_are_told_apart() -> None:
    found = design(
        studies={
            "a": {"variants": [{"name": "x/y", "model.mask_ratio": 0.5}]},
            "b": {"variants": [{"name": "x/y", "model.mask_ratio": 0.6}]},
        }
    )
    assert [variant.name for variant in found.variants] == ["base", "x/y", "b: x/y"]
    assert [variant.folder for variant in found.variants] == ["base", "x-y", "b-x-y"]


def test_the_patch_size_follows_the_name_of_the_encoder_as_in_a_recipe() -> None:
    names = ["vit_tiny_patch16_224", "vit_small_patch8_224"]
    losses = {"ssim": {"window": 7}}
    found = design(vary={"model.encoder": names}, losses=losses)
    sizes = [variant.config.model.patch_size for variant in found.variants[1:]]
    assert sizes == [16, 8]
    own = design(model={"patch_size": 32}, vary={"model.encoder": names})
    assert {variant.config.model.patch_size for variant in own.variants} == {32}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"vary": {"losses.glcm.bandwith": [1]}}, "did you mean losses.glcm.bandwidth?"),
        ({"vary": {"model.mask_ratio": [0.5, 1.5]}}, "mask_ratio 1.5: model.mask_ratio: input"),
        ({"vary": {"model.mask_ratio": [0.5, 0.5]}}, "have the same settings"),
        ({"vary": {"model.mask_ratio": [0.5, "0.5"]}}, "have the same settings"),
        ({"vary": {"folds.count": [3, 5]}}, "folds.count is the same for all variants"),
        ({"vary": {"seed": [1]}}, "seed is the same for all variants"),
        ({"variants": [{"name": "a", "data": {"table": "b"}}]}, "data.table is the same"),
        ({"vary": {"data": [{"table": "b"}]}}, "data.table is the same"),
        (
            {"vary": {"losses.glcm.levels": list(range(2, 252))}},
            f"250 variants, and at most {MOST_VARIANTS}",
        ),
        (
            {
                "vary": {"pretraining.epochs": [30, 40]},
                "budget": {"epochs": 10},
                "pretraining": {"warmup_epochs": 0},
            },
            "budget.epochs may have made them alike",
        ),
    ],
    ids=[
        *("typo", "refused value", "twice", "twice as text", "folds", "seed", "table"),
        *("section", "too many", "alike by the budget"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(settings: Any, told: str) -> None:
    with pytest.raises(InputError) as error:
        design(**settings)
    assert told in str(error.value)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "names no setting"),
        ({"vary": {"model.mask_ratio": []}}, "has no values"),
        ({"variants": [{"model.mask_ratio": 0.5}]}, "variant 1 has no name"),
        ({"studies": {"a": {}}}, "a study has either vary or variants"),
    ],
    ids=["nothing", "no values", "no name", "empty study"],
)
def test_empty_questions_are_refused(settings: Any, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        config(**settings)
    assert told in str(error.value)


def test_a_flag_may_be_given_again_for_another_setting() -> None:
    words = ["losses.glcm.levels=[16, 32]", "{model.mask_ratio: [0.5]}"]
    found = build(AblateConfig, flags={"data.table": "t", "out": "o", "vary": words})
    assert found.vary == {"losses.glcm.levels": [16, 32], "model.mask_ratio": [0.5]}


def test_epochs_are_capped_and_warm_up_shrinks_in_proportion() -> None:
    recipe = CrossValConfig(
        data={"table": "t"},
        out="o",
        pretraining={"epochs": 200, "warmup_epochs": 20},
        finetuning={"epochs": 10, "warmup_epochs": 2},
    )
    short = cap_epochs(recipe, 50)
    assert (short.pretraining.epochs, short.pretraining.warmup_epochs) == (50, 5.0)
    assert short.finetuning == recipe.finetuning
    assert epochs_note(recipe, 50) == (
        "SHORTENED by budget.epochs: pre-training 50 epochs in place of 200; warm-up in "
        "proportion"
    )
    assert epochs_note(recipe, 500) == epochs_note(recipe, None) == ""
    capped = design(vary={"model.mask_ratio": [0.5]}, budget={"epochs": 7})
    assert {v.config.pretraining.epochs for v in capped.variants} == {7}
    assert {v.config.finetuning.epochs for v in capped.variants} == {7}


def test_the_clock_says_no_once_the_hours_are_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("glcm_mae.ablation.budget.time.monotonic", lambda: now[0])
    clock, endless = Clock(0.5, _start=100.0), Clock(None, _start=100.0)
    assert clock()
    assert not clock.spent
    now[0] += 1800
    assert not clock()
    assert clock.spent
    assert endless()
    assert not Clock(0.0, _start=100.0)()


def test_one_value_is_a_list_of_one() -> None:
    vary: Any = {"model.mask_ratio": 0.5, "losses.glcm.levels": [16, 32]}
    config = AblateConfig(data={"table": "x"}, out="o", vary=vary)
    assert config.vary == {"model.mask_ratio": [0.5], "losses.glcm.levels": [16, 32]}


def test_values_that_are_paths_or_sections_can_be_written_and_drawn() -> None:
    phases = [[{"mse": 1.0}], [{"mse": 1.0, "glcm": 1.0}]]
    for vary, more in (
        ({"weights": ["a", "b"]}, {"start": "weights", "weights": "a"}),
        ({"pretraining.weights": ["a", "b"]}, {}),
        ({"losses.phases": phases}, {}),
        ({"finetuning.augmentation": [{"shift": 0.1}, {"shift": 0.2}]}, {}),
        (
            {
                "model.encoder_options": [{"depth": 2}, {"depth": 4}],
                "model.mask_ratio": [0.5, 0.75],
            },
            {},
        ),
    ):
        found = design(vary=vary, **more)
        (study,) = found.studies
        values = [list(point.values) for point in study.points]
        assert json.loads(json.dumps(values)) == values, vary
        for factor in range(len(vary)):
            assert len(values_of(study, factor)) in (1, 2)
