"""Attention rollout: how much of each patch reaches what a vision transformer says."""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from glcm_mae.model.classifier import Classifier
from glcm_mae.model.encoder import Attention, Encoder

Fusion = Literal["mean", "max", "min"]
_FUSIONS: dict[str, Callable[..., Tensor]] = {
    "mean": torch.mean,
    "max": torch.amax,
    "min": torch.amin,
}


def attention_maps(
    encoder: Encoder, images: Float[Tensor, "batch channel height width"]
) -> Float[Tensor, "batch layers heads tokens tokens"]:
    """Return what every token of every layer attends to.

    The fused kernel never holds these matrices, so they are computed again from the queries
    and keys that enter it; whether it is used changes nothing here.

    Args:
        encoder: A vision transformer.
        images: Images in [0, 1].

    Returns:
        Shares in [0, 1]; each row, what one token takes of all, sums to one. The first token
        is the class token, then one a patch in row order.

    Raises:
        ValueError: If a block has another kind of attention than timm's own.

    Example:
        >>> from glcm_mae.model.encoder import build_encoder
        >>> encoder = build_encoder("vit_tiny_patch16_224", image_size=(32, 32),
        ...                         patch_size=16, channels=1, options={"depth": 2}).eval()
        >>> attention_maps(encoder, torch.rand(1, 1, 32, 32)).shape
        torch.Size([1, 2, 3, 5, 5])
    """
    layers: list[Attention] = []
    for block in encoder.vit.blocks:
        attention = getattr(block, "attn", None)
        if not isinstance(attention, Attention):
            raise ValueError(f"rollout needs timm's own attention, got {type(attention)}")
        layers.append(attention)
    found: dict[int, Tensor] = {}
    with ExitStack() as hooks, torch.no_grad():
        for number, layer in enumerate(layers):

            def keep(
                _: Any, __: Any, qkv: Tensor, number: int = number, layer: Any = layer
            ) -> None:
                found[number] = _attention(layer, qkv)

            hooks.callback(layer.qkv.register_forward_hook(keep).remove)
        encoder(images)
    return torch.stack([found[number] for number in range(len(layers))], dim=1)


def _attention(
    layer: Attention, qkv: Float[Tensor, "batch tokens parts"]
) -> Float[Tensor, "batch heads tokens tokens"]:
    """Compute a layer's attention in float32, as timm's plain branch does."""
    batch, tokens, _ = qkv.shape
    shape = (batch, tokens, 3, layer.num_heads, layer.head_dim)
    query, key, _ = qkv.float().reshape(shape).permute(2, 0, 3, 1, 4).unbind(0)
    query, key = layer.q_norm(query), layer.k_norm(key)
    scores: Tensor = query * layer.scale @ key.transpose(2, 3)
    return scores.softmax(dim=-1)


def roll_out(
    attention: Float[Tensor, "batch layers heads tokens tokens"], fusion: Fusion = "mean"
) -> Float[Tensor, "batch tokens tokens"]:
    r"""Follow attention through all layers [1]_.

    Heads are fused to one matrix :math:`W_l`, its rows brought to the sum one (the mean has
    it already). A token passes half of itself by the residual connection, and
    :math:`(W_L / 2 + I / 2) \cdots (W_1 / 2 + I / 2)` tells what of the input each token of
    the last layer is mixed of. Values, norms and MLPs are left out of account.

    Args:
        attention: Attention of every layer, the first layer first; rows sum to one.
        fusion: How heads are fused.

    Returns:
        Rows are tokens after the last layer, columns tokens of the input; rows sum to one.

    Raises:
        ValueError: If there is no layer or no head.

    Example:
        >>> one = torch.tensor([[0.0, 1.0], [0.0, 1.0]])
        >>> roll_out(one[None, None, None])
        tensor([[[0.5000, 0.5000],
                 [0.0000, 1.0000]]])

    References:
        .. [1] Abnar & Zuidema, 2020, arXiv:2005.00928, section 3
    """
    _, layers, heads, tokens, _ = attention.shape
    if layers == 0 or heads == 0:
        raise ValueError(f"rollout needs a layer and a head, got {layers} and {heads}")
    fuse = _FUSIONS[fusion]
    identity = torch.eye(tokens, dtype=attention.dtype, device=attention.device)
    rolled = identity.expand(len(attention), -1, -1)
    for layer in attention.unbind(dim=1):
        fused = fuse(layer, dim=1)
        total = fused.sum(dim=-1, keepdim=True)
        # The least of several heads may be 0 for every token: then all stays with itself.
        fused = torch.where(total > 0, fused / total, identity)
        rolled = (0.5 * fused + 0.5 * identity) @ rolled
    return rolled


def patch_relevance(
    model: Classifier,
    images: Float[Tensor, "batch channel height width"],
    fusion: Fusion = "mean",
) -> Float[Tensor, "batch rows cols"]:
    """Return how much of each patch is in what the head of a classifier is given.

    With pooling ``cls`` it is the row of the class token; with ``mean`` the mean of the rows
    of the patches; with ``attention`` these rows, each weighted by what the pool takes of
    it in the mean over its heads. The share of the class token itself is left out.

    Args:
        model: A classifier, in evaluation mode.
        images: Images in [0, 1].
        fusion: How heads are fused.

    Returns:
        Shares that sum to one over the patches of an image.

    Example:
        >>> from glcm_mae.model.encoder import build_encoder
        >>> encoder = build_encoder("vit_tiny_patch16_224", image_size=(32, 64),
        ...                         patch_size=16, channels=1, options={"depth": 1})
        >>> model = Classifier(encoder, classes=2).eval()
        >>> patch_relevance(model, torch.rand(1, 1, 32, 64)).shape
        torch.Size([1, 2, 4])
    """
    rolled = roll_out(attention_maps(model.encoder, images), fusion)
    if model.pooling == "cls":
        shares = rolled[:, 0, 1:]
    elif model.pooling == "mean":
        shares = rolled[:, 1:, 1:].mean(dim=1)
    else:
        with torch.no_grad():
            weights = model.pool.weights(model.encoder(images)[:, 1:]).float().mean(dim=1)
        shares = torch.einsum("bt,btp->bp", weights, rolled[:, 1:, 1:])
    shares = shares / shares.sum(dim=1, keepdim=True)
    return shares.reshape(len(images), *model.encoder.grid)
