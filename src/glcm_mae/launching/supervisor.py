"""Starts the ranks of a run on this machine, watches them, starts all anew when one fails."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import IO

from glcm_mae.launching.heartbeat import HEARTBEAT
from glcm_mae.launching.place import Place, find_place

_FORWARDED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
FINAL_CODES = (2, 3, *(128 + int(sign) for sign in _FORWARDED))
"""Exit codes after which nothing is started anew: bad input, diverged, stopped and saved."""
FIRST_BEAT = 1800.0
"""Seconds before the first step, in which all images may have to be read."""
POLL = 0.1
"""Seconds between two looks at the ranks."""
SETTLE = 1.0
"""Seconds in which the other ranks may end by themselves, so that the first cause is found."""
LONGEST_BACK_OFF = 30.0
TOLD_LINES = 12
"""Lines of a failed rank's output that are shown."""


def supervise(
    command: Sequence[str],
    *,
    devices: int,
    nodes: int = 1,
    node: int | None = None,
    address: str = "",
    restarts: int = 3,
    watchdog: float = 0.0,
    grace: float = 10.0,
    back_off: float = 1.0,
) -> int:
    """Run a command once a device until all end well; return the exit code.

    When a rank fails, those of this machine are ended and started anew, with a new store of
    addresses. SIGTERM, SIGINT and SIGUSR1 are passed on once, and the ranks are waited for;
    a second one kills them. Must be called in the main thread.

    Args:
        command: Continues what is there, since it is also what is started anew.
        devices: Ranks on this machine.
        nodes: Machines; on each a supervisor runs.
        node: The number of this one; None asks SLURM.
        address: HOST:PORT of rank 0 where there are several machines; empty asks SLURM.
        restarts: How often all may be started anew.
        watchdog: Seconds after which a rank that does not :func:`beat` counts as hung;
            before its first beat ten times as long, at least half an hour. 0 waits for ever.
        grace: Seconds between SIGTERM and SIGKILL.
        back_off: Seconds before the first new start; doubled with each, up to half a minute.

    Returns:
        0; the code of the rank that failed first, 128 + n if by signal n; or 128 + n after
        signal n came to the supervisor and the ranks did not end well before.

    Raises:
        InputError: If several machines are asked for and it is not told which one this is.
    """
    place = find_place(nodes, node, address or "", os.environ)
    with _received() as received:
        for attempt in range(restarts + 1):
            with _Group.started(command, devices, place) as group:
                failure = group.watch(received, watchdog, grace)
            if failure is None or failure.code in FINAL_CODES or received.first:
                return failure.code if failure else 0
            if attempt == restarts:
                _say(f"{failure}; given up after {restarts} restarts")
                return failure.code
            _say(f"{failure}; all ranks start anew (restart {attempt + 1} of {restarts})")
            received.wait(min(back_off * 2**attempt, LONGEST_BACK_OFF))
            if received.first:
                return 128 + received.first
    raise AssertionError("the last attempt returns")


@dataclass
class _Received:
    """Signals that came to the supervisor.

    Attributes:
        first: The first one; 0 before.
        again: Whether another one came, more than a moment later.
    """

    first: int = 0
    again: bool = False
    _since: float = 0.0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Be the handler of a signal."""
        del frame
        now = time.monotonic()
        if not self.first:
            self.first, self._since = number, now
        # Shells and batch systems send the same signal to a group and to its leader.
        elif now - self._since > SETTLE:
            self.again = True

    def wait(self, seconds: float) -> None:
        """Sleep, but no longer than until a signal comes."""
        end = time.monotonic() + seconds
        while not self.first and time.monotonic() < end:
            time.sleep(POLL)


@contextmanager
def _received() -> Iterator[_Received]:
    received = _Received()
    before = {number: signal.signal(number, received.note) for number in _FORWARDED}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(frozen=True)
class _Failure:
    """Why a group ended: an exit code, and a sentence for the user."""

    code: int
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass
class _Rank:
    number: int
    process: subprocess.Popen[bytes]
    pipe: int
    log: IO[bytes] | None
    beaten: bool = False
    last: float = field(default_factory=time.monotonic)

    def listen(self) -> None:
        """Take note of beats."""
        try:
            heard = os.read(self.pipe, 65536)
        except BlockingIOError:
            return
        if heard:
            self.beaten, self.last = True, time.monotonic()

    def silent_for(self, watchdog: float) -> float:
        """Return for how long it has been silent if that is too long, else 0."""
        limit = watchdog if self.beaten else max(10 * watchdog, FIRST_BEAT)
        silent = time.monotonic() - self.last
        return silent if self.process.poll() is None and silent > limit else 0.0

    def tell_log(self) -> None:
        """Show the last lines of what it wrote, if that did not go to the terminal."""
        if self.log is None:
            return
        size = os.fstat(self.log.fileno()).st_size
        # Not by seek: the rank writes at the position that is shared with it.
        text = os.pread(self.log.fileno(), 16384, max(0, size - 16384)).decode(errors="replace")
        for line in text.splitlines()[-TOLD_LINES:]:
            _say(f"rank {self.number} | {line}")


class _Group:
    """The ranks of one attempt on this machine."""

    def __init__(self) -> None:
        self.ranks: list[_Rank] = []

    @classmethod
    @contextmanager
    def started(cls, command: Sequence[str], devices: int, place: Place) -> "Iterator[_Group]":
        """Start all ranks; at the end none is left."""
        group = cls()
        port = place.port or _free_port()
        try:
            for local in range(devices):
                environment = _environment(devices, local, place, port)
                number = place.node * devices + local
                group.ranks.append(_start(command, environment, number, local))
            yield group
        finally:
            group.kill()
            for rank in group.ranks:
                os.close(rank.pipe)
                if rank.log is not None:
                    rank.log.close()

    def watch(self, received: _Received, watchdog: float, grace: float) -> _Failure | None:
        """Wait until all ranks end well, or one fails; in the end none is left."""
        passed_on = False
        while True:
            for rank in self.ranks:
                rank.listen()
            if received.first and not passed_on:
                self.send(received.first)
                passed_on = True
            failed = self._failed(expected=received.first)
            if failed:
                return self._end(failed, received, grace)
            codes = [rank.process.poll() for rank in self.ranks]
            if None not in codes:
                return self._stopped(received.first) if any(codes) else None
            if received.again:
                return self._stopped(received.first)
            if watchdog and (hung := self._hung(watchdog)):
                return hung
            time.sleep(POLL)

    def _failed(self, expected: int = 0) -> list[_Rank]:
        """Return the ranks that failed, the likeliest cause first."""
        orderly = (None, 0, -expected, 128 + expected) if expected else (None, 0)
        failed = [rank for rank in self.ranks if rank.process.poll() not in orderly]
        return sorted(failed, key=lambda rank: _blame(rank.process.returncode))

    def _end(self, failed: list[_Rank], received: _Received, grace: float) -> _Failure:
        final = failed[0].process.returncode in FINAL_CODES
        self._wait(grace if final else SETTLE, received)
        cause = self._failed(expected=received.first)[0]
        code = cause.process.returncode
        self.send(signal.SIGTERM)
        self._wait(grace, received)
        shown = any(rank.process.poll() == code for rank in self.ranks if rank.log is None)
        if not (final and shown):
            cause.tell_log()
        return _Failure(_shell_code(code), f"rank {cause.number} {_ended(code)}")

    def _stopped(self, number: int) -> _Failure:
        return _Failure(128 + number, f"stopped by {signal.Signals(number).name}")

    def _hung(self, watchdog: float) -> _Failure | None:
        for rank in self.ranks:
            if silent := rank.silent_for(watchdog):
                rank.tell_log()
                return _Failure(1, f"rank {rank.number} was silent for {silent:.0f} s")
        return None

    def _wait(self, seconds: float, received: _Received) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not received.again:
            if all(rank.process.poll() is not None for rank in self.ranks):
                return
            time.sleep(POLL)

    def send(self, number: int) -> None:
        """Signal every rank that is still there."""
        for rank in self.ranks:
            rank.process.send_signal(number)

    def kill(self) -> None:
        """End every rank that is still there at once, with what it started."""
        for rank in self.ranks:
            if rank.process.poll() is None:
                # Each leads a session of its own, whose number is its own.
                os.killpg(rank.process.pid, signal.SIGKILL)
                rank.process.wait()


def _say(text: str) -> None:
    from glcm_mae.progress import say  # rich, which help does without

    say(text)


def _blame(code: int) -> int:
    """Sort causes before consequences: a rank that loses another one ends with 1."""
    if code in FINAL_CODES:
        return 0
    return 1 if code < 0 else 2


def _shell_code(code: int) -> int:
    return 128 - code if code < 0 else code


def _ended(code: int) -> str:
    if code >= 0:
        return f"ended with code {code}"
    return f"was ended by {signal.Signals(-code).name}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _environment(devices: int, local: int, place: Place, port: int) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TORCHELASTIC_")}
    kept.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // devices)))
    if place.nodes == 1 and any(name == "lo" for _, name in socket.if_nameindex()):
        # Else gloo looks for an address of the host's name, which not every machine knows.
        kept.setdefault("GLOO_SOCKET_IFNAME", "lo")
    return kept | {
        "RANK": str(place.node * devices + local),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(place.nodes * devices),
        "LOCAL_WORLD_SIZE": str(devices),
        "MASTER_ADDR": place.host,
        "MASTER_PORT": str(port),
        # A store kept over a restart holds the addresses of processes that are gone.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }


def _cores() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(
    command: Sequence[str], environment: Mapping[str, str], number: int, local: int
) -> _Rank:
    pipe, theirs = os.pipe()
    os.set_blocking(pipe, False)
    os.set_blocking(theirs, False)
    log = tempfile.TemporaryFile() if local else None  # noqa: SIM115
    try:
        process = subprocess.Popen(  # noqa: S603
            list(command),
            env={**environment, HEARTBEAT: f"{theirs}:{os.fstat(theirs).st_ino}"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs,),
            # A terminal's Ctrl-C comes to the supervisor alone, which passes it on once.
            start_new_session=True,
            preexec_fn=_die_with_parent(),
        )
    except OSError:
        os.close(pipe)
        raise
    finally:
        os.close(theirs)
    return _Rank(number, process, pipe, log)


def _die_with_parent() -> Callable[[], None] | None:
    """Return what makes the kernel send SIGTERM to a rank whose supervisor dies."""
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()
    set_death_signal, number = 1, int(signal.SIGTERM)

    def before_start() -> None:
        prctl(set_death_signal, number)
        if os.getppid() != parent:
            os._exit(128 + number)

    return before_start
