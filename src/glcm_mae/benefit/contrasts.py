"""Paired comparisons of pre-trained systems with none, and what they say in one sentence."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

from glcm_mae.comparison import compare_runs
from glcm_mae.config import BenefitConfig, CompareConfig
from glcm_mae.statistics import holm

NAMES = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "f1": "F1",
}
"""What scores are called in a sentence."""


@dataclass(frozen=True)
class Contrast:
    """One system against another on the same share of the labels.

    Attributes:
        first: System, pre-trained.
        second: What it is compared with.
        share: Share of the labels.
        difference: First minus second.
        low: Lower limit of the difference.
        high: Upper limit.
        test: Name of the test.
        p_value: Its p-value.
        p_holm: The same after Holm's method over all contrasts of the panel.
    """

    first: str
    second: str
    share: float
    difference: float
    low: float
    high: float
    test: str
    p_value: float
    p_holm: float = float("nan")

    def facts(self) -> dict[str, Any]:
        """Return it as it stands in a file."""
        return asdict(self)


def find_contrasts(
    folders: Mapping[tuple[str, float], Path], config: BenefitConfig
) -> list[Contrast]:
    """Compare every pre-trained system with no pre-training, and GLCM-MAE with MAE.

    Which pairs are compared follows from the systems alone, never from their scores.

    Args:
        folders: Finished cross-validation of each system and share of the labels.
        config: Settings of the panel.
    """
    found = [
        _contrast(first, second, share, folders, config)
        for first, second in pairs_of(config)
        for share in config.label_shares
    ]
    adjusted: list[float] = holm([contrast.p_value for contrast in found]).tolist()
    return [replace(contrast, p_holm=p) for contrast, p in zip(found, adjusted, strict=True)]


def pairs_of(config: BenefitConfig) -> list[tuple[str, str]]:
    """Return which systems are compared: each with none, and GLCM-MAE with MAE.

    Without a row from scratch, all are compared with the first that is pre-trained.
    """
    names = [*config.systems, *config.given]
    pretrained = [name for name in names if name != "scratch"]
    if "scratch" in names:
        pairs = [(name, "scratch") for name in pretrained]
    else:
        pairs = [(name, pretrained[0]) for name in pretrained[1:]]
    texture = ("glcm-mae", "mae")
    if set(texture) <= set(names) and {texture, texture[::-1]}.isdisjoint(pairs):
        pairs.append(texture)
    return pairs


def _contrast(
    first: str,
    second: str,
    share: float,
    folders: Mapping[tuple[str, float], Path],
    config: BenefitConfig,
) -> Contrast:
    runs = tuple(f"{name}={folders[name, share]}" for name in (first, second))
    found = compare_runs(
        CompareConfig(
            runs=runs,
            out=config.out,
            scores=(config.score,),
            confidence=config.evaluation.confidence,
            resamples=config.evaluation.resamples,
            seed=config.seed,
        )
    )
    item = found.pairs[0].scores[0]
    return Contrast(
        first=first,
        second=second,
        share=share,
        difference=item.difference.estimate,
        low=item.difference.low,
        high=item.difference.high,
        test=item.primary,
        p_value=item.p_value,
    )


def verdict(contrasts: Sequence[Contrast], score: str, *, level: float = 0.05) -> str:
    """Say in one sentence what the contrasts show.

    Args:
        contrasts: The contrasts of a panel, corrected.
        score: Name of the score.
        level: Chance of calling a difference that is none.

    Example:
        >>> one = Contrast("mae", "scratch", 0.1, 0.05, 0.02, 0.08, "t", 0.001, 0.002)
        >>> other = Contrast("mae", "scratch", 1.0, 0.00, -0.02, 0.02, "t", 0.9, 0.9)
        >>> print(verdict([one, other], "auroc"))
        By AUROC, mae is better than scratch at 10 % of the labels (+5.0 points) and not
        distinguishable from it at 100 %.
    """
    pairs = dict.fromkeys((contrast.first, contrast.second) for contrast in contrasts)
    clauses = [
        _clause(
            first,
            second,
            [c for c in contrasts if (c.first, c.second) == (first, second)],
            level,
        )
        for first, second in pairs
    ]
    if not clauses:
        return "There is no pair of systems to compare."
    return f"By {NAMES[score]}, {'; '.join(clauses)}."


def _clause(first: str, second: str, contrasts: Sequence[Contrast], level: float) -> str:
    sure = [c for c in contrasts if isfinite(c.p_holm) and c.p_holm <= level]
    better = [c for c in sure if c.difference > 0]
    worse = [c for c in sure if c.difference < 0]
    open_ = [c for c in contrasts if c not in sure]
    if not sure:
        where = "at any share of the labels" if len(contrasts) > 1 else ""
        return f"{first} is not distinguishable from {second} {where}".rstrip()
    said = [
        f"{word} than {second} at {_places(chosen, points=True)}"
        for word, chosen in (("better", better), ("worse", worse))
        if chosen
    ]
    if open_:
        said.append(f"not distinguishable from it at {_places(open_, points=False)}")
    *others, last = said
    text = f"{', '.join(others)} and {last}" if others else last
    return f"{first} is {text}".replace("%", "% of the labels", 1)


def _places(contrasts: Sequence[Contrast], *, points: bool) -> str:
    return ", ".join(
        f"{100 * c.share:g} %" + (f" ({100 * c.difference:+z.1f} points)" if points else "")
        for c in contrasts
    )
