"""The settings of every stage: one frozen pydantic model each, validated whole.

A recipe is one YAML file whose top-level keys are the sections below. Each stage
reads the sections it needs, so the same recipe serves ``pretrain``, ``finetune``
and ``crossval``. This package knows nothing of torch.
"""

from glcm_mae.config.ablation import AblateConfig, BudgetConfig, StudyConfig
from glcm_mae.config.anomaly import AnomalyConfig
from glcm_mae.config.base import Settings
from glcm_mae.config.benefit import BenefitConfig
from glcm_mae.config.comparison import CompareConfig
from glcm_mae.config.controls import ControlsConfig
from glcm_mae.config.data import (
    DEFAULT_CACHE,
    CacheConfig,
    CatalogConfig,
    CheckConfig,
    DataConfig,
    DownloadConfig,
    GrayLevelsConfig,
    ImagesConfig,
    PhantomsConfig,
)
from glcm_mae.config.engine import (
    CheckpointsConfig,
    EngineConfig,
    LaunchConfig,
    MachinesConfig,
)
from glcm_mae.config.evaluation import EvaluationConfig
from glcm_mae.config.explaining import ExplainConfig
from glcm_mae.config.fanout import FanoutConfig, JobConfig, RayConfig, SlurmConfig
from glcm_mae.config.inference import PredictConfig
from glcm_mae.config.losses import (
    GLCMConfig,
    LossesConfig,
    MSEConfig,
    PhaseConfig,
    ScaleConfig,
    SSIMConfig,
)
from glcm_mae.config.model import ModelConfig
from glcm_mae.config.probing import ProbingConfig
from glcm_mae.config.reconstruction import FIRST_RUN, ReconstructConfig, RestoredConfig
from glcm_mae.config.reporting import ReportConfig
from glcm_mae.config.robustness import RobustnessConfig
from glcm_mae.config.softness import SoftnessConfig
from glcm_mae.config.stages import (
    AuditConfig,
    CrossValConfig,
    DemoConfig,
    FinetuneConfig,
    PretrainConfig,
    ProbeConfig,
    ReplayConfig,
    ShardConfig,
    SplitConfig,
    StageConfig,
)
from glcm_mae.config.texture import TextureConfig
from glcm_mae.config.training import (
    AugmentationConfig,
    FinetuningConfig,
    FoldsConfig,
    MixingConfig,
    OptimizationConfig,
    PretrainingConfig,
)

__all__ = [
    "DEFAULT_CACHE",
    "FIRST_RUN",
    "AblateConfig",
    "AnomalyConfig",
    "AuditConfig",
    "AugmentationConfig",
    "BenefitConfig",
    "BudgetConfig",
    "CacheConfig",
    "CatalogConfig",
    "CheckConfig",
    "CheckpointsConfig",
    "CompareConfig",
    "ControlsConfig",
    "CrossValConfig",
    "DataConfig",
    "DemoConfig",
    "DownloadConfig",
    "EngineConfig",
    "EvaluationConfig",
    "ExplainConfig",
    "FanoutConfig",
    "FinetuneConfig",
    "FinetuningConfig",
    "FoldsConfig",
    "GLCMConfig",
    "GrayLevelsConfig",
    "ImagesConfig",
    "JobConfig",
    "LaunchConfig",
    "LossesConfig",
    "MSEConfig",
    "MachinesConfig",
    "MixingConfig",
    "ModelConfig",
    "OptimizationConfig",
    "PhantomsConfig",
    "PhaseConfig",
    "PredictConfig",
    "PretrainConfig",
    "PretrainingConfig",
    "ProbeConfig",
    "ProbingConfig",
    "RayConfig",
    "ReconstructConfig",
    "ReplayConfig",
    "ReportConfig",
    "RestoredConfig",
    "RobustnessConfig",
    "SSIMConfig",
    "ScaleConfig",
    "Settings",
    "ShardConfig",
    "SlurmConfig",
    "SoftnessConfig",
    "SplitConfig",
    "StageConfig",
    "StudyConfig",
    "TextureConfig",
]
