"""Cross-validation: from a folder of images to a table of honest scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from glcm_mae.baselines import Baseline, as_runs, baseline_predictions
from glcm_mae.captions import headline, pretraining_note, selection_note, system_name
from glcm_mae.config import CrossValConfig
from glcm_mae.data import Fold, LoadedImages
from glcm_mae.data.folds.fold_files import format_folds, repeat_numbers
from glcm_mae.data.folds.parts import number_groups
from glcm_mae.division import Leaks, draw_folds, find_leaks, together_note
from glcm_mae.downstream import (
    BASELINES_FOLDER,
    PREDICTIONS_FILE,
    SCORES_FILE,
    VALIDATION_FILE,
)
from glcm_mae.errors import InputError
from glcm_mae.evaluation import (
    Judging,
    Predictions,
    concatenate,
    judge,
    positive_index,
    read_predictions,
    write_predictions,
)
from glcm_mae.intake import load_table, splits_of
from glcm_mae.launching import launched
from glcm_mae.planning import Plan, run_plan
from glcm_mae.planning.fold_jobs import SEED_STEP, model_folders, plan_folds
from glcm_mae.runs import Run, check_run_folder, write_atomically, write_json
from glcm_mae.scoreboard import markdown_tables

FOLDS_FILE = "folds.csv"


@dataclass(frozen=True)
class CrossValidation:
    """What a cross-validation found.

    Attributes:
        name: Name of the system, as in the table.
        systems: Scores of the system and of the baselines, by name.
        title: Headline of the table.
        notes: How the numbers came about, for below the table.
        positive: The positive class, or empty.
        predictions: The system's predictions: every image once in each pass.
        inner: Its predictions on the inner validation parts.
        baselines: What the baselines predicted, by name.
    """

    name: str
    systems: Mapping[str, Mapping[str, Any]]
    title: str
    notes: tuple[str, ...]
    positive: str
    predictions: Predictions
    inner: Predictions | None = None
    baselines: Mapping[str, Baseline] = field(default_factory=dict)


@dataclass(frozen=True)
class Division:
    """The images of a cross-validation, and what must stay together among them.

    Attributes:
        images: The images; their groups are joined by near-duplicates.
        leaks: What would leak if groups were torn apart.
    """

    images: LoadedImages
    leaks: Leaks


def divide_images(config: CrossValConfig, *, leaks: Leaks | None = None) -> Division:
    """Read the images of a cross-validation, and find what must stay together.

    Args:
        config: Settings of the stage.
        leaks: What must stay together, if that is known already of the very same images.

    Returns:
        What several cross-validations of the same images can share.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
    """
    images = load_table(config.data, config.model, labelled=True)
    positive_index(images.table.classes, config.data.positive)
    given = config.folds.official
    leaks = leaks or find_leaks(images.table, config.data, config.leak_check, given=given)
    # Numbers, as a job in another process reads them; names may tell who a patient is.
    groups = tuple(str(number) for number in number_groups(leaks.groups))
    return Division(replace(images, table=replace(images.table, groups=groups)), leaks)


def cross_validate(
    config: CrossValConfig, *, resume: bool = False, division: Division | None = None
) -> CrossValidation:
    """Pre-train and fine-tune in every fold, and score what was never seen.

    Folds are stratified by class and never split a group (patient) or a cluster of
    near-duplicates, unless ``leak_check`` is ``off``. In each, an
    encoder is pre-trained on all images but the test fold's (``start: pretraining``),
    or given weights are taken, or none; an inner validation part picks the epoch;
    the test fold is looked at once. Every stage of every fold is a job of a plan, which
    ``fanout`` spreads over processes or machines; no result depends on how. The run folder
    gets ``plan.json``, a folder a fold, ``folds.csv``, ``groups.csv``,
    ``predictions.csv``, ``validation.csv``, ``baselines/``, ``scores.json`` and
    ``scores.md``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out``: finished jobs are only read, a
            begun one continues from its last whole epoch.
        division: The images of these settings, if they are read and compared already.

    Returns:
        Scores of the system and of the baselines.

    Raises:
        InputError: If a setting or a file is bad, or jobs failed; the message says what to
            do. Jobs that do not need a failed one are done all the same.
        DivergenceError: If a loss is not finite.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if launched():
        raise InputError(
            "crossval starts the processes of its jobs by itself: start it without torchrun, "
            "with --fanout.workers; pretrain and finetune take --devices and --nodes"
        )
    check_run_folder(config, config.out, resume=resume)
    study = _Study.draw(config, division or divide_images(config))
    plan = study.begin(resume=resume)
    run_plan(plan, config.out, config.fanout, study.images)
    folders = [config.out / folder for folder in model_folders(plan)]
    found = concatenate([read_predictions(folder / PREDICTIONS_FILE) for folder in folders])
    inner = concatenate([read_predictions(folder / VALIDATION_FILE) for folder in folders])
    result = study.result(found, inner)
    study.write(config.out, result)
    return result


def begin_cross_validation(
    config: CrossValConfig, division: Division
) -> tuple[Plan, Sequence[Fold]]:
    """Begin or continue the run folder of a cross-validation, and plan it, without its jobs.

    For those who do the jobs of several together; :func:`cross_validate` with ``resume``
    then finds them done, and scores them.

    Args:
        config: Settings of the stage.
        division: The images of these settings.

    Returns:
        Its jobs, and its folds.

    Raises:
        InputError: If the folder holds other settings or other folds.
    """
    study = _Study.draw(config, division)
    return study.begin(resume=True), study.folds


@dataclass(frozen=True)
class _Study:
    """The images, what must stay together among them, and their folds."""

    config: CrossValConfig
    images: LoadedImages
    leaks: Leaks
    folds: Sequence[Fold]

    @classmethod
    def draw(cls, config: CrossValConfig, division: Division) -> "_Study":
        """Draw folds that keep together what must stay together."""
        table = division.images.table
        folds = draw_folds(table, config.folds, config.seed, splits_of(table, config.data))
        return cls(config, division.images, division.leaks, folds)

    def begin(self, *, resume: bool) -> Plan:
        """Open the run folder, keep the folds in it, and plan the jobs."""
        run = Run.open(self.config, folder=self.config.out, resume=resume)
        self.keep_folds(run.folder / FOLDS_FILE)
        return plan_folds(self.config, self.images.table, self.folds)

    def keep_folds(self, path: Path) -> None:
        """Write the folds; refuse to go on with others than the run was begun with."""
        text = format_folds(self.images.table.names, self.folds)
        if path.is_file() and path.read_text(encoding="utf-8") != text:
            raise InputError(
                f"{path}: the folds are others now than when the run began (other images, or "
                "another version); start anew with another --out, with this file as "
                "--folds.file to have the same folds"
            )
        write_atomically(path, text.encode())

    def result(self, found: Predictions, inner: Predictions) -> CrossValidation:
        """Score the system and the baselines."""
        name, config = system_name(self.config), self.config
        settings = Judging(**config.evaluation.judging(config.seed))
        positive = config.data.positive
        baselines = self.baselines()
        answers = {**baselines, name: Baseline(found, inner)}
        systems = {
            label: judge(answer.test, answer.inner, positive=positive, settings=settings)
            for label, answer in answers.items()
        }
        passes = repeat_numbers(self.folds)[-1] + 1
        title = headline(config, self.images.table, len(self.folds), passes)
        return CrossValidation(
            name, systems, title, self.notes(), positive, found, inner, baselines
        )

    def baselines(self) -> dict[str, Baseline]:
        """Return what is reached without a network, on the same folds."""
        if self.config.baselines == "off":
            return {}
        repeats = repeat_numbers(self.folds)
        return baseline_predictions(self.images, self.folds, repeats, seed=self.config.seed)

    def notes(self) -> tuple[str, ...]:
        """Say how the numbers came about."""
        table, config = self.images.table, self.config
        skipped = f", {len(self.images.skipped)} files skipped" if self.images.skipped else ""
        positive = f"; positive class: {config.data.positive}" if config.data.positive else ""
        share = config.folds.label_share
        fewer = (f"{share:.3g} of the training labels were used",) if share < 1 else ()
        count = len(self.folds) * config.seeds
        over = f"mean ± SD over {count} {'models' if config.seeds > 1 else 'folds'}"
        drawn = (
            f"{config.seeds} models a fold; the seed of model K of fold N is {config.seed} + N "
            f"+ {SEED_STEP} K, both counted from 0",
        )
        return (
            f"{len(table)} images{skipped}, {len(table.classes)} classes "
            f"({', '.join(table.classes)}){positive}; {over}",
            together_note(table, self.leaks, self.folds),
            self.leaks.note,
            selection_note(config),
            *(drawn if config.seeds > 1 else ()),
            *fewer,
            pretraining_note(config, self.images),
            *self._split_note(),
        )

    def _split_note(self) -> tuple[str, ...]:
        if not self.config.folds.official:
            unused = "the table's split column is not used: folds cover all images"
            return (unused,) if self.images.table.splits else ()
        return ("the parts are those of the given split",)

    def write(self, folder: Path, result: CrossValidation) -> None:
        """Write the predictions, and the scores for machines and for people."""
        write_predictions(folder / PREDICTIONS_FILE, result.predictions)
        if result.inner is not None:
            write_predictions(folder / VALIDATION_FILE, result.inner)
        for name, said in as_runs(result.baselines, models=self.config.seeds).items():
            write_predictions(folder / BASELINES_FOLDER / name / PREDICTIONS_FILE, said)
        text = markdown_tables(result.systems, result.positive)
        notes = "\n".join(f"- {note}" for note in (result.title, *result.notes))
        write_atomically(folder / "scores.md", f"{text}\n{notes}\n".encode())
        table, config = self.images.table, self.config
        facts = {
            "system": result.name,
            "title": result.title,
            "classes": list(table.classes),
            "positive": result.positive,
            "images": len(table),
            "skipped": len(self.images.skipped),
            "groups": len(set(table.groups)),
            "grouping": table.grouping,
            "leak_check": self.leaks.facts,
            "start": config.start,
            "protocol": config.protocol,
            "baseline": config.baseline,
            "selection": config.finetuning.selection,
            "transductive": config.transductive,
            "official": config.folds.official,
            "seeds": config.seeds,
            "notes": list(result.notes),
            "systems": result.systems,
        }
        write_json(folder / SCORES_FILE, facts)
