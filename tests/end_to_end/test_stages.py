"""Every command on small images: exact files, tables, and numbers that can be recomputed."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.cli import main
from glcm_mae.evaluation import read_predictions, score_folds
from once import MadeOnce

PRETRAIN_FILES = {
    "autoencoder.safetensors",
    "config.yaml",
    "encoder.safetensors",
    "environment.json",
    "images.csv",
    "metrics.jsonl",
    "reconstructions.png",
    "speed.jsonl",
}
FINETUNE_FILES = {
    "classifier.safetensors",
    "config.yaml",
    "environment.json",
    "metrics.jsonl",
    "predictions.csv",
    "scores.json",
    "speed.jsonl",
    "split.csv",
    "validation.csv",
}
QUICK = ("--evaluation.resamples", "200")
CHECKPOINT_FILES = {"manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"}


def files_of(folder: Path) -> set[str]:
    """Name all files but checkpoints and TensorBoard's, whose names hold step and time."""
    names = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    events = {name for name in names if name.startswith("tensorboard/")}
    assert all("tfevents" in name for name in events)
    assert events
    kept = {name for name in names if name.startswith("checkpoints/")}
    assert 2 <= len({Path(name).parent for name in kept}) <= 3, "the last two, and the best"
    assert {Path(name).name for name in kept} >= CHECKPOINT_FILES
    assert {Path(name).name for name in kept} <= CHECKPOINT_FILES | {"best.safetensors"}
    return names - events - kept


def metrics_of(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def pretrained(phantoms: Path, made_once: MadeOnce) -> Path:
    def make(folder: Path) -> None:
        out = str(folder / "pretrained")
        main(["pretrain", "--data.table", str(phantoms), *PRETRAIN, "--out", out])

    return made_once("pretrained", make) / "pretrained"


def test_pretrain_leaves_exactly_these_files(pretrained: Path) -> None:
    assert files_of(pretrained) == PRETRAIN_FILES


def test_pretrain_logs_every_term_with_weight_and_share(pretrained: Path) -> None:
    first, second = metrics_of(pretrained)
    assert {key for key in first if key.startswith("term/")} == {"term/mse"}
    for term in ("mse", "glcm", "ssim"):
        assert np.isfinite(second[f"term/{term}"])
        assert second[f"weight/{term}"] > 0
        assert 0 < second[f"share/{term}"] < 1
    assert sum(second[f"share/{term}"] for term in ("mse", "glcm", "ssim")) == pytest.approx(1)
    assert second["loss"] == pytest.approx(
        sum(second[f"weight/{t}"] * second[f"term/{t}"] for t in ("mse", "glcm", "ssim")),
        rel=1e-4,
    )


def test_the_saved_settings_rerun_the_run(
    pretrained: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    config = pretrained / "config.yaml"
    code, _, err = glcm_mae("pretrain", "--config", config, "--out", tmp_path / "again")
    assert code == 0, err
    again = load_file(tmp_path / "again" / "encoder.safetensors")
    for name, value in load_file(pretrained / "encoder.safetensors").items():
        assert torch.equal(again[name], value), name


def test_another_seed_gives_other_weights(
    pretrained: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    config = pretrained / "config.yaml"
    glcm_mae("pretrain", "--config", config, "--out", tmp_path / "other", "--seed", "1")
    other = load_file(tmp_path / "other" / "encoder.safetensors")
    mine = load_file(pretrained / "encoder.safetensors")
    assert not torch.equal(other["blocks.0.attn.qkv.weight"], mine["blocks.0.attn.qkv.weight"])


def test_pretraining_leaves_test_images_out(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    with (phantoms / "manifest.csv").open(newline="") as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    split = tmp_path / "split.csv"
    parts = ["test" if index % 3 == 0 else "train" for index in range(len(paths))]
    lines = [f"{path},{part}\n" for path, part in zip(paths, parts, strict=True)]
    split.write_text("path,split\n" + "".join(lines))
    out = tmp_path / "run"
    table = phantoms / "manifest.csv"
    code, _, err = glcm_mae(
        "pretrain", "--data.table", table, "--data.split", split, *PRETRAIN, "--out", out
    )
    assert code == 0, err
    assert "8 test images left out of pre-training" in err
    with (out / "images.csv").open(newline="") as file:
        used = {row["path"] for row in csv.DictReader(file)}
    assert used == {path for path, part in zip(paths, parts, strict=True) if part == "train"}


def test_finetune_takes_the_model_from_the_weights(
    pretrained: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "tuned"
    code, table, err = glcm_mae(
        *("finetune", "--weights", pretrained, "--data.table", phantoms),
        *(*FINETUNE, "--out", out),
    )
    assert code == 0, err
    assert files_of(out) == FINETUNE_FILES
    assert "fine-tuned" in table
    settings = yaml.safe_load((out / "config.yaml").read_text())
    assert settings["model"]["image_size"] == [32, 32]
    with (out / "split.csv").open(newline="") as file:
        parts = {row["path"]: row["split"] for row in csv.DictReader(file)}
    tested = set(read_predictions(out / "predictions.csv").paths)
    assert tested == {path for path, part in parts.items() if part == "test"}


def test_finetune_starts_from_the_given_weights(
    pretrained: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "frozen"
    rates = ["--finetuning.learning_rate", "1e-12", "--finetuning.min_learning_rate", "0"]
    code, _, err = glcm_mae(
        *("finetune", "--weights", pretrained, "--data.table", phantoms),
        *(*FINETUNE, *rates, "--out", out),
    )
    assert code == 0, err
    tuned = load_file(out / "classifier.safetensors")
    for name, value in load_file(pretrained / "encoder.safetensors").items():
        torch.testing.assert_close(tuned[f"encoder.vit.{name}"], value, rtol=0, atol=1e-6)


def test_phantoms_make_a_table(tmp_path: Path, glcm_mae: Command) -> None:
    out = tmp_path / "made"
    code, text, err = glcm_mae("data", "phantoms", "--out", out, "--count", "6")
    assert code == 0, err
    assert f"6 phantoms: {out}" in text
    assert len(list(out.rglob("*.png"))) == 6


def crossval(glcm_mae: Command, table: Path, out: Path, *more: str) -> tuple[int, str, str]:
    settings = [*PRETRAIN, *FINETUNE, "--folds.count", "2", *QUICK]
    return glcm_mae("crossval", "--data.table", table, *settings, *more, "--out", out)


def check_crossval(out: Path, table: Path, text: str, positive: str) -> None:
    """Check files, completeness, fold-awareness, and that every score follows from the CSV."""
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    predictions = read_predictions(out / "predictions.csv")
    assert sorted(predictions.paths) == sorted(row["path"] for row in rows)
    labels = {row["path"]: row["label"] for row in rows}
    assert [predictions.classes[k] for k in predictions.labels] == [
        labels[path] for path in predictions.paths
    ]
    scores = json.loads((out / "scores.json").read_text())
    system = scores["systems"][scores["system"]]
    assert system["summary"] == score_folds(predictions, positive)["summary"]
    called = predictions.probabilities.argmax(axis=1) == predictions.labels
    accuracy = [called[predictions.folds == fold].mean() for fold in (0, 1)]
    assert system["summary"]["accuracy"]["mean"] == pytest.approx(np.mean(accuracy))
    assert system["summary"]["accuracy"]["sd"] == pytest.approx(np.std(accuracy, ddof=1))
    for number in (0, 1):
        fold = out / f"fold-{number}"
        assert files_of(fold / "pretraining") == PRETRAIN_FILES | {"done.json"}
        assert files_of(fold / "finetuning") == FINETUNE_FILES | {"done.json"}
        with (fold / "pretraining" / "images.csv").open(newline="") as file:
            seen = {row["path"] for row in csv.DictReader(file)}
        tested = set(predictions.fold(number).paths)
        assert tested
        assert not tested & seen
        assert tested | seen == set(labels)
    for words in ("majority class", "gray-level statistics", "fold-aware"):
        assert words in text
        assert words in (out / "scores.md").read_text()


@pytest.mark.slow
def test_crossval_on_real_ultrasound(
    busi_sample: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "cv"
    code, text, err = crossval(glcm_mae, busi_sample, out, "--data.positive", "malignant")
    assert code == 0, err
    check_crossval(out, busi_sample, text, "malignant")
    assert "malignant against the rest" in text


@pytest.mark.slow
def test_crossval_on_real_ct_continues_where_it_stopped(
    ct_sample: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "cv"
    more = ("--data.positive", "covid")
    code, text, err = crossval(glcm_mae, ct_sample, out, *more)
    assert code == 0, err
    check_crossval(out, ct_sample, text, "covid")
    before = (out / "predictions.csv").read_bytes()
    # As if it had died in the second fold's fine-tuning, before the table was written.
    for name in ("predictions.csv", "scores.json", "fold-1/finetuning/predictions.csv"):
        (out / name).unlink()
    code, again, err = crossval(glcm_mae, ct_sample, out, *more, "--resume")
    assert code == 0, err
    assert "fold 1 of 2 is finished" in err
    assert (out / "predictions.csv").read_bytes() == before
    assert again == text


@pytest.mark.slow
def test_crossval_says_when_the_encoder_saw_the_images(
    pretrained: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    command = ["crossval", "--start", "weights", "--folds.count", "2", *FINETUNE, *QUICK]
    code, text, err = glcm_mae(
        *command, "--weights", pretrained, "--data.table", phantoms, "--out", tmp_path / "seen"
    )
    assert code == 0, err
    assert "NOT fold-aware: the given encoder was trained on 24 of these very images" in text
    from glcm_mae.data import write_phantoms

    other = write_phantoms(tmp_path / "other", count=24, size=32, seed=9)
    code, text, err = glcm_mae(
        *command, "--weights", pretrained, "--data.table", other, "--out", tmp_path / "unseen"
    )
    assert code == 0, err
    assert "trained on none of these images" in text


def test_finetune_keeps_to_the_official_split(
    kermany_cxr: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    with (kermany_cxr / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    keep = []
    for part in ("train", "val", "test"):
        for label in ("normal", "pneumonia"):
            keep += [r for r in rows if r["split"] == part and r["label"] == label][:6]
    table = tmp_path / "manifest.csv"
    (tmp_path / "images").symlink_to(kermany_cxr / "images")
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(keep)
    out = tmp_path / "run"
    code, _, err = glcm_mae(
        *("finetune", "--start", "scratch", "--data.table", table, *TINY, *FINETUNE),
        *("--data.positive", "pneumonia", "--out", out),
    )
    assert code == 0, err
    tested = set(read_predictions(out / "predictions.csv").paths)
    assert tested == {row["path"] for row in keep if row["split"] == "test"}
