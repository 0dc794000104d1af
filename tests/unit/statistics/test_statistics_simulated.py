"""A small version of benchmarks/statistics_coverage.py: wide gates, fewer data sets."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

SETS = 200
"""The chance error of 95 % is 1.5 points then; gates are more than three of them wide."""
COVERED, CALLED = (0.90, 0.99), (0.005, 0.105)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    file = Path(__file__).parents[3] / "benchmarks" / "statistics_coverage.py"
    spec = importlib.util.spec_from_file_location("statistics_coverage", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("images", [1, 5])
def test_intervals_hold_the_truth(benchmark: ModuleType, images: int) -> None:
    cohort = benchmark.Cohort(60, images)
    found = benchmark.simulate("coverage, by formula", cohort, SETS)
    found |= benchmark.simulate("coverage, bootstrap", cohort, SETS // 2)
    gated = {name: share for name, share in found.items() if "as if" not in name}
    assert len(gated) == 9
    off = {
        name: share for name, share in gated.items() if not COVERED[0] <= share <= COVERED[1]
    }
    assert off == {}
    if images > 1:  # what clusters are for
        assert found["AUROC 0.8, as if independent"] < 0.9


@pytest.mark.parametrize("images", [1, 5])
def test_differences_where_none_is_are_rarely_called(
    benchmark: ModuleType, images: int
) -> None:
    cohort = benchmark.Cohort(60, images)
    found = benchmark.simulate("false positives, images", cohort, SETS)
    gated = {name: share for name, share in found.items() if "as if" not in name}
    off = {name: share for name, share in gated.items() if not CALLED[0] <= share <= CALLED[1]}
    assert off == {}
    folds = benchmark.simulate("false positives, folds", cohort, SETS // 2)
    primary = {name: share for name, share in folds.items() if name.startswith("corrected t")}
    assert len(primary) == 6
    assert max(primary.values()) <= 0.13
