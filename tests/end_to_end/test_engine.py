"""What the engine promises of whole trainings: parts, averages, rates, metrics, compiling."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.data import write_phantoms
from warm import Nursery

EACH_TERM = ("--losses.phases", "[{share: 1.0, mse: 1.0, glcm: 1.0, ssim: 0.1}]")


@pytest.fixture(scope="module")
def ragged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """28 images: in batches of 8 the last one has 4."""
    folder = tmp_path_factory.mktemp("ragged") / "images"
    return write_phantoms(folder, count=28, size=32, seed=0, labelled=False)


def pretrain(glcm_mae: Command, table: Path, out: Path, *more: str) -> Path:
    code, _, err = glcm_mae(
        *("pretrain", "--data.table", table, *PRETRAIN, *EACH_TERM, *more, "--out", out)
    )
    assert code == 0, err
    return out


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def newest(out: Path, group: str) -> dict[str, torch.Tensor]:
    last = max((out / "checkpoints").iterdir())
    found = weights(last / f"{group}.safetensors")
    return {name.removeprefix(f"{group}/"): value for name, value in found.items()}


def assert_close(one: Path, other: Path, name: str, ignored: str = "share/") -> None:
    first, second = weights(one / name), weights(other / name)
    assert first.keys() == second.keys()
    for key, value in first.items():
        torch.testing.assert_close(second[key], value, rtol=0, atol=1e-5, msg=key)
    for line, parted in zip(metrics(one), metrics(other), strict=True):
        kept = {key: value for key, value in line.items() if not key.startswith(ignored)}
        assert {key: parted[key] for key in kept} == pytest.approx(kept, rel=1e-4)


@pytest.mark.slow
def test_pretraining_in_parts(glcm_mae: Command, ragged: Path, tmp_path: Path) -> None:
    # In float32, for autocast rounds sums of parts otherwise.
    exact = ("--precision", "float32")
    one = pretrain(glcm_mae, ragged, tmp_path / "1", *exact)
    for parts in ("3", "5"):
        more = (*exact, "--pretraining.accumulate", parts)
        parted = pretrain(glcm_mae, ragged, tmp_path / parts, *more)
        assert_close(one, parted, "autoencoder.safetensors")


def finetune(glcm_mae: Command, table: Path, out: Path, *more: str) -> Path:
    start = ("finetune", "--start", "scratch", "--data.table", table, "--leak-check", "off")
    code, _, err = glcm_mae(*start, *TINY, *FINETUNE, *more, "--out", out)
    assert code == 0, err
    return out


def test_finetuning_in_parts(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    still = ("--finetuning.drop_path", "0", "--precision", "float32")
    uneven = ("--finetuning.balance", "loss", "--finetuning.label_smoothing", "0.2")
    settings = (*still, *uneven, "--finetuning.batch_size", "7")
    one = finetune(glcm_mae, phantoms, tmp_path / "1", *settings)
    for parts in ("3", "5"):
        more = (*settings, "--finetuning.accumulate", parts)
        parted = finetune(glcm_mae, phantoms, tmp_path / parts, *more)
        assert_close(one, parted, "classifier.safetensors")


def test_the_average_is_what_a_pretraining_gives(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    out = pretrain(glcm_mae, phantoms, tmp_path / "run", "--pretraining.ema", "0.99")
    average, raw = newest(out, "ema"), newest(out, "model")
    given = weights(out / "autoencoder.safetensors")
    assert given.keys() == raw.keys()
    for name, value in given.items():
        assert torch.equal(value, average.get(name, raw[name])), name
    assert any(not torch.equal(average[name], raw[name]) for name in average)
    encoder = weights(out / "encoder.safetensors")
    assert encoder
    for name, value in encoder.items():
        assert torch.equal(value, given[f"encoder.vit.{name}"]), name


def test_the_average_is_what_a_finetuning_judges(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    once = ("--finetuning.epochs", "1", "--finetuning.learning_rate", "0.01")
    out = finetune(glcm_mae, phantoms, tmp_path / "run", *once, "--finetuning.ema", "0.9")
    plain = finetune(glcm_mae, phantoms, tmp_path / "plain", *once)
    average, given = newest(out, "ema"), weights(out / "classifier.safetensors")
    for name, value in average.items():
        assert torch.equal(value, given[name]), name
    best = newest(out, "best")
    assert all(torch.equal(best[name], value) for name, value in given.items())
    # Both trained alike; but other weights were looked at.
    assert all(
        torch.equal(a, newest(plain, "model")[k]) for k, a in newest(out, "model").items()
    )
    (averaged,), (raw,) = metrics(out), metrics(plain)
    assert averaged["loss"] == raw["loss"]
    assert averaged["validation/loss"] != raw["validation/loss"]


def test_the_linear_rule(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    def peak(name: str, *more: str) -> float:
        out = pretrain(glcm_mae, phantoms, tmp_path / name, *more)
        return metrics(out)[0]["learning_rate"]  # the warm-up takes one epoch

    base = ("--pretraining.base_learning_rate", "0.004")
    assert peak("a", *base, "--pretraining.batch_size", "32") == pytest.approx(0.0005)
    assert peak("b", *base, "--pretraining.batch_size", "64") == pytest.approx(0.001)


def test_two_runs_differ_in_their_speed_alone(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glcm_mae.losses import objective

    one = pretrain(glcm_mae, phantoms, tmp_path / "one")
    honest, chaos = objective.masked_mse, random.Random()

    def disturbed(*arguments: object, **keywords: object) -> torch.Tensor:
        random.seed(chaos.random())
        np.random.seed(chaos.randrange(2**32))  # noqa: NPY002
        return honest(*arguments, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(objective, "masked_mse", disturbed)
    two = pretrain(glcm_mae, phantoms, tmp_path / "two", "--pretraining.workers", "3")
    for name in ("metrics.jsonl", "encoder.safetensors", "images.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes(), name
    speed = [json.loads(line) for line in (one / "speed.jsonl").read_text().splitlines()]
    measured = {"images_per_second", "utilisation", "peak_memory_gb"}
    assert [line["epoch"] for line in speed] == [0, 1]
    assert all(line.keys() == {"epoch", *measured} for line in speed)
    assert not measured & {name for line in metrics(one) for name in line}


def test_a_pretraining_saved_after_every_step(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    often = ("--checkpoints.keep", "4", "--checkpoints.every_minutes", "1e-9")
    best = ("--checkpoints.keep_best", "false", "--checkpoints.every_epochs", "9")
    out = pretrain(glcm_mae, phantoms, tmp_path / "run", *often, *best)
    steps = sorted(int(path.name[5:]) for path in (out / "checkpoints").iterdir())
    assert steps == [3, 4, 5, 6]


@pytest.mark.slow
def test_a_compiled_model_has_the_names_of_a_plain_one(
    glcm_mae: Command, nursery: Nursery, phantoms: Path, tmp_path: Path
) -> None:
    exact = ("--precision", "float32")
    plain = pretrain(glcm_mae, phantoms, tmp_path / "plain", *exact)
    compiled = tmp_path / "compiled"
    run_compiled(phantoms, compiled, *exact)
    for name in ("encoder.safetensors", "autoencoder.safetensors"):
        assert not [key for key in weights(compiled / name) if "_orig_mod" in key]
        assert_close(plain, compiled, name)
    for group in ("model", "optimizer"):
        assert newest(compiled, group).keys() == newest(plain, group).keys()
    # What was saved by a compiled run is read by one that is not, and the other way round.
    before = weights(plain / "autoencoder.safetensors")
    for out in (compiled, plain):
        last = max((out / "checkpoints").iterdir())
        shutil.rmtree(last)
    pretrain(glcm_mae, phantoms, compiled, *exact, "--resume")
    run_compiled(phantoms, plain, *exact, "--resume", nursery=nursery)
    assert_close(plain, compiled, "autoencoder.safetensors")
    for key, value in weights(plain / "autoencoder.safetensors").items():
        torch.testing.assert_close(value, before[key], rtol=0, atol=1e-5, msg=key)


COMPILING = """
import functools, sys
import torch
from glcm_mae.cli import main

torch.compile = functools.partial(torch.compile, backend="aot_eager")
main(sys.argv[1:])
"""


def run_compiled(table: Path, out: Path, *more: str, nursery: Nursery | None = None) -> None:
    """Train in a process of its own: what checks types in tests is not to be compiled.

    Graphs are caught and taken apart as ever, forward and backward, but no kernel is made
    of them: sixty of those cost two minutes, and have no part in the names.
    """
    script = out.parent / "compiling.py"
    script.write_text(COMPILING)
    settings = [*PRETRAIN, *EACH_TERM, *more, "--compile", "always", "--out", str(out)]
    words = [str(script), "pretrain", "--data.table", str(table), *settings]
    if nursery is not None:
        process = nursery.start(words, out.with_suffix(".txt"))
        told = process.told()
        assert process.returncode == 0, told
        return
    done = subprocess.run(
        [sys.executable, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
