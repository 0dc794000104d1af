"""The map of test features, and what numbers say of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from glcm_mae.assembly import (
    ENCODER_FILE,
    assembled_encoder,
    load_encoder,
    policy_of,
)
from glcm_mae.config import ExplainConfig, ModelConfig
from glcm_mae.embedding import weights_hash
from glcm_mae.errors import InputError
from glcm_mae.evaluation import concatenate
from glcm_mae.explaining.fold_cases import FoldCases
from glcm_mae.explaining.likeness import Agreement, measure_agreement, shares_of_neighbours
from glcm_mae.explaining.picture import Plane, draw_planes
from glcm_mae.explaining.projection import FEWEST, kept_neighbours, lay_out
from glcm_mae.explaining.subject import Subject
from glcm_mae.model import Classifier, Encoder
from glcm_mae.progress import say

FILES = ("feature_map.png", "feature_map.svg", "feature_map.pdf")
_TRANSDUCTIVE = Path("all") / "pretraining"


@dataclass(frozen=True)
class Space:
    """Test images whose features can be compared.

    Attributes:
        title: What it is called.
        images: Names of the images.
        features: Their features, one row an image.
        labels: Class of each.
        folds: Fold in which each was tested.
        clusters: What each stays together with.
        errors: Whether each was called wrong.
    """

    title: str
    images: Sequence[str]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    folds: NDArray[np.int64]
    clusters: NDArray[np.int64]
    errors: NDArray[np.bool_]


@dataclass(frozen=True)
class FeatureMap:
    """A map of test features, in one space or a space for each fold.

    Attributes:
        method: ``umap`` or ``tsne``.
        encoder: What gave the features.
        classes: Names of the classes.
        spaces: The spaces that were laid out.
        points: Points of each space.
        neighbours: Nearest images by which agreement was measured.
        of_class: How often the nearest images are of the same class.
        of_fold: The same of folds, where all share one space and there are several.
        kept: How well the plane keeps who is near whom, from 0 to 1; mean over spaces.
        left_out: Folds with too few test images.
    """

    method: str
    encoder: str
    classes: Sequence[str]
    spaces: Sequence[Space]
    points: Sequence[NDArray[np.float64]]
    neighbours: int
    of_class: Agreement
    of_fold: Agreement | None
    kept: float
    left_out: int

    @property
    def shared(self) -> bool:
        """Whether images of several folds lie in one space."""
        return any(len(np.unique(space.folds)) > 1 for space in self.spaces)


class SharedEncoder(NamedTuple):
    """One encoder for the test images of all folds.

    Attributes:
        encoder: It.
        name: What it is called.
    """

    encoder: Encoder
    name: str


def shared_encoder(subject: Subject) -> SharedEncoder | None:
    """Return the encoder that lays out all folds: given, or that of a transductive run.

    Raises:
        InputError: If a given encoder cannot be read, or does not fit the run.
    """
    given, own = subject.config.encoder, subject.config.run / _TRANSDUCTIVE
    if given is not None:
        return SharedEncoder(_read_encoder(subject, given), f"the given encoder {given.name}")
    if (own / ENCODER_FILE).is_file() and not subject.folds[0].facts.get("baseline"):
        name = "the run's one pre-trained encoder, before fine-tuning"
        return SharedEncoder(_read_encoder(subject, own), name)
    return None


def map_features(
    subject: Subject, folds: Sequence[FoldCases], shared: SharedEncoder | None
) -> FeatureMap:
    """Lay out the features of the test images, draw them, and measure who is near whom.

    Folds whose encoders differ have spaces of their own: coordinates of different spaces
    cannot be compared. Where images were gone through several times, the first pass counts.

    Args:
        subject: The run.
        folds: What was found in its folds.
        shared: Encoder for all folds; None: each fold's own.
    """
    config = subject.config
    passes = [int(fold.fold.test.repeat.min()) for fold in folds]
    first = [n for n, number in enumerate(passes) if number == min(passes)]
    encoder, own = _spaces(subject, folds, first, shared)
    spaces = [space for space in own if len(space.images) >= FEWEST]
    points = []
    for space in spaces:
        say(f"laying out {len(space.images)} test images by {config.projection}")
        points.append(
            lay_out(
                space.features,
                config.projection,
                neighbours=config.neighbours,
                min_dist=config.min_dist,
                seed=config.seed,
            )
        )
    kept = [
        kept_neighbours(space.features, plane, config.agreement)
        for space, plane in zip(spaces, points, strict=True)
    ]
    found = FeatureMap(
        config.projection,
        encoder,
        subject.folds[0].test.classes,
        spaces,
        points,
        config.agreement,
        _agreement(own, "labels", config),
        _agreement(own, "folds", config) if _several(own) else None,
        float(np.mean(kept)) if kept else float("nan"),
        len(own) - len(spaces),
    )
    if spaces:
        draw_planes([config.out / name for name in FILES], _planes(found))
    return found


def _several(spaces: Sequence[Space]) -> bool:
    return any(len(np.unique(space.folds)) > 1 for space in spaces)


def _agreement(spaces: Sequence[Space], what: str, config: ExplainConfig) -> Agreement:
    parts = [
        shares_of_neighbours(
            space.features, getattr(space, what), space.clusters, config.agreement
        )
        for space in spaces
    ]
    shares, chances = (np.concatenate(column) for column in zip(*parts, strict=True))
    clusters = np.concatenate([space.clusters for space in spaces])
    return measure_agreement(shares, chances, clusters, seed=config.seed)


def _spaces(
    subject: Subject,
    folds: Sequence[FoldCases],
    first: Sequence[int],
    shared: SharedEncoder | None,
) -> tuple[str, list[Space]]:
    """Return what gave the features, and one space, or one a fold."""
    if shared is not None:
        encoder, name = shared
        embedder = subject.embedder(subject.folds[0], encoder, "mean", "features, all folds")
        features = [embedder.embed(subject.images, folds[n].rows) for n in first]
        return name, [_space("", subject, first, features)]
    features = [folds[n].features for n in first]
    if len({_own_hash(subject, n) for n in first}) == 1:
        title = "" if len(first) > 1 else _title(subject, first[0])
        return "the classifier's own encoder", [_space(title, subject, first, features)]
    return "each fold's own classifier", [
        _space(_title(subject, n), subject, [n], [own])
        for n, own in zip(first, features, strict=True)
    ]


def _title(subject: Subject, index: int) -> str:
    return f"fold {int(subject.folds[index].test.folds[0])}"


def _space(
    title: str, subject: Subject, chosen: Sequence[int], features: Sequence[NDArray[np.float32]]
) -> Space:
    test = concatenate([subject.folds[n].test for n in chosen])
    return Space(
        title,
        test.paths,
        np.concatenate(features),
        test.labels,
        test.folds,
        np.concatenate([subject.clusters[n] for n in chosen]),
        test.probabilities.argmax(axis=1) != test.labels,
    )


def _own_hash(subject: Subject, index: int) -> str:
    model = subject.model(subject.folds[index])
    return weights_hash(model.encoder if isinstance(model, Classifier) else model)


def _read_encoder(subject: Subject, weights: Path) -> Encoder:
    facts = subject.folds[0].facts
    if facts.get("baseline"):
        raise InputError(
            f"{weights}: an encoder of ours cannot be held against baseline "
            f"{facts['baseline']}; leave out --encoder"
        )
    settings = ModelConfig(**facts["model"])
    torch.manual_seed(0)  # every weight is read, so that none of these remains
    encoder = assembled_encoder(settings)
    load_encoder(encoder, weights, settings, policy_of(facts))
    return encoder


def _planes(found: FeatureMap) -> list[Plane]:
    planes = []
    for space, points in zip(found.spaces, found.points, strict=True):
        title = space.title or "by class"
        planes.append(Plane(title, points, space.labels, found.classes, space.errors))
        numbers, places = np.unique(space.folds, return_inverse=True)
        if len(numbers) > 1:
            names = [f"fold {number}" for number in numbers]
            planes.append(Plane("by fold", points, places, names, space.errors))
    return planes
