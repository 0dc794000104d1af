"""What reaches the encoder, what is predicted, and where."""

import pytest
import torch

from glcm_mae.model import MaskedAutoencoder, build_encoder, patchify, random_mask
from glcm_mae.model.mae import visible_indices
from glcm_mae.model.patches import expand_mask

GRID, PATCH = (2, 4), 8


def built(channels: int = 1, grid: tuple[int, int] = GRID) -> MaskedAutoencoder:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(grid[0] * PATCH, grid[1] * PATCH),
        patch_size=PATCH,
        channels=channels,
        options={"depth": 2},
    )
    return MaskedAutoencoder(encoder, decoder_depth=2, decoder_width=32, decoder_heads=4).eval()


def images_and_mask(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(3, channels, GRID[0] * PATCH, GRID[1] * PATCH, generator=generator)
    return images, random_mask(3, GRID[0] * GRID[1], 0.75, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
def test_hidden_pixels_change_nothing(channels: int) -> None:
    model = built(channels)
    images, mask = images_and_mask(channels)
    hidden = expand_mask(mask, GRID, PATCH)
    with torch.no_grad():
        before = model(images, mask).prediction
        other = torch.where(hidden, 1 - images, images)
        assert torch.equal(model(other, mask).prediction, before)
        # ... and a visible pixel does.
        seen = torch.where(hidden, images, 1 - images)
        assert not torch.allclose(model(seen, mask).prediction, before)


def test_no_gradient_reaches_a_hidden_pixel() -> None:
    model = built()
    images, mask = images_and_mask()
    images.requires_grad_()
    # A plain sum is constant behind a layer norm.
    model.encoder(images, visible_indices(mask)).square().mul(torch.rand(192)).sum().backward()
    hidden = expand_mask(mask, GRID, PATCH)
    assert not images.grad[hidden].any()
    assert images.grad[~hidden].all()


def test_every_block_of_the_encoder_is_given_the_visible_tokens_alone() -> None:
    model = built()
    counts: list[int] = []
    for block in model.encoder.vit.blocks:
        block.register_forward_pre_hook(lambda _, given: counts.append(given[0].shape[1]))
    for block in model.blocks:
        block.register_forward_pre_hook(lambda _, given: counts.append(given[0].shape[1]))
    with torch.no_grad():
        model(*images_and_mask())
    assert counts == [1 + 2, 1 + 2, 1 + 8, 1 + 8]  # a quarter of 8 patches; the decoder all


def test_the_decoder_puts_tokens_in_their_places() -> None:
    model = built()
    with torch.no_grad():
        model.positions.zero_()
        model.embed.weight.zero_()
        model.embed.bias.fill_(1.0)
        model.mask_token.zero_()
        given: list[torch.Tensor] = []
        model.blocks[0].register_forward_pre_hook(lambda _, args: given.append(args[0]))
        images, mask = images_and_mask()
        model(images, mask)
    expected = (~mask).float()[..., None].expand(-1, -1, 32)
    assert torch.equal(given[0][:, 1:], expected)
    assert given[0][:, 0].eq(1).all()


def test_the_head_speaks_in_the_encoders_gray_levels() -> None:
    model = built(channels=3)
    mean, std = [0.2, 0.4, 0.6], [0.1, 0.2, 0.3]
    model.encoder.set_input_statistics(mean, std)
    images, mask = images_and_mask(3)
    with torch.no_grad():
        model.head.weight.zero_()
        values = torch.linspace(-1, 1, 3 * PATCH**2)
        model.head.bias.copy_(values)
        patches = patchify(model(images, mask).prediction, PATCH)
    for channel, plane in enumerate(values.view(3, PATCH, PATCH)):
        expected = (plane * std[channel] + mean[channel]).expand(3, 8, PATCH, PATCH)
        torch.testing.assert_close(patches[:, :, channel], expected)


def test_a_new_autoencoder_predicts_the_mean_of_the_images_roughly() -> None:
    model = built()
    model.encoder.set_input_statistics([0.3], [0.1])
    with torch.no_grad():
        prediction = model(*images_and_mask()).prediction
    assert abs(prediction.mean().item() - 0.3) < 0.1


def test_the_mask_comes_back() -> None:
    images, mask = images_and_mask()
    with torch.no_grad():
        assert torch.equal(built()(images, mask).mask, mask)


def test_the_decoder_attends_by_the_fused_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    model = built()
    assert all(block.attn.fused_attn for block in model.blocks)
    assert all(block.attn.fused_attn for block in model.encoder.vit.blocks)
    calls: list[int] = []
    kernel = torch.nn.functional.scaled_dot_product_attention

    def counted(query: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
        calls.append(query.shape[2])
        return kernel(query, *args, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", counted)
    with torch.no_grad():
        model(*images_and_mask())
    assert calls == [3, 3, 9, 9]  # tokens: two blocks of the encoder, two of the decoder


def test_every_trainable_parameter_learns() -> None:
    model = built().train()
    model.mask_token.data.normal_()
    images, mask = images_and_mask()
    model(images, mask).prediction.square().mean().backward()
    still = [
        name for name, p in model.named_parameters() if p.requires_grad and not p.grad.any()
    ]
    assert still == []
    fixed = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert fixed == ["encoder.vit.pos_embed"]


def test_the_decoders_positions_are_not_saved() -> None:
    names = built().state_dict()
    assert "positions" not in names
    assert {"encoder.input_mean", "encoder.input_std", "mask_token"} <= set(names)


@pytest.mark.parametrize(
    "mask",
    [
        [[True, False, False, True], [True, True, True, False]],  # two seen, one seen
        [[True] * 4, [True] * 4],  # none seen
    ],
)
def test_rows_that_show_different_numbers_are_refused(mask: list[list[bool]]) -> None:
    with pytest.raises(ValueError, match="every image must show equally many patches, got"):
        visible_indices(torch.tensor(mask))


def test_a_decoder_width_that_is_no_multiple_of_4_is_refused() -> None:
    encoder = built().encoder
    with pytest.raises(ValueError, match="multiple of 4"):
        MaskedAutoencoder(encoder, decoder_depth=1, decoder_width=6, decoder_heads=2)
