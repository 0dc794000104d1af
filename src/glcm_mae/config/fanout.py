"""Settings of the fan-out: where the jobs of a plan run, and how many at once."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from glcm_mae.config.base import NonNegative, Positive, PositiveInt, Settings


class SlurmConfig(Settings):
    """What is asked of SLURM for every job (executor: slurm)."""

    cluster: Literal["slurm", "local"] = "slurm"
    """Submit to SLURM, or start the same way on this machine, to try it."""
    partition: str = ""
    """Partition; none: the cluster's own default."""
    minutes: PositiveInt = 1440
    """Time limit of a job; one that reaches it saves and is queued again."""
    gpus: Annotated[int, Field(ge=0)] = 0
    """GPUs of a job."""
    cpus: PositiveInt | None = None
    """Processor cores of a job; none: fanout.threads, or one."""
    memory_gb: Positive | None = None
    """Memory of a job; none: the cluster's own default."""
    options: dict[str, Any] = {}
    """More options of sbatch, such as {account: radiology, constraint: a100}."""


class RayConfig(Settings):
    """Which Ray runs the jobs (executor: ray)."""

    address: str = ""
    """Address of a Ray cluster; none: one is started on this machine for the run."""
    gpus: NonNegative = 0.0
    """GPUs of a job; a fraction shares one."""


class FanoutConfig(Settings):
    """Where the jobs run, and how many at once; no result depends on it."""

    executor: Literal["local", "slurm", "ray"] = "local"
    """Processes of this machine, SLURM (extra: slurm), or Ray (extra: ray)."""
    workers: PositiveInt = 1
    """Jobs at the same time; 1 with executor local trains in this very process."""
    threads: PositiveInt | None = None
    """Threads of a job; none: the cores of this machine divided by workers."""
    slurm: SlurmConfig = SlurmConfig()
    ray: RayConfig = RayConfig()


class JobConfig(Settings):
    """Settings of ``glcm-mae job``."""

    run: Path
    """Run folder that holds the plan."""
    job: str
    """Identifier of the job in plan.json; -: those that come on standard input, a line each."""
