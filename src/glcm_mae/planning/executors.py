"""Where jobs run: processes of this machine, SLURM, or Ray. All start ``glcm-mae job``.

An executor only places processes. What a job came to is read from its folder, whichever
executor ran it.
"""

import os
import sys
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from glcm_mae.config import FanoutConfig
from glcm_mae.errors import InputError
from glcm_mae.planning.plan import Job
from glcm_mae.planning.workers import Worker


class Executor(Protocol):
    """What the driver asks of any executor; entered before the first job."""

    @property
    def slots(self) -> int:
        """How many jobs may be under way at once."""

    def start(self, jobs: list[Job]) -> None:
        """Start jobs, which take a slot each."""

    def ended(self) -> dict[str, int | None]:
        """Return the jobs that ended since the last call, with exit codes where known."""

    def stop(self) -> None:
        """Ask all jobs to save and end."""

    def __enter__(self) -> Self:
        """Make ready."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ask what still runs to save and end, and give everything back."""


def build_executor(fanout: FanoutConfig, run: Path, *, device: str) -> Executor:
    """Return the executor that the settings ask for.

    Args:
        fanout: Where jobs run, and how many at once.
        run: The run folder.
        device: Where the jobs compute, ``best``, ``cpu`` or ``cuda``.

    Raises:
        InputError: If it needs an extra that is not installed.
    """
    if fanout.executor == "slurm":
        from glcm_mae.planning.slurm import SlurmExecutor

        return SlurmExecutor(fanout, run)
    if fanout.executor == "ray":
        from glcm_mae.planning.on_ray import RayExecutor

        return RayExecutor(fanout, run)
    gpus = visible_gpus() if device != "cpu" else []
    return LocalExecutor(run, fanout.workers, threads_of_a_job(fanout), gpus)


def threads_of_a_job(fanout: FanoutConfig) -> int:
    """Return how many threads a job gets: as set, or its share of the cores.

    Example:
        >>> threads_of_a_job(FanoutConfig(threads=3))
        3
    """
    return fanout.threads or max(1, cores() // fanout.workers)


def cores() -> int:
    """Return how many processor cores this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Return the GPUs of this machine, as CUDA_VISIBLE_DEVICES calls them."""
    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    if told is not None:
        return [name for name in told.split(",") if name.strip()]
    import torch

    return [str(number) for number in range(torch.cuda.device_count())]


def missing_extra(executor: str) -> InputError:
    """Say that an executor's library is not installed, and how to get it."""
    return InputError(
        f"fanout.executor: {executor} needs a library that is not installed: pip install "
        f"glcm-mae[{executor}], or choose --fanout.executor local"
    )


class LocalExecutor:
    """Processes of this machine, for one job after the other; on several GPUs each has one.

    Args:
        run: The run folder.
        workers: Jobs at the same time.
        threads: Threads of each.
        gpus: GPUs to share out; more slots than GPUs share them.
    """

    def __init__(self, run: Path, workers: int, threads: int, gpus: list[str]) -> None:
        self.slots = workers
        self._idle = [
            Worker(run, threads=threads, gpu=gpus[slot % len(gpus)] if gpus else None)
            for slot in range(workers)
        ]
        self._busy: dict[str, Worker] = {}

    def start(self, jobs: list[Job]) -> None:
        """Give each job to a process."""
        for job in jobs:
            taken = Counter(worker.gpu for worker in self._busy.values())
            worker = min(self._idle, key=lambda one: taken[one.gpu])
            self._idle.remove(worker)
            self._busy[job.id] = worker
            worker.begin(job)

    def ended(self) -> dict[str, int | None]:
        """Return the jobs that ended, with 0 or the exit codes of their processes."""
        codes = {job_id: worker.code() for job_id, worker in self._busy.items()}
        found = {job_id: code for job_id, code in codes.items() if code is not None}
        # The last to end is the first to go on: its libraries and files are at hand.
        self._idle = [self._busy.pop(job_id) for job_id in found] + self._idle
        return dict(found)

    def stop(self) -> None:
        """Send SIGTERM to every process."""
        for worker in (*self._busy.values(), *self._idle):
            worker.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for worker in (*self._busy.values(), *self._idle):
            worker.wait()
