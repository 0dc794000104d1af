"""IBSI's features against IBSI's own values, two radiomics packages, and by hand."""

import itertools
import json
import math
import re
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
from torch.autograd import gradcheck

from glcm_mae.texture import (
    HARALICK_FEATURES,
    IBSI_FEATURES,
    Marginals,
    Offset,
    autocorrelation,
    cluster_shade,
    contrast,
    cooccurrence,
    correlation,
    difference_variance,
    haralick_features,
    hard_membership,
    ibsi_features,
    inverse_variance,
    joint_average,
    joint_maximum,
    marginals,
    maximal_correlation_coefficient,
    soft_membership,
    sum_average,
)

GOLDEN = Path(__file__).parents[2] / "golden"
PHANTOM = json.loads((GOLDEN / "ibsi_digital_phantom.json").read_text(encoding="utf-8"))
MIRP = json.loads((GOLDEN / "mirp_glcm.json").read_text(encoding="utf-8"))
PYRADIOMICS = json.loads((GOLDEN / "pyradiomics_glcm.json").read_text(encoding="utf-8"))

MIRP_NAMES = {
    "joint_maximum": "cm_joint_max",
    "joint_average": "cm_joint_avg",
    "joint_variance": "cm_joint_var",
    "joint_entropy": "cm_joint_entr",
    "difference_average": "cm_diff_avg",
    "difference_variance": "cm_diff_var",
    "difference_entropy": "cm_diff_entr",
    "sum_average": "cm_sum_avg",
    "sum_variance": "cm_sum_var",
    "sum_entropy": "cm_sum_entr",
    "angular_second_moment": "cm_energy",
    "contrast": "cm_contrast",
    "dissimilarity": "cm_dissimilarity",
    "inverse_difference": "cm_inv_diff",
    "normalised_inverse_difference": "cm_inv_diff_norm",
    "inverse_difference_moment": "cm_inv_diff_mom",
    "normalised_inverse_difference_moment": "cm_inv_diff_mom_norm",
    "inverse_variance": "cm_inv_var",
    "correlation": "cm_corr",
    "autocorrelation": "cm_auto_corr",
    "cluster_tendency": "cm_clust_tend",
    "cluster_shade": "cm_clust_shade",
    "cluster_prominence": "cm_clust_prom",
    "information_correlation_1": "cm_info_corr1",
    "information_correlation_2": "cm_info_corr2",
}
# Sum variance and dissimilarity are not in pyradiomics: they are two others' twins.
PYRADIOMICS_NAMES = {
    "joint_maximum": "MaximumProbability",
    "joint_average": "JointAverage",
    "joint_variance": "SumSquares",
    "joint_entropy": "JointEntropy",
    "difference_average": "DifferenceAverage",
    "difference_variance": "DifferenceVariance",
    "difference_entropy": "DifferenceEntropy",
    "sum_average": "SumAverage",
    "sum_entropy": "SumEntropy",
    "angular_second_moment": "JointEnergy",
    "contrast": "Contrast",
    "inverse_difference": "Id",
    "normalised_inverse_difference": "Idn",
    "inverse_difference_moment": "Idm",
    "normalised_inverse_difference_moment": "Idmn",
    "inverse_variance": "InverseVariance",
    "correlation": "Correlation",
    "autocorrelation": "Autocorrelation",
    "cluster_tendency": "ClusterTendency",
    "cluster_shade": "ClusterShade",
    "cluster_prominence": "ClusterProminence",
    "information_correlation_1": "Imc1",
    "information_correlation_2": "Imc2",
}
HALF_TURN = [step for step in itertools.product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]
IN_SLICE = [step for step in HALF_TURN if step[0] == 0]
ALL_FEATURES = pytest.mark.parametrize("name", IBSI_FEATURES)


def counted(
    volumes: list[np.ndarray], steps: list[tuple[int, int, int]], levels: int
) -> np.ndarray:
    """Symmetric matrix of all pairs inside the mask, one voxel at a time."""
    counts = np.zeros((levels, levels))
    for volume in volumes:
        for voxel in np.ndindex(*volume.shape):
            for step in steps:
                other = tuple(np.add(voxel, step))
                inside = all(0 <= k < n for k, n in zip(other, volume.shape, strict=True))
                if inside and volume[voxel] and volume[other]:
                    counts[volume[voxel] - 1, volume[other] - 1] += 1
                    counts[volume[other] - 1, volume[voxel] - 1] += 1
    return counts / counts.sum()


def aggregated(volume: list[list[list[int]]], levels: int, method: str) -> torch.Tensor:
    """The matrices whose features one of IBSI's six methods averages."""
    whole = np.array(volume)
    slices = [whole[k : k + 1] for k in range(len(whole))]
    groups = {
        "2d_averaged": [([one], [step]) for one in slices for step in IN_SLICE],
        "2d_slice_merged": [([one], IN_SLICE) for one in slices],
        "2.5d_direction_merged": [(slices, [step]) for step in IN_SLICE],
        "2.5d_merged": [(slices, IN_SLICE)],
        "3d_averaged": [([whole], [step]) for step in HALF_TURN],
        "3d_merged": [([whole], HALF_TURN)],
    }[method]
    return torch.from_numpy(np.stack([counted(*group, levels) for group in groups]))


def random_matrix(levels: int = 5, seed: int = 0) -> torch.Tensor:
    """Not symmetric, and the neighbour brighter than the reference pixel."""
    generator = torch.Generator().manual_seed(seed)
    counts = 0.05 + torch.rand(levels, levels, generator=generator).double().square()
    counts = counts * torch.arange(1, levels + 1).square()
    return counts / counts.sum()


@pytest.mark.parametrize("method", PHANTOM["values"])
def test_equals_the_reference_values_of_ibsi(method: str) -> None:
    matrices = aggregated(PHANTOM["volume"], PHANTOM["levels"], method)
    features = {name: value.mean().item() for name, value in ibsi_features(matrices).items()}
    assert features.keys() == PHANTOM["values"][method].keys()
    for name, published in PHANTOM["values"][method].items():
        assert float(f"{features[name]:.3g}") == published, name


@pytest.mark.parametrize("method", PHANTOM["values"])
@pytest.mark.parametrize("volume", MIRP["volumes"])
def test_equals_mirp(volume: str, method: str) -> None:
    golden = MIRP["volumes"][volume]
    matrices = aggregated(golden["volume"], golden["levels"], method)
    theirs = golden["values"][method]
    features = ibsi_features(matrices)
    assert features.keys() == MIRP_NAMES.keys()
    for name, value in features.items():
        expected = theirs[MIRP_NAMES[name]]
        assert value.mean().item() == pytest.approx(expected, rel=1e-12, abs=1e-12), name


@pytest.mark.parametrize(
    "case",
    PYRADIOMICS["cases"],
    ids=lambda case: f"{case['image']}-{case['distance']}-{case['symmetric']}",
)
def test_equals_pyradiomics(case: dict) -> None:
    image = torch.tensor(PYRADIOMICS["images"][case["image"]])
    levels = max(2, int(image.max()))
    reach = range(-case["distance"], case["distance"] + 1)
    offsets = [
        Offset(*step)
        for step in itertools.product(reach, repeat=2)
        if step > (0, 0) and max(map(abs, step)) == case["distance"]
    ]
    membership = hard_membership(image - 1, levels).double()
    matrices = cooccurrence(membership, offsets, symmetric=case["symmetric"])
    compared = set()
    for name, theirs in PYRADIOMICS_NAMES.items():
        ours = IBSI_FEATURES[name](matrices).mean().item()
        assert ours == pytest.approx(case["values"][theirs], rel=1e-10, abs=1e-10), name
        compared.add(theirs)
    maximal = maximal_correlation_coefficient(matrices).mean().item()
    assert maximal == pytest.approx(case["values"]["MCC"], abs=1e-7)
    assert compared | {"MCC"} == case["values"].keys()


def test_a_matrix_that_is_not_symmetric_by_its_definitions() -> None:
    """Every sum over i and j as IBSI prints it, one entry at a time."""
    p = random_matrix().numpy()
    levels = len(p)
    entries = [(i + 1, j + 1, p[i, j]) for i in range(levels) for j in range(levels)]
    mean = sum(i * value for i, _, value in entries)
    other_mean = sum(j * value for _, j, value in entries)
    both = mean + other_mean
    spread = sum((i - mean) ** 2 * value for i, _, value in entries)
    other_spread = sum((j - other_mean) ** 2 * value for _, j, value in entries)
    product = sum((i - mean) * (j - other_mean) * value for i, j, value in entries)
    step = sum(abs(i - j) * value for i, j, value in entries)
    expected = {
        "joint_maximum": max(value for *_, value in entries),
        "joint_average": mean,
        "joint_variance": spread,
        "joint_entropy": -sum(value * math.log2(value) for *_, value in entries),
        "difference_average": step,
        "difference_variance": sum((abs(i - j) - step) ** 2 * v for i, j, v in entries),
        "sum_average": both,
        "sum_variance": sum((i + j - both) ** 2 * value for i, j, value in entries),
        "angular_second_moment": sum(value**2 for *_, value in entries),
        "contrast": sum((i - j) ** 2 * value for i, j, value in entries),
        "dissimilarity": step,
        "inverse_difference": sum(v / (1 + abs(i - j)) for i, j, v in entries),
        "normalised_inverse_difference": sum(
            value / (1 + abs(i - j) / levels) for i, j, value in entries
        ),
        "inverse_difference_moment": sum(v / (1 + (i - j) ** 2) for i, j, v in entries),
        "normalised_inverse_difference_moment": sum(
            value / (1 + (i - j) ** 2 / levels**2) for i, j, value in entries
        ),
        "inverse_variance": sum(v / (i - j) ** 2 for i, j, v in entries if i != j),
        "correlation": product / math.sqrt(spread * other_spread),
        "autocorrelation": sum(i * j * value for i, j, value in entries),
        "cluster_tendency": sum((i + j - both) ** 2 * value for i, j, value in entries),
        "cluster_shade": sum((i + j - both) ** 3 * value for i, j, value in entries),
        "cluster_prominence": sum((i + j - both) ** 4 * value for i, j, value in entries),
    }
    assert mean != pytest.approx(other_mean, rel=0.05)
    features = ibsi_features(torch.from_numpy(p))
    for name, value in expected.items():
        assert features[name].item() == pytest.approx(value, rel=1e-12), name
    entropies = features.keys() - expected.keys()
    assert entropies == {
        "difference_entropy",
        "sum_entropy",
        "information_correlation_1",
        "information_correlation_2",
    }


@ALL_FEATURES
def test_marginals_give_the_same_as_the_matrix(name: str) -> None:
    matrix = torch.stack([random_matrix(seed=seed) for seed in range(3)])
    found = marginals(matrix)
    assert torch.equal(IBSI_FEATURES[name](found), IBSI_FEATURES[name](matrix))


def test_haralick_of_marginals_leaves_out_the_fourteenth() -> None:
    matrix = random_matrix()
    whole, part = haralick_features(matrix), haralick_features(marginals(matrix))
    assert list(whole) == list(HARALICK_FEATURES)
    assert list(part) == list(HARALICK_FEATURES)[:13]
    for name, value in part.items():
        assert torch.equal(value, whole[name]), name


def test_the_fourteenth_says_that_it_needs_the_matrix() -> None:
    message = (
        "matrix must be the co-occurrence matrix itself for the maximal correlation "
        "coefficient, got Marginals; they do not settle it"
    )
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        maximal_correlation_coefficient(marginals(random_matrix()))


FLAT_VALUES = {
    "joint_maximum": 1,
    "joint_average": 3,
    "joint_variance": 0,
    "joint_entropy": 0,
    "difference_average": 0,
    "difference_variance": 0,
    "difference_entropy": 0,
    "sum_average": 6,
    "sum_variance": 0,
    "sum_entropy": 0,
    "angular_second_moment": 1,
    "contrast": 0,
    "dissimilarity": 0,
    "inverse_difference": 1,
    "normalised_inverse_difference": 1,
    "inverse_difference_moment": 1,
    "normalised_inverse_difference_moment": 1,
    "inverse_variance": 0,
    "correlation": 1,
    "autocorrelation": 9,
    "cluster_tendency": 0,
    "cluster_shade": 0,
    "cluster_prominence": 0,
    "information_correlation_1": 0,
    "information_correlation_2": 0,
}


@ALL_FEATURES
def test_limit_of_a_flat_patch(name: str) -> None:
    flat = cooccurrence(hard_membership(torch.full((7, 7), 2), 5), [Offset(0, 1), Offset(1, 0)])
    assert IBSI_FEATURES[name](flat).tolist() == [FLAT_VALUES[name]] * 2
    assert IBSI_FEATURES[name](flat * 0.99999994).tolist() == [FLAT_VALUES[name]] * 2


@pytest.mark.parametrize("transposed", [False, True])
def test_limit_of_one_constant_pixel(transposed: bool) -> None:
    """The reference pixel always black, its neighbour not: nothing is NaN."""
    matrix = torch.tensor([[0.5, 0.25, 0.25], [0, 0, 0], [0, 0, 0]])
    features = ibsi_features(matrix.T if transposed else matrix)
    assert features["correlation"] == 1
    assert features["information_correlation_1"] == 0
    assert features["information_correlation_2"] == 0
    assert features["joint_average"] == (1.75 if transposed else 1)
    assert features["autocorrelation"] == 1.75
    assert features["inverse_variance"] == 0.25 + 0.25 / 4
    for name, value in features.items():
        assert value.isfinite(), name


@ALL_FEATURES
@pytest.mark.parametrize("symmetric", [False, True])
def test_gradcheck_from_the_pixels(name: str, symmetric: bool) -> None:
    generator = torch.Generator().manual_seed(5)
    pixels = (0.05 + 0.9 * torch.rand(2, 4, 5, generator=generator).double()).requires_grad_()

    def from_pixels(image: torch.Tensor) -> torch.Tensor:
        membership = soft_membership(image, 4, 0.5)
        offsets = [Offset(0, 1), Offset(1, -1)]
        return IBSI_FEATURES[name](cooccurrence(membership, offsets, symmetric=symmetric))

    assert gradcheck(from_pixels, (pixels,))


@ALL_FEATURES
@pytest.mark.parametrize("image", ["flat", "stripes", "sparse"])
def test_gradient_is_finite_where_entries_are_zero(name: str, image: str) -> None:
    pixels = {
        "flat": torch.zeros(6, 6, dtype=torch.int64),
        "stripes": torch.tensor([0, 3]).repeat(6, 3),
        "sparse": torch.arange(36).reshape(6, 6) % 7,
    }[image]
    membership = hard_membership(pixels, 8).requires_grad_()
    matrices = cooccurrence(membership, [Offset(0, 1), Offset(1, 1), Offset(1, 0)])
    values = IBSI_FEATURES[name](matrices)
    (gradient,) = torch.autograd.grad(values.sum(), membership)
    assert values.isfinite().all()
    assert gradient.isfinite().all()


@ALL_FEATURES
def test_batch_axes_are_kept(name: str) -> None:
    feature = IBSI_FEATURES[name]
    matrices = torch.stack([random_matrix(seed=seed) for seed in range(6)]).reshape(2, 3, 5, 5)
    batched = feature(matrices)
    assert batched.shape == (2, 3)
    for a, b in itertools.product(range(2), range(3)):
        torch.testing.assert_close(batched[a, b], feature(matrices[a, b]))
    assert feature(matrices[:0]).shape == (0, 3)


@ALL_FEATURES
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_low_precision_is_computed_in_float32(name: str, dtype: torch.dtype) -> None:
    matrix = random_matrix().to(dtype)
    got = IBSI_FEATURES[name](matrix)
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got.double(), IBSI_FEATURES[name](matrix.double()), rtol=1e-4, atol=1e-5
    )


@ALL_FEATURES
def test_autocast_changes_nothing(name: str) -> None:
    matrix = random_matrix().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = IBSI_FEATURES[name](matrix)
    assert torch.equal(got, IBSI_FEATURES[name](matrix))


@ALL_FEATURES
@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (
            torch.ones(2, 2),
            "matrix must sum to one over its last two axes, got 4; "
            "divide each matrix by its sum",
        ),
        (
            torch.ones(2, 3) / 6,
            "matrix must be square over its last two axes, with at least 2 levels, "
            "got shape (2, 3)",
        ),
    ],
)
def test_errors(
    monkeypatch: pytest.MonkeyPatch, name: str, matrix: torch.Tensor, message: str
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        IBSI_FEATURES[name](matrix)


def test_twins_are_one_number() -> None:
    matrix = random_matrix()
    features = ibsi_features(matrix)
    assert features["difference_average"] == features["dissimilarity"]
    assert features["cluster_tendency"] == features["sum_variance"]
    assert features["joint_variance"] == haralick_features(matrix)["sum_of_squares_variance"]


def test_single_pairs_by_hand() -> None:
    """Level 2 meets level 5, of six: each sum has one term."""
    matrix = torch.zeros(6, 6).double()
    matrix[1, 4] = 1
    features = {name: value.item() for name, value in ibsi_features(matrix).items()}
    assert features["joint_maximum"] == 1
    assert features["joint_average"] == 2
    assert features["sum_average"] == 7
    assert features["autocorrelation"] == 10
    assert features["contrast"] == 9
    assert features["dissimilarity"] == 3
    assert features["inverse_difference"] == 1 / 4
    assert features["inverse_difference_moment"] == 1 / 10
    assert features["normalised_inverse_difference"] == pytest.approx(1 / (1 + 3 / 6))
    assert features["normalised_inverse_difference_moment"] == pytest.approx(1 / (1 + 9 / 36))
    assert features["inverse_variance"] == pytest.approx(1 / 9)


def test_the_shade_tells_bright_spots_from_dark_ones() -> None:
    """Three in four pairs dark: the sums 2 and 4 lie 0.5 below and 1.5 above the mean."""
    bright_spots = torch.tensor([[0.75, 0.0], [0.0, 0.25]]).double()
    shade = cluster_shade(bright_spots).item()
    assert shade == pytest.approx(0.75 * (-0.5) ** 3 + 0.25 * 1.5**3)
    assert cluster_shade(bright_spots.flip(0, 1)).item() == pytest.approx(-shade)


def test_the_largest_pairs_share_the_gradient() -> None:
    matrix = torch.tensor([[0.4, 0.1], [0.1, 0.4]]).double().requires_grad_()
    (gradient,) = torch.autograd.grad(joint_maximum(matrix), matrix)
    assert gradient[0, 0] == gradient[1, 1] > 0
    assert gradient[0, 1] == gradient[1, 0] < 0


def test_features_read_the_marginals_and_nothing_else() -> None:
    """Each from the one field it is made of: the kernels that count pairs give no more."""
    found = marginals(random_matrix(4))
    nothing = Marginals(*(torch.full_like(field, math.nan) for field in found))
    needs = {
        contrast: {"differences"},
        difference_variance: {"differences"},
        inverse_variance: {"differences"},
        cluster_shade: {"sums"},
        sum_average: {"sums"},
        joint_average: {"rows"},
        joint_maximum: {"largest"},
        autocorrelation: {"covariance", "rows", "columns"},
        correlation: {"covariance", "rows", "columns"},
    }
    for feature, fields in needs.items():
        enough = nothing._replace(**{field: getattr(found, field) for field in fields})
        assert torch.equal(feature(enough), feature(found))
