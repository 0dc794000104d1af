"""Checkpoints: folders that are whole or not there, verified before they are used."""

from glcm_mae.checkpoints.folders import Checkpoints
from glcm_mae.checkpoints.step_folder import StepFolder, consolidate

__all__ = ["Checkpoints", "StepFolder", "consolidate"]
