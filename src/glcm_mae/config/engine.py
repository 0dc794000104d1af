"""Settings of the engine: how a training is computed, kept and spread over machines."""

from typing import Annotated, Literal

from pydantic import Field

from glcm_mae.config.base import NonNegative, Positive, PositiveInt, Settings


class CheckpointsConfig(Settings):
    """When a training is saved, and how many of its checkpoints are kept."""

    every_epochs: PositiveInt = 1
    """Epochs between two checkpoints."""
    every_minutes: Positive = 15.0
    """Minutes after which one is written also within an epoch."""
    keep: PositiveInt = 2
    """Newest checkpoints that are kept."""
    keep_best: bool = True
    """Also keep the best: by the inner validation part, or by the training loss of a phase."""


class LaunchConfig(Settings):
    """How the processes of one training are started and watched (without torchrun)."""

    node: Annotated[int, Field(ge=0)] | None = None
    """Number of this machine, counted from 0, when there are several; none: SLURM tells it."""
    address: str = ""
    """HOST:PORT of machine 0, when there are several; none: SLURM tells it."""
    restarts: Annotated[int, Field(ge=0)] = 3
    """Times that all processes are started anew after one has died."""
    watchdog_minutes: NonNegative = 15.0
    """Minutes without a step after which a process counts as dead; 0: for ever."""


class MachinesConfig(Settings):
    """Over how many processes and machines one training is spread."""

    devices: PositiveInt = 1
    """Processes on each machine: one a GPU, or several on a CPU."""
    nodes: PositiveInt = 1
    """Machines."""
    strategy: Literal["ddp", "fsdp"] = "ddp"
    """Every process holds the whole model (ddp), or a share of it (fsdp)."""
    launch: LaunchConfig = LaunchConfig()

    def refuse_unknown_scaling(self, precision: str) -> None:
        """Refuse a precision that the strategy does not have.

        Raises:
            ValueError: If the model is sharded and the precision is float16.
        """
        if self.strategy == "fsdp" and precision == "float16":
            raise ValueError("strategy fsdp has no float16: pass --precision bfloat16")


class EngineConfig(Settings):
    """How a model is computed and how a run is kept."""

    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""
    precision: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    """Autocast: bfloat16 where it is native, float16 with loss scaling on GPUs, or float32."""
    compile: Literal["gpu", "always", "never"] = "gpu"
    """Compile the model: on a GPU only, always or never."""
    deterministic: bool = False
    """Use only deterministic algorithms, also on a GPU; slower there. The CPU is always so."""
    checkpoints: CheckpointsConfig = CheckpointsConfig()
