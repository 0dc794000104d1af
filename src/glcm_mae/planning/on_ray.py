"""Jobs on Ray: a cluster that is there, or workers started on this machine for the run."""

import logging
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from glcm_mae.config import FanoutConfig
from glcm_mae.planning.children import ask_to_stop, start_child
from glcm_mae.planning.executors import missing_extra, threads_of_a_job
from glcm_mae.planning.jobs import log_file
from glcm_mae.planning.plan import Job


def run_process(run: str, job_id: str, options: dict[str, Any]) -> int:
    """Start the process of a job on a worker of Ray, and return its exit code."""
    child = start_child(Path(run), job_id, **options)
    try:
        return child.wait()
    except KeyboardInterrupt:  # Ray cancels so
        ask_to_stop(child)
        return child.wait()


class RayExecutor:
    """Hands every job to Ray as a task that starts a process.

    Nothing is told to Ray's makers, and there is no dashboard; a Ray started here listens
    to this machine alone.

    Args:
        fanout: Address of the cluster, threads and GPUs of a job, and how many at once.
        run: The run folder, on a file system that all machines see.

    Raises:
        InputError: If Ray is not installed.
    """

    def __init__(self, fanout: FanoutConfig, run: Path) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        if not fanout.ray.address:
            # Ray's own way to stay on the loopback address, on any system; read at its import.
            os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        try:
            import ray
        except ImportError as error:
            raise missing_extra("ray") from error
        self._ray = ray
        self.fanout, self.run, self.slots = fanout, run, fanout.workers
        self._tasks: dict[str, Any] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self, jobs: list[Job]) -> None:
        """Hand jobs to Ray."""
        task = self._ray.remote(run_process).options(
            num_cpus=threads_of_a_job(self.fanout) if self.fanout.ray.address else 1,
            num_gpus=self.fanout.ray.gpus,
            max_retries=0,
        )
        for job in jobs:
            log = log_file(self.run, job)
            options = {
                "log": log.resolve() if log else None,
                "threads": threads_of_a_job(self.fanout),
                "folder": Path.cwd(),
            }
            self._tasks[job.id] = task.remote(str(self.run.resolve()), job.id, options)

    def ended(self) -> dict[str, int | None]:
        """Return the tasks that ended, with the exit codes of their processes."""
        if not self._tasks:
            return {}
        ids = {task: job_id for job_id, task in self._tasks.items()}
        ready, _ = self._ray.wait(list(ids), num_returns=len(ids), timeout=0)
        found = {ids[task]: self._code(task) for task in ready}
        for job_id in found:
            del self._tasks[job_id]
        return found

    def _code(self, task: Any) -> int | None:
        try:
            return int(self._ray.get(task))
        except self._ray.exceptions.RayError:  # cancelled, or its worker is gone
            return None

    def stop(self) -> None:
        """Cancel all tasks; their processes get SIGTERM, save and end."""
        for task in self._tasks.values():
            self._ray.cancel(task, force=False)

    def __enter__(self) -> Self:
        address = self.fanout.ray.address
        if address:
            self._ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
            return self
        self._folder = tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True)
        self._ray.init(
            num_cpus=self.slots,
            _temp_dir=self._folder.name,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        while self._tasks:
            self._ray.wait(list(self._tasks.values()), timeout=1.0)
            self.ended()
        self._ray.shutdown()
        if self._folder is not None:
            self._folder.cleanup()
