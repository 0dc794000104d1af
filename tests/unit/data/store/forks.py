"""Processes that do one thing each, to be killed amid it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_MAIN = """
import os, sys

def tell():
    os.write(1, b".")

{work}

for line in sys.stdin:
    if os.fork() == 0:
        os.write(1, f"{{os.getpid()}}\\n".encode())
        work()
        os.write(1, b"done ")
        os._exit(0)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
"""


class Forks:
    """A process that forks a child whenever it is asked; imports are paid once.

    Args:
        work: Python that defines ``work()``, which calls ``tell()`` now and then.
        arguments: Of the process, as ``sys.argv[1:]``.
    """

    def __init__(self, work: str, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _MAIN.format(work=work), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )

    def start(self) -> int:
        """Let a child begin, and return its number."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        digits = b""
        while not digits.endswith(b"\n"):
            byte = self._byte()
            digits = digits + byte if byte in b"0123456789\n" else b""
        return int(digits)

    def wait(self, times: int) -> None:
        """Wait until the child has told something so many times."""
        while times:
            times -= self._byte() == b"."

    def finish(self) -> str:
        """Let all children end, and return what they have written since."""
        return self.process.communicate(timeout=100)[0].decode()

    def _byte(self) -> bytes:
        assert self.process.stdout is not None
        byte = self.process.stdout.read(1)
        assert byte, "the process has ended"
        return byte


def kill(pid: int) -> None:
    """Kill a process as the system does when the memory runs out, and see it dead."""
    os.kill(pid, signal.SIGKILL)
    while _state(pid) not in "ZX":
        time.sleep(0.001)


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2][0]
    except OSError:
        return "X"
