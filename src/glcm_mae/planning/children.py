"""Jobs in processes of their own: how they are started, and that none outlives its driver."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

PARENT = "GLCM_MAE_PARENT"
"""Variable with the number of the process that started a job and waits for it."""


def start_child(
    run: Path,
    job_id: str,
    *,
    log: Path | None,
    threads: int,
    folder: Path | None = None,
    gpu: str | None = None,
    orders: bool = False,
) -> subprocess.Popen[bytes]:
    """Start ``glcm-mae job`` in a process of its own.

    Args:
        run: The run folder.
        job_id: Identifier of the job.
        log: File that gets what it says, behind what is there; None forgets it.
        threads: Threads that it may use.
        folder: Working folder; None for this process's.
        gpu: The one GPU that it sees; None for those that this process sees.
        orders: Whether its input and output are pipes to this process, of bytes that are
            not held back and not waited for.
    """
    environment = {k: v for k, v in os.environ.items() if k != "GLCM_MAE_HEARTBEAT"}
    environment |= {"OMP_NUM_THREADS": str(threads), PARENT: str(os.getpid())}
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = gpu
    target = Path(os.devnull) if log is None else log
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "glcm_mae", "job", str(run), job_id],
            env=environment,
            stdin=subprocess.PIPE if orders else subprocess.DEVNULL,
            stdout=subprocess.PIPE if orders else file,
            stderr=file,
            cwd=folder,
            bufsize=0,
            # A terminal's Ctrl-C comes to the driver alone, which passes it on once.
            start_new_session=True,
        )
    if process.stdout is not None:
        os.set_blocking(process.stdout.fileno(), False)
    return process


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process when the one that started it dies.

    Then it saves and ends, and the next driver goes on from there. Where the system knows
    no such thing the job goes on; the next driver waits for it, as the lock tells it to.
    """
    parent = os.environ.pop(PARENT, "")
    if not parent:
        return
    # SLURM tells every process that time is up; the one that waits for us stops us then.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if sys.platform != "linux":
        return
    set_death_signal, number = 1, int(signal.SIGTERM)
    ctypes.CDLL(None).prctl(set_death_signal, number)
    if os.getppid() != int(parent):  # it was gone before we asked
        raise SystemExit(128 + number)


def ask_to_stop(child: subprocess.Popen[bytes]) -> None:
    """Send SIGTERM: a job saves and ends."""
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)


def how_it_ended(code: int | None) -> str:
    """Say how a process ended that left no word.

    Example:
        >>> how_it_ended(-9), how_it_ended(1)
        ('was ended by SIGKILL (short of memory?)', 'ended with code 1')
    """
    if code is None:
        return "ended without a word"
    if code >= 0:
        return f"ended with code {code}"
    hint = " (short of memory?)" if -code == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(-code).name}{hint}"
