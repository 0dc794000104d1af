"""Settings of the explanation of a finished classifier."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import PositiveInt, Seed, Settings

Count = Annotated[int, Field(ge=0)]


class ExplainConfig(Settings):
    """Settings of ``glcm-mae explain``."""

    run: Path
    """Run folder of a finished finetune or crossval."""
    out: Path
    """Folder to create for explanations.json, .csv, the cases and the map of features."""
    table: Path | None = None
    """Where the run's images lie now; none: where they lay when it was begun."""
    wrong: Count = 2
    """Test images of each fold that were called wrong with most confidence."""
    right: Count = 2
    """Test images of each fold that were called right with most confidence."""
    uncertain: Count = 2
    """Test images of each fold whose two likeliest classes are closest."""
    map: Literal["integrated-gradients", "gradcam", "saliency"] = "integrated-gradients"
    """Gradient-based map beside the attention rollout."""
    steps: Annotated[int, Field(ge=2)] = 50
    """Points on the path of integrated gradients."""
    reference: Literal["mean", "black"] = "mean"
    """Image that integrated gradients start from: the training images' mean gray, or black."""
    fusion: Literal["mean", "max", "min"] = "mean"
    """How attention rollout fuses the heads."""
    nearest: Annotated[int, Field(ge=1, le=8)] = 3
    """Training images shown beside each case: those of the most similar features."""
    projection: Literal["umap", "tsne"] = "umap"
    """How test features are laid out in the plane."""
    neighbours: Annotated[int, Field(ge=2)] = 15
    """Neighbours that UMAP keeps together; the perplexity of t-SNE."""
    min_dist: Annotated[float, Field(ge=0.0, le=1.0)] = 0.1
    """Least distance of points in UMAP's plane."""
    agreement: PositiveInt = 10
    """Nearest test images by which the agreement of classes and folds is measured."""
    encoder: Path | None = None
    """Encoder that lays out all folds in one map: a pre-training run, a file, or timm:NAME."""
    masks: str = ""
    """Folder of masks of findings, or what their names add; else the manifest's column."""
    findings: PositiveInt = 100
    """Test images with a mask on which maps are held against the finding, at most."""
    seed: Seed = 0
    """Seed of the layout, of the random weights, and of the choice and resampling of images."""
    device: Literal["best", "cpu", "cuda"] = "best"
    """Where to compute; best is the GPU if there is one."""

    @model_validator(mode="after")
    def _some_cases(self) -> Self:
        if self.cases == 0:
            raise ValueError("wrong, right and uncertain are all 0: ask for at least one case")
        return self

    @property
    def cases(self) -> int:
        """Cases asked for in each fold."""
        return self.wrong + self.right + self.uncertain
