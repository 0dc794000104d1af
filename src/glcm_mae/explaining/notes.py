"""What stands below the table of an explanation: how it came about, and its limits."""

from collections.abc import Mapping, Sequence
from math import isfinite

from glcm_mae.evaluation import FEW_GROUPS
from glcm_mae.explaining.feature_map import FeatureMap
from glcm_mae.explaining.findings import Held
from glcm_mae.explaining.fold_cases import FoldCases, worst_missed
from glcm_mae.explaining.projection import FEWEST
from glcm_mae.explaining.report import map_name
from glcm_mae.explaining.subject import Subject
from glcm_mae.model import Classifier
from glcm_mae.statistics import Interval

_SAME = 1e-3  # probabilities; above it another device or version predicts otherwise
_MISSED = 0.05  # of the margin; above it more steps are due

_ROWS_SHOWN = {
    "cls": "the row of the class token",
    "mean": "the mean of the patches' rows",
    "attention": "the patches' rows, weighted by what the pool takes of each",
}
_MAPS = {
    "integrated-gradients": "integrated gradients: vermilion speaks for the predicted class, "
    "blue against it; the margin is its logit minus the mean of the others'",
    "gradcam": "Grad-CAM: places that speak for the predicted class, coarse as the patches",
    "saliency": "saliency: where the smallest change moves the predicted class's margin most, "
    "for or against",
}


def notes_of(
    subject: Subject,
    folds: Sequence[FoldCases],
    features: FeatureMap,
    sanity: Mapping[str, Interval],
    held: Mapping[str, Held],
) -> tuple[str, ...]:
    """Return how pictures and numbers came about, and what they cannot tell."""
    return (
        *_case_notes(subject, folds),
        _rollout_note(subject),
        *_gradient_notes(subject, folds),
        *_sanity_note(sanity),
        *_held_notes(subject, held),
        *_map_notes(features),
        "a map shows what moves the classifier, not whether that is sound medicine",
    )


def _case_notes(subject: Subject, folds: Sequence[FoldCases]) -> list[str]:
    count = sum(len(fold.cases) for fold in folds)
    notes = [
        f"{count} cases of {len(folds)} fold{'s' if len(folds) > 1 else ''}, each explained by "
        "the classifier of its own fold; extremes, so no sample of the rest"
    ]
    wrong = sum(case.kind == "wrong" for fold in folds for case in fold.cases)
    if wrong < subject.config.wrong * len(folds):
        notes.append(f"only {wrong} confident errors are shown: some folds have no more")
    difference = max(fold.difference for fold in folds)
    if difference > _SAME:
        notes.append(
            f"WARNING: probabilities differ from the run's own by up to {difference:.3g}"
        )
    if any(fold.facts.get("test_flips") for fold in subject.folds):
        notes.append("probabilities are of an image and its mirror image, maps of the image")
    return notes


def _rollout_note(subject: Subject) -> str:
    model = subject.model(subject.folds[0])
    if not isinstance(model, Classifier):
        return "attention rollout is not defined for a baseline: only the gradient map is shown"
    depth = len(model.encoder.vit.blocks)
    return (
        f"rollout ({subject.config.fusion} of heads; pooling {model.pooling}: "
        f"{_ROWS_SHOWN[model.pooling]}) is the same for every class: it tells where "
        f"information came from through {depth} layers, not what for"
    )


def _gradient_notes(subject: Subject, folds: Sequence[FoldCases]) -> list[str]:
    config = subject.config
    notes = [_MAPS[config.map]]
    if config.map != "integrated-gradients":
        return notes
    missed = worst_missed([case for fold in folds for case in fold.cases])
    gray = "the mean gray of the training images" if config.reference == "mean" else "black"
    advice = f"; raise --steps above {config.steps}" if missed > _MISSED else ""
    notes.append(
        f"the path starts from {gray}, so that pixels of just that gray get nothing; the sum "
        f"of a map misses the change of the margin by at most {100 * missed:.2g} %{advice}"
    )
    return notes


def _sanity_note(sanity: Mapping[str, Interval]) -> list[str]:
    values = {map_name(name): value.estimate for name, value in sanity.items()}
    known = [f"{name} {value:.2f}" for name, value in values.items() if isfinite(value)]
    if not known:
        return ["maps of random weights could not be compared: they are even"]
    return [
        f"rank correlation with the map of shuffled weights: {', '.join(known)}. Near 0 the "
        "map owes to what was learnt; near 1 an untrained model would show the same (Adebayo "
        "et al. 2018), and the map tells of the image, not of the classifier"
    ]


def _held_notes(subject: Subject, held: Mapping[str, Held]) -> list[str]:
    if not held:
        asked = "" if subject.masks.files else "; pass --masks to hold maps against findings"
        return [f"no test image with a mask of its finding{asked}"]
    images = next(iter(held.values())).images
    return [
        f"findings: {images} test images with a mask, drawn at random; an even map has as "
        "much inside as the finding's area, and what lies outside may still be a reason "
        "(shadow, rim)"
    ]


def _map_notes(found: FeatureMap) -> list[str]:
    notes = []
    if found.left_out:
        notes.append(
            f"{found.left_out} folds have fewer than {FEWEST} test images: not laid out"
        )
    if not found.spaces:
        return notes
    where = "one map for all folds" if found.shared else "one map"
    if len(found.spaces) > 1:
        where = "a map for each fold, for encoders differ: places in two cannot be compared"
    method = {"umap": "UMAP", "tsne": "t-SNE"}[found.method]
    kept = f"{found.kept:.2f}" if isfinite(found.kept) else "–"
    groups = len({int(c) for space in found.spaces for c in space.clusters})
    doubt = f"; too few groups ({groups}) for trustworthy intervals"
    notes.append(
        f"{method} of features of {found.encoder}: {where}. Sizes of clusters and "
        f"distances between them mean nothing; trustworthiness {kept} (1: no false "
        "neighbours). The shares above are measured in the features themselves, neighbours of "
        f"the same patient or near-duplicates left out{doubt if groups < FEW_GROUPS else ''}"
    )
    return notes
