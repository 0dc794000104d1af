"""Settings of the comparison of finished runs."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import Seed, Settings

ScoreName = Literal[
    "auroc", "balanced_accuracy", "accuracy", "sensitivity", "specificity", "f1"
]


class CompareConfig(Settings):
    """Settings of ``glcm-mae compare``."""

    runs: Annotated[tuple[str, ...], Field(min_length=2)]
    """Run folders of finished runs on the same folds, each as FOLDER or NAME=FOLDER."""
    out: Path
    """Folder to create for comparison.json, .csv, .md and .tex."""
    scores: Annotated[tuple[ScoreName, ...], Field(min_length=1)] = (
        "auroc",
        "balanced_accuracy",
        "accuracy",
        "sensitivity",
        "specificity",
        "f1",
    )
    """Scores to compare; all of them count as comparisons, so name only what you ask for."""
    reference: bool = False
    """Compare the first run with each other one only, not every pair."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Share of such intervals that hold the true difference; 1 minus it is the level."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap."""
    permutations: Annotated[int, Field(ge=199)] = 5000
    """Permutations where there are too many to try all."""
    seed: Seed = 0
    """Seed of the resamples and permutations."""
    force: bool = False
    """Compare despite differences in training parts, groups or selection; the tables tell."""

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("runs: names a run twice; name each once")
        if len(set(self.scores)) < len(self.scores):
            raise ValueError("scores: names a score twice; name each once")
        return self
