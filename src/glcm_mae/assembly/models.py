"""From settings to an autoencoder and its objective."""

import torch

from glcm_mae.config import LossesConfig, ModelConfig
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.errors import InputError
from glcm_mae.losses.objective import Objective
from glcm_mae.model import Encoder, MaskedAutoencoder, build_encoder
from glcm_mae.texture import Offset, Scale


def build_autoencoder(model: ModelConfig, *, seed: int) -> MaskedAutoencoder:
    """Build the autoencoder of some settings, with random weights of a seed.

    Raises:
        InputError: If the encoder is unknown or no plain ViT.
    """
    torch.manual_seed(counted_seed(seed, Stream.WEIGHTS))
    return MaskedAutoencoder(
        assembled_encoder(model),
        decoder_depth=model.decoder_depth,
        decoder_width=model.decoder_width,
        decoder_heads=model.decoder_heads,
    )


def assembled_encoder(model: ModelConfig, *, drop_path: float = 0.0) -> Encoder:
    """Build the encoder of some settings; its weights come of torch's generator.

    Raises:
        InputError: If the encoder is unknown or no plain ViT.
    """
    try:
        return build_encoder(
            model.encoder,
            image_size=model.image_size,
            patch_size=model.patch_size,
            channels=model.channels,
            drop_path=drop_path,
            options=model.encoder_options,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def build_objective(losses: LossesConfig, patch_size: int) -> Objective:
    """Build the objective of some settings."""
    glcm = losses.glcm
    first, *further = (
        Scale(scale.levels, scale.bandwidth, tuple(Offset(*step) for step in scale.offsets))
        for scale in (glcm, *glcm.further_scales)
    )
    return Objective(
        patch_size=patch_size,
        normalised=losses.mse.normalised,
        **first._asdict(),
        further_scales=tuple(further),
        symmetric=glcm.symmetric,
        engine=glcm.engine,
        window=losses.ssim.window,
        sigma=losses.ssim.sigma,
        border=losses.ssim.border,
    )
