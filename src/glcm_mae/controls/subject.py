"""The finished cross-validation that is put to the controls: folds, images, encoders."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from glcm_mae.comparison.finished import FinishedRun, read_run
from glcm_mae.config import CrossValConfig, ProbeConfig
from glcm_mae.data import Fold, ImageTable, LoadedImages
from glcm_mae.data.folds.assignments import read_groups
from glcm_mae.data.folds.fold_files import read_folds
from glcm_mae.data.tables.grouping import groups_in_paths
from glcm_mae.errors import InputError
from glcm_mae.intake import load_table
from glcm_mae.planning.fold_jobs import GROUPS_FILE, SEED_STEP, Model, list_models
from glcm_mae.planning.plan import PLAN_FILE
from glcm_mae.planning.shared_encoders import STAGE
from glcm_mae.prediction import rows_of
from glcm_mae.runs import CONFIG_FILE, read_config

FOLDS_FILE = "folds.csv"
_PROBES = ("linear", "knn")


@dataclass(frozen=True)
class Patients:
    """Whose the images are, as far as anything tells.

    Attributes:
        groups: Patient of each image; empty where none is known.
        reason: Why none is known; empty where they are.
    """

    groups: tuple[str, ...]
    reason: str = ""


@dataclass(frozen=True)
class Subject:
    """A finished cross-validation with all that its controls need.

    Attributes:
        folder: Its run folder.
        config: Its settings.
        images: Its images; their groups are what its folds keep together.
        patients: Whose the images are, without near-duplicates.
        folds: Its folds.
        models: Its models, one a fold and seed.
        run: What it predicted.
    """

    folder: Path
    config: CrossValConfig
    images: LoadedImages
    patients: Patients
    folds: Sequence[Fold]
    models: Sequence[Model]
    run: FinishedRun

    def encoder(self, model: Model) -> Path:
        """Return the weights of the encoder that one model was built on.

        Raises:
            InputError: If they are not where the run left or found them.
        """
        if self.config.start == "weights":
            return self._given(model)
        place = model.folder
        if self.config.transductive:
            place = "all" + (f"/seed-{model.draw}" if self.config.seeds > 1 else "")
        return self.folder / place / STAGE

    def _given(self, model: Model) -> Path:
        stage = "probing" if self.config.protocol in _PROBES else "finetuning"
        weights = Path(str(read_config(self.folder / model.folder / stage)["weights"]))
        if not weights.exists() and not str(weights).startswith("timm:"):
            raise InputError(
                f"{weights}: the encoder that {self.folder} was given is no longer there; "
                "bring it back"
            )
        return weights

    def probing(self, model: Model, *, trained: bool) -> ProbeConfig:
        """Return the settings of a linear probe of one model's encoder, or of a random one.

        Args:
            model: The model; the seed is that of its fold.
            trained: Whether the encoder has the run's weights, or random ones of that seed.
        """
        config = self.config.model_copy(
            update={
                "protocol": "linear",
                "seed": self.config.seed + model.fold + SEED_STEP * model.draw,
            }
        )
        return config.probe_config(self.folder, self.encoder(model) if trained else None)


def read_subject(
    folder: Path, *, table: Path | None = None, group_pattern: str = ""
) -> Subject:
    """Read a finished cross-validation whose encoders can be probed.

    Args:
        folder: Its run folder.
        table: Where its images lie now, if elsewhere than when it was begun.
        group_pattern: Finds the patient in a path; without it the table tells, or nothing.

    Raises:
        InputError: If it is not finished, has no encoders, or its images have changed.
    """
    config = read_settings(folder, table)
    _refuse_without_encoders(folder, config)
    run = read_run(folder.name, folder)
    images = load_table(config.data, config.model, labelled=True)
    rows_of(run.predictions, images.table)  # refuses other images or classes
    folds = read_folds(folder / FOLDS_FILE, images.table.names)
    patients = _patients(images.table, group_pattern)
    groups = read_groups(folder / GROUPS_FILE, images.table)
    images = replace(images, table=replace(images.table, groups=groups))
    models = list_models(folds, config.seeds)
    return Subject(folder, config, images, patients, folds, models, run)


def read_settings(folder: Path, table: Path | None = None) -> CrossValConfig:
    """Read the settings of a finished cross-validation.

    Args:
        folder: Its run folder.
        table: Where its images lie now, if elsewhere than when it was begun.

    Raises:
        InputError: If it is none, is not finished, or its settings cannot be read.
    """
    if not all((folder / name).is_file() for name in (CONFIG_FILE, PLAN_FILE)):
        raise InputError(
            f"{folder}: is no cross-validation; give the run folder of a finished crossval"
        )
    missing = [
        name
        for name in (FOLDS_FILE, GROUPS_FILE, "predictions.csv", "scores.json")
        if not (folder / name).is_file()
    ]
    if missing:
        raise InputError(
            f"{folder}: is not finished, {missing[0]} is missing; finish it with "
            f"glcm-mae crossval --resume first"
        )
    content = read_config(folder)
    if table is not None:
        content["data"] = {**content.get("data", {}), "table": str(table)}
    try:
        return CrossValConfig(**content)
    except ValidationError as error:
        raise InputError(
            f"{folder / CONFIG_FILE}: is not that of a crossval of this version "
            f"({error.errors()[0]['msg']}); run it again"
        ) from error


def _refuse_without_encoders(folder: Path, config: CrossValConfig) -> None:
    if config.baseline:
        raise InputError(
            f"{folder}: its models are {config.baseline} of timm, which has no encoder of ours "
            "to hold against a random one; give a crossval of the encoder"
        )
    if config.start == "scratch":
        raise InputError(
            f"{folder}: was trained from scratch and has no encoders to probe; give a crossval "
            "with --start pretraining or --start weights"
        )


def _patients(table: ImageTable, pattern: str) -> Patients:
    """Tell whose each image is; near-duplicates are not patients."""
    groups = table.groups
    if pattern:
        found = groups_in_paths(table.paths, pattern)
        groups = tuple(
            found.get(path, f"alone {name}")
            for path, name in zip(table.paths, table.names, strict=True)
        )
    elif table.grouping == "duplicates":
        return Patients((), "the groups of the table are near-duplicates, not patients")
    several = len(set(zip(groups, table.labels, strict=True))) < len(table)
    if several:
        return Patients(groups)
    if table.grouping == "image" and not pattern:
        return Patients(
            (),
            "nothing tells which images are of one patient; pass --group-pattern, or give the "
            "manifest a column group",
        )
    return Patients((), "no patient has two images of one class")
