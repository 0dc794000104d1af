"""How many planted copies the search for duplicates finds, and what it finds in real sets.

Every base image gets one copy, made by one of the changes below at the image's own size;
bases and copies lie in one set. A copy is found if it is in one cluster with its base (bases
may have copies of their own in real sets); every other pair is false on phantoms, whose seeds
all differ. On real sets the pairs are counted against the lists of
near-duplicates that come with the sets (hash and correlation at original resolution).

    python benchmarks/duplicate_recall.py [--phantoms 2400] [--planted 800] [--json FILE]
"""

import argparse
import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from glcm_mae.data import (
    PHANTOM_CLASSES,
    ImageTable,
    ReadingPolicy,
    load_images,
    make_phantom,
    read_table,
)
from glcm_mae.data.audit.duplicates import Duplicates, find_duplicates
from glcm_mae.data.reading.fitting import fit_image
from glcm_mae.data.reading.images import read_image

SETS = ("busi", "kermany_cxr", "sarscov2_ct")
THUMBNAIL = ReadingPolicy(size=(128, 128), fit="squeeze", depth=8)

Picture = Image.Image
Draw = np.random.Generator


def scaled(image: Picture, factor: float) -> Picture:
    size = round(image.width * factor), round(image.height * factor)
    return image.resize(size, Image.Resampling.BICUBIC)


def as_jpeg(image: Picture, quality: int) -> Picture:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=quality)
    return Image.open(data).convert("L")


def brighter(image: Picture, factor: float) -> Picture:
    return Image.fromarray((np.asarray(image) * factor).round().clip(0, 255).astype(np.uint8))


def cropped(image: Picture, height: float, width: float, draw: Draw) -> Picture:
    wide, high = round(image.width * (1 - width)), round(image.height * (1 - height))
    left = int(draw.integers(0, image.width - wide + 1))
    top = int(draw.integers(0, image.height - high + 1))
    return image.crop((left, top, left + wide, top + high))


def with_calipers(image: Picture, draw: Draw) -> Picture:
    marked = image.copy()
    pen, arm = ImageDraw.Draw(marked), max(3.0, 0.02 * min(image.size))
    for _ in range(2):
        ends = draw.uniform(0.15, 0.85, (2, 2)) * image.size
        for x, y in ends:
            pen.line([(x - arm, y), (x + arm, y)], fill=255)
            pen.line([(x, y - arm), (x, y + arm)], fill=255)
        for x, y in np.linspace(*ends, int(np.hypot(*(ends[0] - ends[1])) / 6) + 2):
            pen.rectangle([x, y, x + 1, y + 1], fill=255)
    place = (0.02 * image.width, 0.9 * image.height)
    pen.text(place, "1 D 12.3 mm  2 D 8.4 mm", fill=255)
    return marked


CHANGES: dict[str, Callable[[Picture, Draw], Picture]] = {
    "exact": lambda image, _: image,
    "flip": lambda image, draw: image.transpose(
        [Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM][draw.integers(2)]
    ),
    "rotate 90": lambda image, draw: image.transpose(
        [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270][draw.integers(2)]
    ),
    "rescale 0.5-1.5": lambda image, draw: scaled(image, draw.uniform(0.5, 1.5)),
    "JPEG q 50-95": lambda image, draw: as_jpeg(image, int(draw.integers(50, 96))),
    "brightness +-10 %": lambda image, draw: brighter(image, draw.choice([0.9, 1.1])),
    "crop 0-10 %": lambda image, draw: cropped(image, *draw.uniform(0, 0.1, 2), draw),
    "crop 10 %": lambda image, draw: cropped(image, 0.1, 0.1, draw),
    "calipers and text": with_calipers,
}


def thumbnail(image: Picture) -> np.ndarray[Any, Any]:
    gray = np.asarray(image, dtype=np.float32)[None] / np.float32(255)
    return np.rint(fit_image(gray, (128, 128), "squeeze") * 255).astype(np.uint8)


def planted(bases: Iterator[Picture], count: int, groups: Sequence[str] = ()) -> dict[str, Any]:
    """Give some images a copy each, search, and count what was found.

    ``groups`` tells whose each base is; pairs across are counted where they are known.
    """
    draw, names = np.random.default_rng(3), list(CHANGES)
    originals, copies = [], []
    for number, image in enumerate(bases):
        originals.append(thumbnail(image))
        if number < count:
            copies.append(thumbnail(CHANGES[names[number % len(names)]](image, draw)))
    images = np.stack(originals + copies)
    start, used = time.perf_counter(), time.process_time()
    found = find_duplicates(images)
    seconds, used = time.perf_counter() - start, time.process_time() - used
    own = {(n, len(originals) + n) for n in range(len(copies))}
    pairs = {(pair.a, pair.b) for pair in found.pairs}
    cluster = {row: n for n, rows in enumerate(found.clusters) for row in rows}
    together = [a for a, b in own if cluster.get(a, -1) == cluster.get(b, -2)]
    hits = Counter(names[number % len(names)] for number in together)
    patients = [*groups, *groups[: len(copies)]]
    made = Counter(names[n % len(names)] for n in range(len(copies)))
    return {
        "images": len(images),
        "recall": {name: [hits[name], made[name]] for name in names},
        "other_pairs": len(pairs - own),
        "other_pairs_across_groups": sum(patients[a] != patients[b] for a, b in pairs)
        if groups
        else None,
        "threshold": round(found.threshold, 3),
        "seconds": round(seconds, 1),
        "processor_seconds": round(used, 1),
    }


def phantoms(count: int) -> Iterator[Picture]:
    for number in range(count):
        kind = PHANTOM_CLASSES[number % len(PHANTOM_CLASSES)]
        phantom = make_phantom(kind, size=224, seed=(17, number))
        yield Image.fromarray(np.rint(phantom.image * 255).astype(np.uint8))


def pictures(table: ImageTable) -> Iterator[Picture]:
    for row in range(len(table)):
        yield Image.open(table.file(row)).convert("L")


def listed(folder: Path, table: ImageTable, found: Duplicates) -> dict[str, Any]:
    """Count what was found in a real set against the list that comes with it."""
    rows = {name: row for row, name in enumerate(table.names)}
    with (folder / "near_duplicates.csv").open(newline="") as file:
        known = [
            tuple(sorted((rows[line["path_a"]], rows[line["path_b"]])))
            for line in csv.DictReader(file)
        ]
    cluster = {row: n for n, rows in enumerate(found.clusters) for row in rows}
    kinds = Counter(pair.kind for pair in found.pairs)
    across = [p for p in found.pairs if table.labels[p.a] != table.labels[p.b]]
    return {
        "images": len(table),
        "listed_pairs": len(known),
        "listed_pairs_found_in_one_cluster": sum(
            cluster.get(a, -1) == cluster.get(b, -2) for a, b in known
        ),
        "pairs": len(found.pairs),
        "pairs_not_listed": len({(p.a, p.b) for p in found.pairs} - set(known)),
        **{f"{kind}_pairs": kinds[kind] for kind in ("equal", "copy", "alike")},
        "pairs_across_classes": len(across),
        "names_across_classes": [[table.name(p.a), table.name(p.b)] for p in across],
        "pairs_across_groups": sum(table.groups[p.a] != table.groups[p.b] for p in found.pairs)
        if table.grouping != "image"
        else None,
        "clusters": len(found.clusters),
        "images_in_clusters": len(cluster),
        "largest_cluster": max(map(len, found.clusters), default=0),
        "threshold": round(found.threshold, 3),
    }


def real(folder: Path, count: int) -> dict[str, Any]:
    table = read_table(folder / "manifest.csv", labelled=True)
    images = load_images(table, THUMBNAIL)
    start, used = time.perf_counter(), time.process_time()
    found = find_duplicates(images.pixels, read=lambda row: read_image(table.file(row)))
    seconds, used = time.perf_counter() - start, time.process_time() - used
    some = table.subset(np.random.default_rng(5).permutation(len(table))[: 2 * count])
    groups = some.groups if table.grouping != "image" else ()
    times = {"seconds": round(seconds, 1), "processor_seconds": round(used, 1)}
    return {
        "as_it_is": listed(folder, table, found) | times,
        "planted": planted(pictures(some), count, groups),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantoms", type=int, default=2700)
    parser.add_argument("--planted", type=int, default=900)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    find_duplicates(np.stack([thumbnail(image) for image in phantoms(3)]))  # compiles
    result: dict[str, Any] = {"phantoms": planted(phantoms(arguments.phantoms), 10**9)}
    print(json.dumps(result, indent=2))
    root = Path(__file__).resolve().parents[1].parent / "shared" / "data"
    root = Path(os.environ.get("GLCM_MAE_DATA") or root)
    for name in SETS:
        if (root / name / "manifest.csv").is_file():
            result[name] = real(root / name, arguments.planted)
            print(name, json.dumps(result[name], indent=2))
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
