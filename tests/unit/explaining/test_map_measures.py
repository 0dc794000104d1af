"""Maps with shuffled weights, and maps held against findings."""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from glcm_mae.errors import InputError
from glcm_mae.explaining.findings import Hold, hold_against, holds_of, summarise_holds
from glcm_mae.explaining.maps import (
    Mapping,
    Maps,
    correlations,
    rank_correlation,
    shuffled,
    spread,
)
from glcm_mae.model import Classifier, build_encoder
from glcm_mae.model.baseline import build_baseline


def classifier() -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 16),
        patch_size=8,
        channels=1,
        options={"depth": 1, "embed_dim": 24, "num_heads": 2},
    )
    return Classifier(encoder, classes=2).eval()


def mapping(kind: str = "integrated-gradients", reference: str = "mean") -> Mapping:
    return Mapping(kind, 8, reference, "mean")  # type: ignore[arg-type]


def test_shuffling_keeps_the_numbers_and_loses_their_places() -> None:
    model = classifier()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    other = shuffled(model, seed=0, number=0)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    moved = 0
    for name, parameter in other.named_parameters():
        same = [part.detach().reshape(-1).sort().values for part in (parameter, before[name])]
        torch.testing.assert_close(*same, rtol=0, atol=0)
        moved += not torch.equal(parameter, before[name])
    assert moved >= 5
    again, third = (shuffled(model, seed=0, number=number) for number in (0, 1))
    weights = [part.encoder.vit.blocks[0].attn.qkv.weight for part in (other, again, third)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_rank_correlation_is_scipys_of_the_sizes() -> None:
    first, second = torch.randn(4, 5), torch.randn(4, 5)
    expected = spearmanr(first.abs().flatten(), second.abs().flatten()).statistic
    assert rank_correlation(first, second) == pytest.approx(expected)
    assert rank_correlation(first, -3 * first) == pytest.approx(1.0)
    assert np.isnan(rank_correlation(first, torch.ones(4, 5)))


def test_each_image_is_compared_with_itself() -> None:
    one = Maps(torch.rand(2, 3, 3), torch.rand(2, 8, 8), torch.empty(0))
    found = correlations(one, one)
    np.testing.assert_allclose(found["rollout"], [1, 1])
    np.testing.assert_allclose(found["gradient"], [1, 1])
    alone = correlations(Maps(None, one.gradient, one.missed), one)
    assert list(alone) == ["gradient"]


def test_maps_do_not_depend_on_the_batch() -> None:
    model, images = classifier(), torch.rand(11, 1, 16, 16)
    classes = torch.arange(11) % 2
    whole = mapping().maps(model, images, classes)
    alone = mapping().maps(model, images[9:10], classes[9:10])
    assert whole.rollout is not None
    assert alone.rollout is not None
    torch.testing.assert_close(whole.rollout[9:10], alone.rollout)
    torch.testing.assert_close(whole.gradient[9:10], alone.gradient, rtol=1e-4, atol=1e-9)
    assert whole.gradient.shape == (11, 16, 16)
    assert whole.missed.shape == (11,)


def test_the_reference_is_the_mean_gray_of_the_encoder_or_black() -> None:
    model = classifier()
    model.encoder.set_input_statistics([0.3], [0.2])
    torch.nn.init.normal_(model.head.weight)
    for reference, gray in (("mean", 0.3), ("black", 0.0)):
        even = torch.full((1, 1, 16, 16), gray)
        found = mapping(reference=reference).maps(model, even, torch.tensor([0]))
        assert float(found.gradient.abs().max()) == 0.0
        other = mapping(reference=reference).maps(model, even + 0.4, torch.tensor([0]))
        assert float(other.gradient.abs().max()) > 0.0


def test_a_baseline_has_no_rollout_and_one_of_tokens_no_grad_cam() -> None:
    model = build_baseline("test_vit", image_size=(160, 160), channels=1, classes=2).eval()
    image = torch.rand(1, 1, 160, 160)
    found = mapping("saliency").maps(model, image, torch.tensor([1]))
    assert found.rollout is None
    assert found.gradient.shape == (1, 160, 160)
    with pytest.raises(InputError, match="map: gradcam is not defined here"):
        mapping("gradcam").maps(model, image, torch.tensor([1]))


def test_an_even_map_has_the_area_inside() -> None:
    finding = torch.zeros(4, 6, dtype=torch.bool)
    finding[1:3, 2:4] = True
    held = hold_against(torch.full((4, 6), 0.2), finding)
    assert held.mass == pytest.approx(held.area) == pytest.approx(4 / 24)
    assert not held.peak  # the highest places lie outside for the most part
    assert hold_against(torch.zeros(4, 6), finding).mass == pytest.approx(4 / 24)


def test_signs_are_left_out_and_the_peak_is_found() -> None:
    values = torch.tensor([[-3.0, 1.0], [0.0, 0.0]])
    finding = torch.tensor([[True, False], [True, False]])
    assert hold_against(values, finding) == Hold(0.75, 0.5, True)


def test_coarse_maps_are_spread_over_the_image() -> None:
    coarse = torch.tensor([[[1.0, 0.0], [0.0, 3.0]]])
    finding = np.zeros((4, 4), dtype=bool)
    finding[2:, 2:] = True
    found = holds_of(Maps(coarse, spread(coarse, (4, 4)), torch.empty(0)), [finding])
    for kind in ("rollout", "gradient"):
        assert found[kind] == [Hold(0.75, 0.25, True)]


def test_means_over_images_have_intervals_over_patients() -> None:
    rng = np.random.default_rng(0)
    holds = [Hold(float(m), 0.1, bool(m > 0.3)) for m in rng.uniform(0, 0.6, 40)]
    found = summarise_holds(holds, np.arange(40), seed=0)
    masses = np.array([hold.mass for hold in holds])
    assert found.mass.estimate == pytest.approx(masses.mean())
    error = masses.std() / np.sqrt(40)
    assert (found.mass.high - found.mass.low) / 2 == pytest.approx(2.05 * error, rel=0.15)
    assert found.beyond.estimate == pytest.approx(masses.mean() - 0.1)
    assert found.peaks.estimate == pytest.approx((masses > 0.3).mean())
    # A second image of every patient that is like the first tells nothing new.
    twins = summarise_holds(2 * holds, np.tile(np.arange(40), 2), seed=0)
    assert twins.mass == pytest.approx(found.mass, rel=0.1)
