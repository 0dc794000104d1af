"""Names, folders and configurations: what is found, and what is refused in one line."""

import json
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file

from glcm_mae.model import build_encoder
from glcm_mae.model.encoder import pretrained_vit
from glcm_mae.model.weights import load_into_encoder, read_weights

TINY = "vit_tiny_patch16_224"


def tensors_of(**settings: Any) -> dict[str, torch.Tensor]:
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 3}
    vit = timm.create_model(TINY, **{**shape, **settings})
    return {name: value.clone() for name, value in vit.state_dict().items()}


def refusal(source: str | Path) -> str:
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the message is looked at
        read_weights(source)
    message = str(error.value)
    assert message.startswith(str(source))
    assert "\n" not in message
    return message


# timm's names


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub, and no network."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    return tmp_path


def test_a_timm_name_is_read_from_its_cache(cache: Path) -> None:
    settings = timm.get_pretrained_cfg(TINY)
    torch.manual_seed(4)
    vit = timm.create_model(TINY).eval()
    folder = cache / f"models--{settings.hf_hub_id.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    save_file(vit.state_dict(), snapshot / "model.safetensors")
    encoder = build_encoder(TINY, image_size=(224, 224), patch_size=16, channels=3).eval()
    report = load_into_encoder(encoder, read_weights(f"timm:{TINY}"))
    mean, std = (torch.tensor(v)[:, None, None] for v in (settings.mean, settings.std))
    images = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        expected = vit.forward_features((images - mean) / std)
        torch.testing.assert_close(encoder(images), expected, rtol=1e-5, atol=1e-5)
    assert (report.missing, report.unused, report.notes) == ((), (), ())
    counts = "152 tensors loaded, 0 fitted, 0 missing, 0 passed over"
    assert report.lines() == [f"timm:{TINY} (timm): {counts}"]


def test_without_cache_or_network_one_line_tells(cache: Path) -> None:
    message = refusal(f"timm:{TINY}")
    assert "cannot be had from timm's cache or the network" in message
    assert "connect once, or give a file" in message
    assert len(message) < 400


@pytest.mark.parametrize(
    "name",
    ["vit_of_nobody", "", "hf-hub:someone/model", "local-dir:/tmp", "../vit", "someone/model"],
)
def test_names_that_timm_has_not_are_refused(cache: Path, name: str) -> None:
    assert "is not a timm model" in refusal(f"timm:{name}")


def test_a_tag_that_timm_has_not_is_refused(cache: Path) -> None:
    assert "cannot be had" in refusal(f"timm:{TINY}.of_nobody")


@pytest.mark.parametrize(
    "name", ["resnet18", "vit_small_patch16_dinov3", "deit_tiny_distilled_patch16_224"]
)
def test_models_of_timm_that_are_no_plain_ones_are_refused(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = timm.create_model
    monkeypatch.setattr(
        "timm.create_model", lambda name, **more: create(name, **{**more, "pretrained": False})
    )
    with pytest.raises(ValueError, match="is not a plain vision transformer"):
        pretrained_vit(name)


# Files and folders


def test_a_path_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "no such weights; give a file, a folder or timm:NAME" in refusal(tmp_path / "none")


def test_a_folder_without_weights_is_told(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    for name in ("autoencoder.safetensors", "model.safetensors", "pytorch_model.bin"):
        assert name in message


@pytest.mark.parametrize(
    "target", ["../a.safetensors", "/etc/passwd", "x/a.safetensors", "../.."]
)
def test_an_index_may_not_lead_out_of_its_folder(tmp_path: Path, target: str) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"cls_token": target}}))
    assert "outside of its folder" in refusal(tmp_path)


@pytest.mark.parametrize("content", [{}, {"weight_map": []}, {"weight_map": {}}])
def test_an_index_must_list_files(tmp_path: Path, content: dict[str, Any]) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(content))
    assert "lists no files" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cls_token": None}, "no vision transformer with a class token: cls_token missing"),
        ({"cls_token": None, "reg_token": (1, 4, 24)}, "has register tokens"),
        ({"pos_embed": (1, 18, 24)}, "17 positions are no grid of 4 x 4"),
        ({"pos_embed": (1, 18, 24), "dist_token": (1, 1, 24)}, "has a distillation token"),
        ({"pos_embed": (1, 1, 24)}, "0 positions"),
        ({"pos_embed": (17, 24)}, "unknown form"),
        ({"patch_embed.proj.weight": (24, 192)}, "unknown form"),
        ({"patch_embed.proj.weight": (24, 4, 8, 8)}, "4 channels have the normalisation"),
    ],
    ids=str,
)
def test_tensors_that_are_no_plain_transformer_are_refused(
    tmp_path: Path, change: dict[str, tuple[int, ...] | None], message: str
) -> None:
    tensors = tensors_of()
    for name, shape in change.items():
        tensors.pop(name, None)
        if shape is not None:
            tensors[name] = torch.zeros(shape)
    save_file(tensors, tmp_path / "a.safetensors")
    assert message in refusal(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": [0.5], "std": [0.5]}, "3 channels have the normalisation"),
        ({"mean": [0.5] * 3, "std": [0.0] * 3}, "divides images by 0.0"),
        ({"mean": [0.5] * 3, "std": [-1.0] * 3}, "divides images by -1.0"),
        ({"mean": [float("nan")] * 3, "std": [0.5] * 3}, "3 channels have the normalisation"),
        ({"mean": "abc", "std": [0.5] * 3}, "lists of numbers"),
        ({"mean": None, "std": 3}, "lists of numbers"),
    ],
    ids=str,
)
def test_a_normalisation_that_is_none_is_refused(
    tmp_path: Path, statistics: dict[str, Any], message: str
) -> None:
    save_file(tensors_of(), tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_cfg": statistics}))
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "facts",
    [
        "",
        "[]",
        "{}",
        "null",
        "[" * 100_000,
        json.dumps({"input_mean": [0.5], "input_std": [0.5]}),
        json.dumps({"input_mean": [0.5], "input_std": [0.5], "model": {"patch_size": 0}}),
        json.dumps(
            {
                "input_mean": [0],
                "input_std": [1],
                "model": {"image_size": [8, 8], "patch_size": 0},
            }
        ),
        json.dumps(
            {"input_mean": [0], "input_std": [1], "model": {"image_size": 8, "patch_size": 8}}
        ),
    ],
    ids=lambda facts: facts[:60] or "empty",
)
def test_our_files_must_tell_their_model(tmp_path: Path, facts: str) -> None:
    save_file(tensors_of(), tmp_path / "encoder.safetensors", {"facts": facts})
    assert "does not tell its model" in refusal(tmp_path / "encoder.safetensors")


# Configurations of transformers

NAMES = {
    "embeddings.cls_token": (1, 1, 24),
    "embeddings.position_embeddings": (1, 17, 24),
    "embeddings.patch_embeddings.projection.weight": (24, 3, 8, 8),
    "embeddings.patch_embeddings.projection.bias": (24,),
    "encoder.layer.0.attention.attention.query.weight": (24, 24),
    "encoder.layer.0.attention.attention.query.bias": (24,),
}
VIT = {"model_type": "vit", "image_size": 32, "patch_size": 8}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "need config.json"),
        ({**VIT, "model_type": "deit"}, "model_type 'deit' is no plain vision transformer"),
        ({**VIT, "model_type": None}, "model_type None"),
        ({**VIT, "image_size": "big"}, "has the size 'big'"),
        ({**VIT, "image_size": [32, 32, 32]}, "has the size"),
        ({**VIT, "patch_size": 0}, "has the size 0"),
        (VIT, "attn.qkv.bias needs query, key and value"),
        ({**VIT, "num_channels": "x"}, "invalid literal"),
    ],
    ids=str,
)
def test_configurations_that_do_not_fit_are_refused(
    tmp_path: Path, config: dict[str, Any] | None, message: str
) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in NAMES.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config))
    assert message in refusal(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        {"rescale_factor": 0},
        {"rescale_factor": -1},
        {"image_mean": "abc"},
        {"image_std": 3},
        {"image_mean": [None] * 3},
    ],
    ids=str,
)
def test_a_preprocessing_that_makes_no_sense_is_refused(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    tensors = {name: torch.zeros(shape) for name, shape in NAMES.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(VIT))
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    assert "preprocessor_config.json: " in refusal(tmp_path)
