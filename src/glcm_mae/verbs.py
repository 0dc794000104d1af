"""The commands: what each is for, its settings, and what it tells at the end.

Heavy imports happen inside the functions, so that help comes at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.data_verbs import (
    audit,
    cache,
    catalog,
    check,
    download,
    phantoms,
    shard,
    split,
)
from glcm_mae.study_verbs import (
    ablate,
    controls,
    explain,
    predict,
    reconstruct,
    report,
    softness,
)


@dataclass(frozen=True)
class Verb:
    """One command.

    Attributes:
        summary: What it does, in one line.
        settings: Name of its settings in :mod:`glcm_mae.config`.
        run: Does it, given the settings and whether to resume; returns lines to tell the user.
        positional: Settings that may be given without their flags, in order.
        resumable: Whether it takes ``--resume``.
        recipes: Whether recipes may be given without ``--config``.
    """

    summary: str
    settings: str
    run: Callable[[Any, bool], Sequence[str]]
    positional: tuple[str, ...] = ()
    resumable: bool = False
    recipes: bool = False


def _demo(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.demo import run_demo

    run_demo(config, resume=resume)
    return ()


def _pretrain(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.pretraining import pretrain

    encoder = pretrain(config, resume=resume)
    return (
        f"encoder: {encoder}",
        f"picture: {config.out / 'reconstructions.png'}",
        "next:    glcm-mae finetune --weights "
        f"{config.out} --data.table LABELLED_FOLDER --out {config.out}-finetuned",
    )


def _finetune(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.finetuning import finetune

    finetune(config, resume=resume)
    return _tell_test(config.out, "fine-tuned")


def _probe(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.probing import probe

    probe(config, resume=resume)
    linear = config.probing.method == "linear"
    return _tell_test(config.out, "linear probe" if linear else "nearest images")


def _tell_test(folder: Path, name: str) -> Sequence[str]:
    """Print the scores of a test part with their intervals, as they stand in the run folder."""
    from glcm_mae.downstream import read_scores
    from glcm_mae.scoreboard import print_intervals

    scores = read_scores(folder)
    title = f"Test part: {scores['images']} images"
    print_intervals({name: scores}, title=title)
    return (f"run folder: {folder}",)


def _crossval(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.crossvalidation import cross_validate
    from glcm_mae.scoreboard import print_table

    result = cross_validate(config, resume=resume)
    print_table(
        result.systems, title=result.title, notes=result.notes, positive=result.positive
    )
    return (f"run folder: {config.out} (scores.json, predictions.csv, scores.md)",)


def _job(config: Any, _: bool) -> Sequence[str]:
    from glcm_mae.planning import INPUT, run_job, run_jobs

    if config.job == INPUT:
        run_jobs(config.run)
        return ()
    return (run_job(config.run, config.job),)


def _benefit(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.benefit import measure_benefit
    from glcm_mae.plain_table import print_rows

    found = measure_benefit(config, resume=resume)
    print_rows(found.headings, found.rows(), title=found.title, notes=found.notes)
    return (found.verdict, f"folder: {config.out} (benefit.json, .csv, .md, .png, .svg)")


def _compare(config: Any, _: bool) -> Sequence[str]:
    from glcm_mae.comparison import HEADINGS, compare, rows_of, verdicts
    from glcm_mae.plain_table import print_rows

    found = compare(config)
    print_rows(HEADINGS, rows_of(found), title=found.title, notes=found.notes)
    return (*verdicts(found), f"folder: {config.out} (comparison.json, .csv, .md, .tex)")


def _replay(config: Any, _: bool) -> Sequence[str]:
    from glcm_mae.replaying import replay

    found = replay(config)
    numbers = ", ".join(f"{name} {value:.6g}" for name, value in found.numbers.items())
    culprits = ", ".join(found.culprits) or "none: each is finite alone"
    return (
        f"epoch {found.epoch}, step {found.step}: {numbers}",
        f"images that are not finite alone: {culprits}",
        f"table: {found.table}",
    )


def _texture(config: Any, _: bool) -> Sequence[str]:
    from glcm_mae.extraction import extract

    found = extract(config)
    skipped = f", {found.skipped} left out" if found.skipped else ""
    return (
        f"{found.images} images, {found.features} features each{skipped}",
        f"table: {config.out}",
    )


def _robustness(config: Any, _: bool) -> Sequence[str]:
    from glcm_mae.plain_table import print_rows
    from glcm_mae.robustness import examine
    from glcm_mae.robustness.report import EXTERNAL_HEADINGS

    found = examine(config)
    title = f"{config.run.resolve().name}, corrupted: {config.score.replace('_', ' ')}"
    print_rows(found.headings, found.rows, title=title, notes=found.notes)
    if found.external is not None:
        notes = found.external.notes
        print_rows(EXTERNAL_HEADINGS, found.external_rows, title="External set", notes=notes)
    return (f"folder: {config.out} (robustness.json, .csv, .md, .png, .svg)",)


def _anomaly(config: Any, resume: bool) -> Sequence[str]:
    from glcm_mae.anomaly import detect
    from glcm_mae.plain_table import print_rows

    found = detect(config, resume=resume)
    title = f"Not {config.normal}: what a model of normal images cannot predict"
    print_rows(found.headings, found.rows, title=title, notes=found.facts["notes"])
    return (f"run folder: {config.out} (scores.json, scores.csv, predictions.csv)",)


VERBS = {
    "demo": Verb(
        "The whole path on synthetic images, in a few minutes.",
        "DemoConfig",
        _demo,
        resumable=True,
    ),
    "pretrain": Verb(
        "Pre-train an encoder on a folder of images without labels.",
        "PretrainConfig",
        _pretrain,
        resumable=True,
    ),
    "finetune": Verb(
        "Fine-tune a classifier on one split and test it once.",
        "FinetuneConfig",
        _finetune,
        resumable=True,
    ),
    "probe": Verb(
        "Classify frozen features by a line or by the nearest images, and test that once.",
        "ProbeConfig",
        _probe,
        resumable=True,
    ),
    "crossval": Verb(
        "Pre-train, fine-tune and test in every fold; print the table of scores.",
        "CrossValConfig",
        _crossval,
        resumable=True,
    ),
    "compare": Verb(
        "Test whether finished runs on the same folds differ by more than chance.",
        "CompareConfig",
        _compare,
        positional=("runs",),
    ),
    "benefit": Verb(
        "Ask whether pre-training helped, on growing shares of the labels.",
        "BenefitConfig",
        _benefit,
        resumable=True,
    ),
    "ablate": Verb(
        "Cross-validate a recipe with other values, and tell what each changes.",
        "AblateConfig",
        ablate,
        resumable=True,
        recipes=True,
    ),
    "predict": Verb(
        "Have a finished classifier judge new images, which need no labels.",
        "PredictConfig",
        predict,
        positional=("run", "table"),
    ),
    "robustness": Verb(
        "Score a finished classifier on corrupted test images, and on an external set.",
        "RobustnessConfig",
        _robustness,
        positional=("run",),
    ),
    "controls": Verb(
        "Put a finished crossval to its negative controls: what is reached where nothing is.",
        "ControlsConfig",
        controls,
        positional=("run",),
    ),
    "explain": Verb(
        "Show what a finished classifier looks at, and the training images most like a case.",
        "ExplainConfig",
        explain,
        positional=("run",),
    ),
    "anomaly": Verb(
        "Find abnormal images by what a model of normal ones cannot predict.",
        "AnomalyConfig",
        _anomaly,
        resumable=True,
    ),
    "job": Verb(
        "Do one job of a crossval's plan again; crossval itself starts its jobs so.",
        "JobConfig",
        _job,
        positional=("run", "job"),
    ),
    "reconstruct": Verb(
        "Measure how well pre-trained autoencoders keep the texture of images.",
        "ReconstructConfig",
        reconstruct,
        positional=("runs",),
    ),
    "softness": Verb(
        "Compare soft with hard co-occurrence of one image, and what a gradient gets of it.",
        "SoftnessConfig",
        softness,
        positional=("image",),
    ),
    "report": Verb(
        "Show finished runs to people: one page that opens without a network.",
        "ReportConfig",
        report,
        positional=("runs",),
    ),
    "replay": Verb(
        "Compute a step again at which a pre-training left the finite numbers.",
        "ReplayConfig",
        _replay,
        positional=("run",),
    ),
    "texture": Verb(
        "Measure the texture features of a folder of images, or of regions in them.",
        "TextureConfig",
        _texture,
        positional=("table",),
    ),
    "data audit": Verb(
        "Find broken files, duplicates, leaks, burned-in text and other trouble.",
        "AuditConfig",
        audit,
        positional=("data.table",),
    ),
    "data catalog": Verb(
        "Tell of the known public data sets: classes, licence, where to get them.",
        "CatalogConfig",
        catalog,
        positional=("name",),
    ),
    "data check": Verb(
        "Compare a folder with what was published of a known data set.",
        "CheckConfig",
        check,
        positional=("name", "folder"),
    ),
    "data download": Verb(
        "Fetch a known data set whose licence allows it.",
        "DownloadConfig",
        download,
        positional=("name",),
    ),
    "data split": Verb(
        "Write folds to a file, to be used by several runs.",
        "SplitConfig",
        split,
        positional=("data.table",),
    ),
    "data shard": Verb(
        "Pack decoded images into tar files, for sets beyond memory or machine.",
        "ShardConfig",
        shard,
        positional=("data.table",),
    ),
    "data cache": Verb(
        "List what is in the folder of decoded images, or clear it.",
        "CacheConfig",
        cache,
    ),
    "data phantoms": Verb(
        "Write synthetic ultrasound images whose classes differ in texture.",
        "PhantomsConfig",
        phantoms,
    ),
}
