"""What ``from glcm_mae import ...`` offers; it changes only on purpose."""

import glcm_mae

PUBLIC_NAMES = [
    "AuditConfig",
    "Classifier",
    "CrossValConfig",
    "CrossValidation",
    "DivergenceError",
    "Encoder",
    "FinetuneConfig",
    "HARALICK_FEATURES",
    "IBSI_FEATURES",
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


def test_public_names_are_these() -> None:
    assert sorted(glcm_mae.__all__) == PUBLIC_NAMES


def test_every_public_name_can_be_had() -> None:
    missing = [name for name in PUBLIC_NAMES if not hasattr(glcm_mae, name)]
    assert missing == []


def test_no_other_name_is_invented() -> None:
    assert not hasattr(glcm_mae, "utils")
