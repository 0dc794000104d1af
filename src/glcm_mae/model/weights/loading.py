"""Foreign weights put into our models: nothing dropped, nothing half done."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from glcm_mae.model.encoder import Encoder, sincos_positions
from glcm_mae.model.mae import MaskedAutoencoder
from glcm_mae.model.weights.foreign import (
    ForeignWeights,
    Target,
    activation_of,
    refuse_foreign_parts,
    traits_of_vit,
)
from glcm_mae.model.weights.plans import Plan, refuse_differing
from glcm_mae.model.weights.report import LoadReport, Resized
from glcm_mae.model.weights.resizing import (
    Embedding,
    fold_embedding,
    fold_head,
    resize_positions,
)

LAST_NORM = ("norm.weight", "norm.bias")
HEAD = ("head.weight", "head.bias")


def load_into_encoder(encoder: Encoder, weights: ForeignWeights) -> LoadReport:
    """Fill an encoder, and have it normalise images as the weights expect them.

    Positions are interpolated where the grid differs, and the patch embedding is folded
    where the channels do: exactly, for gray images. A decoder and heads are passed over.
    ``input_mean`` and ``input_std`` become those of the weights; do not set others after.

    Args:
        encoder: What to fill; left as it was if anything does not fit.
        weights: From :func:`~glcm_mae.model.weights.read_weights`.

    Returns:
        What became of every name.

    Raises:
        ValueError: If width, depth, heads, patch size or activation differ, or a tensor is
            missing, left over, or not finite.
    """
    plan = Plan()
    try:
        _plan_encoder(plan, encoder, weights)
    except ValueError as error:
        raise ValueError(f"{weights.source}: {error}") from None
    plan.unused += [f"decoder {name}" for name in weights.decoder]
    return plan.carry_out(weights)


def load_into_autoencoder(
    mae: MaskedAutoencoder, weights: ForeignWeights, *, target: Target
) -> LoadReport:
    """Fill an autoencoder: the encoder, and the decoder where the weights have one.

    Args:
        mae: What to fill; left as it was if anything does not fit.
        weights: From :func:`~glcm_mae.model.weights.read_weights`.
        target: What the source was trained to predict. ``raw`` pixels: its head is brought
            into our units exactly. Pixels ``normalised`` within every patch: they cannot be
            turned back into gray levels, so the head starts anew.

    Returns:
        What became of every name. Without a decoder in the source, all of ours is missing.

    Raises:
        ValueError: If encoder or decoder do not fit, or ``raw`` is asked of weights that
            say that their pixels are normalised.
    """
    plan = Plan()
    try:
        embedding = _plan_encoder(plan, mae.encoder, weights, prefix="encoder.vit.")
        if weights.decoder:
            _plan_decoder(plan, mae, weights, embedding, target)
        else:
            plan.missing += [k for k in mae.state_dict() if not k.startswith("encoder.")]
            plan.notes.append("the source has no decoder: it starts at random")
    except ValueError as error:
        raise ValueError(f"{weights.source}: {error}") from None
    return plan.carry_out(weights)


def _plan_encoder(
    plan: Plan, encoder: Encoder, weights: ForeignWeights, prefix: str = ""
) -> Embedding:
    """Plan the encoder; return the patch embedding as it will be."""
    targets = dict(encoder.vit.state_dict())
    values = dict(weights.encoder)
    refuse_foreign_parts(name for name in values if name not in targets)
    _check_traits(plan, encoder, weights)
    refuse_differing(
        {
            "width (encoder_options.embed_dim)": (values["cls_token"].shape[-1], encoder.width),
            "depth (encoder_options.depth)": (_depth(values), len(encoder.vit.blocks)),
            "patch size (model.patch_size)": (
                " x ".join(map(str, values["patch_embed.proj.weight"].shape[2:])),
                f"{encoder.patch_size} x {encoder.patch_size}",
            ),
        }
    )
    embedding = _fit_embedding(plan, encoder, weights, values, prefix)
    _fit_positions(plan, encoder, weights, values, prefix)
    if "fc_norm.weight" in weights.unused and not any(name in values for name in LAST_NORM):
        for name in LAST_NORM:
            if targets.pop(name, None) is not None:
                plan.missing.append(prefix + name)
        plan.notes.append(
            "a classifier was trained on it, without a last norm of tokens: that starts anew"
        )
    plan.copy_all(targets, values, prefix)
    for name, numbers in (("input_mean", embedding.mean), ("input_std", embedding.std)):
        start = prefix.removesuffix("vit.")
        plan.copy(start + name, getattr(encoder, name), torch.tensor(numbers))
    return embedding


def _fit_embedding(
    plan: Plan,
    encoder: Encoder,
    weights: ForeignWeights,
    values: dict[str, Tensor],
    prefix: str,
) -> Embedding:
    weight, bias = "patch_embed.proj.weight", "patch_embed.proj.bias"
    source = Embedding(values[weight], values.get(bias), weights.mean, weights.std)
    fitted = fold_embedding(source, encoder.channels)
    values[weight] = fitted.weight
    if fitted.bias is not None:
        values[bias] = fitted.bias
    if fitted is not source:
        old, new = tuple(source.weight.shape), tuple(fitted.weight.shape)
        plan.resized.append(Resized(prefix + weight, old, new))
    return fitted


def _fit_positions(
    plan: Plan,
    encoder: Encoder,
    weights: ForeignWeights,
    values: dict[str, Tensor],
    prefix: str,
) -> None:
    if weights.grid != encoder.grid:
        first, patches = values["pos_embed"][:, :1], values["pos_embed"][:, 1:]
        patches = resize_positions(patches, weights.grid, encoder.grid)
        values["pos_embed"] = torch.cat([first, patches], dim=1)
        plan.resized.append(Resized(f"{prefix}pos_embed", weights.grid, encoder.grid))


def _check_traits(plan: Plan, encoder: Encoder, weights: ForeignWeights) -> None:
    """Hold what tensors do not show of the encoder against ours."""
    if weights.traits is None:
        return
    theirs, ours = weights.traits, traits_of_vit(encoder.vit)
    pairs: dict[str, tuple[object, object]] = {}
    if theirs.heads is not None:
        pairs["heads (encoder_options.num_heads)"] = (theirs.heads, ours.heads)
    if theirs.activation is not None:
        pairs["activation (model.encoder)"] = (theirs.activation, ours.activation)
    refuse_differing(pairs)
    if theirs.eps is not None and theirs.eps != ours.eps:
        plan.notes.append(
            f"the source's layer norms add {theirs.eps:g} to the variance, ours {ours.eps:g}; "
            "features agree where variances of tokens are far above"
        )


def _depth(names: Iterable[str]) -> int:
    return len({name.split(".")[1] for name in names if name.startswith("blocks.")})


def _plan_decoder(
    plan: Plan,
    mae: MaskedAutoencoder,
    weights: ForeignWeights,
    embedding: Embedding,
    target: Target,
) -> None:
    targets = {k: v for k, v in mae.state_dict().items() if not k.startswith("encoder.")}
    values = dict(weights.decoder)
    targets.pop("positions", None)
    positions = values.pop("positions", None)
    _check_decoder(mae, weights)
    head = {name: values.pop(name) for name in HEAD if name in values}
    if target == "raw":
        if weights.target == "normalised":
            raise ValueError(
                "says that its pixels are normalised within each patch (norm_pix_loss); pass "
                "weights_target normalised"
            )
        values |= _fit_head(plan, weights, head, embedding)
    else:
        for name in HEAD:
            targets.pop(name)
            plan.missing.append(name)
        plan.unused += [f"decoder {name}" for name in head]
        plan.notes.append(
            "the pixel head predicts pixels normalised within each patch: it starts anew"
        )
    plan.copy_all(targets, values)
    _fit_decoder_positions(plan, mae, weights, positions)


def _check_decoder(mae: MaskedAutoencoder, weights: ForeignWeights) -> None:
    values = weights.decoder
    first: Any = mae.blocks[0] if len(mae.blocks) else None
    pairs: dict[str, tuple[object, object]] = {
        "decoder depth (model.decoder_depth)": (_depth(values), len(mae.blocks)),
    }
    if "mask_token" in values:
        width = (values["mask_token"].shape[-1], mae.mask_token.shape[-1])
        pairs["decoder width (model.decoder_width)"] = width
    traits = weights.traits
    if traits is not None and first is not None:
        if traits.decoder_heads is not None:
            heads = (traits.decoder_heads, int(first.attn.num_heads))
            pairs["decoder heads (model.decoder_heads)"] = heads
        if traits.activation is not None:
            pairs["activation of the decoder"] = (traits.activation, activation_of(first))
    refuse_differing(pairs)


def _fit_head(
    plan: Plan, weights: ForeignWeights, head: dict[str, Tensor], embedding: Embedding
) -> dict[str, Tensor]:
    old = (weights.mean, weights.std)
    new = (embedding.mean, embedding.std)
    if len(head) < len(HEAD) or old == new:
        return head
    side = weights.encoder["patch_embed.proj.weight"].shape[-1]
    _require_rows(head, len(weights.mean) * side * side)
    weight, bias = fold_head(*(head[name] for name in HEAD), source=old, target=new)
    plan.resized.append(
        Resized("head.weight", tuple(head["head.weight"].shape), tuple(weight.shape))
    )
    return dict(zip(HEAD, (weight, bias), strict=True))


def _require_rows(head: Mapping[str, Tensor], rows: int) -> None:
    for name, value in head.items():
        if value.ndim != (2 if name == "head.weight" else 1) or value.shape[0] != rows:
            raise ValueError(f"{name} has the shape {tuple(value.shape)}, not {rows} rows")


def _fit_decoder_positions(
    plan: Plan, mae: MaskedAutoencoder, weights: ForeignWeights, given: Tensor | None
) -> None:
    """Bring the decoder's positions to our grid; without any they are the sin-cos ones."""
    width = mae.positions.shape[-1]
    count = weights.grid[0] * weights.grid[1]
    positions = sincos_positions(weights.grid, width)[None] if given is None else given
    if positions.ndim == 3 and positions.shape[1] == count + 1:
        if bool(positions[:, 0].abs().max() > 1e-6):
            raise ValueError(
                "the decoder's class token has a position of its own, which ours has not; use "
                "the encoder alone"
            )
        positions = positions[:, 1:]
    if positions.shape != (1, count, width):
        raise ValueError(
            f"decoder positions have the shape {tuple(positions.shape)}, not "
            f"{(1, count, width)}"
        )
    if weights.grid != mae.encoder.grid:
        positions = resize_positions(positions, weights.grid, mae.encoder.grid)
        plan.resized.append(Resized("positions", weights.grid, mae.encoder.grid))
    plan.copy("positions", mae.positions, positions)
