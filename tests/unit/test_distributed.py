"""Several processes over gloo: sums, errors, gradients, and what happens when one is lost.

Run as a script, this file is one of the processes: each start goes through all cases and
writes what it saw. Importing torch takes seconds, so that where real processes are not the
point, and real ones show the same, they are forks of one that holds it.
"""

import json
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from glcm_mae.distributed import (
    Ranks,
    agree,
    barrier,
    connect,
    disconnect,
    exchanging,
    full_tensors,
    group,
    models,
    on_main,
    plain,
    ranks,
    set_weights,
    sum_exactly,
    sum_over_ranks,
    wrap,
)
from glcm_mae.errors import InputError
from glcm_mae.launching import beat
from glcm_mae.progress import console

if TYPE_CHECKING:  # what runs as a script does not find it
    from warm import Nursery

CPU = torch.device("cpu")
ROWS = 12
SHORT = 5.0
HUGE = [2**200 + 1, -(2**200), 0, 2**31, 2**64 - 1, -1]


class Net(nn.Module):
    """Layers that are used in another order than they are registered."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Linear(24, 24) for _ in range(3))
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        for index in (2, 0, 1):
            x = torch.nn.functional.gelu(self.blocks[index](x)) + x
        return self.head(x)


def net() -> Net:
    torch.manual_seed(0)
    return Net()


def rows(seed: int) -> Tensor:
    return torch.randn(ROWS, 24, generator=torch.Generator().manual_seed(seed))


def loss(model: nn.Module, x: Tensor) -> Tensor:
    return (model(x) ** 2).mean()


def part(x: Tensor) -> Tensor:
    return x.chunk(ranks().size)[ranks().rank]


def gradients(model: nn.Module) -> dict[str, Tensor]:
    found = {name: p.grad for name, p in plain(model).named_parameters() if p.grad is not None}
    return {name: grad.clone() for name, grad in full_tensors(found).items()}


def gradients_after(history: int, strategy: Literal["ddp", "fsdp"]) -> dict[str, Tensor]:
    """Return the gradients of one and the same step, after some others."""
    inner = net()
    model = wrap(inner, inner.blocks, strategy, CPU)
    for step in range(history):
        loss(model, part(rows(step))).backward()
        model.zero_grad()
    loss(model, part(rows(99))).backward()
    return gradients(model)


def train(model: nn.Module, inputs: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Take three steps; return norm of the last gradient, and last loss."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for step in range(3):
        optimizer.zero_grad()
        value = loss(model, inputs(rows(step)))
        value.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
    return float(full_tensors({"": norm})[""]), float(value.detach())


def caught(action: Callable[[], object]) -> list[str]:
    try:
        return ["nothing", repr(action())]
    except Exception as error:
        return [type(error).__name__, str(error)]


def fail(error: Exception) -> Callable[[], object]:
    def action() -> object:
        raise error

    return action


def accumulated(strategy: Literal["ddp", "fsdp"]) -> dict[str, Tensor]:
    inner = net()
    model = wrap(inner, inner.blocks, strategy, CPU)
    passes = part(rows(99)).split(2)
    for index, few in enumerate(passes):
        with exchanging(model, index + 1 == len(passes)):
            (loss(model, few) / len(passes)).backward()
    return gradients(model)


def seen_of_sums() -> dict[str, Any]:
    rank, size = ranks().rank, ranks().size
    large = [1e16, -1e16, 1.0][rank] if size == 3 else 0.25
    return {
        "sum": sum_over_ranks([0.1 * (rank + 1), large, 1.0]),
        "infinite": [str(v) for v in sum_over_ranks([math.inf, math.nan, 1.7e308])],
        "opposite": [str(v) for v in sum_over_ranks([math.inf if rank else -math.inf])],
        "empty": [sum_over_ranks([]), sum_exactly([]), agree([])],
        "exact": [str(v) for v in sum_exactly([v * (rank + 1) - rank for v in HUGE])],
        "uneven": [str(v) for v in sum_exactly([(-7) ** (200 * rank)])],
        "agreed": agree([rank + 0.5, -rank]),
    }


def seen_of_errors(out: Path) -> dict[str, Any]:
    missing = out / "missing" / "file"
    return {
        "done": caught(lambda: on_main(lambda: "only there")),
        "input": caught(lambda: on_main(fail(InputError("ä.csv: is empty; give rows")))),
        "no words": caught(lambda: on_main(fail(InputError("")))),
        "file": caught(lambda: on_main(lambda: missing.write_text("x"))),
        "odd": caught(lambda: on_main(fail(OSError("without name")))),
        "defect": caught(lambda: on_main(fail(KeyError("oops")))),
        "after": sum_over_ranks([1.0]),
    }


def tensors_of_gradients(strategy: Literal["ddp", "fsdp"]) -> dict[str, Tensor]:
    cases = {str(history): gradients_after(history, strategy) for history in (0, 1, 3)}
    cases["accumulated"] = accumulated(strategy)
    if strategy == "ddp":
        settle = models._settle_buckets
        models._settle_buckets = lambda copies: None
        cases |= {f"unsettled{past}": gradients_after(past, "ddp") for past in (0, 1)}
        models._settle_buckets = settle
    return {
        f"{strategy}/{case}/{name}": gradient
        for case, found in cases.items()
        for name, gradient in found.items()
    }


def tensors_of_training(
    strategy: Literal["ddp", "fsdp"],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    inner = net()
    model = wrap(inner, inner.blocks, strategy, CPU)
    seen = {f"{strategy}/wrapped": [type(model).__name__, plain(model) is inner]}
    seen[f"{strategy}/trained"] = [train(model, part)]
    trained = {k: v.clone() for k, v in full_tensors(inner.state_dict()).items()}
    again = wrap(net(), [], strategy, CPU)
    set_weights(again, trained)
    found = {f"{strategy}/trained/{name}": value for name, value in trained.items()}
    for name, value in full_tensors(plain(again).state_dict()).items():
        found[f"{strategy}/set/{name}"] = value.clone()
    seen[f"{strategy}/refused"] = caught(lambda: set_weights(again, {}))[:1]
    return found, seen


def seen_of_losses(out: Path, other_port: str) -> dict[str, Any]:
    """Meet again, with little patience; then rank 1 hangs until the others have given up."""
    disconnect()
    os.environ["MASTER_PORT"] = other_port
    connect("cpu", timeout=SHORT)
    seen: dict[str, Any] = {"long": caught(lambda: on_main(lambda: time.sleep(SHORT + 1)))}
    barrier()
    if ranks().rank != 1:
        seen["hung"] = caught(barrier)[0]
        (out / f"gave-up-{ranks().rank}").touch()
        return seen
    others = ranks().size - 1
    deadline = time.monotonic() + 60
    while len(list(out.glob("gave-up-*"))) < others and time.monotonic() < deadline:
        time.sleep(0.1)
    seen["hung"] = [path.name for path in out.glob("gave-up-*")]
    return seen


def be_one_of_them(out: Path, other_port: str) -> None:
    torch.set_num_threads(1)
    before = caught(lambda: sum_over_ranks([2.0]))
    place = connect("cpu")
    seen: dict[str, Any] = {"before": before, "again": connect("cpu") == place == ranks()}
    seen |= {"place": [place.rank, place.size, place.local, place.main]}
    seen |= {"quiet": console.quiet, **seen_of_sums(), **seen_of_errors(out)}
    tensors: dict[str, Tensor] = {}
    for strategy in ("ddp", "fsdp"):
        found, more = tensors_of_training(strategy)
        tensors |= tensors_of_gradients(strategy) | found
        seen |= more
    seen |= seen_of_losses(out, other_port)
    save_file(tensors, out / f"{place.rank}.safetensors")
    (out / f"{place.rank}.json").write_text(json.dumps(seen))
    os._exit(0)  # The group is broken by now, on purpose.


@dataclass(frozen=True)
class Told:
    seen: list[dict[str, Any]]
    tensors: list[dict[str, Tensor]]

    @property
    def size(self) -> int:
        return len(self.seen)

    def same(self, name: str) -> Any:
        """Return what all ranks saw alike."""
        values = [seen[name] for seen in self.seen]
        assert all(value == values[0] for value in values), values
        return values[0]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors of a group, which all ranks hold alike to the bit."""
        groups = [
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
            for tensors in self.tensors
        ]
        assert groups[0]
        assert all(identical(groups[0], group) for group in groups)
        return groups[0]


def identical(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def free_port() -> str:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return str(listener.getsockname()[1])


def start(size: int, out: Path) -> list[subprocess.Popen[str]]:
    port, other_port = free_port(), free_port()
    processes = []
    for rank in range(size):
        place = {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(rank)}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        processes.append(
            subprocess.Popen(
                [sys.executable, __file__, str(out), other_port],
                env={**os.environ, **place, **meeting, "GLOO_SOCKET_IFNAME": "lo"},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return processes


def fork(nursery: "Nursery", size: int, out: Path) -> None:
    """Run what :func:`start` does as forks."""
    words = [__file__, str(out), free_port()]
    processes = nursery.start_ranks(size, words, out)
    for process in processes:
        errors = process.told(timeout=120)
        assert process.returncode == 0, errors


TWO = pytest.param(2, id="2 ranks")
THREE = pytest.param(3, id="3 ranks", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=[TWO, THREE])
def told(
    request: pytest.FixtureRequest,
    nursery: "Nursery",
    tmp_path_factory: pytest.TempPathFactory,
) -> Told:
    out = tmp_path_factory.mktemp("ranks")
    if request.param == 3:
        fork(nursery, 3, out)
    else:
        for process in start(request.param, out):
            _, errors = process.communicate(timeout=120)
            assert process.returncode == 0, errors
    numbers = range(request.param)
    return Told(
        [json.loads((out / f"{n}.json").read_text()) for n in numbers],
        [load_file(out / f"{n}.safetensors") for n in numbers],
    )


def test_every_rank_knows_its_place(told: Told) -> None:
    assert told.same("before") == ["nothing", "[2.0]"]
    assert told.same("again") is True
    expected = [[n, told.size, n, n == 0] for n in range(told.size)]
    assert [seen["place"] for seen in told.seen] == expected
    assert [seen["quiet"] for seen in told.seen] == [n > 0 for n in range(told.size)]


def test_sums_are_rounded_once(told: Told) -> None:
    tenths = math.fsum(0.1 * (n + 1) for n in range(told.size))
    assert told.same("sum") == [tenths, {2: 0.5, 3: 1.0}[told.size], float(told.size)]


def test_sums_beyond_the_finite_numbers(told: Told) -> None:
    assert told.same("infinite") == ["inf", "nan", "inf"]
    assert told.same("opposite") == ["nan"]


def test_sums_of_integers_are_exact(told: Told) -> None:
    expected = [sum(v * (n + 1) - n for n in range(told.size)) for v in HUGE]
    assert told.same("exact") == [str(v) for v in expected]
    assert told.same("uneven") == [str(sum((-7) ** (200 * n) for n in range(told.size)))]
    assert told.same("empty") == [[], [], []]


def test_rank_0_decides(told: Told) -> None:
    assert told.same("agreed") == [0.5, 0.0]


def test_what_rank_0_does_alone(told: Told) -> None:
    assert told.seen[0]["done"] == ["nothing", "'only there'"]
    assert all(seen["done"] == ["nothing", "None"] for seen in told.seen[1:])


def test_bad_input_on_rank_0_reaches_all(told: Told) -> None:
    assert told.same("input") == ["InputError", "ä.csv: is empty; give rows"]
    assert told.same("no words") == ["InputError", "InputError"]
    assert told.same("odd") == ["InputError", "without name"]
    kind, message = told.same("file")
    assert kind == "InputError"
    assert message.endswith(
        "missing/file: No such file or directory; check space and permissions"
    )


def test_a_defect_on_rank_0_ends_all(told: Told) -> None:
    assert told.seen[0]["defect"] == ["KeyError", "'oops'"]
    expected = ["RuntimeError", "rank 0 failed: KeyError: 'oops'"]
    assert all(seen["defect"] == expected for seen in told.seen[1:])
    assert told.same("after") == [told.size]


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
@pytest.mark.parametrize("group", ["0", "3", "accumulated"])
def test_gradients_are_those_of_the_whole_batch(strategy: str, group: str, told: Told) -> None:
    model = net()
    loss(model, rows(99)).backward()
    found = told.group(f"{strategy}/{group}/")
    assert found.keys() == dict(model.named_parameters()).keys()
    for name, expected in gradients(model).items():
        torch.testing.assert_close(found[name], expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_gradients_do_not_depend_on_earlier_steps(strategy: str, told: Told) -> None:
    first = told.group(f"{strategy}/0/")
    for history in (1, 3):
        assert identical(first, told.group(f"{strategy}/{history}/"))


def test_they_would_without_settled_buckets(told: Told) -> None:
    same = identical(told.group("ddp/unsettled0/"), told.group("ddp/unsettled1/"))
    assert same is (told.size == 2)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_training_is_that_of_one_process(strategy: str, told: Told) -> None:
    model = net()
    norm, _ = train(model, lambda whole: whole)
    wrapped = told.same(f"{strategy}/wrapped")
    assert wrapped == [{"ddp": "DistributedDataParallel", "fsdp": "FSDPNet"}[strategy], True]
    for seen in told.seen:
        assert seen[f"{strategy}/trained"][0][0] == pytest.approx(norm, rel=1e-5)
    found = told.group(f"{strategy}/trained/")
    for name, expected in model.named_parameters():
        torch.testing.assert_close(found[name], expected.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_weights_are_set_whole(strategy: str, told: Told) -> None:
    assert identical(told.group(f"{strategy}/set/"), told.group(f"{strategy}/trained/"))
    assert told.same(f"{strategy}/refused") == ["RuntimeError"]


def test_the_others_wait_for_rank_0_beyond_the_limit(told: Told) -> None:
    assert told.same("long") == ["nothing", "None"]


def test_a_rank_that_hangs_is_given_up(told: Told) -> None:
    waiting = [number for number in range(told.size) if number != 1]
    assert sorted(told.seen[1]["hung"]) == [f"gave-up-{number}" for number in waiting]
    for number in waiting:
        assert told.seen[number]["hung"] in {"RuntimeError", "DistBackendError"}


def test_alone_there_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    assert connect("cpu") == Ranks(0, 1, 0) == ranks()
    for name, value in {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert connect("cpu") == Ranks(0, 1, 0)
    assert not torch.distributed.is_initialized()
    barrier()
    assert sum_over_ranks([1, math.inf]) == [1.0, math.inf]
    assert sum_exactly(HUGE) == HUGE
    for strategy in ("ddp", "fsdp"):
        model = net()
        assert wrap(model, model.blocks, strategy, CPU) is model
    disconnect()
    assert not console.quiet


def test_alone_errors_are_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^a: b$"):
        on_main(fail(InputError("a: b")))
    with pytest.raises(KeyError):
        on_main(fail(KeyError("x")))
    with pytest.raises(InputError, match=r"No such file or directory; check space"):
        on_main(lambda: (tmp_path / "no" / "file").read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"WORLD_SIZE": None}, r"^WORLD_SIZE: must be a whole number .* got ''; "),
        ({"LOCAL_RANK": "x"}, r"^LOCAL_RANK: must be a whole number .* got 'x'; "),
        ({"RANK": "-1"}, r"^RANK: must be a whole number where RANK is set, got '-1'; "),
        ({"RANK": "2"}, r"^RANK: must be less than WORLD_SIZE=2, got 2; "),
        ({"MASTER_PORT": None}, r"^MASTER_PORT: must be a whole number"),
        ({"MASTER_ADDR": None}, r"^MASTER_ADDR: must name the machine of rank 0"),
    ],
    ids=["size", "local", "negative", "too large", "port", "address"],
)
def test_surroundings_that_cannot_be(
    changes: dict[str, str | None], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}
    for name, value in {**place, "MASTER_ADDR": "h", "MASTER_PORT": "1", **changes}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=message):
        connect("cpu")


def test_more_ranks_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError, match=r"^devices: 2 GPUs .* torch sees 1; pass fewer"):
        connect("cuda")


def test_a_store_of_an_earlier_group_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", free_port())
    stale = group._fresh_store(Ranks(0, 2, 0), 10.0)
    assert stale.add("joined/1", 1) == 1
    found: list[Any] = []
    thread = threading.Thread(
        target=lambda: found.append(group._fresh_store(Ranks(1, 2, 1), 20.0))
    )
    thread.start()
    time.sleep(1.2)
    assert thread.is_alive()
    del stale
    fresh = group._fresh_store(Ranks(0, 2, 0), 10.0)
    thread.join(20)
    fresh.set("word", "new")
    assert found[0].get("word") == b"new"


def test_buckets_are_settled_with_frozen_parameters() -> None:
    model = net()
    model.head.weight.requires_grad_(False)
    touched = models._EveryParameter(model)
    torch.autograd.backward(touched())
    grads = {name for name, p in model.named_parameters() if p.grad is not None}
    assert grads == dict(model.named_parameters()).keys() - {"head.weight"}
    assert not list(touched.parameters())
    assert not isinstance(plain(model), DistributedDataParallel)


def train_until_the_end(out: Path) -> None:
    """Train, continuing what is there; where there is a file "kill", rank 1 dies once."""
    torch.set_num_threads(1)
    connect("cpu", timeout=30.0)
    inner = net()
    state = out / "state.safetensors"
    step = 0
    if state.is_file():
        saved = load_file(state)
        step = int(saved.pop("step"))
        set_weights(inner, saved)
    model = wrap(inner, [], "ddp", CPU)
    for now in range(step, 6):
        beat()
        if now == 3 and ranks().rank == 1 and (out / "kill").is_file():
            (out / "kill").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        model.zero_grad()
        loss(model, part(rows(now))).backward()
        with torch.no_grad():
            for parameter in inner.parameters():
                parameter -= 0.1 * parameter.grad
        tensors = {**inner.state_dict(), "step": torch.tensor(now + 1)}
        on_main(lambda tensors=tensors: write_tensors(state, tensors))
    disconnect()


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


@pytest.mark.slow
def test_a_machine_that_loses_a_rank_is_met_again(nursery: "Nursery", tmp_path: Path) -> None:
    """Of two machines with two ranks each, one is lost; the same bits come out."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for out in (whole, killed):
        out.mkdir()
    ranks_ = nursery.start_ranks(4, [__file__, str(whole)], tmp_path)
    words = [process.told() for process in ranks_]
    assert [process.returncode for process in ranks_] == [0] * 4, words

    (killed / "kill").touch()
    address = f"127.0.0.1:{free_port()}"
    arguments = [[str(machine_script(tmp_path)), str(n), address, str(killed)] for n in (0, 1)]
    # The machine that is told of a loss is real; that which has it is a fork, as its ranks.
    real = subprocess.Popen([sys.executable, *arguments[1]], stderr=subprocess.PIPE, text=True)
    forked = nursery.start(arguments[0], tmp_path / "machine-0.txt")
    told = [forked.told(timeout=250), real.communicate(timeout=250)[1]]
    assert [forked.returncode, real.returncode] == [0, 0], told
    assert "rank 1 was ended by SIGKILL" in told[0]
    assert "start anew" in told[1]
    assert identical(*(load_file(out / "state.safetensors") for out in (whole, killed)))


def machine_script(folder: Path) -> Path:
    """Write what runs on each of two machines, given its number, the address and a folder."""
    path = folder / "machine.py"
    path.write_text(
        "import sys\n"
        "from glcm_mae.launching import supervise\n"
        f"command = [sys.executable, {__file__!r}, sys.argv[3]]\n"
        "place = {'devices': 2, 'nodes': 2, 'node': int(sys.argv[1]), 'address': sys.argv[2]}\n"
        "sys.exit(supervise(command, **place, watchdog=60.0))\n"
    )
    return path


if __name__ == "__main__":
    if len(sys.argv) == 2:
        train_until_the_end(Path(sys.argv[1]))
    else:
        be_one_of_them(Path(sys.argv[1]), sys.argv[2])
