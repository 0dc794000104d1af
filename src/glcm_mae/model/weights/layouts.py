"""Names that others give to the tensors of a vision transformer, in terms of ours.

========================  =========================================================
layout                    how it is known
========================  =========================================================
``facebook``              timm's names inside ``model``; a decoder is ``decoder_*``
``timm``                  ``cls_token``, ``blocks.N.attn.qkv.weight``, ...
``huggingface``           ``embeddings.cls_token``, query, key and value apart
``glcm-mae``              timm's names or a whole autoencoder, with facts in the header
========================  =========================================================
"""

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from glcm_mae.model.weights.foreign import Parts

# Heads that stand on the features and are no part of them.
HEADS = re.compile(
    r"(head|fc_norm|pre_logits\.fc|attn_pool)\.[\w.]+|pooler\.dense\.\w+|classifier\.\w+"
)


def looks_huggingface(names: Iterable[str]) -> bool:
    """Say whether names are those of transformers' ViT models."""
    return any(name.endswith("embeddings.position_embeddings") for name in names)


def looks_like_our_autoencoder(names: Iterable[str]) -> bool:
    """Say whether names are those of a :class:`~glcm_mae.model.mae.MaskedAutoencoder`."""
    return any(name.startswith("encoder.vit.") for name in names)


def from_ours(tensors: Mapping[str, Tensor]) -> Parts:
    """Tell apart the tensors of one of our files: an encoder's, or an autoencoder's."""
    if not looks_like_our_autoencoder(tensors):
        return Parts(dict(tensors), {}, ())
    start = "encoder.vit."
    encoder = {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}
    decoder = {k: v for k, v in tensors.items() if not k.startswith("encoder.")}
    return Parts(encoder, decoder, ())


DECODER_NAMES = {
    "decoder_embed.": "embed.",
    "decoder_blocks.": "blocks.",
    "decoder_norm.": "norm.",
    "decoder_pred.": "head.",
}


def from_timm(tensors: Mapping[str, Tensor]) -> Parts:
    """Tell apart tensors by timm's names, with the masked autoencoder's decoder or without."""
    encoder, decoder, unused = {}, {}, []
    whole = "decoder_embed.weight" in tensors
    for name, value in tensors.items():
        start = next((s for s in DECODER_NAMES if name.startswith(s)), None)
        if start is not None:
            decoder[DECODER_NAMES[start] + name.removeprefix(start)] = value
        elif name == "decoder_pos_embed":
            decoder["positions"] = value
        elif name == "mask_token" and whole:
            decoder["mask_token"] = value
        elif HEADS.fullmatch(name):
            unused.append(name)
        else:
            encoder[name] = value
    return Parts(encoder, _reorder_head(decoder, encoder), tuple(unused))


# transformers writes the names of its version 4 and reads those of 5; both are found.
BLOCK_NAMES = (
    (r"attention\.(?:attention\.)?(query|key|value)\.", r"attn.\1."),
    (r"attention\.([qkv])_proj\.", r"attn.\1."),
    (r"attention\.(?:output\.dense|o_proj)\.", "attn.proj."),
    (r"layernorm_before\.", "norm1."),
    (r"layernorm_after\.", "norm2."),
    (r"(?:intermediate\.dense|mlp\.fc1)\.", "mlp.fc1."),
    (r"(?:output\.dense|mlp\.fc2)\.", "mlp.fc2."),
)
ENCODER_NAMES = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}
ENCODER_BLOCK = re.compile(r"(?:encoder\.layer|layers)\.(\d+)\.(.+)")
DECODER_BLOCK = re.compile(r"(?:decoder_layers|decoder_encoder\.layer)\.(\d+)\.(.+)")


def from_huggingface(tensors: Mapping[str, Tensor]) -> Parts:
    """Tell apart tensors by the names of transformers; query, key and value become one."""
    encoder, decoder, unused = {}, {}, []
    for original, value in tensors.items():
        name = original.removeprefix("vit.")
        if name.startswith("decoder."):
            decoder[_decoder_name(name.removeprefix("decoder."))] = value
        elif HEADS.fullmatch(name):
            unused.append(original)
        elif block := ENCODER_BLOCK.fullmatch(name):
            encoder[_block_name(*block.groups())] = value
        else:
            encoder[ENCODER_NAMES.get(name, name)] = value
    decoder = _fuse_attention(_reorder_head(decoder, encoder))
    return Parts(_fuse_attention(encoder), decoder, tuple(unused))


def _decoder_name(name: str) -> str:
    if block := DECODER_BLOCK.fullmatch(name):
        return _block_name(*block.groups())
    if name == "decoder_pos_embed":
        return "positions"
    start = next((s for s in DECODER_NAMES if name.startswith(s)), "")
    return DECODER_NAMES.get(start, "") + name.removeprefix(start)


def _block_name(number: str, name: str) -> str:
    for pattern, ours in BLOCK_NAMES:
        if found := re.match(pattern, name):
            return f"blocks.{number}.{found.expand(ours)}{name[found.end() :]}"
    return f"blocks.{number}.{name}"


PROJECTION = re.compile(r"(blocks\.\d+\.attn\.)(query|key|value|q|k|v)\.(weight|bias)")


def _fuse_attention(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Stack query, key and value; biases that a source goes without become zeros."""
    fused = {name: value for name, value in tensors.items() if not PROJECTION.fullmatch(name)}
    apart: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if found := PROJECTION.fullmatch(name):
            key = f"{found[1]}qkv.{found[3]}"
            apart.setdefault(key, {})[found[2][0]] = value
    for name, parts in apart.items():
        if parts.keys() != {"q", "k", "v"} or len({p.shape for p in parts.values()}) > 1:
            raise ValueError(
                f"{name} needs query, key and value of one shape; give whole weights"
            )
        fused[name] = torch.cat([parts["q"], parts["k"], parts["v"]])
        if name.endswith("weight"):
            bias = name.removesuffix("weight") + "bias"
            if bias not in apart:
                fused[bias] = fused[name].new_zeros(fused[name].shape[0])
    return fused


def _reorder_head(
    decoder: dict[str, Tensor], encoder: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Bring pixels from the order row, column, channel to channel, row, column."""
    embedding = encoder.get("patch_embed.proj.weight")
    if "head.weight" not in decoder or embedding is None or embedding.ndim != 4:
        return decoder
    _, channels, *sides = embedding.shape
    pixels = channels * sides[0] * sides[1]
    for name in ("head.weight", "head.bias"):
        value = decoder.get(name)
        if value is None or value.shape[:1] != (pixels,):
            continue
        rows = value.reshape(*sides, channels, *value.shape[1:]).movedim(2, 0)
        decoder = {**decoder, name: rows.flatten(0, 2)}
    return decoder
