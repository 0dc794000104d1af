"""How a finished classifier fares on corrupted images, and on images from elsewhere."""

from glcm_mae.robustness.examination import Robustness, examine

__all__ = ["Robustness", "examine"]
