"""Where jobs run: processes of this machine, SLURM, or Ray. All start the same process.

An executor only places processes. What a job came to is read from its folder, whichever
executor ran it.
"""

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from glcm_mae.config import FanoutConfig
from glcm_mae.errors import InputError
from glcm_mae.planning.children import ask_to_stop, start_child
from glcm_mae.planning.jobs import log_file
from glcm_mae.planning.plan import Job


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
    """Processes of this machine; on several GPUs each slot has one.

    Args:
        run: The run folder.
        workers: Jobs at the same time.
        threads: Threads of each.
        gpus: GPUs to share out; more slots than GPUs share them.
    """

    def __init__(self, run: Path, workers: int, threads: int, gpus: list[str]) -> None:
        self.run, self.slots, self.threads, self.gpus = run, workers, threads, gpus
        self._children: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}

    def start(self, jobs: list[Job]) -> None:
        """Start a process for each job."""
        for job in jobs:
            taken = {slot for slot, _ in self._children.values()}
            slot = next(number for number in range(self.slots) if number not in taken)
            child = start_child(
                self.run,
                job.id,
                log=log_file(self.run, job),
                threads=self.threads,
                gpu=self.gpus[slot % len(self.gpus)] if self.gpus else None,
            )
            self._children[job.id] = slot, child

    def ended(self) -> dict[str, int | None]:
        """Return the processes that ended, with their exit codes."""
        codes = {job_id: child.poll() for job_id, (_, child) in self._children.items()}
        found = {job_id: code for job_id, code in codes.items() if code is not None}
        for job_id in found:
            del self._children[job_id]
        return dict(found)

    def stop(self) -> None:
        """Send SIGTERM to every process."""
        for _, child in self._children.values():
            ask_to_stop(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for _, child in self._children.values():
            child.wait()
