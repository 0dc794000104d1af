"""A finished classifier under corruption and elsewhere: the stage."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.config import RobustnessConfig
from glcm_mae.devices import choose_device
from glcm_mae.downstream import TEST_FOLD_NOTE
from glcm_mae.errors import InputError
from glcm_mae.evaluation import FEW_GROUPS, Judging, Predictions, write_predictions
from glcm_mae.plain_table import markdown_rows
from glcm_mae.prediction import FinishedFold, load_folds, load_images_of
from glcm_mae.robustness.corrupted import Examined, examine_corrupted
from glcm_mae.robustness.damage import Damage, measure_damage
from glcm_mae.robustness.external import External, examine_external
from glcm_mae.robustness.report import (
    EXTERNAL_HEADINGS,
    HEADINGS,
    draw_curves,
    external_rows,
    facts_of,
    format_csv,
    rows_of,
)
from glcm_mae.runs import write_atomically, write_json
from glcm_mae.scoreboard import shown

RESULT_FILE = "robustness.json"
TABLE_FILE = "robustness.csv"
MARKDOWN_FILE = "robustness.md"
FIGURE_FILES = ("robustness.png", "robustness.svg")
EXTERNAL_FILE = "external_predictions.csv"

_SAME = 1e-3  # probabilities; above it another device or version predicts otherwise


@dataclass(frozen=True)
class Robustness:
    """What was found.

    Attributes:
        score: Score of the table.
        damage: Scores and drops under corruption.
        notes: How the numbers came about.
        relative: Corruption errors divided by those of a reference, if one was given.
        external: What was found on an external table, if one was given.
    """

    score: str
    damage: Damage
    notes: tuple[str, ...]
    relative: Mapping[str, Any] | None
    external: External | None

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the table."""
        return HEADINGS

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the table, one row a corruption."""
        return rows_of(self.damage, self.score)

    @property
    def external_rows(self) -> list[list[str]]:
        """Name and value of each score on the external table."""
        return [] if self.external is None else external_rows(self.external.judged)


def examine(config: RobustnessConfig) -> Robustness:
    """Score a finished run's test images under every corruption and severity.

    Every test image is judged by the classifier of its own fold and by no other. With
    ``external``, the averaged classifiers of all folds are tested on another table. The
    folder gets ``robustness.json``, ``robustness.csv``, ``robustness.md``,
    ``robustness.png`` and ``.svg`` and, with ``external``, ``external_predictions.csv``.

    Args:
        config: Settings of the stage.

    Returns:
        Scores, their drops against clean images, and intervals of both.

    Raises:
        InputError: If the run is not finished, its images have changed, the folder
            exists, or the external table does not fit.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: exists and is not empty; choose another --out")
    reference = _read_reference(config.reference) if config.reference else None
    folds = load_folds(config.run, choose_device(config.device), table=config.table)
    images = load_images_of(folds)
    external = examine_external(folds, images.table, config) if config.external else None
    found = examine_corrupted(folds, images, config.corruptions, seed=config.seed)
    damage = measure_damage(
        found.clean,
        found.corrupted,
        positive=folds[0].facts["positive"],
        settings=Judging(**config.evaluation.judging(config.seed)),
    )
    subject = fingerprint(found.clean)
    facts = facts_of(damage)
    relative = relative_errors(facts, subject, reference) if reference else None
    result = Robustness(
        config.score,
        damage,
        (*_notes(config, folds, found), *_relative_note(relative)),
        relative,
        external,
    )
    _write(config, result, facts, subject)
    return result


def fingerprint(found: Predictions) -> str:
    """Return a hash of which images were tested in which fold, and of their classes."""
    rows = sorted(zip(found.paths, found.folds.tolist(), found.labels.tolist(), strict=True))
    return hashlib.sha256(json.dumps([found.classes, rows]).encode()).hexdigest()


def relative_errors(
    facts: Mapping[str, Any], subject: str, reference: Mapping[str, Any]
) -> dict[str, Any]:
    """Return corruption errors divided by those of a reference [1]_, in the mean over kinds.

    The error is one minus the balanced accuracy, as in MedMNIST-C. CE of a corruption is
    its mean error over severities by that of the reference; the relative CE is
    the same of the errors beyond that on clean images. It is NaN where the reference
    loses nothing.

    Args:
        facts: What was found.
        subject: Hash of its images.
        reference: Content of another ``robustness.json``.

    Raises:
        InputError: If the reference has other images or corruptions.

    References:
        .. [1] Hendrycks & Dietterich, 2019, arXiv:1903.12261, section 4.1
    """
    if reference["images_sha256"] != subject:
        raise InputError("reference: was made of other test images or folds; give one of these")
    missing = sorted(set(facts["corruptions"]) - set(reference["corruptions"]))
    if missing:
        raise InputError(f"reference: lacks {', '.join(missing)}; make it with these too")
    found = {
        kind: {
            "ce": _ratio(_error(facts, kind), _error(reference, kind)),
            "relative_ce": _ratio(
                _error(facts, kind) - _clean_error(facts),
                _error(reference, kind) - _clean_error(reference),
            ),
        }
        for kind in facts["corruptions"]
    }
    names = {"mce": "ce", "relative_mce": "relative_ce"}
    means = {
        total: float(np.mean([one[name] for one in found.values()]))
        for total, name in names.items()
    }
    return {**means, "corruptions": found}


def _clean_error(facts: Mapping[str, Any]) -> float:
    return 1.0 - float(facts["clean"]["balanced_accuracy"]["estimate"])


def _error(facts: Mapping[str, Any], kind: str) -> float:
    levels = facts["corruptions"][kind]["levels"]
    values = [level["scores"]["balanced_accuracy"]["estimate"] for level in levels]
    return 1.0 - float(np.mean(values))


def _ratio(above: float, below: float) -> float:
    return above / below if abs(below) > 1e-12 else float("nan")


def _read_reference(folder: Path) -> dict[str, Any]:
    path = folder / RESULT_FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {name: content[name] for name in ("images_sha256", "clean", "corruptions")}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is no result of glcm-mae robustness; give the folder of one"
        ) from error


def _notes(
    config: RobustnessConfig, folds: Sequence[FinishedFold], found: Examined
) -> tuple[str, ...]:
    clean, difference = found.clean, found.difference
    groups = len(np.unique(clean.clusters))
    few = groups < FEW_GROUPS
    percent = f"{100 * config.evaluation.confidence:g} %"
    again = (
        f"the run's own predictions of clean images came out the same (within {_SAME:g})"
        if difference <= _SAME
        else f"WARNING: clean predictions differ from the run's own by up to {difference:.3g}"
    )
    return (
        f"{len(clean)} test predictions, each by the classifier of its own fold ({len(folds)})",
        f"{percent} intervals: bootstrap of {groups} groups, clean and corrupted in pairs",
        "the last row is the mean over corruptions of the mean drop over severities",
        again,
        *([f"too few groups ({groups}) for trustworthy intervals"] if few else ()),
        *({TEST_FOLD_NOTE} if folds[0].facts.get("selection") == "test-fold" else ()),
    )


def _relative_note(relative: Mapping[str, Any] | None) -> list[str]:
    if relative is None:
        return []
    mce, beyond = (shown(relative[name], "brier") for name in ("mce", "relative_mce"))
    return [f"errors divided by those of the reference: mCE {mce}, relative mCE {beyond}"]


def _write(
    config: RobustnessConfig, result: Robustness, facts: Mapping[str, Any], subject: str
) -> None:
    external = result.external
    content = {
        "run": config.run.resolve().name,
        "settings": config.model_dump(mode="json"),
        "images_sha256": subject,
        **facts,
        "relative": result.relative,
        "notes": list(result.notes),
        "external": None
        if external is None
        else {**external.judged, "notes": [*external.notes, *external.judged["notes"]]},
    }
    write_json(config.out / RESULT_FILE, content)
    write_atomically(config.out / TABLE_FILE, format_csv(result.damage).encode())
    write_atomically(config.out / MARKDOWN_FILE, _markdown(result).encode())
    title = f"{config.run.resolve().name}: test images, corrupted"
    figures = [config.out / name for name in FIGURE_FILES]
    draw_curves(figures, result.damage, config.score, title=title)
    if external is not None:
        write_predictions(config.out / EXTERNAL_FILE, external.predictions)


def _markdown(result: Robustness) -> str:
    parts = [markdown_rows(result.headings, result.rows), *_bullets(result.notes)]
    if result.external is not None:
        parts += ["", markdown_rows(EXTERNAL_HEADINGS, result.external_rows)]
        parts += _bullets(result.external.notes)
    return "\n".join(parts) + "\n"


def _bullets(notes: tuple[str, ...]) -> list[str]:
    return [f"- {note}" for note in notes]
