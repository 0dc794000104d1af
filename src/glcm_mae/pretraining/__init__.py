"""Pre-training: what the loop of :mod:`glcm_mae.training` is given to learn."""

from glcm_mae.pretraining.stage import pretrain
from glcm_mae.pretraining.task import Pretraining

__all__ = ["Pretraining", "pretrain"]
