"""Settings of the probes: simple classifiers on frozen features."""

from typing import Annotated, Literal

from pydantic import Field

from glcm_mae.config.base import Positive, PositiveInt, Settings


class ProbingConfig(Settings):
    """How frozen features are classified."""

    method: Literal["linear", "knn"] = "linear"
    """Logistic regression, or the votes of the nearest images."""
    pooling: Literal["mean", "cls"] = "mean"
    """The mean of the patch tokens, or the class token; timm models pool their own way."""
    balance: Literal["none", "loss"] = "loss"
    """Make up for unequal classes by weights in the loss (or of the votes), or not at all."""
    select_by: Literal["loss", "auroc", "accuracy", "balanced_accuracy"] = "auroc"
    """Score on the inner validation part that picks among the values below; ties: the loss."""
    penalties: Annotated[tuple[Positive, ...], Field(min_length=1)] = (
        *(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2),
    )
    """Linear: values of C, the inverse of the penalty on the squared coefficients."""
    neighbours: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1, 5, 10, 20, 50)
    """kNN: numbers of neighbours; those above the training images are left out."""
    temperatures: Annotated[tuple[Positive, ...], Field(min_length=1)] = (0.07, 1.0)
    """kNN: a neighbour votes with exp(cosine / temperature)."""
    batch_size: PositiveInt = 32
    """Images that pass the frozen model at once."""
