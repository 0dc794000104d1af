"""The driver: what it makes of jobs that end well, fail, are stopped or done elsewhere."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.config import FanoutConfig, PretrainConfig
from glcm_mae.errors import DivergenceError, InputError, StoppedError
from glcm_mae.planning import Job, Plan, driver, jobs, locks, run_plan, work_off
from glcm_mae.planning.locks import Locks
from glcm_mae.planning.scheduling import State

IMAGES: Any = None


def pair(run: Path, number: int, **data: Any) -> list[Job]:
    """Return two jobs, of which the second needs the first."""
    made: list[Job] = []
    for name in ("pretraining", "finetuning"):
        folder = f"fold-{number}/{name}"
        config = PretrainConfig(
            data={"table": "t", **data}, out=run / folder, seed=2 * number + len(made)
        )
        needs = tuple(job.id for job in made)
        title = f"fold {number + 1} of 2: {name}"
        made.append(Job("pretrain", folder, config, title, needs, number=number))
    return made


def two_folds(run: Path, **data: Any) -> Plan:
    return Plan([job for number in (0, 1) for job in pair(run, number, **data)])


class Stages:
    """In place of the stages: notes what is done, and fails as told."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.failing: dict[str, BaseException] = {}

    def __call__(self, job: Job, images: Any) -> None:
        if job.folder in self.failing:
            raise self.failing[job.folder]
        job.config.out.mkdir(parents=True, exist_ok=True)
        (job.config.out / "encoder.safetensors").write_text(job.folder)
        self.done.append(job.folder)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    made = Stages()
    monkeypatch.setattr(jobs, "_run_stage", made)
    monkeypatch.setattr(jobs, "load_table", lambda *_, **__: None)
    monkeypatch.setattr(driver, "POLL", 0.001)
    return made


class Fake:
    """An executor that does a job at the second look at it."""

    slots = 2

    def __init__(self, run: Path) -> None:
        self.run = run
        self.open: dict[str, Job] = {}
        self.most = 0
        self.on_start: Callable[[Job], None] = lambda _: None
        self.stopped = False
        self.code: int | None = 0

    def start(self, jobs_: list[Job]) -> None:
        for job in jobs_:
            self.on_start(job)
            self.open[job.id] = job
        self.most = max(self.most, len(self.open))

    def ended(self) -> dict[str, int | None]:
        done = dict.fromkeys(self.open, self.code)
        for job in self.open.values():
            try:
                if self.code == 0 and not self.stopped:
                    jobs.perform(self.run, job)
            except Exception:
                done[job.id] = 1
        self.open = {}
        return done

    def stop(self) -> None:
        self.stopped = True

    def __enter__(self) -> "Fake":
        self.stopped = False
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake(tmp_path)
    monkeypatch.setattr(driver, "build_executor", lambda *_, **__: made)
    return made


HERE = FanoutConfig()
TWO = FanoutConfig(workers=2)
BOTH = pytest.mark.parametrize("fanout", [HERE, TWO], ids=["here", "elsewhere"])
ALL = [f"fold-{n}/{name}" for n in (0, 1) for name in ("pretraining", "finetuning")]


@BOTH
def test_all_jobs_are_done_once_and_marked(
    tmp_path: Path, stages: Stages, fake: Fake, fanout: FanoutConfig
) -> None:
    plan = two_folds(tmp_path)
    run_plan(plan, tmp_path, fanout, IMAGES)
    assert sorted(stages.done) == sorted(ALL)
    mark = json.loads((tmp_path / "fold-0/pretraining/done.json").read_text())
    assert mark["job"] == plan[0].id
    assert set(mark["files"]) == {"encoder.safetensors"}
    assert fake.most == (0 if fanout is HERE else 2)
    run_plan(plan, tmp_path, fanout, IMAGES)
    assert len(stages.done) == 4, "nothing is done twice"


def test_in_one_process_fold_follows_fold(tmp_path: Path, stages: Stages) -> None:
    run_plan(two_folds(tmp_path), tmp_path, HERE, IMAGES)
    assert stages.done == ALL


@BOTH
def test_a_failed_job_stops_only_those_that_need_it(
    tmp_path: Path, stages: Stages, fake: Fake, fanout: FanoutConfig
) -> None:
    plan = two_folds(tmp_path)
    stages.failing["fold-0/pretraining"] = RuntimeError("out of\nmemory")
    with pytest.raises(InputError) as caught:
        run_plan(plan, tmp_path, fanout, IMAGES)
    text = str(caught.value)
    assert "1 of 4 jobs failed: fold-0/pretraining: out of memory (1 more need them)" in text
    assert "--resume runs only what is missing" in text
    assert stages.done == ["fold-1/pretraining", "fold-1/finetuning"]
    facts = json.loads((tmp_path / "fold-0/pretraining.failed.json").read_text())
    assert facts == {
        "job": plan[0].id,
        "phase": "pretrain",
        "error": "RuntimeError",
        "message": "out of memory",
    }
    assert "Traceback" in (tmp_path / "fold-0/pretraining.log.txt").read_text()
    stages.failing.clear()
    run_plan(plan, tmp_path, fanout, IMAGES)
    assert sorted(stages.done) == sorted(ALL)
    assert not list(tmp_path.rglob("*.failed.json"))


@BOTH
def test_jobs_that_fail_alike_are_told_together(
    tmp_path: Path, stages: Stages, fake: Fake, fanout: FanoutConfig
) -> None:
    for folder in ALL[::2]:
        stages.failing[folder] = DivergenceError("loss not finite")
    both = "fold-0/pretraining, fold-1/pretraining: loss not finite"
    with pytest.raises(DivergenceError, match=both):
        run_plan(two_folds(tmp_path), tmp_path, fanout, IMAGES)


@BOTH
def test_hashed_names_keep_no_words_that_may_name_a_file(
    tmp_path: Path, stages: Stages, fake: Fake, fanout: FanoutConfig
) -> None:
    plan = two_folds(tmp_path, names="hashed")
    stages.failing["fold-0/pretraining"] = RuntimeError("ann-smith.png")
    with pytest.raises(InputError) as caught:
        run_plan(plan, tmp_path, fanout, IMAGES)
    assert f"RuntimeError (glcm-mae job {tmp_path} {plan[0].id} tells more)" in str(
        caught.value
    )
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"ann-smith" in path.read_bytes() for path in kept)


def test_a_process_that_dies_without_a_word_counts_as_failed(
    tmp_path: Path, stages: Stages, fake: Fake
) -> None:
    fake.code = -9
    with pytest.raises(InputError, match=r"was ended by SIGKILL \(short of memory\?\)"):
        run_plan(two_folds(tmp_path), tmp_path, TWO, IMAGES)
    assert stages.done == []


def test_a_signal_has_all_save_and_nothing_more_begins(
    tmp_path: Path, stages: Stages, fake: Fake
) -> None:
    fake.on_start = lambda job: os.kill(os.getpid(), signal.SIGTERM)
    fake.slots = 1
    with pytest.raises(StoppedError, match="stopped by SIGTERM") as caught:
        run_plan(two_folds(tmp_path), tmp_path, TWO, IMAGES)
    assert caught.value.signal == signal.SIGTERM
    assert fake.stopped
    assert len(stages.done) <= 1
    fake.on_start = lambda _: None
    run_plan(two_folds(tmp_path), tmp_path, TWO, IMAGES)
    assert sorted(stages.done) == sorted(ALL)


def test_a_stop_in_one_process_is_no_failure(tmp_path: Path, stages: Stages) -> None:
    stages.failing["fold-1/pretraining"] = StoppedError(15, "stopped")
    with pytest.raises(StoppedError):
        run_plan(two_folds(tmp_path), tmp_path, HERE, IMAGES)
    assert not list(tmp_path.rglob("*.failed.json"))


HOLDER = f"""
import runpy, sys
from pathlib import Path
Locks = runpy.run_path({locks.__file__!r})["Locks"]
held = Locks(Path(sys.argv[1]))
held.hold(int(sys.argv[2]))
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[Callable[[int], subprocess.Popen[str]]]:
    """Start a process that holds a place of the run's locks until its input ends."""
    started: list[subprocess.Popen[str]] = []

    def hold(place: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), str(place)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        process.stdout.readline()
        started.append(process)
        return process

    yield hold
    for process in started:
        process.kill()
        process.communicate()


def test_two_drivers_at_once_are_refused(
    tmp_path: Path, stages: Stages, holder: Callable[[int], subprocess.Popen[str]]
) -> None:
    holder(0)
    with pytest.raises(InputError, match="another glcm-mae works on this run"):
        run_plan(two_folds(tmp_path), tmp_path, HERE, IMAGES)
    assert stages.done == []


@pytest.mark.parametrize("finished", [True, False])
def test_a_job_that_an_earlier_start_left_running_is_waited_for(
    tmp_path: Path,
    stages: Stages,
    fake: Fake,
    holder: Callable[[int], subprocess.Popen[str]],
    finished: bool,
) -> None:
    plan = two_folds(tmp_path)
    other = holder(1)
    begun: list[str] = []

    def start(job: Job) -> None:
        begun.append(job.folder)
        if job.folder == "fold-1/finetuning":  # by now all else that can be done is
            assert "fold-0/pretraining" not in begun
            if finished:
                jobs.perform(tmp_path, plan[0])
            other.kill()
            other.wait()

    fake.on_start = start
    run_plan(plan, tmp_path, TWO, IMAGES)
    assert sorted(stages.done) == sorted(ALL), "once each"
    assert ("fold-0/pretraining" in begun) is not finished


def test_in_one_process_too(
    tmp_path: Path, stages: Stages, holder: Callable[[int], subprocess.Popen[str]]
) -> None:
    other = holder(1)
    with subprocess.Popen(
        [sys.executable, "-c", f"import os, time; time.sleep(0.5); os.kill({other.pid}, 9)"]
    ):
        begun = time.monotonic()
        run_plan(two_folds(tmp_path), tmp_path, HERE, IMAGES)
    assert time.monotonic() - begun > 0.1
    assert stages.done == ALL


def test_a_changed_result_is_refused_and_a_lost_one_made_again(
    tmp_path: Path, stages: Stages
) -> None:
    plan = two_folds(tmp_path)
    run_plan(plan, tmp_path, HERE, IMAGES)
    result = tmp_path / "fold-1/finetuning/encoder.safetensors"
    result.write_text("another")
    with pytest.raises(InputError, match="was changed after the job had finished"):
        run_plan(plan, tmp_path, HERE, IMAGES)
    result.unlink()
    run_plan(plan, tmp_path, HERE, IMAGES)
    assert stages.done == [*ALL, "fold-1/finetuning"]


def test_weights_that_nobody_needs_any_more_may_be_removed(
    tmp_path: Path, stages: Stages
) -> None:
    plan = two_folds(tmp_path)
    run_plan(plan, tmp_path, HERE, IMAGES)
    (tmp_path / "fold-0/pretraining/encoder.safetensors").unlink()
    run_plan(plan, tmp_path, HERE, IMAGES)
    assert stages.done == ALL


def test_a_death_between_result_and_mark_repeats_nothing_but_the_mark(
    tmp_path: Path, stages: Stages
) -> None:
    plan = two_folds(tmp_path)
    run_plan(plan, tmp_path, HERE, IMAGES)
    before = (tmp_path / "fold-1/finetuning/done.json").read_bytes()
    (tmp_path / "fold-1/finetuning/done.json").unlink()
    run_plan(plan, tmp_path, HERE, IMAGES)
    assert stages.done == [*ALL, "fold-1/finetuning"]
    assert (tmp_path / "fold-1/finetuning/done.json").read_bytes() == before


def test_locks_are_given_back_at_the_end(tmp_path: Path, stages: Stages) -> None:
    run_plan(two_folds(tmp_path), tmp_path, HERE, IMAGES)
    with Locks(tmp_path) as found:
        assert found.hold(0)


@pytest.mark.parametrize("fanout", [HERE, TWO], ids=["here", "two workers"])
def test_no_job_is_begun_once_there_may_be_none(
    tmp_path: Path, stages: Stages, fanout: FanoutConfig
) -> None:
    plan = two_folds(tmp_path)
    found = work_off(plan, tmp_path, fanout, IMAGES, may_begin=lambda: False)
    assert stages.done == []
    assert found.count(State.WAITING) == len(plan)
    assert (tmp_path / "plan.json").is_file()


def test_what_was_not_begun_in_time_is_done_by_another_call(
    tmp_path: Path, stages: Stages
) -> None:
    plan = two_folds(tmp_path)
    found = work_off(plan, tmp_path, HERE, IMAGES, may_begin=lambda: len(stages.done) < 3)
    assert [found.count(state) for state in (State.DONE, State.WAITING)] == [3, 1]
    run_plan(plan, tmp_path, HERE, lambda job: IMAGES)
    assert sorted(stages.done) == sorted(job.folder for job in plan)


def test_a_failure_is_left_to_the_caller(tmp_path: Path, stages: Stages) -> None:
    plan = two_folds(tmp_path)
    stages.failing[plan[0].folder] = InputError("no memory")
    found = work_off(plan, tmp_path, HERE, IMAGES)
    states = [found.states[job.id] for job in plan]
    assert states == [State.FAILED, State.SKIPPED, State.DONE, State.DONE]


def test_an_earlier_turn_comes_first_whatever_its_number(
    tmp_path: Path, stages: Stages
) -> None:
    late, soon = two_folds(tmp_path), two_folds(tmp_path / "other")
    moved = [
        replace(
            job, folder=f"other/{job.folder}", config=job.config.model_copy(update={"seed": 9})
        )
        for job in soon
        if not job.needs
    ]
    first = replace(moved[1], turn=0)
    plan = Plan([*(replace(job, turn=1) for job in late), first])
    work_off(plan, tmp_path, HERE, IMAGES)
    assert stages.done[0] == first.folder
