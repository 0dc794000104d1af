"""The runs against each other: which differences are more than chance."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from glcm_mae.comparison.report import SCORE_NAMES, TEST_NAMES, p_text
from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Cell,
    Details,
    Figure,
    Inline,
    Section,
    Table,
    Text,
    Words,
    missing,
)
from glcm_mae.report.charts import Axis, Chart, Dots, Drawn, Line, Panel
from glcm_mae.report.citing import DASH, found, pointer
from glcm_mae.report.facts import Facts

_FILE = "comparison.json"


def section(facts: Facts) -> Section:
    """Return the paired comparison of the runs, with p-values corrected for their number."""
    question = "Is one better than the other, or may it be chance?"
    told = facts.comparison
    if told is None:
        what = "One run is shown: there is nothing to compare"
        if len(facts.runs) > 1:
            what = "The runs were not compared"
        command = "glcm-mae compare RUN RUN --out DIR"
        return Section("comparison", "Comparison", question, [missing(what, command)])
    if "refused" in told:
        why = Text(f"The runs cannot be compared fairly: {told['refused']}", "lead")
        return Section("comparison", "Comparison", question, [why])
    verdicts = [Cell(line, pointer(_FILE, "verdicts", p), "text") for p, line in _lines(told)]
    blocks: list[Block] = [
        Text(
            "Every pair was tested on the same images and folds. p (Holm) is corrected for the "
            "number of comparisons made here; above 0.05 the two are not distinguishable, "
            "which does not mean that they are equal: the interval says what may be."
        ),
        Bullets(verdicts),
        *[Figure(chart) for chart in _charts(told)],
        _table(told),
        Details("Every test, not corrected", [_tests(told)]),
        Details("How it was compared", [Bullets(list(map(str, told.get("notes", ()))))]),
    ]
    return Section("comparison", "Comparison", question, blocks)


def _lines(told: Mapping[str, Any]) -> list[tuple[int, str]]:
    """Return the verdicts by AUROC first; the others stand in the table."""
    lines = list(enumerate(told.get("verdicts", ())))
    return [pair for pair in lines if " by AUROC" in pair[1]] or lines


def verdict_words(told: Mapping[str, Any]) -> Words:
    """Say by the first score that was compared who is better, in as few words as are honest.

    Args:
        told: What ``comparison.json`` holds.
    """
    level = 1 - float(told["confidence"])
    score = SCORE_NAMES[told["pairs"][0]["scores"][0]["score"]]
    pieces: list[Inline] = []
    alike: list[str] = []
    for pair, place, _, item in _items(told):
        first, second = told["pairs"][pair]["first"], told["pairs"][pair]["second"]
        if SCORE_NAMES[item["score"]] != score:
            continue
        if item["p_holm"] is None or item["p_holm"] > level:
            alike.append(f"{first} and {second}")
            continue
        keys = ("pairs", pair, "scores", place)
        better, worse = (
            (first, second) if item["difference"]["estimate"] > 0 else (second, first)
        )
        pieces += [
            f"{better} is better than {worse} by {score} (",
            _points(item["difference"], *keys, "difference"),
            " points, p ",
            _p(item["p_holm"], *keys, "p_holm"),
            " after correction). ",
        ]
    if alike:
        pieces.append(
            f"Not distinguishable by {score}: {'; '.join(alike)}. That is no proof of equality."
        )
    return pieces


def _items(told: Mapping[str, Any]) -> list[tuple[int, int, str, Mapping[str, Any]]]:
    return [
        (pair_place, place, f"{pair['first']} – {pair['second']}", item)
        for pair_place, pair in enumerate(told["pairs"])
        for place, item in enumerate(pair["scores"])
    ]


def _table(told: Mapping[str, Any]) -> Table:
    rows: list[list[Words]] = []
    for pair, place, name, item in _items(told):
        keys = ("pairs", pair, "scores", place)
        rows.append(
            [
                f"{name}, {SCORE_NAMES[item['score']]}",
                _percent(item["first"], *keys, "first"),
                _percent(item["second"], *keys, "second"),
                _points(item["difference"], *keys, "difference"),
                _p(item["p_value"], *keys, "p_value"),
                _p(item["p_holm"], *keys, "p_holm"),
                TEST_NAMES[item["primary"]],
            ]
        )
    heads = ["", "First (%)", "Second (%)", "Difference (points)", "p", "p (Holm)", "Test"]
    return Table("Differences, first minus second, with their intervals", heads, rows)


def _percent(value: float | None, *keys: str | int) -> Cell:
    text = DASH if value is None else f"{100 * value:.1f}"
    return Cell(text, pointer(_FILE, *keys), "percent")


def _points(value: Mapping[str, Any], *keys: str | int) -> Cell:
    if value["estimate"] is None:
        return Cell(DASH, form="points")
    text = f"{100 * value['estimate']:+z.1f}"
    if value["low"] is not None:
        text += f" [{100 * value['low']:+z.1f}, {100 * value['high']:+z.1f}]"
    return Cell(text, pointer(_FILE, *keys), "points")


def _p(value: float | None, *keys: str | int) -> Cell:
    text = DASH if value is None else p_text(value)
    return Cell(text, pointer(_FILE, *keys), "p")


def _tests(told: Mapping[str, Any]) -> Table:
    rows: list[list[Words]] = []
    for pair, place, name, item in _items(told):
        cells: list[Words] = [f"{name}, {SCORE_NAMES[item['score']]}"]
        for test in TEST_NAMES:
            keys = ("pairs", pair, "scores", place, "tests", test)
            value = found(told, *keys)
            cells.append(_p(value["p_value"], *keys, "p_value") if value else "")
        rows.append(cells)
    return Table("p-values, not corrected", ["", *TEST_NAMES.values()], rows)


def _charts(told: Mapping[str, Any]) -> Sequence[Chart]:
    rows = [
        (name, item["difference"])
        for _, _, name, item in _items(told)
        if item["score"] == "auroc" and item["difference"]["estimate"] is not None
    ]
    if not rows:
        return []
    places = [float(len(rows) - 1 - number) for number in range(len(rows))]
    edge = (-0.6, len(rows) - 0.4)
    drawn: list[Drawn] = [Line([0.0, 0.0], list(edge), "no difference", "quiet")]
    said = []
    for (name, value), place in zip(rows, places, strict=True):
        middle, low, high = (_times(value[key], value) for key in ("estimate", "low", "high"))
        said.append(f"{name}: {middle:+z.1f} points [{low:+z.1f}, {high:+z.1f}]")
        drawn.append(
            Dots([middle], [place], "difference", 0, [low], [high], "x", [said[-1]], size=6)
        )
    panel = Panel(
        "",
        drawn,
        Axis("difference in AUROC, points (first minus second)"),
        Axis("", edge, places, [name for name, _ in rows]),
        height=max(0.55, 0.16 * len(rows) + 0.3),
    )
    caption = (
        "Differences in AUROC with the interval of the primary test. An interval that crosses "
        "the dotted line leaves open which is better."
    )
    return [Chart("comparison", caption, "; ".join(said), [panel], 1, wide=True)]


def _times(value: float | None, whole: Mapping[str, Any]) -> float:
    """Return percent points; a limit that is not known falls on the estimate."""
    known = whole["estimate"] if value is None or not isfinite(value) else value
    return float(100 * known)
