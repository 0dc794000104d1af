"""The random encoder of a control is the one that pre-training of the same seed began with."""

import torch

from glcm_mae.assembly import build_autoencoder, start_probed
from glcm_mae.config import ModelConfig, ProbeConfig
from glcm_mae.intake import reading_policy

OPTIONS = {"depth": 1, "embed_dim": 32, "num_heads": 2}


def test_a_random_probe_has_the_weights_that_pre_training_begins_with() -> None:
    model = ModelConfig(
        encoder="vit_tiny_patch16_224",
        encoder_options=OPTIONS,
        image_size=(32, 32),
        patch_size=8,
        decoder_depth=1,
        decoder_width=32,
        decoder_heads=2,
    )
    config = ProbeConfig(
        data={"table": "images"}, out="out", model=model, start="scratch", seed=1003
    )
    policy = reading_policy(config.data, config.model)
    probed = start_probed(config, policy, lambda: ([0.5], [0.2]))
    begun = build_autoencoder(model, seed=1003).encoder
    for name, value in begun.vit.state_dict().items():
        torch.testing.assert_close(probed.vit.state_dict()[name], value, rtol=0, atol=0)
