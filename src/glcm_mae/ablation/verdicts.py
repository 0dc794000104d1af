"""What an ablation shows, in sentences."""

from collections.abc import Mapping, Sequence

from glcm_mae.ablation.contrasts import NAMES, Contrast
from glcm_mae.ablation.outcomes import Outcome
from glcm_mae.ablation.restorations import ERROR
from glcm_mae.ablation.studies import Study, as_told
from glcm_mae.comparison.report import TEST_NAMES, p_text


def verdict(
    study: Study,
    contrasts: Sequence[Contrast],
    outcomes: Mapping[str, Outcome],
    score: str,
    *,
    level: float = 0.05,
) -> str:
    """Say in a sentence or two what a study shows.

    Args:
        study: The study.
        contrasts: All contrasts, corrected.
        outcomes: What became of every variant, by name.
        score: Score of the classifier.
        level: Chance of calling a difference that is none.

    Example:
        >>> from glcm_mae.ablation.design import Point
        >>> points = tuple(Point(name, (), name) for name in ("half hidden", "all losses"))
        >>> study = Study("losses", (), points, "base")
        >>> names = ("base", "half hidden", "all losses")
        >>> outcomes = {name: Outcome(name, name, "done") for name in names}
        >>> worse = Contrast("half hidden", "base", "auroc", -0.05, -0.08, -0.02, "t", 0, 0.01)
        >>> alike = Contrast("all losses", "base", "auroc", 0.01, -0.02, 0.04, "t", 0.6, 0.6)
        >>> print(verdict(study, [worse, alike], outcomes, "auroc"))
        losses: by AUROC, half hidden is worse than base (-5.0 points, p = 0.010), and all
        losses is not distinguishable from it.
    """
    if outcomes[study.base].state != "done":
        return f"{study.name}: {study.base} is not finished, so that nothing can be compared."
    labels = {point.variant: point.label for point in study.others}
    told = []
    for name in (score, ERROR):
        own = [
            contrast
            for contrast in contrasts
            if (contrast.score, contrast.base) == (name, study.base)
            and contrast.variant in labels
        ]
        if own:
            told.append(f"by {NAMES[name]}, {_clauses(own, labels, study, level)}")
    if lost := [p.label for p in study.others if outcomes[p.variant].state != "done"]:
        told.append(f"not finished, and so not compared: {', '.join(lost)}")
    return f"{study.name}: {'; '.join(told) or 'there is nothing to compare'}."


def _clauses(
    contrasts: Sequence[Contrast], labels: Mapping[str, str], study: Study, level: float
) -> str:
    sure = [contrast for contrast in contrasts if contrast.surely(level)]
    unsure = [labels[contrast.variant] for contrast in contrasts if contrast not in sure]
    told: list[str] = []
    base = base_label(study)
    if not sure:
        if len(unsure) == 1:
            return f"{unsure[0]} is not distinguishable from {base}"
        return f"no variant is distinguishable from {base}"
    for word, better in (("better", True), ("worse", False)):
        chosen = [contrast for contrast in sure if contrast.better is better]
        if chosen:
            named = ", ".join(labels[contrast.variant] for contrast in chosen)
            than = base if not told else "it"
            numbers = ", ".join(_numbers(contrast) for contrast in chosen)
            told.append(f"{named} {_is(len(chosen))} {word} than {than} ({numbers})")
    if unsure:
        told.append(f"{', '.join(unsure)} {_is(len(unsure))} not distinguishable from it")
    *others, last = told
    return f"{', '.join(others)}, and {last}" if others else last


def base_label(study: Study) -> str:
    """Return what a study calls its base."""
    named = (as_told(point, study) for point in study.points if point.variant == study.base)
    return next(named, study.base)


def _is(count: int) -> str:
    return "is" if count == 1 else "are"


def _numbers(contrast: Contrast) -> str:
    p = p_text(contrast.p_holm)
    sign = "" if p.startswith("<") else "= "
    return f"{100 * contrast.difference:+z.1f} points, p {sign}{p}"


def note_of_tests(contrasts: Sequence[Contrast], confidence: float) -> str:
    """Say by which tests variants were compared, and what they ask."""
    if not contrasts:
        return ""
    names = dict.fromkeys(TEST_NAMES[contrast.test] for contrast in contrasts)
    asks = (
        "which asks whether the way of training is better"
        if list(names) == [TEST_NAMES["corrected_t"]]
        else "which asks about these trained models, not whether another training would have "
        "come out the same"
    )
    counts = {
        NAMES[score]: sum(contrast.score == score for contrast in contrasts)
        for score in dict.fromkeys(contrast.score for contrast in contrasts)
    }
    over = ", and apart over ".join(f"{number} by {name}" for name, number in counts.items())
    return (
        f"each variant is compared with the base on the same folds ({', '.join(names)} test, "
        f"{asks}); p after Holm over {over}; level {1 - confidence:.3g}"
    )
