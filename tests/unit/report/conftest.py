"""Finished runs, and a report of two of them, made once."""

from pathlib import Path

import pytest
from made_runs import make_run

from glcm_mae.config import ReportConfig
from glcm_mae.report.writing import write_report
from once import MadeOnce


@pytest.fixture(scope="session")
def two_runs(made_once: MadeOnce) -> tuple[Path, Path]:
    def make(parent: Path) -> None:
        make_run(parent / "keen")
        make_run(parent / "dull", skill=0.1, seed=1)

    parent = made_once("made_runs", make)
    return parent / "keen", parent / "dull"


@pytest.fixture(scope="session")
def report(two_runs: tuple[Path, Path], made_once: MadeOnce) -> Path:
    def make(folder: Path) -> None:
        out = folder / "report.html"
        write_report(ReportConfig(runs=tuple(map(str, two_runs)), out=out))

    return made_once("page_of_made_runs", make) / "report.html"
