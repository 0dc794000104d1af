"""What is not normal: found by a masked autoencoder that has seen normal images alone."""

from glcm_mae.anomaly.detection import detect
from glcm_mae.anomaly.verdict import Verdicts

__all__ = ["Verdicts", "detect"]
