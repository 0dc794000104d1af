"""Weights of transformers, facebookresearch, timm and our own, against their own models."""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from glcm_mae.model import Encoder, MaskedAutoencoder, build_encoder
from glcm_mae.model.patches import expand_mask
from glcm_mae.model.weights import (
    LoadReport,
    load_into_autoencoder,
    load_into_encoder,
    read_weights,
)

WIDTH, DEPTH, HEADS, PATCH, SIDE = 24, 2, 3, 8, 32
DECODER = {"decoder_depth": 2, "decoder_width": 16, "decoder_heads": 2}
IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
HALVES = ([0.5, 0.5, 0.5], [0.5, 0.5, 0.5])
ODD = ([0.1, 0.5, 0.7], [0.2, 0.3, 0.6])
SIZES = [(32, 32), (48, 48), (24, 56), (16, 16)]


def encoder_of(channels: int, size: tuple[int, int] = (SIDE, SIDE), **options: int) -> Encoder:
    torch.manual_seed(1)
    shape = {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS, **options}
    return build_encoder(
        "vit_tiny_patch16_224",
        image_size=size,
        patch_size=PATCH,
        channels=channels,
        options=shape,
    ).eval()


def mae_of(channels: int, size: tuple[int, int] = (SIDE, SIDE)) -> MaskedAutoencoder:
    return MaskedAutoencoder(encoder_of(channels, size), **DECODER).eval()


def enliven(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter values that matter: no zeros, no ones, unequal norms."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(noise * 0.2 + float("norm" in name and "weight" in name))
            elif parameter.ndim == 3:
                parameter.copy_(noise)
            else:
                parameter.copy_(noise / parameter[0].numel() ** 0.5)
            if name.endswith("decoder_pos_embed"):
                parameter[:, 0] = 0  # as facebook's is
    return model.eval()


def pictures(channels: int, size: tuple[int, int] = (SIDE, SIDE)) -> Tensor:
    return torch.rand(3, channels, *size, generator=torch.Generator().manual_seed(2))


def normalised(images: Tensor, statistics: tuple[list[float], list[float]]) -> Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in statistics)
    return (images.expand(-1, len(mean), -1, -1) - mean) / std


def pil_positions(positions: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize the positions of a square grid with Pillow's bicubic filter."""
    first, patches = positions[:, :1], positions[0, 1:]
    side = round(len(patches) ** 0.5)
    new = (size[1] // PATCH, size[0] // PATCH)
    planes = [
        np.asarray(
            Image.fromarray(plane.reshape(side, side).numpy()).resize(new, Image.BICUBIC)
        )
        for plane in patches.T.contiguous()
    ]
    table = torch.from_numpy(np.stack(planes, axis=-1)).reshape(1, -1, patches.shape[1])
    return torch.cat([first, table], dim=1)


Made = Callable[..., tuple[Any, Path]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Make a model of transformers, enliven it and save its folder."""
    import transformers
    from transformers.utils import logging

    logging.disable_progress_bar()
    made: dict[str, tuple[Any, Path]] = {}

    def make(kind: str, **settings: Any) -> tuple[Any, Path]:
        key = kind + json.dumps(settings, sort_keys=True)
        if key in made:
            return made[key]
        config: dict[str, Any] = {
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "intermediate_size": 4 * WIDTH,
            "image_size": SIDE,
            "patch_size": PATCH,
            "attn_implementation": "eager",
            **settings,
        }
        if "MAE" in kind:
            config |= {
                "decoder_hidden_size": 16,
                "decoder_num_hidden_layers": 2,
                "decoder_num_attention_heads": 2,
                "decoder_intermediate_size": 64,
            }
        name = "ViTMAEConfig" if "MAE" in kind else "ViTConfig"
        model = enliven(getattr(transformers, kind)(getattr(transformers, name)(**config)))
        folder = tmp_path_factory.mktemp("hub") / kind
        model.save_pretrained(folder)
        made[key] = model, folder
        return made[key]

    return make


def write_preprocessor(folder: Path, to: Path, **content: Any) -> Path:
    to.mkdir()
    for file in folder.iterdir():
        (to / file.name).symlink_to(file)
    (to / "preprocessor_config.json").write_text(json.dumps(content))
    return to


# Features of transformers' models


def features(model: Any, images: Tensor) -> Tensor:
    """All tokens after the last norm, with nothing hidden and nothing shuffled."""
    base = getattr(model, "vit", model)
    with torch.no_grad():
        if type(base).__name__ == "ViTMAEModel":
            base.config.mask_ratio = 0.0
            count = (images.shape[-1] // PATCH) * (images.shape[-2] // PATCH)
            order = torch.arange(count).float().expand(len(images), -1)
            return base(images, noise=order).last_hidden_state
        return base(images).last_hidden_state


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("kind", "statistics"),
    [
        ("ViTModel", HALVES),
        ("ViTForImageClassification", HALVES),
        ("ViTMAEModel", IMAGENET),
        ("ViTMAEForPreTraining", IMAGENET),
    ],
)
def test_features_equal_those_of_transformers(
    hub: Made, kind: str, statistics: tuple[list[float], list[float]], channels: int
) -> None:
    model, folder = hub(kind)
    encoder = encoder_of(channels)
    report = load_into_encoder(encoder, read_weights(folder))
    images = pictures(channels)
    expected = features(model, normalised(images, statistics))
    torch.testing.assert_close(encoder(images), expected, rtol=1e-5, atol=1e-5)
    assert report.missing == ()
    assert report.layout == "huggingface"
    assert any("preprocessor_config" in note for note in report.notes)
    assert any("1e-12" in note for note in report.notes)


def test_heads_and_decoders_are_told_where_they_are_passed_over(hub: Made) -> None:
    told = {
        kind: load_into_encoder(encoder_of(1), read_weights(hub(kind)[1])).unused
        for kind in ("ViTModel", "ViTForImageClassification", "ViTMAEForPreTraining")
    }
    assert set(told["ViTModel"]) == {"pooler.dense.weight", "pooler.dense.bias"}
    assert set(told["ViTForImageClassification"]) == {"classifier.weight", "classifier.bias"}
    # Both hold the decoder's positions.
    assert len(told["ViTMAEForPreTraining"]) == len(mae_of(1).state_dict()) - (
        len(encoder_of(1).state_dict())
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("content", "statistics"),
    [
        ({"image_mean": ODD[0], "image_std": ODD[1]}, ODD),
        ({"do_normalize": False, "do_rescale": True}, ([0.0] * 3, [1.0] * 3)),
        (
            {"image_mean": [255 * v for v in ODD[0]], "image_std": [255 * v for v in ODD[1]],
             "do_rescale": False},
            ODD,
        ),
        (
            {"image_mean": [2 * v for v in ODD[0]], "image_std": [2 * v for v in ODD[1]],
             "rescale_factor": 2 / 255},
            ODD,
        ),
        ({"size": {"height": 32, "width": 32}}, HALVES),
    ],
    ids=["own", "none", "of bytes", "of twice", "silent"],
)  # fmt: skip
def test_the_preprocessing_beside_the_weights_is_followed(
    hub: Made,
    tmp_path: Path,
    content: dict[str, Any],
    statistics: tuple[list[float], list[float]],
    channels: int,
) -> None:
    model, folder = hub("ViTModel")
    encoder = encoder_of(channels)
    load_into_encoder(
        encoder, read_weights(write_preprocessor(folder, tmp_path / "p", **content))
    )
    images = pictures(channels)
    expected = features(model, normalised(images, statistics))
    torch.testing.assert_close(encoder(images), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_gray_model_serves_gray_and_colour(hub: Made, channels: int) -> None:
    model, folder = hub("ViTModel", num_channels=1)
    encoder = encoder_of(channels)
    load_into_encoder(encoder, read_weights(folder))
    gray = pictures(1)
    expected = features(model, (gray - 0.5) / 0.5)
    actual = encoder(gray.expand(-1, channels, -1, -1))
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def test_biases_that_a_model_goes_without_are_zero(hub: Made) -> None:
    model, folder = hub("ViTModel", qkv_bias=False)
    encoder = encoder_of(3)
    report = load_into_encoder(encoder, read_weights(folder))
    expected = features(model, normalised(pictures(3), HALVES))
    torch.testing.assert_close(encoder(pictures(3)), expected, rtol=1e-5, atol=1e-5)
    assert any("begin as zero" in note for note in report.notes)


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_positions_follow_another_image_size(hub: Made, size: tuple[int, int]) -> None:
    """The same model with positions that Pillow resized, which filters as timm does."""
    model, folder = hub("ViTModel")
    encoder = encoder_of(3, size)
    report = load_into_encoder(encoder, read_weights(folder))
    assert [(r.name, r.old, r.new) for r in report.resized] == [
        ("pos_embed", (4, 4), (size[0] // PATCH, size[1] // PATCH))
    ]
    positions = pil_positions(model.embeddings.position_embeddings.detach(), size)
    images = normalised(pictures(3, size), HALVES)
    with torch.no_grad():
        embeddings = model.embeddings
        tokens = embeddings.patch_embeddings.projection(images).flatten(2).transpose(1, 2)
        first = embeddings.cls_token.expand(len(images), -1, -1)
        tokens = torch.cat([first, tokens], dim=1) + positions
        for layer in model.layers:
            tokens = layer(tokens)
        expected = model.layernorm(tokens)
    torch.testing.assert_close(encoder(pictures(3, size)), expected, rtol=1e-5, atol=1e-5)


def test_larger_images_come_close_to_transformers_own_interpolation(hub: Made) -> None:
    """Its bicubic filter has another constant (-0.75, not -0.5) and no antialiasing."""
    model, folder = hub("ViTModel")
    encoder = encoder_of(3, (64, 64))
    load_into_encoder(encoder, read_weights(folder))
    images = pictures(3, (64, 64))
    with torch.no_grad():
        inputs = normalised(images, HALVES)
        expected = model(inputs, interpolate_pos_encoding=True).last_hidden_state
    error = (encoder(images) - expected).square().mean() / expected.var()
    assert 0 < error < 0.02


def test_names_of_transformers_5_are_known_too(hub: Made, tmp_path: Path) -> None:
    """On disk it writes the names of version 4; these are those in memory."""
    model, folder = hub("ViTMAEForPreTraining")
    (tmp_path / "config.json").symlink_to(folder / "config.json")
    save_file(dict(model.state_dict()), tmp_path / "model.safetensors")
    old, new = (read_weights(path) for path in (folder, tmp_path))
    for one, other in ((old.encoder, new.encoder), (old.decoder, new.decoder)):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("form", ["bin", "shards"])
def test_folders_with_other_files_are_known_too(hub: Made, tmp_path: Path, form: str) -> None:
    model, folder = hub("ViTModel")
    (tmp_path / "config.json").symlink_to(folder / "config.json")
    tensors = load_file(folder / "model.safetensors")
    if form == "bin":
        torch.save(tensors, tmp_path / "pytorch_model.bin")
    else:
        names = sorted(tensors)
        files = {"a.safetensors": names[:9], "b.safetensors": names[9:]}
        for file, part in files.items():
            save_file({name: tensors[name] for name in part}, tmp_path / file)
        index = {"weight_map": {name: file for file, part in files.items() for name in part}}
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    encoder = encoder_of(3)
    load_into_encoder(encoder, read_weights(tmp_path))
    expected = features(model, normalised(pictures(3), HALVES))
    torch.testing.assert_close(encoder(pictures(3)), expected, rtol=1e-5, atol=1e-5)


# Reconstructions


def hide(count: int, images: int) -> tuple[Tensor, Tensor]:
    """Noise that hides three quarters, and the mask it makes."""
    noise = torch.rand(images, count, generator=torch.Generator().manual_seed(5))
    hidden = noise.argsort(dim=1).argsort(dim=1) >= count - count * 3 // 4
    return noise, hidden


def reconstructed(model: Any, images: Tensor, noise: Tensor) -> Tensor:
    """What the autoencoder of transformers predicts, as an image of its own units."""
    model.config.mask_ratio = model.vit.config.mask_ratio = 0.75
    with torch.no_grad():
        return model.unpatchify(model(images, noise=noise).logits)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("form", ["huggingface", "facebook"])
def test_reconstructions_equal_those_of_transformers(
    hub: Made, tmp_path: Path, form: str, channels: int
) -> None:
    model, folder = hub("ViTMAEForPreTraining")
    source = folder if form == "huggingface" else facebook_file(model, tmp_path / "mae.pth")
    mae = mae_of(channels)
    report = load_into_autoencoder(mae, read_weights(source), target="raw")
    assert report.layout == form
    assert report.missing == report.unused == ()
    assert set(mae.state_dict()) | {"positions"} == set(report.loaded)
    images = pictures(channels)
    noise, mask = hide(16, len(images))
    said = reconstructed(model, normalised(images, IMAGENET), noise)
    mean, std = (torch.tensor(values)[:, None, None] for values in IMAGENET)
    expected = said * std + mean
    if channels == 1:
        expected = expected.mean(dim=1, keepdim=True)
    with torch.no_grad():
        actual = mae(images, mask).prediction
    hidden = expand_mask(mask, (4, 4), PATCH).expand_as(expected)
    torch.testing.assert_close(actual[hidden], expected[hidden], rtol=1e-5, atol=1e-5)


def test_a_gray_autoencoder_speaks_in_every_channel(hub: Made, tmp_path: Path) -> None:
    model, folder = hub("ViTMAEForPreTraining", num_channels=1)
    own = write_preprocessor(folder, tmp_path / "p", image_mean=[0.3], image_std=[0.2])
    mae = mae_of(3)
    load_into_autoencoder(mae, read_weights(own), target="raw")
    gray = pictures(1)
    noise, mask = hide(16, len(gray))
    expected = reconstructed(model, (gray - 0.3) / 0.2, noise) * 0.2 + 0.3
    with torch.no_grad():
        actual = mae(gray.expand(-1, 3, -1, -1), mask).prediction
    hidden = expand_mask(mask, (4, 4), PATCH).expand_as(actual)
    expected = expected.expand_as(actual)
    torch.testing.assert_close(actual[hidden], expected[hidden], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", SIZES[1:], ids=str)
def test_a_decoder_follows_another_image_size(hub: Made, size: tuple[int, int]) -> None:
    model, folder = hub("ViTMAEForPreTraining")
    mae = mae_of(1, size)
    report = load_into_autoencoder(mae, read_weights(folder), target="raw")
    given = model.decoder.decoder_pos_embed.detach()
    torch.testing.assert_close(mae.positions, pil_positions(given, size)[:, 1:])
    assert {r.name for r in report.resized} == {
        "encoder.vit.pos_embed",
        "encoder.vit.patch_embed.proj.weight",
        "head.weight",
        "positions",
    }


def test_normalised_pixels_have_no_head_here(hub: Made) -> None:
    _, folder = hub("ViTMAEForPreTraining")
    mae = mae_of(3)
    before = mae.head.weight.clone()
    report = load_into_autoencoder(mae, read_weights(folder), target="normalised")
    assert report.missing == ("head.weight", "head.bias")
    assert report.unused == ("decoder head.weight", "decoder head.bias")
    assert any("starts anew" in note for note in report.notes)
    assert torch.equal(mae.head.weight, before)
    assert "mask_token" in report.loaded


def test_raw_is_refused_where_the_source_says_normalised(hub: Made, tmp_path: Path) -> None:
    _, folder = hub("ViTMAEForPreTraining", norm_pix_loss=True)
    with pytest.raises(ValueError, match="weights_target normalised"):
        load_into_autoencoder(mae_of(3), read_weights(folder), target="raw")
    load_into_autoencoder(mae_of(3), read_weights(folder), target="normalised")


def test_an_encoder_alone_leaves_the_decoder_to_chance(hub: Made) -> None:
    _, folder = hub("ViTMAEModel")
    mae = mae_of(1)
    before = {k: v.clone() for k, v in mae.state_dict().items()}
    report = load_into_autoencoder(mae, read_weights(folder), target="raw")
    decoder = {name for name in before if not name.startswith("encoder.")}
    assert set(report.missing) == decoder
    assert all(torch.equal(mae.state_dict()[name], before[name]) for name in decoder)


# facebookresearch


def facebook_names(model: Any) -> dict[str, Tensor]:
    """Spell the tensors of transformers' autoencoder as facebookresearch/mae does."""
    tensors = model.state_dict()
    out = {
        "cls_token": tensors["vit.embeddings.cls_token"],
        "pos_embed": tensors["vit.embeddings.position_embeddings"],
        "patch_embed.proj.weight": tensors["vit.embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": tensors["vit.embeddings.patch_embeddings.projection.bias"],
        "mask_token": tensors["decoder.mask_token"],
        "decoder_pos_embed": tensors["decoder.decoder_pos_embed"],
    }
    for kind in ("weight", "bias"):
        out[f"norm.{kind}"] = tensors[f"vit.layernorm.{kind}"]
        for name in ("decoder_embed", "decoder_norm", "decoder_pred"):
            out[f"{name}.{kind}"] = tensors[f"decoder.{name}.{kind}"]
        for ours, theirs in (
            ("vit.layers", "blocks"),
            ("decoder.decoder_layers", "decoder_blocks"),
        ):
            for layer in range(2):
                old, new = f"{ours}.{layer}", f"{theirs}.{layer}"
                out[f"{new}.attn.qkv.{kind}"] = torch.cat(
                    [tensors[f"{old}.attention.{part}_proj.{kind}"] for part in "qkv"]
                )
                for a, b in (
                    ("attn.proj", "attention.o_proj"),
                    ("norm1", "layernorm_before"),
                    ("norm2", "layernorm_after"),
                    ("mlp.fc1", "mlp.fc1"),
                    ("mlp.fc2", "mlp.fc2"),
                ):
                    out[f"{new}.{a}.{kind}"] = tensors[f"{old}.{b}.{kind}"]
    return {name: value.clone() for name, value in out.items()}


def facebook_file(
    model: Any,
    path: Path,
    *,
    only: Callable[[str], bool] = lambda name: True,
    more: dict[str, Tensor] | None = None,
    outer: dict[str, Any] | None = None,
    **saving: Any,
) -> Path:
    tensors = {k: v for k, v in facebook_names(model).items() if only(k)} | (more or {})
    torch.save({"model": tensors, **(outer or {})}, path, **saving)
    return path


def encoder_name(name: str) -> bool:
    return not name.startswith("decoder") and name != "mask_token"


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_facebooks_encoder_gives_the_features(
    hub: Made, tmp_path: Path, zipped: bool, channels: int
) -> None:
    model, _ = hub("ViTMAEForPreTraining")
    path = facebook_file(
        model,
        tmp_path / "mae_pretrain.pth",
        only=encoder_name,
        _use_new_zipfile_serialization=zipped,
    )
    encoder = encoder_of(channels)
    report = load_into_encoder(encoder, read_weights(path))
    assert (report.layout, report.missing, report.unused) == ("facebook", (), ())
    expected = features(model, normalised(pictures(channels), IMAGENET))
    torch.testing.assert_close(encoder(pictures(channels)), expected, rtol=1e-5, atol=1e-5)


def test_facebooks_arguments_tell_heads_and_target(hub: Made, tmp_path: Path) -> None:
    model, _ = hub("ViTMAEForPreTraining")
    arguments = argparse.Namespace(model="mae_vit_large_patch16", norm_pix_loss=True, lr=1e-3)
    state = {"optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, "epoch": 799}
    path = facebook_file(
        model, tmp_path / "full.pth", outer={"args": arguments, **state, "scaler": {}}
    )
    weights = read_weights(path)
    assert weights.target == "normalised"
    assert weights.traits is not None
    assert weights.traits.heads == 16
    with pytest.raises(ValueError, match=r"full\.pth: .*heads .* 16, here 3"):
        load_into_encoder(encoder_of(3), weights)


def test_a_finetuned_checkpoint_has_no_last_norm(hub: Made, tmp_path: Path) -> None:
    model, _ = hub("ViTMAEForPreTraining")
    head = {
        "fc_norm.weight": torch.ones(WIDTH),
        "fc_norm.bias": torch.ones(WIDTH),
        "head.weight": torch.ones(7, WIDTH),
        "head.bias": torch.ones(7),
    }
    path = facebook_file(
        model,
        tmp_path / "finetuned.pth",
        only=lambda name: encoder_name(name) and not name.startswith("norm."),
        more=head,
    )
    encoder = encoder_of(3)
    report = load_into_encoder(encoder, read_weights(path))
    assert report.missing == ("norm.weight", "norm.bias")
    assert set(report.unused) == set(head)
    assert any("last norm" in note for note in report.notes)
    encoder.vit.norm.load_state_dict(model.vit.layernorm.state_dict())
    expected = features(model, normalised(pictures(3), IMAGENET))
    torch.testing.assert_close(encoder(pictures(3)), expected, rtol=1e-5, atol=1e-5)


# timm


def timm_vit(**settings: Any) -> Any:
    torch.manual_seed(0)
    shape = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH}
    return enliven(
        timm.create_model("vit_tiny_patch16_224", num_heads=HEADS, **{**shape, **settings})
    )


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    "form", ["safetensors", "flat.pth", "state_dict.pt", "ema.ckpt", "parallel.bin"]
)
def test_features_equal_those_of_timm(
    tmp_path: Path, form: str, size: tuple[int, int], channels: int
) -> None:
    vit = timm_vit()
    path = timm_file(vit, tmp_path, form)
    encoder = encoder_of(channels, size)
    report = load_into_encoder(encoder, read_weights(path))
    vit.set_input_size(img_size=size)
    with torch.no_grad():
        expected = vit.forward_features(normalised(pictures(channels, size), IMAGENET))
    torch.testing.assert_close(
        encoder(pictures(channels, size)), expected, rtol=1e-5, atol=1e-5
    )
    assert set(report.unused) == {"head.weight", "head.bias"}
    assert (report.layout, report.missing) == ("timm", ())
    assert any("averaged" in note for note in report.notes) == (form == "ema.ckpt")


def timm_file(vit: Any, folder: Path, form: str) -> Path:
    tensors = dict(vit.state_dict())
    path = folder / f"vit.{form}"
    if form == "safetensors":
        save_file(tensors, path)
        return path
    wrong = {name: torch.zeros_like(value) for name, value in tensors.items()}
    content: dict[str, Any] = {
        "flat.pth": tensors,
        "state_dict.pt": {"epoch": 3, "arch": "vit_tiny", "state_dict": tensors},
        "ema.ckpt": {"state_dict": wrong, "state_dict_ema": tensors},
        "parallel.bin": {f"module.{name}": value for name, value in tensors.items()},
    }
    torch.save(content[form], path)
    return path


def test_the_hub_folder_of_timm_tells_its_normalisation(tmp_path: Path) -> None:
    vit = timm_vit()
    save_file(dict(vit.state_dict()), tmp_path / "model.safetensors")
    config = {"architecture": "vit", "pretrained_cfg": {"mean": ODD[0], "std": ODD[1]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.no_grad():
        expected = vit.forward_features(normalised(pictures(1), ODD))
    for source in (tmp_path, tmp_path / "model.safetensors"):
        encoder = encoder_of(1)
        load_into_encoder(encoder, read_weights(str(source)))
        torch.testing.assert_close(encoder(pictures(1)), expected, rtol=1e-5, atol=1e-5)


def test_layer_scale_is_loaded_where_both_have_it(tmp_path: Path) -> None:
    vit = timm_vit(init_values=0.1)
    path = timm_file(vit, tmp_path, "safetensors")
    encoder = build_encoder(
        "vit_small_patch14_dinov2",
        image_size=(SIDE, SIDE),
        patch_size=PATCH,
        channels=3,
        options={"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS},
    ).eval()
    load_into_encoder(encoder, read_weights(path))
    with torch.no_grad():
        expected = vit.forward_features(normalised(pictures(3), IMAGENET))
    torch.testing.assert_close(encoder(pictures(3)), expected, rtol=1e-5, atol=1e-5)


# Our own


def own_facts(mae: MaskedAutoencoder, size: tuple[int, int] = (SIDE, SIDE)) -> dict[str, str]:
    encoder = mae.encoder
    model = {
        "encoder": "vit_tiny_patch16_224",
        "encoder_options": {"embed_dim": WIDTH, "depth": DEPTH, "num_heads": HEADS},
        "image_size": list(size),
        "patch_size": PATCH,
        "channels": encoder.channels,
        **DECODER,
    }
    statistics = {
        "input_mean": encoder.input_mean.tolist(),
        "input_std": encoder.input_std.tolist(),
    }
    facts = {"glcm_mae": "0.2.0", "model": model, "epochs_done": 4, **statistics}
    return {"facts": json.dumps(facts), "format": "pt"}


def own_run(folder: Path) -> MaskedAutoencoder:
    mae = mae_of(1)
    enliven(mae, seed=9)
    mae.encoder.set_input_statistics([0.3], [0.15])
    facts = own_facts(mae)
    save_file(dict(mae.encoder.vit.state_dict()), folder / "encoder.safetensors", facts)
    save_file(dict(mae.state_dict()), folder / "autoencoder.safetensors", facts)
    return mae


@pytest.mark.parametrize("name", ["encoder.safetensors", "autoencoder.safetensors", "."])
@pytest.mark.parametrize("channels", [1, 3])
def test_our_own_encoders_continue(tmp_path: Path, name: str, channels: int) -> None:
    mae = own_run(tmp_path)
    encoder = encoder_of(channels)
    report = load_into_encoder(encoder, read_weights(tmp_path / name))
    assert report.layout == "glcm-mae"
    gray = pictures(1)
    actual = encoder(gray.expand(-1, channels, -1, -1))
    torch.testing.assert_close(actual, mae.encoder(gray), rtol=1e-5, atol=1e-5)


def test_our_own_autoencoders_continue_bit_for_bit(tmp_path: Path) -> None:
    mae = own_run(tmp_path)
    other = mae_of(1)
    report = load_into_autoencoder(
        other, read_weights(tmp_path / "autoencoder.safetensors"), target="raw"
    )
    _, mask = hide(16, 3)
    with torch.no_grad():
        expected, actual = (model(pictures(1), mask).prediction for model in (mae, other))
    assert torch.equal(actual, expected)
    assert (report.resized, report.missing, report.unused) == ((), (), ())


def test_our_own_autoencoder_at_another_size_keeps_its_decoder(tmp_path: Path) -> None:
    mae = own_run(tmp_path)
    other = mae_of(1, (48, 24))
    report = load_into_autoencoder(other, read_weights(tmp_path), target="raw")
    first = torch.zeros(1, 1, 16)
    given = torch.cat([first, mae.positions], dim=1)
    torch.testing.assert_close(other.positions, pil_positions(given, (48, 24))[:, 1:])
    assert "positions" in {r.name for r in report.resized}


def test_a_report_names_everything_once(tmp_path: Path) -> None:
    own_run(tmp_path)
    report: LoadReport = load_into_encoder(encoder_of(3, (48, 48)), read_weights(tmp_path))
    lines = report.lines()
    assert (
        lines[0]
        == f"{tmp_path} (glcm-mae): 32 tensors loaded, 2 fitted, 0 missing, 32 passed over"
    )
    assert "  fitted: pos_embed 4 x 4 -> 6 x 6" in lines
    (passed,) = (line for line in lines if line.startswith("  passed over: "))
    for name in ("decoder mask_token", "decoder blocks.*.attn.qkv.weight (2)"):
        assert passed.count(name) == 1
