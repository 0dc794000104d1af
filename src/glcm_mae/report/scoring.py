"""The scores: every system with its intervals, and every fold."""

from collections.abc import Iterator, Sequence

from glcm_mae.report.blocks import Block, Cell, Details, Figure, Section, Table, Text, Words
from glcm_mae.report.charts import Axis, Chart, Dots, Line, Panel, Role
from glcm_mae.report.citing import found, interval_of, mean_of, score_of
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.report.overview import confidence_of
from glcm_mae.scoreboard.cells import LABELS

SHOWN = (
    *("auroc", "balanced_accuracy", "sensitivity", "specificity", "accuracy", "f1"),
    *("ppv", "npv", "mcc", "auprc", "brier", "log_loss", "ece"),
)
"""Scores of the tables, the most telling first."""

_GLANCE = SHOWN[:6]
_FOREST = ("auroc", "balanced_accuracy")


def section(facts: Facts) -> Section:
    """Return the tables of scores, and the two main ones drawn with their intervals."""
    rows = list(systems(facts))
    confidence = confidence_of(facts.runs[0])
    blocks: list[Block] = [
        Text(
            "Systems without a network stand first: what is not clearly better than they are "
            "has not earned its cost. Intervals that overlap do not prove equality, and "
            "intervals that do not are no test either: see the comparison."
        ),
        Figure(_forest(rows, confidence)),
        _table(rows, ("pooled",), f"All test images together, {confidence} intervals", _GLANCE),
    ]
    positive = facts.runs[0].positive
    if positive and len(facts.runs[0].classes) > 2:
        caption = f"{positive} against the rest, {confidence} intervals"
        blocks.append(_table(rows, ("merged", "pooled"), caption, _GLANCE))
    blocks += [
        Details("All scores", [_table(rows, ("pooled",), f"{confidence} intervals", SHOWN)]),
        Details("Mean ± SD over folds", [_means(rows)]),
        Details("Every fold", [_folds(run) for run in facts.runs]),
        *_classes(facts, confidence),
        Details("What the scores mean", [_glossary()]),
    ]
    return Section("scores", "Scores", "How good is each system?", blocks)


def systems(facts: Facts) -> Iterator[tuple[RunFacts, str, str, Role]]:
    """Yield each system once: run, its name in the run, its name here, and its role.

    Baselines of several runs on the same folds are the same; they stand there once.
    """
    seen: list[object] = []
    for run in facts.runs:
        for name, scores in run.scores["systems"].items():
            if name != run.system and scores not in seen:
                seen.append(scores)
                yield run, name, name, "original"
    for place, run in enumerate(facts.runs):
        label = run.name if run.name == run.system else f"{run.name} ({run.system})"
        yield run, run.system, label, place


Rows = Sequence[tuple[RunFacts, str, str, Role]]


def _table(rows: Rows, place: Sequence[str], caption: str, names: Sequence[str]) -> Table:
    shown = [
        name
        for name in names
        if any(found(run.scores, "systems", own, *place, name) for run, own, _, _ in rows)
    ]
    cells: list[list[Words]] = [
        [
            label,
            *(
                interval_of(
                    run, name, "systems", own, *place, name, strong=isinstance(role, int)
                )
                for name in shown
            ),
        ]
        for run, own, label, role in rows
    ]
    return Table(caption, ["System", *(LABELS[name] for name in shown)], cells)


def _means(rows: Rows) -> Table:
    cells: list[list[Words]] = [
        [label, *(mean_of(run, name, "systems", own, "summary", name) for name in SHOWN)]
        for run, own, label, _ in rows
    ]
    caption = "Mean over folds ± standard deviation; it shows how much folds differ"
    return Table(caption, ["System", *(LABELS[name] for name in SHOWN)], cells)


def _folds(run: RunFacts) -> Table:
    keys = ("systems", run.system, "folds")
    rows: list[list[Words]] = []
    for place, fold in enumerate(found(run.scores, *keys)):
        several = " of pass " + str(fold["repeat"]) if fold.get("repeat") else ""
        cells = [score_of(run, name, *keys, place, name) for name in SHOWN]
        rows.append([f"Model {fold['fold']}{several}", *cells])
    return Table(f"{run.name}: scores of every test fold", ["", *_headings()], rows)


def _headings() -> list[str]:
    return [LABELS[name] for name in SHOWN]


def _classes(facts: Facts, confidence: str) -> Iterator[Details]:
    having = [run for run in facts.runs if run.judged.get("per_class")]
    if not having:
        return
    names = ("auroc", "sensitivity", "specificity", "ppv", "npv", "f1", "auprc")
    tables = []
    for run in having:
        keys = ("systems", run.system, "per_class")
        rows: list[list[Words]] = [
            [label, *(interval_of(run, name, *keys, label, name) for name in names)]
            for label in run.judged["per_class"]
        ]
        caption = f"{run.name}: each class against the rest, {confidence} intervals"
        tables.append(Table(caption, ["Class", *(LABELS[name] for name in names)], rows))
    yield Details("Every class", tables)


def _forest(rows: Rows, confidence: str) -> Chart:
    panels = [_forest_panel(rows, name) for name in _FOREST]
    return Chart(
        key="scores",
        caption=f"Estimate over all test images with its {confidence} interval. Gray: systems "
        "without a network. Dotted: chance.",
        alt="; ".join(_said(run, own, label) for run, own, label, _ in rows),
        panels=panels,
        columns=2,
    )


def _said(run: RunFacts, own: str, label: str) -> str:
    cell: Cell = interval_of(run, "auroc", "systems", own, "pooled", "auroc")
    return f"{label} AUROC {cell.text}"


def _forest_panel(rows: Rows, score: str) -> Panel:
    places = [float(len(rows) - 1 - number) for number in range(len(rows))]
    dots: list[Dots | Line] = []
    values = []
    for (run, own, label, role), place in zip(rows, places, strict=True):
        value = found(run.scores, "systems", own, "pooled", score) or {}
        if value.get("estimate") is None:
            continue
        estimate = 100 * value["estimate"]
        low, high = (estimate if value[k] is None else 100 * value[k] for k in ("low", "high"))
        values += [low, high]
        kind = "without a network" if role == "original" else run.name
        said = f"{label}: {estimate:.1f} [{low:.1f}, {high:.1f}]"
        dots.append(Dots([estimate], [place], kind, role, [low], [high], "x", [said], size=6))
    chance = 50.0 if score == "auroc" else 100 / len(rows[0][0].classes)
    line = Line([chance, chance], [-0.6, len(rows) - 0.4], "chance", "quiet")
    names = [run.name if isinstance(role, int) else own for run, own, _, role in rows]
    lowest = min([*values, chance])
    return Panel(
        LABELS[score],
        [line, *dots],
        Axis("", (max(0.0, lowest - 4), 101.0)),
        Axis("", (-0.6, len(rows) - 0.4), places, names),
        height=max(0.7, 0.14 * len(rows) + 0.25),
    )


def _glossary() -> Table:
    meaning = {
        "AUROC": "Chance that a random positive image gets a higher probability than a random "
        "negative one; half is guessing. With several classes the mean of each against the "
        "rest.",
        "Balanced accuracy": "Mean share of each class that is called rightly; it is not "
        "flattered by a frequent class.",
        "Sensitivity": "Share of the positive images that are called positive.",
        "Specificity": "Share of the negative images that are called negative.",
        "PPV, NPV": "Share of the calls (positive, negative) that are right, with as many "
        "positive images as here; in a clinic where fewer are ill, the PPV is lower.",
        "F1": "Harmonic mean of sensitivity and PPV.",
        "Matthews correlation": "Correlation of calls and truth, from -1 to 1; nothing is 0.",
        "AUPRC": "Mean PPV over all sensitivities; guessing gives the share of positive "
        "images.",
        "Brier score": "Mean squared distance of probabilities from the truth; less is better.",
        "Log loss": "Punishes being sure and wrong; less is better.",
        "Calibration error": "Mean distance between what was said and how often it came true.",
    }
    return Table("", ["Score", "Meaning"], [[name, text] for name, text in meaning.items()])
