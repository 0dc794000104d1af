"""A finished run on new images: the answers are those of its classifiers."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.cli import main
from glcm_mae.data import write_phantoms
from glcm_mae.evaluation import choose_threshold, concatenate, read_predictions
from once import MadeOnce

PART = ["--data.positive", "fine", "--folds.count", "2", "--evaluation.resamples", "200"]


@pytest.fixture(scope="module")
def run(phantoms: Path, made_once: MadeOnce) -> Path:
    """Two folds, pre-trained, so that it is known what they have seen."""

    def make(folder: Path) -> None:
        words = ["crossval", *PRETRAIN, *FINETUNE, *PART, "--baselines", "off"]
        words += ["--data.table", str(phantoms), "--out", str(folder / "run")]
        main([str(word) for word in words])

    return made_once("predicting", make) / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def shares(rows: list[dict[str, str]], classes: tuple[str, ...]) -> np.ndarray:
    return np.array([[float(row[f"p_{name}"]) for name in classes] for row in rows])


@pytest.mark.slow
def test_new_images_are_judged_by_all_classifiers_averaged(
    run: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    """The run's own images tell: their own fold has answered for them before."""
    own = read_predictions(run / "predictions.csv")
    loose = tmp_path / "loose"  # no folder a class, as new images come
    loose.mkdir()
    for path in own.paths:
        shutil.copy(phantoms / path, loose / path.replace("/", "-"))
    out = tmp_path / "all.csv"
    code, told, err = glcm_mae("predict", run, loose, "--out", out)
    assert code == 0, err
    rows = {row["path"]: row for row in rows_of(out)}
    assert len(rows) == len(own)
    assert {row["pretrained_on"] for row in rows.values()} == {"yes"}
    assert f"the run pre-trained on {len(own)} of these images" in " ".join(told.split())

    # One classifier alone gives what its file of predictions holds, and two their mean.
    halves = []
    for number in (0, 1):
        alone = tmp_path / f"{number}.csv"
        folder = run / f"fold-{number}" / "finetuning"
        assert glcm_mae("predict", folder, loose, "--out", alone)[0] == 0
        found = {row["path"]: row for row in rows_of(alone)}
        part = own.fold(number)
        names = [path.replace("/", "-") for path in part.paths]
        np.testing.assert_allclose(
            shares([found[name] for name in names], own.classes), part.probabilities, atol=1e-6
        )
        assert {row["spread"] for row in found.values()} == {""}
        assert {found[name]["pretrained_on"] for name in names} == {"no"}  # fold-aware
        assert sum(row["pretrained_on"] == "yes" for row in found.values()) > 0
        halves.append(shares([found[name] for name in rows], own.classes))
    both = shares(list(rows.values()), own.classes)
    np.testing.assert_allclose(both, np.mean(halves, axis=0), atol=1e-12)
    likeliest = both.argmax(axis=1)
    assert [own.classes[place] for place in likeliest] == [
        r["predicted"] for r in rows.values()
    ]
    spread = np.std(halves, axis=0, ddof=1)[np.arange(len(both)), likeliest]
    found = np.array([float(row["spread"]) for row in rows.values()])
    np.testing.assert_allclose(found, spread, atol=1e-12)

    # The threshold is the one of the inner parts of both folds.
    inner = concatenate(
        [read_predictions(run / f"fold-{n}/finetuning/validation.csv") for n in (0, 1)]
    )
    column = inner.classes.index("fine")
    least = choose_threshold(inner.labels == column, inner.probabilities[:, column], "youden")
    facts = json.loads(out.with_suffix(".json").read_text())
    assert facts["operating_point"] == {"rule": "youden", "threshold": least}
    called = [row["fine_called"] == "yes" for row in rows.values()]
    assert called == (both[:, column] >= least).tolist()
    assert facts["called"]["fine, at the operating point"] == sum(called)


@pytest.mark.slow
def test_images_that_the_run_never_saw_are_said_to_be_new(
    run: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    new = write_phantoms(tmp_path / "new", count=6, size=48, seed=9)
    (new / "broken.png").write_bytes(b"no image")
    out = tmp_path / "new.csv"
    code, _, err = glcm_mae("predict", run, new, "--out", out)
    assert (code, out.exists(), out.with_suffix(".json").exists()) == (2, False, False)
    assert "broken.png" in err
    key = tmp_path / "key"
    hidden = ("--names", "hashed", "--key", key, "--on-error", "skip")
    code, told, err = glcm_mae("predict", run, new, "--out", out, *hidden)
    assert code == 0, err
    assert "1 file left out" in told
    assert "pre-trained on none of these images" in " ".join(told.split())
    text = out.read_text() + out.with_suffix(".json").read_text()
    assert len(rows_of(out)) == 6
    assert {row["pretrained_on"] for row in rows_of(out)} == {"no"}
    assert not any(path.stem in text for path in new.rglob("*.png"))
    code, _, err = glcm_mae("predict", run, new, "--out", out)
    assert code == 2
    assert f"{out}: exists; choose another --out, or remove it" in err


def test_what_cannot_answer_is_refused(tmp_path: Path, glcm_mae: Command) -> None:
    code, _, err = glcm_mae("predict", tmp_path, tmp_path, "--out", tmp_path / "a.csv")
    assert code == 2
    assert "holds no classifier.safetensors; give the run folder of a finished" in err
    code, _, err = glcm_mae("predict", tmp_path, tmp_path, "--out", tmp_path / "a.txt")
    assert code == 2
    assert f"out: must end in .csv, got {tmp_path / 'a.txt'}" in err
