"""What an audit found: counts, and what they mean in plain words."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glcm_mae.data.audit.duplicates import Duplicates, Pair, duplicate_groups
from glcm_mae.data.audit.inspection import Inspection
from glcm_mae.data.audit.statistics import giveaways
from glcm_mae.data.tables.table import ImageTable

_NUMBERS = {
    "shorter_side": "the shorter side of the image",
    "aspect_ratio": "the aspect ratio",
    "mean": "the mean gray level",
    "sd": "the spread of the gray levels",
}


def describe_pair(table: ImageTable, pair: Pair) -> dict[str, Any]:
    """Return what outputs tell of two images that belong together.

    Args:
        table: The images.
        pair: Two rows of it.

    Returns:
        Names, distances, whether labels and parts are the same (None where the table has
        none), and which they are.
    """
    labels, splits = table.labels, table.splits
    return {
        "path_a": table.name(pair.a),
        "path_b": table.name(pair.b),
        "exact": pair.exact,
        "hash_distance": pair.distance,
        "correlation": round(pair.correlation, 4),
        "detail": round(pair.detail, 4),
        "orientation": pair.orientation,
        "same_label": labels[pair.a] == labels[pair.b] if labels else None,
        "same_split": splits[pair.a] == splits[pair.b] if splits else None,
        "labels": [table.classes[labels[row]] for row in (pair.a, pair.b)] if labels else [],
        "splits": [splits[row] for row in (pair.a, pair.b)] if splits else [],
    }


def by_weight(pairs: Sequence[dict[str, Any]]) -> list[int]:
    """Order pairs for people: those across classes, then across parts, then the closest.

    Returns:
        Positions in ``pairs``.
    """

    def weight(number: int) -> tuple[bool, bool, bool, float]:
        pair = pairs[number]
        apart = pair["same_label"] is not False, pair["same_split"] is not False
        return *apart, not pair["exact"], -pair["detail"]

    return sorted(range(len(pairs)), key=weight)


def count_pairs(table: ImageTable, found: Duplicates) -> dict[str, int | None]:
    """Count pairs and clusters of copies, and what they contradict.

    Args:
        table: The images.
        found: Copies among them.

    Returns:
        Counts; those across classes, parts and groups are None where the table has none.
    """
    pairs = [describe_pair(table, pair) for pair in found.pairs]
    known = table.grouping != "image"
    torn = sum(table.groups[pair.a] != table.groups[pair.b] for pair in found.pairs)
    return {
        "pairs": len(pairs),
        "exact_pairs": sum(pair["exact"] for pair in pairs),
        "near_pairs": sum(not pair["exact"] for pair in pairs),
        "clusters": len(found.clusters),
        "images_in_clusters": sum(map(len, found.clusters)),
        "pairs_across_classes": _count_false(pairs, "same_label", bool(table.labels)),
        "pairs_across_splits": _count_false(pairs, "same_split", bool(table.splits)),
        "pairs_across_groups": torn if known else None,
    }


def _count_false(pairs: Sequence[dict[str, Any]], key: str, known: bool) -> int | None:
    return sum(pair[key] is False for pair in pairs) if known else None


def count_groups(table: ImageTable, found: Duplicates) -> dict[str, Any]:
    """Count the groups of a table, joined by copies, and those in several parts.

    Returns:
        ``grouping`` (how groups are known), ``groups`` (before joining), ``joined``
        (after), and ``across_splits``: groups of the table in several parts, or None.
    """
    parts: dict[str, set[str]] = {}
    for group, split in zip(table.groups, table.splits, strict=False):
        parts.setdefault(group, set()).add(split)
    across = sum(len(inside) > 1 for inside in parts.values())
    return {
        "grouping": table.grouping,
        "groups": len(set(table.groups)),
        "joined": len(set(duplicate_groups(table, found))),
        "across_splits": across if parts and table.grouping != "image" else None,
    }


def describe_text(table: ImageTable, seen: Sequence[Inspection]) -> dict[str, Any]:
    """List the images that may have text burned in, the fullest first.

    Returns:
        ``suspected`` (their number), ``by_class`` and ``images``: name, letters and boxes.
    """
    rows = [row for row, each in enumerate(seen) if each.lines]
    rows.sort(key=lambda row: -sum(line.letters for line in seen[row].lines))
    labels = Counter(table.labels[row] for row in rows if table.labels)
    return {
        "suspected": len(rows),
        "by_class": {name: labels[number] for number, name in enumerate(table.classes)},
        "images": [
            {
                "image": table.name(row),
                "label": table.classes[table.labels[row]] if table.labels else "",
                "letters": sum(line.letters for line in seen[row].lines),
                "boxes": [[round(side, 4) for side in line.box] for line in seen[row].lines],
            }
            for row in rows
        ],
    }


def describe_headers(table: ImageTable, seen: Sequence[Inspection]) -> dict[str, Any]:
    """Count what DICOM headers tell; names of filled elements, never their values.

    Returns:
        ``files``, counts by ``modality``, of ``burned_in`` and of ``identifying`` elements.
    """
    files = {table.paths[row]: each.header for row, each in enumerate(seen) if each.header}
    headers = list(files.values())
    names = Counter(name for each in headers for name in each.identifying)
    return {
        "files": len(headers),
        "modality": dict(Counter(each.modality or "(not stated)" for each in headers)),
        "burned_in": dict(Counter(each.burned_in or "(not stated)" for each in headers)),
        "identifying": dict(sorted(names.items(), key=lambda item: (-item[1], item[0]))),
    }


def verdict(facts: Mapping[str, Any]) -> list[str]:
    """Say in plain words what was found, what it means and what to do next.

    Args:
        facts: What the stage counted, see ``audit.json``.

    Returns:
        Sentences, the most harmful first.
    """
    return [
        *_on_copies(facts["duplicates"]["counts"], bool(facts["classes"])),
        *_on_groups(facts["groups"], bool(facts["classes"])),
        *_on_giveaways(facts),
        *_on_privacy(facts["text"], facts["dicom"]),
        *_on_unreadable(facts["unreadable"]),
    ]


def _on_copies(counts: Mapping[str, Any], labelled: bool) -> Iterator[str]:
    if not counts["pairs"]:
        yield "no duplicates or near-duplicates were found"
        return
    if wrong := counts["pairs_across_classes"]:
        yield (
            f"{_many(wrong, 'pair')} of near-duplicates {_have(wrong)} different labels: look "
            "at them and correct the labels, or leave both images out"
        )
    if leaking := counts["pairs_across_splits"]:
        yield (
            f"{_many(leaking, 'pair')} of near-duplicates {_stand(leaking)} in two parts of "
            "the given split: test scores are too good; move or remove one image of each"
        )
    remedy = (
        "crossval and data split keep each cluster together by themselves; groups.csv tells "
        "which"
        if labelled
        else "keep each cluster in one part: groups.csv tells which"
    )
    yield (
        f"{_many(counts['images_in_clusters'], 'image')} in "
        f"{_many(counts['clusters'], 'cluster')} of near-duplicates "
        f"({_many(counts['exact_pairs'], 'pair')} equal pixel for pixel): {remedy}"
    )


def _on_groups(groups: Mapping[str, Any], labelled: bool) -> Iterator[str]:
    if groups["grouping"] == "image":
        why = "" if labelled else " (DICOM headers are asked only where there are classes)"
        yield (
            f"no patient is known{why}: scores from random folds are upper bounds; add a "
            "column 'group' to a manifest, or pass --data.group_pattern"
        )
    if torn := groups["across_splits"]:
        yield (
            f"{_many(torn, 'group')} {_stand(torn)} in two parts of the given split: if groups "
            "are patients, test scores are too good; draw new folds with data split"
        )


def _on_giveaways(facts: Mapping[str, Any]) -> Iterator[str]:
    for number, name, area in giveaways({**facts["sizes"]["areas"], **facts["gray"]["areas"]}):
        yield (
            f"{_NUMBERS[number]} alone tells {name} from the rest to a degree (AUC {area:.2f}, "
            "0.5 would tell nothing): a model may learn it instead of the disease"
        )


def _on_privacy(text: Mapping[str, Any], dicom: Mapping[str, Any]) -> Iterator[str]:
    if count := text["suspected"]:
        yield (
            f"{_many(count, 'image')} may have text burned in (a suspicion, nothing was read): "
            "look at them before images leave the house"
        )
    if stated := dicom["burned_in"].get("YES"):
        yield f"{_many(stated, 'DICOM file')} {_say(stated)} that annotations are burned in"
    if names := dicom["identifying"]:
        yield (
            f"DICOM headers hold what could identify ({_many(len(names), 'kind')} of elements, "
            f"first {', '.join(list(names)[:3])}): no output of glcm-mae holds the values, but "
            "the files do"
        )


def _on_unreadable(unreadable: Sequence[Any]) -> Iterator[str]:
    if unreadable:
        yield (
            f"{_many(len(unreadable), 'image')} cannot be read: repair or remove them, or pass "
            "--data.on_error skip to the other commands"
        )


def _many(count: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> _many(1, "pair"), _many(1200, "pair")
        ('1 pair', '1,200 pairs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _have(count: int) -> str:
    return "has" if count == 1 else "have"


def _stand(count: int) -> str:
    return "stands" if count == 1 else "stand"


def _say(count: int) -> str:
    return "says" if count == 1 else "say"
