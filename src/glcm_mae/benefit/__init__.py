"""Did pre-training help me? One panel over systems, protocols and shares of the labels."""

from glcm_mae.benefit.contrasts import Contrast, verdict
from glcm_mae.benefit.panel import Arm, Benefit, measure_benefit

__all__ = ["Arm", "Benefit", "Contrast", "measure_benefit", "verdict"]
