"""What the texture loss adds: the same cross-validation without it, image by image."""

from pathlib import Path
from typing import Any

from glcm_mae.captions import has_texture
from glcm_mae.comparison.comparable import check_comparable
from glcm_mae.comparison.finished import read_run
from glcm_mae.comparison.paired_scores import ScoreComparison
from glcm_mae.config import CrossValConfig
from glcm_mae.controls.findings import Sureness, compare_areas
from glcm_mae.controls.subject import Subject, read_settings
from glcm_mae.errors import InputError
from glcm_mae.planning.shared_encoders import holds_encoders
from glcm_mae.runs import fixed_settings

PIXELS_ALONE = '--losses.phases "[{share: 1.0, mse: 1.0}]"'
FEW_MODELS = 5
"""Models a run below which another seed may well turn the difference round."""


def compare_without_texture(
    subject: Subject, other: Path | None, sureness: Sureness
) -> tuple[ScoreComparison | str, list[str]]:
    """Compare a run with the same cross-validation without the texture loss.

    Args:
        subject: The run.
        other: Run folder of the one without; None: say how to make it.
        sureness: How sure intervals are.

    Returns:
        The paired difference, or why there is none; and notes.

    Raises:
        InputError: If either was not trained as it should, or they were not tested alike.
    """
    if other is None:
        return _how_to(subject), []
    if not _has_texture(subject.config):
        raise InputError(
            f"{subject.folder}: is not known to be pre-trained with the texture loss, so that "
            "--without-texture has nothing to tell; give a run with it, or leave it out"
        )
    settings = read_settings(other)
    if _has_texture(settings):
        raise InputError(
            f"{other}: was pre-trained with the texture loss too; give a run with "
            f"{PIXELS_ALONE}"
        )
    with_it, without = (
        read_run(name, folder)
        for name, folder in (("with texture", subject.folder), ("without texture", other))
    )
    check_comparable([with_it, without], force=False)
    found = compare_areas(with_it, without, sureness)
    return found, _notes(subject, settings)


def _has_texture(config: CrossValConfig) -> bool:
    """Say whether encoders are known to have been trained with the texture loss."""
    if config.start == "pretraining":
        return has_texture(config)
    return holds_encoders(config.weights) and has_texture(config)


def _how_to(subject: Subject) -> str:
    if not _has_texture(subject.config):
        return "nothing tells that the run was pre-trained with the texture loss"
    return (
        f"run the same crossval with {PIXELS_ALONE} --folds.file "
        f"{Path(subject.folder.name) / 'folds.csv'}, and name it as --without-texture"
    )


def _compared(config: CrossValConfig) -> dict[str, Any]:
    """Return what may differ in nothing but the losses, weights that were given with it."""
    given = {"pretraining.weights": config.pretraining.weights}
    if config.weights is not None and not holds_encoders(config.weights):
        given["weights"] = config.weights
    return {**fixed_settings(config), **{name: str(path) for name, path in given.items()}}


def _notes(subject: Subject, other: CrossValConfig) -> list[str]:
    mine, others = (_compared(config) for config in (subject.config, other))
    differ = sorted(
        name
        for name in mine.keys() | others.keys()
        if mine.get(name) != others.get(name)
        and not name.startswith(("losses.", "folds.", "evaluation.", "baselines"))
    )
    notes = []
    if differ:
        notes.append(
            f"NOT ALIKE: beside the losses the run without texture differs in "
            f"{', '.join(differ)}"
        )
    models = len(subject.models)
    if models < FEW_MODELS:
        notes.append(
            f"what the texture loss adds rests on {models} "
            f"model{'s' if models > 1 else ''} of each run; with fewer than {FEW_MODELS} "
            "another seed may turn it round (--seeds)"
        )
    return notes
