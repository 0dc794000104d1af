"""The model card: front matter that Hugging Face reads, and no word more than the run shows."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from runs_by_hand import facts_of

from glcm_mae.report.facts import Attachment
from glcm_mae.report.model_card import METRICS, model_card


def front_matter(card: str) -> dict[str, Any]:
    _, text, _ = card.split("---\n", 2)
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def test_values_of_the_model_index_are_those_of_the_scores() -> None:
    facts = facts_of()
    found = front_matter(model_card(facts))
    pooled = facts.runs[0].judged["pooled"]
    (model,) = found["model-index"]
    (result,) = model["results"]
    assert result["task"] == {"type": "image-classification"}
    assert result["dataset"]["name"] == "busi/manifest.csv"
    values = {metric["type"]: metric["value"] for metric in result["metrics"]}
    assert values == {METRICS[name]: pooled[name]["estimate"] for name in METRICS}
    assert found["metrics"] == list(values)


def test_the_licence_is_left_to_the_author() -> None:
    card = model_card(facts_of())
    assert front_matter(card)["license"] is None
    assert "license:  # TODO by the author" in card


def test_a_score_without_a_meaning_is_left_out() -> None:
    facts = facts_of()
    facts.runs[0].judged["pooled"]["mcc"]["estimate"] = float("nan")
    (model,) = front_matter(model_card(facts))["model-index"]
    types = [metric["type"] for metric in model["results"][0]["metrics"]]
    assert "matthews_correlation" not in types
    assert "roc_auc" in types


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"protocol": "linear"},
        {"start": "scratch", "baseline": "resnet18"},
        {"seeds": 2},
        {"classes": ("a", "b", "c"), "positive": ""},
    ],
)
def test_every_section_is_there_and_says_something(settings: dict[str, Any]) -> None:
    card = model_card(facts_of(**settings))
    body = card.split("---\n", 2)[2]
    sections = re.split(r"^## ", body, flags=re.MULTILINE)
    assert [section.splitlines()[0] for section in sections[1:]] == [
        *("Model", "Intended use", "Out of scope", "Data", "Training", "Evaluation"),
        *("Calibration and threshold", "Robustness", "Limits", "Ethics"),
        *("How to use", "How to reproduce"),
    ]
    for section in sections[1:]:
        assert section.partition("\n")[2].strip()
    assert "Not a medical device" in body
    assert "does not tell" not in body
    assert "/home" not in card


def test_what_was_not_measured_is_said_so_and_what_was_is_shown() -> None:
    assert "Negative controls were not made" in model_card(facts_of())
    error = {"mean_error": {"estimate": 0.25, "low": 0.2, "high": 0.3}}
    found = Attachment(Path("elsewhere"), {"systems": {"A": error}})
    attached = {"reconstruction": [found]}
    card = model_card(facts_of(attached=attached))
    assert "Relative error of texture features, A: 25.0 [20.0, 30.0] %." in card
