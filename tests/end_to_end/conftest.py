"""Small models, small tables of real and synthetic images, and the command line."""

import csv
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny import FINETUNE, PRETRAIN, TINY, Command, Outcome

from glcm_mae.cli import main
from glcm_mae.data import write_phantoms
from once import MadeOnce


@pytest.fixture(scope="session", autouse=True)
def small_pictures() -> Iterator[None]:
    """Draw two images where a run draws six: most of the time of a tiny run goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glcm_mae.pretraining.task.PICTURE_IMAGES", 2)
        yield


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
def phantoms(made_once: MadeOnce) -> Path:
    """24 labelled phantoms of 32 pixels."""

    def make(folder: Path) -> None:
        write_phantoms(folder / "phantoms", count=24, size=32, seed=0)

    return made_once("phantoms", make) / "phantoms"


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
def busi_sample(busi: Path, made_once: MadeOnce) -> Path:
    folder = made_once("busi", lambda folder: sample(busi, folder, per_class=8))
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def ct_sample(sarscov2_ct: Path, made_once: MadeOnce) -> Path:
    folder = made_once("ct", lambda folder: sample(sarscov2_ct, folder, per_class=8))
    return folder / "manifest.csv"


@pytest.fixture(scope="session")
def reported_runs(phantoms: Path, made_once: MadeOnce) -> tuple[Path, Path]:
    """Two cross-validations of the same folds, with and without pre-training."""

    def make(folder: Path) -> None:
        settings = [*FINETUNE, "--data.table", phantoms, "--data.positive", "sparse"]
        settings += ["--folds.count", "2", "--evaluation.resamples", "200"]
        for name, own in (("pretrained", PRETRAIN), ("scratch", [*TINY, "--start", "scratch"])):
            arguments = ["crossval", *own, *settings, "--out", folder / name]
            main([str(argument) for argument in arguments])

    parent = made_once("reported", make)
    return parent / "pretrained", parent / "scratch"
