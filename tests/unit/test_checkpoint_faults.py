"""Death, full disks and rotten bits: the newest checkpoint that is whole is always found."""

import errno
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from glcm_mae.checkpoints import Checkpoints
from glcm_mae.errors import InputError
from once import MadeOnce

CPU = torch.device("cpu")


def state(step: int, size: int = 12) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(step)
    return {
        "model/weight": torch.randn(size, 3, generator=draw),
        "model/bias": torch.randn(3, generator=draw),
        "optimizer/moment": torch.randn(size, 3, generator=draw),
        "optimizer/step": torch.tensor(float(step)),
    }


def holds(checkpoints: Checkpoints, step: int) -> bool:
    """Say whether the newest checkpoint is that step, bit for bit."""
    newest = checkpoints.newest()
    assert newest is not None
    targets = {name: torch.zeros_like(tensor) for name, tensor in state(step).items()}
    newest.load_into(targets)
    same = all(torch.equal(targets[name], tensor) for name, tensor in state(step).items())
    return same and newest.step == step and newest.facts == {"epoch": step}


def partials(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.partial"))


def two(folder: Path) -> tuple[Checkpoints, Path]:
    """Make two checkpoints; the second one is to be damaged."""
    checkpoints = Checkpoints(folder)
    checkpoints.save(1, state(1), {"epoch": 1})
    return checkpoints, checkpoints.save(2, state(2), {"epoch": 2})


# -- damage --------------------------------------------------------------------------

FILES = ["manifest.json", "state.json", "model.safetensors", "optimizer.safetensors"]


def damages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield contents that are not what was written: cut, changed by a bit, made longer."""
    whole = path.read_bytes()
    for kept in range(0, len(whole), 5):
        yield f"cut to {kept}", whole[:kept]
    for position in range(0, len(whole), 3):
        changed = bytearray(whole)
        changed[position] ^= 1 << (position % 8)
        yield f"bit of byte {position}", bytes(changed)
    yield "longer", whole + b"x"


@pytest.mark.parametrize("name", FILES)
def test_any_damage_is_seen_and_told_and_the_one_before_is_taken(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, path = two(tmp_path)
    assert holds(checkpoints, 2)
    assert capsys.readouterr().err == ""
    for what, content in list(damages(path / name)):
        whole = (path / name).read_bytes()
        (path / name).write_bytes(content)
        assert holds(checkpoints, 1), what
        told = capsys.readouterr().err
        assert told.startswith(f"{path}: is damaged ("), what
        assert told.endswith("); going back to the checkpoint before it\n"), what
        assert told.count("\n") == 1, what
        (path / name).write_bytes(whole)
    assert holds(checkpoints, 2)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kind", ["missing", "link", "folder"])
def test_a_file_that_is_not_there_is_damage(
    kind: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, path = two(tmp_path / "checkpoints")
    moved = (path / name).rename(tmp_path / "elsewhere")
    if kind == "link":
        (path / name).symlink_to(moved)
    if kind == "folder":
        (path / name).mkdir()
    assert holds(checkpoints, 1)
    assert f"{path}: is damaged ({name}: is missing)" in capsys.readouterr().err


def test_the_message_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, path = two(tmp_path)
    file = path / "model.safetensors"
    content = bytearray(file.read_bytes())
    file.write_bytes(content[:-1])
    checkpoints.newest()
    content[-1] ^= 1
    file.write_bytes(content)
    checkpoints.newest()
    size = len(content)
    assert capsys.readouterr().err.splitlines() == [
        f"{path}: is damaged (model.safetensors: has {size - 1} bytes, not {size}); going "
        "back to the checkpoint before it",
        f"{path}: is damaged (model.safetensors: its SHA-256 is not the one it was written "
        "with); going back to the checkpoint before it",
    ]


MANIFESTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "list": lambda _: [],
    "empty": lambda _: {},
    "later-format": lambda content: {**content, "format": 2},
    "no-files": lambda content: {"format": 1},
    "files-a-list": lambda content: {"format": 1, "files": list(content["files"])},
    "file-a-number": lambda content: {"format": 1, "files": dict.fromkeys(content["files"], 3)},
    "no-state": lambda content: {"format": 1, "files": {}},
    "above": lambda content: _listing(content, "../step-0000000001/state.json"),
    "dots": lambda content: _listing(content, ".."),
    "absolute": lambda content: _listing(content, "/etc/passwd"),
    "backslash": lambda content: _listing(content, "a\\b"),
    "hidden": lambda content: _listing(content, ".hidden"),
    "nothing": lambda content: _listing(content, ""),
    "newline": lambda content: _listing(content, "a\nb"),
    "zero": lambda content: _listing(content, "a\0b"),
    "itself": lambda content: _listing(content, "manifest.json"),
    "unknown": lambda content: _listing(content, "x" * 5000),
}


def _listing(content: dict[str, Any], name: str) -> dict[str, Any]:
    return {"format": 1, "files": {**content["files"], name: {"size": 1, "sha256": ""}}}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_that_nobody_wrote_is_damage(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, path = two(tmp_path)
    content = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps(MANIFESTS[kind](content)))
    assert holds(checkpoints, 1)
    told = capsys.readouterr().err
    assert told.startswith(f"{path}: is damaged (")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, "\xff", ""],
    ids=["list", "object", "byte", "none"],
)
@pytest.mark.parametrize("name", ["manifest.json", "state.json"])
def test_json_that_cannot_be_read_is_damage(name: str, text: str, tmp_path: Path) -> None:
    checkpoints, path = two(tmp_path)
    (path / name).write_bytes(text.encode("latin-1"))
    if name == "state.json":
        _list_anew(path)
    assert holds(checkpoints, 1)


STATES: dict[str, dict[str, Any]] = {
    "other-step": {"step": 3},
    "step-a-word": {"step": "two"},
    "step-infinite": {"step": float("inf")},
    "facts-a-number": {"facts": 3},
    "rank-a-word": {"rank": "best"},
    "tensors-a-list": {"tensors": ["model/weight"]},
    "shape-negative": {"tensors": {"model/weight": ["F32", [-1, 3]]}},
    "shape-a-word": {"tensors": {"model/weight": ["F32", "x"]}},
    "unknown-type": {"tensors": {"model/weight": ["C64", [12, 3]]}},
    "type-a-list": {"tensors": {"model/weight": [["F32"], [12, 3]]}},
}


@pytest.mark.parametrize("kind", STATES)
def test_a_state_that_nobody_wrote_is_damage_even_where_it_is_listed(
    kind: str, tmp_path: Path
) -> None:
    checkpoints, path = two(tmp_path)
    content = json.loads((path / "state.json").read_text())
    (path / "state.json").write_text(json.dumps({**content, **STATES[kind]}))
    _list_anew(path)
    assert holds(checkpoints, 1)


def _list_anew(path: Path) -> None:
    """Give a folder the manifest of its present content, as whoever made it up would."""
    from glcm_mae.checkpoints.manifest import write_manifest

    (path / "manifest.json").unlink()
    write_manifest(path)


@pytest.mark.parametrize(
    "kind", ["lacking", "wrong-shape", "no-safetensors", "no-file", "not-listed"]
)
def test_tensors_that_are_not_there_are_told_even_where_hashes_agree(
    kind: str, tmp_path: Path
) -> None:
    from safetensors.torch import save_file

    checkpoints, path = two(tmp_path)
    file = path / "model.safetensors"
    model = {name: tensor for name, tensor in state(2).items() if name.startswith("model")}
    if kind == "lacking":
        del model["model/bias"]
    if kind == "wrong-shape":
        model["model/bias"] = torch.zeros(4)
    file.unlink()
    if kind == "no-safetensors":
        file.write_bytes(b"x" * 100)
    elif kind != "no-file":
        save_file(model, file)
    _list_anew(path)
    if kind == "not-listed":
        manifest = json.loads((path / "manifest.json").read_text())
        del manifest["files"]["model.safetensors"]
        (path / "manifest.json").write_text(json.dumps(manifest))
    newest = checkpoints.newest()
    assert newest is not None
    with pytest.raises(InputError) as caught:
        newest.load_into({name: torch.zeros_like(value) for name, value in state(2).items()})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_listed_is_never_read(tmp_path: Path) -> None:
    checkpoints, path = two(tmp_path)
    (path / "shard-00001-model-00001-of-00001.safetensors").write_bytes(b"planted")
    (path / "ema.safetensors").write_bytes(b"planted")
    assert holds(checkpoints, 2)


def test_where_none_is_whole_the_user_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, _ = two(tmp_path)
    for path in tmp_path.iterdir():
        (path / "model.safetensors").unlink()
    with pytest.raises(InputError) as caught:
        checkpoints.newest()
    assert str(caught.value) == (
        f"{tmp_path}: none of its 2 checkpoints is whole; bring one back from a copy, or "
        "start anew with another --out"
    )
    assert capsys.readouterr().err.count("is damaged") == 2


# -- errors of the system ------------------------------------------------------------


class Failures:
    """Counts what is asked of the system while a checkpoint is saved, and fails at one."""

    def __init__(self, patch: pytest.MonkeyPatch, number: int, code: int) -> None:
        self.count = 0
        self.number = number
        self.code = code
        for name in ("fsync", "mkdir", "rename"):
            patch.setattr(os, name, self._failing(getattr(os, name)))
        opened = self._failing(Path.open)

        def noted_open(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            file = opened(path, mode, *args, **kwargs)
            return file if mode == "rb" else self._file(file)

        patch.setattr(Path, "open", noted_open)

    @property
    def happened(self) -> bool:
        return self.count >= self.number

    def _ask(self) -> None:
        self.count += 1
        if self.count == self.number:
            raise OSError(self.code, os.strerror(self.code))

    def _failing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            self._ask()
            return function(*args, **kwargs)

        return noted

    def _file(self, file: io.BufferedWriter) -> Any:
        failures = self

        class Noted(io.BufferedWriter):
            def write(self, content: Any) -> int:
                super().write(bytes(content)[: len(bytes(content)) // 2])  # a part gets through
                failures._ask()
                super().seek(-(len(bytes(content)) // 2), os.SEEK_CUR)
                return super().write(content)

        return Noted(file.detach())


@pytest.mark.parametrize("code", ["ENOSPC", "EIO", "EACCES", "EROFS", "EDQUOT"])
def test_an_error_at_any_moment_leaves_the_one_before(
    code: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = getattr(errno, code)
    reason = os.strerror(number)
    checkpoints = Checkpoints(tmp_path, keep=1)
    failed = told = 0
    for moment in range(1, 100):
        shutil.rmtree(tmp_path)
        checkpoints.save(1, state(1), {"epoch": 1})
        message = None
        with pytest.MonkeyPatch.context() as patch:
            failures = Failures(patch, moment, number)
            try:
                checkpoints.save(2, state(2), {"epoch": 2})
            except InputError as error:
                message = str(error)
        if not failures.happened:
            break
        note = capsys.readouterr().err
        if message is None:  # the old one could not be removed; the new one is there
            told += 1
            assert note.endswith(f": old checkpoints cannot be removed ({reason})\n")
            assert note.startswith(str(tmp_path))
            assert holds(checkpoints, 2)
            checkpoints.save(3, state(3), {"epoch": 3})
            assert [path.name for path in tmp_path.iterdir()] == ["step-0000000003"]
            continue
        failed += 1
        assert partials(tmp_path) == []
        assert note == ""
        start = f"{tmp_path}/step-0000000002: cannot be written ({reason}"
        assert message.startswith(start)
        if code in ("ENOSPC", "EDQUOT"):
            assert re.match(r": \d+ bytes needed, \d+ free\)", message[len(start) :])
        assert message.endswith("); free space or choose another --out")
        assert "\n" not in message
        newest = checkpoints.newest()
        assert newest is not None
        assert holds(checkpoints, newest.step)
    assert failed > 20
    assert told > 1
    assert holds(checkpoints, 2)


def test_a_read_error_is_damage_and_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints, path = two(tmp_path)
    opened = Path.open

    def failing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == path / "model.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", failing)
    newest = checkpoints.newest()
    assert newest is not None
    assert newest.step == 1
    assert f"({path.name}" not in (told := capsys.readouterr().err)
    assert "(model.safetensors: Input/output error)" in told


def python(script: str, *args: object, before: tuple[str, ...] = ()) -> str:
    """Run a script in a process of its own and return what it prints."""
    command = [*before, sys.executable, "-c", script, *map(str, args)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


REAL_DISKS = """
import json, os, subprocess, sys
from pathlib import Path
import torch
from glcm_mae.checkpoints import Checkpoints
from glcm_mae.errors import InputError
place = Path(sys.argv[1])
def saved(step, count):
    checkpoints = Checkpoints(place / "run", keep=2)
    state = {f"model/{n}": torch.full((1000,), float(step)) for n in range(count)}
    try:
        checkpoints.save(step, state, {"epoch": step})
        message = None
    except InputError as error:
        message = str(error)
    newest = checkpoints.newest()
    held = newest.read("model", torch.device("cpu"))
    whole = all(bool((value == newest.step).all()) for value in held.values())
    left = [path.name for path in place.rglob("*.partial")]
    return [message, newest.step, whole, left]
results = {"first": saved(1, 100), "full": saved(2, 1000), "again": saved(3, 100)}
try:
    Checkpoints(place / "run", keep=9).check_space({"model/a": torch.zeros(100_000)})
except InputError as error:
    results["space"] = str(error)
subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
results["read-only"] = saved(4, 100)
print(json.dumps(results))
"""


def test_disks_that_are_truly_full_or_read_only(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=2m none {tmp_path} && exec "$@"'
    alone = ("unshare", "-rm", "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None:
        pytest.skip("needs unshare to make a small disk")
    if subprocess.run([*alone, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs the right to mount a small disk")
    results = json.loads(python(REAL_DISKS, tmp_path, before=alone))
    run = f"{tmp_path}/run"
    assert results["first"] == [None, 1, True, []]
    message, *rest = results["full"]
    assert rest == [1, True, []]
    match = re.fullmatch(
        rf"{run}/step-0000000002: cannot be written \(No space left on device: 4000000 bytes "
        r"needed, (\d+) free\); free space or choose another --out",
        message,
    )
    assert match is not None
    assert 1_000_000 < int(match[1]) < 2**21 - 400_000  # the half that was written is gone
    assert results["again"] == [None, 3, True, []]
    assert re.fullmatch(
        rf"{run}: checkpoints need \d+ bytes, \d+ are free; .*", results["space"]
    )
    message, *rest = results["read-only"]
    assert rest == [3, True, []]
    assert message == (
        f"{run}/step-0000000004: cannot be written (Read-only file system); free space or "
        "choose another --out"
    )


# -- death ---------------------------------------------------------------------------

DEATHS = """
import json, os, random, shutil, signal, sys, time
from pathlib import Path
import torch
from glcm_mae.checkpoints import Checkpoints

place, kills = Path(sys.argv[1]), int(sys.argv[2])
cpu = torch.device("cpu")

def state(step, size):
    draw = torch.Generator().manual_seed(step)
    return {f"{group}/a": torch.rand(size, generator=draw) for group in ("model", "ema")}

def is_whole(newest, size):
    targets = {name: torch.zeros(size) for name in ("model/a", "ema/a")}
    newest.load_into(targets)
    same = all(torch.equal(targets[n], v) for n, v in state(newest.step, size).items())
    return same and newest.facts == {"epoch": newest.step}

def left(folder):
    names = [path.name for path in folder.rglob("*")]
    return [name for name in names if "partial" in name or "tmp" in name]

def save(checkpoints, step, size):
    rank = (random.Random(step).random(),)
    checkpoints.save(step, state(step, size), {"epoch": step}, rank=rank)

def save_forever(checkpoints, folder):
    checkpoints.sweep()
    assert left(folder) == []
    newest = checkpoints.newest()
    step = newest.step if newest else 0
    while True:
        step += 1
        save(checkpoints, step, 200_000)

def in_child(action):
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        finally:
            os._exit(3)
    return child

def at_random():
    folder, draw = place / "random", random.Random(kills)
    checkpoints = Checkpoints(folder, keep=2)
    inside = whole = last = 0
    save(checkpoints, 1, 200_000)
    start = time.monotonic()
    assert is_whole(checkpoints.newest(), 200_000)
    save(checkpoints, 2, 200_000)
    most = 3 * (time.monotonic() - start)  # a slow machine is given its time
    for _ in range(kills):
        child = in_child(lambda: save_forever(checkpoints, folder))
        time.sleep(draw.uniform(0, most))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
        inside += bool(left(folder))
        newest = checkpoints.newest()
        whole += is_whole(newest, 200_000) and newest.step >= last
        last = newest.step
    checkpoints.sweep()
    return {"inside": inside, "whole": whole, "last": last, "left": left(folder)}

def die_at(moment):
    count = 0
    def mortal(name, function):
        def noted(*args, **kwargs):
            nonlocal count
            count += 1
            if count == moment:
                if name == "fsync":  # what was not flushed is lost
                    path = Path(f"/proc/self/fd/{args[0]}")
                    if path.is_file():
                        os.truncate(path, path.stat().st_size // 2)
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return noted
    for name in ("fsync", "mkdir", "rename", "unlink", "rmdir", "open"):
        setattr(os, name, mortal(name, getattr(os, name)))

def at_each_moment():
    folder = place / "each"
    checkpoints = Checkpoints(folder, keep=1, keep_best=False)
    found = []
    for moment in range(1, 200):
        shutil.rmtree(folder, ignore_errors=True)
        save(checkpoints, 1, 50)
        child = in_child(lambda: (die_at(moment), save(checkpoints, 2, 50)))
        _, status = os.waitpid(child, 0)
        step = checkpoints.newest()
        assert is_whole(step, 50)
        checkpoints.sweep()
        assert left(folder) == []
        assert checkpoints.newest().step == step.step
        found.append(step.step)
        if not os.WIFSIGNALED(status):
            assert os.WEXITSTATUS(status) == 0
            return found

print(json.dumps({"random": at_random(), "each": at_each_moment()}))
"""


@pytest.fixture(
    scope="module",
    params=[12, pytest.param(60, marks=pytest.mark.slow)],
    ids=["some-kills", "many-kills"],
)
def deaths(request: pytest.FixtureRequest, made_once: MadeOnce) -> dict[str, Any]:
    def make(place: Path) -> None:
        (place / "found.json").write_text(python(DEATHS, place, request.param))

    place = made_once(f"{request.param}_deaths", make)
    return {"kills": request.param, **json.loads((place / "found.json").read_text())}


def test_death_at_any_moment_leaves_a_whole_one(deaths: dict[str, Any]) -> None:
    results = deaths["random"]
    assert results["whole"] == deaths["kills"]
    assert results["inside"] > deaths["kills"] // 4  # else nothing was tried
    assert results["last"] > 3
    assert results["left"] == []


def test_death_at_each_moment_leaves_a_whole_one(deaths: dict[str, Any]) -> None:
    newest = deaths["each"]
    # The new one is there from one moment on, and then stays.
    assert newest == sorted(newest)
    assert newest.count(1) >= 9
    assert newest.count(2) >= 9


ONE_SAVE = """
import sys
from pathlib import Path
import torch
from glcm_mae.checkpoints import Checkpoints
state = {"model/a": torch.zeros(5), "ema/a": torch.zeros(5)}
Checkpoints(Path(sys.argv[1])).save(1, state, {})
"""


def test_the_system_is_asked_in_the_right_order(tmp_path: Path) -> None:
    if shutil.which("strace") is None:
        pytest.skip("needs strace")
    log = tmp_path / "log"
    calls = "trace=write,writev,pwrite64,fsync,rename,renameat,renameat2"
    trace = ("strace", "-f", "-y", "-s", "0", "-e", calls, "-o", str(log))
    if subprocess.run([*trace, "true"], capture_output=True).returncode != 0:
        pytest.skip("needs the right to trace a process")
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    python(ONE_SAVE, folder, before=trace)
    lines = [line for line in log.read_text().splitlines() if str(folder) in line]
    asked = [re.sub(r"^\d+ +", "", line).replace(f"{folder}/", "") for line in lines]
    assert all(not line.endswith("= -1") for line in asked)
    order = [
        (line.partition("(")[0].removesuffix("at").removesuffix("at2"), *_paths(line, folder))
        for line in asked
    ]
    partial = "step-0000000001.partial"
    written = [
        ("ema.safetensors", {"write"}),
        ("model.safetensors", {"write"}),
        ("state.json", {"write"}),
        ("manifest.json", {"write"}),
    ]
    expected: list[tuple[str, ...]] = []
    for name, _ in written:
        expected += [("write", f"{partial}/{name}"), ("fsync", f"{partial}/{name}")]
    expected += [("fsync", partial), ("rename", partial, "step-0000000001"), ("fsync", ".")]
    assert [call for index, call in enumerate(order) if call not in order[:index]] == expected


def _paths(line: str, folder: Path) -> list[str]:
    found = re.findall(r'[<"]([^<>"]+)[>"]', line)
    return ["." if path == str(folder) else path for path in found if path]
