"""``glcm-mae compare`` on runs of the other commands."""

import json
from pathlib import Path

import pytest
from tiny import FINETUNE, TINY, Command

from glcm_mae.cli import main
from once import MadeOnce

OF_CLASS = ("sensitivity", "specificity")
QUICK = ["--resamples", "200", "--permutations", "199"]


@pytest.fixture(scope="module")
def two_crossvals(phantoms: Path, made_once: MadeOnce) -> tuple[Path, Path]:
    """The same folds twice, with other learning rates."""

    def make(parent: Path) -> None:
        for name, rate in (("slow", "0.0001"), ("fast", "0.003")):
            arguments = [
                *("crossval", "--start", "scratch", *TINY, *FINETUNE),
                *("--data.table", phantoms, "--data.positive", "sparse"),
                *("--folds.count", "2", "--finetuning.learning_rate", rate),
                *("--evaluation.resamples", "200", "--out", parent / name),
            ]
            main([str(argument) for argument in arguments])

    parent = made_once("compared", make)
    return parent / "slow", parent / "fast"


@pytest.mark.slow
def test_two_crossvals_are_compared(
    glcm_mae: Command, two_crossvals: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "compared"
    code, text, err = glcm_mae("compare", *two_crossvals, *QUICK, "--out", out)
    assert code == 0, err
    assert "2 runs on the same 24 images" in text
    assert "slow and fast" in text or "is better than" in text
    assert "the test set was used 2 times by the finished runs in" in " ".join(text.split())
    assert sorted(path.name for path in out.iterdir()) == [
        "comparison.csv",
        "comparison.json",
        "comparison.md",
        "comparison.tex",
        "config.yaml",
    ]
    facts = json.loads((out / "comparison.json").read_text())
    assert facts["comparisons"] == 6
    for name, run in zip(("first", "second"), two_crossvals, strict=True):
        scores = json.loads((run / "scores.json").read_text())
        summary = scores["systems"][scores["system"]]["summary"]
        own = {**summary, **{key: summary["per_class"]["sparse"][key] for key in OF_CLASS}}
        for item in facts["pairs"][0]["scores"]:
            assert item[name] == pytest.approx(own[item["score"]]["mean"])
    again = tmp_path / "again"
    rerun = glcm_mae("compare", "--config", out / "config.yaml", "--out", again)
    assert rerun[0] == 0, rerun[2]
    assert (again / "comparison.json").read_bytes() == (out / "comparison.json").read_bytes()


@pytest.mark.slow
def test_a_run_is_compared_with_its_own_baselines(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    """Each is a run on the folds of the crossval, as many models as that has seeds."""
    run = tmp_path / "run"
    code, _, err = glcm_mae(
        *("crossval", "--start", "scratch", *TINY, *FINETUNE, "--seeds", "2"),
        *("--data.table", phantoms, "--data.positive", "sparse", "--folds.count", "2"),
        *("--evaluation.resamples", "200", "--out", run),
    )
    assert code == 0, err
    names = {
        "majority class": "majority-class",
        "gray-level statistics": "gray-level-statistics",
        "radiomics, logistic regression": "radiomics-logistic-regression",
        "radiomics, gradient boosting": "radiomics-gradient-boosting",
    }
    folders = [run / "baselines" / name for name in names.values()]
    assert sorted(folders) == sorted((run / "baselines").iterdir())
    out = tmp_path / "compared"
    code, text, err = glcm_mae(
        *("compare", run, *folders, "--reference", "--scores", "[accuracy]", *QUICK),
        *("--out", out),
    )
    assert code == 0, err
    facts = json.loads((out / "comparison.json").read_text())
    scores = json.loads((run / "scores.json").read_text())["systems"]
    for pair, name in zip(facts["pairs"], names, strict=True):
        mean = scores[name]["summary"]["accuracy"]["mean"]
        assert pair["scores"][0]["second"] == pytest.approx(mean)
    assert "4 models a run on 2 test folds" in " ".join(facts["notes"])
    assert "the test set was used 5 times by the finished runs in" in " ".join(text.split())


@pytest.mark.slow
def test_other_folds_are_refused_on_one_line(
    glcm_mae: Command, two_crossvals: tuple[Path, Path], phantoms: Path, tmp_path: Path
) -> None:
    code, _, err = glcm_mae(
        *("finetune", "--start", "scratch", *TINY, *FINETUNE),
        *("--data.table", phantoms, "--data.positive", "sparse"),
        *("--evaluation.resamples", "200", "--out", tmp_path / "single"),
    )
    assert code == 0, err
    code, out, err = glcm_mae(
        *("compare", two_crossvals[0], tmp_path / "single", "--out", tmp_path / "no")
    )
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1
    assert "slow and single cannot be compared: test images:" in err
    assert not (tmp_path / "no").exists()


def test_bad_arguments_are_refused(glcm_mae: Command, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "no")
    for arguments, message in (
        (("compare", tmp_path, *out), "runs: tuple should have at least 2 items"),
        (("compare", tmp_path / "a", tmp_path / "b", *out), "a: is not a finished run"),
        (("compare", tmp_path, tmp_path, *out), "runs: names a run twice"),
        (("compare", *out), "runs: is required"),
    ):
        code, _, err = glcm_mae(*arguments)
        assert code == 2
        assert message in err
