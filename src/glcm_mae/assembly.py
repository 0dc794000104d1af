"""From settings to what is trained: models, objective, weights."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from glcm_mae.config import FinetuningConfig, LossesConfig, ModelConfig
from glcm_mae.data import ImageTable, ReadingPolicy, file_hashes
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.errors import InputError
from glcm_mae.losses.objective import Objective
from glcm_mae.model import Classifier, Encoder, MaskedAutoencoder, build_encoder
from glcm_mae.runs import Checkpoint, load_checkpoint, save_checkpoint, write_atomically
from glcm_mae.texture import Offset, Scale

ENCODER_FILE = "encoder.safetensors"
IMAGES_FILE = "images.csv"


def build_autoencoder(model: ModelConfig, *, seed: int) -> MaskedAutoencoder:
    """Build the autoencoder of some settings, with random weights of a seed.

    Raises:
        InputError: If the encoder is unknown or no plain ViT.
    """
    torch.manual_seed(counted_seed(seed, Stream.WEIGHTS))
    return MaskedAutoencoder(
        _build_encoder(model),
        decoder_depth=model.decoder_depth,
        decoder_width=model.decoder_width,
        decoder_heads=model.decoder_heads,
    )


def _build_encoder(model: ModelConfig, *, drop_path: float = 0.0) -> Encoder:
    try:
        return build_encoder(
            model.encoder,
            image_size=model.image_size,
            patch_size=model.patch_size,
            channels=model.channels,
            drop_path=drop_path,
            options=model.encoder_options,
        )
    except ValueError as error:
        raise InputError(str(error)) from error


def build_classifier(
    model: ModelConfig, finetuning: FinetuningConfig, *, classes: int, seed: int
) -> Classifier:
    """Build the classifier of some settings, with random weights of a seed.

    Raises:
        InputError: If the encoder is unknown or no plain ViT.
    """
    torch.manual_seed(counted_seed(seed, Stream.WEIGHTS))
    encoder = _build_encoder(model, drop_path=finetuning.drop_path)
    return Classifier(encoder, classes=classes, pooling=finetuning.pooling)


def build_objective(losses: LossesConfig, patch_size: int) -> Objective:
    """Build the objective of some settings."""
    glcm = losses.glcm
    first, *further = (
        Scale(scale.levels, scale.bandwidth, tuple(Offset(*step) for step in scale.offsets))
        for scale in (glcm, *glcm.further_scales)
    )
    return Objective(
        patch_size=patch_size,
        normalised=losses.mse.normalised,
        **first._asdict(),
        further_scales=tuple(further),
        symmetric=glcm.symmetric,
        engine=glcm.engine,
        window=losses.ssim.window,
        sigma=losses.ssim.sigma,
    )


def save_encoder(path: Path, encoder: Encoder, facts: dict[str, Any]) -> None:
    """Write an encoder under timm's names; its gray-level statistics stand among the facts."""
    statistics = {
        "input_mean": encoder.input_mean.tolist(),
        "input_std": encoder.input_std.tolist(),
    }
    save_checkpoint(path, Checkpoint(dict(encoder.vit.state_dict()), {**facts, **statistics}))


def encoder_file(weights: Path) -> Path:
    """Return the encoder file that ``weights`` names: a run folder or the file itself."""
    return weights / ENCODER_FILE if weights.is_dir() else weights


def settings_of(weights: Path) -> dict[str, Any]:
    """Return the settings that go with given weights: their model, and how images are read.

    Raises:
        InputError: If the file is missing or damaged.
    """
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


def _read_encoder(weights: Path) -> Checkpoint:
    path = encoder_file(weights)
    if not path.is_file():
        raise InputError(f"{path}: no such encoder; give a finished pre-training run folder")
    checkpoint = load_checkpoint(path, torch.device("cpu"))
    facts = checkpoint.facts
    if not ({"input_mean", "input_std"} <= facts.keys() and holds_policy(facts)):
        raise InputError(f"{path}: not the encoder of a pre-training; give its run folder")
    return checkpoint


def load_encoder(
    encoder: Encoder, weights: Path, model: ModelConfig, policy: ReadingPolicy
) -> None:
    """Load pre-trained weights into an encoder of the same shape.

    Args:
        encoder: Where the weights go.
        weights: Pre-training run folder, or an encoder file.
        model: Settings that the encoder was built with.
        policy: How images are read now.

    Raises:
        InputError: If the file is missing or damaged, or its model or its way to read
            images differs from the settings; the message names what differs.
    """
    checkpoint = _read_encoder(weights)
    facts = checkpoint.facts
    now = _shape_of(model.model_dump(mode="json"), policy)
    then = _shape_of(facts["model"], policy_of(facts))
    differing = [f"{key} {then[key]} (here {now[key]})" for key in now if then[key] != now[key]]
    if differing:
        raise InputError(
            f"{weights}: was trained with other settings: {'; '.join(differing)}; use the same"
        )
    encoder.vit.load_state_dict(checkpoint.tensors)
    encoder.set_input_statistics(facts["input_mean"], facts["input_std"])


def _shape_of(model: Mapping[str, Any], policy: ReadingPolicy) -> dict[str, Any]:
    """Return what must be equal where weights are used again, by the names of settings."""
    names = ("encoder", "encoder_options", "image_size", "patch_size", "channels")
    reading = policy.facts()
    kept = ("window", "percentiles", "axis", "fit", "depth")
    return {
        **{f"model.{name}": model.get(name) for name in names},
        **{f"data.{name}": reading[name] for name in kept},
    }


def record_images(path: Path, table: ImageTable, cache: Path | None) -> None:
    """Write ``path,sha256`` of every image trained on, so that overlap can be checked.

    Args:
        path: The file.
        table: The images.
        cache: Folder for decoded images, which remembers the hashes.

    Raises:
        InputError: If the run was begun with other images.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "sha256"])
    writer.writerows(zip(table.names, file_hashes(table, cache), strict=True))
    content = text.getvalue().encode()
    if path.is_file() and path.read_bytes() != content:
        raise InputError(
            f"{path}: the images have changed since the run began; bring them back, or start "
            "anew with another --out"
        )
    write_atomically(path, content)


def count_seen(weights: Path, hashes: Sequence[str]) -> int | None:
    """Return how many images, by content, the weights were trained on.

    Args:
        weights: Pre-training run folder, or an encoder file inside one.
        hashes: SHA-256 of the images in question.

    Returns:
        The count, or None where the run's list of images is not beside the weights.
    """
    record = encoder_file(weights).with_name(IMAGES_FILE)
    if not record.is_file():
        return None
    with record.open(encoding="utf-8", newline="") as file:
        known = {row["sha256"] for row in csv.DictReader(file)}
    return sum(digest in known for digest in hashes)
