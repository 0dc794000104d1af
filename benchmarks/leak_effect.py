r"""What near-duplicates across folds do to a score: one recipe, with the leak check on and off.

    glcm-mae data audit TABLE --out audit
    glcm-mae crossval --config RECIPE --data.table TABLE --out runs/on
    glcm-mae crossval --config RECIPE --data.table TABLE --leak-check off --out runs/off
    python benchmarks/leak_effect.py --on runs/on --off runs/off \
        --duplicates audit/duplicates.csv

Beside the scores of both runs, the images themselves are compared: those of which a copy
with the same label was learnt from when the check was off ("leaked"), and all others.
Intervals are percentiles of a bootstrap over clusters of copies.
"""

import argparse
import csv
import json
import platform
from collections import defaultdict
from pathlib import Path

import numpy as np

from glcm_mae.data.audit.clusters import connected
from glcm_mae.evaluation import Predictions, read_predictions
from glcm_mae.version import __version__

SCORES = ("accuracy", "balanced_accuracy", "auroc")
ROUNDS = 2000


def own_probability(run: Predictions) -> dict[str, float]:
    """Probability that each image was given of its own class, by path."""
    rows = np.arange(len(run.labels))
    return dict(zip(run.paths, run.probabilities[rows, run.labels].tolist(), strict=True))


def correct(run: Predictions) -> dict[str, float]:
    hit = run.probabilities.argmax(axis=1) == run.labels
    return dict(zip(run.paths, hit.astype(float).tolist(), strict=True))


def read_pairs(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["path_a"], row["path_b"]) for row in csv.DictReader(file)]


def leaked_images(off: Predictions, pairs: list[tuple[str, str]]) -> set[str]:
    """Images of which a copy with the same label was in another fold than their own."""
    fold = dict(zip(off.paths, off.folds.tolist(), strict=True))
    label = dict(zip(off.paths, off.labels.tolist(), strict=True))
    apart = [(a, b) for a, b in pairs if fold[a] != fold[b] and label[a] == label[b]]
    return {path for pair in apart for path in pair}


def difference(
    on: dict[str, float], off: dict[str, float], paths: list[str], clusters: dict[str, int]
) -> dict[str, float]:
    """Mean of off minus on over some images, with a bootstrap over clusters."""
    found = defaultdict(list)
    for path in paths:
        found[clusters[path]].append(off[path] - on[path])
    sums = np.array([sum(values) for values in found.values()])
    counts = np.array([len(values) for values in found.values()])
    draws = np.random.default_rng(0).integers(0, len(sums), (ROUNDS, len(sums)))
    means = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return {
        "images": len(paths),
        "on": float(np.mean([on[path] for path in paths])),
        "off": float(np.mean([off[path] for path in paths])),
        "off_minus_on": float(sums.sum() / counts.sum()),
        "low": float(low),
        "high": float(high),
    }


def compare(on_run: Path, off_run: Path, duplicates: Path) -> dict[str, object]:
    on, off = (read_predictions(run / "predictions.csv") for run in (on_run, off_run))
    pairs = read_pairs(duplicates)
    number = {path: row for row, path in enumerate(off.paths)}
    joined = connected(len(number), ((number[a], number[b]) for a, b in pairs))
    clusters = {path: joined[row] for path, row in number.items()}
    leaked = leaked_images(off, pairs)
    parts = {
        "leaked": sorted(leaked),
        "all_others": [path for path in off.paths if path not in leaked],
        "all": list(off.paths),
    }
    measures = {"accuracy": correct, "probability_of_own_class": own_probability}
    return {
        "scores": {
            name: {
                score: summary["systems"][summary["system"]]["summary"][score]
                for score in SCORES
            }
            for name, summary in (
                (name, json.loads((run / "scores.json").read_text()))
                for name, run in (("on", on_run), ("off", off_run))
            )
        },
        "images": {
            part: {
                name: difference(measure(on), measure(off), paths, clusters)
                for name, measure in measures.items()
            }
            for part, paths in parts.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("on", "off", "duplicates"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "leak_effect.json"
    )
    arguments = parser.parse_args()
    result = {
        "command": "python benchmarks/leak_effect.py --on RUN --off RUN --duplicates CSV",
        "glcm_mae": __version__,
        "machine": platform.machine(),
        **compare(arguments.on, arguments.off, arguments.duplicates),
    }
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
