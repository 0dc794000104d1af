"""The cells of every table, before they are laid out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from glcm_mae.evaluation import DECISION_SCORES, SCORES
from glcm_mae.scoreboard.cells import GLANCE, LABELS, Systems, cell, interval_cell


def rows_of(systems: Systems, positive: str) -> list[list[str]]:
    """Return the cells of the table at a glance: the systems, then what belongs to each.

    Args:
        systems: What is known of each system.
        positive: Class whose own scores get a row where there are several classes.
    """
    rows = []
    for name, scores in systems.items():
        summary = scores["summary"]
        rows.append([name, *(cell(summary[key]) for key in GLANCE)])
        if scores.get("mark"):
            rows.append([f"  ({scores['mark']})", *("" for _ in GLANCE)])
        if positive and len(summary["per_class"]) > 2:
            own = summary.get("merged", summary["per_class"][positive])
            cells = [cell(own[key]) if key in own else "" for key in GLANCE]
            rows.append([f"  {positive} against the rest", *cells])
    return rows


def notes_of(systems: Systems) -> list[str]:
    """Return what the judgements themselves ask to be said, once if it holds for all."""
    told: dict[str, list[str]] = {}
    for name, scores in systems.items():
        for note in scores.get("notes", ()):
            told.setdefault(note, []).append(name)
    return [
        note if len(names) == len(systems) else f"{', '.join(names)}: {note}"
        for note, names in told.items()
    ]


def heading(systems: Systems) -> list[str]:
    """Return the first row of a table with one column a system: names and marks."""
    marks = {name: scores.get("mark") for name, scores in systems.items()}
    return ["", *(f"{name} ({mark})" if mark else name for name, mark in marks.items())]


def summary_rows(systems: Systems, positive: str) -> list[list[str]]:
    """Return mean ± SD over folds of every score, one row each."""
    summaries = [scores["summary"] for scores in systems.values()]
    merged = [summary.get("merged", {}) for summary in summaries]
    return [
        heading(systems),
        *_mean_rows(summaries, ""),
        *_mean_rows(merged, f"{positive} against the rest: "),
    ]


def _mean_rows(parts: Sequence[Mapping[str, Any]], prefix: str) -> list[list[str]]:
    """Return one row for every score that all systems have."""
    return [
        [prefix + LABELS[name], *(cell(part[name], name) for part in parts)]
        for name in SCORES
        if all(name in part for part in parts)
    ]


def pooled_of(systems: Systems, part: str = "") -> dict[str, Mapping[str, Any]]:
    """Return the systems that have intervals, reduced to these and to what marks them."""
    found: dict[str, Mapping[str, Any]] = {}
    for name, scores in systems.items():
        place = scores.get(part, {}) if part else scores
        if "pooled" in place:
            found[name] = {**place["pooled"], "mark": scores.get("mark")}
    return found


def interval_rows(systems: Systems, names: Sequence[str]) -> list[list[str]]:
    """Return one row a score, with the methods of the intervals in the last column."""
    rows = []
    for name in names:
        values = [scores[name] for scores in systems.values() if name in scores]
        if values and len(values) == len(systems):
            methods = dict.fromkeys(value["method"] for value in values)
            cells = [interval_cell(value, name) for value in values]
            rows.append([LABELS[name], *cells, "; ".join(methods)])
    return [[*heading(systems), "Interval"], *rows]


def operating_rows(systems: Systems) -> list[list[str]]:
    """Return the scores at the operating point, of the systems that have one."""
    having = {name: s for name, s in systems.items() if s.get("operating_point")}
    points = {
        name: {**scores["operating_point"]["pooled"], "mark": scores.get("mark")}
        for name, scores in having.items()
    }
    rows = interval_rows(points, [name for name in SCORES if name in DECISION_SCORES])
    facts: dict[str, Callable[[Mapping[str, Any]], str]] = {
        "Chosen on the inner part by": _rule,
        "Thresholds of the folds": _thresholds,
    }
    for label, fact in facts.items() if points else ():
        cells = [fact(scores["operating_point"]) for scores in having.values()]
        rows.append([label, *cells, ""])
    return rows


def _rule(point: Mapping[str, Any]) -> str:
    rule = point["rule"]
    return "Youden's index" if rule == "youden" else f"sensitivity {100 * rule:g} %"


def _thresholds(point: Mapping[str, Any]) -> str:
    return ", ".join(f"{value:.3f}" for value in point["thresholds"].values())


def calibration_rows(systems: Systems) -> list[list[str]]:
    """Return what is said of the probabilities, of the systems that were judged."""
    having = {name: s["calibration"] for name, s in systems.items() if s.get("calibration")}
    marked = {name: {"mark": systems[name].get("mark")} for name in having}
    names = ("ece", "brier", "log_loss", "slope", "intercept")
    rows = [heading(marked)]
    for after, suffix in ((False, ""), (True, ", with the inner part's temperature")):
        for name in names:
            found = [(part["after"] or {}) if after else part for part in having.values()]
            if any(part.get(name) for part in found):
                cells = [interval_cell(p[name], name) if p.get(name) else "" for p in found]
                rows.append([f"{LABELS[name]}{suffix}", *cells])
    return rows
