"""What a finished classifier looks at: maps of test images, their likes, a map of features."""

from glcm_mae.explaining.stage import Explanation, explain

__all__ = ["Explanation", "explain"]
