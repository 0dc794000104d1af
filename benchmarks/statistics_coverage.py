r"""How often intervals hold the truth, and how often tests see a difference where none is.

    nice python benchmarks/statistics_coverage.py

Patients are simulated, of whom 40 % are ill, each with one image or with 1 to 5; scores of
the images of one patient go together (correlation 0.5 within a class). In each of 2,000
such data sets every interval is computed, and whether it holds the true value; and every
paired test between two classifiers that are equally good. Tests over folds get classifiers
that are really trained in every fold: two linear ones, each on its own features of the
same strength, so that neither way of training is better.

Finished cells are kept in the JSON file and not computed again, so the command may be
repeated until all are there. Numbers of a cell depend on nothing but its name and the sizes.
"""

import argparse
import json
import platform
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from glcm_mae.statistics import (
    Interval,
    auroc_interval,
    bca_interval,
    clustered_proportion_interval,
    corrected_resampled_t,
    delong_test,
    leave_out_weights,
    mcnemar_test,
    percentile_interval,
    permutation_test,
    proportion_interval,
    resample_weights,
    weighted_auroc,
    wilcoxon_test,
)
from glcm_mae.version import __version__

PATIENTS, IMAGES = (30, 100, 400), (1, 5)
ALIKE = 0.5
"""Correlation of the scores of two images of one patient."""
RESAMPLES, PERMUTATIONS = 1000, 199
COVERAGE, FALSE_POSITIVES = (0.93, 0.97), (0.03, 0.07)
Cell = dict[str, float]
Truth = NDArray[np.bool_]
Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Cohort:
    """How many patients there are, and at most how many images of each."""

    patients: int
    images: int

    def draw(self, rng: np.random.Generator) -> tuple[Truth, NDArray[np.int64]]:
        """Draw the class and the patient of each image."""
        ill = np.arange(self.patients) < round(0.4 * self.patients)
        counts = rng.integers(1, self.images + 1, self.patients)
        patient = np.repeat(np.arange(self.patients), counts)
        return ill[patient], patient

    def noise(self, rng: np.random.Generator, patient: NDArray[np.int64]) -> Scores:
        """Draw noise of variance 1 that is alike within patients."""
        own = rng.normal(size=self.patients)[patient]
        return np.sqrt(ALIKE) * own + np.sqrt(1 - ALIKE) * rng.normal(size=len(patient))


def strength(area: float) -> float:
    """Shift between the classes that gives this area under the curve."""
    return float(np.sqrt(2) * stats.norm.ppf(area))


def holds(interval: Interval, truth: float) -> bool:
    return bool(interval.low <= truth <= interval.high)


def direct_intervals(rng: np.random.Generator, cohort: Cohort) -> Cell:
    """Intervals by formula: proportions and areas, one moderate and one high."""
    truth, patient = cohort.draw(rng)
    found: Cell = {}
    for share in (0.8, 0.95):
        right = cohort.noise(rng, patient) < stats.norm.ppf(share)
        interval = clustered_proportion_interval(right, patient)
        found[f"proportion {share}, by patients"] = holds(interval, share)
        naive = proportion_interval(int(right.sum()), len(right))
        found[f"proportion {share}, as if independent"] = holds(naive, share)
    for area in (0.8, 0.95):
        scores = strength(area) * truth + cohort.noise(rng, patient)
        found[f"AUROC {area}, by patients"] = holds(
            auroc_interval(truth, scores, patient), area
        )
        naive = auroc_interval(truth, scores)
        found[f"AUROC {area}, as if independent"] = holds(naive, area)
    a, b = two_classifiers(rng, cohort, truth, patient, (0.85, 0.8))
    test = delong_test(truth, a, b, patient)
    found["AUROC difference, by patients"] = bool(test.low <= 0.05 <= test.high)
    return found


def two_classifiers(
    rng: np.random.Generator,
    cohort: Cohort,
    truth: Truth,
    patient: NDArray[np.int64],
    areas: tuple[float, float],
) -> tuple[Scores, Scores]:
    """Scores of two classifiers that err on the same images half of the time."""
    shared = cohort.noise(rng, patient)
    first, second = (
        strength(area) * truth + np.sqrt(0.5) * (shared + cohort.noise(rng, patient))
        for area in areas
    )
    return first, second


def balanced_accuracy(truth: Truth, right: Truth, weights: Scores) -> Scores:
    kinds = [weights * kind for kind in (truth, ~truth)]
    return np.mean([kind @ right / kind.sum(axis=1) for kind in kinds], axis=0)


def bootstrap_intervals(rng: np.random.Generator, cohort: Cohort) -> Cell:
    """Bootstrap intervals of scores (BCa) and of differences of two (percentile)."""
    truth, patient = cohort.draw(rng)
    areas = (0.85, 0.8)
    classifiers = two_classifiers(rng, cohort, truth, patient, areas)
    cuts = [strength(area) / 2 for area in areas]
    seed = int(rng.integers(2**31))
    drawn = resample_weights(patient, truth.astype(int), resamples=RESAMPLES, seed=seed)
    left_out, whole = leave_out_weights(patient), np.ones((1, len(truth)))

    def area(side: int, weights: Scores) -> Scores:
        return weighted_auroc(truth, classifiers[side], weights)

    def rate(side: int, weights: Scores) -> Scores:
        right = (classifiers[side] > cuts[side]) == truth
        return balanced_accuracy(truth, right, weights)

    rates = [float(stats.norm.cdf(cut)) for cut in cuts]
    found: Cell = {}
    for name, score, true in (("AUROC", area, areas), ("balanced accuracy", rate, rates)):
        own = bca_interval(float(score(0, whole)[0]), score(0, drawn), score(0, left_out))
        found[f"bootstrap, {name}"] = holds(own, true[0])
        estimate, replicates = (score(0, w) - score(1, w) for w in (whole, drawn))
        gain = percentile_interval(float(estimate[0]), replicates, cohort.patients)
        found[f"bootstrap, {name} difference"] = holds(gain, true[0] - true[1])
    return found


def image_tests(rng: np.random.Generator, cohort: Cohort) -> Cell:
    """Tests on images, of two classifiers that are equally good."""
    truth, patient = cohort.draw(rng)
    a, b = two_classifiers(rng, cohort, truth, patient, (0.8, 0.8))
    cut = strength(0.8) / 2
    right_a, right_b = (a > cut) == truth, (b > cut) == truth
    gain = right_a.astype(float) - right_b
    both, twice = np.concatenate([a, b]), np.concatenate([truth, truth])

    def accuracy(swap: Truth) -> Scores:
        return np.where(swap, -gain, gain).mean(axis=1)

    def area(swap: Truth) -> Scores:
        kept = np.concatenate([~swap, swap], axis=1).astype(float)
        return weighted_auroc(twice, both, kept) - weighted_auroc(twice, both, 1 - kept)

    seed = int(rng.integers(2**31))
    found = {
        "DeLong, by patients": delong_test(truth, a, b, patient),
        "DeLong, as if independent": delong_test(truth, a, b),
        "McNemar, by patients": mcnemar_test(right_a, right_b, patient),
        "McNemar, as if independent": mcnemar_test(right_a, right_b),
        "permutation, accuracy": permutation_test(
            accuracy, patient, permutations=PERMUTATIONS, seed=seed
        ),
        "permutation, AUROC": permutation_test(
            area, patient, permutations=PERMUTATIONS, seed=seed
        ),
    }
    return {name: bool(test.p_value <= 0.05) for name, test in found.items()}


def trained_scores(features: Scores, truth: Truth, train: Truth) -> Scores:
    """Score all images by the difference of the class means of the training images."""
    high, low = (features[train & kind].mean(axis=0) for kind in (truth, ~truth))
    return (features - (high + low) / 2) @ (high - low)


def fold_differences(
    rng: np.random.Generator, cohort: Cohort, *, folds: int, repeats: int
) -> tuple[Scores, Scores]:
    """Train two equally good classifiers in all folds: differences of accuracy and area."""
    truth, patient = cohort.draw(rng)
    shift = 0.5 * truth[:, None]
    features = [
        shift + np.stack([cohort.noise(rng, patient) for _ in range(4)], axis=1)
        for _ in range(2)
    ]
    ill = np.arange(cohort.patients) < round(0.4 * cohort.patients)
    accuracy, area = [], []
    for _ in range(repeats):
        fold = np.empty(cohort.patients, dtype=int)
        for kind in (ill, ~ill):
            fold[kind] = rng.permutation(np.arange(kind.sum()) % folds)
        for number in range(folds):
            test = fold[patient] == number
            scores = [trained_scores(part, truth, ~test)[test] for part in features]
            whole = np.ones((1, int(test.sum())))
            right = [np.mean((part > 0) == truth[test]) for part in scores]
            areas = [weighted_auroc(truth[test], part, whole)[0] for part in scores]
            accuracy.append(right[0] - right[1])
            area.append(areas[0] - areas[1])
    return np.array(accuracy), np.array(area)


def fold_tests(rng: np.random.Generator, cohort: Cohort) -> Cell:
    """Tests over the folds of one cross-validation, and of four with other folds."""
    found = {}
    for folds, repeats in ((5, 1), (5, 4), (10, 1)):
        measured = fold_differences(rng, cohort, folds=folds, repeats=repeats)
        design = f"{repeats} x {folds} folds" if repeats > 1 else f"{folds} folds"
        for score, values in zip(("accuracy", "AUROC"), measured, strict=True):
            name = f"{design}, {score}"
            found[f"corrected t, {name}"] = corrected_resampled_t(values, folds - 1, 1)
            found[f"Wilcoxon, {name}"] = wilcoxon_test(values)
    return {name: bool(test.p_value <= 0.05) for name, test in found.items()}


def few_patient_tests(rng: np.random.Generator, cohort: Cohort) -> Cell:
    """Four cross-validations of few patients, with the degrees of freedom of one."""
    measured = fold_differences(rng, cohort, folds=5, repeats=4)
    found = {
        f"corrected t with 4 degrees of freedom, {score}": corrected_resampled_t(
            values, 4, 1, freedom=4
        )
        for score, values in zip(("accuracy", "AUROC"), measured, strict=True)
    }
    return {name: bool(test.p_value <= 0.05) for name, test in found.items()}


FEW = "false positives, 4 x 5 folds of few patients"
PARTS: dict[str, tuple[Callable[[np.random.Generator, Cohort], Cell], tuple[float, float]]] = {
    "coverage, by formula": (direct_intervals, COVERAGE),
    "coverage, bootstrap": (bootstrap_intervals, COVERAGE),
    "false positives, images": (image_tests, FALSE_POSITIVES),
    "false positives, folds": (fold_tests, FALSE_POSITIVES),
    FEW: (few_patient_tests, FALSE_POSITIVES),
}


def simulate(part: str, cohort: Cohort, sets: int) -> Cell:
    """Return the share of the data sets in which each interval or test said yes."""
    draw, _ = PARTS[part]
    seed = [zlib.crc32(part.encode()), cohort.patients, cohort.images]
    rounds = [draw(np.random.default_rng([*seed, number]), cohort) for number in range(sets)]
    return {name: float(np.mean([found[name] for found in rounds])) for name in rounds[0]}


def cells() -> Iterator[tuple[str, Cohort]]:
    for part in PARTS:
        for images in IMAGES:
            for patients in PATIENTS:
                if part != FEW or patients == min(PATIENTS):
                    yield part, Cohort(patients, images)


def print_table(results: dict[str, dict[str, Cell]]) -> None:
    """Print a table a part; a cell that misses its gate gets a star."""
    for part, (_, (low, high)) in PARTS.items():
        columns = results.get(part, {})
        print(f"\n{part}, in % (gate {100 * low:.0f} to {100 * high:.0f})")
        print(f"{'patients x images':<44}" + "".join(f"{name:>10}" for name in columns))
        for name in next(iter(columns.values()), {}):
            cells_of = [column[name] for column in columns.values()]
            texts = [f"{100 * v:.1f}{' ' if low <= v <= high else '*'}" for v in cells_of]
            print(f"{name:<44}" + "".join(f"{text:>10}" for text in texts))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    place = Path(__file__).parent / "results" / "statistics_coverage.json"
    parser.add_argument("--json", type=Path, default=place)
    arguments = parser.parse_args()
    facts = {"sets": arguments.sets, "resamples": RESAMPLES, "permutations": PERMUTATIONS}
    result = json.loads(arguments.json.read_text()) if arguments.json.is_file() else {}
    if any(result.get(name) != value for name, value in facts.items()):
        result = {}
    results, seconds = result.get("results", {}), result.get("seconds", {})
    for part, cohort in cells():
        column = f"{cohort.patients}x{'1' if cohort.images == 1 else '1-5'}"
        if column in results.setdefault(part, {}):
            continue
        start = time.process_time()
        results[part][column] = simulate(part, cohort, arguments.sets)
        spent = round(time.process_time() - start, 1)
        seconds[f"{part}, {column}"] = spent
        print(f"{part}, {column}: {spent} s", flush=True)
        content = {
            "command": "python benchmarks/statistics_coverage.py",
            "glcm_mae": __version__,
            "machine": platform.machine(),
            **facts,
            "gates": {"coverage": COVERAGE, "false_positives": FALSE_POSITIVES},
            "seconds": seconds,
            "results": results,
        }
        arguments.json.write_text(json.dumps(content, indent=1) + "\n")
    print_table(results)


if __name__ == "__main__":
    main()
