"""Which test images of a fold are worth a look."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from glcm_mae.errors import InputError
from glcm_mae.evaluation import Predictions

Kind = Literal["wrong", "right", "uncertain"]


class Case(NamedTuple):
    """One test image that is looked at.

    Attributes:
        place: Its row in the predictions of its fold.
        kind: Why it was chosen.
        number: Its place among those of its kind, from 1.
    """

    place: int
    kind: Kind
    number: int


def choose_cases(found: Predictions, *, wrong: int, right: int, uncertain: int) -> list[Case]:
    """Choose the most confident wrong and right images of a fold, and the least certain ones.

    Confidence is the probability of the predicted class; an image is uncertain by how close
    its two likeliest classes are. No image is chosen twice: the wrong ones come first, then
    the right ones. Of equal ones the first in the table is taken. Where fewer images
    are wrong (or right) than asked for, all of them are taken.

    Args:
        found: What the fold's classifier said of its test images.
        wrong: Confident errors.
        right: Confident successes.
        uncertain: Least certain images, right or wrong.

    Raises:
        InputError: If more are asked for than the fold has test images, or wrong ones alone
            where there are none.

    Example:
        >>> shares = np.array([[0.9, 0.1], [0.8, 0.2], [0.45, 0.55]])
        >>> said = Predictions(("a", "b", "c"), np.zeros(3, int), np.array([1, 0, 0]), shares,
        ...                    ("well", "ill"))
        >>> [(case.place, case.kind) for case in choose_cases(said, wrong=1, right=1,
        ...                                                   uncertain=1)]
        [(0, 'wrong'), (1, 'right'), (2, 'uncertain')]
    """
    asked = wrong + right + uncertain
    if asked > len(found):
        raise InputError(
            f"wrong, right, uncertain: {asked} cases are asked for, but fold "
            f"{int(found.folds[0])} has {len(found)} test images; ask for fewer"
        )
    likeliest = np.sort(found.probabilities, axis=1)[:, ::-1]
    hit = found.probabilities.argmax(axis=1) == found.labels
    closeness = likeliest[:, 1] - likeliest[:, 0]
    free = np.ones(len(found), dtype=bool)
    cases: list[Case] = []
    kinds: list[tuple[Kind, int, NDArray[np.bool_], NDArray[np.float64]]] = [
        ("wrong", wrong, ~hit, likeliest[:, 0]),
        ("right", right, hit, likeliest[:, 0]),
        ("uncertain", uncertain, np.ones_like(hit), closeness),
    ]
    for kind, count, eligible, rank in kinds:
        rows = np.flatnonzero(eligible & free)
        chosen = rows[np.argsort(-rank[rows], kind="stable")][:count]
        free[chosen] = False
        cases += [Case(int(row), kind, place) for place, row in enumerate(chosen, start=1)]
    if not cases:
        raise InputError(
            f"wrong, right, uncertain: fold {int(found.folds[0])} has no image of the kind "
            "asked for; ask for some of another kind too, such as --uncertain 1"
        )
    return cases
