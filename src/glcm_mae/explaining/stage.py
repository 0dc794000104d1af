"""What a finished classifier looks at: the stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.assembly import CLASSIFIER_FILE, ENCODER_FILE
from glcm_mae.config import ExplainConfig
from glcm_mae.devices import choose_device
from glcm_mae.downstream import PREDICTIONS_FILE
from glcm_mae.errors import InputError
from glcm_mae.explaining.feature_map import FeatureMap, map_features, shared_encoder
from glcm_mae.explaining.findings import Held, summarise_holds
from glcm_mae.explaining.fold_cases import FoldCases, explain_fold
from glcm_mae.explaining.likeness import mean_interval
from glcm_mae.explaining.notes import notes_of
from glcm_mae.explaining.plan import FoldPlan
from glcm_mae.explaining.report import (
    HEADINGS,
    as_dict,
    csv_of_cases,
    facts_of_case,
    facts_of_held,
    facts_of_map,
    rows_of,
)
from glcm_mae.explaining.subject import Subject
from glcm_mae.prediction import load_folds, load_images_of
from glcm_mae.runs import CONFIG_FILE, write_atomically, write_json
from glcm_mae.statistics import Interval

RESULT_FILE = "explanations.json"
TABLE_FILE = "explanations.csv"


@dataclass(frozen=True)
class Explanation:
    """What was found.

    Attributes:
        title: Headline of the table.
        folds: Cases of each fold.
        features: The map of test features, and what it is worth.
        sanity: Rank correlation of maps with those of random weights, by kind of map.
        held: How maps lie to marked findings, by kind of map; empty without masks.
        notes: How the pictures and numbers came about, and what they cannot tell.
    """

    title: str
    folds: Sequence[FoldCases]
    features: FeatureMap
    sanity: Mapping[str, Interval]
    held: Mapping[str, Held]
    notes: Sequence[str]

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the table."""
        return HEADINGS

    def rows(self) -> list[list[str]]:
        """Return the cells of the table."""
        return rows_of(self.features, self.sanity, self.held)


def explain(config: ExplainConfig) -> Explanation:
    """Show what the classifiers of a finished run look at in their test images.

    Every test image is explained by the classifier of its own fold. The folder gets
    ``cases/*.png``, ``explanations.json``, ``explanations.csv`` and the map of features,
    ``feature_map.png``, ``.svg`` and ``.pdf``.

    Args:
        config: Settings of the stage.

    Returns:
        The cases, and what measures say of the maps.

    Raises:
        InputError: If the run is not finished or has no classifiers, its images have
            changed, the folder exists, or more cases are asked for than there are images.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: exists and is not empty; choose another --out")
    _refuse_unfinished(config.run)
    folds = load_folds(config.run, choose_device(config.device), table=config.table)
    images = load_images_of(folds)
    subject = Subject.of(config, folds, images)
    # All that may be refused comes first, so that no half of a folder is left.
    shared = shared_encoder(subject)
    plans = [FoldPlan.of(subject, index) for index in range(len(folds))]
    explained = [explain_fold(subject, plan) for plan in plans]
    features = map_features(subject, explained, shared)
    sanity = _sanity(explained, seed=config.seed)
    held = _held(explained, seed=config.seed)
    notes = notes_of(subject, explained, features, sanity, held)
    title = f"{config.run.resolve().name}: what its classifiers look at"
    found = Explanation(title, explained, features, sanity, held, notes)
    _write(config, found)
    return found


def _refuse_unfinished(run: Path) -> None:
    """Say what a folder is that holds settings, but no predictions or no classifier."""
    if (run / ENCODER_FILE).is_file():
        raise InputError(
            f"{run}: is a pre-training, which tells no classes; give the run folder of a "
            "finished finetune or crossval"
        )
    finished = (run / PREDICTIONS_FILE).is_file()
    if (run / CONFIG_FILE).is_file() and not finished:
        raise InputError(f"{run}: is not finished; finish it with --resume first")
    if finished and next(run.rglob(CLASSIFIER_FILE), None) is None:
        raise InputError(
            f"{run}: was probed, and linear probes and nearest images keep no classifier; "
            "give a run of finetune, or of crossval with --protocol finetune or attentive"
        )


def _sanity(folds: Sequence[FoldCases], *, seed: int) -> dict[str, Interval]:
    """Return the mean rank correlations over all cases, with intervals over patients."""
    clusters = np.concatenate([fold.clusters for fold in folds])
    found = {}
    for name in folds[0].correlations:
        values = np.concatenate([fold.correlations[name] for fold in folds])
        known = np.isfinite(values)
        found[name] = (
            mean_interval(values[known], clusters[known], seed=seed)
            if known.any()
            else Interval(float("nan"), float("nan"), float("nan"))
        )
    return found


def _held(folds: Sequence[FoldCases], *, seed: int) -> dict[str, Held]:
    some = [fold for fold in folds if fold.holds]
    if not some:
        return {}
    clusters = np.concatenate([fold.held_clusters for fold in some])
    return {
        name: summarise_holds(
            [hold for fold in some for hold in fold.holds[name]], clusters, seed=seed
        )
        for name in some[0].holds
    }


def _write(config: ExplainConfig, found: Explanation) -> None:
    cases = [case for fold in found.folds for case in fold.cases]
    content: dict[str, Any] = {
        "run": config.run.resolve().name,
        "settings": config.model_dump(mode="json"),
        "cases": [facts_of_case(case) for case in cases],
        "map": facts_of_map(found.features),
        "random_weights": {name: as_dict(value) for name, value in found.sanity.items()},
        "findings": {name: facts_of_held(value) for name, value in found.held.items()},
        "notes": list(found.notes),
    }
    write_json(config.out / RESULT_FILE, content)
    write_atomically(config.out / TABLE_FILE, csv_of_cases(cases).encode())
