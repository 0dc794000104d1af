"""A training that is disturbed: damaged checkpoints, full disks, signals, steps not finite."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import PRETRAIN, Command

from glcm_mae.cli import main
from glcm_mae.data.batching.batches import Batch
from glcm_mae.pretraining import Pretraining
from glcm_mae.training import LossValue, Moment
from warm import Nursery

STEPS = 3
"""Of an epoch: 24 images, 8 a step."""
EPOCHS = 3


def arguments(table: Path, out: Path, *more: str) -> list[str]:
    settings = [*PRETRAIN, "--pretraining.epochs", str(EPOCHS), "--checkpoints.keep", "9"]
    return ["pretrain", "--data.table", str(table), *settings, *more, "--out", str(out)]


def content(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def ending(out: Path) -> dict[str, bytes]:
    """What a run came to, byte for byte."""
    names = ("metrics.jsonl", "encoder.safetensors", "autoencoder.safetensors", "images.csv")
    last = max((out / "checkpoints").iterdir())
    return {last.name: b"", **content(last), **{n: (out / n).read_bytes() for n in names}}


@pytest.fixture(scope="module")
def whole(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing happened to."""
    out = tmp_path_factory.mktemp("whole") / "run"
    main(arguments(phantoms, out))
    return out


@pytest.fixture
def cut(whole: Path, tmp_path: Path) -> Path:
    """The same run as it was after two of three epochs."""
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    shutil.rmtree(step(out, 3 * STEPS))
    for name in ("encoder", "autoencoder"):
        (out / f"{name}.safetensors").unlink()
    return out


def step(out: Path, number: int) -> Path:
    return out / f"checkpoints/step-{number:010d}"


# -- damaged checkpoints ---------------------------------------------------------------


def flip(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)


def truncate(folder: Path) -> None:
    path = folder / "optimizer.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def forget(folder: Path) -> None:
    (folder / "manifest.json").unlink()


DAMAGE = pytest.mark.parametrize(
    ("damage", "named"),
    [(flip, "model.safetensors"), (truncate, "optimizer.safetensors"), (forget, "manifest")],
    ids=["one bit", "half a file", "no manifest"],
)


@DAMAGE
def test_a_damaged_checkpoint_is_told_and_passed_over(
    glcm_mae: Command,
    phantoms: Path,
    whole: Path,
    cut: Path,
    damage: Callable[[Path], None],
    named: str,
) -> None:
    damage(step(cut, 2 * STEPS))
    code, _, err = glcm_mae(*arguments(phantoms, cut, "--resume"))
    assert code == 0, err
    (line,) = [line for line in err.splitlines() if "is damaged" in line]
    assert line.startswith(f"{step(cut, 2 * STEPS)}: is damaged ({named}")
    assert "going back to the checkpoint before it" in line
    assert "after 1 epochs" in err
    assert ending(cut) == ending(whole)


def test_when_every_checkpoint_is_damaged(glcm_mae: Command, phantoms: Path, cut: Path) -> None:
    flip(step(cut, STEPS))
    truncate(step(cut, 2 * STEPS))
    before = content(cut)
    code, _, err = glcm_mae(*arguments(phantoms, cut, "--resume"))
    assert code == 2
    assert err.splitlines()[-1].startswith(
        f"glcm-mae: error: {cut / 'checkpoints'}: none of its 2 checkpoints is whole"
    )
    assert err.count("glcm-mae: error: ") == 1
    after = content(cut)
    assert {name: after[name] for name in before} == before, "nothing may be lost"


# -- settings --------------------------------------------------------------------------


def test_settings_that_may_change(
    glcm_mae: Command, phantoms: Path, whole: Path, cut: Path
) -> None:
    free = ["--pretraining.workers", "3", "--checkpoints.keep", "1", "--compile", "never"]
    often = ["--checkpoints.keep_best", "false", "--checkpoints.every_minutes", "1e-9"]
    code, _, err = glcm_mae(*arguments(phantoms, cut, *free, *often, "--resume"))
    assert code == 0, err
    assert ending(cut) == ending(whole)
    assert [path.name for path in (cut / "checkpoints").iterdir()] == ["step-0000000009"]


def test_parts_may_change(glcm_mae: Command, phantoms: Path, cut: Path) -> None:
    parts = ["--pretraining.accumulate", "3"]
    code, _, err = glcm_mae(*arguments(phantoms, cut, *parts, "--resume"))
    assert code == 0, err
    assert "after 2 epochs" in err


@pytest.mark.parametrize(
    "setting", ["seed 1", "pretraining.batch_size 4", "pretraining.ema 0.9"]
)
def test_settings_that_may_not(
    glcm_mae: Command, phantoms: Path, whole: Path, setting: str
) -> None:
    key, value = setting.split()
    code, _, err = glcm_mae(*arguments(phantoms, whole, f"--{key}", value, "--resume"))
    assert code == 2
    assert err.splitlines()[-1] == (
        f"glcm-mae: error: {whole}: cannot be resumed with other settings; differing: {key}"
    )


# -- signals ---------------------------------------------------------------------------


def signalling(
    monkeypatch: pytest.MonkeyPatch, number: int, part: int, *signs: signal.Signals
) -> None:
    honest = Pretraining.loss

    def loss(
        self: Pretraining, network: torch.nn.Module, batch: Batch, moment: Moment
    ) -> LossValue:
        if (moment.number, batch.part) == (number, part):
            for sign in signs:
                signal.raise_signal(sign)
        return honest(self, network, batch, moment)

    monkeypatch.setattr(Pretraining, "loss", loss)


@pytest.mark.parametrize(
    ("sign", "number", "part"),
    [
        (signal.SIGTERM, 4, 1),
        (signal.SIGINT, 1, 0),
        (signal.SIGUSR1, 2, 2),
    ],
    ids=["TERM between parts", "INT", "USR1 in the last step of an epoch"],
)
def test_a_signal_saves_and_ends(
    glcm_mae: Command,
    phantoms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    in_parts: dict[str, bytes],
    sign: signal.Signals,
    number: int,
    part: int,
) -> None:
    command = arguments(phantoms, tmp_path / "run", *IN_PARTS, "--resume")
    with monkeypatch.context() as patch:
        signalling(patch, number, part, sign)
        code, out, err = glcm_mae(*command)
    assert code == 128 + sign
    assert out == ""
    (line,) = [line for line in err.splitlines() if "error" in line]
    assert line == err.splitlines()[-1]
    assert line == (
        f"glcm-mae: error: stopped by {sign.name}; {tmp_path / 'run'} is saved, the same "
        "command with --resume continues"
    )
    assert max((tmp_path / "run/checkpoints").iterdir()) == step(tmp_path / "run", number + 1)
    code, _, err = glcm_mae(*command)
    assert code == 0, err
    assert ending(tmp_path / "run") == in_parts


IN_PARTS = ["--pretraining.accumulate", "3", "--pretraining.ema", "0.9"]


@pytest.fixture(scope="module")
def in_parts(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("parts") / "run"
    main(arguments(phantoms, out, *IN_PARTS))
    return ending(out)


def test_the_second_interrupt_ends_at_once(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    signalling(monkeypatch, 4, 0, signal.SIGTERM, signal.SIGINT)
    code, _, err = glcm_mae(*arguments(phantoms, out))
    assert code == 130
    assert err.splitlines()[-1].endswith(
        "interrupted; the same command with --resume continues"
    )
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["step-0000000003"]


# -- steps that are not finite ---------------------------------------------------------


def test_a_texture_loss_that_is_not_finite(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from glcm_mae.losses import objective

    honest, calls = objective.texture_loss, 0

    def poisoned(*arguments: object, **keywords: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value = honest(*arguments, **keywords)  # type: ignore[arg-type]
        return value * (float("nan") if calls in (2, 3) or calls > 4 else 1.0)

    monkeypatch.setattr(objective, "texture_loss", poisoned)
    phases = ["--losses.phases", "[{share: 1.0, mse: 1.0, glcm: 1.0}]"]
    out, allowed = tmp_path / "run", ["--pretraining.skip_non_finite", "2"]
    code, _, err = glcm_mae(*arguments(phantoms, out, *phases, *allowed))
    assert code == 3
    told = [line for line in err.splitlines() if "the step is skipped" in line]
    where = "loss, term/glcm, gradient_norm not finite at epoch"
    # By call: 2 and 3 are skipped, 4 is good, 5 and 6 are skipped, 7 is one too many.
    assert [line.partition(":")[0] for line in told] == [
        f"{where} {epoch}, step {number}" for epoch, number in ((0, 1), (0, 2), (1, 1), (1, 2))
    ]
    last = err.splitlines()[-1]
    assert last.startswith(f"glcm-mae: error: {where} 2, step 0, after 2 skipped steps")
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["skipped_steps"] for line in metrics] == [2, 2]
    assert not (out / "encoder.safetensors").exists()
    code, text, err = glcm_mae("replay", out)
    assert code == 0, err
    first, culprits, table = text.splitlines()
    assert first.startswith("epoch 2, step 0: loss nan")
    assert re.search(r"term/mse 0\.\d+, term/glcm nan", first)
    assert culprits.count(".png") == 8, "each is spoilt by this fault"
    assert Path(table.removeprefix("table: ")).is_file()


def test_replay_of_a_run_that_never_diverged(glcm_mae: Command, whole: Path) -> None:
    code, out, err = glcm_mae("replay", whole)
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        f"glcm-mae: error: {whole}: holds no step that was not finite (nonfinite/*.safetensors)"
    ]


# -- disks -----------------------------------------------------------------------------

ON_A_DISK = """
import os, sys
from pathlib import Path
from glcm_mae import cli
from glcm_mae.pretraining import Pretraining

home, logs, kind = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
command = sys.argv[4:]

def run(name, *more):
    log = os.open(logs / name, os.O_WRONLY | os.O_CREAT)
    kept = os.dup(2)
    os.dup2(log, 2)
    code = 0
    try:
        cli.main([*command, *more])
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException as error:
        code = repr(error)
    sys.stderr.flush()
    os.dup2(kept, 2)
    (logs / (name + ".code")).write_text(str(code))

def fill(room):
    with open(home / "filler", "wb", buffering=0) as file:
        free = os.statvfs(home).f_bavail * os.statvfs(home).f_frsize
        try:
            file.write(bytes(max(0, free - room)))
        except OSError:
            pass

honest = Pretraining.end_epoch

def disturbed(self, epoch, means):
    if epoch == 1:
        if kind == "ro":
            os.system(f"mount -o remount,ro {home}")
        else:
            fill(int(kind))
    return honest(self, epoch, means)

fill(600_000)
run("small")
(logs / "left-by-small").write_text(str(sorted(p.name for p in home.rglob("*"))))
(home / "filler").unlink()
Pretraining.end_epoch = disturbed
run("disturbed", "--resume")
Pretraining.end_epoch = honest
if kind == "ro":
    run("still", "--resume")
    os.system(f"mount -o remount,rw {home}")
else:
    (home / "filler").unlink()
run("after", "--resume")
os.system(f"cp -r {home}/run {logs}/run")
"""


@pytest.fixture(scope="session")
def own_mounts() -> list[str]:
    """A command that runs another one where it may mount file systems."""
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    try:
        tried = subprocess.run(
            [*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("needs unshare, to make a small disk")
    if tried.returncode:
        pytest.skip(f"may not mount a small disk here: {tried.stderr.decode().strip()}")
    return command


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["150000", "0", "ro"], ids=["full", "full to the byte", "ro"])
def test_a_disk_that_fails_in_the_middle(
    own_mounts: list[str], phantoms: Path, whole: Path, tmp_path: Path, kind: str
) -> None:
    home, logs = tmp_path / "disk", tmp_path / "logs"
    home.mkdir()
    logs.mkdir()
    script = tmp_path / "script.py"
    script.write_text(ON_A_DISK)
    words = [str(script), str(home), str(logs), kind, *arguments(phantoms, home / "run")]
    mount = 'mount -t tmpfs -o size=12m none "$0" && exec "$@"'
    done = subprocess.run(
        [*own_mounts, "sh", "-c", mount, str(home), sys.executable, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    def refused(name: str) -> str:
        log = (logs / name).read_text()
        assert (logs / f"{name}.code").read_text() == "2", log
        assert log.count("glcm-mae: error: ") == 1, log
        assert "Traceback" not in log
        last: str = log.splitlines()[-1]
        assert str(home / "run") in last
        return last

    line = refused("small")
    assert re.search(r"run/checkpoints: checkpoints need \d+ bytes, \d+ are free", line)
    assert "metrics.jsonl" not in (logs / "left-by-small").read_text(), "before the first step"
    line = refused("disturbed")
    if kind == "150000":
        told = r"step-0000000006: cannot be written \(.*: (\d+) bytes needed, (\d+) free"
        found = re.search(told, line)
        assert found, line
        assert int(found[1]) > 150_000 >= int(found[2])
    if kind == "ro":
        assert "Read-only file system" in refused("still")
    after = (logs / "after").read_text()
    assert (logs / "after.code").read_text() == "0", after
    assert "after 1 epochs" in after
    assert ending(logs / "run") == ending(whole)
    assert not list((logs / "run").rglob("*.partial"))


# -- several processes -----------------------------------------------------------------


def launch(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def children(process: subprocess.Popen[str]) -> list[int]:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(word) for word in path.read_text().split()]


def rank_of(process: int) -> int | None:
    try:
        environment = Path(f"/proc/{process}/environ").read_bytes()
    except OSError:
        return None
    found = re.search(rb"(?:^|\0)RANK=(\d+)\0", environment)
    return int(found[1]) if found else None


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 1])
def test_a_signal_to_one_of_two_processes_stops_both(
    phantoms: Path, tmp_path: Path, rank: int
) -> None:
    out = tmp_path / "run"
    command = ["pretrain", "--data.table", str(phantoms), *PRETRAIN, "--devices", "2"]
    long = ["--pretraining.epochs", "2000", "--out", str(out)]
    process = launch("-m", "glcm_mae", *command, *long)
    deadline = time.monotonic() + 120
    while not (out / "metrics.jsonl").is_file():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (victim,) = [child for child in children(process) if rank_of(child) == rank]
    os.kill(victim, signal.SIGTERM)
    try:
        text, _ = process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
        text, _ = process.communicate(timeout=60)
        raise AssertionError(text) from None
    assert process.returncode == 128 + signal.SIGTERM, text
    assert "stopped by SIGTERM" in text
    assert (max((out / "checkpoints").iterdir()) / "manifest.json").is_file()
    assert not list(out.rglob("*.partial"))


ON_TWO = """
import hashlib, os, sys
import torch
from glcm_mae import cli
from glcm_mae.training import loop
from glcm_mae.losses import objective

poisoned = set(map(int, sys.argv[1].split(",")))
ranks = set(map(int, sys.argv[2].split(",")))
honest, calls = objective.masked_mse, 0

def masked_mse(*arguments, **keywords):
    global calls
    calls += 1
    bad = calls in poisoned and int(os.environ["RANK"]) in ranks
    return honest(*arguments, **keywords) * (float("inf") if bad else 1.0)

objective.masked_mse = masked_mse
hashes = []
beat = loop.beat

def note():
    digest = hashlib.sha256()
    for value in seen[0]._tensors().values():
        digest.update(value.detach().numpy().tobytes())
    hashes.append(digest.hexdigest()[:16])
    beat()

seen = []
train = loop.Training.train

def watched(self, **keywords):
    seen.append(self)
    return train(self, **keywords)

loop.beat = note
loop.Training.train = watched
code = 0
try:
    cli.main(sys.argv[4:])
except SystemExit as stop:
    code = int(stop.code or 0)
with open(sys.argv[3] + os.environ["RANK"], "w") as file:
    file.write(" ".join([str(code), *hashes]))
os._exit(code)
"""


def on_two(
    folder: Path, poisoned: str, ranks: str, command: list[str], nursery: Nursery | None = None
) -> list[list[str]]:
    """Run on two processes, some steps spoilt on some; return code and hashes of each.

    They are started by torchrun, or are forks.
    """
    script = folder / "script.py"
    script.write_text(ON_TWO)
    words = [str(script), poisoned, ranks, str(folder / "seen-"), *command]
    if nursery:
        text = "".join(process.told() for process in nursery.start_ranks(2, words, folder))
    else:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        text, _ = launch(*torchrun, *words).communicate(timeout=200)
    found = [folder / f"seen-{rank}" for rank in (0, 1)]
    assert all(path.is_file() for path in found), text
    (folder / "text").write_text(text)
    return [path.read_text().split() for path in found]


@pytest.mark.slow
def test_a_step_not_finite_on_one_process_is_skipped_on_both(
    nursery: Nursery, phantoms: Path, tmp_path: Path
) -> None:
    ends = []
    for spoilt in ("1", "0", "0,1"):
        folder = tmp_path / spoilt
        folder.mkdir()
        forks = None if spoilt == "1" else nursery
        command = arguments(phantoms, folder / "run")
        first, second = on_two(folder, "4,5", spoilt, command, forks)
        assert first == second, "the processes agree after every step"
        assert first[0] == "0"
        hashes = first[1:]
        assert len(hashes) == EPOCHS * STEPS
        assert hashes[2] == hashes[3] == hashes[4], "skipped"
        assert len(set(hashes)) == EPOCHS * STEPS - 2
        text = (folder / "text").read_text()
        assert text.count("the step is skipped") == 2
        ends.append(hashes)
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.slow
def test_two_processes_diverge_together_and_one_replays(
    glcm_mae: Command, nursery: Nursery, phantoms: Path, tmp_path: Path
) -> None:
    strict = ["--pretraining.skip_non_finite", "1", "--pretraining.accumulate", "2"]
    # Two parts a step: the calls 9 to 12 are those of the steps 4 and 5.
    command = arguments(phantoms, tmp_path / "run", *strict)
    first, second = on_two(tmp_path, "9,11", "1", command, nursery)
    assert first == second
    assert first[0] == "3"
    text = (tmp_path / "text").read_text()
    assert text.count("glcm-mae: error: loss, term/mse") == 2  # one of each process
    code, out, err = glcm_mae("replay", tmp_path / "run")
    assert code == 0, err
    assert out.startswith("epoch 1, step 2: loss 0.")
    assert "none: each is finite alone" in out
