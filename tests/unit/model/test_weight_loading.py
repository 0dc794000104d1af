"""What does not fit is refused by name, and leaves the model as it was."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from glcm_mae.model import Encoder, MaskedAutoencoder, build_encoder
from glcm_mae.model.weights import ForeignWeights, load_into_autoencoder, load_into_encoder
from glcm_mae.model.weights.foreign import Traits


def encoder_of(name: str = "vit_tiny_patch16_224", patch: int = 8, **options: int) -> Encoder:
    torch.manual_seed(3)
    shape = {"embed_dim": 24, "depth": 2, "num_heads": 3, **options}
    return build_encoder(name, image_size=(32, 32), patch_size=patch, channels=1, options=shape)


def mae_of(**shape: int) -> MaskedAutoencoder:
    decoder = {"decoder_depth": 1, "decoder_width": 16, "decoder_heads": 2, **shape}
    return MaskedAutoencoder(encoder_of(), **decoder)


def weights_of(mae: MaskedAutoencoder) -> ForeignWeights:
    state = {k: v.clone() for k, v in mae.state_dict().items()}
    decoder = {k: v for k, v in state.items() if not k.startswith("encoder.")}
    encoder = {k: v.clone() for k, v in mae.encoder.vit.state_dict().items()}
    traits = Traits(heads=3, decoder_heads=2, activation="gelu", eps=1e-6)
    return ForeignWeights(
        "there", "glcm-mae", encoder, decoder, (0.5,), (0.25,), (4, 4), "raw", traits
    )


@pytest.fixture
def weights() -> ForeignWeights:
    """Weights unlike those that a fresh model begins with."""
    mae = mae_of()
    for value in mae.state_dict().values():
        value.add_(0.5)
    return weights_of(mae)


def untouched(model: nn.Module, attempt: Callable[[], object], message: str) -> None:
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message) as refusal:
        attempt()
    assert str(refusal.value).startswith("there: ")
    assert "\n" not in str(refusal.value)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"embed_dim": 48}, r"another width .*embed_dim.* 24, here 48"),
        ({"depth": 3}, r"another depth .*depth.* 2, here 3"),
        ({"depth": 1}, r"another depth .*depth.* 2, here 1"),
        ({"num_heads": 2}, r"another heads .*num_heads.* 3, here 2"),
        ({"patch": 16}, r"another patch size .*patch_size.* 8 x 8, here 16 x 16"),
        (
            {"name": "vit_base_patch16_clip_quickgelu_224"},
            "another activation .* gelu, here quick",
        ),
        ({"name": "vit_base_patch16_clip_224"}, r"no place for: patch_embed\.proj\.bias"),
        ({"name": "vit_small_patch14_dinov2"}, r"lacks .*blocks\.\*\.ls1\.gamma \(2\)"),
        (
            {"mlp_ratio": 2},
            r"blocks\.0\.mlp\.fc1\.weight has the shape \(96, 24\), here \(48, 24\)",
        ),
    ],
    ids=str,
)
def test_another_encoder_is_refused(
    weights: ForeignWeights, options: dict[str, int], message: str
) -> None:
    encoder = encoder_of(**options)
    untouched(encoder, lambda: load_into_encoder(encoder, weights), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"decoder_depth": 2}, r"decoder depth .* 1, here 2"),
        ({"decoder_width": 32}, r"decoder width .* 16, here 32"),
        ({"decoder_heads": 4}, r"decoder heads .* 2, here 4"),
    ],
    ids=str,
)
def test_another_decoder_is_refused(
    weights: ForeignWeights, options: dict[str, int], message: str
) -> None:
    mae = mae_of(**options)
    untouched(mae, lambda: load_into_autoencoder(mae, weights, target="raw"), message)


PARTS = {
    "layer scale": "blocks.0.ls1.gamma",
    "a distillation token": "dist_token",
    "register tokens": "reg_token",
    "rotary positions": "rope.freqs",
    "relative positions": "blocks.0.attn.relative_position_bias_table",
    "norms of queries and keys": "blocks.0.attn.q_norm.weight",
    "a mask token": "mask_token",
    "holds what the model has no place for": "neck.weight",
}


@pytest.mark.parametrize("part", PARTS)
def test_nothing_is_dropped_silently(weights: ForeignWeights, part: str) -> None:
    encoder = encoder_of()
    odd = replace(weights, encoder={**weights.encoder, PARTS[part]: torch.ones(24)})
    untouched(encoder, lambda: load_into_encoder(encoder, odd), part)


@pytest.mark.parametrize(
    "name", ["norm.weight", "blocks.1.attn.qkv.bias", "patch_embed.proj.bias"]
)
def test_nothing_may_be_missing(weights: ForeignWeights, name: str) -> None:
    encoder = encoder_of()
    rest = {k: v for k, v in weights.encoder.items() if k != name}
    odd = replace(weights, encoder=rest)
    untouched(encoder, lambda: load_into_encoder(encoder, odd), "lacks what the model needs")


@pytest.mark.parametrize(
    "name", ["head.bias", "mask_token", "embed.weight", "blocks.0.norm1.bias"]
)
def test_nothing_of_a_decoder_may_be_missing(weights: ForeignWeights, name: str) -> None:
    mae = mae_of()
    rest = {k: v for k, v in weights.decoder.items() if k != name}
    odd = replace(weights, decoder=rest)
    untouched(mae, lambda: load_into_autoencoder(mae, odd, target="raw"), "lacks")


@pytest.mark.parametrize(
    "value",
    [
        torch.full((24,), torch.nan),
        torch.full((24,), torch.inf),
        torch.ones(24, dtype=torch.int64),
        torch.ones(24, dtype=torch.complex64),
    ],
    ids=["nan", "infinite", "whole", "complex"],
)
def test_numbers_must_be_finite(weights: ForeignWeights, value: Tensor) -> None:
    encoder = encoder_of()
    odd = replace(weights, encoder={**weights.encoder, "norm.bias": value})
    untouched(encoder, lambda: load_into_encoder(encoder, odd), "norm.bias .*no finite")


def test_a_decoder_whose_class_token_has_a_place_is_refused(weights: ForeignWeights) -> None:
    mae = mae_of()
    odd = replace(weights, decoder={**weights.decoder, "positions": torch.ones(1, 17, 16)})
    untouched(
        mae, lambda: load_into_autoencoder(mae, odd, target="raw"), "class token has a position"
    )


@pytest.mark.parametrize("shape", [(1, 15, 16), (1, 16, 8), (16, 16), (2, 17, 16)], ids=str)
def test_decoder_positions_of_another_form_are_refused(
    weights: ForeignWeights, shape: tuple[int, ...]
) -> None:
    mae = mae_of()
    odd = replace(weights, decoder={**weights.decoder, "positions": torch.zeros(shape)})
    untouched(
        mae, lambda: load_into_autoencoder(mae, odd, target="raw"), "decoder positions have"
    )


def test_halves_become_whole_and_it_is_told(weights: ForeignWeights) -> None:
    encoder = encoder_of()
    halves = {name: value.half() for name, value in weights.encoder.items()}
    report = load_into_encoder(encoder, replace(weights, encoder=halves))
    state = encoder.vit.state_dict()
    assert all(torch.equal(state[name], halves[name].float()) for name in halves)
    assert any("float16" in note for note in report.notes)


def test_positions_stay_fixed(weights: ForeignWeights) -> None:
    encoder = encoder_of()
    load_into_encoder(encoder, weights)
    assert not encoder.vit.pos_embed.requires_grad
    assert encoder.vit.cls_token.requires_grad
    assert torch.equal(encoder.vit.pos_embed, weights.encoder["pos_embed"])


def test_the_weights_own_statistics_are_taken(weights: ForeignWeights) -> None:
    encoder = encoder_of()
    load_into_encoder(encoder, replace(weights, mean=(0.125,), std=(0.375,)))
    assert (encoder.input_mean.tolist(), encoder.input_std.tolist()) == ([0.125], [0.375])


def test_a_source_is_not_written_to(weights: ForeignWeights) -> None:
    mae = mae_of()
    before = {k: v.clone() for k, v in weights.encoder.items()}
    load_into_autoencoder(mae, weights, target="raw")
    with torch.no_grad():
        for parameter in mae.parameters():
            parameter.zero_()
    assert all(torch.equal(weights.encoder[name], before[name]) for name in before)
