"""Our encoder against timm's own, its positions against numpy, and the refusals."""

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file

from glcm_mae.assembly import ENCODER_FILE, save_autoencoder
from glcm_mae.model import Encoder, MaskedAutoencoder, build_encoder, sincos_positions
from glcm_mae.model.encoder import _is_plain

TINY = "vit_tiny_patch16_224"


def built(
    name: str = TINY,
    *,
    image_size: tuple[int, int] = (32, 48),
    patch_size: int = 16,
    channels: int = 1,
    options: dict[str, int] | None = None,
) -> Encoder:
    torch.manual_seed(0)
    return build_encoder(
        name,
        image_size=image_size,
        patch_size=patch_size,
        channels=channels,
        options=options or {"depth": 1},
    )


def numpy_positions(grid: tuple[int, int], width: int) -> np.ndarray:
    """He et al.'s table, entry by entry."""
    rows, cols = grid
    quarter = width // 4
    table = np.empty((rows * cols, width))
    for row in range(rows):
        for col in range(cols):
            for i in range(quarter):
                rate = 1 / 10000 ** (i / quarter)
                table[row * cols + col, [i, quarter + i, 2 * quarter + i, 3 * quarter + i]] = (
                    np.sin(col * rate),
                    np.cos(col * rate),
                    np.sin(row * rate),
                    np.cos(row * rate),
                )
    return table


@pytest.mark.parametrize(("grid", "width"), [((3, 5), 16), ((5, 2), 8), ((14, 14), 192)])
def test_positions_equal_the_formula(grid: tuple[int, int], width: int) -> None:
    expected = torch.from_numpy(numpy_positions(grid, width)).float()
    torch.testing.assert_close(sincos_positions(grid, width), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("width", [6, 7])
def test_positions_refuse_a_width_that_is_no_multiple_of_4(width: int) -> None:
    with pytest.raises(ValueError, match=f"multiple of 4 for sin-cos positions, got {width}"):
        sincos_positions((2, 2), width)


def test_positions_are_fixed_and_the_class_token_has_none() -> None:
    encoder = built()
    table = encoder.vit.pos_embed
    assert not table.requires_grad
    assert not table[0, 0].any()
    assert torch.equal(table[0, 1:], sincos_positions((2, 3), encoder.width))


@pytest.mark.parametrize(
    ("name", "image_size", "patch_size", "channels", "width"),
    [
        ("vit_tiny_patch16_224", (32, 48), 16, 1, 192),
        ("vit_tiny_patch16_224", (48, 32), 8, 3, 192),
        ("vit_small_patch16_224", (32, 32), 16, 1, 384),
        ("vit_small_patch32_224", (32, 64), 32, 3, 384),
        ("vit_base_patch16_224", (32, 32), 16, 3, 768),
        ("vit_huge_patch14_224", (28, 28), 14, 1, 1280),
    ],
)
def test_the_named_sizes_build(
    name: str, image_size: tuple[int, int], patch_size: int, channels: int, width: int
) -> None:
    encoder = built(name, image_size=image_size, patch_size=patch_size, channels=channels)
    rows, cols = (side // patch_size for side in image_size)
    assert (encoder.width, encoder.channels) == (width, channels)
    assert (encoder.grid, encoder.patch_size) == ((rows, cols), patch_size)
    with torch.no_grad():
        tokens = encoder(torch.rand(2, channels, *image_size))
    assert tokens.shape == (2, 1 + rows * cols, width)
    assert tokens.isfinite().all()


@pytest.mark.parametrize(("channels", "image_size"), [(1, (32, 48)), (3, (48, 32))])
def test_saved_weights_are_timms_and_give_timms_features(
    channels: int, image_size: tuple[int, int], tmp_path: Path
) -> None:
    encoder = built(image_size=image_size, channels=channels, options={"depth": 2}).eval()
    mean, std = torch.linspace(0.3, 0.5, channels), torch.linspace(0.1, 0.2, channels)
    encoder.set_input_statistics(mean.tolist(), std.tolist())
    model = MaskedAutoencoder(encoder, decoder_depth=1, decoder_width=32, decoder_heads=2)
    save_autoencoder(tmp_path, model.state_dict(), model, {})
    theirs = timm.create_model(
        TINY, num_classes=0, img_size=image_size, in_chans=channels, depth=2
    ).eval()
    theirs.load_state_dict(load_file(tmp_path / ENCODER_FILE), strict=True)
    images = torch.rand(2, channels, *image_size, generator=torch.Generator().manual_seed(0))
    by_hand = (images - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(images), theirs.forward_features(by_hand), rtol=0, atol=1e-5
        )


def test_all_patches_named_is_no_patch_named() -> None:
    encoder = built().eval()
    images = torch.rand(2, 1, 32, 48)
    everything = torch.arange(6).expand(2, 6)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(images, everything), encoder(images), rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("patch_size", [8, 16])
def test_visible_patches_are_embedded_as_by_the_convolution(
    channels: int, patch_size: int
) -> None:
    encoder = built(channels=channels, patch_size=patch_size)
    proj = encoder.vit.patch_embed.proj
    proj.bias.data.normal_()
    encoder.set_input_statistics([0.3, 0.4, 0.5][:channels], [0.2, 0.3, 0.1][:channels])
    images = torch.rand(2, channels, 32, 48, generator=torch.Generator().manual_seed(0))
    visible = torch.tensor([[0, 3, 5], [1, 2, 4]])
    given: list[torch.Tensor] = []
    encoder.vit.blocks[0].register_forward_pre_hook(lambda _, args: given.append(args[0]))
    encoder(images, visible)
    encoder(images)
    few, all_tokens = given
    expected = torch.stack(
        [
            tokens[[0, *(row + 1).tolist()]]
            for tokens, row in zip(all_tokens, visible, strict=True)
        ]
    )
    torch.testing.assert_close(few, expected, rtol=0, atol=1e-5)
    weights = torch.randn(few.shape)
    ours = torch.autograd.grad((few * weights).sum(), [proj.weight, proj.bias])
    theirs = torch.autograd.grad((expected * weights).sum(), [proj.weight, proj.bias])
    for found, wanted in zip(ours, theirs, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-4)


def test_tokens_follow_their_patches() -> None:
    encoder = built().eval()
    images = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        one = encoder(images, torch.tensor([[1, 4, 5]]))
        other = encoder(images, torch.tensor([[5, 1, 4]]))
    torch.testing.assert_close(other, one[:, [0, 3, 1, 2]], rtol=0, atol=1e-5)


def test_a_gray_level_is_normalised_by_its_own_channel() -> None:
    encoder = built(channels=3).eval()
    images = torch.rand(1, 3, 32, 48)
    factors = torch.tensor([1.0, 0.5, 0.25]).view(3, 1, 1)
    encoder.set_input_statistics([0.4, 0.4, 0.4], [0.2, 0.2, 0.2])
    with torch.no_grad():
        plain = encoder(images)
        encoder.set_input_statistics([0.4, 0.2, 0.1], [0.2, 0.1, 0.05])
        torch.testing.assert_close(encoder(images * factors), plain, rtol=0, atol=1e-4)


def test_flat_images_do_not_divide_by_zero() -> None:
    encoder = built().eval()
    encoder.set_input_statistics([0.0], [0.0])
    assert encoder.input_std.item() == pytest.approx(1e-3)
    with torch.no_grad():
        assert encoder(torch.zeros(1, 1, 32, 48)).isfinite().all()


def test_a_seed_gives_its_weights_again() -> None:
    first, second = built().state_dict(), built().state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_linear_layers_start_as_in_the_mae() -> None:
    encoder = built(options={"depth": 2})
    for name, parameter in encoder.vit.blocks.named_parameters():
        if name.endswith(("qkv.weight", "fc1.weight")):
            bound = (6 / sum(parameter.shape)) ** 0.5  # Xavier, uniform
            assert 0.95 * bound < parameter.abs().max() <= bound
        elif name.endswith("bias"):
            assert not parameter.any()


def refusal(name: str, **options: int) -> str:
    with pytest.raises(ValueError, match=r"model\.encoder") as caught:
        build_encoder(
            name, image_size=(32, 32), patch_size=16, channels=1, options=options or None
        )
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_name_is_refused_with_examples() -> None:
    text = refusal("vit_enormous")
    assert text.startswith(
        "model.encoder 'vit_enormous' is not a timm model; choose for instance"
    )
    assert "vit_base_patch16_224" in text


def test_a_network_that_is_no_transformer_is_refused() -> None:
    assert "'resnet18' cannot be built" in refusal("resnet18")


@pytest.mark.parametrize(
    "name",
    [
        "vit_little_patch16_reg4_gap_256",  # register tokens, no class token
        "vit_small_patch14_reg4_dinov2",  # a class token and register tokens
        "vit_base_patch16_siglip_224",  # no class token
        "deit_tiny_distilled_patch16_224",  # two class tokens
    ],
)
def test_transformers_with_other_tokens_are_refused(name: str) -> None:
    assert "not a plain vision transformer with one class token" in refusal(name, depth=1)


def test_a_transformer_behind_convolutions_is_not_plain() -> None:
    assert _is_plain(timm.create_model(TINY, num_classes=0, depth=1))
    assert not _is_plain(timm.create_model("vit_tiny_r_s16_p8_224", num_classes=0, depth=1))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"deepness": 1}, "deepness"),
        ({"num_classes": 3}, "num_classes"),
        ({"embed_dim": 100, "num_heads": 3}, "divisible by num_heads"),
    ],
)
def test_options_that_timm_refuses_are_told(options: dict[str, int], reason: str) -> None:
    text = refusal(TINY, **options)
    assert text.startswith(f"model.encoder {TINY!r} cannot be built as a vision transformer: ")
    assert reason in text
