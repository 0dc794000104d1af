"""Handing out the jobs of a plan until all are done or lost, and telling which are lost."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import torch

from glcm_mae.config import FanoutConfig
from glcm_mae.data import LoadedImages
from glcm_mae.errors import DivergenceError, InputError, StoppedError
from glcm_mae.planning.board import Board
from glcm_mae.planning.children import how_it_ended
from glcm_mae.planning.executors import Executor, build_executor
from glcm_mae.planning.jobs import (
    Failure,
    beside,
    finished,
    keep_failure,
    log_file,
    perform,
    read_failure,
    write_orders,
)
from glcm_mae.planning.locks import DRIVER, Locks
from glcm_mae.planning.plan import Job, Plan
from glcm_mae.planning.scheduling import Schedule, State
from glcm_mae.progress import say
from glcm_mae.signals import StopSignals

POLL = 0.1
"""Seconds between two looks at the running jobs."""

Images = LoadedImages | Callable[[Job], LoadedImages]
"""The images of all jobs, or which ones a job has."""


def run_plan(plan: Plan, run: Path, fanout: FanoutConfig, images: Images) -> None:
    """Do all jobs of a plan that are not done.

    A job that fails does not stop the others; those that need it are skipped. The same call
    again does what is missing, and continues what was begun. No result depends on the
    executor, on the number of workers or on how often this was interrupted.

    Args:
        plan: The jobs; kept in the run folder at the first call.
        run: The run folder.
        fanout: Where jobs run, and how many at once.
        images: The images of the jobs' settings, for jobs in this process.

    Raises:
        InputError: If another process works on this run, the plan is another than at the
            first call, or jobs failed: then after all that can be done is done.
        DivergenceError: If jobs failed, all of them because they diverged.
        StoppedError: If a signal asked to stop; the jobs have saved.
    """
    _tell_failed(work_off(plan, run, fanout, images), run)


def _always() -> bool:
    return True


def work_off(
    plan: Plan,
    run: Path,
    fanout: FanoutConfig,
    images: Images,
    *,
    may_begin: Callable[[], bool] = _always,
) -> Schedule:
    """Do what :func:`run_plan` does, and leave it to the caller what failed jobs mean.

    Args:
        plan: The jobs; kept in the run folder at the first call.
        run: The run folder.
        fanout: Where jobs run, and how many at once.
        images: The images of the jobs' settings, for jobs in this process.
        may_begin: Asked before every job; once it says no, what runs is awaited, and the
            others wait for another call.

    Returns:
        Where every job stands; of those that failed, :func:`.jobs.read_failure` tells why.

    Raises:
        InputError: If another process works on this run, or the plan is another than at the
            first call.
        StoppedError: If a signal asked to stop; the jobs have saved.
    """
    with Locks(run) as locks:
        if not locks.hold(DRIVER):
            raise InputError(
                f"{run}: another glcm-mae works on this run at the moment; wait for it, or "
                "end it"
            )
        plan.keep(run)
        write_orders(run, plan)
        schedule = Schedule(plan, _finished_jobs(plan, run))
        _tell_finished(schedule)
        if fanout.executor == "local" and fanout.workers == 1:
            _run_here(schedule, run, fanout, images, locks, may_begin)
        elif schedule.active and may_begin():
            _Driver(schedule, run, fanout, locks, may_begin).drive()
        return schedule


def _finished_jobs(plan: Plan, run: Path) -> set[str]:
    """Return the jobs that need not run: done, or read only by jobs that are."""
    done: set[str] = set()
    for job in reversed(plan.jobs):
        readers = plan.dependents(job)
        if finished(run, job) or (readers and all(other.id in done for other in readers)):
            done.add(job.id)
    return done


def _tell_finished(schedule: Schedule) -> None:
    for job in schedule.jobs(State.DONE):
        if not schedule.plan.dependents(job):
            say(f"{job.title.partition(':')[0]} is finished")


def _run_here(
    schedule: Schedule,
    run: Path,
    fanout: FanoutConfig,
    images: Images,
    locks: Locks,
    may_begin: Callable[[], bool],
) -> None:
    """Do one job after the other in this process, which holds the images; fold by fold."""
    if fanout.threads:
        torch.set_num_threads(fanout.threads)
    while (ready := schedule.ready()) and may_begin():
        job = min(ready, key=lambda job: (job.turn, job.number))
        place = schedule.plan.jobs.index(job) + 1
        schedule.begin(job)
        if not locks.hold(place):
            say(f"waiting for the process that still works on {job.folder}")
            locks.wait(place)
        try:
            perform(run, job, images(job) if callable(images) else images)
        except (StoppedError, KeyboardInterrupt):
            raise
        except Exception as error:  # its words are kept; the other jobs go on
            say(f"{job.folder} FAILED: {type(error).__name__}: {error}")
            schedule.fail(job)
        else:
            schedule.finish(job)
        finally:
            locks.release(place)


class _Driver:
    """Keeps the slots of an executor full, and sees what became of every job."""

    def __init__(
        self,
        schedule: Schedule,
        run: Path,
        fanout: FanoutConfig,
        locks: Locks,
        may_begin: Callable[[], bool],
    ) -> None:
        self.schedule, self.run, self.fanout, self.locks = schedule, run, fanout, locks
        self.may_begin = may_begin
        device = schedule.plan[0].config.device
        self.executor: Executor = build_executor(fanout, run, device=device)
        self.elsewhere: list[Job] = []
        self.places = {job.id: number + 1 for number, job in enumerate(schedule.plan)}

    def drive(self) -> None:
        """Do all that can be done."""
        kept = log_file(self.run, self.schedule.plan[0]) is not None
        words = "kept beside its folder, as .log.txt" if kept else "not kept: names are hashed"
        say(
            f"{self.schedule.count(State.WAITING)} jobs, {self.executor.slots} at a time "
            f"({self.fanout.executor}); what each says is {words}"
        )
        with (
            self.executor,
            Board(self.schedule, self.run, self.executor.slots) as board,
            StopSignals() as stop,
        ):
            while self._goes_on():
                if stop.arrived:
                    self._stop(int(stop.arrived))
                self._begin(board)
                time.sleep(POLL)
                self._collect(board)
                board.look()

    def _goes_on(self) -> bool:
        """Say whether a job runs, or can begin and may."""
        return self.schedule.count(State.RUNNING) > 0 or (
            self.schedule.active and self.may_begin()
        )

    def _begin(self, board: Board) -> None:
        if not self.may_begin():
            return
        free = self.executor.slots - self.schedule.count(State.RUNNING)
        jobs = self.schedule.ready()[: max(0, free)]
        ours = []
        for job in jobs:
            self.schedule.begin(job)
            if self.locks.held_elsewhere(self.places[job.id]):
                board.tell(job, "is still worked on since an earlier start")
                self.elsewhere.append(job)
            else:
                beside(self.run, job, "failed.json").unlink(missing_ok=True)
                ours.append(job)
        if ours:
            self.executor.start(ours)

    def _collect(self, board: Board) -> None:
        codes = self.executor.ended()
        ended = [job for job in self.schedule.jobs(State.RUNNING) if job.id in codes]
        for job in ended:
            self._settle(job, codes[job.id], board)
        for job in list(self.elsewhere):
            if not self.locks.held_elsewhere(self.places[job.id]):
                self.elsewhere.remove(job)
                if finished(self.run, job):
                    self._settle(job, 0, board)
                else:
                    self.executor.start([job])

    def _settle(self, job: Job, code: int | None, board: Board) -> None:
        """Look at what a job left, and count it as done or failed."""
        if finished(self.run, job):
            self.schedule.finish(job)
            board.tell(job, "is finished")
            return
        failure = read_failure(self.run, job)
        if failure is None:
            keep_failure(self.run, job, "ended", how_it_ended(code))
            failure = read_failure(self.run, job)
        self.schedule.fail(job)
        board.tell(job, f"FAILED: {failure.message if failure else ''}")

    def _stop(self, number: int) -> None:
        """Have all jobs save and end, wait for them, and leave."""
        say("stopping: the running jobs save and end")
        running = self.schedule.jobs(State.RUNNING)
        self.executor.stop()
        waiting = {job.id for job in running} - {job.id for job in self.elsewhere}
        while waiting:
            time.sleep(POLL)
            waiting -= self.executor.ended().keys()
        while any(self.locks.held_elsewhere(self.places[job.id]) for job in running):
            time.sleep(POLL)  # an executor may be gone before the process that it started
        raise StoppedError(
            number,
            f"stopped by {signal.Signals(number).name}; {self.run} is saved, the same command "
            "with --resume continues",
        )


def _tell_failed(schedule: Schedule, run: Path) -> None:
    """Raise one error that tells all that failed, and what to do.

    Raises:
        InputError: If jobs failed.
        DivergenceError: If all of them because they diverged.
    """
    lost = schedule.jobs(State.FAILED)
    if not lost:
        return
    reasons: dict[str, list[str]] = {}
    errors = set()
    for job in lost:
        failure = read_failure(run, job) or Failure(job.kind, "", "left no word")
        hidden = f"{failure.error} (glcm-mae job {run} {job.id} tells more)"
        reasons.setdefault(failure.message or hidden, []).append(job.folder)
        errors.add(failure.error)
    told = "; ".join(f"{', '.join(folders)}: {reason}" for reason, folders in reasons.items())
    skipped = schedule.count(State.SKIPPED)
    text = (
        f"{len(lost)} of {len(schedule.plan)} jobs failed: {told}"
        f"{f' ({skipped} more need them)' if skipped else ''}. All others are done; correct "
        "the cause, then the same command with --resume runs only what is missing"
    )
    raise DivergenceError(text) if errors == {"DivergenceError"} else InputError(text)
