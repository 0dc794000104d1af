"""Laws of counting that hold for every image, mask, level count and offset."""

import math

import numpy as np
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.feature import graycomatrix

from glcm_mae.texture import (
    Offset,
    cooccurrence,
    gray_level_cooccurrence,
    hard_membership,
    marginals,
    maximal_correlation_coefficient,
    texture_features,
)
from glcm_mae.texture.counting import Tally


@st.composite
def masked_images(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, int, Offset]:
    """A gray-level image, a mask, the number of levels, and an offset that fits."""
    levels = draw(st.integers(2, 256))
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    offset = Offset(
        draw(st.integers(1 - height, height - 1)), draw(st.integers(1 - width, width - 1))
    )
    assume(offset != (0, 0))
    gray = st.integers(0, levels - 1)
    image = draw(arrays(np.uint8, (height, width), elements=gray))
    mask = draw(arrays(np.bool_, (height, width)))
    return image, mask, levels, offset


@given(masked_images(), st.booleans())
@settings(max_examples=100)
def test_counts_are_those_of_scikit_image(
    case: tuple[np.ndarray, np.ndarray, int, Offset], symmetric: bool
) -> None:
    image, _, levels, offset = case
    ours = gray_level_cooccurrence(
        torch.from_numpy(image), levels, [offset], symmetric=symmetric, normalised=False
    )[0]
    theirs = graycomatrix(
        image,
        [math.hypot(*offset)],
        [math.atan2(offset.rows, offset.cols)],
        levels=levels,
        symmetric=symmetric,
    )[:, :, 0, 0]
    np.testing.assert_array_equal(ours, theirs)


@given(masked_images(), st.booleans())
@settings(max_examples=50)
def test_counting_equals_the_dense_formula(
    case: tuple[np.ndarray, np.ndarray, int, Offset], symmetric: bool
) -> None:
    image, _, levels, offset = case
    tensor = torch.from_numpy(image)
    ours = gray_level_cooccurrence(tensor, levels, [offset], symmetric=symmetric)
    dense = cooccurrence(
        hard_membership(tensor, levels).double(), [offset], symmetric=symmetric
    )
    torch.testing.assert_close(ours, dense, rtol=1e-14, atol=0)


@given(masked_images())
@settings(max_examples=50)
def test_a_mask_of_ones_is_no_mask(case: tuple[np.ndarray, np.ndarray, int, Offset]) -> None:
    image, mask, levels, offset = case
    tensor, ones = torch.from_numpy(image), torch.ones(mask.shape)
    plain = gray_level_cooccurrence(tensor, levels, [offset])
    assert torch.equal(gray_level_cooccurrence(tensor, levels, [offset], mask=ones), plain)


@given(masked_images())
@settings(max_examples=100)
def test_a_masked_count_equals_a_plain_loop(
    case: tuple[np.ndarray, np.ndarray, int, Offset],
) -> None:
    image, mask, levels, (rows, cols) = case
    assume(mask.any())
    expected = np.zeros((levels, levels))
    for r, c in np.argwhere(mask):
        other = (r + rows, c + cols)
        if 0 <= other[0] < mask.shape[0] and 0 <= other[1] < mask.shape[1] and mask[other]:
            expected[image[r, c], image[other]] += 1
    ours = gray_level_cooccurrence(
        torch.from_numpy(image),
        levels,
        [Offset(rows, cols)],
        mask=torch.from_numpy(mask),
        normalised=False,
    )[0]
    np.testing.assert_array_equal(ours, expected)


@st.composite
def count_tables(draw: st.DrawFn) -> np.ndarray:
    """Tables with many empty entries, as small regions have them, or with few."""
    levels = draw(st.integers(2, 90))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    mean = draw(st.sampled_from([0.02, 0.3, 2.0, 50.0]))
    near = np.abs(np.subtract.outer(np.arange(levels), np.arange(levels)))
    weight = np.exp(-near / draw(st.sampled_from([0.5, 3.0, 1e9])))
    counts = rng.poisson(mean * weight).astype(np.uint32)
    assume(counts.sum() > 0)
    return counts


@given(count_tables(), st.booleans())
@settings(max_examples=200)
def test_one_pass_gives_the_marginals_and_the_maximal_correlation(
    counts: np.ndarray, symmetric: bool
) -> None:
    whole = counts.astype(np.float64) + (counts.T if symmetric else 0)
    matrix = torch.from_numpy(whole / whole.sum())[None]
    found, correlation = Tally.of_tables(counts[None].copy(), symmetric=symmetric).marginals()
    for ours, dense in zip(found, marginals(matrix), strict=True):
        torch.testing.assert_close(ours, dense, rtol=1e-11, atol=1e-12)
    expected = maximal_correlation_coefficient(matrix)
    torch.testing.assert_close(correlation, expected, rtol=0, atol=1e-6)


@given(masked_images())
@settings(max_examples=50)
def test_what_lies_outside_the_mask_changes_no_feature(
    case: tuple[np.ndarray, np.ndarray, int, Offset],
) -> None:
    image, mask, levels, _ = case
    assume(min(mask.shape) > 1 and (mask[:, 1:] & mask[:, :-1]).any())
    other = np.where(mask, image, levels - 1 - image)
    keywords = {"levels": levels, "angles": [0], "features": "all"}
    assert texture_features(image, mask, **keywords) == texture_features(
        other, mask, **keywords
    )
