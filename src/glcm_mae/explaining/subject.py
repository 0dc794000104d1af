"""A finished run, as far as its explanation needs it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.assembly import policy_of
from glcm_mae.config import ExplainConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import to_images
from glcm_mae.data.folds.assignments import read_assignment
from glcm_mae.data.folds.parts import part_names
from glcm_mae.downstream import SPLIT_FILE
from glcm_mae.embedding import Embedder
from glcm_mae.evaluation import concatenate
from glcm_mae.explaining.findings import FindingMasks
from glcm_mae.explaining.maps import Mapping
from glcm_mae.intake import cache_folder
from glcm_mae.model import Classifier, Encoder
from glcm_mae.model.baseline import Baseline
from glcm_mae.prediction import FinishedFold, rows_of


@dataclass(frozen=True)
class Subject:
    """A finished run, its images, and how it is explained.

    Attributes:
        config: Settings of the stage.
        folds: The run's classifiers.
        images: All images of its table.
        clusters: What each test image stays together with, of each fold.
        masks: Masks of findings.
    """

    config: ExplainConfig
    folds: Sequence[FinishedFold]
    images: LoadedImages
    clusters: Sequence[NDArray[np.int64]]
    masks: FindingMasks

    @classmethod
    def of(
        cls, config: ExplainConfig, folds: Sequence[FinishedFold], images: LoadedImages
    ) -> "Subject":
        """Find the masks, and what belongs together over all folds.

        Raises:
            InputError: If masks are asked for and there are none.
        """
        first = folds[0]
        numbers = concatenate([fold.test for fold in folds]).clusters
        ends = np.cumsum([len(fold.test) for fold in folds])
        source, policy = first.config.data.table, policy_of(first.facts)
        masks = FindingMasks.find(images.table, source, config.masks, policy)
        return cls(config, folds, images, np.split(numbers, ends[:-1]), masks)

    @property
    def device(self) -> torch.device:
        """Where the classifiers are."""
        return next(self.folds[0].model.parameters()).device

    @property
    def how(self) -> Mapping:
        """How maps are made."""
        config = self.config
        return Mapping(config.map, config.steps, config.reference, config.fusion)

    def model(self, fold: FinishedFold) -> Classifier | Baseline:
        """Return the classifier of a fold."""
        assert isinstance(fold.model, Classifier | Baseline), "load_classifier builds no other"
        return fold.model

    def rows(self, fold: FinishedFold, part: str) -> NDArray[np.int64]:
        """Return the rows of a part of a fold; those of the test part as it was predicted.

        Raises:
            InputError: If the parts are not known, or the table has changed.
        """
        if part == "test":
            return rows_of(fold.test, self.images.table)
        found = read_assignment(fold.folder / SPLIT_FILE, self.images.table)
        return np.flatnonzero(np.array(part_names(found)) == part)

    def pictures(self, rows: NDArray[np.int64]) -> Float[Tensor, "batch channel height width"]:
        """Return some images in [0, 1], on the processor."""
        return to_images(self.images.pixels[rows], torch.device("cpu"))

    def embedder(
        self, fold: FinishedFold, encoder: Encoder | Baseline, pooling: str, title: str
    ) -> Embedder:
        """Return what gives the features of images, read as the run's classifiers read them.

        Args:
            fold: A fold, for its precision and cache.
            encoder: What describes images.
            pooling: How its tokens are pooled.
            title: What the progress bar calls it.
        """
        return Embedder(
            encoder,
            pooling,
            policy_of(fold.facts).facts(),
            self.device,
            fold.config.precision,
            cache=cache_folder(fold.config.data.cache),
            title=title,
        )

    def own_embedder(self, fold: FinishedFold) -> Embedder:
        """Return what gives the features that a fold's own classifier has of images."""
        model = self.model(fold)
        title = f"features, fold {int(fold.test.folds[0])}"
        if isinstance(model, Baseline):
            return self.embedder(fold, model, "own", title)
        # What a pool by attention gathers is no feature of frozen models: the mean is.
        pooling = "cls" if model.pooling == "cls" else "mean"
        return self.embedder(fold, model.encoder, pooling, title)
