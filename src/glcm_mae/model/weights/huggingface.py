"""Models of transformers: what their ``config.json`` and preprocessing say of the tensors."""

import re
from math import isfinite
from pathlib import Path
from typing import Any

from glcm_mae.model.weights.foreign import ForeignWeights, Target, Traits, assemble
from glcm_mae.model.weights.layouts import from_huggingface
from glcm_mae.model.weights.resizing import Statistics
from glcm_mae.model.weights.sources import Content, read_json

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALVES = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
ACTIVATIONS = {
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_python": "gelu",
}


def read_huggingface(source: str, content: Content, folder: Path) -> ForeignWeights:
    """Make weights of a file of transformers and the ``config.json`` beside it.

    Raises:
        ValueError: If there is no such file, or it tells of another kind of model.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(
            "weights of transformers need config.json beside them; give the folder"
        )
    config = read_json(folder / "config.json")
    kind = config.get("model_type")
    if kind not in ("vit", "vit_mae"):
        raise ValueError(
            f"model_type {kind!r} is no plain vision transformer; choose vit or vit_mae"
        )
    default = HALVES if kind == "vit" else IMAGENET
    statistics, notes = _preprocessing(folder, default, int(config.get("num_channels", 3)))
    size, side = (_pair(config.get(name)) for name in ("image_size", "patch_size"))
    activation = str(config.get("hidden_act", "gelu"))
    traits = Traits(
        heads=config.get("num_attention_heads", 12),
        decoder_heads=config.get("decoder_num_attention_heads", 16),
        activation=ACTIVATIONS.get(activation, activation),
        eps=float(config.get("layer_norm_eps", 1e-12)),
    )
    target: Target | None = None
    if "norm_pix_loss" in config:
        target = "normalised" if config["norm_pix_loss"] else "raw"
    parts = from_huggingface(content.tensors)
    if config.get("qkv_bias") is False:
        notes = (*notes, "the source has no biases of query, key and value: they begin as zero")
    elif not any(re.search(r"(query|q_proj)\.bias$", name) for name in content.tensors):
        raise ValueError("biases of query, key and value are missing; give whole weights")
    grid = None if size is None or side is None else (size[0] // side[0], size[1] // side[1])
    return assemble(
        source,
        "huggingface",
        parts,
        statistics,
        grid,
        target=target,
        traits=traits,
        notes=notes,
    )


def _pair(value: Any) -> tuple[int, int] | None:
    """Read a side, or height and width; None if a config does not tell."""
    if value is None:
        return None
    values = value if isinstance(value, list) else [value, value]
    if len(values) != 2 or any(type(side) is not int or side < 1 for side in values):
        raise ValueError(f"config.json has the size {value!r}; it must be one or two counts")
    return values[0], values[1]


def _preprocessing(
    folder: Path, default: Statistics, channels: int
) -> tuple[Statistics, tuple[str, ...]]:
    """Read how a model of transformers wants its images, as statistics of [0, 1] images."""
    path = folder / "preprocessor_config.json"
    if not path.is_file():
        mean, std = (
            values if channels == 3 else (sum(values) / 3,) * channels for values in default
        )
        return (mean, std), (
            "no preprocessor_config.json: images are taken to be normalised by the mean "
            f"{_rounded(mean)} and the deviation {_rounded(std)}",
        )
    content = read_json(path)
    values = [content.get("image_mean", default[0]), content.get("image_std", default[1])]
    if content.get("do_normalize") is False:
        values = [(0.0,) * channels, (1.0,) * channels]
    gain = 1.0
    if content.get("do_rescale") is False:
        gain = 255.0
    elif "rescale_factor" in content:
        gain = 255.0 * float(content["rescale_factor"])
    if not isfinite(gain) or gain <= 0:
        raise ValueError(f"{path}: rescale_factor must be above 0, got {gain / 255}")
    try:
        mean, std = (tuple(float(v) / gain for v in value) for value in values)
    except (TypeError, ValueError):
        raise ValueError(f"{path}: image_mean and image_std must be lists of numbers") from None
    return (mean, std), ()


def _rounded(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:g}" for value in values)
