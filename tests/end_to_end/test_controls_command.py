"""Negative controls of finished runs: what each catches, and what it cannot."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from scipy.ndimage import gaussian_filter
from tiny import PRETRAIN, Command

from glcm_mae.cli import main
from once import MadeOnce

BRIGHTNESS = {"ill": 0.6, "well": 0.4}
PATIENTS, IMAGES = 12, 3  # a class, and a patient
QUICK = ["--evaluation.resamples", "200", "--data.positive", "ill", "--baselines", "off"]
ALIKE = [*QUICK, "--protocol", "linear", "--folds.count", "3", "--leak-check", "off"]
FEW = ["--permutations", "12", "--resamples", "200"]
PIXELS = ["--losses.phases", "[{share: 1.0, mse: 1.0}]"]


@pytest.fixture(scope="module")
def root(made_once: MadeOnce) -> Path:
    """Three images of each of 24 patients; one table names patients.

    The ill are brighter; a pattern of his own, with a little noise, tells each patient.
    """
    return made_once("controlled", write_patients)


def write_patients(folder: Path) -> None:
    rows = []
    for label, brightness in BRIGHTNESS.items():
        for patient in range(PATIENTS):
            own = np.random.default_rng((patient, len(label)))
            pattern = gaussian_filter(own.normal(size=(32, 32)), 3, mode="wrap")
            level = brightness + own.normal(0, 0.04)
            for number in range(IMAGES):
                noise = np.random.default_rng((patient, number, len(label)))
                image = level + pattern + noise.normal(0, 0.02, pattern.shape)
                image = np.clip(image, 0, 1)
                path = f"{label}-p{patient:02d}-{number}.png"
                Image.fromarray(np.uint8(np.rint(image * 255))).save(folder / path)
                rows.append((path, label, f"{label}-p{patient:02d}"))
    write(folder / "patients.csv", ["path", "label", "group"], rows)
    write(folder / "images.csv", ["path", "label"], [row[:2] for row in rows])


def write(path: Path, header: list[str], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def crossval(table: Path, out: Path, *more: str | Path) -> Path:
    command = ["crossval", "--data.table", table, *PRETRAIN, *ALIKE, *more, "--out", out]
    main([str(part) for part in command])
    return out


@pytest.fixture(scope="module")
def grouped(root: Path, made_once: MadeOnce) -> Path:
    """Folds that keep every patient in one part."""
    parent = made_once(
        "with_texture", lambda parent: crossval(root / "patients.csv", parent / "grouped")
    )
    return parent / "grouped"


@pytest.fixture(scope="module")
def plain(root: Path, grouped: Path, made_once: MadeOnce) -> Path:
    """The same without the texture loss."""

    def make(parent: Path) -> None:
        folds = ("--folds.file", grouped / "folds.csv")
        crossval(root / "patients.csv", parent / "plain", *PIXELS, *folds)

    return made_once("without_texture", make) / "plain"


def controls(glcm_mae: Command, run: Path, out: Path, *more: str | Path) -> dict[str, Any]:
    code, told, err = glcm_mae("controls", run, *FEW, *more, "--out", out)
    assert code == 0, err
    found: dict[str, Any] = json.loads((out / "controls.json").read_text())
    assert all(line in told for line in found["verdicts"])
    return found


def pooled(run: Path) -> dict[str, float]:
    scores = json.loads((run / "scores.json").read_text())
    area: dict[str, float] = scores["systems"][scores["system"]]["pooled"]["auroc"]
    return area


@pytest.mark.slow
def test_on_an_honest_run_the_controls_say_so(
    grouped: Path, plain: Path, root: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "out"
    found = controls(glcm_mae, grouped, out, "--without-texture", plain)
    assert {path.name for path in out.iterdir()} == {
        f"controls.{suffix}" for suffix in ("json", "csv", "md", "png", "svg")
    }
    assert (found["run"], found["score"]) == ("grouped", "auroc")
    one = found["controls"]

    # The run is a linear probe itself, so the control must find its very numbers.
    assert {name: one["trained_encoder"][name] for name in pooled(grouped)} == pytest.approx(
        pooled(grouped)
    )
    # And so does a probe from scratch on the same folds, whose encoders are random.
    shared = ("--start", "scratch", "--folds.file", grouped / "folds.csv")
    scratch = crossval(root / "patients.csv", tmp_path / "scratch", *shared)
    random = one["random_encoder"]
    assert random["estimate"] == pytest.approx(pooled(scratch)["estimate"])
    adds = random["training_adds"]
    assert adds["estimate"] == pytest.approx(adds["trained"] - adds["random"])

    shuffle = one["label_shuffle"]
    assert shuffle["inside"]
    assert len(shuffle["shuffles"]) == shuffle["permutations"] == 12
    assert one["trained_encoder"]["estimate"] > shuffle["high"], "the ill are brighter"
    assert shuffle["p"] == pytest.approx(
        (1 + sum(area >= pooled(grouped)["estimate"] for area in shuffle["shuffles"])) / 13
    )

    patients = one["patient_probe"]
    assert patients["tests"] == 2 * PATIENTS * IMAGES
    assert patients["patients"] == 2 * PATIENTS
    assert patients["chance"] == pytest.approx((IMAGES - 1) / (PATIENTS * IMAGES - 1))
    assert patients["low"] > patients["chance"], "images of one patient are alike"
    assert patients["torn_patients"] == 0
    assert patients["nearest_was_learnt_from"]["estimate"] == 0

    code, _, err = glcm_mae(
        *("compare", f"with={grouped}", f"without={plain}", "--scores", "[auroc]"),
        *("--resamples", "200", "--out", tmp_path / "compared"),
    )
    assert code == 0, err
    compared = json.loads((tmp_path / "compared" / "comparison.json").read_text())
    (score,) = compared["pairs"][0]["scores"]
    texture = one["texture_loss_off"]
    assert texture["p"] == pytest.approx(score["p_value"])
    assert texture["estimate"] == pytest.approx(score["difference"]["estimate"])
    assert any("rests on 3 models" in note for note in found["notes"])


@pytest.mark.slow
def test_a_patient_on_both_sides_is_seen_by_the_patient_probe_and_by_no_shuffle(
    root: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    torn = crossval(root / "images.csv", tmp_path / "torn", *PIXELS)
    found = controls(glcm_mae, torn, tmp_path / "blind")
    assert (
        "nothing tells which images are of one patient"
        in (found["controls"]["patient_probe"]["skipped"])
    )
    assert found["controls"]["label_shuffle"]["inside"], "a shuffle cannot tell copies"
    assert any(note.startswith("LEAK CHECK OFF") for note in found["notes"])
    assert "nothing tells" in found["controls"]["texture_loss_off"]["skipped"]

    # The images may lie elsewhere by now.
    moved = tmp_path / "moved"
    moved.mkdir()
    for file in (root / "images.csv", *root.glob("*.png")):
        shutil.copy(file, moved)
    pattern = ("--group-pattern", r"^(\w+-p\d+)", "--table", moved / "images.csv")
    seen = controls(glcm_mae, torn, tmp_path / "seeing", *pattern)
    assert seen["controls"]["trained_encoder"] == found["controls"]["trained_encoder"]
    patients = seen["controls"]["patient_probe"]
    assert patients["torn_patients"] > PATIENTS
    assert patients["nearest_was_learnt_from"]["low"] > patients["chance"]
    assert any(line.startswith("WARNING") and "patients" in line for line in seen["verdicts"])


def _number(row: dict[str, str]) -> int:
    return int(row["group"].split("-p")[1])


def _site(row: dict[str, str], unequal: bool) -> int | None:
    """Return the site of a patient: of unequal ones, most are ill at one, well at the other."""
    site = _number(row) % 2
    rare = row["label"] == ("well", "ill")[site]
    return None if unequal and rare and _number(row) >= 6 else site


@pytest.mark.slow
@pytest.mark.parametrize("unequal", [True, False])
def test_folds_of_sites_whose_classes_are_unequal_are_seen_by_the_shuffle(
    unequal: bool, grouped: Path, root: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    """A site where most are ill is told by its level alone when folds are put together."""
    table, folds = tmp_path / "sites.csv", tmp_path / "folds.csv"
    with (root / "patients.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if _site(row, unequal) is not None]
    for row in rows:
        shutil.copy(root / row["path"], tmp_path / row["path"])
    write(table, ["path", "label", "group"], [tuple(row.values()) for row in rows])
    columns = {
        f"fold-{3 * site + fold}": [
            ("test", "train", "validation")[(_number(row) // 2 - fold) % 3]
            if _site(row, unequal) == site
            else "unused"
            for row in rows
        ]
        for site in (0, 1)
        for fold in range(3)
    }
    paths = [row["path"] for row in rows]
    write(folds, ["path", *columns], list(zip(paths, *columns.values(), strict=True)))
    encoder = ("--start", "weights", "--weights", grouped / "fold-0" / "pretraining")
    run = crossval(
        table,
        tmp_path / "run",
        *("--folds.file", folds, "--probing.balance", "none", *encoder),
        *("--probing.penalties", "[0.0001]"),
    )
    found = controls(glcm_mae, run, tmp_path / "out")
    shuffle = found["controls"]["label_shuffle"]
    assert shuffle["inside"] is not unequal
    if unequal:
        assert shuffle["low"] > 0.6
        assert any(line.startswith("WARNING: with shuffled") for line in found["verdicts"])


@pytest.mark.slow
def test_what_has_no_controls_is_told_why(
    grouped: Path, plain: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    def refused(run: Path, *more: str | Path) -> str:
        code, _, err = glcm_mae("controls", run, *FEW, *more, "--out", tmp_path / "out")
        assert code == 2
        assert not (tmp_path / "out").exists()
        return err

    def changed(**settings: Any) -> Path:
        copy = tmp_path / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(grouped, copy)
        content = yaml.safe_load((copy / "config.yaml").read_text())
        (copy / "config.yaml").write_text(yaml.safe_dump({**content, **settings}))
        return copy

    assert "is no cross-validation; give the run folder" in refused(tmp_path)
    pretraining = grouped / "fold-0" / "pretraining"
    assert "is no cross-validation" in refused(pretraining)
    scratch = changed(start="scratch")
    assert "was trained from scratch and has no encoders to probe" in refused(scratch)
    baseline = changed(start="scratch", baseline="resnet18")
    assert "its models are resnet18 of timm" in refused(baseline)
    unfinished = changed()
    (unfinished / "scores.json").unlink()
    assert "is not finished, scores.json is missing" in refused(unfinished)
    gone = changed(start="weights", weights="elsewhere")
    stage = gone / "fold-0" / "probing" / "config.yaml"
    content = yaml.safe_load(stage.read_text())
    stage.write_text(yaml.safe_dump({**content, "weights": "/nowhere/encoder"}))
    assert "the encoder that" in refused(gone)
    lost = changed()
    (lost / "fold-0" / "pretraining" / "encoder.safetensors").unlink()
    assert "encoder.safetensors" in refused(lost)
    assert "was pre-trained with the texture loss too" in refused(
        grouped, "--without-texture", grouped
    )
    assert "is not known to be pre-trained with the texture loss" in refused(
        plain, "--without-texture", plain
    )
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    code, _, err = glcm_mae("controls", grouped, "--out", tmp_path / "full")
    assert code == 2
    assert "exists and is not empty" in err
