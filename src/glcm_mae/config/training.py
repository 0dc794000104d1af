"""Settings of the optimiser, of both trainings and of the folds."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import (
    Beta,
    NonNegative,
    Positive,
    PositiveInt,
    Settings,
    Share,
)


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
    """Images per optimiser step, over all devices and parts."""
    accumulate: PositiveInt = 1
    """Parts of a batch that a device computes one after the other, to save memory."""
    learning_rate: Positive | None = None
    """Peak learning rate, reached after the warm-up; none: by the linear rule below."""
    base_learning_rate: Positive
    """Peak learning rate for 256 images a step; it grows with batch_size."""
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
    ema: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Decay of an average of the weights, which is then what is judged and kept; 0: none."""
    skip_non_finite: Annotated[int, Field(ge=0)] = 3
    """Steps in a row that are skipped for a loss or gradient that is not finite."""
    workers: Annotated[int, Field(ge=0)] = 0
    """Threads that make batches ahead, for a GPU; their number changes no result."""
    augmentation: AugmentationConfig

    @property
    def peak_learning_rate(self) -> float:
        """The learning rate as given, or by the linear rule from the batch size."""
        if self.learning_rate is not None:
            return self.learning_rate
        return self.base_learning_rate * self.batch_size / 256

    @model_validator(mode="after")
    def _rates(self) -> Self:
        if self.min_learning_rate > self.peak_learning_rate:
            raise ValueError(
                f"min_learning_rate {self.min_learning_rate:g} is above the peak learning rate "
                f"{self.peak_learning_rate:g}"
            )
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate {self.accumulate} divides a batch of {self.batch_size} into more "
                "parts than it has images: choose at most batch_size"
            )
        return self


class PretrainingConfig(OptimizationConfig):
    """How the autoencoder is trained."""

    epochs: PositiveInt = 400
    batch_size: PositiveInt = 64
    base_learning_rate: Positive = 1.2e-3
    warmup_epochs: NonNegative = 20.0
    betas: tuple[Beta, Beta] = (0.9, 0.95)
    augmentation: AugmentationConfig = AugmentationConfig()
    picture_every: PositiveInt = 20
    """Epochs between two reconstructions.png."""
    shares_every: PositiveInt = 50
    """Steps between two samples of the terms' gradient shares."""
    fidelity_every: Annotated[int, Field(ge=0)] = 20
    """Epochs between two measurements of how well texture is restored; 0: never."""
    fidelity_images: PositiveInt = 32
    """Images restored then: of the held-out part, or of the training images without one."""
    held_out_share: Annotated[float, Field(ge=0.0, le=0.5)] = 0.0
    """Share of the training images, in whole groups, not trained on but measured on."""
    select_by: Literal["loss", "texture"] = "loss"
    """Weights kept: the last (best checkpoint by loss), or those that restore texture best."""
    weights: Path | None = None
    """Weights to start from: a run, a file or folder of another library, or timm:NAME."""
    weights_target: Literal["raw", "normalised"] = "raw"
    """What the decoder of foreign weights predicts: pixels, or pixels normalised by patch."""

    @model_validator(mode="after")
    def _selection(self) -> Self:
        if self.select_by == "texture" and not (self.held_out_share and self.fidelity_every):
            raise ValueError(
                "select_by texture needs held-out images, and measurements on them: pass "
                "--pretraining.held_out_share 0.1, and --pretraining.fidelity_every above 0"
            )
        return self


class MixingConfig(Settings):
    """Mixing the images of a step with each other, and their labels alike."""

    mixup: NonNegative = 0.0
    """Parameter of the beta distribution of the shares of two blended images; 0: none."""
    cutmix: NonNegative = 0.0
    """The same for a rectangle put in from another image; with both, each half of the time."""
    probability: Share = 1.0
    """Probability that an image is mixed at all."""


class FinetuningConfig(OptimizationConfig):
    """How the classifier is trained; the defaults are for few labels."""

    epochs: PositiveInt = 50
    batch_size: PositiveInt = 32
    base_learning_rate: Positive = 8e-3
    min_learning_rate: NonNegative = 1e-6
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    augmentation: AugmentationConfig = AugmentationConfig(rotation=10.0, scale=0.1)
    mixing: MixingConfig = MixingConfig()
    pooling: Literal["mean", "cls", "attention"] = "mean"
    """From the mean of the patch tokens, the class token, or one query that attends to them."""
    trained: Literal["all", "head"] = "all"
    """Train the whole model, or only what follows the encoder, which then stays frozen."""
    layer_decay: Annotated[float, Field(gt=0.0, le=1.0)] = 0.75
    """Factor by which the rate falls from each layer to the one before; 1 from scratch."""
    drop_path: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Largest rate of stochastic depth."""
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the target spread over all classes."""
    balance: Literal["none", "loss", "sampling"] = "loss"
    """Make up for unequal classes by weights in the loss, by sampling, or not at all."""
    select_by: Literal["loss", "auroc", "accuracy", "balanced_accuracy"] = "auroc"
    """Score on the inner validation part that picks the epoch."""
    selection: Literal["inner", "last", "test-fold"] = "inner"
    """Epoch: best on the inner part, the last, or best on the TEST part (optimistic)."""
    patience: Annotated[int, Field(ge=0)] = 0
    """Epochs without a better score after which the training ends; 0: it never does early."""
    test_flips: bool = False
    """Predict the mean over an image and its left-right mirror."""


class FoldsConfig(Settings):
    """How the labelled images are divided."""

    count: Annotated[int, Field(ge=2)] = 5
    """Folds of the cross-validation."""
    validation_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    """Share of a fold's training part set aside to pick the epoch."""
    test_share: Annotated[float, Field(gt=0.0, le=0.5)] = 0.2
    """Share held out by finetune when the table has no split column."""
    repeats: PositiveInt = 1
    """Times the cross-validation is repeated, each time with other folds."""
    label_share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the training labels that are used; smaller shares lie within larger ones."""
    file: Path | None = None
    """Folds to use as they are: folds.csv of another run, or of glcm-mae data split."""
    official: bool = False
    """One fold: the parts that the table's split column tells (or data.split)."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.official and (self.file is not None or self.repeats > 1):
            raise ValueError(
                "official is one fold, that of the table: leave out file and repeats, or "
                "official"
            )
        return self
