"""The audit of a table: what is wrong with its images, before any model sees them."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.audit_page import SHOWN_PAIRS, SHOWN_TEXT, Picture, draw_picture, render_page
from glcm_mae.config import AuditConfig, DataConfig
from glcm_mae.data import ImageTable, LoadedImages, ReadingPolicy, read_image
from glcm_mae.data.audit.duplicates import Duplicates, duplicate_groups, find_duplicates
from glcm_mae.data.audit.findings import (
    by_weight,
    count_groups,
    count_pairs,
    describe_headers,
    describe_pair,
    describe_text,
    verdict,
)
from glcm_mae.data.audit.inspection import Inspection, inspect_images
from glcm_mae.data.audit.statistics import count_classes, describe_grays, describe_sizes
from glcm_mae.division import thumbnail_policy
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically
from glcm_mae.intake import cache_folder, list_images, read_listed, splits_of
from glcm_mae.progress import Meter, say
from glcm_mae.version import __version__

_PATHS = {"table", "cache", "split", "key"}  # settings that would tell of this machine
_PAIR_COLUMNS = (
    *("path_a", "path_b", "exact", "hash_distance", "correlation", "detail"),
    *("orientation", "same_label", "same_split"),
)


@dataclass(frozen=True)
class _Set:
    """The readable images of a table, and what was seen of them."""

    images: LoadedImages
    seen: Sequence[Inspection]
    found: Duplicates

    @property
    def table(self) -> ImageTable:
        return self.images.table


def audit(config: AuditConfig) -> dict[str, Any]:
    """Look at every image of a table, and write what was found.

    Writes ``audit.json``, ``audit.html``, ``duplicates.csv`` and ``groups.csv`` into
    ``config.out``, and says the verdict.

    Args:
        config: Settings of the stage.

    Returns:
        What ``audit.json`` holds.

    Raises:
        InputError: If the folder holds something, the table is bad, or no image of it can
            be read.
    """
    _check_out(config)
    listed = _list(config.data)
    read = _read(listed, config.data)
    whole = replace(thumbnail_policy(config.data), size=None)
    subject = _Set(read, _inspect(read.table, whole), _compare(read, whole))
    facts = _facts(config, listed, subject)
    _write(config, facts, subject)
    for line in facts["verdict"]:
        say(f"- {line}")
    return facts


def _check_out(config: AuditConfig) -> None:
    out = config.out
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(
            f"{out}: exists and is not an empty folder; choose another --out, or remove it"
        )


def _list(data: DataConfig) -> ImageTable:
    """List the images with their classes, or without where there are none."""
    try:
        table = list_images(data, labelled=True)
    except InputError as refusal:
        if data.label_map:
            raise
        table = list_images(data, labelled=False)  # refuses again if something else is wrong
        why = "the table tells none" if data.names == "hashed" else refusal  # it names files
        say(f"audited without classes, because {why}")
    if table.source == "shards":
        raise InputError(
            f"{data.table}: shards hold images that were resized; audit the table that they "
            "were made from"
        )
    return replace(table, splits=splits_of(table, data))


def _read(table: ImageTable, data: DataConfig) -> LoadedImages:
    """Read the thumbnails; a class may lose all its images here."""
    bare = replace(table, labels=(), classes=())
    cache = cache_folder(data.cache)
    read = read_listed(
        bare, thumbnail_policy(data), cache=cache, on_error="skip", what="thumbnails"
    )
    broken = {name for name, _ in read.skipped}
    kept = [row for row in range(len(table)) if table.name(row) not in broken]
    return replace(read, table=table.subset(kept))


def _inspect(table: ImageTable, policy: ReadingPolicy) -> list[Inspection]:
    with Meter("looking at images", total=len(table)) as meter:
        return inspect_images(table, policy, meter.advance)


def _compare(read: LoadedImages, policy: ReadingPolicy) -> Duplicates:
    table = read.table

    def pixels(row: int) -> npt.NDArray[np.generic]:
        return read_image(table.file(row), frame=table.frame(row), policy=policy)

    with Meter("comparing images", total=1, unit="pairs") as meter:
        return find_duplicates(read.pixels, read=pixels, progress=meter.reach)


def _facts(config: AuditConfig, listed: ImageTable, subject: _Set) -> dict[str, Any]:
    """Count everything; the order is that of the file."""
    table, seen, found = subject.table, subject.seen, subject.found
    hidden = config.data.names == "hashed"
    sizes = np.array([each.size for each in seen if each.size], np.int64).reshape(-1, 2)
    sized = table.subset([row for row, each in enumerate(seen) if each.size])
    skipped = subject.images.skipped
    facts = {
        "glcm_mae": __version__,
        "table": "(hidden)" if hidden else config.data.table.resolve().name,
        "settings": config.data.model_dump(mode="json", exclude=_PATHS),
        "policy": thumbnail_policy(config.data).facts(),
        "images": len(listed),
        "files": len(set(listed.paths)),
        "readable": len(table),
        "unreadable": [{"image": name, "reason": reason} for name, reason in skipped],
        "groups": count_groups(table, found),
        "classes": count_classes(table),
        "formats": dict(Counter(each.format for each in seen if each.format)),
        "sizes": describe_sizes(sizes, sized.labels, sized.classes),
        "gray": describe_grays(subject.images.pixels, table.labels, table.classes),
        "dicom": describe_headers(table, seen),
        "text": describe_text(table, seen),
        "duplicates": {
            "threshold": round(found.threshold, 4),
            "counts": count_pairs(table, found),
            "pairs": [describe_pair(table, pair) for pair in found.pairs],
            "clusters": [[table.name(row) for row in rows] for rows in found.clusters],
        },
    }
    return {**facts, "verdict": verdict(facts)}


def _write(config: AuditConfig, facts: dict[str, Any], subject: _Set) -> None:
    """Write the four files, the page last."""
    table, out = subject.table, config.out
    groups = duplicate_groups(table, subject.found)
    rows = ([pair[name] for name in _PAIR_COLUMNS] for pair in facts["duplicates"]["pairs"])
    named = zip(table.names, groups, strict=True)
    write_atomically(out / "duplicates.csv", _csv(_PAIR_COLUMNS, rows))
    what = "cluster" if table.grouping == "image" else "group"
    write_atomically(out / "groups.csv", _csv(("path", what), named))
    text = json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(out / "audit.json", text.encode())
    page = render_page(facts, _pictures(config, facts, subject))
    write_atomically(out / "audit.html", page.encode())


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else value


def _pictures(
    config: AuditConfig, facts: dict[str, Any], subject: _Set
) -> dict[str, Picture] | None:
    """Draw the images that the page shows; none if it is to be passed on."""
    if not config.with_images:
        return None
    table, pairs = subject.table, facts["duplicates"]["pairs"]
    rows = {name: row for row, name in enumerate(table.names)}
    shown = [pairs[number] for number in by_weight(pairs)[:SHOWN_PAIRS]]
    names = [name for pair in shown for name in (pair["path_a"], pair["path_b"])]
    names += [each["image"] for each in facts["text"]["images"][:SHOWN_TEXT]]
    policy = replace(thumbnail_policy(config.data), size=None)
    return {
        name: _picture(table, rows[name], policy, subject.seen[rows[name]])
        for name in dict.fromkeys(names)
    }


def _picture(table: ImageTable, row: int, policy: ReadingPolicy, seen: Inspection) -> Picture:
    pixels = read_image(table.file(row), frame=table.frame(row), policy=policy)[0]
    return draw_picture(pixels, [line.box for line in seen.lines])
