"""Children that hog memory, loop or crash, and what the pool makes of them."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.reading import limits, sandbox
from glcm_mae.data.reading.child_process import ChildStartError
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.sandbox import ChildPool

MISBEHAVING = """
import os, signal, sys
from pathlib import Path
import numpy as np
from glcm_mae.data.reading.child import serve
from glcm_mae.data.reading.policy import RefusedPixelsError


def number(path):
    return int(Path(path).name)


def pixels(path, *, shape, dtype="float32"):
    return np.full(shape, number(path), dtype=dtype)


def hog(path, *, bytes):
    return bytearray(bytes)[0]


def loop(path):
    while True:
        pass


def crash(path):
    os.kill(os.getpid(), signal.SIGSEGV)


def leave(path):
    os._exit(0)


def crash_at_second(path, *, done=[]):
    done.append(1)
    return crash(path) if len(done) == 2 else len(done)


def refuse(path):
    raise RefusedPixelsError("it is\\nodd", "make it even")


def fail(path):
    raise ValueError("bad\\x1b header")


def write(path):
    return Path(path).write_bytes(b"1")


def chatter(path):
    print("{}")
    sys.stdout.flush()
    os.write(1, b"{}\\n")
    return 1


def echo(path, **arguments):
    return {"path": path, "process": os.getpid(), **arguments}


def resident(path):
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])


serve({name: what for name, what in list(globals().items()) if callable(what)})
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone limits memory")


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    script = tmp_path_factory.mktemp("child") / "misbehaving.py"
    script.write_text(MISBEHAVING, "utf-8")
    return (sys.executable, str(script))


@pytest.fixture(scope="module")
def pool(command: tuple[str, ...]) -> Iterator[ChildPool]:
    pool = ChildPool(command, seconds=1.0)
    yield pool
    pool.close()


def refusal(pool: ChildPool, operation: str, path: str = "7", **arguments: object) -> str:
    with pytest.raises(RefusedPixelsError) as error:
        pool.run(operation, path, **arguments)
    return error.value.reason


@pytest.mark.parametrize("dtype", ["float32", "uint8", "uint16", ">i4"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 40, 50), (0, 1, 2, 2), (2, 700, 900)])
def test_an_array_comes_over_whole(pool: ChildPool, shape: tuple[int, ...], dtype: str) -> None:
    pixels = pool.run("pixels", "5", shape=shape, dtype=dtype)
    np.testing.assert_array_equal(pixels, np.full(shape, 5, dtype=dtype), strict=True)
    assert pixels.flags.writeable


def test_arguments_cross_as_they_are(pool: ChildPool) -> None:
    odd = "folder/na\udcffme \n\t'\"ü.dcm"
    policy = ReadingPolicy(window="40/400", size=(3, 4))
    told = pool.run("echo", odd, frames=range(1, 4), some=(1, 2), none=None, policy=policy)
    assert told.pop("process") != os.getpid()
    assert told == {
        "path": os.path.abspath(odd),  # noqa: PTH100
        "frames": [1, 2, 3],
        "some": [1, 2],
        "none": None,
        "policy": policy.facts(),
    }


def test_what_a_decoder_prints_is_no_answer(pool: ChildPool) -> None:
    assert pool.run("chatter", "7") == 1
    assert pool.run("number", "8") == 8


def test_a_refusal_keeps_reason_and_remedy(pool: ChildPool) -> None:
    with pytest.raises(RefusedPixelsError) as error:
        pool.run("refuse", "7")
    assert (error.value.reason, error.value.remedy) == ("it is odd", "make it even")
    assert refusal(pool, "fail") == "bad? header"


@on_linux
def test_too_much_memory_is_refused_before_it_is_resident(pool: ChildPool) -> None:
    first = pool.run("echo", "7")["process"]
    assert refusal(pool, "hog", bytes=limits.MEMORY + 2**26) == limits.TOO_MUCH_MEMORY
    assert pool.run("echo", "7")["process"] != first  # replaced


@pytest.mark.slow
@on_linux
def test_what_the_limit_allows_stays_below_a_gibibyte(command: tuple[str, ...]) -> None:
    pool = ChildPool(command, seconds=20)
    assert pool.run("hog", "7", bytes=limits.MEMORY - 2**24) == 0
    assert pool.run("resident", "7") < 2**20  # in KiB
    pool.close()


def test_an_endless_loop_is_ended(pool: ChildPool) -> None:
    assert refusal(pool, "loop") == "decoding it takes more than 1 s of processor time"
    assert pool.run("number", "8") == 8


@pytest.mark.slow
def test_waiting_is_ended_too(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "WALL_FACTOR", 3.0)
    script = tmp_path / "sleeper.py"
    script.write_text(
        "import time\nfrom glcm_mae.data.reading.child import serve\n"
        "serve({'wait': lambda path: time.sleep(60)})"
    )
    pool = ChildPool((sys.executable, str(script)), seconds=1.0)
    assert refusal(pool, "wait") == "decoding it takes more than 3 s"
    pool.close()


@pytest.mark.parametrize("end", ["crash", pytest.param("leave", marks=pytest.mark.slow)])
def test_a_crash_is_told_and_survived(pool: ChildPool, end: str) -> None:
    assert refusal(pool, end) == "the decoder crashed"
    assert pool.run("number", "8") == 8


def test_a_file_is_not_blamed_for_the_files_before_it(pool: ChildPool) -> None:
    assert [pool.run("crash_at_second", "7") for _ in range(3)] == [1, 1, 1]


def test_a_child_that_was_killed_is_replaced(pool: ChildPool) -> None:
    first = pool.run("echo", "7")["process"]
    os.kill(first, signal.SIGKILL)
    assert pool.run("echo", "7")["process"] != first


@on_linux
def test_a_decoder_may_write_nothing(pool: ChildPool, tmp_path: Path) -> None:
    assert refusal(pool, "write", str(tmp_path / "9")) == "File too large"
    assert (tmp_path / "9").stat().st_size == 0


@pytest.mark.slow
def test_many_threads_get_their_own_answers(command: tuple[str, ...]) -> None:
    pool = ChildPool(command)
    with ThreadPoolExecutor(4) as threads:
        answers = threads.map(
            lambda n: (n, pool.run("pixels", str(n), shape=[n % 7 + 1, 200, 300])), range(200)
        )
        for number, pixels in answers:
            assert pixels.shape == (number % 7 + 1, 200, 300)
            assert (pixels == number).all()
    assert len(pool._all) <= 4
    pool.close()


def test_a_child_that_cannot_start_is_no_fault_of_the_file() -> None:
    with pytest.raises(ChildStartError, match="ends at its start"):
        ChildPool((sys.executable, "-c", "raise SystemExit(3)")).run("number", "7")
    with pytest.raises(ChildStartError, match="can be started"):
        ChildPool(("/no/such/program",)).run("number", "7")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_fork_uses_children_of_its_own(pool: ChildPool) -> None:
    mine = pool.run("echo", "7")["process"]
    report, answer = os.pipe()
    with pool._lock:  # held by a thread that the fork does not have
        fork = os.fork()
    if fork == 0:
        other = b""
        try:
            other = str(pool.run("echo", "7")["process"]).encode()
        finally:
            os.write(answer, other)
            os._exit(0)
    os.close(answer)
    with os.fdopen(report) as told:
        assert int(told.read()) != mine
    os.waitpid(fork, 0)
    assert pool.run("echo", "7")["process"] == mine


def test_children_end_with_the_process_that_started_them(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from glcm_mae.data.reading.sandbox import ChildPool\n"
        f"pool = ChildPool({command!r})\n"
        "print(pool.run('echo', '7')['process'], flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    for _ in range(200):
        if has_ended(child):
            return
        threading.Event().wait(0.05)
    pytest.fail("the child outlives its parent by 10 s")


def has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    state = Path(f"/proc/{process}/stat")  # a zombie that nobody waits for has ended
    return state.is_file() and state.read_text().rsplit(")", 1)[1].split()[0] == "Z"


def test_closing_ends_the_children(command: tuple[str, ...]) -> None:
    pool = ChildPool(command)
    child = pool.run("echo", "7")["process"]
    pool.close()
    assert has_ended(child)
    assert pool.run("number", "8") == 8
    pool.close()


@pytest.mark.slow
@on_linux
def test_a_deflated_bomb_stays_below_a_gibibyte(tmp_path: Path) -> None:
    from fuzz.crafted import GIBIBYTE, deflated_dicom

    bomb = tmp_path / "bomb.dcm"
    bomb.write_bytes(deflated_dicom(GIBIBYTE))
    assert bomb.stat().st_size < 2**21
    # In a process of its own: what other tests started must not count.
    done = subprocess.run(
        [sys.executable, "-c", BOMB_READER, str(bomb)],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    refused, peak = map(int, done.stdout.split())  # peak in KiB
    assert refused == 3
    assert 2**15 < peak < 2**20


BOMB_READER = """
import resource, sys
from glcm_mae.data.reading import sandbox
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
refused = 0
for operation, arguments in (
    ("count", {}), ("header", {}), ("decode", {"frames": None, "policy": ReadingPolicy()})
):
    try:
        sandbox.in_child(operation, sys.argv[1], **arguments)
    except RefusedPixelsError:
        refused += 1
sandbox._pool.close()  # what has ended counts among the children
print(refused, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
