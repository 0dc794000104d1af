"""Small models, small tables of real and synthetic images, and the command line."""

import csv
import shutil
from pathlib import Path

import pytest
from tiny import FINETUNE, PRETRAIN, TINY, Command, Outcome

from glcm_mae.cli import main
from glcm_mae.data import write_phantoms


@pytest.fixture
def glcm_mae(capfd: pytest.CaptureFixture[str]) -> Command:
    """Run a command line; return exit code, standard output, standard error."""

    def run(*arguments: str | Path) -> Outcome:
        capfd.readouterr()
        code = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capfd.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 labelled phantoms of 32 pixels."""
    return write_phantoms(
        tmp_path_factory.mktemp("data") / "phantoms", count=24, size=32, seed=0
    )


def sample(source: Path, folder: Path, *, per_class: int) -> Path:
    """Copy a few real images of every class, and write their manifest."""
    with (source / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    chosen = []
    for label in sorted({row["label"] for row in rows}):
        chosen += [row for row in rows if row["label"] == label][:per_class]
    for row in chosen:
        (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / row["path"], folder / row["path"])
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(chosen)
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def busi_sample(busi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(busi, tmp_path_factory.mktemp("busi"), per_class=10)


@pytest.fixture(scope="session")
def ct_sample(sarscov2_ct: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample(sarscov2_ct, tmp_path_factory.mktemp("ct"), per_class=12)


@pytest.fixture(scope="session")
def reported_runs(
    phantoms: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """Two cross-validations of the same folds, with and without pre-training."""
    parent = tmp_path_factory.mktemp("reported")
    settings = [*FINETUNE, "--data.table", phantoms, "--data.positive", "sparse"]
    settings += ["--folds.count", "2", "--evaluation.resamples", "200"]
    for name, own in (("pretrained", PRETRAIN), ("scratch", [*TINY, "--start", "scratch"])):
        arguments = ["crossval", *own, *settings, "--out", parent / name]
        main([str(argument) for argument in arguments])
    return parent / "pretrained", parent / "scratch"
