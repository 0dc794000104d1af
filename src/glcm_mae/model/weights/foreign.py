"""Weights of others in our names, and what their tensors do not tell."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite, isqrt
from typing import Any, Literal, NamedTuple

from torch import Tensor

Layout = Literal["facebook", "timm", "huggingface", "glcm-mae"]
Target = Literal["raw", "normalised"]

# What would change the features, and so must not be passed over.
FOREIGN_PARTS = {
    "layer scale": re.compile(r"\.(ls[12]\.gamma|gamma_[12]|lambda_?1|layer_scale[12]\.\w+)$"),
    "a distillation token": re.compile(r"dist_token|distillation_token|head_dist"),
    "register tokens": re.compile(r"reg_token|register_tokens"),
    "rotary positions": re.compile(r"\brope\b|rope_|freqs_cis|rotary"),
    "relative positions": re.compile(r"relative_position|rel_pos"),
    "norms of queries and keys": re.compile(r"attn\.[qk]_norm\."),
    "gated layers": re.compile(r"mlp\.(w12|w3|w1|w2|fc1_g|fc1_x)\."),
    "a mask token in the encoder": re.compile(r"^(embeddings\.)?mask_token$"),
}


@dataclass(frozen=True)
class ForeignWeights:
    """Weights in our names, still in the sizes and units of their source.

    Attributes:
        source: What they were read from, as it was given.
        layout: Whose names they had.
        encoder: Tensors of the transformer by timm's names.
        decoder: Tensors of the decoder by the names of
            :class:`~glcm_mae.model.mae.MaskedAutoencoder`; rows of the pixel head in the
            order channel, row, column. Empty if there is none.
        mean: What the source subtracts from each channel of an image in [0, 1].
        std: What it divides by afterwards.
        grid: Rows and columns of patches that its positions were made for.
        target: What the pixel head predicts: ``raw`` pixels, or pixels ``normalised`` in
            every patch; None if the source does not tell.
        traits: What names and shapes cannot tell, where the source tells it.
        unused: Names of heads that have no place here.
        notes: What should be known of the source.
    """

    source: str
    layout: Layout
    encoder: dict[str, Tensor]
    decoder: dict[str, Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    grid: tuple[int, int]
    target: Target | None = None
    traits: "Traits | None" = None
    unused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Traits(NamedTuple):
    """What tensors do not show of a transformer; None where a source does not tell.

    Attributes:
        heads: Attention heads of the encoder.
        decoder_heads: Attention heads of the decoder.
        activation: ``gelu``, ``gelu_tanh``, ``quick_gelu``, ....
        eps: What its layer norms add to the variance.
    """

    heads: int | None = None
    decoder_heads: int | None = None
    activation: str | None = None
    eps: float | None = None


class Parts(NamedTuple):
    """Tensors of a file, told apart: encoder and decoder in our names, and heads."""

    encoder: dict[str, Tensor]
    decoder: dict[str, Tensor]
    unused: tuple[str, ...]


def refuse_foreign_parts(names: Iterable[str]) -> None:
    """Refuse what a plain vision transformer has not.

    Raises:
        ValueError: Naming the part and one of its tensors.
    """
    for name in names:
        for part, pattern in FOREIGN_PARTS.items():
            if pattern.search(name):
                raise ValueError(
                    f"has {part} ({name}), which a plain vision transformer has not; choose "
                    "weights of a plain one"
                )


def assemble(
    source: str,
    layout: Layout,
    parts: Parts,
    statistics: Any,
    grid: tuple[int, int] | None,
    **rest: Any,
) -> ForeignWeights:
    """Make weights of their parts; without a grid, that of a square image.

    Raises:
        ValueError: If they are not those of a plain vision transformer, or the statistics
            are not one number for each channel.
    """
    encoder = parts.encoder
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight")
    absent = [name for name in needed if name not in encoder]
    if absent:
        refuse_foreign_parts(encoder)
        raise ValueError(
            f"no vision transformer with a class token: {', '.join(absent)} missing"
        )
    if encoder["pos_embed"].ndim != 3 or encoder["patch_embed.proj.weight"].ndim != 4:
        raise ValueError(
            "its positions or its patch embedding have an unknown form; give a ViT"
        )
    channels = encoder["patch_embed.proj.weight"].shape[1]
    mean, std = (_checked(values, channels) for values in statistics)
    if min(std) < 1e-3:
        raise ValueError(f"it divides images by {min(std)}; at least 0.001 is needed")
    positions = encoder["pos_embed"].shape[1] - 1
    if grid is None:
        grid = (isqrt(positions), isqrt(positions))
    if grid[0] * grid[1] != positions or positions < 1:
        refuse_foreign_parts(encoder)
        raise ValueError(
            f"its {positions} positions are no grid of {grid[0]} x {grid[1]}; give the "
            "weights with the config.json that tells their image size"
        )
    return ForeignWeights(
        source, layout, encoder, parts.decoder, mean, std, grid, unused=parts.unused, **rest
    )


def _checked(values: Any, channels: int) -> tuple[float, ...]:
    """Hold the statistics of images against the channels of the patch embedding."""
    try:
        numbers = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        raise ValueError("its normalisation must be lists of numbers") from None
    if len(numbers) != channels or not all(map(isfinite, numbers)):
        raise ValueError(
            f"its {channels} channels have the normalisation {numbers}; give one for each"
        )
    return numbers


def traits_of_vit(vit: Any) -> Traits:
    """Read from a timm vision transformer what its tensors do not show."""
    return Traits(
        heads=int(vit.blocks[0].attn.num_heads),
        activation=activation_of(vit.blocks[0]),
        eps=float(vit.blocks[0].norm1.eps),
    )


def activation_of(block: Any) -> str:
    """Name the activation of a block of timm, as :class:`Traits` does."""
    activation = block.mlp.act
    name = type(activation).__name__
    if getattr(activation, "approximate", "none") == "tanh":
        return "gelu_tanh"
    return {"GELU": "gelu", "GELUTanh": "gelu_tanh", "QuickGELU": "quick_gelu"}.get(name, name)
