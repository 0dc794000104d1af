"""What restorations were found to be like: means, intervals, differences, cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae import fidelity
from glcm_mae.analysis.intervals import Resampling
from glcm_mae.analysis.measuring import MEASURES, Portrait, Restoration
from glcm_mae.statistics import Interval
from glcm_mae.texture import HARALICK_FEATURES

CASES = ("best", "median", "worst")


@dataclass(frozen=True)
class Difference:
    """Two systems on the same images.

    Attributes:
        first: Name of one.
        second: Name of the other.
        interval: Mean Haralick error of the second minus that of the first.
        means: Mean errors of both.
    """

    first: str
    second: str
    interval: Interval
    means: tuple[float, float]

    @property
    def verdict(self) -> str:
        """Say in one sentence which keeps texture better, or that nobody can tell."""
        found = self.interval
        numbers = (
            f"{self.second} minus {self.first}: {_points(found.estimate)} points, interval "
            f"{_points(found.low)} to {_points(found.high)}"
        )
        if isnan(found.low) or found.low <= 0.0 <= found.high:
            return (
                f"{self.first} and {self.second} are not distinguishable by the mean Haralick "
                f"error ({numbers})"
            )
        better, worse = self.first, self.second
        one, other = self.means
        if found.estimate < 0:
            better, worse, one, other = worse, better, other, one
        return (
            f"{better} keeps Haralick's features better than {worse}: mean error "
            f"{100 * one:.1f} % against {100 * other:.1f} % ({numbers})"
        )

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in ``reconstruction.json``."""
        names = {"first": self.first, "second": self.second}
        return {**names, **self.interval._asdict(), "verdict": self.verdict}


@dataclass(frozen=True)
class Summary:
    """A system over all images.

    Attributes:
        features: Mean of each feature of the restored images.
        errors: Mean relative error of each feature.
        mean_error: Mean over the features of the figure.
        measures: Mean of each measure.
        cases: Places of the best, median and worst images by mean error.
    """

    features: Mapping[str, float]
    errors: Mapping[str, Interval]
    mean_error: Interval
    measures: Mapping[str, Interval]
    cases: Mapping[str, Sequence[int]]


@dataclass(frozen=True)
class Reconstructions:
    """What was found of all systems.

    Attributes:
        names: What the images are called.
        originals: What the originals are like.
        systems: What each system made of them.
        summaries: The same over all images.
        differences: Pairs of systems.
        notes: How the numbers came about.
        frequencies: Middles of the rings of the spectrum, in cycles per pixel.
    """

    names: Sequence[str]
    originals: Portrait
    systems: Mapping[str, Restoration]
    summaries: Mapping[str, Summary]
    differences: Sequence[Difference]
    notes: Sequence[str]
    frequencies: NDArray[np.float64]

    @property
    def title(self) -> str:
        """Headline of tables."""
        count = len(self.names)
        return f"Restored while hidden: {count} image{'s' if count != 1 else ''}"

    @property
    def verdicts(self) -> list[str]:
        """Sentences on every pair of systems."""
        return [difference.verdict for difference in self.differences]

    @property
    def original_means(self) -> dict[str, float]:
        """Mean of each feature of the originals."""
        return _feature_means(self.originals)

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in ``reconstruction.json``."""
        edges = np.linspace(0.0, 1.0, len(self.originals.histogram) + 1).tolist()
        portraits = {name: found.portrait for name, found in self.systems.items()}
        return {
            "runs": list(self.systems),
            "images": len(self.names),
            "features": list(HARALICK_FEATURES),
            "figure_features": list(fidelity.FIGURE_FEATURES),
            "original": self.original_means,
            "systems": {name: _facts_of(found) for name, found in self.summaries.items()},
            "histogram": {
                "edges": edges,
                "original": self.originals.histogram.tolist(),
                "systems": {
                    n: portrait.histogram.tolist() for n, portrait in portraits.items()
                },
            },
            "spectrum": {
                "frequency": self.frequencies.tolist(),
                "original": self.originals.spectrum.tolist(),
                "systems": {n: portrait.spectrum.tolist() for n, portrait in portraits.items()},
            },
            "cases": {
                name: {
                    kind: [self.names[place] for place in places]
                    for kind, places in found.cases.items()
                }
                for name, found in self.summaries.items()
            },
            "differences": [difference.facts() for difference in self.differences],
            "notes": list(self.notes),
        }


def summarise(found: Restoration, resampling: Resampling, cases: int) -> Summary:
    """Take the means of a system over all images, with their intervals.

    Args:
        found: What the system made of the images.
        resampling: How intervals are made.
        cases: Images to name of the best, the median and the worst.
    """
    columns = [*found.errors.values(), *(found.measures[name] for name in MEASURES)]
    *of_columns, mean_error = resampling.means(np.stack([*columns, found.mean_error], axis=1))
    errors = dict(zip(found.errors, of_columns, strict=False))
    return Summary(
        features=_feature_means(found.portrait),
        errors=errors,
        mean_error=mean_error,
        measures=dict(zip(MEASURES, of_columns[len(errors) :], strict=True)),
        cases=choose_cases(found.mean_error, cases),
    )


def choose_cases(errors: NDArray[np.float64], count: int) -> dict[str, list[int]]:
    """Return the places of the smallest, middle and largest errors.

    Example:
        >>> choose_cases(np.array([0.3, 0.1, 0.2]), 2)
        {'best': [1], 'median': [2], 'worst': [0]}
    """
    order = np.argsort(errors, kind="stable")
    few = min(count, max(1, len(order) // 3))
    middle = (len(order) - few) // 2
    chosen = (order[:few], order[middle : middle + few], order[::-1][:few])
    return {kind: part.tolist() for kind, part in zip(CASES, chosen, strict=True)}


def compare_systems(
    systems: Mapping[str, Restoration], resampling: Resampling
) -> list[Difference]:
    """Return the paired difference of the mean Haralick errors of every two systems."""
    return [
        Difference(
            first,
            second,
            resampling.difference(one.mean_error, other.mean_error),
            (float(one.mean_error.mean()), float(other.mean_error.mean())),
        )
        for (first, one), (second, other) in combinations(systems.items(), 2)
    ]


def _feature_means(portrait: Portrait) -> dict[str, float]:
    return {name: float(np.mean(values)) for name, values in portrait.features.items()}


def _facts_of(found: Summary) -> dict[str, Any]:
    return {
        "features": dict(found.features),
        "errors": {name: value._asdict() for name, value in found.errors.items()},
        "mean_error": found.mean_error._asdict(),
        "measures": {name: value._asdict() for name, value in found.measures.items()},
    }


def _points(value: float) -> str:
    return "–" if isnan(value) else f"{100 * value:+z.1f}"
