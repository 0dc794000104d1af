"""Killed at a random moment and resumed, a run ends with bit-identical weights."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.data.batching.batches import Batch
from glcm_mae.training import LossValue, Moment

EPOCHS = 16


SELECT = [
    *("--pretraining.held_out_share", "0.01", "--pretraining.fidelity_every", "1"),
    *("--pretraining.select_by", "texture"),
]


def command(phantoms: Path, out: Path, select: list[str]) -> list[str]:
    arguments = ["pretrain", "--data.table", str(phantoms), *PRETRAIN, *select]
    return [*arguments, "--out", str(out), "--pretraining.epochs", str(EPOCHS), "--resume"]


def epochs_logged(out: Path) -> int:
    path = out / "metrics.jsonl"
    return len(path.read_text().splitlines()) if path.is_file() else 0


def kill_after(arguments: list[str], out: Path, epochs: int, wait: float) -> int:
    """Start a run, and kill it some moments after it has logged some epochs."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", "glcm_mae", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 200
    while epochs_logged(out) < epochs and time.monotonic() < deadline:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.001)
    time.sleep(wait)
    process.kill()
    process.wait()
    return process.returncode


def assert_same_tensors(one: Path, other: Path) -> None:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.slow
@pytest.mark.parametrize("select", [[], SELECT])
def test_pretraining(
    select: list[str], phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    code, _, err = glcm_mae(*command(phantoms, whole, select))
    assert code == 0, err
    moments = random.Random()  # another moment every time: all must do
    # An epoch is logged before it is saved; after the second, the first surely is.
    epochs, wait = moments.randint(2, EPOCHS // 2), moments.uniform(0, 0.2)
    assert kill_after(command(phantoms, killed, select), killed, epochs, wait) == -9
    assert not (killed / "encoder.safetensors").exists(), (
        f"not killed in time: {epochs}, {wait}"
    )
    code, _, err = glcm_mae(*command(phantoms, killed, select))
    assert code == 0, err
    assert "continuing" in err
    assert_same_tensors(whole / "encoder.safetensors", killed / "encoder.safetensors")
    for name in ("model", "optimizer"):
        last = f"checkpoints/step-{3 * EPOCHS:010d}/{name}.safetensors"
        assert_same_tensors(whole / last, killed / last)
    assert (whole / "metrics.jsonl").read_bytes() == (killed / "metrics.jsonl").read_bytes()
    assert not list(killed.rglob("*.partial"))


@pytest.mark.slow
def test_finetuning_stopped_within_an_epoch(
    phantoms: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny import TINY

    from glcm_mae import finetuning

    def arguments(out: Path) -> list[str]:
        start = ["finetune", "--start", "scratch", "--data.table", str(phantoms)]
        more = ["--finetuning.epochs", "6", "--finetuning.drop_path", "0.3", "--resume"]
        return [*start, *TINY, *FINETUNE, *more, "--out", str(out)]

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert glcm_mae(*arguments(whole))[0] == 0
    honest = finetuning.Finetuning.loss
    seen = 0

    def stops(self: object, network: object, batch: Batch, moment: Moment) -> LossValue:
        nonlocal seen
        seen += 1
        if moment.epoch == 3 and moment.step == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return honest(self, network, batch, moment)  # type: ignore[arg-type]

    monkeypatch.setattr(finetuning.Finetuning, "loss", stops)
    code, _, err = glcm_mae(*arguments(cut))
    assert code == 128 + signal.SIGTERM
    assert "stopped by SIGTERM" in err
    assert "--resume continues" in err
    monkeypatch.setattr(finetuning.Finetuning, "loss", honest)
    code, _, err = glcm_mae(*arguments(cut))
    assert code == 0, err
    assert "after 3 epochs and 1 steps" in err
    assert_same_tensors(whole / "classifier.safetensors", cut / "classifier.safetensors")
    assert (whole / "predictions.csv").read_bytes() == (cut / "predictions.csv").read_bytes()
    assert (whole / "metrics.jsonl").read_bytes() == (cut / "metrics.jsonl").read_bytes()
