"""Kill small pre-trainings at random moments, resume them, and compare every bit.

Every run is killed by SIGKILL, half of them while a checkpoint is being written, and
continued, often with another number of workers. It must end with the very bytes of a run
that was never disturbed: weights, moments, average, position, metrics.

    python tests/kill/kill_runs.py --runs 200 --out results.json

One process holds the libraries, and forks a child for every start: so a start costs a
fraction of a second, and dies as any process does.
"""

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MODEL = [
    *("--model.encoder", "vit_tiny_patch16_224"),
    *("--model.encoder_options", "{depth: 1, embed_dim: 32, num_heads: 2}"),
    *("--model.image_size", "32", "--model.patch_size", "8"),
    *(
        "--model.decoder_depth",
        "1",
        "--model.decoder_width",
        "32",
        "--model.decoder_heads",
        "2",
    ),
]
TRAINING = [
    *("--losses.ssim.window", "7", "--losses.balance", "gradnorm"),
    *("--pretraining.epochs", "6", "--pretraining.batch_size", "8"),
    *("--pretraining.warmup_epochs", "1", "--pretraining.ema", "0.9"),
    *("--pretraining.shares_every", "2", "--pretraining.accumulate", "2"),
    *("--pretraining.picture_every", "100"),
]
WORKERS = (0, 2)
PATIENCE = 120.0
"""Seconds after which a run counts as hung."""


def arguments(images: Path, out: Path, *, workers: int, every_step: bool) -> list[str]:
    """Return the command of a run; ``every_step`` saves it after each step."""
    often = ["--checkpoints.every_minutes", "0.000001"] if every_step else []
    start = ["pretrain", "--data.table", str(images), "--out", str(out), "--resume"]
    return [*start, *MODEL, *TRAINING, "--pretraining.workers", str(workers), *often]


def start(command: Sequence[str], ranks: int, temporary: Path) -> list[int]:
    """Fork the processes of one run; return their numbers."""
    port = _free_port()
    return [_fork(command, rank, ranks, port, temporary) for rank in range(ranks)]


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _fork(command: Sequence[str], rank: int, ranks: int, port: int, temporary: Path) -> int:
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.environ["TMPDIR"] = str(temporary)
        tempfile.tempdir = None
        if ranks > 1:
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
            os.environ |= {name: str(value) for name, value in place.items()}
            os.environ["MASTER_ADDR"] = "127.0.0.1"
        _silence(temporary.parent / f"log-{rank}.txt")
        import torch

        # PyTorch makes its pool anew after a fork, but two threads must not do so at once.
        torch.set_num_threads(torch.get_num_threads())
        from glcm_mae.cli import main

        main(list(command))
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def _silence(log: Path) -> None:
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)


def wait(children: Sequence[int]) -> list[int]:
    """Wait for processes; return their exit codes, negative ones for signals."""
    deadline = time.monotonic() + PATIENCE
    codes: dict[int, int] = {}
    while len(codes) < len(children):
        for child in set(children) - codes.keys():
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                codes[child] = os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            for child in set(children) - codes.keys():
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return [codes[child] for child in children]


def kill(children: Sequence[int]) -> list[int]:
    """End all processes of a run at once."""
    for child in children:
        os.kill(child, signal.SIGKILL)
    return wait(children)


def kill_in_save(children: Sequence[int], out: Path, saves: int, delay: float) -> bool:
    """Kill a run some moments after it began to write its ``saves``-th checkpoint.

    Returns:
        Whether a half-written checkpoint was left.
    """
    folder, seen, there = out / "checkpoints", 0, False
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = any(name.endswith(".partial") for name in _names(folder))
        seen += now and not there
        there = now
        if seen == saves or _ended(children):
            break
    _spin(delay)
    kill(children)
    return any(name.endswith(".partial") for name in _names(folder))


def _names(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in os.scandir(folder)]
    except FileNotFoundError:
        return []


def _ended(children: Sequence[int]) -> bool:
    return any(
        os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) for child in children
    )


def _spin(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def digest(out: Path) -> dict[str, str]:
    """Return the SHA-256 of what a run ended with, by file."""
    last = max((out / "checkpoints").glob("step-*"), key=lambda path: path.name)
    files = [*sorted(last.iterdir()), out / "metrics.jsonl", out / "encoder.safetensors"]
    files += [out / "autoencoder.safetensors", out / "images.csv"]
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def usable(out: Path) -> str:
    """Say what a killed run left: a whole checkpoint, or none yet; raise if neither."""
    from glcm_mae.checkpoints import Checkpoints

    newest = Checkpoints(out / "checkpoints").newest()
    if newest is None:
        return "before the first checkpoint"
    newest.read("model", __import__("torch").device("cpu"))
    return f"step {newest.step}"


def one_run(
    number: int, rng: random.Random, images: Path, home: Path, references: dict[int, Any]
) -> dict[str, Any]:
    """Kill one run and resume it; return what was seen."""
    ranks = 2 if number % 4 == 3 else 1
    in_save = number % 2 == 0
    if ranks == 2:
        in_save = number % 8 == 3
    first, second = rng.choice(WORKERS), rng.choice(WORKERS)
    elsewhere = rng.random() < 0.5
    folder = Path(tempfile.mkdtemp(dir=home, prefix=f"run-{number}-"))
    out = folder / "run"
    with _temporary(folder, elsewhere) as temporary:
        command = arguments(images, out, workers=first, every_step=rng.random() < 0.7)
        children = start(command, ranks, temporary)
        if in_save:
            torn = kill_in_save(children, out, rng.randint(1, 6), rng.uniform(0, 0.004))
        else:
            torn = False
            _kill_later(children, rng.uniform(0.0, 1.0) * references[ranks]["seconds"])
        left = usable(out) if out.exists() else "nothing"
        command = arguments(images, out, workers=second, every_step=rng.random() < 0.5)
        codes = wait(start(command, ranks, temporary))
        leftovers = [str(path.relative_to(folder)) for path in folder.rglob("*.partial")]
        outside = [path.name for path in temporary.rglob("*") if path.is_file()]
    differing = []
    if codes == [0] * ranks:
        found, wanted = digest(out), references[ranks]["digest"]
        differing = sorted(
            name for name in wanted | found if wanted.get(name) != found.get(name)
        )
    ok = codes == [0] * ranks and not differing and not leftovers and not outside
    if ok:
        shutil.rmtree(folder)
    return {
        "run": number,
        "ranks": ranks,
        "workers": [first, second],
        "temporary_elsewhere": elsewhere,
        "aimed_at_save": in_save,
        "torn_save": torn,
        "left": left,
        "codes": codes,
        "differing": differing,
        "leftovers": leftovers + outside,
        "ok": ok,
    }


def _kill_later(children: Sequence[int], seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until and not _ended(children):
        time.sleep(0.001)
    kill(children)


@contextmanager
def _temporary(folder: Path, elsewhere: bool) -> Iterator[Path]:
    """Yield a temporary folder on the run's disk, or on another file system."""
    home = Path("/dev/shm") if elsewhere and Path("/dev/shm").is_dir() else folder
    path = Path(tempfile.mkdtemp(dir=home, prefix="glcm-mae-kill-")) / "temporary"
    path.mkdir()
    try:
        yield path
    finally:
        log = path.parent
        if home != folder:
            for file in log.glob("log-*.txt"):
                shutil.copy(file, folder)
            shutil.rmtree(log)


def reference(ranks: int, images: Path, home: Path) -> dict[str, Any]:
    """Run undisturbed; return the digest of the end, and how long it took."""
    out = home / f"whole-{ranks}" / "run"
    out.parent.mkdir()
    began = time.monotonic()
    command = arguments(images, out, workers=0, every_step=False)
    codes = wait(start(command, ranks, out.parent))
    if codes != [0] * ranks:
        logs = [path.read_text() for path in out.parent.parent.glob("log-*.txt")]
        raise SystemExit(f"the undisturbed run ended with {codes}:\n" + "\n".join(logs))
    return {"digest": digest(out), "seconds": time.monotonic() - began}


def warm() -> None:
    """Do once what every child would do: its imports, and measuring the machine."""
    import io

    import torch
    from matplotlib.figure import Figure

    from glcm_mae.performance import matrix_peak
    from glcm_mae.texture import Offset, glcm_distance

    matrix_peak(torch.device("cpu"), torch.float32)
    patches = torch.rand(1, 8, 8, requires_grad=True)
    glcm_distance(
        patches, torch.rand(1, 8, 8), levels=32, bandwidth=0.5, offsets=[Offset(0, 1)]
    ).backward()
    Figure().subplots().figure.savefig(io.BytesIO())


def in_jobs(
    options: argparse.Namespace, images: Path, home: Path, references: dict[int, Any]
) -> list[dict[str, Any]]:
    """Share the runs out over processes; return their results in order."""
    children = []
    for job in range(options.jobs):
        child = os.fork()
        if not child:
            _one_job(job, options, images, home, references)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    lines = [
        line for path in home.glob("job-*.jsonl") for line in path.read_text().splitlines()
    ]
    return sorted(map(json.loads, lines), key=lambda result: result["run"])


def _one_job(
    job: int, options: argparse.Namespace, images: Path, home: Path, references: dict[int, Any]
) -> None:
    for number in range(job, options.runs, options.jobs):
        rng = random.Random(f"{options.seed} {number}")  # the same run in any number of jobs
        result = one_run(number, rng, images, home, references)
        with (home / f"job-{job}.jsonl").open("a") as file:
            file.write(json.dumps(result) + "\n")
        if not result["ok"]:
            print(f"FAILED: {result} (kept in {home})", flush=True)
        if number % 20 < options.jobs:
            print(f"run {number} done", flush=True)


def main() -> None:
    """Kill and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="runs at the same time")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    import torch

    import glcm_mae.checkpoints
    import glcm_mae.finetuning
    import glcm_mae.pretraining  # noqa: F401
    from glcm_mae.data import write_phantoms

    torch.set_num_threads(1)
    home = Path(tempfile.mkdtemp(prefix="glcm-mae-kills-"))
    os.environ["GLCM_MAE_CACHE"] = str(home / "cache")
    warm()
    images = write_phantoms(home / "images", count=28, size=32, seed=0, labelled=False)
    references = {ranks: reference(ranks, images, home) for ranks in (1, 2)}
    results = in_jobs(options, images, home, references)
    summary = summarise(results, options)
    print(json.dumps(summary, indent=1))
    if options.out:
        options.out.write_text(json.dumps({**summary, "results": results}, indent=1) + "\n")
    if summary["as_undisturbed"] < options.runs:
        raise SystemExit(1)
    shutil.rmtree(home)


def summarise(results: Sequence[dict[str, Any]], options: argparse.Namespace) -> dict[str, Any]:
    """Count what was seen."""
    return {
        "command": f"tests/kill/kill_runs.py --runs {options.runs} --seed {options.seed}",
        "runs": len(results),
        "as_undisturbed": sum(r["ok"] for r in results),
        "two_processes": sum(r["ranks"] == 2 for r in results),
        "killed_with_a_half_written_checkpoint": sum(r["torn_save"] for r in results),
        "temporary_folder_on_another_file_system": sum(
            r["temporary_elsewhere"] for r in results
        ),
        "workers_changed": sum(r["workers"][0] != r["workers"][1] for r in results),
        "killed_before_the_first_checkpoint": sum(
            not r["left"].startswith("step") for r in results
        ),
    }


if __name__ == "__main__":
    main()
