"""How much of the text drawn over images is suspected, and how many images without any.

Run: python benchmarks/burned_in_text.py DATA_FOLDER [IMAGES_PER_SOURCE]

DATA_FOLDER holds busi, sarscov2_ct and kermany_cxr, each with a manifest.csv. An overlay
counts as found if a suspected line overlaps it. The real images may hold text of their own:
how many of them are suspected untouched is told, not called false.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from glcm_mae.data import PHANTOM_CLASSES, make_phantom
from glcm_mae.data.audit.text import find_text

TEXTS = (
    "SMITH JANE 1947-02-23",
    "ID 4711-0815",
    "Dr. Miller, St. Mary",
    "L 12.41 mm",
    "19:47:02",
)
SIZES = (10, 12, 16, 24, 32)
CONTRASTS = {"strong": (100, 160), "dark": (-100,), "faint": (60,)}
OUT = Path(__file__).parent / "results" / "burned_in_text.json"


def sources(folder: Path, count: int) -> Iterator[tuple[str, list[np.ndarray]]]:
    yield (
        "phantoms",
        [
            np.uint8(
                255
                * make_phantom(
                    PHANTOM_CLASSES[n % 3], size=(192, 256, 384)[n % 3], seed=(9, n)
                ).image
            )
            for n in range(count)
        ],
    )
    generator = np.random.default_rng(0)
    for name in ("busi", "sarscov2_ct", "kermany_cxr"):
        with (folder / name / "manifest.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = generator.choice(len(rows), count, replace=False)
        files = (folder / name / rows[n]["path"] for n in chosen)
        yield name, [np.asarray(Image.open(file).convert("L")) for file in files]


def overlay(image, text, size, contrast, generator):
    """Draw text; None where it does not fit, or would not stand out where it lies.

    Bright text is ``contrast`` levels above the 90th percentile of what it covers (or
    white), dark text below the 10th (or black).
    """
    font = ImageFont.load_default(size)
    right, bottom = font.getbbox(text)[2:]
    height, width = image.shape
    if right >= width or bottom >= height:
        return None
    x, y = generator.integers(0, width - right), generator.integers(0, height - bottom)
    patch = image[y : y + bottom, x : x + right]
    edge = np.percentile(patch, 90 if contrast > 0 else 10)
    level = float(np.clip(edge + contrast, 0, 255))
    if abs(level - edge) < 0.6 * abs(contrast):
        return None
    drawn = Image.fromarray(image)
    ImageDraw.Draw(drawn).text((int(x), int(y)), text, fill=round(level), font=font)
    return np.asarray(drawn), (
        y / height,
        x / width,
        (y + bottom) / height,
        (x + right) / width,
    )


def meets(a, b) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def measure(images) -> dict:
    generator = np.random.default_rng(1)
    found = {kind: {size: [0, 0] for size in SIZES} for kind in CONTRASTS}
    for kind, contrasts in CONTRASTS.items():
        for size in SIZES:
            for contrast in contrasts:
                for image in images:
                    text = TEXTS[generator.integers(len(TEXTS))]
                    drawn = overlay(image, text, size, contrast, generator)
                    if drawn is None:
                        continue
                    lines = find_text(drawn[0] / 255)
                    found[kind][size][0] += any(meets(line.box, drawn[1]) for line in lines)
                    found[kind][size][1] += 1
    return {
        "images": len(images),
        "suspected_untouched": sum(bool(find_text(image / 255)) for image in images),
        "found_of_drawn": {k: {str(s): v for s, v in by.items()} for k, by in found.items()},
        "recall": {
            kind: round(
                sum(v[0] for v in by.values()) / max(1, sum(v[1] for v in by.values())), 4
            )
            for kind, by in found.items()
        },
    }


def main() -> None:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 40
    results = {}
    for name, images in sources(folder, count):
        results[name] = measure(images)
        print(name, json.dumps(results[name]), flush=True)
        OUT.write_text(
            json.dumps({"sizes": SIZES, "contrasts": CONTRASTS, "sources": results}, indent=2)
            + "\n"
        )


if __name__ == "__main__":
    main()
