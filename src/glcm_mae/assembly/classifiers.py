"""From settings to classifiers, and from a finished fine-tuning back to one."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from glcm_mae.assembly.encoder_files import load_encoder, one_line
from glcm_mae.assembly.models import assembled_encoder
from glcm_mae.config import FinetuneConfig, FinetuningConfig, ModelConfig, ProbeConfig
from glcm_mae.data import ReadingPolicy
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.errors import InputError
from glcm_mae.model import Classifier, Encoder
from glcm_mae.model.baseline import Baseline, build_baseline, load_baseline
from glcm_mae.tensor_file import read_tensor_file

CLASSIFIER_FILE = "classifier.safetensors"


def build_classifier(
    model: ModelConfig, finetuning: FinetuningConfig, *, classes: int, seed: int
) -> Classifier:
    """Build the classifier of some settings, with random weights of a seed.

    Raises:
        InputError: If the encoder is unknown or no plain ViT.
    """
    torch.manual_seed(counted_seed(seed, Stream.WEIGHTS))
    return Classifier(
        assembled_encoder(model, drop_path=finetuning.drop_path),
        classes=classes,
        pooling=finetuning.pooling,
        frozen=finetuning.trained == "head",
    )


def start_classifier(
    config: FinetuneConfig,
    policy: ReadingPolicy,
    statistics: Callable[[], tuple[Sequence[float], Sequence[float]]],
    *,
    classes: int,
) -> Classifier | Baseline:
    """Build the classifier of a fine-tuning, and start it as its settings say.

    Args:
        config: Settings of the stage.
        policy: How images are read.
        statistics: Tells the mean and standard deviation of each channel of the training
            images; asked only from scratch, for given weights bring their own.
        classes: Number of classes.

    Raises:
        InputError: If the model is unknown, or the weights or the image size do not fit it.
    """
    if config.baseline:
        with one_line():
            model = start_baseline(
                config.baseline,
                config.weights,
                config.model,
                classes=classes,
                seed=config.seed,
                drop_path=config.finetuning.drop_path,
                frozen=config.finetuning.trained == "head",
            )
        if config.weights is None:
            model.set_input_statistics(*statistics())
        return model
    built = build_classifier(config.model, config.finetuning, classes=classes, seed=config.seed)
    if config.weights is None:
        built.encoder.set_input_statistics(*statistics())
    else:
        load_encoder(built.encoder, config.weights, config.model, policy)
    return built


def start_probed(
    config: ProbeConfig,
    policy: ReadingPolicy,
    statistics: Callable[[], tuple[Sequence[float], Sequence[float]]],
) -> Encoder | Baseline:
    """Build the frozen model of a probing, and start it as its settings say.

    Args:
        config: Settings of the stage.
        policy: How images are read.
        statistics: As for :func:`start_classifier`.

    Raises:
        InputError: If the model is unknown, or the weights or the image size do not fit it.
    """
    model: Encoder | Baseline
    if config.baseline:
        with one_line():
            # Its head is not used; two classes are as good as any.
            model = start_baseline(
                config.baseline, config.weights, config.model, classes=2, seed=config.seed
            )
    else:
        torch.manual_seed(counted_seed(config.seed, Stream.WEIGHTS))
        model = assembled_encoder(config.model)
        if config.weights is not None:
            load_encoder(model, config.weights, config.model, policy)
    if config.weights is None:
        model.set_input_statistics(*statistics())
    return model.eval()


def start_baseline(
    name: str,
    weights: Path | None,
    model: ModelConfig,
    *,
    classes: int,
    seed: int,
    **settings: Any,
) -> Baseline:
    """Build a timm model for the images of some settings, random or from given weights.

    Raises:
        ValueError: If it is unknown, or the weights or the image size do not fit it.
    """
    torch.manual_seed(counted_seed(seed, Stream.WEIGHTS))
    shape: dict[str, Any] = {
        "image_size": model.image_size,
        "channels": model.channels,
        "classes": classes,
    }
    if weights is None:
        return build_baseline(name, **shape, **settings)
    return load_baseline(name, weights, **shape, **settings)


def load_classifier(folder: Path) -> tuple[Classifier | Baseline, dict[str, Any]]:
    """Read the classifier of a finished fine-tuning, ready to predict.

    Args:
        folder: Run folder of ``glcm-mae finetune``, or ``fold-N/finetuning`` of a
            cross-validation.

    Returns:
        The classifier in evaluation mode, for images in [0, 1]; and what its user must know:
        ``classes`` in the order of the logits, ``positive``, ``model``, ``reading`` (for
        :func:`~glcm_mae.assembly.policy_of`), ``baseline``, ``test_flips``, ``epoch``.

    Raises:
        InputError: If the folder holds no finished fine-tuning, or it is damaged.
    """
    path = folder / CLASSIFIER_FILE
    if not path.is_file():
        raise InputError(f"{folder}: holds no {CLASSIFIER_FILE}; give a finished fine-tuning")
    content = read_tensor_file(path, torch.device("cpu"))
    facts = content.facts
    try:
        settings, classes = ModelConfig(**facts["model"]), len(facts["classes"])
        model: Classifier | Baseline
        if facts.get("baseline"):
            model = build_baseline(
                facts["baseline"],
                image_size=settings.image_size,
                channels=settings.channels,
                classes=classes,
                inputs=facts["inputs"],
            )
        else:
            encoder = assembled_encoder(settings)
            model = Classifier(encoder, classes=classes, pooling=facts["pooling"])
        model.load_state_dict(content.tensors)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"{path}: not a classifier of ours ({reason}); give another"
        ) from error
    return model.eval(), facts
