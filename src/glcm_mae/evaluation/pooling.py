"""Scores of all folds together, each with the interval that fits it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.evaluation.bins import bin_members, cut, drift_of_bins, error_of_bins
from glcm_mae.evaluation.cases import Cases
from glcm_mae.evaluation.weighted import WeightedScores, Weights
from glcm_mae.statistics import (
    Interval,
    auroc_interval,
    bca_interval,
    clustered_proportion_interval,
    resample_blocks,
)

_ENTRIES = 2**18
"""Weights that are held at once (2 MiB: what a processor keeps near itself)."""

MOST_LEFT_OUT = 500
"""Jackknife replicates at most."""


@dataclass(frozen=True)
class Pool:
    """The test images of all folds; where they were gone through several times, by pass.

    Attributes:
        cases: What is scored, all passes together.
        clusters: What each image stays together with, numbered from 0 over all passes.
        repeat: Number of the pass of each row.
    """

    cases: Cases
    clusters: NDArray[np.int64]
    repeat: NDArray[np.int64]

    def of(self, cases: Cases) -> "Pool":
        """Return the pool with other cases of the same images."""
        return replace(self, cases=cases)

    @property
    def passes(self) -> list[NDArray[np.int64]]:
        """Rows of each pass."""
        return [np.flatnonzero(self.repeat == number) for number in np.unique(self.repeat)]

    @property
    def grouped(self) -> bool:
        """Whether a group has several images within a pass."""
        return any(len(np.unique(self.clusters[rows])) < len(rows) for rows in self.passes)

    @property
    def strata(self) -> NDArray[np.int64]:
        """The class that occurs most in each cluster."""
        counts = np.zeros((int(self.clusters.max()) + 1, self.cases.classes), dtype=np.int64)
        np.add.at(counts, (self.clusters, self.cases.labels), 1)
        return np.asarray(counts.argmax(axis=1))


def pooled_scores(
    pool: Pool, names: Collection[str], *, confidence: float, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Return scores of all test images with their intervals.

    One pass over the images: shares of images have Wilson's interval, the AUROC of a
    class against the rest DeLong's, both allowing for groups of several images; the
    calibration error a basic bootstrap, and all other scores, and means over classes, a
    BCa bootstrap. Both draw whole groups within their class. Several passes: the mean
    over passes, with a bootstrap throughout.

    Args:
        pool: What is scored.
        names: Scores that are wanted.
        confidence: Share of intervals that hold the true value.
        resamples: Resamples of the bootstrap.
        seed: Seed of the resamples.

    Returns:
        ``estimate``, ``low``, ``high`` and ``method`` of each score; NaN without meaning.
    """
    found = _plain_intervals(pool, confidence) if len(pool.passes) == 1 else {}
    if "ece" in names:
        found["ece"] = _calibration_interval(pool, confidence, resamples, seed)
    rest = [name for name in names if name not in found]
    if rest:
        found |= _bootstrap(pool, rest, confidence, resamples, seed)
    return {name: found[name] for name in names}


def described(interval: Interval, method: str) -> dict[str, Any]:
    """Return an interval as it stands in files."""
    return {**interval._asdict(), "method": method}


def _plain_intervals(pool: Pool, confidence: float) -> dict[str, dict[str, Any]]:
    """Return what has an interval of its own: shares of images, and one ROC curve."""
    cases, suffix = pool.cases, _suffix(pool)
    right = cases.called == cases.labels
    shares = {"accuracy": np.ones(len(cases), dtype=bool)}
    if cases.positive is not None:
        ill, called = cases.labels == cases.positive, cases.called == cases.positive
        shares |= {"sensitivity": ill, "specificity": ~ill, "ppv": called, "npv": ~called}
    found = {
        name: described(
            clustered_proportion_interval(
                right[among], pool.clusters[among], confidence=confidence
            ),
            f"Wilson{suffix}",
        )
        for name, among in shares.items()
    }
    if cases.positive is not None:
        area = auroc_interval(
            cases.came_true, cases.confidence, pool.clusters, confidence=confidence
        )
        if area.low == area.high:  # equal scores throughout: nothing varies, nothing is told
            area = Interval(area.estimate, float("nan"), float("nan"))
        found["auroc"] = described(area, f"DeLong{suffix}")
    return found


def _suffix(pool: Pool) -> str:
    return ", clustered" if pool.grouped else ""


def _bootstrap(
    pool: Pool, names: Collection[str], confidence: float, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    of_pass = [WeightedScores(pool.cases.rows(rows), names) for rows in pool.passes]

    def replicates(blocks: Iterator[Weights]) -> dict[str, NDArray[np.float64]]:
        found = []
        for weights in _smaller(blocks, len(pool.cases)):
            parts = [
                scores(weights[:, pool.clusters[rows]])
                for scores, rows in zip(of_pass, pool.passes, strict=True)
            ]
            found.append({name: np.mean([p[name] for p in parts], axis=0) for name in names})
        return {name: np.concatenate([part[name] for part in found]) for name in names}

    strata = pool.strata
    numbers = np.arange(len(strata))
    drawn = replicates(resample_blocks(numbers, strata, resamples=resamples, seed=seed))
    left_out = replicates(_leave_some_out(len(strata)))
    whole = replicates(iter([np.ones((1, len(strata)))]))
    method = f"BCa bootstrap{_suffix(pool)}"
    intervals = {}
    for name in names:
        estimate = float(whole[name][0])
        interval = bca_interval(estimate, drawn[name], left_out[name], confidence=confidence)
        intervals[name] = described(_unless_constant(interval, drawn[name]), method)
    return intervals


def _calibration_interval(
    pool: Pool, confidence: float, resamples: int, seed: int
) -> dict[str, Any]:
    """Return the expected calibration error between limits that allow for its bias.

    What resampling adds to the error of the original bins is what sampling added to the
    true one (basic bootstrap). The lower limit is 0 unless the error is more than
    chance gives a calibrated classifier [1]_.

    References:
        .. [1] Bröcker and Smith, 2007, doi:10.1175/WAF993.1
    """
    parts = [pool.cases.rows(rows) for rows in pool.passes]
    members = [bin_members(cut(c.confidence), c.confidence, c.came_true) for c in parts]
    sums = [member.sum(axis=0) for member in members]
    estimate = float(np.mean([error_of_bins(own) for own in sums]))
    found = float(np.mean([error_of_bins(own, corrected=False) for own in sums]))
    strata = pool.strata
    blocks = resample_blocks(np.arange(len(strata)), strata, resamples=resamples, seed=seed)
    drawn, chance = [], []
    for weights in _smaller(blocks, len(pool.cases)):
        again = [
            weights[:, pool.clusters[rows]] @ member
            for rows, member in zip(pool.passes, members, strict=True)
        ]
        drawn.append(np.mean([error_of_bins(own) for own in again], axis=0))
        drifts = [drift_of_bins(*pair) for pair in zip(again, sums, strict=True)]
        chance.append(np.mean(drifts, axis=0))
    tail = (1 - confidence) / 2
    added = np.concatenate(drawn) - found
    low, high = estimate - np.quantile(added, [1 - tail, tail])
    if found <= np.quantile(np.concatenate(chance), 1 - tail):
        low = 0.0
    # The limits of an error are no less than 0, and hold the estimate.
    interval = Interval(estimate, float(np.clip(low, 0, estimate)), max(float(high), estimate))
    method = f"basic bootstrap{_suffix(pool)}"
    return described(_unless_constant(interval, np.concatenate(drawn)), method)


def _unless_constant(interval: Interval, replicates: NDArray[np.float64]) -> Interval:
    """Take the limits away if no resample differs: that tells nothing of other images."""
    known = replicates[np.isfinite(replicates)]
    if len(known) and isfinite(interval.low) and np.ptp(known) < 1e-12:
        return Interval(interval.estimate, float("nan"), float("nan"))
    return interval


def _smaller(blocks: Iterator[Weights], images: int) -> Iterator[Weights]:
    """Cut blocks of weights of clusters, so that those of the images stay bounded."""
    step = max(1, _ENTRIES // images)
    for block in blocks:
        for start in range(0, len(block), step):
            yield block[start : start + step]


def _leave_some_out(count: int) -> Iterator[Weights]:
    """Yield weights that leave out each cluster in turn, or each of many parts of them.

    The jackknife only tells how skewed a score is. With thousands of clusters hundreds
    of parts, in which neighbours do not stand together, tell that as well.
    """
    part = np.arange(count) % MOST_LEFT_OUT
    yield (part != np.arange(min(count, MOST_LEFT_OUT))[:, None]).astype(np.float64)
