"""The settings of every stage: one frozen pydantic model each, validated whole.

A recipe is one YAML file whose top-level keys are the sections below. Each stage
reads the sections it needs, so the same recipe serves ``pretrain``, ``finetune``
and ``crossval``. This package knows nothing of torch.
"""

from glcm_mae.config.base import Settings
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
from glcm_mae.config.losses import (
    GLCMConfig,
    LossesConfig,
    MSEConfig,
    PhaseConfig,
    ScaleConfig,
    SSIMConfig,
)
from glcm_mae.config.model import ModelConfig
from glcm_mae.config.stages import (
    AuditConfig,
    CrossValConfig,
    DemoConfig,
    FinetuneConfig,
    PretrainConfig,
    ReconstructConfig,
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
    OptimizationConfig,
    PretrainingConfig,
)

__all__ = [
    "DEFAULT_CACHE",
    "AuditConfig",
    "AugmentationConfig",
    "CacheConfig",
    "CatalogConfig",
    "CheckConfig",
    "CheckpointsConfig",
    "CrossValConfig",
    "DataConfig",
    "DemoConfig",
    "DownloadConfig",
    "EngineConfig",
    "FinetuneConfig",
    "FinetuningConfig",
    "FoldsConfig",
    "GLCMConfig",
    "GrayLevelsConfig",
    "ImagesConfig",
    "LaunchConfig",
    "LossesConfig",
    "MSEConfig",
    "MachinesConfig",
    "ModelConfig",
    "OptimizationConfig",
    "PhantomsConfig",
    "PhaseConfig",
    "PretrainConfig",
    "PretrainingConfig",
    "ReconstructConfig",
    "ReplayConfig",
    "SSIMConfig",
    "ScaleConfig",
    "Settings",
    "ShardConfig",
    "SplitConfig",
    "StageConfig",
    "TextureConfig",
]
