"""How often the interval of the calibration error holds the true error.

    python benchmarks/calibration_error_coverage.py

Two classes; the logit of the true probability is normal, and the classifier says that
logit times a factor: 1 is calibrated, above 1 too sure. The true error is that of the
probabilities themselves, over 400,000 images. Beside the method that ``judge`` uses
stands the BCa bootstrap, which it uses for the other scores.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from scipy.special import expit

from glcm_mae.evaluation import Cases, WeightedScores
from glcm_mae.evaluation.pooling import Pool, pooled_scores
from glcm_mae.statistics import bca_interval, leave_out_weights, resample_weights
from glcm_mae.version import __version__

FACTORS, SIZES = (1.0, 1.5, 2.5), (100, 400, 1500)


def draw(rng: np.random.Generator, count: int, factor: float) -> tuple[Cases, np.ndarray]:
    """Return what a classifier says, and the true probabilities."""
    true = rng.normal(0.0, 1.5, count)
    labels = (rng.random(count) < expit(true)).astype(np.int64)
    said = expit(factor * true)
    return Cases.of(labels, np.stack([1 - said, said], axis=1), positive=1), expit(true)


def by_bca(cases: Cases, resamples: int, seed: int) -> tuple[float, float]:
    numbers = np.arange(len(cases))
    scores = WeightedScores(cases, ["ece"])
    weights = resample_weights(numbers, cases.labels, resamples=resamples, seed=seed)
    whole = float(scores(np.ones((1, len(cases))))["ece"][0])
    jackknife = scores(leave_out_weights(numbers))["ece"]
    interval = bca_interval(whole, scores(weights)["ece"], jackknife)
    return interval.low, interval.high


def examine(factor: float, count: int, sets: int, resamples: int) -> dict[str, float]:
    large, probabilities = draw(np.random.default_rng(9), 400_000, factor)
    truth = float(np.abs(large.confidence - probabilities).mean())
    found: dict[str, list[float]] = {"estimate": [], "basic": [], "bca": [], "width": []}
    for seed in range(sets):
        cases, _ = draw(np.random.default_rng([seed, count]), count, factor)
        pool = Pool(cases, np.arange(count), np.zeros(count, dtype=np.int64))
        value = pooled_scores(pool, ["ece"], confidence=0.95, resamples=resamples, seed=seed)[
            "ece"
        ]
        low, high = by_bca(cases, resamples, seed)
        found["estimate"].append(value["estimate"])
        found["width"].append(value["high"] - value["low"])
        found["basic"].append(value["low"] <= truth <= value["high"])
        found["bca"].append(low <= truth <= high)
    return {"true": truth, **{name: float(np.mean(part)) for name, part in found.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--resamples", type=int, default=500)
    place = Path(__file__).parent / "results" / "calibration_error_coverage.json"
    parser.add_argument("--json", type=Path, default=place)
    options = parser.parse_args()
    began = time.perf_counter()
    results = []
    for factor in FACTORS:
        for count in SIZES:
            row = examine(factor, count, options.sets, options.resamples)
            results.append({"factor": factor, "images": count, **row})
            print(json.dumps(results[-1]), flush=True)
    content = {
        "command": "python benchmarks/calibration_error_coverage.py",
        "glcm_mae": __version__,
        "sets": options.sets,
        "resamples": options.resamples,
        "seconds": round(time.perf_counter() - began),
        "results": results,
    }
    options.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
