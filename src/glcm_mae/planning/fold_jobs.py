"""The jobs of a cross-validation: every stage of every model is one."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glcm_mae.config import CrossValConfig, StageConfig
from glcm_mae.data import Fold, ImageTable
from glcm_mae.data.folds.assignments import format_assignment, format_groups
from glcm_mae.data.folds.fold_files import repeat_numbers
from glcm_mae.downstream import SPLIT_FILE
from glcm_mae.errors import InputError
from glcm_mae.planning.plan import Job, Kind, Plan, digest
from glcm_mae.planning.shared_encoders import encoder_of_fold, holds_encoders
from glcm_mae.runs import keep_file

GROUPS_FILE = "groups.csv"
SEED_STEP = 1000
"""Difference of the seeds of two models of a fold."""
_PROBES = ("linear", "knn")
_PROBE_PASSES = 2  # over the images; beside a training it hardly counts


@dataclass(frozen=True)
class Model:
    """One model of a cross-validation.

    Attributes:
        number: Its number: the folds one after the other, then again with the next seed.
        fold: Number of its fold.
        draw: Which of the fold's seeds it has, from 0.
        repeat: Number of the complete pass over the images that it belongs to.
        folder: Its folder, relative to the run's.
        title: What progress calls it.
    """

    number: int
    fold: int
    draw: int
    repeat: int
    folder: str
    title: str


def list_models(folds: Sequence[Fold], seeds: int) -> list[Model]:
    """Return the models of a cross-validation: one for each fold and seed.

    Args:
        folds: The folds, repeats one after the other.
        seeds: Models trained in every fold.

    Example:
        >>> one, other = np.array([0]), np.array([1])
        >>> folds = [Fold(one, one, other), Fold(other, other, one)]
        >>> [(model.number, model.repeat, model.folder) for model in list_models(folds, 2)]
        [(0, 0, 'fold-0/seed-0'), (1, 0, 'fold-1/seed-0'),
         (2, 1, 'fold-0/seed-1'), (3, 1, 'fold-1/seed-1')]
    """
    repeats = repeat_numbers(folds)
    passes = repeats[-1] + 1
    models = []
    for draw in range(seeds):
        for number, repeat in enumerate(repeats):
            models.append(
                Model(
                    number=draw * len(folds) + number,
                    fold=number,
                    draw=draw,
                    repeat=draw * passes + repeat,
                    folder=f"fold-{number}" + (f"/seed-{draw}" if seeds > 1 else ""),
                    title=f"fold {number + 1} of {len(folds)}"
                    + (f", seed {draw + 1} of {seeds}" if seeds > 1 else ""),
                )
            )
    return models


def plan_folds(config: CrossValConfig, table: ImageTable, folds: Sequence[Fold]) -> Plan:
    """Return the plan of a cross-validation, and keep in its folder who is where.

    Every fold gets ``split.csv``, and the run ``groups.csv``: so a job in another process,
    on another machine too, has the very same parts.

    Args:
        config: Settings of the cross-validation.
        table: The images; their groups are numbers already.
        folds: The folds.

    Raises:
        InputError: If the run was begun with other parts.
    """
    return _FoldJobs(config, table, folds).plan()


class _FoldJobs:
    def __init__(
        self, config: CrossValConfig, table: ImageTable, folds: Sequence[Fold]
    ) -> None:
        if len(folds) > SEED_STEP:
            raise InputError(
                f"folds: {len(folds)} are more than {SEED_STEP}, so that seeds would meet; "
                "ask for fewer folds or repeats"
            )
        self.config, self.table, self.folds = config, table, folds
        self.groups = self._keep(GROUPS_FILE, format_groups(table))

    def plan(self) -> Plan:
        """Return all jobs, the pre-trainings first."""
        models = list_models(self.folds, self.config.seeds)
        splits = [
            self._keep(f"fold-{number}/{SPLIT_FILE}", format_assignment(self.table, fold))
            for number, fold in enumerate(self.folds)
        ]
        encoders: dict[int, Job] = {}
        if self.config.start == "pretraining":
            encoders = (
                self._shared(models)
                if self.config.transductive
                else {
                    model.number: self._pretraining(model, splits[model.fold])
                    for model in models
                }
            )
        first = dict.fromkeys(encoders.values())
        readers = [
            self._classifier(model, splits[model.fold], encoders.get(model.number))
            for model in models
        ]
        return Plan([*first, *readers])

    def _keep(self, name: str, text: str) -> str:
        """Keep a file in the run folder; return the digest of its content."""
        keep_file(self.config.out / name, text.encode())
        return digest(text)

    def _pretraining(self, model: Model, split: str) -> Job:
        """Return the pre-training of one model, without the test images of its fold."""
        folder = f"{model.folder}/pretraining"
        stage = self._settings(model.fold, model.draw).pretrain_config(self.config.out / folder)
        given = self.config.pretraining.weights
        return self._job("pretrain", stage, model, "pre-training", split=split, given=given)

    def _shared(self, models: Sequence[Model]) -> dict[int, Job]:
        """Return one pre-training a seed, on all images whatsoever."""
        every = np.arange(len(self.table))
        none = every[:0]
        text = format_assignment(self.table, Fold(every, none, none))
        split = self._keep(f"all/{SPLIT_FILE}", text)
        jobs = {}
        for draw in range(self.config.seeds):
            folder = "all" + (f"/seed-{draw}" if self.config.seeds > 1 else "")
            shared = Model(0, 0, draw, 0, folder, "all images")
            settings = self._settings(0, draw, split=f"all/{SPLIT_FILE}")
            stage = settings.pretrain_config(self.config.out / folder / "pretraining")
            jobs[draw] = self._job(
                "pretrain",
                stage,
                shared,
                "pre-training",
                split=split,
                given=self.config.pretraining.weights,
            )
        return {model.number: jobs[model.draw] for model in models}

    def _classifier(self, model: Model, split: str, encoder: Job | None) -> Job:
        """Return what is trained on the encoder, and tested."""
        settings, out = self._settings(model.fold, model.draw), self.config.out
        weights = self._given(model) if encoder is None else out / encoder.folder
        needs = () if encoder is None else (encoder.id,)
        kind: Kind = "probe" if self.config.protocol in _PROBES else "finetune"
        stage: StageConfig
        if kind == "probe":
            what, stage = (
                "probing",
                settings.probe_config(out / model.folder / "probing", weights),
            )
        else:
            folder = out / model.folder / "finetuning"
            what, stage = "fine-tuning", settings.finetune_config(folder, weights)
        given = self.config.weights
        return self._job(kind, stage, model, what, split=split, needs=needs, given=given)

    def _given(self, model: Model) -> Path | None:
        """Return the weights that are given, of another cross-validation those of its fold."""
        weights = self.config.weights
        if weights is None or not holds_encoders(weights):
            return weights
        return encoder_of_fold(
            weights,
            self.folds[model.fold],
            self.table,
            fold_folder=f"fold-{model.fold}",
            model_folder=model.folder,
        )

    def _settings(self, fold: int, draw: int, split: str = "") -> CrossValConfig:
        """Return the settings with the parts and the seed of one model."""
        parts = {
            "split": self.config.out / (split or f"fold-{fold}/{SPLIT_FILE}"),
            "groups": self.config.out / GROUPS_FILE,
        }
        data = self.config.data.model_copy(update=parts)
        seed = self.config.seed + fold + SEED_STEP * draw
        return self.config.model_copy(update={"data": data, "seed": seed})

    def _job(
        self,
        kind: Kind,
        stage: StageConfig,
        model: Model,
        what: str,
        *,
        split: str,
        needs: tuple[str, ...] = (),
        given: Path | None = None,
    ) -> Job:
        epochs = {
            "pretrain": self.config.pretraining.epochs,
            "finetune": self.config.finetuning.epochs,
            "probe": 0,
        }[kind]
        fold = self.folds[model.fold]
        rows = len(fold.train) if kind == "finetune" else len(self.table) - len(fold.test)
        return Job(
            kind=kind,
            folder=stage.out.relative_to(self.config.out).as_posix(),
            config=stage,
            title=f"{model.title}: {what}",
            needs=needs,
            parts=digest(split + self.groups),
            number=model.number,
            repeat=model.repeat,
            epochs=epochs,
            cost=float(rows * (epochs or _PROBE_PASSES)),
            given="" if given is None else str(given),
        )


def model_folders(plan: Plan) -> Iterator[Path]:
    """Yield the folders, relative to the run's, that hold predictions, in order of number."""
    jobs = [job for job in plan if job.kind != "pretrain"]
    yield from (Path(job.folder) for job in sorted(jobs, key=lambda job: job.number))
