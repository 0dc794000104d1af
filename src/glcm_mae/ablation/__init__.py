"""Ablation: one recipe, many values, each compared with the base on the same folds."""

from glcm_mae.ablation.ablating import ablate
from glcm_mae.ablation.contrasts import Contrast
from glcm_mae.ablation.design import plan_design
from glcm_mae.ablation.outcomes import Outcome
from glcm_mae.ablation.report import Ablation
from glcm_mae.ablation.studies import Design, Study, Variant

__all__ = [
    "Ablation",
    "Contrast",
    "Design",
    "Outcome",
    "Study",
    "Variant",
    "ablate",
    "plan_design",
]
