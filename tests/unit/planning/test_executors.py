"""Executors: what a job's process gets, and what is asked of SLURM and Ray."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.config import FanoutConfig, PretrainConfig
from glcm_mae.errors import InputError
from glcm_mae.planning import Job, children, executors, slurm, workers
from glcm_mae.planning.executors import LocalExecutor, build_executor, visible_gpus


def job(number: int, run: Path) -> Job:
    folder = f"fold-{number}/pretraining"
    config = PretrainConfig(data={"table": "t"}, out=run / folder, seed=number)
    return Job("pretrain", folder, config, "title")


class Child:
    """In place of a process: answers and ends when it is told to."""

    def __init__(self, options: dict[str, Any]) -> None:
        self.options = options
        self.code: int | None = None
        self.signals: list[int] = []
        self.orders: list[str] = []
        self.answers = b""
        self.stdin = self.stdout = self

    def write(self, order: bytes) -> None:
        if self.code is not None:
            raise BrokenPipeError
        self.orders.append(order.decode().strip())

    def read(self, count: int) -> bytes | None:
        answer, self.answers = self.answers[:count], self.answers[count:]
        return answer or (None if self.code is None else b"")

    def close(self) -> None:
        pass

    def poll(self) -> int | None:
        return self.code

    def send_signal(self, number: int) -> None:
        self.signals.append(number)

    def wait(self) -> int:
        self.code = 0
        return 0


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Child]:
    made: list[Child] = []

    def start(run: Path, job_id: str, **options: Any) -> Child:
        assert job_id == workers.INPUT
        made.append(Child(options))
        return made[-1]

    monkeypatch.setattr(workers, "start_child", start)
    return made


def test_every_slot_has_a_gpu_of_its_own(tmp_path: Path, started: list[Child]) -> None:
    with LocalExecutor(tmp_path, 3, 2, ["0", "3"]) as executor:
        executor.start([job(n, tmp_path) for n in range(3)])
        assert [child.options["gpu"] for child in started] == ["0", "3", "0"]
        assert {child.options["threads"] for child in started} == {2}
        assert executor.ended() == {}
        started[1].code = 7
        assert executor.ended() == {job(1, tmp_path).id: 7}
        executor.start([job(3, tmp_path)])
        assert started[3].options["gpu"] == "3", "the slot that became free"
    assert [child.signals for child in started] == [[15], [], [15], [15]]


def test_a_process_does_one_job_after_the_other(tmp_path: Path, started: list[Child]) -> None:
    jobs = [job(n, tmp_path) for n in range(5)]
    names = [one.id for one in jobs]
    with LocalExecutor(tmp_path, 2, 1, []) as executor:
        executor.start(jobs[:2])
        started[1].answers = b"\n"
        assert executor.ended() == {names[1]: 0}
        assert executor.ended() == {}, "it is told once"
        executor.start([jobs[2]])
        assert [child.orders for child in started] == [[names[0]], [names[1], names[2]]]
        started[1].answers, started[1].code = b"\n", -9
        assert executor.ended() == {names[2]: 0}, "done before it was killed"
        executor.start([jobs[3]])
        assert started[2].orders == [names[3]], "a fresh one for that which is gone"
        started[2].code = -9
        assert executor.ended() == {names[3]: -9}


def test_a_process_that_noted_the_signal_too_late_is_not_waited_for_in_vain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its job was just done: it answers, and waits for the next one."""
    code = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\n"
        "os.write(1, b'\\n')\n"
        "for line in sys.stdin: pass\n"
    )

    def start(*_: Any, **__: Any) -> subprocess.Popen[bytes]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        child = subprocess.Popen([sys.executable, "-c", code], bufsize=0, **pipes)  # type: ignore[call-overload]
        assert child.stdout.read(1) == b"\n"
        return child

    monkeypatch.setattr(workers, "start_child", start)
    with LocalExecutor(tmp_path, 1, 1, []) as executor:
        executor.start([job(0, tmp_path)])


def test_gpus_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-ab")
    assert visible_gpus() == ["4", "GPU-ab"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert visible_gpus() == []


def test_cores_are_divided_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "cores", lambda: 8)
    assert executors.threads_of_a_job(FanoutConfig(workers=3)) == 2
    assert executors.threads_of_a_job(FanoutConfig(workers=20)) == 1
    assert executors.threads_of_a_job(FanoutConfig(workers=3, threads=5)) == 5


@pytest.mark.parametrize(("executor", "module"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_missing_library_is_told_with_how_to_get_it(
    executor: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    config = FanoutConfig(executor=executor)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"pip install glcm-mae\[{executor}\]"):
        build_executor(config, tmp_path, device="cpu")


def test_without_slurm_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"slurm cannot be used here .*cluster local"):
        build_executor(FanoutConfig(executor="slurm"), tmp_path, device="cpu")


def test_slurm_is_asked_for_one_array_with_what_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, text in (("srun", ""), ("sbatch", "echo Submitted batch job 77")):
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    config = FanoutConfig(
        executor="slurm",
        workers=4,
        threads=6,
        slurm={
            "partition": "gpu",
            "minutes": 90,
            "gpus": 1,
            "memory_gb": 12,
            "options": {"account": "radiology"},
        },
    )
    executor = build_executor(config, tmp_path, device="cuda")
    executor.start([job(n, tmp_path) for n in range(3)])
    script = next((tmp_path / "slurm").glob("*submission*.sh")).read_text()
    asked = dict(re.findall(r"#SBATCH --([\w-]+)=(\S+)", script))
    assert asked["array"] == "0-2%3"
    assert asked["partition"] == "gpu"
    assert asked["time"] == "90"
    assert asked["gpus-per-node"] == "1"
    assert asked["cpus-per-task"] == "6"
    assert asked["mem"] == "12GB"
    assert asked["account"] == "radiology"
    assert asked["signal"].startswith("USR2@")


def test_a_submitted_job_whose_time_is_up_is_stopped_and_queued_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("submitit")
    code = "import signal; signal.signal(15, lambda *_: exit(143)); print(); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child:
        child.stdout.readline()
        monkeypatch.setattr(slurm, "start_child", lambda *_, **__: child)
        task = slurm.Submitted()
        task._child = child
        again = task.checkpoint(tmp_path, "id", {})
        assert isinstance(again.function, slurm.Submitted)
        assert again.args == (tmp_path, "id", {})
        assert slurm.Submitted()(tmp_path, "id", {}) == 143


def test_a_job_dies_with_what_started_it(tmp_path: Path) -> None:
    """The one that started it is killed; the kernel has the job save and end."""
    if sys.platform != "linux":
        pytest.skip("only Linux tells a process that its parent is gone")
    module = children.__file__
    inner = (
        f"import runpy, signal, sys, time\n"
        f"runpy.run_path({module!r})['end_with_parent']()\n"
        "def saved(*_):\n    open(sys.argv[1], 'w').write('saved'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, saved)\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    outer = (
        "import os, subprocess, sys\n"
        f"os.environ[{children.PARENT!r}] = str(os.getpid())\n"
        f"subprocess.Popen([sys.executable, '-c', {inner!r}, sys.argv[1]]).wait()\n"
    )
    mark = tmp_path / "mark"
    with subprocess.Popen(
        [sys.executable, "-c", outer, str(mark)], stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        limit = time.monotonic() + 60
        while not mark.is_file():
            assert time.monotonic() < limit
            time.sleep(0.01)


def test_a_job_whose_parent_is_gone_already_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(children.signal, "signal", lambda *_: None)
    monkeypatch.setattr(children.ctypes, "CDLL", lambda _: _Kernel())
    monkeypatch.setenv(children.PARENT, "1" if os.getppid() != 1 else "2")
    with pytest.raises(SystemExit) as caught:
        children.end_with_parent()
    assert caught.value.code == 143
    children.end_with_parent()  # not started by a driver: nothing happens


class _Kernel:
    def prctl(self, *_: int) -> int:
        return 0
