"""Features in the plane: the same every time, and groups stay groups."""

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from glcm_mae.errors import InputError
from glcm_mae.explaining.projection import kept_neighbours, lay_out


def groups(count: int = 20) -> np.ndarray:
    rng = np.random.default_rng(0)
    centres = 5 * np.eye(3, 8)
    return np.concatenate([c + 0.3 * rng.normal(size=(count, 8)) for c in centres])


def plane(features: np.ndarray, method: str, seed: int = 0) -> np.ndarray:
    settings = {"neighbours": 8, "min_dist": 0.1, "seed": seed}
    return lay_out(features.astype(np.float32), method, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ["tsne", pytest.param("umap", marks=pytest.mark.slow)])
def test_groups_stay_groups_and_the_plane_comes_out_again(method: str) -> None:
    features = groups()
    found = plane(features, method)
    assert found.shape == (60, 2)
    np.testing.assert_array_equal(found, plane(features, method))
    labels = np.repeat(np.arange(3), 20)
    distances = np.linalg.norm(found[:, None] - found[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    assert (labels[distances.argmin(axis=1)] == labels).all()
    assert kept_neighbours(features, found, 10) > 0.85


def test_few_images_have_fewer_neighbours() -> None:
    assert np.isfinite(plane(groups(2), "tsne")).all()


def test_too_few_images_are_refused() -> None:
    with pytest.raises(InputError, match="needs 5 images, got 4"):
        plane(groups()[:4], "tsne")


def test_trustworthiness_is_scikit_learns() -> None:
    features = groups()
    points = np.random.default_rng(1).normal(size=(60, 2))
    expected = trustworthiness(features, points, n_neighbors=7, metric="cosine")
    assert kept_neighbours(features, points, 7) == pytest.approx(expected)
    assert kept_neighbours(features[:5], points[:5], 10) <= 1.0  # as many as there can be
