"""crossval: official splits, shared pre-training, seeds, probes, and folds that fail."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.data import make_phantom, write_phantoms
from glcm_mae.evaluation import read_predictions
from glcm_mae.planning import Job, jobs

QUICK = [*PRETRAIN, *FINETUNE, "--evaluation.resamples", "200", "--data.positive", "ill"]
QUICK += ["--baselines", "off"]
CLASSES = {"ill": "coarse", "well": "fine"}
PER_CLASS = 10


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten phantoms a class, and a copy of an ill one from train in test."""
    root = tmp_path_factory.mktemp("images")
    rows = []
    for label, kind in CLASSES.items():
        (root / label).mkdir()
        for number in range(PER_CLASS):
            pixels = make_phantom(kind, size=64, seed=(number, len(label))).image
            image = Image.fromarray(np.uint8(np.rint(pixels * 255)))
            image.save(root / label / f"{number}.png")
            rows.append((f"{label}/{number}.png", label, "test" if number < 3 else "train"))
            if (label, number) == ("ill", 5):
                image.save(root / label / "copy.jpg", quality=85)
                rows.append(("ill/copy.jpg", label, "test"))
    write(root / "manifest.csv", ["path", "label", "split"], rows)
    return root / "manifest.csv"


def write(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([header, *rows])


def column(path: Path, name: str) -> list[str]:
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def crossval(glcm_mae: Command, table: Path, out: Path, *more: str | Path) -> Any:
    return glcm_mae("crossval", "--data.table", table, *QUICK, *more, "--out", out)


def test_the_official_split_is_one_fold_and_says_what_it_tears_apart(
    images: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    code, text, err = crossval(glcm_mae, images, out, "--folds.official", "true")
    assert code == 0, err
    told = " ".join(text.split())
    assert "Official split of" in told
    assert "WARNING: 1 groups stand in two parts of the given split, which leaks" in told
    assert "the given parts stay as they are" in told
    parts = dict(
        zip(column(out / "folds.csv", "path"), column(out / "folds.csv", "fold-0"), strict=True)
    )
    official = dict(zip(column(images, "path"), column(images, "split"), strict=True))
    assert {path for path, part in parts.items() if part == "test"} == {
        path for path, part in official.items() if part == "test"
    }
    assert list(parts.values()).count("validation") == 2, "a fifth of 14, one a class"
    seen = set(column(out / "fold-0/pretraining/images.csv", "path"))
    assert seen == {path for path, part in official.items() if part == "train"}
    scores = json.loads((out / "scores.json").read_text())
    assert scores["official"] is True
    assert len(scores["systems"][scores["system"]]["folds"]) == 1


@pytest.mark.slow
def test_shared_pretraining_and_several_seeds_are_told_in_every_table(
    images: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    more = ("--transductive", "true", "--seeds", "2", "--folds.count", "2")
    code, text, err = crossval(glcm_mae, images, out, *more, "--protocol", "linear")
    assert code == 0, err
    scores = json.loads((out / "scores.json").read_text())
    assert scores["transductive"] is True
    assert scores["seeds"] == 2
    for told in (text, (out / "scores.md").read_text()):
        assert "TRANSDUCTIVE" in told
        assert "GLCM-MAE, linear probe" in told
        assert "2 models a fold" in " ".join(told.split())
    assert set(column(out / "all/seed-1/pretraining/images.csv", "path")) == set(
        column(images, "path")
    )
    found = read_predictions(out / "predictions.csv")
    assert len(found) == 2 * 21
    assert set(found.folds.tolist()) == {0, 1, 2, 3}
    for number in (0, 1):
        once = found.rows(found.repeat == number)
        assert sorted(once.paths) == sorted(column(images, "path"))
    copies = np.isin(found.paths, ["ill/5.png", "ill/copy.jpg"])
    assert len(set(found.groups[copies].tolist())) == 1
    assert len(set(found.groups.tolist())) == 20
    inner = read_predictions(out / "validation.csv")
    assert set(inner.folds.tolist()) == {0, 1, 2, 3}


def test_a_copy_across_given_folds_is_caught_and_named(
    images: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    parts = ["train", "validation", "test"] * 7
    rows = list(zip(column(images, "path"), parts, strict=True))
    write(tmp_path / "folds.csv", ["path", "fold-0"], rows)
    more = ("--folds.file", tmp_path / "folds.csv")
    code, _, err = crossval(glcm_mae, images, tmp_path / "run", *more)
    assert code == 2
    assert "fold-0: 1 of 20 groups (patients) stands in two parts" in err
    assert "such as ill/5.png (test) and ill/copy.jpg (train)" in err
    assert not (tmp_path / "run").exists()


def test_masks_beside_images_are_no_images(tmp_path: Path, glcm_mae: Command) -> None:
    """BUSI as it is published; what a manifest lists is followed to the letter."""
    images = write_phantoms(tmp_path / "images", count=12, size=32, seed=0)
    names = sorted(path.relative_to(images) for path in images.rglob("*.png"))
    for name in names:
        marked = images / name
        shutil.copy(marked, marked.with_name(f"{marked.stem}_mask.png"))
    shutil.copy(images / names[0], (images / names[0]).with_name("of_nothing_mask.png"))
    arguments = ("data", "split", images, "--folds.count", "2")
    code, _, err = glcm_mae(*arguments, "--out", tmp_path / "folder.csv")
    assert code == 0, err
    assert "12 masks are left out" in err
    listed = column(tmp_path / "folder.csv", "path")
    assert len(listed) == 13
    assert [name for name in listed if "mask" in name] == [
        f"{names[0].parts[0]}/of_nothing_mask.png"
    ]
    rows = [
        (path.relative_to(images).as_posix(), path.parent.name)
        for path in images.rglob("*.png")
    ]
    write(images / "manifest.csv", ["path", "label"], rows)
    arguments = ("data", "split", images / "manifest.csv", "--folds.count", "2")
    code, _, err = glcm_mae(*arguments, "--out", tmp_path / "manifest.csv")
    assert code == 0, err
    assert len(column(tmp_path / "manifest.csv", "path")) == 25


def test_given_groups_stay_together_and_are_counted(
    images: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    names = column(images, "path")
    patients = {name: f"{name[:3]} patient {number % 5}" for number, name in enumerate(names)}
    write(tmp_path / "groups.csv", ["path", "group"], list(patients.items()))
    more = ("--data.groups", tmp_path / "groups.csv", "--folds.count", "2")
    code, out, err = glcm_mae(
        "data", "split", images, *more, "--leak-check", "off", "--out", tmp_path / "folds.csv"
    )
    assert code == 0, err
    assert "no group stands in two parts (10 groups" in out
    for fold in ("fold-0", "fold-1"):
        parts = column(tmp_path / "folds.csv", fold)
        of_patient: dict[str, set[str]] = {}
        for name, part in zip(names, parts, strict=True):
            of_patient.setdefault(patients[name], set()).add(part)
        assert all(len(found) == 1 for found in of_patient.values())
    write(tmp_path / "short.csv", ["path", "group"], list(patients.items())[1:])
    code, _, err = glcm_mae(
        *("data", "split", images, "--data.groups", tmp_path / "short.csv"),
        *("--out", tmp_path / "no.csv"),
    )
    assert code == 2
    assert "does not list 1 of the images, such as ill/0.png" in err


@pytest.mark.slow
def test_a_failed_fold_loses_no_other_and_resuming_runs_only_what_is_missing(
    images: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    real = jobs._run_stage
    broken = ["fold-0/pretraining"]

    def stage(job: Job, *rest: Any) -> None:
        if job.folder in broken:
            raise OSError("no such disk")
        real(job, *rest)
        done.append(job.folder)

    monkeypatch.setattr(jobs, "_run_stage", stage)
    out, more = tmp_path / "run", ("--folds.count", "2")
    code, _, err = crossval(glcm_mae, images, out, *more)
    assert code == 2
    assert "1 of 4 jobs failed: fold-0/pretraining: no such disk (1 more need them)" in err
    assert done == ["fold-1/pretraining", "fold-1/finetuning"]
    assert not (out / "scores.json").exists()
    assert json.loads((out / "fold-0/pretraining.failed.json").read_text())["phase"] == (
        "pretrain"
    )
    broken.clear()
    code, text, err = crossval(glcm_mae, images, out, *more, "--resume")
    assert code == 0, err
    assert "fold 2 of 2 is finished" in err
    assert done[2:] == ["fold-0/pretraining", "fold-0/finetuning"]
    assert not list(out.rglob("*.failed.json"))
    again, plan = tmp_path / "again", (out / "plan.json").read_bytes()
    code, other, err = crossval(glcm_mae, images, again, *more)
    assert code == 0, err
    for name in ("predictions.csv", "validation.csv", "scores.json", "plan.json"):
        assert (out / name).read_bytes() == (again / name).read_bytes(), name
    assert plan == (out / "plan.json").read_bytes()
    assert text.replace("/run ", "/again ") == other

    code, _, err = crossval(glcm_mae, images, again, *more, "--resume", "--leak-check", "off")
    assert code == 2
    assert "differing: leak_check" in err
    changed = json.loads(plan)
    changed["jobs"][0]["settings"] = "0" * 16
    (again / "plan.json").write_text(json.dumps(changed))
    code, _, err = crossval(glcm_mae, images, again, *more, "--resume")
    assert code == 2
    assert "the plan is another now than when the run began" in err
    assert "fold-0/pretraining has another settings" in err
