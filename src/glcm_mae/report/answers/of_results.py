"""What a run tells of how well its models do, how sure that is, and where they fail."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from glcm_mae.downstream import TRAINED_PROTOCOLS
from glcm_mae.report.evidence import Evidence
from glcm_mae.scoreboard import interval_cell, shown
from glcm_mae.scoreboard.cells import LABELS

_MEASURES = ("accuracy", "balanced_accuracy", "auroc", "f1", "mcc")
_OF_A_CLASS = ("sensitivity", "specificity", "ppv", "npv")
_CALIBRATION = ("ece", "brier", "log_loss")
_WORST = 3


def metrics(evidence: Evidence) -> str:
    """Name the measures."""
    names = [name for name in evidence.judged("pooled") if name in LABELS]
    told = ", ".join(LABELS[name].removesuffix(" (%)") for name in names)
    count = len(evidence.classes)
    classes = (
        f"those of one class are of {evidence.positive}"
        if count == 2
        else "those of one class are means over classes, each against the rest"
    )
    return f"{told}; {classes}. A reliability diagram shows calibration."


def uncertainty(evidence: Evidence) -> str:
    """Say how uncertainty was measured."""
    pooled = evidence.judged("pooled")
    methods = ", ".join(sorted({str(score["method"]) for score in pooled.values()}))
    return (
        f"{100 * evidence.judged('confidence'):g} % intervals over all test images "
        f"({methods}; {evidence.judged('resamples')} resamples of whole groups, "
        f"{evidence.judged('groups')} of them), and mean and standard deviation over "
        f"{_models(evidence)}."
    )


def _models(evidence: Evidence) -> str:
    count = len(evidence.judged("folds"))
    return f"{count} model{'s' if count > 1 else ''}"


def heterogeneity(evidence: Evidence) -> str:
    """Say how much scores vary from fold to fold."""
    told = [
        f"model {fold['fold'] + 1}: {shown(fold['auroc'])}" for fold in evidence.judged("folds")
    ]
    if len(told) < 2:
        return (
            f"One division was tested (AUROC {told[0].partition(': ')[2]} %), so how much "
            "another one would change was not measured. Whole groups are resampled together."
        )
    mean = evidence.judged("summary.auroc")
    return (
        f"AUROC (%) of each model: {'; '.join(told)}; mean {shown(mean['mean'])}, standard "
        f"deviation {shown(mean['sd'])}. Whole groups are resampled together."
    )


def controls_if_made(evidence: Evidence) -> str:
    """Add the negative controls, where they were made."""
    try:
        found = evidence.attached("controls")["controls"]
    except LookupError:
        return ""
    return (
        "Negative controls (AUROC %): labels shuffled "
        f"{interval_cell(found['label_shuffle'])}, random encoder "
        f"{interval_cell(found['random_encoder'])}, trained encoder "
        f"{interval_cell(found['trained_encoder'])}."
    )


def corruptions_if_tested(evidence: Evidence) -> str:
    """Add what changed test images cost, where that was measured."""
    try:
        told = evidence.attached("robustness")
    except LookupError:
        return ""
    score = str(told["settings"]["score"])
    lost = {kind: one["mean_drop"][score] for kind, one in told["corruptions"].items()}
    worst = sorted(lost, key=lambda kind: -lost[kind]["estimate"])[:_WORST]
    return (
        f"{LABELS[score].removesuffix(' (%)')} lost on changed test images (points, mean of "
        f"five levels): {interval_cell(told['mean_drop'][score])} over {len(lost)} changes; "
        "most by "
        + ", ".join(f"{kind.replace('_', ' ')} {interval_cell(lost[kind])}" for kind in worst)
        + "."
    )


def _elsewhere(evidence: Evidence) -> str:
    """Add the scores on images from elsewhere, where there were any."""
    try:
        told = evidence.attached("robustness")
    except LookupError:
        return ""
    if not told.get("external"):
        return ""
    pooled = told["external"]["pooled"]
    scores = ", ".join(
        f"{LABELS[name]} {interval_cell(pooled[name], name)}"
        for name in ("accuracy", "balanced_accuracy", "auroc")
        if name in pooled
    )
    return f"Images of another source, all models of the run averaged: {scores}."


def explainability(evidence: Evidence) -> str:
    """Say what was made to explain decisions, where it was."""
    found = evidence.attached("explanations")
    cases = len(found.get("cases", ()))
    points = len(found.get("map", {}).get("points", ()))
    return (
        f"Attention and gradient maps of {cases} test images with their nearest training "
        f"images, and a map of the features of {points} images."
    )


def _picked_on_test(evidence: Evidence) -> bool:
    """Say whether the test part picked the epoch; a probe has none."""
    trained = evidence.score("protocol") in TRAINED_PROTOCOLS
    return trained and evidence.score("selection") == "test-fold"


def internal(evidence: Evidence) -> str:
    """Say how the model was tested on data of the same source."""
    tested = len(set(evidence.predictions.paths))
    told = evidence.note("pre-training", "TRANSDUCTIVE", "fold-aware", "given encoder")
    note = f" {told[0].upper()}{told[1:]}." if told else ""
    folds = len(evidence.parts)
    if _picked_on_test(evidence):
        note += " But the epoch was picked by the labels of the test part."
    return (
        f"{tested} images of the same table were tested, each by models that did not learn "
        f"from its label ({folds} division{'s' if folds > 1 else ''}).{note}"
    )


def external(evidence: Evidence) -> str:
    """Say what else was tested, or that nothing was."""
    return _elsewhere(evidence) or (
        f"None in this run: all {len(set(evidence.predictions.paths))} test images are of the "
        "table it was developed on (glcm-mae robustness --external tests another)."
    )


def performance(evidence: Evidence) -> str:
    """Report the scores with their intervals."""
    pooled = evidence.judged("pooled")
    told = [f"{LABELS[name]} {interval_cell(pooled[name], name)}" for name in _MEASURES]
    return f"{evidence.score('system')}, all test images: {'; '.join(told)}."


def accuracy(evidence: Evidence) -> str:
    """Report sensitivity, specificity and predictive values with their intervals."""
    pooled: Mapping[str, Any] = evidence.judged("pooled")
    whose = "" if len(evidence.classes) == 2 else " (means over classes)"
    if len(evidence.classes) > 2 and evidence.positive:
        pooled, whose = evidence.judged("merged.pooled"), f" of {evidence.positive}"
    told = [f"{LABELS[name]} {interval_cell(pooled[name])}" for name in _OF_A_CLASS]
    point = evidence.judged("operating_point")
    text = f"{'; '.join(told)}{whose}."
    if not point:
        return text
    at = "; ".join(
        f"{LABELS[name]} {interval_cell(point['pooled'][name])}" for name in _OF_A_CLASS[:2]
    )
    return f"{text} At the threshold chosen on the inner part: {at}."


def calibration(evidence: Evidence) -> str:
    """Report calibration with its intervals."""
    found = evidence.judged("calibration")
    told = [f"{LABELS[name]} {interval_cell(found[name], name)}" for name in _CALIBRATION]
    lines = [
        f"{LABELS[name]} {interval_cell(found[name], name)}"
        for name in ("slope", "intercept")
        if found.get(name)
    ]
    return f"{'; '.join([*told, *lines])}."


def updating(evidence: Evidence) -> str:
    """Say whether models were updated after the evaluation."""
    found = evidence.judged("calibration").get("temperature")
    if not found:
        return "None: no model was changed after it was tested."
    values = ", ".join(f"{value:.3f}" for value in found.values())
    return (
        "No model was changed after it was tested. Beside its own probabilities stand those "
        f"after one temperature a fold, fitted on the inner validation part: {values}."
    )


def updated(evidence: Evidence) -> str:
    """Report calibration with the temperature."""
    after = evidence.judged("calibration").get("after")
    if not after:
        return "Nothing was updated."
    told = [f"{LABELS[name]} {interval_cell(after[name], name)}" for name in _CALIBRATION]
    return f"With the temperature: {'; '.join(told)}."


def failures(evidence: Evidence) -> str:
    """Count the wrong answers, and name the surest of them."""
    found = evidence.predictions
    called = found.probabilities.argmax(axis=1)
    wrong = called != found.labels
    if not wrong.any():
        return f"None of {len(found)} answers is wrong."
    pairs = Counter(
        (found.classes[truth], found.classes[answer])
        for truth, answer in zip(found.labels[wrong], called[wrong], strict=True)
    )
    told = "; ".join(
        f"{count} {truth} called {answer}" for (truth, answer), count in pairs.most_common()
    )
    sure = found.probabilities.max(axis=1) * wrong
    worst = sure.argsort(kind="stable")[::-1][:_WORST]
    named = ", ".join(
        f"{found.paths[row]} ({shown(sure[row])} %)" for row in worst if sure[row]
    )
    return f"{int(wrong.sum())} of {len(found)} answers are wrong: {told}. The surest: {named}."


def limits(evidence: Evidence) -> str:
    """Say what the run itself shows of its limits."""
    found = []
    if not _elsewhere(evidence):
        found.append(
            "images of one table, so nothing is known of other hospitals, devices or people"
        )
    if evidence.score("grouping") == "image":
        found.append("nothing tells which images are of one patient, so scores may be too good")
    if torn := evidence.note("which leaks"):
        found.append(torn.removeprefix("WARNING: "))
    if _picked_on_test(evidence):
        found.append("the epoch was picked on the test part, so scores are too good")
    if evidence.score("transductive"):
        found.append("pre-training saw the test images")
    if evidence.score("leak_check.check") == "off":
        found.append("near-duplicates were not looked for")
    found += [str(note) for note in evidence.judged("notes")]
    models = len(evidence.judged("folds"))
    if models < 5:
        found.append(
            f"{models} model{'s' if models > 1 else ''}, so that chance of training counts"
        )
    return f"As far as the run shows: {'; '.join(found)}."


ANSWERS: Mapping[str, Callable[[Evidence], str]] = {
    "metrics": metrics,
    "uncertainty": uncertainty,
    "heterogeneity": heterogeneity,
    "controls_if_made": controls_if_made,
    "corruptions_if_tested": corruptions_if_tested,
    "explainability": explainability,
    "internal": internal,
    "external": external,
    "performance": performance,
    "accuracy": accuracy,
    "calibration": calibration,
    "updating": updating,
    "updated": updated,
    "failures": failures,
    "limits": limits,
}
