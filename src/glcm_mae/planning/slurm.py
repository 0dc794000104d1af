"""Jobs on SLURM, by submitit; or by its local stand-in, which needs no cluster."""

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from glcm_mae.config import FanoutConfig
from glcm_mae.errors import InputError
from glcm_mae.planning.children import ask_to_stop, start_child
from glcm_mae.planning.executors import missing_extra
from glcm_mae.planning.jobs import log_file
from glcm_mae.planning.plan import Job

FOLDER = "slurm"
"""Folder in the run where submitit keeps its own files."""
TIMES_QUEUED = 1000
"""Times that a job whose time is up is queued again; it goes on where it had come to."""
_POLL = 0.2


class Submitted:
    """What submitit calls on the other machine: it starts a job's process and waits."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, run: Path, job_id: str, options: dict[str, Any]) -> int:
        """Start the process of a job, and return its exit code."""
        self._child = start_child(run, job_id, **options)
        try:
            while self._child.poll() is None:
                time.sleep(_POLL)
        except KeyboardInterrupt:  # submitit's local stand-in cancels so
            ask_to_stop(self._child)
            self._child.wait()
        return self._child.returncode

    def checkpoint(self, *arguments: Any) -> Any:
        """Have the job saved when its time is up; submitit queues it again."""
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            ask_to_stop(self._child)
            with suppress(ChildProcessError):  # waits, and leaves its code to the caller
                os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(Submitted(), *arguments)


class SlurmExecutor:
    """Submits every batch of jobs as one array.

    What waits for other jobs is submitted when they are done: the driver stays until the
    end, and may be killed and started again at any time.

    Args:
        fanout: What is asked of SLURM for every job, and how many may be queued at once.
        run: The run folder, on a file system that all machines see.

    Raises:
        InputError: If submitit is not installed, or there is no SLURM.
    """

    def __init__(self, fanout: FanoutConfig, run: Path) -> None:
        try:
            import submitit
        except ImportError as error:
            raise missing_extra("slurm") from error
        self.run, self.slots = run, fanout.workers
        asked = fanout.slurm
        self.threads = fanout.threads or asked.cpus or 1
        more = {"slurm_max_num_timeout": TIMES_QUEUED} if asked.cluster == "slurm" else {}
        try:
            self._executor = submitit.AutoExecutor(
                folder=run.resolve() / FOLDER, cluster=asked.cluster, **more
            )
        except RuntimeError as error:
            raise InputError(
                f"fanout.executor: slurm cannot be used here ({error}); start this on a "
                "machine of the cluster, or try the way with --fanout.slurm.cluster local"
            ) from error
        self._executor.update_parameters(**_parameters(fanout))
        self._jobs: dict[str, Any] = {}

    def start(self, jobs: list[Job]) -> None:
        """Submit jobs as one array."""
        submitted = []
        with self._executor.batch():
            for job in jobs:
                log = log_file(self.run, job)
                options = {
                    "log": log.resolve() if log else None,
                    "threads": self.threads,
                    "folder": Path.cwd(),
                }
                submitted.append(
                    self._executor.submit(Submitted(), self.run.resolve(), job.id, options)
                )
        self._jobs |= {job.id: task for job, task in zip(jobs, submitted, strict=True)}

    def ended(self) -> dict[str, int | None]:
        """Return the jobs that SLURM no longer knows as queued or running."""
        found = [job_id for job_id, task in self._jobs.items() if task.done()]
        for job_id in found:
            del self._jobs[job_id]
        return dict.fromkeys(found)

    def stop(self) -> None:
        """Cancel all jobs; those that run get SIGTERM, save and end."""
        for task in self._jobs.values():
            task.cancel(check=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _parameters(fanout: FanoutConfig) -> dict[str, Any]:
    asked = fanout.slurm
    parameters: dict[str, Any] = {
        "name": "glcm-mae",
        "timeout_min": asked.minutes,
        "cpus_per_task": asked.cpus or fanout.threads or 1,
        "gpus_per_node": asked.gpus,
    }
    if asked.memory_gb is not None:
        parameters["mem_gb"] = asked.memory_gb
    if asked.cluster == "slurm":
        parameters["slurm_array_parallelism"] = fanout.workers
        if asked.partition:
            parameters["slurm_partition"] = asked.partition
        if asked.options:
            parameters["slurm_additional_parameters"] = asked.options
    return parameters
