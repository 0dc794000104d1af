"""How the models learnt: every term of the loss, epoch by epoch."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glcm_mae.downstream import TRAINED_PROTOCOLS
from glcm_mae.report.blocks import Block, Figure, Heading, Section, Text, missing
from glcm_mae.report.charts import Axis, Chart, Line, Panel
from glcm_mae.report.facts import Facts, RunFacts

_TITLES = {
    "loss": "Loss, weighted sum of the terms",
    "term/mse": "Term: mean squared error",
    "term/glcm": "Term: distance of co-occurrences (GLCM)",
    "term/ssim": "Term: structural dissimilarity (SSIM)",
    "validation/loss": "Loss on the inner validation part",
    "validation/auroc": "AUROC on the inner validation part",
    "validation/balanced_accuracy": "Balanced accuracy on the inner part",
}
_NAMES = {"pretraining": "Pre-training", "finetuning": "Fine-tuning"}
_FINETUNING = ("loss", "validation/loss", "validation/auroc", "validation/balanced_accuracy")
_SHOWN = ("loss", "term/", "fidelity/")

Epochs = Sequence[Mapping[str, Any]]


def section(facts: Facts) -> Section:
    """Return the learning curves of both stages."""
    blocks: list[Block] = [
        Text(
            "A thin line is one model (one fold), the bold one their mean. Training is in "
            "order where lines fall and flatten; a validation line that turns up again while "
            "training falls shows a model that learns by heart. " + _how_picked(facts),
            "soft",
        )
    ]
    pretrained = [key for key in _keys(facts, "pretraining") if key.startswith(_SHOWN)]
    for stage, keys in (("pretraining", pretrained), ("finetuning", list(_FINETUNING))):
        panels = [panel for key in keys if (panel := _panel(facts, stage, key)).drawn]
        blocks.append(Heading(_NAMES[stage]))
        if panels:
            blocks.append(Figure(_chart(stage, panels, facts)))
        else:
            what = f"{_NAMES[stage]}: no epochs are in these run folders"
            blocks.append(missing(what, "glcm-mae crossval"))
    return Section("learning", "Learning curves", "Did training go as it should?", blocks)


_PICKED = {
    "inner": "The inner part picked the epoch of fine-tuning.",
    "last": "No epoch was picked: the last one stands.",
    "test-fold": "The epoch was picked ON THE TEST PART.",
}


def _how_picked(facts: Facts) -> str:
    """Say what picked the epoch of the runs that have epochs to pick from."""
    trained = [
        run for run in facts.runs if run.scores.get("protocol", "finetune") in TRAINED_PROTOCOLS
    ]
    told = {run.name: _PICKED.get(str(run.scores.get("selection")), "") for run in trained}
    if len(set(told.values())) == 1:
        return next(iter(told.values()))
    return " ".join(f"{name}: {words}" for name, words in told.items() if words)


def _chart(stage: str, panels: Sequence[Panel], facts: Facts) -> Chart:
    name = _NAMES[stage]
    dotted = (
        " A dotted upright line is where a new phase of the losses begins; there the sum may "
        "jump, for it has other terms."
    )
    phases = any(line.role == "quiet" for panel in panels for line in panel.drawn)
    return Chart(
        key=f"learning_{stage}",
        caption=f"{name}, by epoch. Thin: one model; bold: mean over models."
        f"{dotted if phases else ''}",
        alt=f"{name}: {_in_words(facts, stage)}",
        panels=panels,
    )


def _in_words(facts: Facts, stage: str) -> str:
    """Say where the mean loss began and ended, for who does not see the lines."""
    told = []
    for run in facts.runs:
        _, means = _mean(_series(run, stage, "loss"))
        if means:
            told.append(f"loss of {run.name} from {means[0]:.3g} to {means[-1]:.3g}")
    return "; ".join(told)


def _keys(facts: Facts, stage: str) -> list[str]:
    found = [
        key
        for run in facts.runs
        for model in run.models
        for epoch in model.stages.get(stage, ())
        for key in epoch
    ]
    return list(dict.fromkeys(found))


def _panel(facts: Facts, stage: str, key: str) -> Panel:
    lines: list[Line] = []
    for place, run in enumerate(facts.runs):
        lines += _lines(run, stage, key, place)
    values = [value for line in lines for value in line.y]
    if values:
        lines = [*_phases(facts, stage, min(values), max(values)), *lines]
    title = _TITLES.get(key, key.replace("/", ": ").replace("_", " "))
    if (stage, key) == ("finetuning", "loss"):
        title = "Loss on the training part"
    last = max((epoch for line in lines for epoch in line.x), default=1.0)
    return Panel(title, lines, Axis("epoch", step=max(1.0, round(last / 8))), Axis())


def _lines(run: RunFacts, stage: str, key: str, place: int) -> Iterator[Line]:
    series = _series(run, stage, key)
    if len(series) > 1:
        for epochs, values in series:
            yield Line(epochs, values, run.name, place, thin=True)
    if series:
        epochs, means = _mean(series)
        yield Line(epochs, means, run.name, place)


def _series(run: RunFacts, stage: str, key: str) -> list[tuple[list[int], list[float]]]:
    found = []
    for model in run.models:
        points = [
            (epoch["epoch"] + 1, epoch[key])
            for epoch in model.stages.get(stage, ())
            if epoch.get(key) is not None
        ]
        if points:
            epochs, values = map(list, zip(*points, strict=True))
            found.append((epochs, values))
    return found


def _mean(series: Sequence[tuple[list[int], list[float]]]) -> tuple[list[int], list[float]]:
    """Return the mean of the models at each epoch that any of them reached."""
    found: dict[int, list[float]] = {}
    for epochs, values in series:
        for epoch, value in zip(epochs, values, strict=True):
            found.setdefault(epoch, []).append(value)
    epochs = sorted(found)
    return epochs, [sum(found[epoch]) / len(found[epoch]) for epoch in epochs]


def _phases(facts: Facts, stage: str, low: float, high: float) -> Iterator[Line]:
    """Yield an upright line where the weights of the losses change, of any run."""
    begins = {
        begin
        for run in facts.runs
        for model in run.models[:1]
        for begin in _begins(model.stages.get(stage, ()))
    }
    for begin in sorted(begins):
        yield Line([begin, begin], [low, high], "a phase of the losses begins", "quiet")


def _begins(epochs: Epochs) -> Iterator[float]:
    weights = [{k: v for k, v in each.items() if k.startswith("weight/")} for each in epochs]
    for place in range(1, len(weights)):
        if weights[place] != weights[place - 1]:
            yield epochs[place]["epoch"] + 0.5
