"""One training on two processes equals that on one, is restarted when one dies, and shards.

What is compared with, and the second way to the same law, are forks of one process; each
law is shown by real processes too.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import PRETRAIN, TINY, Command

from warm import Nursery

PYTHON = [sys.executable, "-W", "error::FutureWarning"]


def arguments(phantoms: Path, out: Path, *further: str) -> list[str]:
    return ["pretrain", "--data.table", str(phantoms), *PRETRAIN, *further, "--out", str(out)]


def launch(command: list[str], **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(command: list[str]) -> str:
    process = launch(command)
    text, _ = process.communicate(timeout=280)
    return checked(text, process.returncode)


def fork(nursery: Nursery, words: list[str], log: Path) -> str:
    """Run a command as a fork; it forks the processes that it starts."""
    process = nursery.start(["-m", "glcm_mae", *words], log)
    text = process.told()
    return checked(text, process.returncode)


def checked(text: str, code: int | None) -> str:
    assert code == 0, text
    assert "Warning" not in text, text
    return text


def weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "autoencoder.safetensors")


def assert_close(one: Path, other: Path) -> None:
    first, second = weights(one), weights(other)
    assert first.keys() == second.keys()
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def losses(out: Path) -> list[float]:
    return logged(out, "loss")


def logged(out: Path, name: str) -> list[float]:
    lines = (out / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line)[name] for line in lines]


@pytest.fixture(scope="module")
def alone(nursery: Nursery, phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("alone") / "run"
    fork(nursery, arguments(phantoms, out), out.with_suffix(".txt"))
    return out


@pytest.mark.slow
def test_torchrun_ends_where_one_process_does(
    phantoms: Path, alone: Path, tmp_path: Path
) -> None:
    torchrun = [*PYTHON, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    text = run([*torchrun, "-m", "glcm_mae", *arguments(phantoms, tmp_path / "run")])
    assert text.count("images read") == 1, "rank 0 alone tells"
    assert text.count("encoder:") == 1
    assert_close(alone, tmp_path / "run")
    assert losses(tmp_path / "run") == pytest.approx(losses(alone), rel=1e-5)


SELECT = [
    *("--pretraining.held_out_share", "0.25", "--pretraining.select_by", "texture"),
    *("--pretraining.fidelity_every", "1"),
]


@pytest.fixture(scope="module")
def chosen_alone(
    nursery: Nursery, phantoms: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("chosen") / "run"
    fork(nursery, arguments(phantoms, out, *SELECT), out.with_suffix(".txt"))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_choose_the_weights_that_one_does(
    strategy: str, nursery: Nursery, phantoms: Path, chosen_alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    both = arguments(phantoms, out, *SELECT, "--devices", "2", "--strategy", strategy)
    if strategy == "ddp":
        run([*PYTHON, "-m", "glcm_mae", *both])
    else:
        fork(nursery, both, tmp_path / "log.txt")
    assert_close(chosen_alone, out)
    assert (chosen_alone / "split.csv").read_bytes() == (out / "split.csv").read_bytes()
    for name in ("fidelity/haralick_error", "fidelity/psnr"):
        assert logged(out, name) == pytest.approx(logged(chosen_alone, name), rel=1e-3)


LONGER = ["--pretraining.epochs", "30"]


@pytest.fixture(scope="module")
def undisturbed(
    nursery: Nursery, phantoms: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    both = arguments(phantoms, out, *LONGER, "--devices", "2")
    fork(nursery, both, out.with_suffix(".txt"))
    return out


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["supervisor", "torchrun"])
def test_a_killed_process_is_started_again_and_nothing_changes(
    launcher: str, phantoms: Path, undisturbed: Path, tmp_path: Path
) -> None:
    killed = tmp_path / "killed"
    again = [*arguments(phantoms, killed, *LONGER), "--resume"]
    process = launch(started_by(launcher, again), TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1")
    victim = wait_for_rank(process, killed, epochs=3)
    os.kill(victim, signal.SIGKILL)
    text, _ = process.communicate(timeout=280)
    assert process.returncode == 0, text
    assert ("restart 1 of 3" in text) == (launcher == "supervisor")
    assert "continuing" in text
    for name in ("autoencoder.safetensors", "encoder.safetensors", "metrics.jsonl"):
        assert (undisturbed / name).read_bytes() == (killed / name).read_bytes(), name


def started_by(launcher: str, command: list[str]) -> list[str]:
    if launcher == "supervisor":
        return [*PYTHON, "-m", "glcm_mae", *command, "--devices", "2"]
    torchrun = ["--standalone", "--nproc-per-node", "2", "--max-restarts", "2"]
    return [*PYTHON, "-m", "torch.distributed.run", *torchrun, "-m", "glcm_mae", *command]


def wait_for_rank(process: subprocess.Popen[str], out: Path, *, epochs: int) -> int:
    """Return the process of rank 1, once some epochs are done."""
    deadline = time.monotonic() + 200
    metrics = out / "metrics.jsonl"
    while not metrics.is_file() or len(metrics.read_text().splitlines()) < epochs:
        assert process.poll() is None, "ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in map(int, children):
        if b"RANK=1\0" in Path(f"/proc/{child}/environ").read_bytes():
            return child
    raise AssertionError("rank 1 is not there")


@pytest.mark.slow
def test_shards_of_two_processes_are_read_by_one(
    nursery: Nursery, phantoms: Path, alone: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    sharded = ["--devices", "2", "--strategy", "fsdp"]
    run([*PYTHON, "-m", "glcm_mae", *arguments(phantoms, out, *sharded)])
    assert_close(alone, out)
    # One process goes on from the shards of the first epoch, and ends with the same weights.
    kept = sorted((out / "checkpoints").glob("step-*"))
    assert any(path.name.startswith("shard-") for path in kept[0].iterdir())
    for path in kept[1:]:
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    (out / "autoencoder.safetensors").unlink()
    again = [*arguments(phantoms, out), "--resume"]
    text = fork(nursery, again, tmp_path / "again.txt")
    assert "after 1 epochs" in text
    assert_close(alone, out)


@pytest.mark.slow
def test_finetuning_on_two_processes(nursery: Nursery, phantoms: Path, tmp_path: Path) -> None:
    def command(out: Path, *further: str) -> list[str]:
        settings = ["--finetuning.epochs", "2", "--finetuning.batch_size", "7"]
        start = ["finetune", "--start", "scratch", "--data.table", str(phantoms)]
        still = ["--finetuning.drop_path", "0", "--leak-check", "off"]
        out_ = ["--out", str(out)]
        return [*start, *TINY, *settings, *still, *further, *out_]

    parts = command(tmp_path / "one", "--finetuning.accumulate", "3")
    fork(nursery, parts, tmp_path / "one.txt")
    run([*PYTHON, "-m", "glcm_mae", *command(tmp_path / "two", "--devices", "2")])
    first, second = (
        load_file(tmp_path / name / "classifier.safetensors") for name in ("one", "two")
    )
    for name, value in first.items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_crossval_is_not_for_several_processes(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}.items():
        monkeypatch.setenv(name, value)
    table = ["crossval", "--data.table", phantoms, *PRETRAIN]
    code, _, err = glcm_mae(*table, "--out", tmp_path / "run")
    assert code == 2
    assert "crossval starts the processes of its jobs by itself" in err
