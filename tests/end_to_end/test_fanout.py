"""The same plan by every executor, by one worker or two, killed or not: the same bytes.

Every law is shown by a real ``glcm-mae`` with real jobs; what else it takes, the run that
others must equal and those that go on, are forks of one process.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import FINETUNE, PRETRAIN

from glcm_mae.data import write_phantoms
from glcm_mae.planning.locks import Locks
from warm import Nursery, Warm

FOLDS = 2
SETTINGS = [
    *PRETRAIN,
    *FINETUNE,
    *("--pretraining.epochs", "4", "--folds.count", str(FOLDS)),
    *("--baselines", "off", "--evaluation.resamples", "200"),
    *("--data.positive", "fine", "--fanout.threads", "1"),
]
RESULTS = [
    "plan.json",
    "folds.csv",
    "predictions.csv",
    "validation.csv",
    "scores.json",
    *(f"fold-{n}/pretraining/encoder.safetensors" for n in range(FOLDS)),
    *(f"fold-{n}/pretraining/metrics.jsonl" for n in range(FOLDS)),
    *(f"fold-{n}/finetuning/classifier.safetensors" for n in range(FOLDS)),
]
JOBS = [f"fold-{n}/{name}" for n in range(FOLDS) for name in ("pretraining", "finetuning")]
PATIENCE = 600.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantoms(
        tmp_path_factory.mktemp("fanout") / "images", count=24, size=32, seed=0
    )


Process = subprocess.Popen[bytes] | Warm


def words(images: Path, out: Path, *more: str) -> list[str]:
    command = ["-m", "glcm_mae", "crossval", "--data.table", str(images), *SETTINGS]
    return [*command, *more, "--out", str(out)]


def start(images: Path, out: Path, *more: str) -> Process:
    """Start a crossval as a process of its own."""
    with out.with_suffix(".txt").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, *words(images, out, *more)],
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=log,
            stderr=log,
        )


def fork(nursery: Nursery, images: Path, out: Path, *more: str) -> Process:
    """Start a crossval as a fork, its jobs on this machine too."""
    return nursery.start(words(images, out, *more), out.with_suffix(".txt"))


def end(process: Process, out: Path, code: int = 0) -> str:
    try:
        process.wait(timeout=PATIENCE)
    finally:
        process.kill()
        process.wait()
    told = out.with_suffix(".txt").read_text()
    assert process.returncode == code, told
    return told


@pytest.fixture(scope="module")
def undisturbed(
    nursery: Nursery, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The run of one process, which every other must equal."""
    out = tmp_path_factory.mktemp("one") / "run"
    end(fork(nursery, images, out), out)
    return out


def check_same(out: Path, other: Path) -> None:
    for name in RESULTS:
        assert (out / name).read_bytes() == (other / name).read_bytes(), name


LOCAL = ["--fanout.workers", "2"]
ELSEWHERE = {
    "slurm": [*LOCAL, "--fanout.executor", "slurm", "--fanout.slurm.cluster", "local"],
    "ray": [*LOCAL, "--fanout.executor", "ray"],
}


def undo(undisturbed: Path, out: Path, jobs: list[str]) -> None:
    """Copy a run as it was when some jobs were not done."""
    shutil.copytree(undisturbed, out)
    for name in ("predictions.csv", "validation.csv", "scores.json"):
        (out / name).unlink()
    for job in jobs:
        shutil.rmtree(out / job)


def check_done_once(told: str, out: Path, jobs: list[str]) -> None:
    assert "4 of 4 jobs done" in told
    first = [line.split(" is finished")[0] for line in told.splitlines() if "jobs done" in line]
    assert sorted(first) == sorted(jobs), "each was done once"
    for job in jobs:
        assert f"{job} is finished" in (out / f"{job}.log.txt").read_text()


def test_two_workers_give_the_bytes_of_one(
    images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    told = end(start(images, out, *LOCAL), out)
    assert "4 jobs, 2 at a time (local)" in told
    check_done_once(told, out, JOBS)
    check_same(out, undisturbed)


@pytest.mark.parametrize("executor", list(ELSEWHERE))
def test_whichever_executor_ran_them_the_results_are_the_same_bytes(
    executor: str, images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    pytest.importorskip({"slurm": "submitit", "ray": "ray"}[executor])
    out = tmp_path / "run"
    undo(undisturbed, out, JOBS[:2])  # a job, and one that needs it
    told = end(start(images, out, *ELSEWHERE[executor], "--resume"), out)
    assert f"2 jobs, 2 at a time ({executor})" in told
    check_done_once(told, out, JOBS[:2])
    check_same(out, undisturbed)


def marks(out: Path) -> dict[str, tuple[int, int]]:
    """Return which jobs are done, and which file tells so."""
    found = {}
    for job in JOBS:
        path = out / job / "done.json"
        if path.is_file():
            stat = path.stat()
            found[job] = (stat.st_ino, stat.st_mtime_ns)
    return found


def wait_for(happened: "object", process: Process) -> None:
    """Wait until something has happened, or the run is over."""
    limit = time.monotonic() + PATIENCE
    while process.poll() is None and not happened():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.005)


MOMENTS = {
    "a begun job": lambda out: any(out.glob("*/*/config.yaml")),
    "one done": lambda out: len(marks(out)) >= 1,
    "a fine-tuning": lambda out: any(out.glob("*/finetuning/checkpoints/step-*")),
    "all done": lambda out: len(marks(out)) == 4,
}


def test_a_driver_killed_again_and_again_loses_nothing_and_repeats_nothing(
    nursery: Nursery, images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out, before = tmp_path / "run", dict[str, tuple[int, int]]()
    for moment, happened in MOMENTS.items():
        again = [*LOCAL, "--resume"]
        real = moment == "one done"
        process = start(images, out, *again) if real else fork(nursery, images, out, *again)
        wait_for(lambda: happened(out), process)  # noqa: B023  called at once
        process.send_signal(signal.SIGKILL)
        process.wait()
        if moment != "all done":
            assert process.returncode == -signal.SIGKILL, f"it was over before {moment}"
        now = marks(out)
        assert before.items() <= now.items(), "a finished job was done again"
        before = now
    end(fork(nursery, images, out, *LOCAL, "--resume"), out)
    assert before.items() <= marks(out).items()
    check_same(out, undisturbed)
    assert not list(out.rglob("*.failed.json"))
    assert not list(out.rglob("*.partial"))


def test_a_signal_has_the_jobs_save_and_the_run_goes_on_from_there(
    nursery: Nursery, images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    process = start(images, out, *LOCAL)
    wait_for(lambda: any(out.glob("*/*/checkpoints/step-*")), process)
    process.send_signal(signal.SIGTERM)
    told = end(process, out, code=128 + signal.SIGTERM)
    assert "stopped by SIGTERM" in told
    assert "the same command with --resume continues" in told
    with Locks(out) as locks:
        assert not any(locks.held_elsewhere(place) for place in range(5)), "a job lives on"
    saved = list(out.glob("*/pretraining/checkpoints/step-*/state.json"))
    assert saved
    assert not list(out.rglob("*.failed.json"))
    end(fork(nursery, images, out, *LOCAL, "--resume"), out)
    check_same(out, undisturbed)


def test_a_killed_job_is_told_and_done_when_resumed(
    nursery: Nursery, images: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    undo(undisturbed, out, [*JOBS[:2], JOBS[3]])
    process = start(images, out, *LOCAL, "--resume")
    wait_for(lambda: any(out.glob("fold-0/pretraining/checkpoints/step-*")), process)
    for written in Path("/proc").glob("[0-9]*/fd/2"):
        with contextlib.suppress(OSError):
            if written.readlink() == out / "fold-0/pretraining.log.txt":
                os.kill(int(written.parts[2]), signal.SIGKILL)
    told = end(process, out, code=2)
    assert "1 of 4 jobs failed: fold-0/pretraining: was ended by SIGKILL" in told
    assert not (out / "scores.json").exists()
    assert len(marks(out)) == 2
    end(fork(nursery, images, out, *LOCAL, "--resume"), out)
    check_same(out, undisturbed)
