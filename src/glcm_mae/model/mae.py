"""The masked autoencoder: see a quarter of the patches, predict the rest."""

from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from glcm_mae.model.encoder import (
    Attention,
    Block,
    Encoder,
    initialise_linear,
    sincos_positions,
)
from glcm_mae.model.patches import split_indices, unpatchify, visible_indices

__all__ = ["MaskedAutoencoder", "Reconstruction", "visible_indices"]


class Reconstruction(NamedTuple):
    """What the autoencoder says of a batch of images; losses judge it elsewhere.

    Attributes:
        prediction: The hidden patches predicted, in image units (black 0, white 1; not
            clamped). Visible ones are not predicted: there stands the training images'
            mean gray level.
        mask: True where a patch was hidden.
    """

    prediction: Float[Tensor, "batch channel height width"]
    mask: Bool[Tensor, "batch patches"]


class DecoderBlock(Block):
    """A transformer block that may be asked for some of its tokens only.

    The decoder's last block is: nobody looks at what it would make of visible patches.
    All tokens are attended to either way, so the tokens asked for come out the same.
    """

    def forward(  # type: ignore[override]  # timm's further arguments have no use here
        self,
        tokens: Float[Tensor, "batch tokens width"],
        asked: Int[Tensor, "batch asked"] | None = None,
    ) -> Float[Tensor, "batch some width"]:
        """Return all tokens, or those at the indices ``asked``."""
        if asked is None:
            return super().forward(tokens)
        chosen = _take(tokens, asked) + self._attend(self.norm1(tokens), asked)
        after: Tensor = chosen + self.mlp(self.norm2(chosen))
        return after

    def _attend(self, tokens: Tensor, asked: Tensor) -> Tensor:
        """Attend from some tokens to all, with the weights of timm's attention."""
        attention = cast("Attention", self.attn)
        width = tokens.shape[2]
        weight, bias = attention.qkv.weight, attention.qkv.bias
        query = nn.functional.linear(_take(tokens, asked), weight[:width], bias[:width])
        key, value = nn.functional.linear(tokens, weight[width:], bias[width:]).chunk(2, dim=2)
        query, key, value = (
            part.view(*part.shape[:2], attention.num_heads, -1).transpose(1, 2)
            for part in (query, key, value)
        )
        if attention.fused_attn:
            attended = nn.functional.scaled_dot_product_attention(query, key, value)
        else:
            shares = query * attention.scale @ key.transpose(2, 3)
            attended = shares.softmax(dim=3) @ value
        mixed: Tensor = attention.proj(attended.transpose(1, 2).flatten(2))
        return mixed


def _take(tokens: Tensor, indices: Int[Tensor, "batch some"]) -> Tensor:
    return tokens.gather(1, indices[..., None].expand(-1, -1, tokens.shape[2]))


class MaskedAutoencoder(nn.Module):
    """An encoder of visible patches and a transformer decoder of all patches [1]_.

    Args:
        encoder: What is trained to be kept.
        decoder_depth: Transformer blocks of the decoder.
        decoder_width: Token width of the decoder; a multiple of 4 and of the heads.
        decoder_heads: Attention heads of the decoder.

    Example:
        >>> from glcm_mae.model.encoder import build_encoder
        >>> from glcm_mae.model.patches import random_mask
        >>> encoder = build_encoder("vit_tiny_patch16_224", image_size=(32, 48),
        ...                         patch_size=8, channels=1, options={"depth": 1})
        >>> mae = MaskedAutoencoder(encoder, decoder_depth=1, decoder_width=32, decoder_heads=2)
        >>> mask = random_mask(2, 24, 0.75, generator=torch.Generator().manual_seed(0))
        >>> mae(torch.rand(2, 1, 32, 48), mask).prediction.shape
        torch.Size([2, 1, 32, 48])

    References:
        .. [1] He et al., 2022, arXiv:2111.06377
    """

    positions: Tensor

    def __init__(
        self,
        encoder: Encoder,
        *,
        decoder_depth: int = 8,
        decoder_width: int = 512,
        decoder_heads: int = 16,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.embed = nn.Linear(encoder.width, decoder_width)
        self.mask_token = nn.Parameter(torch.zeros(1, 1, decoder_width))
        self.blocks = nn.ModuleList(
            DecoderBlock(decoder_width, decoder_heads, qkv_bias=True)
            for _ in range(decoder_depth)
        )
        self.norm = nn.LayerNorm(decoder_width, eps=1e-6)  # as timm's blocks have it
        self.head = nn.Linear(decoder_width, encoder.channels * encoder.patch_size**2)
        positions = sincos_positions(encoder.grid, decoder_width)
        self.register_buffer("positions", positions[None])
        nn.init.normal_(self.mask_token, std=0.02)
        for module in (self.embed, self.blocks, self.head):
            module.apply(initialise_linear)

    def forward(
        self,
        images: Float[Tensor, "batch channel height width"],
        mask: Bool[Tensor, "batch patches"],
        visible: Int[Tensor, "batch seen"] | None = None,
    ) -> Reconstruction:
        """Predict the hidden patches from the visible ones.

        Args:
            images: Images in [0, 1].
            mask: True where a patch is hidden; equally many in each row.
            visible: What ``visible_indices`` says of the mask. Made on the CPU and handed
                in, it spares a GPU from being waited for; it is not checked.

        Returns:
            The prediction in image units, and the mask.

        Raises:
            ValueError: If the rows hide different numbers of patches, or all.
        """
        if visible is None:
            visible = visible_indices(mask)
        _, hidden = split_indices(mask, visible.shape[1])
        tokens = self._decode(self.encoder(images, visible), visible, hidden)
        return Reconstruction(self._to_images(tokens, hidden), mask)

    def _decode(self, latent: Tensor, visible: Tensor, hidden: Tensor) -> Tensor:
        """Return the decoder's tokens of the hidden patches."""
        tokens = self.embed(latent)
        first, seen = tokens[:, :1], tokens[:, 1:]
        full = self.mask_token.to(seen.dtype).expand(seen.shape[0], self.positions.shape[1], -1)
        full = full.scatter(1, visible[..., None].expand(-1, -1, seen.shape[2]), seen)
        tokens = torch.cat([first, full + self.positions], dim=1)
        *blocks, last = self.blocks
        for block in blocks:
            tokens = block(tokens)
        # The class token stands before the patches.
        decoded: Tensor = self.norm(last(tokens, hidden + 1))
        return decoded

    def _to_images(self, tokens: Tensor, hidden: Tensor) -> Tensor:
        """Turn decoder tokens into pixels; the head speaks in normalised gray levels."""
        encoder = self.encoder
        pixels = self.head(tokens).float()
        everywhere = pixels.new_zeros(len(pixels), self.positions.shape[1], pixels.shape[2])
        place = hidden[..., None].expand_as(pixels)
        side = encoder.patch_size
        patches = everywhere.scatter(1, place, pixels)
        patches = patches.view(*patches.shape[:2], encoder.channels, side, side)
        std, mean = (value.view(-1, 1, 1) for value in (encoder.input_std, encoder.input_mean))
        return unpatchify(patches * std + mean, encoder.grid)
