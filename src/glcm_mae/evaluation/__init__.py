"""Predictions to scores: the only place where a score is defined, and how sure it is.

With two classes, sensitivity, specificity, predictive values, F1, AUROC and AUPRC are
those of the positive class. With more, they are the unweighted means over classes, each
against the rest, and every class's own stand under ``per_class``.
"""

from glcm_mae.evaluation.calibration import (
    fit_temperature,
    reliability,
    slope_and_intercept,
    with_temperature,
)
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.judging import FEW_GROUPS, FEW_OF_A_CLASS, Judging, judge
from glcm_mae.evaluation.operating import choose_threshold
from glcm_mae.evaluation.predictions import (
    ALONE,
    Predictions,
    concatenate,
    read_predictions,
    write_predictions,
)
from glcm_mae.evaluation.scores import (
    CLASS_SCORES,
    DECISION_SCORES,
    GENERAL_SCORES,
    PROBABILITY_SCORES,
    SCORES,
    class_scores,
    positive_index,
    score,
    score_cases,
    score_folds,
    summarise,
)
from glcm_mae.evaluation.weighted import WeightedScores

__all__ = [
    "ALONE",
    "CLASS_SCORES",
    "DECISION_SCORES",
    "FEW_GROUPS",
    "FEW_OF_A_CLASS",
    "GENERAL_SCORES",
    "PROBABILITY_SCORES",
    "SCORES",
    "Cases",
    "Judging",
    "Predictions",
    "WeightedScores",
    "choose_threshold",
    "class_scores",
    "concatenate",
    "fit_temperature",
    "judge",
    "positive_index",
    "read_predictions",
    "reliability",
    "score",
    "score_cases",
    "score_folds",
    "slope_and_intercept",
    "summarise",
    "with_temperature",
    "write_predictions",
]
