"""A model card in Markdown, made of a run's files: what its users must know.

The sections are those of Mitchell et al., 2019, doi:10.1145/3287560.3287596; the front
matter is that of Hugging Face. The licence of the weights and what the model is meant for
are left to the authors, who alone know.
"""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any

import yaml

from glcm_mae.plain_table import markdown_rows
from glcm_mae.report.answers import ANSWERS
from glcm_mae.report.evidence import Evidence, UntoldError
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.scoreboard import interval_cell
from glcm_mae.scoreboard.cells import LABELS

METRICS: Mapping[str, str] = {
    "auroc": "roc_auc",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced_accuracy",
    "sensitivity": "recall",
    "specificity": "specificity",
    "f1": "f1",
    "mcc": "matthews_correlation",
    "brier": "brier_score",
}
"""Scores of the front matter, and what Hugging Face calls them."""

_TODO = "**TODO by the author:**"
_BEYOND = (
    "Not a medical device. Nobody has shown that this model may be used for diagnosis or "
    "treatment; it is for research. It knows its classes and no others: an image of anything "
    "else is put into one of them all the same."
)


def model_card(facts: Facts, *, number: int = 0) -> str:
    """Return the model card of a finished cross-validation.

    Args:
        facts: What is known of the runs.
        number: Place of the run among them.

    Returns:
        Markdown with front matter; the values of its ``model-index`` are those of
        ``scores.json`` to the last digit.
    """
    run = facts.runs[number]
    told = _Told(Evidence(facts, run))
    sections = {
        "Model": _model(told),
        "Intended use": (
            f"{_TODO} who shall use it, for which images, and for what.",
            told("goal"),
        ),
        "Out of scope": (_BEYOND, f"What it tells: {told('outcome')}"),
        "Data": tuple(
            told(topic)
            for topic in (
                *("data_source", "class_counts", "partition", "disjoint", "duplicates"),
                *("preprocessing", "missing", "names"),
            )
        ),
        "Training": tuple(
            told(topic)
            for topic in ("initialisation", "training", "training_data_changes", "selection")
        ),
        "Evaluation": (
            _scores(run),
            told("uncertainty"),
            told("heterogeneity"),
            told("internal"),
        ),
        "Calibration and threshold": (told("calibration"), told("updated"), told("threshold")),
        "Robustness": tuple(_robustness(facts, told)),
        "Limits": (told("limits"), told("failures"), f"Fairness: {told('fairness')}"),
        "Ethics": (f"{_TODO} ethics committee, consent, and risks of misuse.",),
        "How to use": (_usage(run),),
        "How to reproduce": (_again(run), told("settings_file"), told("software")),
    }
    body = "\n".join(_section(name, lines) for name, lines in sections.items())
    return f"{_front_matter(run)}\n# {run.system}, {_table(run)}\n\n{body}"


class _Told:
    """Answers a topic, or says that the run does not tell."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence

    def __call__(self, topic: str) -> str:
        self._evidence.begin()
        try:
            return ANSWERS[topic](self._evidence)
        except UntoldError as error:
            return f"The run does not tell {error}."


def _section(name: str, lines: tuple[str, ...]) -> str:
    paragraphs = "\n\n".join(line.rstrip("\n") for line in lines if line)
    return f"## {name}\n\n{paragraphs}\n"


def _table(run: RunFacts) -> str:
    """Name the table of images, without where it lies."""
    return str(run.settings.get("data", {}).get("table", run.name))


def _front_matter(run: RunFacts) -> str:
    results = [
        {"type": METRICS[name], "name": LABELS[name].removesuffix(" (%)"), "value": value}
        for name, value in _values(run)
    ]
    index = {
        "name": run.system,
        "results": [
            {
                "task": {"type": "image-classification"},
                "dataset": {"type": "local", "name": _table(run), "split": "test"},
                "metrics": results,
            }
        ],
    }
    content = {
        "library_name": "glcm-mae",
        "pipeline_tag": "image-classification",
        "tags": ["medical-imaging", "masked-autoencoder", "texture", "glcm", "vit"],
        "metrics": [one["type"] for one in results],
        "model-index": [index],
    }
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    licence = "license:  # TODO by the author: licence of the weights"
    return f"---\n{licence}\n{text}---\n"


def _values(run: RunFacts) -> Iterator[tuple[str, float]]:
    """Yield the scores over all test images that have a meaning."""
    for name in METRICS:
        value = run.judged["pooled"].get(name, {}).get("estimate")
        if value is not None and isfinite(value):
            yield name, float(value)


def _model(told: _Told) -> tuple[str, ...]:
    ensemble = f"Ensemble: {told('ensemble')}"
    return told("method"), told("architecture"), told("output"), ensemble


def _scores(run: RunFacts) -> str:
    pooled: Mapping[str, Any] = run.judged["pooled"]
    rows = [
        [LABELS[name], interval_cell(pooled[name], name), str(pooled[name]["method"])]
        for name in METRICS
        if name in pooled
    ]
    headings = ("All test images", "Score with interval", "Interval")
    return markdown_rows(headings, rows)


def _robustness(facts: Facts, told: _Told) -> Iterator[str]:
    controls = told("controls_if_made")
    yield controls or "Negative controls were not made (glcm-mae controls)."
    found = facts.reconstruction
    if found is None:
        yield "How well reconstructions keep texture was not measured (glcm-mae reconstruct)."
    else:
        for name, system in found.get("systems", {}).items():
            yield (
                f"Relative error of texture features, {name}: "
                + interval_cell(system["mean_error"])
                + " %."
            )
    changed = told("corruptions_if_tested")
    yield changed or "Changed images were not tested (glcm-mae robustness)."
    yield f"Test on another source: {told('external')}"


def _usage(run: RunFacts) -> str:
    folder = "fold-0/seed-0" if int(run.settings.get("seeds", 1)) > 1 else "fold-0"
    if run.settings.get("protocol") in ("linear", "knn"):
        return (
            "The probe is fitted anew from features; `glcm-mae probe --config "
            f"{run.folder.name}/{folder}/probing/config.yaml --out DIR` fits the first again."
        )
    return (
        "```python\nfrom pathlib import Path\n\n"
        "from glcm_mae.assembly import load_classifier\n\n"
        f'model, facts = load_classifier(Path("{run.folder.name}/{folder}/finetuning"))\n'
        'facts["classes"]  # in the order of the logits; facts["reading"] tells how to read\n'
        "```"
    )


def _again(run: RunFacts) -> str:
    name = run.folder.name
    drawn = not (run.settings.get("folds") or {}).get("official")
    folds = f"--folds.file {name}/folds.csv " if drawn else ""
    return (
        f"```sh\nglcm-mae crossval --config {name}/config.yaml {folds}"
        f"--data.table IMAGES --out {name}-again\n```"
    )
