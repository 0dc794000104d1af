"""Fine-tuning: an encoder, or a timm model, becomes a classifier and is tested once."""

from glcm_mae.downstream import PREDICTIONS_FILE, SCORES_FILE, SPLIT_FILE, VALIDATION_FILE
from glcm_mae.finetuning.stage import finetune
from glcm_mae.finetuning.task import Finetuning

__all__ = [
    "PREDICTIONS_FILE",
    "SCORES_FILE",
    "SPLIT_FILE",
    "VALIDATION_FILE",
    "Finetuning",
    "finetune",
]
