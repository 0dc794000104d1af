"""Facts of runs that nobody trained: settings of any kind, and answers by chance."""

from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.config import CrossValConfig
from glcm_mae.evaluation import Judging, Predictions, judge
from glcm_mae.report.facts import Facts, RunFacts, without_places

PARTS = ("test", "train", "validation")


def predictions(classes: tuple[str, ...], *, images: int = 60, folds: int = 3) -> Predictions:
    """Every image tested once; the true class is a little likelier than the others."""
    rng = np.random.default_rng(0)
    labels = np.arange(images) % len(classes)
    shares = rng.dirichlet(np.ones(len(classes)), size=images)
    shares[np.arange(images), labels] += 0.4
    shares /= shares.sum(axis=1, keepdims=True)
    return Predictions(
        tuple(f"scan-{row}.png" for row in range(images)),
        np.arange(images) * folds // images,
        labels,
        shares,
        classes,
        np.arange(images) // 2,
    )


def facts_of(
    *,
    classes: tuple[str, ...] = ("ill", "well"),
    positive: str = "ill",
    folds: int = 3,
    given_split: bool = False,
    scores: dict[str, Any] | None = None,
    attached: dict[str, Any] | None = None,
    **settings: Any,
) -> Facts:
    """Return the facts of one run with some settings, and scores changed by hand."""
    data = {"table": "/home/ann/scans/busi/manifest.csv", "positive": positive}
    fixed = {"data": data, "out": "/home/ann/runs/one", "folds": {"official": given_split}}
    config = CrossValConfig(**{**fixed, **settings})
    found = predictions(classes, folds=folds)
    judged = judge(found, found, positive=positive, settings=Judging(resamples=200))
    leaks = {
        "check": "on",
        "near_duplicate_pairs": 4,
        "clusters": 3,
        "images_in_clusters": 7,
        "pairs_across_classes": 1,
    }
    content = {
        "system": "GLCM-MAE, fine-tuned",
        "classes": list(classes),
        "positive": positive,
        "images": len(found),
        "skipped": 2,
        "groups": 30,
        "grouping": "manifest",
        "leak_check": leaks,
        "start": config.start,
        "protocol": config.protocol,
        "selection": config.finetuning.selection,
        "transductive": config.transductive,
        "official": config.folds.official,
        "seeds": config.seeds,
        "notes": ["no group stands in two parts", "pre-training is fold-aware"],
        "systems": {"GLCM-MAE, fine-tuned": judged},
        **(scores or {}),
    }
    columns = [
        {path: PARTS[(row - fold) % 3] for row, path in enumerate(found.paths)}
        for fold in range(folds)
    ]
    packages = {"torch": "2.14.1", "numpy": "2.4.6"}
    environment = {"glcm_mae": "0.1.0", "commit": None, "python": "3.11.7"}
    run = RunFacts(
        name="one",
        folder=Path("/home/ann/runs/one"),
        settings=without_places(config.model_dump(mode="json")),
        environment={**environment, "system": "Linux x86_64", "packages": packages},
        scores=content,
        predictions=found,
        parts=columns,
        models=(),
        hashes={"config.yaml": "ab12" * 16, "folds.csv": "cd34" * 16},
    )
    return Facts([run], attached or {})
