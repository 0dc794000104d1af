"""Processes forked from one that holds the libraries, in place of fresh interpreters.

A start of Python that imports PyTorch takes seconds of processor time, a fork a few
milliseconds. What a forked ``glcm-mae`` starts itself, the jobs of a plan or the ranks of a
training, is forked from it too: with the arguments, the environment, the open files and the
parent that it would have. Each law that is shown so is shown with real interpreters as well.

Run as a script, this file is the process that holds the libraries: it reads orders, one a
line, and answers each with a line.
"""

import contextlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

HERE = str(Path(__file__).parent)
POLL = 0.02


class Warm:
    """A process that the nursery started; it is asked as a ``Popen`` is."""

    def __init__(self, nursery: "Nursery", pid: int, log: Path) -> None:
        self.nursery, self.pid, self.log = nursery, pid, log
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.nursery.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = 280.0) -> int:
        limit = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > limit:
                raise subprocess.TimeoutExpired(str(self.log), timeout)
            time.sleep(POLL)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def told(self, timeout: float = 280.0) -> str:
        """Wait for the end, and return what was written."""
        try:
            self.wait(timeout)
        finally:
            self.kill()
        return self.log.read_text()


class Nursery:
    """Starts processes from one that holds the libraries."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def start(self, words: Sequence[str | Path], log: Path, **environment: str) -> Warm:
        """Start ``python WORDS``: a script, or ``-m glcm_mae`` with its arguments."""
        order = {"words": [str(word) for word in words], "log": str(log)}
        chosen = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
        return Warm(self, self.ask(**order, environment=chosen), log)

    def start_ranks(self, count: int, words: Sequence[str | Path], logs: Path) -> list[Warm]:
        """Start processes that are the ranks of one training."""
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
        meeting |= {"WORLD_SIZE": str(count), "GLOO_SOCKET_IFNAME": "lo"}
        return [
            self.start(words, logs / f"rank-{n}.txt", RANK=str(n), LOCAL_RANK=str(n), **meeting)
            for n in range(count)
        ]

    def ask(self, **order: Any) -> Any:
        """Give an order to the process that holds the libraries, and return its answer."""
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, __file__],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline()
        if not answer:
            raise RuntimeError(f"the nursery ended with {self._server.wait()}")
        return json.loads(answer)

    def close(self) -> None:
        """End it, and what it started and is still there."""
        if self._server is not None:
            self._server.communicate()


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


# -- the process that holds the libraries ------------------------------------------------


class Fork:
    """A fork that is what ``Popen`` would have started, as far as glcm-mae asks for it."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: dict[str, str],
        stdout: int | IO[bytes] | None = None,
        stderr: int | IO[bytes] | None = None,
        stdin: int | None = None,
        bufsize: int = -1,
        cwd: Path | None = None,
        pass_fds: Sequence[int] = (),
        start_new_session: bool = False,
        preexec_fn: Callable[[], None] | None = None,
    ) -> None:
        assert stdin in (subprocess.DEVNULL, subprocess.PIPE)
        sys.stdout.flush()
        sys.stderr.flush()
        self.returncode: int | None = None
        self.stdin = self.stdout = None
        if piped := stdin == subprocess.PIPE:
            assert (stdout, bufsize) == (subprocess.PIPE, 0)
            (orders, self.stdin), (self.stdout, stdout) = _pipe(), _pipe()
        self.pid = os.fork()
        if self.pid:
            if piped:
                orders.close()
                stdout.close()
            return
        code = 70
        try:
            if start_new_session:
                os.setsid()
            _default_signals()
            _only_files(orders if piped else None, stdout, stderr, pass_fds)
            os.environ.clear()
            os.environ.update(env)
            os.chdir(cwd or ".")
            if preexec_fn is not None:
                preexec_fn()
            code = _become(list(command[1:]))
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        if self.returncode is None:
            found, status = os.waitpid(self.pid, os.WNOHANG)
            if found:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> int:
        while (code := self.poll()) is None:
            time.sleep(POLL)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def _default_signals() -> None:
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _pipe() -> tuple[IO[bytes], IO[bytes]]:
    ends = os.pipe()
    return os.fdopen(ends[0], "rb", buffering=0), os.fdopen(ends[1], "wb", buffering=0)


def _only_files(
    stdin: IO[bytes] | None,
    stdout: int | IO[bytes] | None,
    stderr: int | IO[bytes] | None,
    kept: Sequence[int],
) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    for place, file in ((0, stdin or nothing), (1, stdout), (2, stderr)):
        if file is not None:
            os.dup2(file if isinstance(file, int) else file.fileno(), place)
    for handle in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208  numbers, not paths
        if handle > 2 and handle not in kept:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(handle)


class Forking(subprocess.Popen):  # type: ignore[type-arg]
    """``Popen`` that forks where Python would be started for glcm-mae, or for a test."""

    def __new__(cls, command: Any, *rest: Any, **options: Any) -> Any:
        if isinstance(command, list) and command[:1] == [sys.executable]:
            words = [str(word) for word in command[1:]]
            if words[:2] == ["-m", "glcm_mae"] or words[0].startswith(HERE):
                return Fork([sys.executable, *words], **options)
        return super().__new__(cls)


def _become(words: list[str]) -> int:
    """Do what ``python WORDS`` would, and return its exit code."""
    import torch

    from glcm_mae.launching import heartbeat

    heartbeat._heartbeat.cache_clear()
    subprocess.Popen = Forking  # type: ignore[misc]
    sys.stdin = os.fdopen(0, closefd=False)  # nothing that another process has read
    # PyTorch makes its pool anew after a fork, but two threads must not do so at once.
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    try:
        if words[:2] == ["-m", "glcm_mae"]:
            from glcm_mae.cli import main

            sys.argv = ["glcm-mae", *words[2:]]
            main(words[2:])
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return 0


def _import_stages() -> None:
    """Do once what every stage would do: its imports, and measuring the machine."""
    import matplotlib.figure
    import torch

    import glcm_mae.crossvalidation
    import glcm_mae.finetuning
    import glcm_mae.pretraining
    import glcm_mae.probing  # noqa: F401
    from glcm_mae.performance import matrix_peak

    torch.set_num_threads(1)
    assert matplotlib.figure.Figure
    matrix_peak(torch.device("cpu"), torch.float32)


def serve() -> None:
    """Follow orders until there are none to come."""
    import torch

    import glcm_mae.distributed  # noqa: F401

    torch.set_num_threads(1)
    children: dict[int, Fork] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            answer = children[order["poll"]].poll()
        else:
            if order["words"][0] == "-m" or "pretrain" in order["words"]:
                _import_stages()
            with Path(order["log"]).open("ab") as log:
                child = Fork(
                    [sys.executable, *order["words"]],
                    env=order["environment"],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
            children[child.pid] = child
            answer = child.pid
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for child in children.values():
        child.send_signal(signal.SIGKILL)
        child.wait()


if __name__ == "__main__":
    serve()
