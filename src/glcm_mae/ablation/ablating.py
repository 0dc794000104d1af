"""The stage: variants are planned together, done once each, and tabulated."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from glcm_mae.ablation.budget import Clock, epochs_note
from glcm_mae.ablation.contrasts import Contrast, find_contrasts
from glcm_mae.ablation.design import plan_design
from glcm_mae.ablation.figure import draw_ablation
from glcm_mae.ablation.outcomes import (
    Fidelity,
    Outcome,
    gather_fidelity,
    read_scores,
    wall_seconds,
)
from glcm_mae.ablation.report import Ablation, format_csv, format_latex, format_markdown
from glcm_mae.ablation.restorations import MEASURES, measure_restorations
from glcm_mae.ablation.sharing import SharedPlan, link_shared, share_jobs
from glcm_mae.ablation.studies import Design, Variant
from glcm_mae.ablation.verdicts import note_of_tests, verdict
from glcm_mae.config import AblateConfig, CrossValConfig
from glcm_mae.crossvalidation import (
    Division,
    begin_cross_validation,
    cross_validate,
    divide_images,
)
from glcm_mae.data import Fold
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically
from glcm_mae.launching import launched
from glcm_mae.planning import Job, work_off
from glcm_mae.planning.jobs import read_failure
from glcm_mae.planning.scheduling import Schedule, State
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder, write_json


def ablate(config: AblateConfig, *, resume: bool = False) -> Ablation:
    """Cross-validate every variant of a recipe, and compare each with the base.

    All variants have the same folds and test images. Their jobs are one plan, in which
    what two variants would do alike, such as a pre-training of which only the probe
    differs, is done once. The folder gets ``plan.json``, a whole cross-validation a
    variant, ``ablation.json``, ``.csv``, ``.md``, ``.tex`` and the figure ``ablation.png``,
    ``.svg`` and ``.pdf``.

    Args:
        config: Settings of the stage.
        resume: Continue the ablation in ``config.out``; what is finished is only read.

    Returns:
        The tables, the paired comparisons and the verdicts.

    Raises:
        InputError: If a setting or a file is bad, or every variant failed; the message says
            what to do.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if launched():
        raise InputError(
            "ablate starts the processes of its jobs by itself: start it without torchrun, "
            "with --fanout.workers"
        )
    design = plan_design(config)
    check_run_folder(config, config.out, resume=resume)
    bench = _Bench.set_up(config, design, resume=resume)
    clock = Clock(config.budget.hours)
    schedule = work_off(
        bench.shared.plan,
        config.out,
        config.fanout,
        lambda job: bench.images[job.id].images,
        may_begin=clock,
    )
    outcomes = {variant.name: bench.outcome(variant, schedule) for variant in design.variants}
    found = _conclude(bench, outcomes)
    _write(config.out, found)
    _refuse_all_failed(outcomes)
    return found


@dataclass(frozen=True)
class _Bench:
    """All variants with their images, folds and jobs.

    Attributes:
        config: Settings of the stage.
        design: Variants and studies.
        divisions: Images of each variant, by its name.
        folds: The folds, the same for all variants.
        shared: The jobs of all variants, each once.
        images: Images of every job, by its identifier.
    """

    config: AblateConfig
    design: Design
    divisions: Mapping[str, Division]
    folds: Sequence[Fold]
    shared: SharedPlan
    images: Mapping[str, Division]

    @classmethod
    def set_up(cls, config: AblateConfig, design: Design, *, resume: bool) -> "_Bench":
        """Read the images, and plan every variant in a folder of its own."""
        divisions = _divide(design)
        Run.open(config, folder=config.out, resume=resume)
        planned, folds = [], None
        for variant in design.variants:
            plan, own = begin_cross_validation(variant.config, divisions[variant.name])
            folds = folds or own
            planned.append((variant, plan))
        assert folds is not None
        shared = share_jobs(planned)
        if note := shared.saved():
            say(note)
        images = {
            job.id: divisions[name]
            for name, jobs in reversed(list(shared.jobs.items()))
            for job in jobs.values()
        }
        return cls(config, design, divisions, folds, shared, images)

    def outcome(self, variant: Variant, schedule: Schedule) -> Outcome:
        """Score a variant whose jobs are all done; say of others why they are not."""
        jobs = self.shared.jobs[variant.name]
        states = {schedule.states[job.id] for job in jobs.values()}
        if State.FAILED in states:
            reason = self._why(jobs, schedule)
            return Outcome(variant.name, variant.folder, "failed", reason)
        if states != {State.DONE}:
            return Outcome(variant.name, variant.folder, "open")
        link_shared(self.config.out, variant, jobs)
        try:
            return self._score(variant, jobs)
        except InputError as error:
            return Outcome(variant.name, variant.folder, "failed", str(error))

    def _why(self, jobs: Mapping[str, Job], schedule: Schedule) -> str:
        failed = [job for job in jobs.values() if schedule.states[job.id] is State.FAILED]
        failure = read_failure(self.config.out, failed[0])
        reason = failure.message or failure.error if failure else "it left no word"
        more = f" (and {len(failed) - 1} more of its jobs)" if len(failed) > 1 else ""
        return f"{failed[0].folder}: {reason}{more}"

    def _score(self, variant: Variant, jobs: Mapping[str, Job]) -> Outcome:
        division = self.divisions[variant.name]
        found = cross_validate(variant.config, resume=True, division=division)
        names = dict.fromkeys([self.config.score, "accuracy", "auroc", "balanced_accuracy"])
        fidelity = self._fidelity(variant, jobs)
        measures = {
            name: fidelity.interval(name, self.config.evaluation, self.config.seed)
            for name in (MEASURES if fidelity else ())
            if fidelity is not None
        }
        made = [self.config.out / j.folder for j in jobs.values() if j.kind == "pretrain"]
        return Outcome(
            name=variant.name,
            folder=variant.folder,
            state="done",
            scores=read_scores(found, list(names)),
            measures=measures,
            fidelity=fidelity,
            seconds=wall_seconds(made),
            notes=found.notes,
        )

    def _fidelity(self, variant: Variant, jobs: Mapping[str, Job]) -> Fidelity | None:
        """Restore the test images of every fold by the fold's own autoencoder."""
        images = self.divisions[variant.name].images
        tests = {
            reader: self.folds[reader.number % len(self.folds)].test
            for reader in jobs.values()
            if reader.needs
        }
        restored = {}
        for job in jobs.values():
            own = [rows for reader, rows in tests.items() if job.id in reader.needs]
            if own:  # several folds where one pre-training saw all images
                restored[job.id] = measure_restorations(
                    self.config.out / job.folder,
                    images,
                    np.unique(np.concatenate(own)),
                    seed=self.config.seed,
                    device=self.config.device,
                    title=f"{job.title.partition(':')[0]}: restoring",
                )
        measured = [(rows, restored[reader.needs[0]]) for reader, rows in tests.items()]
        return gather_fidelity(measured, images.table.labels, images.table.groups)


def _divide(design: Design) -> dict[str, Division]:
    """Read the images of every variant; those that read them alike share them."""
    found: dict[str, Division] = {}
    divisions = {}
    first: Division | None = None
    for variant in design.variants:
        key = _reading(variant.config)
        if key not in found:
            leaks = first.leaks if first else None
            found[key] = divide_images(variant.config, leaks=leaks)
            first = first or found[key]
            if found[key].images.table.names != first.images.table.names:
                raise InputError(
                    f"{variant.name}: reads other images than {design.variants[0].name}, so "
                    "that they cannot be compared; remove the files that cannot be read "
                    "(data.on_error skip leaves them out)"
                )
        divisions[variant.name] = found[key]
    return divisions


def _reading(config: CrossValConfig) -> str:
    model = config.model
    facts = [config.data.model_dump(mode="json"), model.image_size, model.channels]
    return json.dumps(facts, sort_keys=True)


def _conclude(bench: _Bench, outcomes: Mapping[str, Outcome]) -> Ablation:
    config, design = bench.config, bench.design
    contrasts = find_contrasts(design.studies, outcomes, config)
    level = 1 - config.evaluation.confidence
    said = [
        verdict(study, contrasts, outcomes, config.score, level=level)
        for study in design.studies
    ]
    table = Path(*config.data.table.resolve().parts[-2:])  # no path of this machine
    return Ablation(
        title=f"Ablation on {table}, {len(bench.folds)} folds, {config.protocol}",
        score=config.score,
        studies=design.studies,
        outcomes=outcomes,
        contrasts=contrasts,
        verdicts=said,
        notes=_notes(bench, outcomes, contrasts),
    )


def _notes(
    bench: _Bench, outcomes: Mapping[str, Outcome], contrasts: Sequence[Contrast]
) -> tuple[str, ...]:
    """Say what was not finished, what is unfair, and how the numbers came about."""
    done = [outcome for outcome in outcomes.values() if outcome.state == "done"]
    left = [outcome.name for outcome in outcomes.values() if outcome.state == "open"]
    lost = [
        f"FAILED: {outcome.name}: {outcome.reason}"
        for outcome in outcomes.values()
        if outcome.state == "failed"
    ]
    open_ = [
        f"NOT RUN, for the time (budget.hours) was over: {', '.join(left)}; the same command "
        "with --resume goes on"
    ]
    ratios = {found.fidelity.mask_ratio for found in done if found.fidelity}
    error = [
        "texture error: mean relative error of twelve Haralick features of test images, "
        "restored by their fold's own autoencoder, every pixel while it is hidden"
        + ("; where less is hidden in training less is here" if len(ratios) > 1 else "")
    ]
    notes = [
        *lost,
        *(open_ if left else []),
        *dict.fromkeys(note for contrast in contrasts for note in contrast.notes),
        epochs_note(bench.config, bench.config.budget.epochs),
        *_common_notes(done),
        "a score stands over all test images with its interval; ± is the SD over models",
        *(error if ratios else []),
        note_of_tests(contrasts, bench.config.evaluation.confidence),
        bench.shared.saved(),
    ]
    return tuple(note for note in notes if note)


def _common_notes(done: Sequence[Outcome]) -> Iterator[str]:
    """Yield what the cross-validations say of themselves; what some alone say, by name."""
    for note in dict.fromkeys(note for outcome in done for note in outcome.notes):
        names = [outcome.name for outcome in done if note in outcome.notes]
        yield note if len(names) == len(done) else f"{', '.join(names)}: {note}"


def _write(folder: Path, found: Ablation) -> None:
    write_json(folder / "ablation.json", found.facts())
    write_atomically(folder / "ablation.csv", format_csv(found).encode())
    write_atomically(folder / "ablation.md", format_markdown(found).encode())
    write_atomically(folder / "ablation.tex", format_latex(found).encode())
    draw_ablation(found, *(folder / f"ablation.{kind}" for kind in ("png", "svg", "pdf")))


def _refuse_all_failed(outcomes: Mapping[str, Outcome]) -> None:
    if any(outcome.state != "failed" for outcome in outcomes.values()):
        return
    reasons = dict.fromkeys(outcome.reason for outcome in outcomes.values())
    raise InputError(f"every variant failed: {'; '.join(reasons)}")
