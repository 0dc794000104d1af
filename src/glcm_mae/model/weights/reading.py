"""From a path or a timm name to weights in our names."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from glcm_mae.model.encoder import pretrained_vit
from glcm_mae.model.weights.foreign import (
    ForeignWeights,
    Layout,
    Target,
    Traits,
    assemble,
    traits_of_vit,
)
from glcm_mae.model.weights.huggingface import IMAGENET, read_huggingface
from glcm_mae.model.weights.layouts import from_ours, from_timm, looks_huggingface
from glcm_mae.model.weights.sources import Content, read_file, read_json

# An autoencoder holds its encoder, so it comes first.
OWN_FILES = ("autoencoder.safetensors", "encoder.safetensors")
FOLDER_FILES = ("model.safetensors", "pytorch_model.bin")
FACEBOOK_HEADS = {"base": 12, "large": 16, "huge": 16}


def read_weights(source: str | Path) -> ForeignWeights:
    """Read weights that can start an encoder or an autoencoder.

    Args:
        source: ``timm:NAME``; or a file (.safetensors, .pth, .pt, .bin, .ckpt) of
            facebookresearch's MAE, of timm or of our own; or a folder of transformers
            (ViTMAE or ViT), of timm's hub, or of one of our runs.

    Returns:
        The weights under our names, in the sizes and units of their source.

    Raises:
        ValueError: If there are none, the file holds more than tensors or is damaged, or
            they are not those of a plain vision transformer.
    """
    text = str(source)
    if text.startswith("timm:"):
        return _from_timm_name(text)
    path = Path(text)
    if not path.exists():
        raise ValueError(f"{text}: no such weights; give a file, a folder or timm:NAME")
    if path.is_dir():
        own = next((path / name for name in OWN_FILES if (path / name).is_file()), None)
        content = read_file(own) if own else _read_folder(path)
        folder = path
    else:
        content, folder = read_file(path), path.parent
    try:
        return _translate(text, content, folder)
    except ValueError as error:
        message = str(error)
        raise ValueError(
            message if message.startswith(text) else f"{text}: {message}"
        ) from None


def _read_folder(folder: Path) -> Content:
    """Read ``model.safetensors`` of a folder, or the parts that its index lists."""
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return read_file(folder / name)
        index = folder / f"{name}.index.json"
        if index.is_file():
            files = read_json(index).get("weight_map")
            if not isinstance(files, dict) or not files:
                raise ValueError(f"{index}: lists no files; download the folder again")
            parts = sorted({str(part) for part in files.values()})
            if any(Path(part).name != part for part in parts):
                raise ValueError(f"{index}: names files outside of its folder; do not use it")
            tensors: dict[str, Tensor] = {}
            for part in parts:
                tensors |= read_file(folder / part).tensors
            return Content(tensors)
    raise ValueError(
        f"{folder}: holds neither {' nor '.join((*OWN_FILES, *FOLDER_FILES))}; give the folder "
        "of a model or of a run"
    )


def _translate(source: str, content: Content, folder: Path) -> ForeignWeights:
    if "facts" in content.metadata:
        return _ours(source, content)
    if looks_huggingface(content.tensors):
        return read_huggingface(source, content, folder)
    return _timm_or_facebook(source, content, folder)


def _ours(source: str, content: Content) -> ForeignWeights:
    try:
        facts = json.loads(content.metadata["facts"])
        model, statistics = facts["model"], (facts["input_mean"], facts["input_std"])
        size, side = model["image_size"], int(model["patch_size"])
        grid = (int(size[0]) // side, int(size[1]) // side)
        heads = (model.get("encoder_options") or {}).get("num_heads")
        traits = Traits(heads=heads, decoder_heads=model.get("decoder_heads"))
    except (
        *(ValueError, KeyError, TypeError, AttributeError),
        *(IndexError, ArithmeticError, RecursionError),
    ):
        raise ValueError(
            "its header does not tell its model and how images are normalised; give the "
            "encoder or autoencoder of a finished pre-training"
        ) from None
    parts = from_ours(content.tensors)
    return assemble(source, "glcm-mae", parts, statistics, grid, target="raw", traits=traits)


def _timm_or_facebook(source: str, content: Content, folder: Path) -> ForeignWeights:
    parts = from_timm(content.tensors)
    layout: Layout = "facebook" if parts.decoder or content.wrapper == "model" else "timm"
    notes: tuple[str, ...] = ()
    if content.wrapper.endswith("_ema"):
        notes += (f"averaged weights were taken, from {content.wrapper} in the file",)
    statistics = _pretrained_config(folder) if layout == "timm" else None
    if statistics is None:
        statistics = IMAGENET
        if layout == "timm":
            notes += ("the file does not tell its normalisation: ImageNet's is taken",)
    arguments = content.arguments
    size = re.search(r"base|large|huge", str(arguments.get("model", "")))
    traits = Traits(heads=FACEBOOK_HEADS[size[0]] if size else None)
    target: Target | None = None
    if "norm_pix_loss" in arguments:
        target = "normalised" if arguments["norm_pix_loss"] else "raw"
    if traits.heads is None:
        notes += ("the file does not tell its number of attention heads: yours is taken",)
    return assemble(
        source, layout, parts, statistics, None, target=target, traits=traits, notes=notes
    )


def _pretrained_config(folder: Path) -> tuple[Any, Any] | None:
    """Read the normalisation from the ``config.json`` of timm's hub, if one is there."""
    path = folder / "config.json"
    config = read_json(path) if path.is_file() else {}
    pretrained = config.get("pretrained_cfg")
    if not isinstance(pretrained, Mapping) or not {"mean", "std"} <= pretrained.keys():
        return None
    return pretrained["mean"], pretrained["std"]


def _from_timm_name(source: str) -> ForeignWeights:
    vit = pretrained_vit(source.removeprefix("timm:"))
    settings = cast("dict[str, Any]", vit.pretrained_cfg)
    try:
        parts = from_timm(vit.state_dict())
        rows, cols = vit.patch_embed.grid_size
        return assemble(
            source,
            "timm",
            parts,
            (settings["mean"], settings["std"]),
            (int(rows), int(cols)),
            traits=traits_of_vit(vit),
        )
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
