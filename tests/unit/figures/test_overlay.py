"""A map over an image: clear where there is little."""

import numpy as np
import pytest
import torch

from glcm_mae.figures import PALETTE, new_figure, show_overlay
from glcm_mae.figures.overlay import STRONGEST


def colours(signed: bool) -> np.ndarray:
    _, axes = new_figure(2, 2)
    image, values = torch.rand(1, 8, 8), torch.tensor([[-1.0, 0.0], [0.5, 1.0]])
    limits = (-1.0, 1.0) if signed else (0.0, 1.0)
    shown = show_overlay(axes[0, 0], image, values, limits=limits, signed=signed)
    assert tuple(shown.get_extent()) == (-0.5, 7.5, 7.5, -0.5)
    return np.asarray(shown.to_rgba(values.numpy()))


@pytest.mark.parametrize("signed", [True, False])
def test_little_is_clear_and_much_is_strong(signed: bool) -> None:
    from matplotlib.colors import to_rgb

    found = colours(signed)
    assert found[0, 1, 3] < 0.01
    assert found[1, 1, 3] == pytest.approx(STRONGEST, abs=0.01)
    assert found[1, 0, 3] == pytest.approx(STRONGEST / 2, abs=0.02)
    np.testing.assert_allclose(found[1, 1, :3], to_rgb(PALETTE[1]), atol=0.01)
    against = STRONGEST if signed else 0.0
    assert found[0, 0, 3] == pytest.approx(against, abs=0.01)
    if signed:
        np.testing.assert_allclose(found[0, 0, :3], to_rgb(PALETTE[0]), atol=0.01)
