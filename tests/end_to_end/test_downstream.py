"""Fine-tuning and probing: what is read when, every way to choose, every kind of model."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import FINETUNE, TINY, Command

from glcm_mae.assembly import load_classifier
from glcm_mae.config import FinetuneConfig, ProbeConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.downstream import TEST_FOLD_NOTE
from glcm_mae.evaluation import read_predictions, score_folds
from glcm_mae.finetuning import Finetuning, finetune
from glcm_mae.intake import load_table
from glcm_mae.probing import probe

FEW = ["--evaluation.resamples", "200"]
MODEL = {
    "encoder": "vit_tiny_patch16_224",
    "encoder_options": {"depth": 1, "embed_dim": 32, "num_heads": 2},
    "image_size": 32,
    "patch_size": 8,
}
TUNING = {"epochs": 3, "batch_size": 8, "warmup_epochs": 1}
ATTENTIVE = ["--finetuning.pooling", "attention", "--finetuning.trained", "head"]
BATCH_NORM = ["--baseline", "test_resnet", "--model.image_size", "32"]


class Recorder:
    """Pixels that remember which rows were read, in order."""

    def __init__(self, pixels: Pixels) -> None:
        self.pixels, self.reads = pixels, []  # type: ignore[var-annotated]
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any) -> Any:
        self.reads.append(sorted(np.atleast_1d(rows).tolist()))
        return self.pixels[rows]


def settings(kind: Any, phantoms: Path, out: Path, **more: Any) -> Any:
    data = {"table": str(phantoms / "manifest.csv"), "cache": None}
    return kind(
        **{
            "data": data,
            "model": MODEL,
            "out": str(out),
            "start": "scratch",
            "leak_check": "off",
            "evaluation": {"resamples": 200},
            **more,
        }
    )


def recorded(config: Any) -> tuple[LoadedImages, Recorder]:
    images = load_table(config.data, config.model, labelled=True)
    recorder = Recorder(images.pixels)
    return replace(images, pixels=recorder), recorder


def parts_of(out: Path) -> dict[str, set[int]]:
    with (out / "split.csv").open(newline="") as file:
        parts = [row["split"] for row in csv.DictReader(file)]
    return {
        name: {row for row, part in enumerate(parts) if part == name}
        for name in ("train", "validation", "test")
    }


def touching(reads: list[list[int]], rows: set[int]) -> list[int]:
    """Number the reads that touch some rows."""
    return [number for number, read in enumerate(reads) if rows & set(read)]


@pytest.mark.parametrize("selection", ["inner", "last", "test-fold"])
def test_finetuning_reads_the_test_part_once_and_last(
    selection: str, phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    tuning = {**TUNING, "selection": selection}
    config = settings(FinetuneConfig, phantoms, out, finetuning=tuning)
    images, recorder = recorded(config)
    predictions = finetune(config, images=images, number=2, repeat=1)
    parts = parts_of(out)
    tested = touching(recorder.reads, parts["test"])
    others = touching(recorder.reads, parts["train"] | parts["validation"])
    scores = json.loads((out / "scores.json").read_text())
    text = capsys.readouterr().err
    assert scores["selection"] == selection
    assert scores["test"]["images"] == len(parts["test"])
    assert text.count(f"sha256 {scores['test']['sha256'][:12]}…") == 1
    if selection == "test-fold":
        assert TEST_FOLD_NOTE in scores["notes"]
        assert TEST_FOLD_NOTE in text
        assert len(tested) > 1
    else:
        assert TEST_FOLD_NOTE not in scores["notes"]
        assert len(tested) == 1, "read once"
        assert tested[0] > max(others), "after all else"
        assert set(recorder.reads[tested[0]]) == parts["test"]
    if selection == "last":
        assert scores["epoch"] == TUNING["epochs"] - 1
    inner = read_predictions(out / "validation.csv")
    for found, name in ((predictions, "test"), (inner, "validation")):
        assert set(found.folds.tolist()) == {2}
        assert set(found.repeat.tolist()) == {1}
        assert set(found.paths) == {images.table.name(row) for row in parts[name]}
        groups = {images.table.name(r): images.table.groups[r] for r in parts[name]}
        assert len(set(groups.values())) == len(set(found.groups.tolist()))


@pytest.mark.parametrize("method", ["linear", "knn"])
def test_probing_reads_the_test_part_once_and_last(
    method: str, phantoms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    probing = {"method": method, "penalties": [0.01, 1.0], "neighbours": [1, 3]}
    config = settings(ProbeConfig, phantoms, out, probing=probing)
    images, recorder = recorded(config)
    found = probe(config, images=images)
    parts = parts_of(out)
    tested = touching(recorder.reads, parts["test"])
    others = touching(recorder.reads, parts["train"] | parts["validation"])
    assert len(tested) == 1
    assert tested[0] > max(others)
    scores = json.loads((out / "scores.json").read_text())
    assert scores["selection"] == "inner"
    expected = {"C"} if method == "linear" else {"neighbours", "temperature"}
    assert set(scores["chosen"]) == expected
    assert scores["summary"] == json.loads(json.dumps(score_folds(found)["summary"]))
    assert set(read_predictions(out / "validation.csv").paths) == {
        images.table.name(row) for row in parts["validation"]
    }


def test_a_probe_leaves_exactly_these_files_and_is_read_when_finished(
    phantoms: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "probe"
    cache = ["--data.cache", str(tmp_path / "cache")]
    command = ["probe", "--start", "scratch", "--data.table", phantoms, *TINY, *FEW, *cache]
    command += ["--leak-check", "off"]
    code, text, err = glcm_mae(*command, "--out", out)
    assert code == 0, err
    assert "linear probe" in text
    assert {path.name for path in out.iterdir()} == {
        "config.yaml",
        "environment.json",
        "predictions.csv",
        "scores.json",
        "split.csv",
        "validation.csv",
    }
    before = (out / "predictions.csv").read_bytes()
    code, again, err = glcm_mae(*command, "--out", out, "--resume")
    assert (code, again) == (0, text)
    assert "is finished" in err
    # One that died is begun again; its features come from the cache.
    (out / "predictions.csv").unlink()
    monkeypatch.setattr("glcm_mae.embedding.Embedder._compute", None)
    code, again, err = glcm_mae(*command, "--out", out, "--resume")
    assert code == 0, err
    assert (out / "predictions.csv").read_bytes() == before
    code, _, err = glcm_mae(*command, "--out", out)
    assert code == 2
    assert "run folder exists" in err


def test_a_probe_of_a_timm_model(phantoms: Path, tmp_path: Path, glcm_mae: Command) -> None:
    command = ["probe", "--start", "scratch", "--data.table", phantoms, *BATCH_NORM, *FEW]
    more = ["--probing.method", "knn", "--leak-check", "off"]
    code, text, err = glcm_mae(*command, *more, "--out", tmp_path / "run")
    assert code == 0, err
    assert "nearest images" in text


def tuned(
    glcm_mae: Command, phantoms: Path, out: Path, *more: str | Path
) -> tuple[int, str, str]:
    start = ["finetune", "--start", "scratch", "--data.table", phantoms, "--leak-check", "off"]
    return glcm_mae(*start, *FINETUNE, *FEW, *more, "--out", out)


@pytest.mark.parametrize("kind", ["encoder", "attentive", "test_resnet", "test_vit"])
def test_a_finished_classifier_is_read_again(
    kind: str, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    more = {
        "encoder": [*TINY, "--finetuning.ema", "0.5"],
        "attentive": [
            *TINY,
            "--finetuning.pooling",
            "attention",
            "--finetuning.trained",
            "head",
        ],
    }.get(kind, ["--baseline", kind, "--model.image_size", "32", "--finetuning.ema", "0.5"])
    code, _, err = tuned(glcm_mae, phantoms, out, *more, "--finetuning.test_flips", "true")
    assert code == 0, err
    model, facts = load_classifier(out)
    assert not model.training
    assert facts["test_flips"] is True
    config = settings(FinetuneConfig, phantoms, out)
    images = load_table(config.data, config.model, labelled=True)
    expected = read_predictions(out / "predictions.csv")
    rows = [images.table.names.index(path) for path in expected.paths]
    levels = torch.from_numpy(images.pixels[np.array(rows)].astype(np.float32) / 65535)
    with torch.no_grad():
        both = (model(levels).softmax(1) + model(levels.flip(3)).softmax(1)) / 2
    assert both.numpy() == pytest.approx(expected.probabilities, abs=1e-5)


def test_only_the_head_of_a_frozen_encoder_learns(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    weights = {}
    for name, epochs in (("short", "1"), ("long", "3")):
        more = [*TINY, "--finetuning.trained", "head", "--finetuning.selection", "last"]
        code, _, err = tuned(
            *(glcm_mae, phantoms, tmp_path / name, *more, "--finetuning.epochs", epochs)
        )
        assert code == 0, err
        weights[name] = load_file(tmp_path / name / "classifier.safetensors")
    differing = {
        name
        for name, value in weights["short"].items()
        if not torch.equal(value, weights["long"][name])
    }
    assert differing == {"head.weight", "head.bias", "norm.weight", "norm.bias"}


def stopping_at(monkeypatch: pytest.MonkeyPatch, epoch: int, step: int) -> None:
    """Send SIGTERM within a step."""
    honest = Finetuning.loss

    def stops(self: Any, network: Any, batch: Any, moment: Any) -> Any:
        if (moment.epoch, moment.step) == (epoch, step):
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(self, network, batch, moment)

    monkeypatch.setattr(Finetuning, "loss", stops)


@pytest.mark.parametrize("kind", ["batch norm", "mixed encoder"])
def test_stopped_and_continued_it_ends_with_the_same_bits(
    kind: str,
    phantoms: Path,
    tmp_path: Path,
    glcm_mae: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    more = [*BATCH_NORM, "--finetuning.ema", "0.6"]
    if kind == "mixed encoder":
        mixing = ["--finetuning.mixing.mixup", "0.8", "--finetuning.mixing.cutmix", "1.0"]
        more = [*TINY, *mixing, "--finetuning.pooling", "attention"]
    more = [*more, "--finetuning.epochs", "3", "--resume"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert tuned(glcm_mae, phantoms, whole, *more)[0] == 0
    with monkeypatch.context() as patch:
        stopping_at(patch, epoch=1, step=0)
        assert tuned(glcm_mae, phantoms, cut, *more)[0] == 128 + signal.SIGTERM
    code, _, err = tuned(glcm_mae, phantoms, cut, *more)
    assert code == 0, err
    assert "after 1 epochs and 1 steps" in err
    for name in ("classifier.safetensors", "predictions.csv", "metrics.jsonl", "scores.json"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name
    if kind == "batch norm":
        tensors = load_file(cut / "classifier.safetensors")
        assert any(not (v == 0).all() for k, v in tensors.items() if k.endswith("running_mean"))


def test_early_stopping_ends_alike_when_it_was_interrupted(
    phantoms: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without a learning rate no epoch is better than the first.
    still = ["--finetuning.learning_rate", "1e-12", "--finetuning.min_learning_rate", "0"]
    more = [*TINY, *still, "--finetuning.epochs", "9", "--finetuning.patience", "2"]
    more = [*more, "--finetuning.select_by", "accuracy", "--resume"]
    monkeypatch.setattr(
        "glcm_mae.finetuning.task.EpochChoice.keeps", _first_is_best, raising=True
    )
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert tuned(glcm_mae, phantoms, whole, *more)[0] == 0
    assert len((whole / "metrics.jsonl").read_text().splitlines()) == 3
    with monkeypatch.context() as patch:
        stopping_at(patch, epoch=1, step=1)
        assert tuned(glcm_mae, phantoms, cut, *more)[0] == 128 + signal.SIGTERM
    assert tuned(glcm_mae, phantoms, cut, *more)[0] == 0
    # As if it had died after the last checkpoint, before the test.
    for name in ("predictions.csv", "classifier.safetensors"):
        (cut / name).unlink()
    assert tuned(glcm_mae, phantoms, cut, *more)[0] == 0
    for name in ("classifier.safetensors", "predictions.csv", "metrics.jsonl"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


def _first_is_best(self: Any, epoch: int, rank: Any) -> bool:
    if not self.facts:
        self.facts = {"rank": list(rank), "epoch": epoch, "best": epoch}
        return True
    return False


def test_batch_norm_wants_whole_steps(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    more = [*BATCH_NORM, "--finetuning.accumulate", "2"]
    code, _, err = tuned(glcm_mae, phantoms, tmp_path / "a", *more)
    assert code == 2
    assert "a step cannot be divided" in err
    more = [*BATCH_NORM, "--finetuning.batch_size", "1"]
    code, _, err = tuned(glcm_mae, phantoms, tmp_path / "b", *more)
    assert code == 2
    assert "needs two images a step" in err


def test_no_step_of_batch_norm_holds_one_image(phantoms: Path, tmp_path: Path) -> None:
    from glcm_mae.downstream import Trial

    model = {"image_size": 32}
    config = settings(FinetuneConfig, phantoms, tmp_path, model=model, baseline="test_resnet")
    trial = Trial.prepare(config)
    count = len(trial.fold.train)
    for batch_size, expected in ((count - 1, count - 1), (count, count), (2, count)):
        tuning = config.finetuning.model_copy(update={"batch_size": batch_size})
        changed = config.model_copy(update={"finetuning": tuning})
        task = Finetuning.build(changed, trial, torch.device("cpu"))
        visited = [set(task.rows(epoch).tolist()) for epoch in range(6)]
        expected = count - 1 if count % batch_size == 1 else expected
        assert {len(rows) for rows in visited} == {expected}
        assert set.union(*visited) == set(trial.fold.train.tolist())
        assert all(task.rows(3).tolist() == task.rows(3).tolist() for _ in "ab")


def test_a_size_or_a_pooling_that_a_baseline_cannot_take(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    code, _, err = tuned(
        *(glcm_mae, phantoms, tmp_path / "a"),
        *("--baseline", "inception_v3", "--model.image_size", "32"),
    )
    assert code == 2
    assert "'inception_v3' cannot take images of 32 x 32" in err
    code, _, err = tuned(
        *(glcm_mae, phantoms, tmp_path / "b", *BATCH_NORM),
        *("--finetuning.pooling", "attention"),
    )
    assert code == 2
    assert "pools its own way" in err


def test_the_published_protocol_is_branded(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    code, text, err = tuned(
        *(glcm_mae, phantoms, tmp_path / "run", *TINY, "--finetuning.selection", "test-fold")
    )
    assert code == 0, err
    assert TEST_FOLD_NOTE in " ".join(text.split())
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    assert all("test/auroc" in line and "validation/" not in line for line in lines)


@pytest.mark.slow
def test_a_baseline_stands_in_a_cross_validation(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    command = ["crossval", "--start", "scratch", "--data.table", phantoms, *BATCH_NORM]
    more = ["--folds.count", "2", "--leak-check", "off", *FINETUNE, *FEW]
    code, text, err = glcm_mae(*command, *more, "--out", out)
    assert code == 0, err
    assert "test_resnet" in text
    assert len(read_predictions(out / "predictions.csv").paths) == 24
    assert load_classifier(out / "fold-1" / "finetuning")[1]["baseline"] == "test_resnet"


@pytest.mark.slow
def test_mixing_on_two_processes_ends_where_one_does(phantoms: Path, tmp_path: Path) -> None:
    def run(out: Path, *further: str) -> dict[str, torch.Tensor]:
        python = [sys.executable, "-m", "glcm_mae", "finetune", "--start", "scratch"]
        tuning = ["--finetuning.epochs", "2", "--finetuning.batch_size", "7", *FEW]
        mixing = ["--finetuning.mixing.mixup", "0.8", "--finetuning.mixing.cutmix", "1.0"]
        still = ["--finetuning.drop_path", "0", "--leak-check", "off"]
        command = [*python, "--data.table", str(phantoms), *TINY, *tuning, *mixing, *still]
        subprocess.run(
            [*command, *further, "--out", str(out)],
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            timeout=280,
        )
        return load_file(out / "classifier.safetensors")

    first = run(tmp_path / "one", "--finetuning.accumulate", "3")
    second = run(tmp_path / "two", "--devices", "2")
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_the_hash_tells_which_images_were_tested(phantoms: Path, tmp_path: Path) -> None:
    from glcm_mae.downstream import Trial

    config = settings(FinetuneConfig, phantoms, tmp_path)
    trial = Trial.prepare(config)
    other = replace(trial, fold=replace(trial.fold, test=trial.fold.test[1:]))
    mirrored = replace(trial, fold=replace(trial.fold, test=trial.fold.test[::-1]))
    assert trial.open_test() == mirrored.open_test() != other.open_test()
