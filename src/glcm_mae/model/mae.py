"""The masked autoencoder: see a quarter of the patches, predict the rest."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from glcm_mae.model.encoder import Block, Encoder, initialise_linear, sincos_positions
from glcm_mae.model.patches import unpatchify


class Reconstruction(NamedTuple):
    """What the autoencoder says of a batch of images; losses judge it elsewhere.

    Attributes:
        prediction: Every patch predicted, in image units (black 0, white 1; the
            prediction itself is not clamped).
        mask: True where a patch was hidden; only there is the prediction meant.
    """

    prediction: Float[Tensor, "batch channel height width"]
    mask: Bool[Tensor, "batch patches"]


def visible_indices(mask: Bool[Tensor, "batch patches"]) -> Int[Tensor, "batch seen"]:
    """Return the indices of the patches that are not hidden, in order.

    Raises:
        ValueError: If the rows do not hide equally many patches, or hide all.

    Example:
        >>> visible_indices(torch.tensor([[True, False, False], [False, True, False]]))
        tensor([[1, 2],
                [0, 2]])
    """
    seen = (~mask).sum(dim=1)
    count = int(seen[0])
    if count == 0 or not bool((seen == count).all()):
        raise ValueError(f"every image must show equally many patches, got {seen.tolist()}")
    return (~mask).nonzero()[:, 1].view(mask.shape[0], count)


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
            Block(decoder_width, decoder_heads, qkv_bias=True) for _ in range(decoder_depth)
        )
        self.norm = nn.LayerNorm(decoder_width)
        self.head = nn.Linear(decoder_width, encoder.channels * encoder.patch_size**2)
        positions = sincos_positions(encoder.grid, decoder_width)
        self.register_buffer("positions", positions[None], persistent=False)
        nn.init.normal_(self.mask_token, std=0.02)
        for module in (self.embed, self.blocks, self.head):
            module.apply(initialise_linear)

    def forward(
        self,
        images: Float[Tensor, "batch channel height width"],
        mask: Bool[Tensor, "batch patches"],
    ) -> Reconstruction:
        """Predict the hidden patches from the visible ones.

        Args:
            images: Images in [0, 1].
            mask: True where a patch is hidden; equally many in each row.

        Returns:
            The prediction in image units, and the mask.

        Raises:
            ValueError: If the rows hide different numbers of patches, or all.
        """
        visible = visible_indices(mask)
        tokens = self._decode(self.encoder(images, visible), visible)
        return Reconstruction(self._to_images(tokens), mask)

    def _decode(self, latent: Tensor, visible: Tensor) -> Tensor:
        tokens = self.embed(latent)
        first, seen = tokens[:, :1], tokens[:, 1:]
        full = self.mask_token.to(seen.dtype).expand(seen.shape[0], self.positions.shape[1], -1)
        full = full.scatter(1, visible[..., None].expand(-1, -1, seen.shape[2]), seen)
        tokens = torch.cat([first, full + self.positions], dim=1)
        for block in self.blocks:
            tokens = block(tokens)
        decoded: Tensor = self.norm(tokens)
        return decoded[:, 1:]

    def _to_images(self, tokens: Tensor) -> Tensor:
        """Turn decoder tokens into pixels; the head speaks in normalised gray levels."""
        encoder = self.encoder
        pixels = self.head(tokens).float()
        side = encoder.patch_size
        patches = pixels.view(*pixels.shape[:2], encoder.channels, side, side)
        std, mean = (value.view(-1, 1, 1) for value in (encoder.input_std, encoder.input_mean))
        return unpatchify(patches * std + mean, encoder.grid)
