"""A timm vision transformer as a map from visible patches to tokens."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard, cast

import timm
import torch
from jaxtyping import Float, Int
from timm.layers.attention import Attention
from timm.layers.patch_embed import PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from glcm_mae.model.patches import patchify

__all__ = [
    "Attention",
    "Block",
    "Encoder",
    "build_encoder",
    "initialise_linear",
    "pretrained_vit",
    "sincos_positions",
    "use_fused_attention",
]


def sincos_positions(grid: tuple[int, int], width: int) -> Float[Tensor, "positions width"]:
    """Describe every position of a grid by sines and cosines of its row and column.

    Half of the channels tell the column, half the row, each as sines then cosines
    of ``position / 10000^(i / (width / 4))``, as in the masked autoencoder [1]_.

    Args:
        grid: Rows and columns.
        width: Channels; a multiple of 4.

    Returns:
        One row per position, in row order; values in [-1, 1].

    Raises:
        ValueError: If ``width`` is no multiple of 4.

    Example:
        >>> sincos_positions((1, 2), 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0000, 1.0000]])

    References:
        .. [1] He et al., 2022, arXiv:2111.06377
    """
    if width % 4:
        raise ValueError(f"width must be a multiple of 4 for sin-cos positions, got {width}")
    rates = 10000.0 ** -(torch.arange(width // 4, dtype=torch.float64) / (width // 4))
    rows, cols = (torch.arange(side, dtype=torch.float64) for side in grid)
    row, col = torch.meshgrid(rows, cols, indexing="ij")
    angles = [axis.reshape(-1, 1) * rates for axis in (col, row)]
    parts = [wave(angle) for angle in angles for wave in (torch.sin, torch.cos)]
    return torch.cat(parts, dim=1).float()


def initialise_linear(module: nn.Module) -> None:
    """Give linear layers Xavier-uniform weights and zero biases, as the MAE does."""
    if isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def use_fused_attention(model: nn.Module, enabled: bool) -> None:
    """Choose for every attention layer of a model between the fused kernel and plain products.

    Both compute the same. On a CPU under bfloat16 autocast the gradient of the fused kernel
    is slow; elsewhere the kernel is faster and keeps less memory.

    Args:
        model: What holds the layers; other models are left alone.
        enabled: Whether to use ``torch.nn.functional.scaled_dot_product_attention``.
    """
    for module in model.modules():
        if isinstance(module, Attention):
            module.fused_attn = enabled  # type: ignore[misc]  # final for TorchScript only


class Encoder(nn.Module):
    """A plain timm ViT that may be shown only some of the patches of an image.

    It normalises inside: images come in [0, 1] and ``input_mean`` and ``input_std``
    (one value a channel) travel with the weights. Positions are fixed sin-cos ones.

    Args:
        vit: A timm vision transformer with a class token and without a head.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, vit: VisionTransformer) -> None:
        super().__init__()
        self.vit = vit
        channels = vit.patch_embed.proj.in_channels
        self.register_buffer("input_mean", torch.full((channels,), 0.5))
        self.register_buffer("input_std", torch.full((channels,), 0.25))
        self._fix_positions()
        vit.apply(initialise_linear)
        embedding = vit.patch_embed.proj.weight
        nn.init.xavier_uniform_(embedding.data.view(embedding.shape[0], -1))

    @property
    def width(self) -> int:
        """Channels of a token."""
        return int(self.vit.embed_dim)

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return int(self.input_mean.shape[0])

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows, cols = self.vit.patch_embed.grid_size
        return int(rows), int(cols)

    @property
    def patch_size(self) -> int:
        """Side of a patch in pixels."""
        return int(self.vit.patch_embed.patch_size[0])

    def _fix_positions(self) -> None:
        positions = cast("Tensor", self.vit.pos_embed)
        patches = sincos_positions(self.grid, self.width)
        with torch.no_grad():
            positions.copy_(torch.cat([torch.zeros(1, self.width), patches])[None])
        positions.requires_grad_(False)
        nn.init.normal_(cast("Tensor", self.vit.cls_token), std=0.02)

    def set_input_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and standard deviation of each channel of the training images."""
        with torch.no_grad():
            self.input_mean.copy_(torch.tensor(mean))
            self.input_std.copy_(torch.tensor(std).clamp(min=1e-3))

    def forward(
        self,
        images: Float[Tensor, "batch channel height width"],
        visible: Int[Tensor, "batch seen"] | None = None,
    ) -> Float[Tensor, "batch tokens embedding"]:
        """Encode images, or only their visible patches.

        Args:
            images: Images in [0, 1].
            visible: Indices of the patches that enter; all of them by default.

        Returns:
            The class token, then one token a visible patch, after the last norm.
        """
        positions = cast("Tensor", self.vit.pos_embed)
        if visible is None:
            tokens = self.vit.patch_embed(self._normalised(images)) + positions[:, 1:]
        else:
            tokens = self._embed_patches(images, visible) + positions[0, 1:][visible]
        token = cast("Tensor", self.vit.cls_token)
        first = (token + positions[:, :1]).expand(tokens.shape[0], -1, -1)
        tokens = self.vit.norm_pre(torch.cat([first, tokens], dim=1))
        for block in self.vit.blocks:
            tokens = block(tokens)
        return cast("Tensor", self.vit.norm(tokens))

    def _normalised(self, images: Tensor) -> Tensor:
        return (images - self.input_mean[:, None, None]) / self.input_std[:, None, None]

    def _embed_patches(
        self,
        images: Float[Tensor, "batch channel height width"],
        visible: Int[Tensor, "batch seen"],
    ) -> Float[Tensor, "batch seen embedding"]:
        """Embed some patches by one matrix product: timm's convolution does not overlap."""
        embedding = self.vit.patch_embed
        patches = patchify(images, self.patch_size)
        rows = torch.arange(len(images), device=images.device)[:, None]
        pixels = self._normalised(patches[rows, visible]).flatten(2)
        weight, bias = embedding.proj.weight.flatten(1), embedding.proj.bias
        return cast("Tensor", embedding.norm(nn.functional.linear(pixels, weight, bias)))


def build_encoder(
    name: str,
    *,
    image_size: tuple[int, int],
    patch_size: int,
    channels: int,
    drop_path: float = 0.0,
    options: Mapping[str, int] | None = None,
) -> Encoder:
    """Build a timm ViT by name, with random weights.

    Args:
        name: Name of a timm vision transformer, such as ``vit_base_patch16_224``.
        image_size: Height and width in pixels, multiples of ``patch_size``.
        patch_size: Side of a patch in pixels.
        channels: Channels of the images.
        drop_path: Largest rate of stochastic depth, reached at the last block.
        options: Arguments that override the named ones: depth, embed_dim, num_heads.

    Raises:
        ValueError: If timm has no such model, it is no plain ViT with one class token
            and one position a patch, or an option is refused.

    Example:
        >>> encoder = build_encoder("vit_tiny_patch16_224", image_size=(32, 64),
        ...                         patch_size=16, channels=1, options={"depth": 2})
        >>> encoder(torch.rand(3, 1, 32, 64)).shape
        torch.Size([3, 9, 192])
    """
    if not timm.is_model(name):
        raise ValueError(
            f"model.encoder {name!r} is not a timm model; choose for instance "
            "vit_base_patch16_224"
        )
    given = sorted(
        {"img_size", "patch_size", "in_chans", "drop_path_rate"} & set(options or {})
    )
    if given:
        raise ValueError(
            f"model.encoder_options must not hold {', '.join(given)}: use model.image_size, "
            "model.patch_size, model.channels and finetuning.drop_path"
        )
    arguments: dict[str, Any] = {
        "img_size": image_size,
        "patch_size": patch_size,
        "in_chans": channels,
        "drop_path_rate": drop_path,
        **(options or {}),
    }
    try:
        vit = timm.create_model(name, num_classes=0, **arguments)
    except (TypeError, AssertionError) as error:
        raise ValueError(
            f"model.encoder {name!r} cannot be built as a vision transformer: {error}"
        ) from error
    if not _is_plain(vit):
        raise ValueError(
            f"model.encoder {name!r} is not a plain vision transformer with one class token "
            "and one position a patch; choose for instance vit_base_patch16_224"
        )
    return Encoder(vit)


def _is_plain(vit: nn.Module) -> TypeGuard[VisionTransformer]:
    return (
        isinstance(vit, VisionTransformer)
        and vit.num_prefix_tokens == 1
        and vit.cls_token is not None
        and vit.pos_embed is not None
        and vit.pos_embed.shape[1] == vit.patch_embed.num_patches + 1
        and type(vit.patch_embed) is PatchEmbed
    )


def pretrained_vit(name: str) -> VisionTransformer:
    """Build a plain timm ViT with timm's own weights, from its cache or the network.

    Args:
        name: Name of a model, and of its weights after a dot: ``vit_base_patch16_224.mae``.

    Returns:
        The transformer without a head; ``pretrained_cfg`` tells how images are normalised.

    Raises:
        ValueError: If timm has no such model or weights, cannot reach them, or the model is
            no plain ViT.
    """
    # Names with a colon or slash would have timm read any repository or folder.
    if ":" in name or "/" in name or not timm.is_model(name):
        raise ValueError(
            f"timm:{name} is not a timm model; choose for instance "
            "timm:vit_base_patch16_224.mae"
        )
    try:
        vit = timm.create_model(name, pretrained=True, num_classes=0)
    # Caches and networks fail in as many ways as there are libraries between.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"timm:{name} cannot be had from timm's cache or the network ({reason}); connect "
            "once, or give a file"
        ) from error
    if not _is_plain(vit):
        raise ValueError(
            f"timm:{name} is not a plain vision transformer with one class token and one "
            "position a patch; choose for instance timm:vit_base_patch16_224.mae"
        )
    return vit
