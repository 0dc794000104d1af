"""What is trained: the masked autoencoder and the classifier made from its encoder."""

from glcm_mae.model.classifier import Classifier, parameter_groups
from glcm_mae.model.encoder import Encoder, build_encoder, sincos_positions
from glcm_mae.model.mae import MaskedAutoencoder, Reconstruction
from glcm_mae.model.patches import (
    complementary_from_noise,
    complementary_masks,
    mask_from_noise,
    patchify,
    random_mask,
    unpatchify,
)
from glcm_mae.model.restoration import restore

__all__ = [
    "Classifier",
    "Encoder",
    "MaskedAutoencoder",
    "Reconstruction",
    "build_encoder",
    "complementary_from_noise",
    "complementary_masks",
    "mask_from_noise",
    "parameter_groups",
    "patchify",
    "random_mask",
    "restore",
    "sincos_positions",
    "unpatchify",
]
