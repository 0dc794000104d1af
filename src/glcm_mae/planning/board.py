"""How far a plan is: a bar where there is a terminal, a line at every change where not."""

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

from glcm_mae.planning.plan import Job
from glcm_mae.planning.scheduling import Schedule, State
from glcm_mae.progress import console, say

REFRESH = 2.0
"""Seconds between two looks at how far the running jobs are."""


class Board:
    """Shows jobs done, running and failed, and about how long the rest will take.

    Args:
        schedule: Where every job stands.
        run: The run folder; the metrics of a running stage tell how far it is.
        slots: Jobs at the same time.
    """

    def __init__(self, schedule: Schedule, run: Path, slots: int) -> None:
        self.schedule, self.run, self.slots = schedule, run, slots
        self._start = self._looked = time.monotonic()
        self._first = self._done()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        total = sum(job.cost for job in schedule.plan)
        self._task = self._bar.add_task("jobs", total=total, note=self.counts(), left="")

    def counts(self) -> str:
        """Return how many jobs are in which state."""
        count = self.schedule.count
        text = f"{count(State.DONE)} of {len(self.schedule.plan)} jobs done"
        lost = count(State.FAILED) + count(State.SKIPPED)
        running = count(State.RUNNING)
        return (
            text
            + (f", {running} running" if running else "")
            + (f", {lost} failed or skipped" if lost else "")
        )

    def tell(self, job: Job, what: str) -> None:
        """Say what became of a job."""
        left = self._left()
        say(f"{job.folder} {what}; {self.counts()}{f', {left}' if left else ''}")
        self._show()

    def look(self) -> None:
        """Update the bar, now and then."""
        if time.monotonic() - self._looked >= REFRESH:
            self._looked = time.monotonic()
            self._show()

    def _show(self) -> None:
        self._bar.update(
            self._task, completed=self._done(), note=self.counts(), left=self._left()
        )

    def _done(self) -> float:
        """Return the work that is behind us: of running jobs, their epochs so far."""
        whole = sum(job.cost for job in self.schedule.jobs(State.DONE))
        running = self.schedule.jobs(State.RUNNING)
        return whole + sum(job.cost * share_done(self.run, job) for job in running)

    def _left(self) -> str:
        """Say about how long it will take, once there is something to judge by."""
        gone, seconds = self._done() - self._first, time.monotonic() - self._start
        open_jobs = [*self.schedule.jobs(State.WAITING), *self.schedule.jobs(State.RUNNING)]
        if gone <= 0 or not open_jobs:
            return ""
        lost = [*self.schedule.jobs(State.FAILED), *self.schedule.jobs(State.SKIPPED)]
        whole = sum(job.cost for job in self.schedule.plan) - sum(job.cost for job in lost)
        left = (whole - self._done()) * seconds / gone
        return f"about {duration(left)} left" if left >= 1 else ""

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def share_done(run: Path, job: Job) -> float:
    """Return the share of a running job's epochs that its metrics tell of."""
    try:
        lines = (run / job.folder / "metrics.jsonl").read_bytes().count(b"\n")
    except OSError:
        return 0.0
    return min(1.0, lines / job.epochs) if job.epochs else 0.0


def duration(seconds: float) -> str:
    """Return a time as people say it.

    Example:
        >>> duration(42), duration(600), duration(9000)
        ('42 s', '10 min', '2.5 h')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
