"""The data card: what images there are, how they were divided, what could leak."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from glcm_mae.report.blocks import (
    Block,
    Bullets,
    Cell,
    Details,
    Heading,
    Section,
    Table,
    Terms,
    Text,
    Tile,
    Tiles,
    Words,
    missing,
)
from glcm_mae.report.citing import count_of, found, pointer
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.report.overview import grouping_words

_LEAKS = {
    "near_duplicate_pairs": "Pairs of near-duplicates",
    "clusters": "Clusters of near-duplicates",
    "images_in_clusters": "Images in such clusters",
    "pairs_across_classes": "Pairs with two different labels",
}
_PARTS = ("train", "validation", "test")


def section(facts: Facts) -> Section:
    """Return the data card of the first run; others that differ say so in their notes."""
    run = facts.runs[0]
    blocks: list[Block] = [
        Tiles(
            [
                Tile("Images", count_of(run, "images")),
                Tile("Classes", Cell(str(len(run.classes)), _of(run, "classes"), "length")),
                Tile("Groups", count_of(run, "groups")),
                Tile("Files left out", count_of(run, "skipped")),
            ]
        ),
        Terms(
            [
                ("Kept together", grouping_words(run)),
                ("Division", str(run.scores["title"])),
                ("Positive class", run.positive or "none: all classes count alike"),
            ]
        ),
        _class_table(run),
        _fold_table(run),
        Heading("What could leak"),
        _leak_table(run),
        Details("How the numbers came about", [Bullets(list(run.scores.get("notes", ())))]),
        *_audit(facts),
    ]
    return Section("images", "The images", "What was looked at, and what kept apart?", blocks)


def _of(run: RunFacts, *keys: str | int) -> str:
    return pointer(f"{run.name}/scores.json", *keys)


def _class_table(run: RunFacts) -> Table:
    """Count the tested images of each class; an image counts once, whatever the passes."""
    said = run.predictions
    tested = dict(zip(said.paths, said.labels.tolist(), strict=True))
    groups = {
        name: len(set(said.clusters[said.labels == place].tolist()))
        for place, name in enumerate(said.classes)
    }
    counts = Counter(tested.values())
    of = f"{run.name}/predictions.csv"
    rows: list[list[Words]] = [
        [
            name,
            Cell(f"{counts[place]:,}", of, "images of class"),
            Cell(f"{100 * counts[place] / len(tested):.1f}", of, "share of class"),
            Cell(f"{groups[name]:,}", of, "groups of class"),
        ]
        for place, name in enumerate(said.classes)
    ]
    heads = ["Class", "Images", "Share (%)", "Groups"]
    return Table("Images that were tested, by class", heads, rows)


def _fold_table(run: RunFacts) -> Table:
    rows: list[list[Words]] = []
    of = f"{run.name}/folds.csv"
    for number, column in enumerate(run.parts):
        counts = Counter(column.values())
        cells = [Cell(f"{counts[part]:,}", of, f"images {part}") for part in _PARTS]
        rows.append([f"Fold {number}", *cells])
    caption = "Images in the parts of each fold: learnt from, picked on, and tested once"
    return Table(caption, ["", "Training", "Validation", "Test"], rows)


def _leak_table(run: RunFacts) -> Block:
    leaks: Mapping[str, Any] = run.scores.get("leak_check", {})
    if leaks.get("check") != "on":
        return Text("The leak check was off: nothing is known of near-duplicates.", "lead")
    rows: list[list[Words]] = [
        [label, count_of(run, "leak_check", name)]
        for name, label in _LEAKS.items()
        if found(leaks, name) is not None
    ]
    return Table("Near-duplicates, found by comparing all images", ["", "Count"], rows)


def _audit(facts: Facts) -> list[Block]:
    if facts.audit is None:
        command = "glcm-mae data audit TABLE --out DIR"
        return [missing("No audit of the images is beside these runs", command)]
    verdict = [str(line) for line in facts.audit.get("verdict", ())]
    return [Heading("What the audit says"), Bullets(verdict)]
