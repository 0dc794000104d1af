"""From the tokens of an encoder to one description of the image."""

from math import sqrt
from typing import Literal, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn


def pool_tokens(
    tokens: Float[Tensor, "batch tokens width"], pooling: Literal["mean", "cls"]
) -> Float[Tensor, "batch width"]:
    """Return the mean of the patch tokens, or the class token, which is the first.

    Example:
        >>> tokens = torch.tensor([[[9.0], [1.0], [3.0]]])
        >>> pool_tokens(tokens, "mean").item(), pool_tokens(tokens, "cls").item()
        (2.0, 9.0)
    """
    return tokens[:, 1:].mean(dim=1) if pooling == "mean" else tokens[:, 0]


class AttentionPool(nn.Module):
    """One learnt query that attends to the patch tokens: an attentive probe.

    The query asks every token by multi-head attention, and what it gathers is projected
    once. It is the attentive probing of CAE [1]_, as V-JEPA [2]_ uses it for frozen
    features, without the latter's further block.

    Args:
        width: Channels of a token.
        heads: Attention heads; a divisor of ``width``.

    Raises:
        ValueError: If ``width`` is no multiple of ``heads``.

    Example:
        >>> AttentionPool(8, heads=2)(torch.rand(3, 5, 8)).shape
        torch.Size([3, 8])

    References:
        .. [1] Chen et al., 2022, arXiv:2202.03026
        .. [2] Bardes et al., 2024, arXiv:2404.08471
    """

    def __init__(self, width: int, *, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width must be a multiple of heads, got {width} and {heads}")
        self.heads = heads
        self.query = nn.Parameter(torch.empty(1, 1, width))
        self.norm = nn.LayerNorm(width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.projection = nn.Linear(width, width)
        nn.init.trunc_normal_(self.query, std=0.02)
        for layer in (self.key, self.value, self.projection):
            nn.init.trunc_normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch width"]:
        """Gather tokens, class token left out by the caller, into one vector."""
        normal = self.norm(tokens)
        gathered = self._weights(normal) @ self._by_head(self.value(normal))
        return cast("Tensor", self.projection(gathered.flatten(1)))

    def weights(
        self, tokens: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads tokens"]:
        """Return how much of each token every head takes; a head's weights sum to one."""
        return self._weights(self.norm(tokens))[:, :, 0]

    def _weights(
        self, normal: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch heads 1 tokens"]:
        query, key = self._by_head(self.query.to(normal.dtype)), self._by_head(self.key(normal))
        scores = query @ key.transpose(2, 3) / sqrt(key.shape[-1])
        return scores.softmax(dim=-1)

    def _by_head(self, tokens: Tensor) -> Tensor:
        count, length, _ = tokens.shape
        return tokens.reshape(count, length, self.heads, -1).transpose(1, 2)
