"""Negative controls of a finished run: what is reached where nothing should be."""

from glcm_mae.controls.study import Controls, control

__all__ = ["Controls", "control"]
