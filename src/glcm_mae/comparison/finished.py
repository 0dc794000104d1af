"""Runs that are finished: what they predicted, and how they came to it."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.downstream import BASELINES_FOLDER, PREDICTIONS_FILE, TRAINED_PROTOCOLS
from glcm_mae.errors import InputError
from glcm_mae.evaluation import Predictions, read_predictions
from glcm_mae.runs import CONFIG_FILE, named_folders, read_config

_PARTS_FILES = ("folds.csv", "split.csv")


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run left.

    Attributes:
        name: What tables call it.
        folder: Its run folder.
        home: The run folder whose settings and folds are its own: that of the crossval if it
            is one of the baselines there, else its own.
        predictions: Its predictions on the test images.
        positive: The positive class, or empty.
        selection: What picked the epoch: inner, last or test-fold.
        transductive: Whether its pre-training saw the test images on purpose.
        parts: Part of each image, by its path, in each fold.
        label_share: Share of the training labels that was used.
    """

    name: str
    folder: Path
    home: Path
    predictions: Predictions
    positive: str
    selection: str
    transductive: bool
    parts: Sequence[Mapping[str, str]]
    label_share: float = 1.0

    @property
    def test_share(self) -> float:
        """Test images per image of the training and validation parts, mean over folds.

        Images whose labels ``folds.label_share`` left out count among those: what makes
        the scores of folds alike is that training parts overlap, and drawing fewer from
        each does not make them overlap more.
        """
        ratios = []
        for column in self.parts:
            parts = list(column.values())
            left_out = parts.count("unused") if self.label_share < 1 else 0
            learnt = parts.count("train") + parts.count("validation") + left_out
            ratios.append(parts.count("test") / max(1, learnt))
        return sum(ratios) / len(ratios)


def read_runs(runs: Sequence[str]) -> list[FinishedRun]:
    """Read finished runs, each given as ``FOLDER`` or ``NAME=FOLDER``.

    Raises:
        InputError: If a folder holds no finished run, or two have the same name.
    """
    return [read_run(name, folder) for name, folder in named_folders(runs).items()]


def read_run(name: str, folder: Path) -> FinishedRun:
    """Read one finished run of ``crossval``, ``finetune`` or ``probe``.

    A folder in the ``baselines`` of a ``crossval`` is a run too, on the folds of that one.

    Raises:
        InputError: If the folder holds none; the message says what is missing.
    """
    inside = folder.resolve().parent.name == BASELINES_FOLDER
    baseline = inside and not (folder / CONFIG_FILE).is_file()
    home = folder.resolve().parents[1] if baseline else folder
    settings = _read_settings(home)
    predictions = read_predictions(folder / PREDICTIONS_FILE)
    protocol = "none" if baseline else settings.get("protocol", "finetune")
    trained = protocol in TRAINED_PROTOCOLS and "finetuning" in settings
    tuning = settings.get("finetuning") or {}
    return FinishedRun(
        name=name,
        folder=folder,
        home=home,
        predictions=predictions,
        positive=str((settings.get("data") or {}).get("positive") or ""),
        selection=str(tuning.get("selection", "inner")) if trained else "inner",
        transductive=bool(settings.get("transductive", False)) and not baseline,
        parts=_read_parts(home),
        label_share=float((settings.get("folds") or {}).get("label_share", 1.0)),
    )


def _read_settings(folder: Path) -> dict[str, Any]:
    for file in (CONFIG_FILE, PREDICTIONS_FILE):
        if not (folder / file).is_file():
            raise InputError(
                f"{folder}: is not a finished run, {file} is missing; compare takes the run "
                "folders of crossval, finetune and probe (--resume finishes a run)"
            )
    return read_config(folder)


def _read_parts(folder: Path) -> list[dict[str, str]]:
    path = next((folder / name for name in _PARTS_FILES if (folder / name).is_file()), None)
    if path is None:
        raise InputError(
            f"{folder}: has neither {' nor '.join(_PARTS_FILES)}, so that its folds are not "
            "known; run it again with this version"
        )
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    columns = [name for name in (rows[0] if rows else {}) if name != "path"]
    if not columns or "path" not in rows[0]:
        raise InputError(f"{path}: is no table of folds (columns path, fold-0, ... or split)")
    return [{row["path"]: row[column] for row in rows} for column in columns]


def count_uses(runs: Sequence[FinishedRun]) -> tuple[int, list[str]]:
    """Return how many finished runs beside these were tested on the same images.

    Args:
        runs: Runs that are compared; their parent folders are searched.

    Returns:
        Number of runs with just these test images, and the folders that were searched.
    """
    images = set(runs[0].predictions.paths)
    parents = list(dict.fromkeys(run.home.resolve().parent for run in runs))
    found = {run.folder.resolve() for run in runs}
    for parent in parents:
        for folder in sorted(parent.iterdir()):
            if folder not in found and _tested_images(folder) == images:
                found.add(folder)
    return len(found), [parent.name for parent in parents]


def _tested_images(folder: Path) -> set[str]:
    try:
        with (folder / PREDICTIONS_FILE).open(encoding="utf-8", newline="") as file:
            return {row.get("path", "") for row in csv.DictReader(file)}
    except (OSError, UnicodeDecodeError, csv.Error):
        return set()  # no run, or none that is finished
