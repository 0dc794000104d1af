"""Intervals, cases and verdicts of restorations, by hand and by planted differences."""

import numpy as np
import pytest
import torch

from glcm_mae.analysis.intervals import Resampling
from glcm_mae.analysis.measuring import measure_restoration, portray
from glcm_mae.analysis.result import Difference, choose_cases
from glcm_mae.fidelity import radial_frequencies
from glcm_mae.statistics import Interval


def test_a_perfect_restoration_has_no_error_anywhere() -> None:
    images = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    places = np.arange(5)
    originals = portray([(places, images)], 5)
    found = measure_restoration(
        [(places, images, images)],
        originals,
        frequencies=radial_frequencies(32, 32),
        patch_size=8,
    )
    assert found.mean_error.tolist() == [0.0] * 5
    assert np.isinf(found.measures["psnr"]).all()
    for name in ("mse", "wasserstein", "kl"):
        assert found.measures[name].tolist() == [0.0] * 5
    np.testing.assert_allclose(found.measures["glcm"], 0.0, atol=1e-6)
    for name in ("ssim", "ms_ssim", "high_frequency_power"):
        np.testing.assert_allclose(found.measures[name], 1.0, atol=1e-5)
    np.testing.assert_allclose(found.portrait.spectrum, originals.spectrum)


def test_batches_may_come_in_any_order() -> None:
    images = torch.rand(5, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    whole = portray([(np.arange(5), images)], 5)
    order = np.array([3, 0, 4, 2, 1])
    parts = portray([(order[:2], images[order[:2]]), (order[2:], images[order[2:]])], 5)
    for name, values in whole.features.items():
        np.testing.assert_array_equal(parts.features[name], values)
    np.testing.assert_array_equal(parts.spectra, whole.spectra)
    np.testing.assert_allclose(parts.histogram, whole.histogram)


def test_means_leave_out_what_is_not_finite() -> None:
    values = np.array([[1.0, np.inf], [3.0, np.inf], [np.nan, np.inf], [2.0, np.inf]])
    known, unknown = Resampling(np.arange(4), resamples=200).means(values)
    assert known.estimate == 2.0
    assert 1.0 <= known.low <= 2.0 <= known.high <= 3.0
    assert np.isnan(unknown).all()


def test_images_of_one_patient_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(0).normal(size=20), 5)[:, None]
    (alone,) = Resampling(np.arange(100)).means(values)
    (grouped,) = Resampling(np.repeat(np.arange(20), 5)).means(values)
    assert alone.estimate == grouped.estimate
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)


def test_a_planted_difference_is_found_and_none_is_not() -> None:
    random = np.random.default_rng(1)
    first = random.uniform(0.2, 0.8, size=80)
    better = first - 0.05 + random.normal(scale=0.05, size=80)
    found = Resampling(np.arange(80)).difference(first, better)
    assert found.estimate == pytest.approx(float(np.mean(better - first)))
    assert found.high < 0
    alike = first + random.normal(scale=0.05, size=80)
    none = Resampling(np.arange(80)).difference(first, alike - np.mean(alike - first))
    assert none.low < 0 < none.high


@pytest.mark.parametrize(
    ("interval", "text"),
    [
        (Interval(-0.1, -0.2, -0.05), "B keeps Haralick's features better than A"),
        (Interval(0.1, 0.05, 0.2), "A keeps Haralick's features better than B"),
        (Interval(-0.1, -0.2, 0.01), "A and B are not distinguishable"),
        (Interval(-0.1, float("nan"), float("nan")), "A and B are not distinguishable"),
    ],
)
def test_verdicts(interval: Interval, text: str) -> None:
    found = Difference("A", "B", interval, (0.3, 0.2)).verdict
    assert found.startswith(text)
    assert f"B minus A: {100 * interval.estimate:+.1f} points" in found


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_cases_are_the_ends_and_the_middle(count: int) -> None:
    errors = np.random.default_rng(count).permutation(count).astype(float)
    cases = choose_cases(errors, 2)
    few = min(2, max(1, count // 3))
    assert errors[cases["best"]].tolist() == list(range(few))
    assert errors[cases["worst"]].tolist() == [count - 1 - n for n in range(few)]
    assert len(cases["median"]) == few
    assert abs(errors[cases["median"]].mean() - (count - 1) / 2) <= 0.5
