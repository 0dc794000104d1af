"""Pooling, and the parameters grouped by layer and by decay."""

from typing import Literal

import pytest
import torch

from glcm_mae.model import Classifier, MaskedAutoencoder, build_encoder, parameter_groups
from glcm_mae.model.classifier import class_weights, count_parameters

DEPTH = 3


def built(pooling: Literal["mean", "cls"] = "mean", classes: int = 3) -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 24),
        patch_size=8,
        channels=1,
        options={"depth": DEPTH},
    )
    return Classifier(encoder, classes=classes, pooling=pooling).eval()


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_pooling_by_hand(pooling: Literal["mean", "cls"]) -> None:
    model = built(pooling)
    with torch.no_grad():
        model.head.weight.normal_()
        model.norm.weight.uniform_(0.5, 1.5)
        images = torch.rand(2, 1, 16, 24)
        tokens = model.encoder(images)
        pooled = (
            sum(tokens[:, i] for i in range(1, 7)) / 6 if pooling == "mean" else tokens[:, 0]
        )
        centred = pooled - pooled.mean(1, keepdim=True)
        normal = centred / (pooled.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        expected = (normal * model.norm.weight) @ model.head.weight.T
        torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4)


def test_a_new_classifier_says_that_all_classes_are_equally_likely() -> None:
    with torch.no_grad():
        probabilities = built(classes=4)(torch.rand(2, 1, 16, 24)).softmax(1)
    torch.testing.assert_close(probabilities, torch.full((2, 4), 0.25), rtol=0, atol=1e-3)


def layer_of(name: str) -> int:
    """0 the embedding, 1 to DEPTH the blocks, DEPTH + 1 the rest."""
    parts = name.split(".")
    if "blocks" in parts and parts[0] == "encoder":
        return int(parts[3]) + 1
    return 0 if "patch_embed" in parts or "cls_token" in parts else DEPTH + 1


def test_every_trainable_parameter_is_in_one_group_with_its_scale_and_decay() -> None:
    model = built()
    place: dict[torch.nn.Parameter, tuple[float, float]] = {}
    for group in parameter_groups(model, weight_decay=0.05, layer_decay=0.5):
        for parameter in group["params"]:
            assert parameter not in place
            place[parameter] = (group["scale"], group["weight_decay"])
    trainable = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(place) == set(trainable.values())
    for name, parameter in trainable.items():
        scale, decay = place[parameter]
        assert scale == 0.5 ** (DEPTH + 1 - layer_of(name)), name
        matrix = name.endswith("weight") and "norm" not in name
        assert decay == (0.05 if matrix else 0.0), name
    assert place[model.head.weight] == (1.0, 0.05)
    assert place[model.encoder.vit.blocks[-1].attn.qkv.weight] == (0.5, 0.05)
    assert place[model.encoder.vit.cls_token] == (0.5 ** (DEPTH + 1), 0.0)
    assert place[model.encoder.vit.patch_embed.proj.weight] == (0.5 ** (DEPTH + 1), 0.05)


def test_groups_come_in_the_order_of_the_layers() -> None:
    groups = parameter_groups(built(), weight_decay=0.05, layer_decay=0.5)
    scales = [group["scale"] for group in groups]
    assert scales == sorted(scales)
    assert len(groups) == 2 * (DEPTH + 2)


def test_a_frozen_parameter_is_in_no_group() -> None:
    model = built()
    model.encoder.requires_grad_(False)
    grouped = [
        parameter
        for group in parameter_groups(model, weight_decay=0.05)
        for parameter in group["params"]
    ]
    own = [*model.norm.parameters(), *model.head.parameters()]
    assert {id(p) for p in grouped} == {id(p) for p in own}


def test_the_tokens_of_an_autoencoder_do_not_decay() -> None:
    model = MaskedAutoencoder(
        built().encoder, decoder_depth=1, decoder_width=32, decoder_heads=2
    )
    groups = parameter_groups(model, weight_decay=0.05)
    assert {group["scale"] for group in groups} == {1.0}
    still = {id(p) for g in groups if g["weight_decay"] == 0.0 for p in g["params"]}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            flat = parameter.ndim == 1 or name.endswith("token")
            assert (id(parameter) in still) == flat, name
    # The decoder's blocks belong to the top, not to the encoder's layers.
    top = parameter_groups(model, weight_decay=0.05, layer_decay=0.5)[-1]
    assert any(p is model.blocks[0].attn.qkv.weight for p in top["params"])


def test_trainable_parameters_are_counted_by_hand() -> None:
    model = built(classes=3)
    width, patches = 192, 6
    block = (
        4 * width  # two norms
        + width * 3 * width
        + 3 * width  # queries, keys, values
        + width * width
        + width  # projection
        + 2 * width * 4 * width
        + 5 * width  # two layers
    )
    embedding = 64 * width + width + width  # patches, bias, class token
    rest = 2 * width + 2 * width + 3 * width + 3  # two norms, head
    assert count_parameters(model) == DEPTH * block + embedding + rest
    assert sum(p.numel() for p in model.parameters()) == count_parameters(model) + width * (
        patches + 1
    )


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        ([0, 0, 0, 1], 2, [2 / 3, 2.0]),
        ([0, 1, 2], 3, [1.0, 1.0, 1.0]),
        ([2, 0, 0, 2, 1, 2], 3, [1.0, 2.0, 2 / 3]),
    ],
)
def test_class_weights_by_hand(labels: list[int], classes: int, expected: list[float]) -> None:
    weights = class_weights(torch.tensor(labels), classes)
    assert weights.tolist() == pytest.approx(expected)
    assert weights[torch.tensor(labels)].mean().item() == pytest.approx(1.0)


def test_a_class_that_does_not_occur_has_a_finite_weight() -> None:
    assert class_weights(torch.tensor([0, 0]), 2).isfinite().all()
