"""A finished cross-validation without any training: predictions by chance, judged as ever."""

import json
from pathlib import Path

import numpy as np
import yaml

from glcm_mae.evaluation import Judging, Predictions, judge, write_predictions
from glcm_mae.runs import write_json

FOLDS, IMAGES = 5, 120


def make_run(
    folder: Path,
    *,
    skill: float = 1.5,
    seed: int = 0,
    classes: tuple[str, ...] = ("well", "ill"),
) -> Path:
    """Write what a crossval leaves: settings, folds, predictions, scores, metrics."""
    rng = np.random.default_rng(seed)
    labels = np.arange(IMAGES) % len(classes)
    folds = (np.arange(IMAGES) // (2 * len(classes))) % FOLDS
    names = tuple(f"{classes[label]}/scan_{row:03d}.png" for row, label in enumerate(labels))
    positive = classes[-1]
    test = _said(rng, names, folds, labels, classes, skill)
    inner = _said(rng, names, (folds + 1) % FOLDS, labels, classes, skill)
    settings = Judging(resamples=200, seed=seed)
    plain = _said(rng, names, folds, labels, classes, 0.3)
    system = f"GLCM-MAE, {skill:g}"
    systems = {
        "gray-level statistics": judge(plain, inner, positive=positive, settings=settings),
        system: judge(test, inner, positive=positive, settings=settings),
    }
    folder.mkdir(parents=True)
    write_predictions(folder / "predictions.csv", test)
    write_predictions(folder / "validation.csv", inner)
    write_json(folder / "scores.json", _scores(system, classes, positive, systems))
    (folder / "config.yaml").write_text(yaml.safe_dump(_settings(folder, positive, seed)))
    write_json(folder / "environment.json", _environment(seed))
    columns = [f"fold-{number}" for number in range(FOLDS)]
    lines = [",".join(["path", *columns])]
    for row, name in enumerate(names):
        parts = [_part(int(folds[row]), number) for number in range(FOLDS)]
        lines.append(",".join([name, *parts]))
    (folder / "folds.csv").write_text("\n".join(lines) + "\n")
    for number in range(FOLDS):
        _write_metrics(folder / f"fold-{number}", rng)
    return folder


def _said(rng, names, folds, labels, classes, skill) -> Predictions:
    logits = rng.normal(size=(len(names), len(classes)))
    logits[np.arange(len(names)), labels] += skill
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    row, kinds = np.arange(len(names)), len(classes)
    groups = row // (2 * kinds) * kinds + row % kinds  # two images of a class are one patient's
    return Predictions(names, folds, labels, shares, classes, groups)


def _part(own: int, fold: int) -> str:
    return {0: "test", 1: "validation"}.get((own - fold) % FOLDS, "train")


def _scores(system, classes, positive, systems):
    return {
        "system": system,
        "title": f"{FOLDS}-fold cross-validation of clinic/scans",
        "classes": list(classes),
        "positive": positive,
        "images": IMAGES,
        "skipped": 0,
        "groups": IMAGES // 2,
        "grouping": "manifest",
        "leak_check": {
            "check": "on",
            "near_duplicate_pairs": 3,
            "clusters": 2,
            "images_in_clusters": 5,
            "pairs_across_classes": 0,
        },
        "start": "pretraining",
        "protocol": "finetune",
        "baseline": "",
        "selection": "inner",
        "transductive": False,
        "official": False,
        "seeds": 1,
        "notes": ["an inner validation part picked the epoch"],
        "systems": systems,
    }


def _settings(folder: Path, positive: str, seed: int):
    return {
        "data": {"table": str(folder.parent / "clinic" / "scans"), "positive": positive},
        "model": {"image_size": [32, 32], "patch_size": 8},
        "out": str(folder),
        "seed": seed,
        "finetuning": {"selection": "inner", "epochs": 3},
        "protocol": "finetune",
        "transductive": False,
    }


def _environment(seed: int):
    return {
        "glcm_mae": "0.1.0",
        "commit": "0123456789abcdef0123",
        "python": "3.11.7",
        "system": "Linux x86_64",
        "packages": {"torch": "2.14.1", "timm": "1.0.31", "numpy": "2.4.6"},
        "threads": 1,
        "gpu": None,
        "seed": seed,
        "command": "glcm-mae",
    }


def _write_metrics(folder: Path, rng) -> None:
    for stage in ("pretraining", "finetuning"):
        (folder / stage).mkdir(parents=True)
        lines = []
        for epoch in range(4):
            values = {"epoch": epoch, "loss": 1 / (epoch + 1) + 0.05 * float(rng.random())}
            if stage == "pretraining":
                values |= {"term/mse": values["loss"], "weight/mse": 1.0}
                if epoch > 1:
                    values |= {"term/glcm": 0.1, "weight/glcm": 1.0}
            else:
                values |= {"validation/loss": 0.7, "validation/auroc": 0.5 + 0.1 * epoch}
            lines.append(json.dumps(values))
        lines.append(json.dumps({"event": "test part opened"}))
        (folder / stage / "metrics.jsonl").write_text("\n".join(lines) + "\n")
