"""What is written of an explanation: facts for JSON, CSV and the table."""

import csv
import io
from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

from glcm_mae.explaining.feature_map import FeatureMap
from glcm_mae.explaining.findings import Held
from glcm_mae.explaining.fold_cases import ExplainedCase
from glcm_mae.explaining.likeness import Agreement
from glcm_mae.scoreboard import interval_cell, shown
from glcm_mae.statistics import Interval

HEADINGS = ("Measure", "Value", "By chance")


def as_dict(interval: Interval) -> dict[str, float]:
    """Return an interval for JSON."""
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}


def facts_of_case(case: ExplainedCase) -> dict[str, Any]:
    """Return one case for JSON."""
    return {
        "image": case.image,
        "fold": case.fold,
        "kind": case.kind,
        "truth": case.truth,
        "predicted": case.predicted,
        "probability": case.probability,
        "right": case.right,
        "picture": case.picture,
        "nearest": [
            {"image": other.image, "class": other.label, "similarity": other.similarity}
            for other in case.nearest
        ],
        "completeness_missed": case.missed,
        "random_weights": dict(case.correlations),
    }


def facts_of_map(found: FeatureMap) -> dict[str, Any]:
    """Return the map of features for JSON."""
    points = [
        {
            "x": float(x),
            "y": float(y),
            "class": found.classes[label],
            "fold": fold,
            "image": name,
        }
        for space, plane in zip(found.spaces, found.points, strict=True)
        for (x, y), label, fold, name in zip(
            plane, space.labels.tolist(), space.folds.tolist(), space.images, strict=True
        )
    ]
    of_fold = None if found.of_fold is None else _agreed(found.of_fold)
    return {
        "method": found.method,
        "encoder": found.encoder,
        "shared": found.shared,
        "points": points,
        "neighbours": found.neighbours,
        "agreement": {"class": _agreed(found.of_class), "fold": of_fold},
        "trustworthiness": found.kept,
    }


def _agreed(agreement: Agreement) -> dict[str, float]:
    return {**as_dict(agreement.share), "chance": agreement.chance}


def facts_of_held(held: Held) -> dict[str, Any]:
    """Return how maps lie to findings, for JSON."""
    return {
        "images": held.images,
        "area": held.area,
        "mass": as_dict(held.mass),
        "mass_beyond_area": as_dict(held.beyond),
        "peak_inside": as_dict(held.peaks),
    }


def csv_of_cases(cases: Sequence[ExplainedCase]) -> str:
    """Return one line a case; its nearest images stand side by side."""
    width = max(len(case.nearest) for case in cases)
    kinds = list(cases[0].correlations)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = range(1, width + 1)
    writer.writerow(
        [
            *("image", "fold", "kind", "truth", "predicted", "probability", "right", "picture"),
            *("completeness_missed", *(f"random_weights_{kind}" for kind in kinds)),
            *(f"nearest_{n}{part}" for n in numbers for part in ("", "_class", "_similarity")),
        ]
    )
    for case in cases:
        nearest = [cell for n in case.nearest for cell in (n.image, n.label, n.similarity)]
        alike = [_cell(case.correlations[kind]) for kind in kinds]
        facts = [case.image, case.fold, case.kind, case.truth, case.predicted]
        drawn = [case.probability, int(case.right), case.picture, _cell(case.missed)]
        writer.writerow([*facts, *drawn, *alike, *nearest])
    return text.getvalue()


def _cell(value: float) -> float | str:
    return value if isfinite(value) else ""


def rows_of(
    features: FeatureMap, sanity: Mapping[str, Interval], held: Mapping[str, Held]
) -> list[list[str]]:
    """Return the cells of the table; shares in percent."""
    near = f"of the {features.neighbours} nearest test images, %"
    rows = [_agreement_row(f"same class {near}", features.of_class)]
    if features.of_fold is not None:
        rows.append(_agreement_row(f"same fold {near}", features.of_fold))
    for name, value in sanity.items():
        what = f"{map_name(name)}: rank correlation with random weights"
        rows.append([what, interval_cell(as_dict(value), "mcc"), shown(0.0, "mcc")])
    for name, one in held.items():
        area = shown(one.area)
        mass, peak = (interval_cell(as_dict(part)) for part in (one.mass, one.peaks))
        rows.append([f"{map_name(name)}: share inside the finding, %", mass, area])
        rows.append([f"{map_name(name)}: peak inside the finding, %", peak, area])
    return rows


def _agreement_row(name: str, agreement: Agreement) -> list[str]:
    return [name, interval_cell(as_dict(agreement.share)), shown(agreement.chance)]


def map_name(name: str) -> str:
    """Return what a kind of map is called."""
    return {"rollout": "rollout", "gradient": "gradient map"}[name]
