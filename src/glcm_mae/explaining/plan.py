"""What is looked at in each fold, settled before anything is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glcm_mae.explaining.cases import Case, choose_cases
from glcm_mae.explaining.findings import some_of
from glcm_mae.explaining.subject import Subject


@dataclass(frozen=True)
class FoldPlan:
    """What is looked at in one fold; made for all folds before the first is drawn.

    Attributes:
        index: Place of the fold among the run's.
        cases: The cases.
        rows: Rows of its test images in the table.
        known: Rows of its training images.
        findings: Marked findings of some test images, by their place among these.
    """

    index: int
    cases: Sequence[Case]
    rows: NDArray[np.int64]
    known: NDArray[np.int64]
    findings: Mapping[int, NDArray[np.bool_]]

    @classmethod
    def of(cls, subject: Subject, index: int) -> "FoldPlan":
        """Choose the cases of a fold, and read the masks of some of its images.

        Raises:
            InputError: If more cases are asked for than the fold has test images, the table
                has changed, or a mask cannot be read.
        """
        fold, config = subject.folds[index], subject.config
        counts = {name: getattr(config, name) for name in ("wrong", "right", "uncertain")}
        cases = choose_cases(fold.test, **counts)
        rows, known = (subject.rows(fold, part) for part in ("test", "train"))
        marked = np.flatnonzero([row in subject.masks.files for row in rows.tolist()])
        count = -(-config.findings // len(subject.folds))
        drawn = marked[some_of(marked, count, seed=config.seed, fold=index)]
        read = {int(place): subject.masks.read(int(rows[place])) for place in drawn}
        findings = {place: found for place, found in read.items() if found is not None}
        return cls(index, cases, rows, known, findings)
