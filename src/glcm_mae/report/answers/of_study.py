"""What kind of study a run is, and what makes it repeatable."""

from collections.abc import Callable, Mapping
from typing import Any

from glcm_mae.report.evidence import Evidence

ON_TOP = {
    "finetune": "fine-tuned with labels",
    "linear": "classified by a linear probe of frozen features",
    "attentive": "classified by an attentive probe of the frozen encoder",
    "knn": "classified by the nearest images in frozen features",
}


def model_name(evidence: Evidence) -> str:
    """Return what the encoder, or the baseline in its place, is called."""
    return str(evidence.setting("baseline") or evidence.setting("model.encoder"))


def method(evidence: Evidence) -> str:
    """Say which kind of method it is."""
    start = {
        "pretraining": "pre-trained without labels as a masked autoencoder",
        "weights": "started from given weights",
        "scratch": "started from random weights",
    }[evidence.setting("start")]
    return (
        f"Deep learning: {model_name(evidence)}, {start}, then "
        f"{ON_TOP[evidence.setting('protocol')]}."
    )


def goal(evidence: Evidence) -> str:
    """Say what the study is for, as far as what was done tells."""
    positive = evidence.positive
    of_interest = f"; the positive class is {positive}" if positive else ""
    return (
        "Development and internal evaluation of a classifier of images into "
        f"{', '.join(evidence.classes)}{of_interest}. The run holds no evaluation elsewhere."
    )


def outcome(evidence: Evidence) -> str:
    """Say what is predicted."""
    positive = evidence.positive
    of_interest = f" The positive class is {positive}." if positive else ""
    return (
        f"The class of an image, as its table tells: {', '.join(evidence.classes)}."
        f"{of_interest} Nothing is predicted for a later time."
    )


def predictors(evidence: Evidence) -> str:
    """Say what the prediction is made from."""
    height, width = evidence.setting("model.image_size")
    return (
        f"The pixels of one image at {height} x {width} and nothing else: no clinical value, "
        "no text, no region marked by hand. None was picked beforehand."
    )


def predictors_judged(evidence: Evidence) -> str:
    """Say who judged predictors."""
    window = evidence.setting("data.window")
    return (
        "Nobody: pixels are read from the files by a fixed rule "
        f"(data.window {window}, data.fit {evidence.setting('data.fit')})."
    )


def fairness(evidence: Evidence) -> str:
    """Say what was done for fairness."""
    return (
        f"None in this run: it knows images, their classes ({', '.join(evidence.classes)}) and "
        "their groups, and no sex, age or origin of anybody."
    )


def software(evidence: Evidence) -> str:
    """Name software and versions."""
    packages: Mapping[str, Any] = evidence.environment("packages")
    versions = ", ".join(f"{name} {version}" for name, version in packages.items())
    commit = evidence.environment("commit")
    state = f" (commit {commit})" if commit else ""
    return (
        f"glcm-mae {evidence.environment('glcm_mae')}{state}, Python "
        f"{evidence.environment('python')}, {versions}, on {evidence.environment('system')}."
    )


def code(evidence: Evidence) -> str:
    """Say where the software is."""
    return (
        f"glcm-mae {evidence.environment('glcm_mae')}, Apache-2.0; the run folder holds every "
        "setting, the folds, the predictions and the weights."
    )


def settings_file(evidence: Evidence) -> str:
    """Say where the technical detail is found."""
    return (
        "config.yaml holds every setting and reruns the run (seed "
        f"{evidence.setting('seed')}); SHA-256 of config.yaml "
        f"{evidence.hash('config.yaml')[:16]}…, of folds.csv {evidence.hash('folds.csv')[:16]}…"
    )


def poor_input(evidence: Evidence) -> str:
    """Say what becomes of poor or missing input."""
    rule = {
        "stop": "a file that cannot be read stops the run",
        "skip": "a file that cannot be read is left out and counted",
    }[evidence.setting("data.on_error")]
    return (
        f"By the software: {rule} (data.on_error {evidence.setting('data.on_error')}). An "
        "image that can be read is always classified, however poor."
    )


def interaction(evidence: Evidence) -> str:
    """Say whether users have to handle inputs."""
    return (
        "No: the classifier reads whole images by the rule kept with its weights (data.window "
        f"{evidence.setting('data.window')}, data.fit {evidence.setting('data.fit')}); nothing "
        "is marked by hand."
    )


ANSWERS: Mapping[str, Callable[[Evidence], str]] = {
    "method": method,
    "goal": goal,
    "outcome": outcome,
    "predictors": predictors,
    "predictors_judged": predictors_judged,
    "fairness": fairness,
    "software": software,
    "code": code,
    "settings_file": settings_file,
    "poor_input": poor_input,
    "interaction": interaction,
}
