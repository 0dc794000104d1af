"""Finished runs, and a report of two of them, made once."""

from pathlib import Path

import pytest
from made_runs import make_run

from glcm_mae.config import ReportConfig
from glcm_mae.report.writing import write_report


@pytest.fixture(scope="session")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    parent = tmp_path_factory.mktemp("reported")
    return make_run(parent / "keen"), make_run(parent / "dull", skill=0.1, seed=1)


@pytest.fixture(scope="session")
def report(two_runs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("page") / "report.html"
    write_report(ReportConfig(runs=tuple(map(str, two_runs)), out=out))
    return out
