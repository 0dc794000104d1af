"""Figures that others published on what seem to be the same images, beside ours."""

from collections.abc import Iterator, Sequence

from glcm_mae.data.known.catalog import KnownSet, known_sets
from glcm_mae.published import SCORES, Figure, System, published_systems
from glcm_mae.published.page import number
from glcm_mae.report.blocks import Block, Cell, Heading, Inline, Link, Table, Text, Words
from glcm_mae.report.citing import found, interval_of
from glcm_mae.report.facts import Facts, RunFacts

_OURS = ("accuracy", "sensitivity", "specificity", "auroc", "f1")


def blocks(facts: Facts) -> list[Block]:
    """Return published figures beside ours, or nothing where the set is not known."""
    run = facts.runs[0]
    entry = known_set(run)
    if entry is None:
        return []
    rows = [_ours(run) for run in facts.runs]
    theirs = [_theirs(system, figures) for system, figures in _together(entry)]
    if not theirs:
        return []
    heads = ["System", *(SCORES[name] for name in _OURS), "How it came about", "Source"]
    return [
        Heading("Beside published figures"),
        Text(
            f"These images are as many as those of {entry.title}, in as many classes, so they "
            "are taken for that set. Others used other divisions, often with the epoch picked "
            "on the part that they report: their figures stand beside ours and prove nothing."
        ),
        Table("Scores in percent", heads, [*rows, *theirs]),
    ]


def known_set(run: RunFacts) -> KnownSet | None:
    """Return the public set that has just as many images and classes as the run's table.

    Args:
        run: The run.
    """
    images = int(run.scores["images"]) + int(run.scores.get("skipped") or 0)
    archive = str(found(run.settings, "data", "table")).endswith(".npz")
    alike = [
        entry
        for entry in known_sets()
        if entry.images == images
        and len(entry.classes) == len(run.classes)
        and (entry.layout == "npz") == archive
    ]
    return alike[0] if len(alike) == 1 else None


def _ours(run: RunFacts) -> Sequence[Words]:
    keys = ("systems", run.system, "pooled")
    cells = [interval_of(run, name, *keys, name, strong=True) for name in _OURS]
    return [f"{run.name} (ours)", *cells, str(run.scores["title"]), "this report"]


def _together(entry: KnownSet) -> Iterator[tuple[System, list[Figure]]]:
    """Yield the figures of a set that came about alike, one row each."""
    for system in published_systems():
        rows: dict[tuple[str, str], list[Figure]] = {}
        for figure in system.figures:
            if figure.data == entry.name and figure.value is not None:
                source = figure.source.key if figure.source else ""
                rows.setdefault((figure.protocol, source), []).append(figure)
        for figures in rows.values():
            yield system, figures


def _theirs(system: System, figures: Sequence[Figure]) -> Sequence[Words]:
    of = f"systems.json#{system.name}"
    by_score = {figure.score: Cell(number(figure), of, "published") for figure in figures}
    others = [figure for figure in figures if figure.score not in _OURS]
    told: list[Inline] = []
    for figure in others:
        told += [f"{SCORES[figure.score]}: ", by_score[figure.score], "; "]
    first = figures[0]
    source = first.source
    link: Words = Link(source.title, source.address) if source else ""
    cells: list[Words] = [by_score.get(name, "") for name in _OURS]
    return [system.title, *cells, [*told, first.protocol], link]
