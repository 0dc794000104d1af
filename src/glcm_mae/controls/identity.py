"""Whether features tell whose an image is: is the nearest image one of the same patient?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.statistics import Interval, clustered_proportion_interval

_ENTRIES = 2**24
"""Similarities held at once (64 MiB)."""


@dataclass(frozen=True)
class Retrieval:
    """For every image asked about, what its nearest image of the same class is.

    Attributes:
        found: Whether the nearest is another image of the same patient.
        learnt: Whether it is that, and one that the classifier learnt from.
        chance: Share of images of the patient among those that could have been nearest.
        patients: Number of the patient.
    """

    found: NDArray[np.bool_]
    learnt: NDArray[np.bool_]
    chance: NDArray[np.float64]
    patients: NDArray[np.int64]

    @classmethod
    def concatenate(cls, parts: Sequence["Retrieval"]) -> "Retrieval":
        """Put those of several models together."""
        return cls(
            *(
                np.concatenate([getattr(part, name) for part in parts])
                for name in ("found", "learnt", "chance", "patients")
            )
        )

    def interval(self, hits: NDArray[np.bool_], confidence: float) -> Interval:
        """Return the share of hits with Wilson's interval over patients."""
        return clustered_proportion_interval(hits, self.patients, confidence=confidence)

    def facts(self, *, torn: int, confidence: float) -> dict[str, Any]:
        """Return it as it stands in ``controls.json``.

        Args:
            torn: Patients with images in training and test alike, in some fold.
            confidence: Share of intervals that hold the true value.
        """
        return {
            **self.interval(self.found, confidence)._asdict(),
            "chance": float(self.chance.mean()),
            "tests": len(self.found),
            "patients": len(np.unique(self.patients)),
            "torn_patients": torn,
            "nearest_was_learnt_from": self.interval(self.learnt, confidence)._asdict(),
        }


def retrieve_patients(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    patients: NDArray[np.int64],
    *,
    asked: NDArray[np.bool_],
    learnt: NDArray[np.bool_],
) -> Retrieval:
    """Look for the nearest image of every test image that has another of its patient.

    Only images of the same class may be found, so that features which tell the class, as
    they should, do not tell the patient by that alone. Features are standardised by what
    was learnt from, as for the linear probe; the nearest has the highest cosine.

    Args:
        features: One row an image.
        labels: Class of each image.
        patients: Number of the patient of each image.
        asked: Which images are asked about: the test part.
        learnt: Which images the classifier learns from: training and validation part.

    Returns:
        One entry for each image asked about whose patient has another of its class.

    Raises:
        ValueError: If nothing was learnt from.

    Example:
        >>> features = np.array([[1, 0], [0.9, 0.1], [0, 1], [-1, -1]], dtype=np.float32)
        >>> one = np.zeros(4, dtype=np.int64)
        >>> found = retrieve_patients(
        ...     features, one, np.array([7, 7, 8, 9]),
        ...     asked=np.array([True, True, False, False]),
        ...     learnt=np.array([False, False, True, True]))
        >>> found.found.tolist(), found.chance.round(2).tolist()
        ([True, True], [0.33, 0.33])
    """
    if not learnt.any():
        raise ValueError("learnt must hold at least one image")
    directions = _directions(features.astype(np.float64), learnt)
    parts = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        number, count = np.unique(patients[own], return_inverse=True, return_counts=True)[1:]
        others = count[number] - 1
        rows = np.flatnonzero(asked[own] & (others > 0))
        if not len(rows):
            continue
        nearest = own[_nearest(directions[own], rows)]
        hit = patients[nearest] == patients[own[rows]]
        parts.append(
            Retrieval(
                hit, hit & learnt[nearest], others[rows] / (len(own) - 1), patients[own[rows]]
            )
        )
    if not parts:
        none = np.empty(0, dtype=bool)
        return Retrieval(none, none, np.empty(0), np.empty(0, dtype=np.int64))
    return Retrieval.concatenate(parts)


def _directions(
    features: NDArray[np.float64], learnt: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Return standardised features of length one; a feature that never varies stays zero."""
    spread = features[learnt].std(axis=0)
    spread[spread == 0] = np.inf
    centred = (features - features[learnt].mean(axis=0)) / spread
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(length, 1e-12), dtype=np.float32)


def _nearest(directions: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of the highest cosine with each of some rows, itself left out."""
    found = []
    step = max(1, _ENTRIES // len(directions))
    for start in range(0, len(rows), step):
        some = rows[start : start + step]
        similarity = directions[some] @ directions.T
        similarity[np.arange(len(some)), some] = -np.inf
        found.append(similarity.argmax(axis=1))
    return np.concatenate(found)
