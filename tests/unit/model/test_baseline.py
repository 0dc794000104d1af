"""timm models as classifiers: sizes, channels, weights, layers, batch norm."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from glcm_mae.model.baseline import Baseline, build_baseline, load_baseline
from glcm_mae.model.batch_norm import running_statistics
from glcm_mae.model.classifier import parameter_groups

FAMILIES = ["test_resnet", "test_vit", "test_efficientnet", "efficientnet_b0"]


def built(name: str = "test_resnet", **settings: object) -> Baseline:
    torch.manual_seed(0)
    given = {"image_size": (64, 64), "channels": 1, "classes": 3, **settings}
    return build_baseline(name, **given).eval()  # type: ignore[arg-type]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_takes_gray_images_of_128(name: str) -> None:
    model = built(name, image_size=(128, 128))
    images = torch.rand(2, 1, 128, 128)
    with torch.no_grad():
        logits, features = model(images), model.features(images)
    assert logits.shape == (2, 3)
    torch.testing.assert_close(model.classifier(features), logits)


@pytest.mark.parametrize(
    "name",
    ["resnet50", "vgg16", "densenet121", "inception_v3", "pvt_v2_b2", "swin_s3_tiny_224"],
)
def test_large_families_take_gray_images_of_128(name: str) -> None:
    with torch.device("meta"):  # shapes alone
        assert built(name, image_size=(128, 128)).inputs == 1


def test_it_normalises_inside() -> None:
    model = built()
    model.set_input_statistics([0.2], [0.4])
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), model.net((images - 0.2) / 0.4))
    model.set_input_statistics([0.5], [0.0])
    assert model.input_std.item() == pytest.approx(1e-3)


@pytest.mark.parametrize("name", ["nothing", "hf-hub:timm/resnet50", "../resnet50"])
def test_only_names_of_timm_are_taken(name: str) -> None:
    with pytest.raises(ValueError, match=r"is not a timm model; choose for instance resnet50"):
        built(name)


def test_a_size_that_does_not_fit_is_told_with_the_models_own() -> None:
    with (
        pytest.raises(ValueError, match=r"'inception_v3' cannot take images of 64 x 64 .* 299"),
        torch.device("meta"),
    ):
        built("inception_v3")
    with pytest.raises(ValueError, match=r"'test_vit' cannot take images of 60 x 60"):
        built("test_vit", image_size=(60, 60))


def weights_of(name: str, path: Path, **settings: object) -> tuple[nn.Module, Path]:
    torch.manual_seed(1)
    net = timm.create_model(name, **settings).eval()
    with torch.no_grad():
        for key, value in net.state_dict().items():
            if key.endswith("running_var"):
                value.uniform_(0.5, 2.0)
    save_file({k: v.contiguous() for k, v in net.state_dict().items()}, path)
    return net, path


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_gray_images_are_seen_as_the_source_sees_their_copies_in_colour(
    name: str, tmp_path: Path
) -> None:
    source, path = weights_of(name, tmp_path / "w.safetensors")
    side = 160 if name == "test_vit" else 64  # its own size: positions are not resized
    shape = {"image_size": (side, side), "channels": 1, "classes": 3}
    model = load_baseline(name, path, **shape).eval()  # type: ignore[arg-type]
    images = torch.rand(2, 1, side, side)
    config = timm.get_pretrained_cfg(name)
    mean, std = (torch.tensor(v)[:, None, None] for v in (config.mean, config.std))
    with torch.no_grad():
        coloured = (images.expand(-1, 3, -1, -1) - mean) / std
        expected = source.forward_head(source.forward_features(coloured), pre_logits=True)
        torch.testing.assert_close(model.features(images), expected)
        assert model(images).shape == (2, 3)


def test_positions_are_resized_with_the_images(tmp_path: Path) -> None:
    _, path = weights_of("test_vit", tmp_path / "w.safetensors")
    model = load_baseline("test_vit", path, image_size=(64, 96), channels=1, classes=2)
    assert model(torch.rand(1, 1, 64, 96)).shape == (1, 2)


def test_weights_of_one_channel_serve_one_channel(tmp_path: Path) -> None:
    source, path = weights_of("test_resnet", tmp_path / "w.safetensors", in_chans=1)
    model = load_baseline("test_resnet", path, image_size=(64, 64), channels=1, classes=2)
    assert torch.equal(model.net.conv1[0].weight, source.conv1[0].weight)
    with pytest.raises(ValueError, match="weights for 1 channels fit 1 or 1 channel"):
        load_baseline("test_resnet", path, image_size=(64, 64), channels=3, classes=2)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    _, path = weights_of("test_vit", tmp_path / "w.safetensors")
    shape = {"image_size": (64, 64), "channels": 1, "classes": 2}
    with pytest.raises(ValueError, match=r"not the weights of timm's test_resnet: lacks"):
        load_baseline("test_resnet", path, **shape)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="weights of another model than baseline test_resnet"):
        load_baseline("test_resnet", "timm:test_vit", **shape)  # type: ignore[arg-type]
    bad = {k: v.clone() for k, v in timm.create_model("test_vit").state_dict().items()}
    bad["norm.weight"][0] = float("nan")
    save_file(bad, tmp_path / "bad.safetensors")
    with pytest.raises(ValueError, match=r"norm\.weight is not finite"):
        load_baseline("test_vit", tmp_path / "bad.safetensors", **shape)  # type: ignore[arg-type]


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save({"conv1.0.weight": timm.create_model("test_resnet")}, tmp_path / "w.pth")
    with pytest.raises(ValueError, match="refused, because it is no whole checkpoint"):
        load_baseline(
            "test_resnet", tmp_path / "w.pth", image_size=(64, 64), channels=1, classes=2
        )


def test_weights_of_timm_that_cannot_be_had_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(name: str, *, pretrained: bool = False, **_: object) -> nn.Module:
        raise OSError("no network")

    monkeypatch.setattr("glcm_mae.model.baseline.timm.create_model", offline)
    with pytest.raises(ValueError, match=r"timm:test_resnet.*: cannot be had .*no network"):
        load_baseline(
            "test_resnet", "timm:test_resnet", image_size=(64, 64), channels=1, classes=2
        )


def test_layers_decay_from_the_head_to_the_image() -> None:
    model = built("test_vit")
    scale = {
        id(parameter): group["scale"]
        for group in parameter_groups(model, weight_decay=0.05, layer_decay=0.5)
        for parameter in group["params"]
    }
    depth = len(model.net.blocks)
    assert scale[id(model.net.head.weight)] == 1.0
    for number, block in enumerate(model.net.blocks):
        assert scale[id(block.attn.qkv.weight)] == 0.5 ** (depth - number)
    assert scale[id(model.net.patch_embed.proj.weight)] == 0.5 ** (depth + 1)
    trainable = [p for p in model.parameters() if p.requires_grad]
    assert set(scale) == {id(p) for p in trainable}
    still = [
        id(p)
        for group in parameter_groups(model, weight_decay=0.05)
        if group["weight_decay"] == 0.0
        for p in group["params"]
    ]
    assert id(model.net.pos_embed) in still
    stages = built().layers()
    assert stages["net.conv1.0.weight"] == 0
    assert stages["net.fc.weight"] == max(stages.values())
    assert stages["net.layer4.0.conv1.weight"] > stages["net.layer1.0.conv1.weight"]


def test_a_frozen_baseline_trains_its_head_alone() -> None:
    model = built(frozen=True)
    assert not model.averages_batches
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    trainable = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trainable, lr=1.0)
    loss = nn.functional.cross_entropy(model(torch.rand(4, 1, 64, 64)), torch.arange(4) % 3)
    loss.backward()
    optimizer.step()
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"net.fc.weight", "net.fc.bias"}


def test_batch_norm_is_known_with_its_statistics() -> None:
    model = built()
    assert model.averages_batches
    statistics = running_statistics(model)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert len(statistics) == 2 * norms > 0
    before = {name: value.clone() for name, value in statistics.items()}
    model.train()(torch.rand(4, 1, 64, 64))
    assert all(not torch.equal(value, before[name]) for name, value in statistics.items())
    assert not built("test_vit").averages_batches
    assert running_statistics(built("test_vit")) == {}
