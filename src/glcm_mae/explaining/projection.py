"""Features laid out in the plane, the same way every time."""

import warnings
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from glcm_mae.errors import InputError

FEWEST = 5
"""Images below which a layout in the plane shows nothing."""


def lay_out(
    features: NDArray[np.floating[Any]],
    method: Literal["umap", "tsne"],
    *,
    neighbours: int,
    min_dist: float,
    seed: int,
) -> NDArray[np.float64]:
    """Lay features out in the plane by UMAP [1]_ or t-SNE [2]_, by cosine distance.

    Both start from principal components, and compute on one thread: the same features and
    seed give the same plane.

    Args:
        features: One row an image.
        method: ``umap`` or ``tsne``.
        neighbours: Neighbours that UMAP keeps together; the perplexity of t-SNE. Of few
            images fewer are taken: at most a third of the others for t-SNE.
        min_dist: Least distance of points, for UMAP.
        seed: Seed of the layout.

    Returns:
        Two columns, one row an image.

    Raises:
        InputError: If there are fewer than :data:`FEWEST` images.

    References:
        .. [1] McInnes et al., 2018, arXiv:1802.03426
        .. [2] van der Maaten & Hinton, 2008, JMLR 9, 2579-2605
    """
    count = len(features)
    if count < FEWEST:
        raise InputError(f"a map of features needs {FEWEST} images, got {count}")
    wide = features.astype(np.float32)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = max(1.0, min(float(neighbours), (count - 1) / 3))
        model: Any = TSNE(
            perplexity=perplexity,
            metric="cosine",
            init=1e-4 * _components(wide),  # the extent that t-SNE itself starts from
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(model.fit_transform(wide), dtype=np.float64)
    with warnings.catch_warnings():
        # It says that Tensorflow, which is not needed here, is not there.
        warnings.simplefilter("ignore", ImportWarning)
        from umap import UMAP
    model = UMAP(
        n_neighbors=min(neighbours, count - 1),
        min_dist=min_dist,
        metric="cosine",
        init=10 * _components(wide),  # and UMAP
        random_state=seed,
        n_jobs=1,
    )
    return np.asarray(model.fit_transform(wide), dtype=np.float64)


def _components(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return two principal components, scaled to the largest being one."""
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, sizes, right = np.linalg.svd(centred, full_matrices=False)
    plane = left[:, :2] * sizes[:2]
    # The sign of a component is the library's choice: hold it.
    turned = right[:2][np.arange(2), np.abs(right[:2]).argmax(axis=1)]
    plane = plane * np.where(turned < 0, -1.0, 1.0)
    extent = max(float(np.abs(plane).max()), 1e-12)
    return np.asarray(plane / extent, dtype=np.float32)


def kept_neighbours(
    features: NDArray[np.floating[Any]], points: NDArray[np.float64], count: int
) -> float:
    """Return how far the plane shows no false neighbours: trustworthiness [1]_.

    Args:
        features: One row an image.
        points: Where they lie in the plane.
        count: Neighbours looked at; fewer than half of the images.

    Returns:
        1 if every neighbour in the plane is one by cosine too, near 0.5 by chance.

    References:
        .. [1] Venna & Kaski, 2001, doi:10.1007/3-540-44668-0_68
    """
    from sklearn.manifold import trustworthiness

    near = max(1, min(count, (len(features) - 1) // 2))
    return float(trustworthiness(features, points, n_neighbors=near, metric="cosine"))
