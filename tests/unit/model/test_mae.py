"""What reaches the encoder, what is predicted, and where."""

import subprocess
import sys

import pytest
import torch

from glcm_mae.model import MaskedAutoencoder, build_encoder, patchify, random_mask
from glcm_mae.model.encoder import Attention, use_fused_attention
from glcm_mae.model.mae import DecoderBlock, visible_indices
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
        patches = patchify(model(images, mask).prediction, PATCH)[mask]
    for channel, plane in enumerate(values.view(3, PATCH, PATCH)):
        expected = (plane * std[channel] + mean[channel]).expand(3 * 6, PATCH, PATCH)
        torch.testing.assert_close(patches[:, channel], expected)


def test_visible_patches_are_the_mean_gray_level() -> None:
    model = built(channels=3)
    model.encoder.set_input_statistics([0.2, 0.4, 0.6], [0.1, 0.2, 0.3])
    images, mask = images_and_mask(3)
    with torch.no_grad():
        patches = patchify(model(images, mask).prediction, PATCH)[~mask]
    expected = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1).expand_as(patches)
    torch.testing.assert_close(patches, expected)


def plain_prediction(
    model: MaskedAutoencoder, images: torch.Tensor, mask: torch.Tensor
) -> torch.Tensor:
    """Every patch embedded, every token decoded, every patch predicted, row by row."""
    encoder, vit = model.encoder, model.encoder.vit
    normalised = (images - encoder.input_mean[:, None, None]) / encoder.input_std[:, None, None]
    embedded = vit.patch_embed(normalised) + vit.pos_embed[:, 1:]
    rows = []
    for tokens, hidden in zip(embedded, mask, strict=True):
        seen = torch.cat([vit.cls_token[0] + vit.pos_embed[0, :1], tokens[~hidden]])[None]
        latent = model.embed(vit.norm(vit.blocks(seen)))[0]
        full = model.mask_token[0].expand(len(hidden), -1).clone()
        full[~hidden] = latent[1:]
        decoded = torch.cat([latent[:1], full + model.positions[0]])[None]
        for block in model.blocks:
            decoded = super(DecoderBlock, block).forward(decoded)
        rows.append(model.head(model.norm(decoded))[0, 1:])
    side = encoder.patch_size
    patches = torch.stack(rows).view(*mask.shape, encoder.channels, side, side)
    return patches * encoder.input_std[:, None, None] + encoder.input_mean[:, None, None]


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_savings_change_nothing(channels: int, fused: bool) -> None:
    model = built(channels)
    use_fused_attention(model, fused)
    model.encoder.set_input_statistics([0.2, 0.4, 0.6][:channels], [0.1, 0.2, 0.3][:channels])
    for parameter in model.parameters():  # zero biases and tokens would hide faults
        if parameter.requires_grad:
            parameter.data.add_(0.05 * torch.randn(parameter.shape))
    images, mask = images_and_mask(channels)
    weights = torch.randn(int(mask.sum()), channels, PATCH, PATCH)
    predicted = patchify(model(images, mask).prediction, PATCH)[mask]
    expected = plain_prediction(model, images, mask)[mask]
    torch.testing.assert_close(predicted, expected, rtol=1e-5, atol=1e-5)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    ours = torch.autograd.grad((predicted * weights).sum(), trained)
    theirs = torch.autograd.grad((expected * weights).sum(), trained)
    for found, wanted in zip(ours, theirs, strict=True):
        assert (found - wanted).norm() <= 1e-5 * wanted.norm()


def test_indices_handed_in_are_those_of_the_mask() -> None:
    model = built()
    images, mask = images_and_mask()
    with torch.no_grad():
        without = model(images, mask).prediction
        assert torch.equal(model(images, mask, visible_indices(mask)).prediction, without)
        other = visible_indices(mask.roll(1, dims=1))
        assert not torch.allclose(model(images, mask, other).prediction, without)


def test_with_indices_no_value_decides_a_shape() -> None:
    images, mask = images_and_mask()
    visible = visible_indices(mask)
    with torch.device("meta"):  # reading a value there is an error
        model = built()
    given = (images.to("meta"), mask.to("meta"), visible.to("meta"))
    assert model(*given).prediction.shape == images.shape
    with pytest.raises((RuntimeError, NotImplementedError)):
        model(*given[:2])


@pytest.mark.slow
def test_the_graph_compiles_whole() -> None:
    # In a process of its own, for the shape checks of the tests do not compile.
    script = """
import torch
from glcm_mae.model import MaskedAutoencoder, build_encoder, random_mask
from glcm_mae.model.mae import visible_indices
encoder = build_encoder("vit_tiny_patch16_224", image_size=(16, 32), patch_size=8, channels=1,
                        options={"depth": 1})
model = MaskedAutoencoder(encoder, decoder_depth=2, decoder_width=32, decoder_heads=4)
graphs = []
def keep(graph, _):
    graphs.append(graph)
    return graph
images, mask = torch.rand(3, 1, 16, 32), random_mask(3, 8, 0.75, generator=torch.Generator())
compiled = torch.compile(model, backend=keep, fullgraph=True)
with torch.no_grad():
    found = compiled(images, mask, visible_indices(mask)).prediction
    torch.testing.assert_close(found, model(images, mask).prediction)
print(len(graphs))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "1\n", done.stderr


def test_the_last_block_is_asked_for_hidden_tokens_alone() -> None:
    model = built()
    shapes: list[tuple[int, ...]] = []
    model.blocks[-1].register_forward_hook(lambda *given: shapes.append(given[2].shape))
    model.head.register_forward_hook(lambda *given: shapes.append(given[2].shape))
    with torch.no_grad():
        model(*images_and_mask())
    assert shapes == [(3, 6, 32), (3, 6, PATCH**2)]


def test_a_model_chooses_its_attention_for_itself() -> None:
    one, other = built(), built()
    use_fused_attention(one, False)
    chosen = [
        [m.fused_attn for m in model.modules() if isinstance(m, Attention)]
        for model in (one, other)
    ]
    assert chosen == [[False] * 4, [True] * 4]


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
    # Tokens: two blocks of the encoder, one of the decoder, and the hidden ones in its last.
    assert calls == [3, 3, 9, 6]
    calls.clear()
    use_fused_attention(model, False)
    with torch.no_grad():
        model(*images_and_mask())
    assert calls == []


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


def test_what_is_needed_to_predict_is_saved() -> None:
    names = built().state_dict()
    # Weights of another image size bring positions that are not the sin-cos ones.
    assert {"encoder.input_mean", "encoder.input_std", "mask_token", "positions"} <= set(names)


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
