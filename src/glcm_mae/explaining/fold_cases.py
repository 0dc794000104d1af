"""The cases of one fold: chosen, mapped, set beside training images, drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.explaining.cases import Case, Kind
from glcm_mae.explaining.findings import Hold, holds_of
from glcm_mae.explaining.likeness import nearest_images
from glcm_mae.explaining.maps import BATCH, Maps, correlations, shuffled
from glcm_mae.explaining.picture import Overlay, draw_case, printable, summed
from glcm_mae.explaining.plan import FoldPlan
from glcm_mae.explaining.subject import Subject
from glcm_mae.prediction import FinishedFold, predict
from glcm_mae.progress import Meter

FOLDER = "cases"
_BLOCKS = 28  # blocks along the shorter side in which a map of pixels is drawn


class Neighbour(NamedTuple):
    """A training image that is like a case.

    Attributes:
        image: Its name.
        label: Its class.
        similarity: Cosine of both features.
        row: Its row in the table.
    """

    image: str
    label: str
    similarity: float
    row: int


@dataclass(frozen=True)
class ExplainedCase:
    """One test image, and what is said of it.

    Attributes:
        image: Its name.
        fold: Number of the classifier that judged it.
        kind: Why it was chosen.
        truth: Its class.
        predicted: The class that it was called.
        probability: Probability of that class.
        picture: File of its picture, relative to the folder.
        nearest: The training images most like it.
        missed: By how much integrated gradients miss completeness, as a share; else NaN.
        correlations: How alike its maps are to those of random weights.
    """

    image: str
    fold: int
    kind: Kind
    truth: str
    predicted: str
    probability: float
    picture: str
    nearest: Sequence[Neighbour]
    missed: float
    correlations: Mapping[str, float]

    @property
    def right(self) -> bool:
        """Whether it was called what it is."""
        return self.truth == self.predicted


@dataclass(frozen=True)
class FoldCases:
    """What was found in one fold.

    Attributes:
        fold: The fold.
        cases: Its cases.
        clusters: What each case stays together with.
        rows: Rows of its test images in the table.
        features: Features that its classifier has of them.
        correlations: Of each case how alike its maps are to those of random weights.
        difference: Largest difference of probabilities of cases now and in the run's table.
        holds: How maps lie to marked findings, by kind of map; empty without masks.
        held_clusters: What each image with a finding stays together with.
    """

    fold: FinishedFold
    cases: Sequence[ExplainedCase]
    clusters: NDArray[np.int64]
    rows: NDArray[np.int64]
    features: NDArray[np.float32]
    correlations: Mapping[str, NDArray[np.float64]]
    difference: float
    holds: Mapping[str, Sequence[Hold]]
    held_clusters: NDArray[np.int64]


def explain_fold(subject: Subject, plan: FoldPlan) -> FoldCases:
    """Explain and draw the cases of one fold.

    Args:
        subject: The run.
        plan: What is looked at.

    Raises:
        InputError: If the map is not defined for the classifier.
    """
    index, cases, rows, known = plan.index, plan.cases, plan.rows, plan.known
    fold = subject.folds[index]
    embedder = subject.own_embedder(fold)
    features, learnt = (embedder.embed(subject.images, some) for some in (rows, known))
    places = np.array([case.place for case in cases])
    nearest = nearest_images(features[places], learnt, subject.config.nearest)
    pictures = subject.pictures(rows[places])
    likeliest = torch.from_numpy(fold.test.probabilities.argmax(axis=1))
    maps, random = _both_maps(subject, index, pictures, likeliest[places])
    alike = correlations(maps, random)
    explained = []
    with Meter(f"cases, fold {int(fold.test.folds[0])}", total=len(cases)) as meter:
        for number, case in enumerate(cases):
            found = zip(known[nearest[0][number]], nearest[1][number], strict=True)
            one = _explained(
                fold,
                case,
                [_neighbour(subject, int(row), float(cosine)) for row, cosine in found],
                float(maps.missed[number]) if len(maps.missed) else nan,
                {name: float(values[number]) for name, values in alike.items()},
            )
            _draw(subject, one, pictures[number], maps, number)
            explained.append(one)
            meter.advance(1)
    now = predict(fold, torch.split(pictures, 64))
    holds, held = _hold(subject, plan, likeliest)
    return FoldCases(
        fold,
        explained,
        subject.clusters[index][places],
        rows,
        features,
        alike,
        float(np.abs(now - fold.test.probabilities[places]).max()),
        holds,
        held,
    )


def _both_maps(
    subject: Subject, index: int, pictures: Tensor, classes: Tensor
) -> tuple[Maps, Maps]:
    """Return the maps of images by the classifier of a fold, and by its shuffled weights."""
    model = subject.model(subject.folds[index])
    other = shuffled(model, seed=subject.config.seed, number=index)
    known = subject.how.maps(model, pictures, classes)
    return known, subject.how.maps(other, pictures, classes)


def _neighbour(subject: Subject, row: int, cosine: float) -> Neighbour:
    table = subject.images.table
    return Neighbour(table.name(row), table.classes[table.labels[row]], cosine, row)


def _explained(
    fold: FinishedFold,
    case: Case,
    nearest: Sequence[Neighbour],
    missed: float,
    alike: Mapping[str, float],
) -> ExplainedCase:
    test, number = fold.test, int(fold.test.folds[0])
    called = int(test.probabilities[case.place].argmax())
    return ExplainedCase(
        image=test.paths[case.place],
        fold=number,
        kind=case.kind,
        truth=test.classes[test.labels[case.place]],
        predicted=test.classes[called],
        probability=float(test.probabilities[case.place, called]),
        picture=f"{FOLDER}/fold-{number}-{case.kind}-{case.number}.png",
        nearest=nearest,
        missed=missed,
        correlations=alike,
    )


def _draw(
    subject: Subject, case: ExplainedCase, image: Tensor, maps: Maps, number: int
) -> None:
    overlays = [_gradient_overlay(subject, maps.gradient[number], image.shape[1:])]
    if maps.rollout is not None:
        even = maps.rollout[number] * maps.rollout[number].numel()
        overlays = [Overlay("attention rollout", even, "even share = 1"), *overlays]
    nearest = [
        (
            subject.pictures(np.array([other.row]))[0],
            f"{printable(other.label)}\ncosine {other.similarity:.3f}",
        )
        for other in case.nearest
    ]
    verdict = "right" if case.right else "WRONG"
    caption = (
        f"{printable(case.image)}   (fold {case.fold}, {case.kind})\n"
        f"true {case.truth}, called {case.predicted} with {100 * case.probability:.1f} %: "
        f"{verdict};   dashed: the training images most like it"
    )
    draw_case(subject.config.out / case.picture, image, overlays, nearest, caption=caption)


def _gradient_overlay(subject: Subject, values: Tensor, size: torch.Size) -> Overlay:
    kind = subject.config.map
    if kind == "gradcam":
        top = max(float(values.max()), 1e-12)
        return Overlay("Grad-CAM", values / top, "largest = 1")
    blocks = summed(values, max(1, min(size) // _BLOCKS))
    if kind == "saliency":
        return Overlay("saliency", blocks / max(float(blocks.max()), 1e-12), "largest = 1")
    return Overlay("integrated gradients", blocks, "change of the margin", signed=True)


def _hold(
    subject: Subject, plan: FoldPlan, likeliest: Tensor
) -> tuple[dict[str, list[Hold]], NDArray[np.int64]]:
    """Hold maps of some test images with a mask against their findings."""
    rows, findings, index = plan.rows, plan.findings, plan.index
    if not findings:
        return {}, np.empty(0, dtype=np.int64)
    places = np.array(list(findings))
    fold = subject.folds[index]
    model, holds = subject.model(fold), dict[str, list[Hold]]()
    with Meter(f"findings, fold {int(fold.test.folds[0])}", total=len(places)) as meter:
        for part in np.array_split(places, -(-len(places) // BATCH)):
            pictures = subject.pictures(rows[part])
            maps = subject.how.maps(model, pictures, likeliest[part])
            for name, own in holds_of(maps, [findings[int(n)] for n in part]).items():
                holds.setdefault(name, []).extend(own)
            meter.advance(len(part))
    return holds, subject.clusters[index][places]


def worst_missed(cases: Sequence[ExplainedCase]) -> float:
    """Return the largest miss of completeness; NaN if no map has that property."""
    known = [case.missed for case in cases if isfinite(case.missed)]
    return max(known, default=nan)
