"""Pooling by attention against torch's own multi-head attention."""

import pytest
import torch
from torch import nn

from glcm_mae.model import Classifier, build_encoder
from glcm_mae.model.classifier import parameter_groups
from glcm_mae.model.pooling import AttentionPool

WIDTH, HEADS = 24, 3


def test_equals_torchs_attention() -> None:
    torch.manual_seed(0)
    pool = AttentionPool(WIDTH, heads=HEADS)
    with torch.no_grad():
        for parameter in pool.parameters():
            parameter.normal_()
    reference = nn.MultiheadAttention(WIDTH, HEADS, batch_first=True)
    reference.in_proj_weight.data = torch.cat(
        [torch.eye(WIDTH), pool.key.weight.data, pool.value.weight.data]
    )
    reference.in_proj_bias.data = torch.cat(
        [torch.zeros(WIDTH), pool.key.bias.data, pool.value.bias.data]
    )
    reference.out_proj.load_state_dict(pool.projection.state_dict())
    tokens = torch.randn(5, 7, WIDTH)
    normal = pool.norm(tokens)
    expected, _ = reference(pool.query.expand(5, -1, -1), normal, normal)
    torch.testing.assert_close(pool(tokens), expected[:, 0], rtol=1e-4, atol=1e-4)


def test_the_order_of_the_tokens_does_not_matter() -> None:
    pool, tokens = AttentionPool(WIDTH, heads=HEADS), torch.randn(2, 9, WIDTH)
    torch.testing.assert_close(pool(tokens), pool(tokens[:, torch.randperm(9)]))


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="multiple of heads, got 10 and 3"):
        AttentionPool(10, heads=3)


def built(**settings: object) -> Classifier:
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 16),
        patch_size=8,
        channels=1,
        drop_path=0.5,
        options={"depth": 2, "embed_dim": 24, "num_heads": 2},
    )
    return Classifier(encoder, classes=2, **settings)  # type: ignore[arg-type]


def test_an_attentive_probe_trains_the_pool_and_the_head_alone() -> None:
    torch.manual_seed(0)
    model = built(pooling="attention", frozen=True)
    model.train()
    assert not any(module.training for module in model.encoder.modules())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    groups = parameter_groups(model, weight_decay=0.05, layer_decay=0.5)
    assert {group["scale"] for group in groups} == {1.0}
    optimizer = torch.optim.AdamW([dict(group) for group in groups], lr=0.1)
    nn.init.normal_(model.head.weight)
    loss = nn.functional.cross_entropy(model(torch.rand(4, 1, 16, 16)), torch.arange(4) % 2)
    loss.backward()
    assert all(parameter.grad is None for parameter in model.encoder.parameters())
    optimizer.step()
    changed = {n for n, v in model.state_dict().items() if not torch.equal(v, before[n])}
    assert {name.split(".")[0] for name in changed} == {"pool", "norm", "head"}
    assert "pool.query" in changed
    still = [id(p) for g in groups if g["weight_decay"] == 0.0 for p in g["params"]]
    assert id(model.pool.query) in still


def test_the_class_token_has_no_part_in_the_pool() -> None:
    model = built(pooling="attention").eval()
    nn.init.normal_(model.head.weight)
    images = torch.rand(2, 1, 16, 16)
    with torch.no_grad():
        tokens = model.encoder(images)
        expected = model.head(model.norm(model.pool(tokens[:, 1:])))
    torch.testing.assert_close(model(images).detach(), expected)
