"""What two processes saved together, and what one saved alone, load in each other."""

import json
import os
import shutil
import socket
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from glcm_mae.checkpoints import Checkpoints, StepFolder, consolidate
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import read_tensor_file
from once import MadeOnce

CPU = torch.device("cpu")

RANK = """
import errno, json, os, signal, sys, warnings
from pathlib import Path
import torch
from torch import nn
from glcm_mae.checkpoints import Checkpoints, sharded, folders
from glcm_mae.distributed import barrier, connect, disconnect, full_tensors, on_main, wrap
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import write_tensor_file

place = Path(sys.argv[1])
me = connect("cpu").rank
results = {}

def sharded_state(seed):
    torch.manual_seed(seed)
    # Sizes that two processes cannot share evenly: one of them holds nothing of a (1, 3).
    model = nn.Sequential(nn.Linear(3, 1), nn.Linear(1, 5), nn.LayerNorm(5), nn.Linear(5, 4))
    wrap(model, [model[0], model[1]], "fsdp", torch.device("cpu"))
    state = {f"model/{name}": value for name, value in model.state_dict().items()}
    moments = {}
    for name, value in state.items():
        moments[name.replace("model", "optimizer") + "/moment"] = value * 3 + seed
    return {
        **state,
        **moments,
        "optimizer/step": torch.tensor(float(seed)),
        "ema/plain": torch.arange(6, dtype=torch.float64).view(2, 3).T + seed,
        "ema/half": (torch.ones(3) * seed).bfloat16(),
        "ema/truth": torch.tensor([True, False]),
        "ema/empty": torch.zeros(0, 3),
    }

def same(one, two):
    one, two = full_tensors(one), full_tensors(two)
    return one.keys() == two.keys() and all(torch.equal(one[n], two[n]) for n in one)

def message(action):
    try:
        action()
    except InputError as error:
        return str(error)
    return None

def partials(folder):
    barrier()
    return [path.name for path in folder.rglob("*.partial")]

# What is saved comes back, on as many processes.
run = Checkpoints(place / "sharded", keep=1)
warnings.simplefilter("error")
run.check_space(sharded_state(1))
run.save(1, sharded_state(1), {"epoch": 1, "me": me}, rank=(0.5,))
truth = full_tensors(sharded_state(1))
on_main(lambda: write_tensor_file(place / "truth.safetensors", truth, {}))
other = sharded_state(2)
newest = run.newest()
newest.load_into(other)
results["back"] = same(other, sharded_state(1))
results["facts"] = newest.facts
results["step"] = newest.step
whole = newest.read("model", torch.device("cpu"))
results["read"] = all(torch.equal(whole[n], truth["model/" + n]) for n in whole)
results["again"] = run.save(1, sharded_state(3), {"epoch": 3}).name
results["kept"] = same(other, sharded_state(1))

# What does not fit is told.
del other["model/0.weight"]
results["differs"] = message(lambda: newest.load_into(other))

# What one process saved is loaded by two, and the other way round (in the test itself).
alone = Checkpoints(place / "alone")
other = sharded_state(5)
alone.newest().load_into(other)
results["from-one"] = {
    name: value.double().flatten().tolist() for name, value in full_tensors(other).items()
}

# Plain tensors, as of DDP: all call, one writes.
plain = Checkpoints(place / "plain", keep=1)
for step in (1, 2):
    plain.save(step, {"model/a": torch.full((3,), float(me * 10 + step))}, {"epoch": step})
results["plain"] = plain.newest().read("model", torch.device("cpu"))["a"].tolist()

# An error on any of them reaches all, and leaves the checkpoint before.
fsync = os.fsync
def full_disk_on(rank):
    def failing(handle):
        if me == rank:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)
    os.fsync = failing
for rank in (0, 1):
    full_disk_on(rank)
    results[f"full-{rank}"] = message(lambda: run.save(2, sharded_state(2), {}))
    os.fsync = fsync
    results[f"partials-{rank}"] = partials(place / "sharded")
    results[f"after-{rank}"] = run.newest().step
def broken(folder):
    raise OSError(errno.EIO, os.strerror(errno.EIO))
write_manifest, folders.write_manifest = folders.write_manifest, broken
results["manifest"] = message(lambda: run.save(2, sharded_state(2), {}))
folders.write_manifest = write_manifest
results["manifest-partials"] = partials(place / "sharded")

# A damaged one is seen by the first alone; all go back together.
back = Checkpoints(place / "back")
for step in (1, 2):
    back.save(step, sharded_state(step), {"epoch": step})
def damage(step):
    shards = (place / "back" / f"step-000000000{step}").glob("shard-00002-*")
    for path in shards:
        path.write_bytes(path.read_bytes()[:-1] + b"x")
on_main(lambda: damage(2))
found = back.newest()
found.load_into(other := sharded_state(7))
results["went-back"] = [found.step, same(other, sharded_state(1))]
on_main(lambda: damage(1))
results["none-whole"] = message(back.newest)
results["none-yet"] = Checkpoints(place / "never").newest() is None

# The newest is kept, the older one goes.
run.save(4, sharded_state(4), {"epoch": 4})
run.save(5, sharded_state(5), {"epoch": 5})
barrier()
results["there"] = sorted(path.name for path in (place / "sharded").iterdir())
(place / f"results-{me}.json").write_text(json.dumps(results))
barrier()

# Death of one while all save.
dying = Checkpoints(place / "dying")
dying.save(1, sharded_state(1), {"epoch": 1})
def die(handle):
    os.kill(os.getpid(), signal.SIGKILL)
if me == 1:
    os.fsync = die
try:
    dying.save(2, sharded_state(2), {"epoch": 2})
finally:
    os._exit(9)
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def alone_state() -> dict[str, Tensor]:
    """What one process saves: the same names and shapes as two have, numbers of its own."""
    shapes = {"0.weight": (1, 3), "0.bias": (1,), "1.weight": (5, 1), "1.bias": (5,)}
    shapes |= {"2.weight": (5,), "2.bias": (5,), "3.weight": (4, 5), "3.bias": (4,)}
    draw = torch.Generator().manual_seed(3)
    model = {
        f"model/{name}": torch.rand(shape, generator=draw) for name, shape in shapes.items()
    }
    moments = {
        f"optimizer/{name}/moment": torch.rand(shape, generator=draw)
        for name, shape in shapes.items()
    }
    return {
        **model,
        **moments,
        "optimizer/step": torch.tensor(9.0),
        "ema/plain": torch.rand(3, 2, dtype=torch.float64, generator=draw),
        "ema/half": torch.rand(3, generator=draw).bfloat16(),
        "ema/truth": torch.tensor([False, True]),
        "ema/empty": torch.zeros(0, 3),
    }


@pytest.fixture(scope="module")
def place(made_once: MadeOnce) -> Path:
    """Run the script above on two processes; what they wrote is what the tests look at."""
    return made_once("sharded", run_two_processes)


def run_two_processes(folder: Path) -> None:
    Checkpoints(folder / "alone").save(1, alone_state(), {"epoch": 1})
    port = str(free_port())
    started = []
    for rank in range(2):
        place = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
        meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        started.append(
            subprocess.Popen(
                [sys.executable, "-c", RANK, str(folder)],
                env={**os.environ, **place, **meeting},
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    told = [process.communicate(timeout=240)[1] for process in started]
    assert [process.returncode for process in started] == [9, -9], "\n".join(told)
    (folder / "told.json").write_text(json.dumps(told))


def results(place: Path) -> list[dict[str, Any]]:
    return [json.loads((place / f"results-{rank}.json").read_text()) for rank in range(2)]


def newest(folder: Path) -> StepFolder:
    found = Checkpoints(folder).newest()
    assert found is not None
    return found


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_load_what_two_saved(rank: int, place: Path) -> None:
    found = results(place)[rank]
    assert (found["back"], found["read"], found["kept"]) == (True, True, True)
    assert found["facts"] == {"epoch": 1, "me": 0}  # rank 0 speaks for all
    assert (found["step"], found["again"]) == (1, "step-0000000001")
    assert found["there"] == ["step-0000000001", "step-0000000005"]  # the best, the newest


@pytest.mark.parametrize("rank", [0, 1])
def test_two_processes_load_what_one_saved(rank: int, place: Path) -> None:
    found = results(place)[rank]["from-one"]
    assert found == {
        name: value.double().flatten().tolist() for name, value in alone_state().items()
    }


def test_one_process_loads_what_two_saved(place: Path) -> None:
    truth = read_tensor_file(place / "truth.safetensors", CPU).tensors
    step = StepFolder.open(place / "sharded" / "step-0000000001")
    assert step.names == truth.keys()
    targets = {name: torch.zeros_like(tensor) for name, tensor in truth.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step.load_into(targets)
        model = step.read("model", CPU)
    assert all(torch.equal(targets[name], tensor) for name, tensor in truth.items())
    assert {f"model/{name}" for name in model} == {n for n in truth if n.startswith("model/")}
    assert all(torch.equal(model[name], truth[f"model/{name}"]) for name in model)


def test_the_files_are_what_torch_itself_reads(place: Path) -> None:
    from torch.distributed.checkpoint import HuggingFaceStorageReader, load

    truth = read_tensor_file(place / "truth.safetensors", CPU).tensors
    targets = {name: torch.zeros_like(tensor) for name, tensor in truth.items()}
    reader = HuggingFaceStorageReader(str(place / "sharded" / "step-0000000001"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is told that it is alone
        load(targets, storage_reader=reader, no_dist=True)
    assert all(torch.equal(targets[name], tensor) for name, tensor in truth.items())


def test_there_is_no_pickle_and_no_index(place: Path) -> None:
    folder = place / "sharded" / "step-0000000001"
    names = sorted(path.name for path in folder.iterdir())
    assert names[:1] == ["manifest.json"]
    assert names[-1:] == ["state.json"]
    shards = names[1:-1]
    assert {name.partition("-model-")[0] for name in shards} == {"shard-00001", "shard-00002"}
    for name in shards:
        assert name.endswith(".safetensors")
        with safe_open(folder / name, framework="pt") as file:
            groups = {key.partition("/")[0] for key in file.keys()}  # noqa: SIM118
        assert len(groups) == 1  # one file a group and process


def test_no_process_holds_more_than_its_share(place: Path) -> None:
    truth = read_tensor_file(place / "truth.safetensors", CPU).tensors
    stored: dict[str, int] = dict.fromkeys(truth, 0)
    for path in (place / "sharded" / "step-0000000001").glob("shard-*"):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                stored[name] += file.get_tensor(name).numel()
    assert stored == {name: tensor.numel() for name, tensor in truth.items()}  # each once


def test_shards_become_one_file(place: Path, tmp_path: Path) -> None:
    truth = read_tensor_file(place / "truth.safetensors", CPU).tensors
    step = StepFolder.open(place / "sharded" / "step-0000000001")
    consolidate(step, tmp_path / "model.safetensors")
    consolidate(step, tmp_path / "all.safetensors", groups=None)
    model = read_tensor_file(tmp_path / "model.safetensors", CPU)
    assert model.tensors.keys() == {name for name in truth if name.startswith("model/")}
    assert model.facts["me"] == 0
    whole = read_tensor_file(tmp_path / "all.safetensors", CPU).tensors
    assert whole.keys() == truth.keys()
    assert all(torch.equal(whole[name], tensor) for name, tensor in truth.items())


@pytest.mark.parametrize("rank", [0, 1])
def test_an_error_of_one_is_told_by_all(rank: int, place: Path) -> None:
    found = results(place)[rank]
    final = place / "sharded" / "step-0000000002"
    for failing in (0, 1):
        message = found[f"full-{failing}"]
        assert message.startswith(f"{final}: cannot be written (No space left on device")
        assert "bytes needed" in message
        assert "\n" not in message
        assert (found[f"partials-{failing}"], found[f"after-{failing}"]) == ([], 1)
    assert "on rank 1" in found["full-1"]
    assert found["manifest"] == (
        f"{final}: cannot be written (Input/output error); free space or choose another --out"
    )
    assert found["manifest-partials"] == []
    assert found["differs"].startswith(
        f"{place}/sharded/step-0000000001: does not fit this run: model/0.weight is not of "
        "this run; "
    )


@pytest.mark.parametrize("rank", [0, 1])
def test_all_go_back_to_the_same_checkpoint(rank: int, place: Path) -> None:
    found = results(place)[rank]
    assert found["went-back"] == [1, True]
    assert found["none-whole"].startswith(f"{place}/back: none of its 2 checkpoints is whole")
    assert found["none-yet"] is True
    assert found["plain"] == [2.0, 2.0, 2.0]  # what rank 0 holds
    told = json.loads((place / "told.json").read_text())[rank]
    assert told.count("is damaged (shard-00002-") == (3 if rank == 0 else 0)
    assert told.count("going back to the checkpoint before it") == (2 if rank == 0 else 0)


def test_the_death_of_one_leaves_the_checkpoint_before(place: Path) -> None:
    checkpoints = Checkpoints(place / "dying")
    checkpoints.sweep()
    assert [path.name for path in (place / "dying").iterdir()] == ["step-0000000001"]
    truth = read_tensor_file(place / "truth.safetensors", CPU).tensors
    model = newest(place / "dying").read("model", CPU)
    assert all(torch.equal(model[name], truth[f"model/{name}"]) for name in model)


def test_a_shard_that_is_missing_is_told_even_where_hashes_agree(
    place: Path, tmp_path: Path
) -> None:
    from glcm_mae.checkpoints.manifest import write_manifest

    path = shutil.copytree(place / "sharded" / "step-0000000005", tmp_path / "step-0000000005")
    for shard in path.glob("shard-00002-*"):
        shard.unlink()
    (path / "manifest.json").unlink()
    write_manifest(path)
    step = newest(tmp_path)
    with pytest.raises(InputError, match=r"is not there in full; remove this checkpoint"):
        step.read("model", CPU)
