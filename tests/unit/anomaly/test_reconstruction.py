"""Masks that complete each other, and what a perfect or a blind model scores."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from glcm_mae.anomaly.reconstruction import MEASURES, Examiner
from glcm_mae.data import make_phantom
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.losses.objective import Objective
from glcm_mae.texture import Offset

CPU = torch.device("cpu")
OBJECTIVE = Objective(patch_size=8, levels=16, offsets=(Offset(0, 1), Offset(1, 0)), window=7)


class Predicted(NamedTuple):
    prediction: Tensor


class Oracle(nn.Module):
    """Returns the images themselves."""

    def forward(self, images: Tensor, mask: Tensor) -> Predicted:
        return Predicted(images)


class Mean(nn.Module):
    """Predicts, where a patch is hidden, the mean of what it sees; elsewhere nonsense."""

    def forward(self, images: Tensor, mask: Tensor) -> Predicted:
        side = images.shape[-1] // 8
        hidden = mask.view(-1, 1, side, side)
        hidden = hidden.repeat_interleave(8, 2).repeat_interleave(8, 3)
        total = torch.where(hidden, 0.0, images).sum(dim=(2, 3), keepdim=True)
        mean = total / (~hidden).sum(dim=(2, 3), keepdim=True)
        return Predicted(
            torch.where(hidden, mean.expand_as(images), torch.full_like(images, 7))
        )


def pixels(count: int = 5) -> np.ndarray:
    images = [make_phantom("fine", size=32, seed=(3, row)).image for row in range(count)]
    return np.rint(np.stack(images)[:, None] * 255).astype(np.uint8)


def examiner(model: nn.Module, **settings: object) -> Examiner:
    return Examiner(model=model, objective=OBJECTIVE, grid=(4, 4), mask_ratio=0.75, **settings)


def test_every_patch_is_hidden_three_times_a_round() -> None:
    stored = pixels(3)
    batch = next(plain_batches(stored, [2, 0, 1], batch_size=3, device=CPU))
    masks = [mask for _, mask in examiner(Oracle(), rounds=2).predictions(batch)]
    assert [mask.sum(dim=1).tolist() for mask in masks] == [[12] * 3] * 8
    for once in (masks[:4], masks[4:]):
        assert torch.equal(torch.stack(once).sum(dim=0), torch.full((3, 16), 3))


def test_a_perfect_prediction_scores_nothing() -> None:
    found = examiner(Oracle()).measure(pixels(), np.arange(5))
    for name in MEASURES:
        np.testing.assert_allclose(found[name], 0.0, atol=1e-6)


def test_measures_are_means_over_all_hidden_patches() -> None:
    stored = pixels(3)
    rounds = 2
    looked = examiner(Mean(), rounds=rounds, seed=4)
    found = looked.measure(stored, np.array([2, 0]))
    batch = next(plain_batches(stored, [2, 0], batch_size=2, device=CPU))
    errors, counts = torch.zeros(2), 0
    for prediction, mask in looked.predictions(batch):
        squares = (prediction - batch.images).square()[:, 0]
        by_patch = squares.unfold(1, 8, 8).unfold(2, 8, 8).mean(dim=(3, 4)).flatten(1)
        errors += (by_patch * mask).sum(dim=1)
        counts += int(mask[0].sum())
    assert counts == rounds * 3 * 16
    np.testing.assert_allclose(found["mse"], (errors / counts).numpy(), rtol=1e-5)


def test_an_image_scores_alike_in_any_batch() -> None:
    stored = pixels(4)
    together = examiner(Mean()).measure(stored, np.arange(4))
    alone = examiner(Mean()).measure(stored, np.array([2]))
    for name in MEASURES:
        assert together[name][2] == pytest.approx(alone[name][0], rel=1e-6)


def test_restored_images_never_show_a_visible_patch() -> None:
    stored = pixels(2)
    batch = next(plain_batches(stored, [0, 1], batch_size=2, device=CPU))
    restored = examiner(Mean()).restore(batch)  # what is visible comes out as nonsense
    assert float(restored.max()) <= float(batch.images.max())
    np.testing.assert_allclose(examiner(Oracle()).restore(batch), batch.images, atol=1e-6)


def test_another_texture_of_the_same_gray_levels_scores_higher_by_the_glcm() -> None:
    """Planted: the gray levels of an image in the order of another texture."""
    speckle = make_phantom("fine", size=32, seed=(9, 0)).image.astype(np.float32)

    class Fine(nn.Module):
        """Predicts fine speckle of its own, whatever it sees."""

        def forward(self, images: Tensor, mask: Tensor) -> Predicted:
            return Predicted(torch.from_numpy(speckle).expand_as(images))

    normal = pixels(10)
    planted = np.empty_like(normal)
    for image, swapped in zip(normal[:, 0], planted[:, 0], strict=True):
        smooth = gaussian_filter(image.astype(np.float64), 2.0, mode="wrap")
        swapped.flat[smooth.ravel().argsort(kind="stable")] = np.sort(image, axis=None)
    looked = examiner(Fine(), rounds=1)
    found = looked.measure(np.concatenate([normal, planted]), np.arange(20))
    wins = {
        name: float((values[10:, None] > values[None, :10]).mean())
        for name, values in found.items()
    }
    assert wins["glcm"] > 0.9
    # Both have the same gray levels, so the squared error does not tell them apart.
    assert wins["mse"] < wins["glcm"]
