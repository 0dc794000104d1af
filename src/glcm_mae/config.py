"""The settings of every stage: one frozen pydantic model each, validated whole.

A recipe is one YAML file whose top-level keys are the sections below. Each stage
reads the sections it needs, so the same recipe serves ``pretrain``, ``finetune``
and ``crossval``. This module knows nothing of torch.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


class Settings(BaseModel):
    """Base of all sections: frozen, unknown keys refused, field docs kept."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


class DataConfig(Settings):
    """Which images, and how they are read."""

    table: Path
    """Folder of images, folder per class, or CSV manifest (path,label,group,split)."""
    fit: Literal["pad", "crop"] = "pad"
    """Bring images to model.image_size by padding with black, or by cropping."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read: stop at the start, or skip and count."""
    split: Path | None = None
    """CSV (path,split) with train, validation and test, in place of the table's own column."""
    positive: str = ""
    """Class counted as positive (required when there are two classes)."""


class ModelConfig(Settings):
    """The masked autoencoder: a timm ViT as encoder and a lighter decoder."""

    encoder: str = "vit_base_patch16_224"
    """Name of a timm vision transformer."""
    encoder_options: dict[str, int] = {}
    """Arguments that override the named encoder's, such as depth, embed_dim, num_heads."""
    image_size: tuple[PositiveInt, PositiveInt] = (224, 224)
    """Height and width in pixels; one number means a square."""
    patch_size: PositiveInt = 16
    """Side of a patch in pixels; unless given, the one in the encoder's name."""
    channels: Literal[1, 3] = 1
    """1 for gray images, 3 for colour."""
    mask_ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.75
    """Share of the patches that is hidden."""
    decoder_depth: PositiveInt = 8
    """Transformer blocks of the decoder."""
    decoder_width: PositiveInt = 512
    """Token width of the decoder; a multiple of 4 and of decoder_heads."""
    decoder_heads: PositiveInt = 16
    """Attention heads of the decoder."""

    @model_validator(mode="before")
    @classmethod
    def _patch_from_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "patch_size" not in values:
            found = re.search(r"patch(\d+)", str(values.get("encoder", "")))
            if found:
                return {**values, "patch_size": int(found.group(1))}
        return values

    @field_validator("image_size", mode="before")
    @classmethod
    def _square(cls, value: Any) -> Any:
        if isinstance(value, str | int) and str(value).isdigit():
            return (int(value), int(value))
        return value

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        height, width = self.image_size
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"model.image_size {height} x {width} is no multiple of model.patch_size "
                f"{self.patch_size}: choose for instance {_near(height, self.patch_size)} x "
                f"{_near(width, self.patch_size)}"
            )
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ValueError(
                f"model.decoder_width {self.decoder_width} must be a multiple of 4 and of "
                f"model.decoder_heads {self.decoder_heads}"
            )
        return self


def _near(length: int, patch: int) -> int:
    return max(1, round(length / patch)) * patch


class MSEConfig(Settings):
    """The pixel term."""

    normalised: bool = False
    """Divide every patch's error by its target's variance."""


class ScaleConfig(Settings):
    """How coarsely the texture term looks, and at which neighbours."""

    levels: Annotated[int, Field(ge=2, le=256)] = 32
    """Gray-level bins on [0, 1]."""
    bandwidth: Annotated[float, Field(gt=0.0, le=4.0)] = 0.5
    """Width of the soft bins' edges, in bin widths; small is sharp (the paper's W is 1/b)."""
    offsets: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] = ((0, 1), (1, 0))
    """Displacements (rows, columns) at which gray levels are paired."""


class GLCMConfig(ScaleConfig):
    """The texture term."""

    further_scales: tuple[ScaleConfig, ...] = ()
    """More levels, bandwidths and offsets, whose distances are added: a list of mappings."""
    symmetric: bool = False
    """Count every pair in both directions."""
    engine: Literal["fused", "dense"] = "fused"
    """How the term is computed; both give the same, the dense formula slowly."""


class SSIMConfig(Settings):
    """The structure term."""

    window: Annotated[int, Field(ge=3)] = 11
    """Side of the Gaussian window in pixels; odd, at most the patch."""
    sigma: Positive = 1.5
    """Standard deviation of the window in pixels."""

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"the window must be odd, got {value}")
        return value


class PhaseConfig(Settings):
    """The weights of the terms during one share of the epochs."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the pre-training epochs that this phase takes."""
    mse: NonNegative = 0.0
    """Weight of the mean squared error."""
    glcm: NonNegative = 0.0
    """Weight of the GLCM distance."""
    ssim: NonNegative = 0.0
    """Weight of 1 - SSIM."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.mse == self.glcm == self.ssim == 0.0:
            raise ValueError("a phase needs at least one weight above 0 (mse, glcm or ssim)")
        return self


class LossesConfig(Settings):
    """What a reconstruction is asked for."""

    mse: MSEConfig = MSEConfig()
    glcm: GLCMConfig = GLCMConfig()
    ssim: SSIMConfig = SSIMConfig()
    phases: Annotated[tuple[PhaseConfig, ...], Field(min_length=1)] = (
        PhaseConfig(share=0.5, mse=1.0),
        PhaseConfig(share=0.5, mse=1.0, glcm=1.0, ssim=0.1),
    )
    """Phases in order; their shares sum to 1."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        total = sum(phase.share for phase in self.phases)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares of losses.phases must sum to 1, got {total:g}")
        return self


class AugmentationConfig(Settings):
    """Mild changes that leave the finding where it is."""

    flip_horizontal: Share = 0.5
    """Probability of a left-right mirror."""
    flip_vertical: Share = 0.0
    """Probability of an up-down mirror."""
    shift: Annotated[float, Field(ge=0.0, le=0.5)] = 0.06
    """Largest shift, as a share of the side; whole pixels, so texture is kept."""
    rotation: Annotated[float, Field(ge=0.0, le=180.0)] = 0.0
    """Largest rotation in degrees (resamples, and so smooths)."""
    scale: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Largest relative change of size (resamples, and so smooths)."""
    brightness: Annotated[float, Field(ge=0.0, le=1.0)] = 0.05
    """Largest change of brightness, in gray-range units."""
    contrast: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Largest relative change of contrast about the image's mean."""


class OptimizationConfig(Settings):
    """AdamW with linear warm-up and cosine decay."""

    epochs: PositiveInt
    """Passes over the training images."""
    batch_size: PositiveInt
    """Images per optimiser step."""
    learning_rate: Positive
    """Peak learning rate, reached after the warm-up."""
    min_learning_rate: NonNegative = 0.0
    """Learning rate at the end of the cosine."""
    warmup_epochs: NonNegative = 5.0
    """Epochs of linear warm-up."""
    weight_decay: NonNegative = 0.05
    """Decoupled weight decay; norms, biases and tokens are excluded."""
    betas: tuple[Beta, Beta]
    """Decay rates of Adam's moments."""
    clip_norm: Positive = 1.0
    """Largest gradient norm; larger gradients are scaled down to it."""
    augmentation: AugmentationConfig

    @model_validator(mode="after")
    def _rates(self) -> Self:
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"min_learning_rate {self.min_learning_rate:g} is above learning_rate "
                f"{self.learning_rate:g}"
            )
        return self


class PretrainingConfig(OptimizationConfig):
    """How the autoencoder is trained."""

    epochs: PositiveInt = 400
    batch_size: PositiveInt = 64
    learning_rate: Positive = 3e-4
    warmup_epochs: NonNegative = 20.0
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    augmentation: AugmentationConfig = AugmentationConfig()
    picture_every: PositiveInt = 20
    """Epochs between two reconstructions.png."""
    shares_every: PositiveInt = 50
    """Steps between two samples of the terms' gradient shares."""


class FinetuningConfig(OptimizationConfig):
    """How the classifier is trained; the defaults are for few labels."""

    epochs: PositiveInt = 50
    batch_size: PositiveInt = 32
    learning_rate: Positive = 1e-3
    min_learning_rate: NonNegative = 1e-6
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    augmentation: AugmentationConfig = AugmentationConfig(rotation=10.0, scale=0.1)
    pooling: Literal["mean", "cls"] = "mean"
    """Classify from the mean of the patch tokens, or from the class token."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.75
    """Factor by which the learning rate falls from each layer to the one before."""
    drop_path: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Largest rate of stochastic depth."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the target spread over all classes."""
    balance: Literal["none", "loss", "sampling"] = "loss"
    """Make up for unequal classes by weights in the loss, by sampling, or not at all."""
    select_by: Literal["loss", "auroc", "accuracy", "balanced_accuracy"] = "auroc"
    """Score on the inner validation part that picks the epoch."""


class FoldsConfig(Settings):
    """How the labelled images are divided."""

    count: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation."""
    validation_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    """Share of a fold's training part set aside to pick the epoch."""
    test_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    """Share held out by finetune when the table has no split column."""


class StageConfig(Settings):
    """What every stage asks for."""

    data: DataConfig
    model: ModelConfig = ModelConfig()
    out: Path
    """Run folder to create; an existing one is never overwritten."""
    seed: Seed = 0
    """Seed of every random number."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """bfloat16 autocast where the device computes it natively; float32 everywhere."""


class PretrainConfig(StageConfig):
    """Settings of ``glcm-mae pretrain``."""

    losses: LossesConfig = LossesConfig()
    pretraining: PretrainingConfig = PretrainingConfig()

    @model_validator(mode="after")
    def _fits_patch(self) -> Self:
        check_losses_fit_patch(self.losses, self.model)
        return self


class FinetuneConfig(StageConfig):
    """Settings of ``glcm-mae finetune``."""

    finetuning: FinetuningConfig = FinetuningConfig()
    folds: FoldsConfig = FoldsConfig()
    start: Literal["weights", "scratch"] = "weights"
    """Start from given weights, or from random ones."""
    weights: Path | None = None
    """Pre-training run folder, or an encoder.safetensors."""

    @model_validator(mode="after")
    def _weights(self) -> Self:
        check_start(self.start, self.weights)
        return self


class CrossValConfig(StageConfig):
    """Settings of ``glcm-mae crossval``."""

    losses: LossesConfig = LossesConfig()
    pretraining: PretrainingConfig = PretrainingConfig()
    finetuning: FinetuningConfig = FinetuningConfig()
    folds: FoldsConfig = FoldsConfig()
    start: Literal["pretraining", "weights", "scratch"] = "pretraining"
    """Pre-train in every fold without its test images, or start from given weights, or none."""
    weights: Path | None = None
    """Pre-training run folder, or an encoder.safetensors (with start: weights)."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.start == "pretraining":
            check_losses_fit_patch(self.losses, self.model)
        check_start(self.start, self.weights)
        if self.data.split is not None:
            raise ValueError(
                "data.split is not for crossval, which draws its own folds: use finetune for a "
                "given split, or leave data.split out"
            )
        return self

    def pretrain_config(self, out: Path) -> PretrainConfig:
        """Return the settings of one fold's pre-training."""
        return PretrainConfig(**_sections(self, PretrainConfig, out=out))

    def finetune_config(self, out: Path, weights: Path | None) -> FinetuneConfig:
        """Return the settings of one fold's fine-tuning."""
        start = "scratch" if weights is None else "weights"
        sections = _sections(self, FinetuneConfig, out=out, start=start, weights=weights)
        return FinetuneConfig(**sections)


class ReconstructConfig(Settings):
    """Settings of ``glcm-mae reconstruct``."""

    run: Path
    """Pre-training run folder."""
    table: Path
    """Images to reconstruct: a folder or a CSV manifest."""
    out: Path
    """Folder to create for the pictures and the table."""
    images: PositiveInt = 8
    """Images shown in the picture; the table covers all."""
    seed: Seed = 0
    """Seed of the masks."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""


class TextureConfig(Settings):
    """Settings of ``glcm-mae texture``."""

    table: Path
    """Folder of images, or CSV manifest (path, and if it has them label, group, mask)."""
    out: Path
    """File to write, .parquet or .csv; an existing one is never overwritten."""
    masks: str = ""
    """Folder of masks, or what their names add, such as _mask; else the manifest's column."""
    unmasked: Literal["stop", "skip", "whole"] = "stop"
    """Images without a mask, or with an empty one: stop, leave out, or measure whole."""
    features: Literal["haralick", "ibsi", "all"] = "haralick"
    """Haralick's 14 features, IBSI's 25, or both."""
    levels: Annotated[int, Field(ge=2, le=4096)] = 32
    """Number of gray levels; not for binning by width."""
    binning: Literal["range", "number", "width"] = "range"
    """Bins on [0, 1], on the region's own range, or of bin_width from its least value."""
    bin_width: Positive | None = None
    """Width of a bin on the scale where white is 1; for binning by width only."""
    distances: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    """Distances of the pairs in pixels; one number or a list."""
    angles: Annotated[tuple[Literal[0, 45, 90, 135], ...], Field(min_length=1)] = (
        0,
        45,
        90,
        135,
    )
    """Directions of the pairs in degrees, of 0, 45, 90, 135; one number or a list."""
    symmetric: bool = True
    """Count every pair in both directions."""
    aggregation: Literal["averaged", "merged"] = "averaged"
    """Mean of the features of all directions, or features of their added counts."""
    on_error: Literal["stop", "skip"] = "stop"
    """What to do with files that cannot be read: stop and tell them all, or leave them out."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Images measured at the same time; 0 is one per processor core."""

    @field_validator("distances", "angles", mode="before")
    @classmethod
    def _one(cls, value: Any) -> Any:
        if isinstance(value, int) or (isinstance(value, str) and value.isdigit()):
            return (int(value),)
        return value

    @field_validator("distances", "angles")
    @classmethod
    def _distinct(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"each number may be given once, got {list(value)}")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.out.suffix.lower() not in (".parquet", ".csv"):
            raise ValueError(f"out must end in .parquet or .csv, got {self.out}")
        if (self.binning == "width") != (self.bin_width is not None):
            raise ValueError(
                "bin_width is needed for binning 'width', and only there: pass both, or none"
            )
        return self


class PhantomsConfig(Settings):
    """Settings of ``glcm-mae data phantoms``."""

    out: Path
    """Folder to create."""
    count: PositiveInt = 300
    """Number of images."""
    size: Annotated[int, Field(ge=32)] = 64
    """Side of an image in pixels."""
    seed: Seed = 0
    """Seed of the images."""
    labelled: bool = True
    """One folder per class and a manifest, or one flat folder."""


class DemoConfig(Settings):
    """Settings of ``glcm-mae demo``."""

    out: Path = Path("runs/demo")
    """Folder to create."""
    seed: Seed = 0
    """Seed of every random number."""


def _sections(source: Settings, target: type[Settings], **values: Any) -> dict[str, Any]:
    shared = {
        name: getattr(source, name) for name in target.model_fields if hasattr(source, name)
    }
    return {**shared, **values}


def check_losses_fit_patch(losses: LossesConfig, model: ModelConfig) -> None:
    """Refuse windows and offsets that do not fit into a patch.

    Raises:
        ValueError: If the SSIM window is larger than the patch or an offset as large.
    """
    patch = model.patch_size
    uses_ssim = any(phase.ssim > 0 for phase in losses.phases)
    if uses_ssim and losses.ssim.window > patch:
        raise ValueError(
            f"losses.ssim.window {losses.ssim.window} is larger than model.patch_size {patch}: "
            f"pass --losses.ssim.window {patch - 1 + patch % 2}"
        )
    scales = (losses.glcm, *losses.glcm.further_scales)
    for rows, cols in (offset for scale in scales for offset in scale.offsets):
        if max(abs(rows), abs(cols)) >= patch or (rows, cols) == (0, 0):
            raise ValueError(
                f"losses.glcm.offsets ({rows}, {cols}) must be shorter than model.patch_size "
                f"{patch} and not (0, 0)"
            )


def check_start(start: str, weights: Path | None) -> None:
    """Refuse a start that contradicts the weights.

    Raises:
        ValueError: If weights are missing, or given but not used.
    """
    if start == "weights" and weights is None:
        raise ValueError(
            "start: weights needs --weights RUN_FOLDER (or pass --start scratch to begin with "
            "random weights)"
        )
    if start != "weights" and weights is not None:
        raise ValueError(f"weights are given but start is {start!r}: pass --start weights too")
