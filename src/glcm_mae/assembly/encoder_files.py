"""Weights of encoders and autoencoders: written, and read again where they fit."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor

from glcm_mae.checkpoints import Checkpoints
from glcm_mae.config import ModelConfig
from glcm_mae.data import ReadingPolicy
from glcm_mae.errors import InputError
from glcm_mae.model import Encoder, MaskedAutoencoder
from glcm_mae.model.weights import (
    LoadReport,
    load_into_autoencoder,
    load_into_encoder,
    read_weights,
)
from glcm_mae.progress import say
from glcm_mae.tensor_file import TensorFile, read_tensor_file, readable, write_tensor_file

ENCODER_FILE = "encoder.safetensors"
AUTOENCODER_FILE = "autoencoder.safetensors"


def save_autoencoder(
    folder: Path,
    tensors: Mapping[str, Tensor],
    model: MaskedAutoencoder,
    facts: Mapping[str, Any],
) -> None:
    """Write an autoencoder, and its encoder alone under timm's names.

    The encoder's gray-level statistics stand among the facts of its file.

    Args:
        folder: Run folder.
        tensors: State of the model, whole.
        model: The model, for the statistics.
        facts: What a user of the weights must know.
    """
    start = "encoder.vit."
    encoder = {
        name.removeprefix(start): value
        for name, value in tensors.items()
        if name.startswith(start)
    }
    statistics = {
        "input_mean": model.encoder.input_mean.tolist(),
        "input_std": model.encoder.input_std.tolist(),
    }
    facts = {**facts, **statistics}
    write_tensor_file(folder / AUTOENCODER_FILE, tensors, facts)
    write_tensor_file(folder / ENCODER_FILE, encoder, facts)


def load_autoencoder(run: Path) -> TensorFile:
    """Read the autoencoder of a pre-training: the finished one, else the newest checkpoint.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    finished = run / AUTOENCODER_FILE
    if finished.is_file():
        return read_tensor_file(finished, torch.device("cpu"))
    newest = Checkpoints(run / "checkpoints").newest()
    if newest is None:
        raise InputError(f"{run}: no autoencoder and no checkpoint; give a pre-training's run")
    return TensorFile(newest.read("model", torch.device("cpu")), dict(newest.facts))


def encoder_file(weights: Path) -> Path:
    """Return the encoder file that ``weights`` names: a run folder or the file itself."""
    return weights / ENCODER_FILE if weights.is_dir() else weights


def is_own(weights: Path) -> bool:
    """Say whether weights are of a pre-training of this package, not of another library."""
    path = encoder_file(weights)
    if weights.is_dir() and not path.is_file() and (weights / "config.json").is_file():
        return False  # a folder of Hugging Face
    if not weights.exists():
        # timm:NAME and the like; but a path that is not there is told as one of ours.
        return not str(weights).startswith("timm:")
    if path.suffix != ".safetensors":
        return weights.is_dir()
    with readable(path), safe_open(path, framework="pt") as file:
        return "facts" in (file.metadata() or {})


def settings_of(weights: Path) -> dict[str, Any]:
    """Return the settings that go with given weights: their model, and how images are read.

    Those of other libraries bring none.

    Raises:
        InputError: If the file is missing or damaged.
    """
    if not is_own(weights):
        return {}
    facts = _read_encoder(weights).facts
    policy = policy_of(facts)
    kept = ("window", "percentiles", "axis", "fit", "depth")
    return {"model": facts["model"], "data": {name: policy.facts()[name] for name in kept}}


def policy_of(facts: Mapping[str, Any]) -> ReadingPolicy:
    """Return how images were read for a checkpoint, from its facts.

    Checkpoints of version 0.1.0 hold only ``fit``, for there was only one gray-level policy.
    """
    if "reading" in facts:
        return ReadingPolicy.from_facts(facts["reading"])
    model = facts["model"]
    return ReadingPolicy(
        channels=model["channels"], size=tuple(model["image_size"]), fit=facts["fit"]
    )


def holds_policy(facts: Mapping[str, Any]) -> bool:
    """Say whether the facts of a checkpoint tell how images were read."""
    return "model" in facts and ("reading" in facts or "fit" in facts)


def _read_encoder(weights: Path) -> TensorFile:
    path = encoder_file(weights)
    if not path.is_file():
        raise InputError(f"{path}: no such encoder; give a finished pre-training run folder")
    checkpoint = read_tensor_file(path, torch.device("cpu"))
    facts = checkpoint.facts
    if not ({"input_mean", "input_std"} <= facts.keys() and holds_policy(facts)):
        raise InputError(f"{path}: not the encoder of a pre-training; give its run folder")
    return checkpoint


def load_encoder(
    encoder: Encoder, weights: Path, model: ModelConfig, policy: ReadingPolicy
) -> None:
    """Load pre-trained weights into an encoder; of another image size, positions are resized.

    Args:
        encoder: Where the weights go.
        weights: Pre-training run folder, an encoder file, weights of another library, or
            timm:NAME.
        model: Settings that the encoder was built with.
        policy: How images are read now.

    Raises:
        InputError: If the file is missing or damaged, or its model or its way to read
            images differs from the settings; the message names what differs.
    """
    if not is_own(weights):
        tell_loaded(lambda: load_into_encoder(encoder, read_weights(weights)))
        return
    facts = _read_encoder(weights).facts
    now = _shape_of(model.model_dump(mode="json"), policy)
    then = _shape_of(facts["model"], policy_of(facts))
    differing = [f"{key} {then[key]} (here {now[key]})" for key in now if then[key] != now[key]]
    if differing:
        raise InputError(
            f"{weights}: was trained with other settings: {'; '.join(differing)}; use the same"
        )
    with one_line():
        load_into_encoder(encoder, read_weights(encoder_file(weights)))


def start_autoencoder(
    model: MaskedAutoencoder, weights: Path, *, target: Literal["raw", "normalised"]
) -> None:
    """Start a pre-training from given weights, and say what was loaded.

    Args:
        model: Where the weights go.
        weights: As for :func:`load_encoder`; with a decoder, if there is one.
        target: What the decoder of other libraries' weights predicts.

    Raises:
        InputError: If the weights are missing, damaged or of another model.
    """
    tell_loaded(lambda: load_into_autoencoder(model, read_weights(weights), target=target))


def tell_loaded(load: Callable[[], LoadReport]) -> None:
    """Load weights, and say what became of every name.

    Raises:
        InputError: If they do not fit.
    """
    with one_line():
        report = load()
    for line in report.lines():
        say(line)


@contextmanager
def one_line() -> Iterator[None]:
    """Turn what the science says of bad weights into the error that a user reads."""
    try:
        yield
    except ValueError as error:
        raise InputError(str(error)) from error


def _shape_of(model: Mapping[str, Any], policy: ReadingPolicy) -> dict[str, Any]:
    """Return what must be equal where weights are used again, by the names of settings."""
    names = ("encoder", "encoder_options", "patch_size", "channels")
    reading = policy.facts()
    kept = ("window", "percentiles", "axis", "fit", "depth")
    return {
        **{f"model.{name}": model.get(name) for name in names},
        **{f"data.{name}": reading[name] for name in kept},
    }
