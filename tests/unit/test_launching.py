"""The supervisor of ranks: restarts, codes, watchdog, signals, orphans, several machines."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.errors import InputError
from glcm_mae.launching import (
    FINAL_CODES,
    Place,
    beat,
    find_place,
    heartbeat,
    launched,
    supervise,
    supervised,
    supervisor,
)

PRELUDE = """
import json, os, signal, sys, time
from pathlib import Path
out = Path(sys.argv[1])
rank = int(os.environ["RANK"])
attempt = len(list(out.glob(f"start-{rank}-*")))
note = out / f"start-{rank}-{attempt}"
note.with_suffix(".new").write_text(json.dumps({"pid": os.getpid(), **os.environ}))
"""
STARTED = """
note.with_suffix(".new").rename(note)
"""

Script = Callable[[str], list[str]]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def script(tmp_path: Path, out: Path) -> Script:
    """Return the command of ranks that note their environment and then do as told."""

    def write(body: str, before: str = "") -> list[str]:
        path = tmp_path / "rank.py"
        path.write_text(PRELUDE + before + STARTED + body)
        return [sys.executable, str(path), str(out)]

    return write


def starts(out: Path, rank: int) -> list[dict[str, Any]]:
    """Return the environments of the starts of a rank, in order."""
    found = [path for path in out.glob(f"start-{rank}-*") if path.suffix != ".new"]
    found.sort(key=lambda path: int(path.name.split("-")[2]))
    return [json.loads(path.read_text()) for path in found]


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and do not wait long for causes, where the supervisor is this process."""
    monkeypatch.setattr(supervisor, "POLL", 0.02)
    monkeypatch.setattr(supervisor, "SETTLE", 0.3)


def run(command: Sequence[str], **options: Any) -> int:
    return supervise(command, **{"devices": 2, "back_off": 0.05, "grace": 1.0, **options})


Background = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def background(tmp_path: Path) -> Iterator[Background]:
    """Run a supervisor in a process of its own, which signals can be sent to."""
    running: list[subprocess.Popen[str]] = []

    def start(command: Sequence[str], **options: Any) -> subprocess.Popen[str]:
        options = {"devices": 2, "back_off": 0.05, "grace": 1.0, **options}
        code = (
            "import sys; from glcm_mae.launching import supervise;"
            f"sys.exit(supervise({list(command)!r}, **{options!r}))"
        )
        process = subprocess.Popen(
            [sys.executable, "-c", code], stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        # Ranks may still have it open, so that reading it would not end.
        assert process.stderr is not None
        process.stderr.close()


def test_all_ranks_run_once_and_know_their_place(
    script: Script, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(supervisor, "_cores", lambda: 7)
    assert run(script(""), devices=3) == 0
    seen = [starts(out, rank) for rank in range(3)]
    assert [len(one) for one in seen] == [1, 1, 1]
    for rank, (environment,) in enumerate(seen):
        expected = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "3",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": seen[0][0]["MASTER_PORT"],
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
            "OMP_NUM_THREADS": "2",
        }
        assert expected.items() <= environment.items()
        assert "TORCHELASTIC_USE_AGENT_STORE" not in environment
        assert not alive(environment["pid"])


def test_threads_that_the_user_chose_are_kept(
    script: Script, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth7")
    assert run(script("")) == 0
    (environment,) = starts(out, 1)
    assert (environment["OMP_NUM_THREADS"], environment["GLOO_SOCKET_IFNAME"]) == ("5", "eth7")


def test_a_killed_rank_restarts_all_with_a_fresh_port(
    script: Script, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = script(
        "if attempt == 0 and rank == 1: os.kill(os.getpid(), signal.SIGKILL)\n"
        "if attempt == 0: time.sleep(60)\n"
    )
    assert run(command, restarts=2) == 0
    first, second = starts(out, 0)
    assert len(starts(out, 1)) == 2
    assert first["MASTER_PORT"] != second["MASTER_PORT"]
    told = capfd.readouterr().err
    assert told == "rank 1 was ended by SIGKILL; all ranks start anew (restart 1 of 2)\n"


@pytest.mark.parametrize(
    ("fail", "code"),
    [("sys.exit(7)", 7), ("os.kill(os.getpid(), signal.SIGKILL)", 137)],
    ids=["code", "signal"],
)
def test_the_cap_returns_the_code_of_the_failure(
    fail: str, code: int, script: Script, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(script(f"if rank == 0: {fail}\ntime.sleep(60)\n"), restarts=2) == code
    assert len(starts(out, 0)) == 3
    assert capfd.readouterr().err.endswith("; given up after 2 restarts\n")


@pytest.mark.parametrize("code", FINAL_CODES)
def test_final_codes_are_returned_and_not_tried_again(
    code: int, script: Script, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SETTLE", 20.0)
    # The one that loses its peer ends first, and with another code.
    command = script(
        f"if rank == 1: time.sleep(0.4); sys.exit({code})\n"
        "if rank == 0: time.sleep(0.2); sys.exit(1)\n"
    )
    assert run(command, restarts=2) == code
    assert len(starts(out, 0)) == len(starts(out, 1)) == 1


def test_final_codes_are_those_of_the_command_line() -> None:
    from glcm_mae import cli

    stopped = {128 + sign for sign in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM)}
    assert set(FINAL_CODES) == {cli.BAD_INPUT, cli.DIVERGED, *stopped}


def test_what_a_failed_rank_wrote_is_shown(
    script: Script, capfd: pytest.CaptureFixture[str]
) -> None:
    command = script(
        "print('from rank', rank, flush=True)\n"
        "if rank == 1: sys.exit('\\n'.join(f'line {i}' for i in range(40)))\n"
        "time.sleep(60)\n"
    )
    assert run(command, restarts=0) == 1
    captured = capfd.readouterr()
    assert captured.out == "from rank 0\n"
    shown = [f"rank 1 | line {i}" for i in range(28, 40)]
    last = "rank 1 ended with code 1; given up after 0 restarts"
    assert captured.err.splitlines() == [*shown, last]


def test_a_rank_that_ignores_sigterm_is_killed_after_the_grace(
    script: Script, out: Path
) -> None:
    command = script(
        "if rank == 0:\n"
        "    while not list(out.glob('start-1-0')): time.sleep(0.01)\n"
        "    sys.exit(9)\n"
        "time.sleep(60)\n",
        before="signal.signal(signal.SIGTERM, signal.SIG_IGN)\n",
    )
    assert run(command, restarts=0, grace=0.3) == 9
    assert not alive(starts(out, 1)[0]["pid"])


BEATING = "from glcm_mae.launching import beat\n"


def test_the_watchdog_restarts_a_group_that_hangs(
    script: Script, out: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    command = script(
        "for step in range(8):\n"
        "    beat(); time.sleep(0.1)\n"
        "if attempt == 0 and rank == 1: time.sleep(60)\n"
        "if attempt == 0:\n"
        "    while True: beat(); time.sleep(0.05)\n",
        before=BEATING,
    )
    assert run(command, watchdog=1.0) == 0
    assert len(starts(out, 0)) == len(starts(out, 1)) == 2
    assert "rank 1 was silent for 1 s; all ranks start anew" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("limit", "code"), [(1800.0, 0), (0.5, 1)], ids=["patient", "not for ever"]
)
def test_the_watchdog_waits_longer_for_the_first_beat(
    limit: float, code: int, script: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BEAT", limit)
    assert run(script("time.sleep(1.5)"), watchdog=0.01, restarts=0) == code


def test_without_watchdog_silence_is_allowed(script: Script) -> None:
    assert run(script("beat(); time.sleep(0.5)", before=BEATING), watchdog=0.0) == 0


SAVING = """
got = []
signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
signal.signal(signal.SIGINT, lambda number, frame: got.append(number))
signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
"""
SAVE = """
while not got: time.sleep(0.01)
time.sleep(0.3)
(out / f"saved-{rank}").write_text(repr([int(number) for number in got]))
sys.exit(128 + got[0])
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGUSR1"])
def test_signals_are_passed_on_once_and_waited_for(
    name: str, script: Script, out: Path, background: Background
) -> None:
    number = signal.Signals[name]
    process = background(script(SAVE, before=SAVING))
    wait_for(lambda: bool(starts(out, 0) and starts(out, 1)), "ranks start")
    process.send_signal(number)
    time.sleep(0.05)
    process.send_signal(number)  # A batch system that signals a group and its leader.
    assert process.wait(20) == 128 + number
    for rank in range(2):
        assert (out / f"saved-{rank}").read_text() == f"[{int(number)}]"
        assert len(starts(out, rank)) == 1


def test_a_second_signal_kills_at_once(
    script: Script, out: Path, background: Background
) -> None:
    process = background(script("time.sleep(20)", before=SAVING))
    wait_for(lambda: bool(starts(out, 0) and starts(out, 1)), "ranks start")
    process.send_signal(signal.SIGINT)
    time.sleep(1.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 130
    assert not any(alive(starts(out, rank)[0]["pid"]) for rank in range(2))


def test_ranks_that_end_well_after_a_signal_end_well(
    script: Script, out: Path, background: Background
) -> None:
    process = background(script(SAVE.replace("128 + got[0]", "0"), before=SAVING))
    wait_for(lambda: bool(starts(out, 0) and starts(out, 1)), "ranks start")
    process.send_signal(signal.SIGUSR1)
    assert process.wait(20) == 0


def test_a_signal_ends_the_wait_before_a_restart(
    script: Script, out: Path, background: Background
) -> None:
    process = background(script("sys.exit(1)"), back_off=60.0)
    assert process.stderr is not None
    while "start anew" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 143
    assert len(starts(out, 0)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent")
def test_no_rank_outlives_a_killed_supervisor(
    script: Script, out: Path, background: Background
) -> None:
    process = background(script(SAVE, before=SAVING))
    wait_for(lambda: bool(starts(out, 0) and starts(out, 1)), "ranks start")
    process.kill()
    pids = [starts(out, rank)[0]["pid"] for rank in range(2)]
    wait_for(lambda: not any(alive(pid) for pid in pids), "orphans end")
    assert all((out / f"saved-{rank}").is_file() for rank in range(2))


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, int]]:
    """Make this process one that a supervisor listens to."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    os.set_blocking(theirs, False)
    monkeypatch.setenv("GLCM_MAE_HEARTBEAT", f"{theirs}:{os.fstat(theirs).st_ino}")
    heartbeat._heartbeat.cache_clear()
    yield ours, theirs
    heartbeat._heartbeat.cache_clear()
    for end in (ours, theirs):
        try:
            os.close(end)
        except OSError:
            continue


def test_beats_arrive_and_never_block(pipe: tuple[int, int]) -> None:
    assert supervised()
    for _ in range(70_000):  # more than a pipe holds
        beat()
    assert set(os.read(pipe[0], 100_000)) == {ord(".")}


def test_a_rank_whose_supervisor_is_gone_ends_itself(pipe: tuple[int, int]) -> None:
    got: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
    try:
        os.close(pipe[0])
        beat()
        beat()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert got == [signal.SIGTERM]


def test_a_child_of_a_rank_does_not_beat(
    pipe: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    with path.open("w") as file:
        inode = os.environ["GLCM_MAE_HEARTBEAT"].partition(":")[2]
        monkeypatch.setenv("GLCM_MAE_HEARTBEAT", f"{file.fileno()}:{inode}")
        assert not supervised()
        beat()
    heartbeat._heartbeat.cache_clear()
    monkeypatch.setenv("GLCM_MAE_HEARTBEAT", f"{2**20}:1")
    beat()
    assert path.read_text() == ""


def test_alone_nothing_beats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.delenv("GLCM_MAE_HEARTBEAT", raising=False)
    heartbeat._heartbeat.cache_clear()
    beat()
    assert not launched()
    assert not supervised()
    monkeypatch.setenv("RANK", "0")
    assert launched()
    assert not supervised()


def test_several_machines_number_their_ranks(
    script: Script, out: Path, background: Background
) -> None:
    command = script("")
    several = {"nodes": 2, "address": "127.0.0.1:29555"}
    processes = [background(command, node=node, **several) for node in range(2)]
    assert [process.wait(20) for process in processes] == [0, 0]
    for rank in range(4):
        (environment,) = starts(out, rank)
        expected = {
            "WORLD_SIZE": "4",
            "LOCAL_RANK": str(rank % 2),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": "29555",
        }
        assert expected.items() <= environment.items()
        assert environment.get("GLOO_SOCKET_IFNAME") == os.environ.get("GLOO_SOCKET_IFNAME")


SLURM = {
    "SLURM_NODEID": "1",
    "SLURM_NNODES": "2",
    "SLURM_JOB_ID": "4012345",
    "SLURM_JOB_NODELIST": "n[1-4]",
    "SLURM_STEP_NODELIST": "gpu[007,009-010],big3",
    "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.9",
}


@pytest.mark.parametrize(
    ("node", "address", "environment", "expected"),
    [
        (1, "host:29500", {}, Place(2, 1, "host", 29500)),
        (0, "[fd00::1]:29500", {}, Place(2, 0, "fd00::1", 29500)),
        (None, "", SLURM, Place(2, 1, "gpu007", 17345)),
        (None, "h:1", SLURM, Place(2, 1, "h", 1)),
        (0, "", SLURM, Place(2, 0, "gpu007", 17345)),
        (None, "", {**SLURM, "SLURM_STEP_NODELIST": ""}, Place(2, 1, "n1", 17345)),
        (None, "", {**SLURM, "SLURM_STEP_NODELIST": "a1,b[2-3]"}, Place(2, 1, "a1", 17345)),
        (
            None,
            "",
            {**SLURM, "SLURM_STEP_NODELIST": "r[3-4]n[05,7].cluster"},
            Place(2, 1, "r3n05.cluster", 17345),
        ),
        (
            None,
            "",
            {k: v for k, v in SLURM.items() if "NODELIST" not in k},
            Place(2, 1, "10.0.0.9", 17345),
        ),
    ],
    ids=["told", "ipv6", "slurm", "address", "node", "job", "names", "brackets", "launch"],
)
def test_the_place_of_a_machine(
    node: int | None, address: str, environment: dict[str, str], expected: Place
) -> None:
    assert find_place(2, node, address, environment) == expected


@pytest.mark.parametrize(
    ("node", "address", "environment", "message"),
    [
        (None, "h:1", {}, r"^launch\.node: is required with nodes > 1 outside of SLURM"),
        (2, "h:1", {}, r"^launch\.node: must be from 0 to 1, got 2$"),
        (-1, "h:1", {}, r"^launch\.node: must be from 0 to 1, got -1$"),
        (0, "", {}, r"^launch\.address: is required with nodes > 1 outside of SLURM"),
        (0, "h", {}, r"^launch\.address: must be HOST:PORT of the first machine, got 'h'$"),
        (0, "h:0", {}, r"^launch\.address: must be HOST:PORT"),
        (0, "h:65536", {}, r"^launch\.address: must be HOST:PORT"),
        (0, ":29500", {}, r"^launch\.address: must be HOST:PORT"),
        (None, "", {**SLURM, "SLURM_NNODES": "3"}, r"^nodes: 2 asked for, SLURM started"),
        (
            None,
            "",
            {**SLURM, "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "8"},
            r"started 8 tasks on 2 machines; .*srun --nodes=2 --ntasks-per-node=1$",
        ),
    ],
    ids=[
        "no node",
        "too large",
        "negative",
        "no address",
        "no port",
        "port 0",
        "large port",
        "no host",
        "other nodes",
        "many tasks",
    ],
)
def test_places_that_cannot_be(
    node: int | None, address: str, environment: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        find_place(2, node, address, environment)


def test_a_command_that_cannot_start_leaves_nothing(out: Path) -> None:
    first = os.dup(0)
    os.close(first)
    for _ in range(3):
        with pytest.raises(FileNotFoundError):
            run([str(out / "missing")])
    again = os.dup(0)
    os.close(again)
    assert again == first, "files were left open"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_free_ports_are_free() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", supervisor._free_port()))


def test_the_supervisor_imports_no_torch() -> None:
    code = (
        "import sys, glcm_mae.launching; sys.exit(str({'torch', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr == "set()\n"
