"""Soft against hard: what a soft co-occurrence matrix keeps, and what a gradient gets of it."""

from glcm_mae.softness.counting import Count, count_hard, count_soft
from glcm_mae.softness.stage import Softness, compare_softness

__all__ = ["Count", "Softness", "compare_softness", "count_hard", "count_soft"]
