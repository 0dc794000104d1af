"""Calibration: how often what was said with a probability came true."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glcm_mae.report.blocks import Block, Details, Figure, Section, Table, Text, Words
from glcm_mae.report.charts import Axis, Bars, Chart, Dots, Drawn, Line, Panel
from glcm_mae.report.citing import found, interval_of
from glcm_mae.report.decisions import model_numbers
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.report.overview import confidence_of
from glcm_mae.scoreboard.cells import LABELS

_SHOWN = ("slope", "intercept", "brier", "log_loss", "ece")
_IDEAL = {"slope": "1", "intercept": "0", "brier": "0", "log_loss": "0", "ece": "0"}


def section(facts: Facts) -> Section:
    """Return reliability diagrams and the numbers that sum them up, before and after."""
    blocks: list[Block] = [
        Text(
            "A probability of 80 % should come true 8 times in 10. Points on the diagonal mean "
            "just that; below it the classifier promises too much, above it too little. The "
            "bars show how many images each point stands for."
        )
    ]
    blocks.append(_table(facts))
    for place, run in enumerate(facts.runs):
        if found(run.judged, "calibration", "reliability"):
            figure = Figure(_chart(run, place))
            folded = Details(f"Reliability of {run.name}", [figure])
            blocks.append(folded if place else figure)
    if found(facts.runs[0].judged, "calibration", "temperature"):
        blocks.append(Details("Temperatures", [_temperatures(facts)]))
    question = "Can its probabilities be taken at their word?"
    return Section("calibration", "Calibration", question, blocks)


def _chart(run: RunFacts, place: int) -> Chart:
    judged: Mapping[str, Any] = run.judged["calibration"]
    before = list(judged["reliability"])
    after = list(found(judged, "after", "reliability") or ())
    what = (
        f"probability of {run.positive}" if len(run.classes) == 2 else "probability of the call"
    )
    share = "share that came true"
    panels = [_diagram("As it is", before, run, place, what, share)]
    if after:
        title = "With temperature"
        panels.append(_diagram(title, after, run, place, what, share))
    panels += [_counts(before, run, place, what)]
    panels += [_counts(after, run, place, what)] if after else []
    confidence = confidence_of(run)
    return Chart(
        key=f"calibration_{place}",
        caption=f"{run.name}: bins of equal numbers of images, share that came true with its "
        f"{confidence} interval. Dotted: what would be right. Below: images in each bin.",
        alt=f"Reliability of {run.name}: " + "; ".join(_words(before)),
        panels=panels,
    )


def _words(bins: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for each in bins:
        yield f"said {100 * each['said']:.0f} %, came true {100 * each['came_true']:.0f} %"


def _diagram(
    title: str,
    bins: Sequence[Mapping[str, Any]],
    run: RunFacts,
    place: int,
    what: str,
    share: str,
) -> Panel:
    known = [each for each in bins if each["low"] is not None]
    x, y, low, high = (
        [each[name] for each in known] for name in ("said", "came_true", "low", "high")
    )
    labels = [
        f"said {100 * each['said']:.1f} %, came true {100 * each['came_true']:.1f} % of "
        f"{each['images']} images"
        for each in known
    ]
    drawn: list[Drawn] = [
        Line([0.0, 1.0], [0.0, 1.0], "what would be right", "quiet"),
        Dots(x, y, run.name, place, low, high, "y", labels, joined=True),
    ]
    unit = (-0.02, 1.02)
    return Panel(title, drawn, Axis(what, unit), Axis(share, unit), "square", 1.1)


def _counts(bins: Sequence[Mapping[str, Any]], run: RunFacts, place: int, what: str) -> Panel:
    bars = Bars(
        [each["said"] for each in bins],
        [float(each["images"]) for each in bins],
        run.name,
        place,
        width=0.02,
    )
    return Panel("", [bars], Axis(what, (-0.02, 1.02)), Axis("images"), height=0.5)


def _table(facts: Facts) -> Table:
    rows: list[list[Words]] = []
    for run in facts.runs:
        keys = ("systems", run.system, "calibration")
        rows.append([run.name, *(interval_of(run, name, *keys, name) for name in _SHOWN)])
        if found(run.scores, *keys, "after"):
            cells = [interval_of(run, name, *keys, "after", name) for name in _SHOWN]
            rows.append([f"{run.name}, with temperature", *cells])
    heads = ["", *(f"{LABELS[name]} (right: {_IDEAL[name]})" for name in _SHOWN)]
    confidence = confidence_of(facts.runs[0])
    caption = (
        f"Calibration with {confidence} intervals. Slope below 1: probabilities too extreme; "
        "intercept above 0: it comes true more often than said"
    )
    return Table(caption, heads, rows)


def _temperatures(facts: Facts) -> Table:
    models = found(facts.runs[0].judged, "calibration", "temperature") or ()
    names = [f"Model {key}" for key in models]
    caption = (
        "Temperatures found on the inner part of each fold; above 1 the model was too sure. "
        "They change no call, only how sure it sounds"
    )
    return model_numbers(facts.runs, ("calibration", "temperature"), caption, names)
