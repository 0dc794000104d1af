"""The training of all stages: one loop, and what a stage brings to it."""

from glcm_mae.training.loop import Training, seed_dropout
from glcm_mae.training.task import LossValue, Moment, Task, Verdict

__all__ = ["LossValue", "Moment", "Task", "Training", "Verdict", "seed_dropout"]
