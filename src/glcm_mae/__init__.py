"""Texture-aware masked autoencoder pre-training for medical images.

The public names load on first use, so that ``import glcm_mae`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from glcm_mae.version import __version__

if TYPE_CHECKING:
    from glcm_mae.analysis import reconstruct
    from glcm_mae.auditing import audit
    from glcm_mae.config import (
        AuditConfig,
        CrossValConfig,
        FinetuneConfig,
        PretrainConfig,
        ProbeConfig,
        ReconstructConfig,
    )
    from glcm_mae.crossvalidation import CrossValidation, cross_validate
    from glcm_mae.data import (
        ImageTable,
        ReadingPolicy,
        make_phantom,
        read_image,
        read_table,
        write_phantoms,
    )
    from glcm_mae.errors import DivergenceError, InputError
    from glcm_mae.finetuning import finetune
    from glcm_mae.losses import Objective, masked_mse, masked_ssim, texture_loss
    from glcm_mae.model import Classifier, Encoder, MaskedAutoencoder, Reconstruction
    from glcm_mae.pretraining import pretrain
    from glcm_mae.probing import probe
    from glcm_mae.texture import (
        HARALICK_FEATURES,
        IBSI_FEATURES,
        Offset,
        Scale,
        cooccurrence,
        fixed_bin_number,
        fixed_bin_width,
        glcm_distance,
        gray_level_cooccurrence,
        haralick_features,
        hard_membership,
        ibsi_features,
        soft_membership,
        texture_features,
    )

_HOMES = {
    "analysis": ("reconstruct",),
    "auditing": ("audit",),
    "config": (
        "AuditConfig",
        "CrossValConfig",
        "FinetuneConfig",
        "PretrainConfig",
        "ProbeConfig",
        "ReconstructConfig",
    ),
    "crossvalidation": ("CrossValidation", "cross_validate"),
    "data": (
        "ImageTable",
        "ReadingPolicy",
        "make_phantom",
        "read_image",
        "read_table",
        "write_phantoms",
    ),
    "errors": ("DivergenceError", "InputError"),
    "finetuning": ("finetune",),
    "losses": ("Objective", "masked_mse", "masked_ssim", "texture_loss"),
    "model": ("Classifier", "Encoder", "MaskedAutoencoder", "Reconstruction"),
    "pretraining": ("pretrain",),
    "probing": ("probe",),
    "texture": (
        "HARALICK_FEATURES",
        "IBSI_FEATURES",
        "Offset",
        "Scale",
        "cooccurrence",
        "glcm_distance",
        "haralick_features",
        "hard_membership",
        "ibsi_features",
        "soft_membership",
        "fixed_bin_number",
        "fixed_bin_width",
        "gray_level_cooccurrence",
        "texture_features",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "HARALICK_FEATURES",
    "IBSI_FEATURES",
    "AuditConfig",
    "Classifier",
    "CrossValConfig",
    "CrossValidation",
    "DivergenceError",
    "Encoder",
    "FinetuneConfig",
    "ImageTable",
    "InputError",
    "MaskedAutoencoder",
    "Objective",
    "Offset",
    "PretrainConfig",
    "ProbeConfig",
    "ReadingPolicy",
    "ReconstructConfig",
    "Reconstruction",
    "Scale",
    "__version__",
    "audit",
    "cooccurrence",
    "cross_validate",
    "finetune",
    "fixed_bin_number",
    "fixed_bin_width",
    "glcm_distance",
    "gray_level_cooccurrence",
    "haralick_features",
    "hard_membership",
    "ibsi_features",
    "make_phantom",
    "masked_mse",
    "masked_ssim",
    "pretrain",
    "probe",
    "read_image",
    "read_table",
    "reconstruct",
    "soft_membership",
    "texture_features",
    "texture_loss",
    "write_phantoms",
]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(f"glcm_mae.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module 'glcm_mae' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
