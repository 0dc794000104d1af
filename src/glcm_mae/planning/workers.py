"""Processes of this machine that do one job after the other, and what they are told.

A start of Python with PyTorch takes seconds of processor time, so a process is kept for the
next job. On its standard input it gets the identifier of a job, a line each, and on its
standard output it answers with an empty line when that job is done; what a job says goes to
the job's own log. A process whose job failed ends, and the next job gets a fresh one.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

import torch

from glcm_mae.performance import forget_peak_memory
from glcm_mae.planning.children import ask_to_stop, end_with_parent, start_child
from glcm_mae.planning.jobs import do_ordered, log_file, read_order
from glcm_mae.planning.plan import Job

INPUT = "-"
"""In place of a job's identifier: those that come on standard input."""


class Worker:
    """The driver's end: a process, and the job that it does.

    Args:
        run: The run folder.
        threads: Threads that it may use.
        gpu: The one GPU that it sees; None for those that this process sees.
    """

    def __init__(self, run: Path, *, threads: int, gpu: str | None) -> None:
        self.run, self.threads, self.gpu = run, threads, gpu
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, job: Job) -> None:
        """Have the process do a job; start one if there is none, or it was ended."""
        order = f"{job.id}\n".encode()
        if not self._tell(order):
            self.wait()
            self._process = start_child(
                self.run,
                INPUT,
                log=log_file(self.run, job),
                threads=self.threads,
                gpu=self.gpu,
                orders=True,
            )
            self._tell(order)

    def _tell(self, order: bytes) -> bool:
        """Say whether the process is there to be told."""
        process = self._process
        if process is None or process.stdin is None or process.poll() is not None:
            return False
        try:
            process.stdin.write(order)
        except BrokenPipeError:
            return False
        return True

    def code(self) -> int | None:
        """Return 0 if the job is done, the process's code if it ended, None before."""
        process = self._process
        if process is None or process.stdout is None:
            return None
        code = process.poll()  # before its answer is read, which is there if it ended since
        return 0 if process.stdout.read(1) else code

    def stop(self) -> None:
        """Have the process end: a job saves first."""
        if self._process is not None:
            ask_to_stop(self._process)

    def wait(self) -> None:
        """Have the process end after its job, and wait until it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()  # it may have noted the signal too late, and wait for more
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def run_jobs(run: Path) -> None:
    """Do the jobs whose identifiers come on standard input, until it ends.

    Args:
        run: The run folder.

    Raises:
        InputError: If a setting or a file of a job is bad.
        DivergenceError: If a training left the finite numbers.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    end_with_parent()
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    for line in sys.stdin:
        number, job = read_order(run, line.strip())
        _speak_to(log_file(run, job))
        sys.stdout.write(f"{do_ordered(run, number, job)}\n")
        sys.stdout.flush()
        _give_back_memory()
        os.write(answers, b"\n")


def _give_back_memory() -> None:
    """Leave to a neighbour on the same GPU what the job that ended had of its memory."""
    gc.collect()
    torch.cuda.empty_cache()  # does nothing where CUDA was not used
    forget_peak_memory()


def _speak_to(log: Path | None) -> None:
    """Have what this process says from now on go to a file, or nowhere."""
    target = Path(os.devnull) if log is None else log
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
            os.dup2(file.fileno(), stream.fileno())
