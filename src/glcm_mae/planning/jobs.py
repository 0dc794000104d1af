"""Doing one job of a plan: at most once, resumed where it was left, marked when done."""

import hashlib
import json
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.config import FinetuneConfig, PretrainConfig, ProbeConfig, StageConfig
from glcm_mae.data import LoadedImages
from glcm_mae.errors import DivergenceError, InputError, StoppedError
from glcm_mae.files import append_line, write_atomically
from glcm_mae.intake import load_table
from glcm_mae.planning.children import end_with_parent
from glcm_mae.planning.locks import Locks
from glcm_mae.planning.plan import Job, Plan
from glcm_mae.runs import write_json

DONE_FILE = "done.json"
ORDERS_FILE = "orders.json"
PRODUCTS = (
    "encoder.safetensors",
    "autoencoder.safetensors",
    "classifier.safetensors",
    "validation.csv",
    "predictions.csv",
)
"""What later jobs and the table of scores read, as far as a stage writes it."""


@dataclass(frozen=True)
class Failure:
    """Why a job ended without a result.

    Attributes:
        phase: Which stage it was.
        error: Kind of the error.
        message: The error in one line; empty where names of images must not be kept.
    """

    phase: str
    error: str
    message: str


def perform(run: Path, job: Job, images: LoadedImages | None = None) -> None:
    """Do a job, unless it is done; the caller holds its lock.

    A stage that was begun continues from its last checkpoint. When it is whole,
    ``done.json`` tells so with the hashes of what it wrote; an error is kept beside the
    folder as ``FOLDER.failed.json``.

    Args:
        run: The run folder.
        job: The job.
        images: The images of its settings, if they are in memory already.

    Raises:
        InputError: If a setting or a file is bad.
        DivergenceError: If a training left the finite numbers.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if finished(run, job):
        return
    beside(run, job, "failed.json").unlink(missing_ok=True)
    try:
        _run_stage(job, images or load_table(job.config.data, job.config.model, labelled=True))
    except (StoppedError, KeyboardInterrupt):
        raise
    except Exception as error:
        keep_failure(run, job, type(error).__name__, str(error))
        if not isinstance(error, InputError | DivergenceError):
            _keep_trace(run, job)
        raise
    write_json(run / job.folder / DONE_FILE, {"job": job.id, "files": _hashes(run, job)})


def _run_stage(job: Job, images: LoadedImages) -> None:
    config, title = job.config, job.title
    numbers = {"number": job.number, "repeat": job.repeat}
    if isinstance(config, PretrainConfig):
        from glcm_mae.pretraining import pretrain

        pretrain(config, resume=True, images=images, title=title)
    elif isinstance(config, ProbeConfig):
        from glcm_mae.probing import probe

        probe(config, resume=True, images=images, title=title, **numbers)
    elif isinstance(config, FinetuneConfig):
        from glcm_mae.finetuning import finetune

        finetune(config, resume=True, images=images, title=title, **numbers)


def _hashes(run: Path, job: Job) -> dict[str, str]:
    folder = run / job.folder
    return {name: _sha256(folder / name) for name in PRODUCTS if (folder / name).is_file()}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def finished(run: Path, job: Job) -> bool:
    """Say whether a job is done: its mark is there, and all that it wrote.

    Raises:
        InputError: If a file that it wrote is another by now.
    """
    folder = run / job.folder
    try:
        mark = json.loads((folder / DONE_FILE).read_text(encoding="utf-8"))
        whole = mark["job"] == job.id
        files: dict[str, str] = mark["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if not whole or not all((folder / name).is_file() for name in files):
        return False
    for name, found in files.items():
        if _sha256(folder / name) != found:
            raise InputError(
                f"{folder / name}: was changed after the job had finished; bring it back, or "
                f"remove {folder} to have the job run again"
            )
    return True


def beside(run: Path, job: Job, ending: str) -> Path:
    """Return a file that belongs to a job but lies beside its folder, which the stage makes."""
    return run / f"{job.folder}.{ending}"


def log_file(run: Path, job: Job) -> Path | None:
    """Return where a job's words are kept; nowhere if they may name what must be hidden."""
    return None if _hides_names(job) else beside(run, job, "log.txt")


def _hides_names(job: Job) -> bool:
    return job.config.data.names == "hashed"


def keep_failure(run: Path, job: Job, error: str, message: str) -> None:
    """Write down why a job ended; with hashed names only what kind of error it was."""
    text = "" if _hides_names(job) else " ".join(message.split())
    facts = {"job": job.id, "phase": job.kind, "error": error, "message": text}
    write_json(beside(run, job, "failed.json"), facts)


def _keep_trace(run: Path, job: Job) -> None:
    log = log_file(run, job)
    if log is not None:
        append_line(log, traceback.format_exc())


def read_failure(run: Path, job: Job) -> Failure | None:
    """Return why a job failed, if it is known."""
    try:
        facts = json.loads(beside(run, job, "failed.json").read_text(encoding="utf-8"))
        return Failure(facts["phase"], facts["error"], facts["message"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


_CONFIGS: dict[str, type[StageConfig]] = {
    "pretrain": PretrainConfig,
    "finetune": FinetuneConfig,
    "probe": ProbeConfig,
}


def write_orders(run: Path, plan: Plan) -> None:
    """Write what another process needs to do any of the jobs; written anew at each start."""
    orders = [
        {**job.entry(), "title": job.title, "config": job.config.model_dump(mode="json")}
        for job in plan
    ]
    text = json.dumps(orders, indent=1)
    write_atomically(run / ORDERS_FILE, f"{text}\n".encode())


def read_order(run: Path, job_id: str) -> tuple[int, Job]:
    """Return a job and its number in the plan.

    Raises:
        InputError: If there are no orders, none for this job, or those of another version.
    """
    path = run / ORDERS_FILE
    try:
        orders: Sequence[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path}: cannot be read; give the run folder of a crossval"
        ) from error
    for number, order in enumerate(orders):
        if order["id"] == job_id:
            return number, _job(path, order)
    raise InputError(f"{path}: there is no job {job_id!r}; plan.json lists them all")


def _job(path: Path, order: dict[str, Any]) -> Job:
    job = Job(
        kind=order["kind"],
        folder=order["folder"],
        config=_CONFIGS[order["kind"]](**order["config"]),
        title=order["title"],
        needs=tuple(order["needs"]),
        parts=order["parts"],
        number=order["number"],
        repeat=order["repeat"],
        given=order.get("given", ""),
    )
    if job.id != order["id"]:
        raise InputError(
            f"{path}: {job.folder} was ordered by another version of glcm-mae; start the "
            "whole run again with --resume"
        )
    return job


def run_job(run: Path, job_id: str) -> str:
    """Do one job in a process of its own, as the executors start it.

    If another process does this job at the moment, its end is awaited first.

    Args:
        run: The run folder.
        job_id: Identifier of the job.

    Returns:
        One line that says that it is done.

    Raises:
        InputError: If a setting or a file is bad.
        DivergenceError: If a training left the finite numbers.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    end_with_parent()
    number, job = read_order(run, job_id)
    return do_ordered(run, number, job)


def do_ordered(run: Path, number: int, job: Job) -> str:
    """Do a job of the orders, once no other process does it.

    Args:
        run: The run folder.
        number: Its number in the plan.
        job: The job.

    Returns:
        One line that says that it is done.
    """
    with Locks(run) as locks:
        locks.wait(number + 1)
        perform(run, job)
    return f"{job.folder} is finished"
