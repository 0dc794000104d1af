"""What is scored: true classes, decisions and probabilities, without names or files."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Cases:
    """Images as every score sees them.

    Attributes:
        labels: Index of each true class.
        called: Index of the class to which each image is assigned.
        probabilities: One row an image, one column a class.
        positive: With two classes the column of the positive one, else None.
    """

    labels: NDArray[np.int64]
    called: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    positive: int | None = None

    @classmethod
    def of(
        cls,
        labels: NDArray[np.int64],
        probabilities: NDArray[np.float64],
        positive: int | None = None,
    ) -> "Cases":
        """Assign every image to the class of the highest probability."""
        two = probabilities.shape[1] == 2
        return cls(
            labels, probabilities.argmax(axis=1), probabilities, positive if two else None
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.probabilities.shape[1])

    def merged(self, number: int) -> "Cases":
        """Return one class against the rest, as two classes of which it is the second.

        An image is called positive if it was assigned to that class among all. Its
        probability may then be below one half, and yet the highest.

        Example:
            >>> shares = np.array([[0.4, 0.3, 0.3]])
            >>> Cases.of(np.array([1]), shares).merged(0).called
            array([1])
        """
        own = self.probabilities[:, number]
        return Cases(
            (self.labels == number).astype(np.int64),
            (self.called == number).astype(np.int64),
            np.stack([1 - own, own], axis=1),
            positive=1,
        )

    def called_at(self, threshold: float | NDArray[np.float64]) -> "Cases":
        """Return the decisions at a threshold: positive is what has at least its probability.

        Args:
            threshold: One number, or one for each image.

        Raises:
            ValueError: If no class is the positive one.
        """
        if self.positive is None:
            raise ValueError("a threshold needs a positive class among two")
        reached = self.probabilities[:, self.positive] >= threshold
        called = np.where(reached, self.positive, 1 - self.positive)
        return Cases(self.labels, called, self.probabilities, self.positive)

    def rows(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> "Cases":
        """Return some of the images."""
        return Cases(
            self.labels[chosen], self.called[chosen], self.probabilities[chosen], self.positive
        )

    @property
    def confidence(self) -> NDArray[np.float64]:
        """Probability of the positive class; among several classes that of the class called."""
        if self.positive is not None:
            return self.probabilities[:, self.positive]
        return self.probabilities[np.arange(len(self)), self.called]

    @property
    def came_true(self) -> NDArray[np.bool_]:
        """Whether that of which :attr:`confidence` is the probability is so."""
        if self.positive is not None:
            return np.asarray(self.labels == self.positive)
        return np.asarray(self.called == self.labels)
