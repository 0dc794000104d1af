"""Percentiles of values that come in parts equal those of numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError, choose_limits
from glcm_mae.data.reading.spread import Spread, limits_between, spread_for

KINDS = ["u1", "i1", "<u2", ">i2", "i4", "u4", "f4", "f8"]


@given(st.data(), st.sampled_from(KINDS), st.floats(0, 100), st.floats(0, 100))
def test_spread_equals_numpy(data: st.DataObject, kind: str, low: float, high: float) -> None:
    dtype = np.dtype(kind)
    bounds = {"min_value": -1000.0, "max_value": 1000.0} if dtype.kind == "f" else {}
    elements = arrays.from_dtype(dtype, **bounds)
    parts = data.draw(
        st.lists(
            arrays.arrays(dtype, st.integers(1, 9), elements=elements), min_size=1, max_size=4
        )
    )
    spread = Spread(low, high)
    for part in parts:
        spread.add(part)
    expected = np.percentile(np.concatenate(parts).astype(np.float64), (low, high))
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(spread.ends(), expected, atol=1e-6 * scale)


@pytest.mark.parametrize("window", ["range", "percentile"])
@pytest.mark.parametrize("flat", [True, False])
def test_limits_are_those_of_the_policy(window: str, flat: bool) -> None:
    policy = ReadingPolicy(window=window)
    values = np.full(50, 7, np.uint8) if flat else np.arange(50, dtype=np.uint8)
    spread = spread_for(policy)
    spread.add(values)
    expected = choose_limits(policy, values, stated=None, full=None)
    assert limits_between(*spread.ends()) == pytest.approx(expected)


def test_what_is_not_finite_does_not_count() -> None:
    spread = Spread(0, 100)
    spread.add(np.array([np.nan, 2.0, np.inf, 5.0, -np.inf]))
    assert spread.ends() == (2.0, 5.0)


@pytest.mark.parametrize("kind", ["u1", "f4"])
def test_without_values_there_is_no_spread(kind: str) -> None:
    spread = Spread(0, 100)
    spread.add(np.empty(0, dtype=kind))
    with pytest.raises(RefusedPixelsError, match="none of its values is finite"):
        spread.ends()
