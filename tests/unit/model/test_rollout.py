"""Attention rollout against matrices worked out by hand and a slow twin of its own."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from glcm_mae.model import Classifier, build_encoder
from glcm_mae.model.encoder import use_fused_attention
from glcm_mae.model.rollout import attention_maps, patch_relevance, roll_out

FUSIONS = {"mean": np.mean, "max": np.max, "min": np.min}


def random_attention(
    seed: int, layers: int = 3, heads: int = 2, tokens: int = 5, batch: int = 2
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(batch, layers, heads, tokens, tokens, generator=generator)
    return scores.double().softmax(dim=-1)


def built(pooling: str = "mean", *, depth: int = 2) -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 24),
        patch_size=8,
        channels=1,
        options={"depth": depth, "embed_dim": 24, "num_heads": 2},
    )
    model = Classifier(encoder, classes=3, pooling=pooling)  # type: ignore[arg-type]
    with torch.no_grad():  # attention of a fresh model is all but even
        for block in encoder.vit.blocks:
            block.attn.qkv.weight.mul_(4)
    return model.eval()


def slow_rollout(attention: np.ndarray, fuse: object) -> np.ndarray:
    """One image, written with loops over tokens, from the last layer down."""
    _, heads, tokens, _ = attention.shape

    def share(layer: int, out: int, into: int) -> float:
        fused = [
            fuse([attention[layer, h, out, t] for h in range(heads)]) for t in range(tokens)
        ]
        return 0.5 * fused[into] / sum(fused) + 0.5 * (out == into)

    def reach(layer: int, out: int, into: int) -> float:
        if layer < 0:
            return float(out == into)
        return sum(
            share(layer, out, via) * reach(layer - 1, via, into) for via in range(tokens)
        )

    last = len(attention) - 1
    return np.array(
        [[reach(last, out, into) for into in range(tokens)] for out in range(tokens)]
    )


def test_two_layers_by_hand() -> None:
    first = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    second = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    # (second + I) / 2 = [[.5, .5], [0, 1]]; (first + I) / 2 = [[1, 0], [.5, .5]].
    expected = torch.tensor([[[0.75, 0.25], [0.5, 0.5]]])
    attention = torch.stack([first, second])[None, :, None]
    torch.testing.assert_close(roll_out(attention), expected)


@pytest.mark.parametrize("fusion", ["mean", "max", "min"])
def test_agrees_with_the_slow_twin(fusion: str) -> None:
    attention = random_attention(1)
    found = roll_out(attention, fusion)  # type: ignore[arg-type]
    expected = np.stack([slow_rollout(one.numpy(), FUSIONS[fusion]) for one in attention])
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


@given(seed=st.integers(0, 1000), fusion=st.sampled_from(["mean", "max", "min"]))
def test_rows_sum_to_one(seed: int, fusion: str) -> None:
    rolled = roll_out(random_attention(seed), fusion)  # type: ignore[arg-type]
    torch.testing.assert_close(rolled.sum(dim=-1), torch.ones(2, 5, dtype=torch.float64))
    assert bool((rolled >= 0).all())


def test_even_attention_gives_an_even_row_to_patches_pooled_by_their_mean() -> None:
    attention = torch.full((1, 4, 2, 6, 6), 1 / 6)
    rolled = roll_out(attention)
    off = rolled[0][~torch.eye(6, dtype=torch.bool)]
    torch.testing.assert_close(off, off[:1].expand_as(off))
    patches = rolled[0, 1:, 1:].mean(dim=0)
    torch.testing.assert_close(patches, patches[:1].expand_as(patches))
    torch.testing.assert_close(rolled[0, 0, 1:], rolled[0, 0, 1:2].expand(5))


@given(seed=st.integers(0, 100))
def test_other_order_of_tokens_gives_the_same_map_in_that_order(seed: int) -> None:
    attention = random_attention(seed, tokens=6)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    turned = attention[..., order, :][..., order]
    torch.testing.assert_close(
        roll_out(turned), roll_out(attention)[:, order][:, :, order], atol=1e-12, rtol=0
    )


def test_heads_that_agree_on_nothing_leave_a_token_to_itself() -> None:
    attention = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 1.0]])
    rolled = roll_out(torch.stack(attention)[None, None], "min")
    torch.testing.assert_close(rolled[0], torch.eye(2))


def test_no_layer_is_refused() -> None:
    with pytest.raises(ValueError, match="a layer and a head, got 0 and 2"):
        roll_out(torch.ones(1, 0, 2, 3, 3))


@pytest.mark.parametrize("fused", [True, False])
def test_attention_is_what_the_layers_multiply_the_values_with(fused: bool) -> None:
    model = built()
    use_fused_attention(model, fused)
    images = torch.rand(2, 1, 16, 24)
    seen: list[Tensor] = []
    for block in model.encoder.vit.blocks:
        block.attn.proj.register_forward_hook(lambda _, given, __: seen.append(given[0]))
        block.attn.qkv.register_forward_hook(lambda _, __, qkv: seen.append(qkv))
    maps = attention_maps(model.encoder, images)
    assert maps.shape == (2, 2, 2, 7, 7)
    torch.testing.assert_close(maps.sum(dim=-1), torch.ones(2, 2, 2, 7))
    for layer in range(2):
        qkv, gathered = seen[2 * layer], seen[2 * layer + 1]
        values = qkv.reshape(2, 7, 3, 2, 12)[:, :, 2].transpose(1, 2)
        again = (maps[:, layer] @ values).transpose(1, 2).reshape(2, 7, 24)
        torch.testing.assert_close(again, gathered, atol=1e-5, rtol=1e-5)


def test_hooks_are_gone_afterwards() -> None:
    model = built()
    attention_maps(model.encoder, torch.rand(1, 1, 16, 24))
    assert not any(module._forward_hooks for module in model.modules())


def test_only_timms_own_attention_is_known() -> None:
    model = built()
    model.encoder.vit.blocks[1].attn = nn.Identity()
    with pytest.raises(ValueError, match="timm's own attention"):
        attention_maps(model.encoder, torch.rand(1, 1, 16, 24))


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_each_pooling_has_its_row(pooling: str) -> None:
    model, images = built(pooling), torch.rand(2, 1, 16, 24)
    rolled = roll_out(attention_maps(model.encoder, images))
    if pooling == "cls":
        row = rolled[:, 0, 1:]
    elif pooling == "mean":
        row = rolled[:, 1:, 1:].sum(dim=1)
    else:
        nn.init.normal_(model.pool.query)
        tokens = model.pool.norm(model.encoder(images)[:, 1:])
        heads = model.pool.heads
        query = model.pool.query.expand(2, -1, -1)
        parts = [
            part.reshape(2, -1, heads, 24 // heads) for part in (query, model.pool.key(tokens))
        ]
        scores = torch.einsum("bqhc,bthc->bhqt", *parts) / (24 // heads) ** 0.5
        taken = scores.softmax(dim=-1).mean(dim=1)[:, 0].detach()
        torch.testing.assert_close(
            model.pool.weights(model.encoder(images)[:, 1:]).mean(dim=1).detach(), taken
        )
        row = (taken[:, :, None] * rolled[:, 1:, 1:]).sum(dim=1)
    found = patch_relevance(model, images)
    torch.testing.assert_close(found.flatten(1), row / row.sum(dim=1, keepdim=True))
    torch.testing.assert_close(found.sum(dim=(1, 2)), torch.ones(2))


def test_other_order_of_patches_turns_the_map() -> None:
    model = built()
    with torch.no_grad():  # so that no patch knows where it stands
        model.encoder.vit.pos_embed.zero_()
    image = torch.rand(1, 1, 16, 24)
    turned = torch.cat([image[..., 8:], image[..., :8]], dim=3)
    plain, moved = patch_relevance(model, image), patch_relevance(model, turned)
    torch.testing.assert_close(moved, plain.roll(-1, dims=2))
    assert float(plain.std()) > 1e-4
