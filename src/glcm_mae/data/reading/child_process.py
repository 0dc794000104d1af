"""A child process as its parent sees it: asked, awaited, ended."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt

CHILD = (sys.executable, "-P", "-W", "ignore", "-m", "glcm_mae.data.reading.child")
"""The command that starts a child; -P keeps the working folder off its module path."""

_KEPT = (
    "DYLD_LIBRARY_PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "PATH",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONHOME",
    "PYTHONPYCACHEPREFIX",
    "SYSTEMROOT",
    "TEMP",
    "TMP",
    "TMPDIR",
)
_ONE_THREAD = {  # one file a child: its threads would only take memory
    "MALLOC_ARENA_MAX": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TIFFFILE_NUM_THREADS": "1",
}

Result = Any  # an array, a number or a dictionary, as the operation defines it


class ChildStartError(RuntimeError):
    """No child process can be started: nothing is wrong with the file."""


class DeadChildError(Exception):
    """A child that ended before it answered."""

    def __init__(self, reason: str, *, by_file: bool) -> None:
        super().__init__(reason)
        self.reason, self.by_file = reason, by_file


class Child:
    """One process and its pipes; it serves one thread at a time."""

    def __init__(self, command: Sequence[str]) -> None:
        self.process = subprocess.Popen(  # noqa: S603  our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            process_group=0,  # what interrupts the run must not look like a crash
        )
        self.requests = cast("BufferedWriter", self.process.stdin)
        self.answers = cast("BufferedReader", self.process.stdout)
        self.ready = self.used = self.late = False
        self.deadline = math.inf

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.process.poll() is None

    def ask(self, request: Mapping[str, Any], wall: float) -> tuple[dict[str, Any], Result]:
        """Return the message of the answer and the array or value that it brings."""
        self.deadline = time.monotonic() + wall
        try:
            self.requests.write(json.dumps(request).encode("ascii") + b"\n")
            self.requests.flush()
            self.ready = self.ready or "ready" in self._message()
            message = self._message()
            if "dtype" in message:
                return message, self._pixels(message)
            return message, message.get("value")
        except (EOFError, BrokenPipeError) as error:
            raise self._death(request["seconds"], wall) from error
        finally:
            self.deadline = math.inf

    def _message(self) -> dict[str, Any]:
        line = self.answers.readline()
        if not line.endswith(b"\n"):
            raise EOFError
        return cast("dict[str, Any]", json.loads(line))

    def _pixels(self, message: Mapping[str, Any]) -> npt.NDArray[Any]:
        pixels = np.empty(message["shape"], dtype=message["dtype"])
        rest = pixels.reshape(-1).view(np.uint8).data
        while rest:
            count = self.answers.readinto(rest)
            if not count:
                raise EOFError
            rest = rest[count:]
        return pixels

    def end_if_late(self) -> None:
        """Kill the process if it has not answered in time."""
        if time.monotonic() > self.deadline:
            self.late = True
            self.process.kill()

    def _death(self, seconds: float, wall: float) -> Exception:
        code = self.process.wait()
        if self.late:
            return DeadChildError(f"decoding it takes more than {wall:.0f} s", by_file=True)
        if not self.ready:
            return ChildStartError(
                "the process that decodes images ends at its start; to see why, run "
                + " ".join(CHILD)
            )
        if code == -getattr(signal, "SIGPROF", 0):
            reason = f"decoding it takes more than {seconds:.0f} s of processor time"
            return DeadChildError(reason, by_file=True)
        if code == -getattr(signal, "SIGKILL", 0):
            return DeadChildError("the decoder was killed, out of memory", by_file=False)
        return DeadChildError("the decoder crashed", by_file=False)

    def end(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        self.answers.raw.close()
        self.requests.raw.close()

    def disown(self) -> None:
        """Close the pipes in a fork of the process that started it, and nothing else."""
        self.answers.raw.close()
        self.requests.raw.close()
        self.process.returncode = 0  # not ours to wait for


def _environment() -> dict[str, str]:
    package = str(Path(__file__).resolve().parents[3])
    known = os.environ.get("PYTHONPATH")
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    path = os.pathsep.join((package, known)) if known else package
    return kept | _ONE_THREAD | {"PYTHONPATH": path}
