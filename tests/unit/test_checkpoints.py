"""The checkpoints of a run: written in order, kept, removed, found; faults are elsewhere."""

import errno
import hashlib
import json
import math
import os
import random
import shutil
import weakref
from collections import namedtuple
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from glcm_mae import __version__
from glcm_mae.checkpoints import Checkpoints, StepFolder, consolidate
from glcm_mae.errors import InputError
from glcm_mae.tensor_file import read_tensor_file

CPU = torch.device("cpu")


def tensors(seed: int = 0) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    return {
        "model/block.0/weight": torch.randn(4, 3, generator=draw).T,
        "model/bias": torch.randn(5, generator=draw).bfloat16(),
        "optimizer/step": torch.tensor(float(seed)),
        "optimizer/moment": torch.randn(4, 3, generator=draw),
        "ema/empty": torch.zeros(0, 2),
        "ema/seen": torch.tensor([True, False]),
    }


def blank() -> dict[str, Tensor]:
    return {name: torch.zeros_like(tensor) for name, tensor in tensors().items()}


def steps(folder: Path) -> list[int]:
    assert all(path.name.startswith("step-") for path in folder.iterdir())
    return sorted(int(path.name.removeprefix("step-")) for path in folder.iterdir())


def found(checkpoints: Checkpoints) -> StepFolder:
    step = checkpoints.newest()
    assert step is not None
    return step


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    facts = {"epoch": 3, "loss": math.inf, "nested": {"a": [None, True, "ü"]}}
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    path = checkpoints.save(123, tensors(), facts, rank=(0.5, -1))
    assert path == tmp_path / "checkpoints" / "step-0000000123"
    step = found(checkpoints)
    assert (step.path, step.step, step.facts, step.rank) == (path, 123, facts, (0.5, -1.0))
    assert step.names == set(tensors())
    targets = blank()
    kept = dict(targets)
    step.load_into(targets)
    for name, tensor in tensors().items():
        assert torch.equal(targets[name], tensor)
        assert targets[name] is kept[name]


def test_a_folder_holds_a_file_a_group_and_their_hashes(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save(7, tensors(), {"epoch": 1})
    groups = ["ema.safetensors", "model.safetensors", "optimizer.safetensors"]
    assert {file.name for file in path.iterdir()} == {*groups, "manifest.json", "state.json"}
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest == {
        "format": 1,
        "files": {
            name: {
                "size": (path / name).stat().st_size,
                "sha256": hashlib.sha256((path / name).read_bytes()).hexdigest(),
            }
            for name in [*groups, "state.json"]
        },
    }
    state = json.loads((path / "state.json").read_text())
    assert state.pop("tensors")["model/block.0/weight"] == ["F32", [3, 4]]
    assert state == {"glcm_mae": __version__, "step": 7, "rank": None, "facts": {"epoch": 1}}
    model = load_file(path / "model.safetensors")
    assert set(model) == {"model/block.0/weight", "model/bias"}
    assert torch.equal(model["model/bias"], tensors()["model/bias"])


def test_parameters_that_learn_are_loaded_in_place(tmp_path: Path) -> None:
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    state = {f"model/{name}": value for name, value in layer.state_dict().items()}
    Checkpoints(tmp_path).save(1, state, {})
    where = other.weight.data_ptr()
    found(Checkpoints(tmp_path)).load_into(
        {f"model/{name}": value for name, value in other.named_parameters()}
    )
    assert torch.equal(other.weight, layer.weight)
    assert other.weight.data_ptr() == where
    assert other.weight.requires_grad


def test_a_group_is_read_without_its_name(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, tensors(), {})
    model = found(Checkpoints(tmp_path)).read("model", CPU)
    assert set(model) == {"block.0/weight", "bias"}
    assert torch.equal(model["block.0/weight"], tensors()["model/block.0/weight"])
    ema = found(Checkpoints(tmp_path)).read("ema", CPU)
    assert ema["empty"].shape == (0, 2)
    assert ema["seen"].tolist() == [True, False]


@pytest.mark.parametrize("group", ["mod", "best", ""])
def test_a_group_that_is_not_there_is_told(group: str, tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save(1, tensors(), {})
    with pytest.raises(InputError) as caught:
        found(Checkpoints(tmp_path)).read(group, CPU)
    assert str(caught.value) == (
        f"{path}: holds no tensors of {group!r}; it holds ema, model, optimizer"
    )


def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path: Path) -> None:
    path = Checkpoints(tmp_path).save(1, tensors(), {})
    targets = blank()
    targets["model/bias"] = torch.zeros(5)
    targets["optimizer/moment"] = torch.zeros(3, 4)
    targets["optimizer/new"] = targets.pop("optimizer/step")
    with pytest.raises(InputError) as caught:
        found(Checkpoints(tmp_path)).load_into(targets)
    assert str(caught.value) == (
        f"{path}: does not fit this run: optimizer/new is missing in it, "
        "optimizer/step is not of this run, model/bias is BF16 [5] in it, F32 [5] here, "
        "optimizer/moment is F32 [4, 3] in it, F32 [3, 4] here; resume with the settings it "
        "was made with, or start anew with another --out"
    )
    assert all(not tensor.any() for tensor in targets.values())


def test_of_many_differences_a_few_are_named(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, {"model/a": torch.zeros(1)}, {})
    many = {f"model/{number}": torch.zeros(1) for number in range(9)}
    with pytest.raises(InputError, match=r"model/3 is missing in it, and 6 more; resume"):
        found(Checkpoints(tmp_path)).load_into(many)


def test_groups_that_are_not_asked_for_are_left_alone(tmp_path: Path) -> None:
    Checkpoints(tmp_path).save(1, tensors(), {})
    targets = {name: tensor for name, tensor in blank().items() if name.startswith("optim")}
    found(Checkpoints(tmp_path)).load_into(targets)
    assert torch.equal(targets["optimizer/moment"], tensors()["optimizer/moment"])
    with pytest.raises(InputError, match="best/a is missing in it"):
        found(Checkpoints(tmp_path)).load_into({"best/a": torch.zeros(1)})


@pytest.mark.parametrize("name", ["weight", "/weight", "a.b/weight", "../weight", "a b/c"])
def test_a_name_without_a_group_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be named group/rest"):
        Checkpoints(tmp_path / "new").save(1, {name: torch.zeros(1)}, {})
    assert not (tmp_path / "new").exists()


def test_what_is_not_plain_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "new")
    with pytest.raises(TypeError):
        checkpoints.save(1, tensors(), {"a": object()})
    with pytest.raises(ValueError, match=r"model/a: tensors of torch\.complex64"):
        checkpoints.save(1, {"model/a": torch.zeros(1, dtype=torch.complex64)}, {})
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoints(tmp_path / "new", keep=0)
    assert not (tmp_path / "new").exists()


# -- which are kept ------------------------------------------------------------------


def expected(
    history: Sequence[tuple[int, Sequence[float] | None]], keep: int, keep_best: bool
) -> list[int]:
    """Say which steps are there in the end, step by step and without cleverness."""
    there: list[tuple[int, Sequence[float] | None]] = []
    for step, rank in history:
        there.append((step, rank))
        kept = {number for number, _ in there[-keep:]}
        best: tuple[int, list[float]] | None = None
        for number, merit in there:
            if merit is None:
                continue
            values = [-math.inf if value != value else value for value in merit]
            if best is None or values >= best[1]:
                best = (number, values)
        if keep_best and best is not None:
            kept.add(best[0])
        there = [(number, merit) for number, merit in there if number in kept]
    return [number for number, _ in there]


@pytest.mark.parametrize("keep", [1, 2, 3])
@pytest.mark.parametrize("keep_best", [False, True])
def test_the_newest_and_the_best_are_kept(keep: int, keep_best: bool, tmp_path: Path) -> None:
    draw = random.Random(keep)
    values = [0.1, 0.2, math.nan, -math.inf, 0.3]
    for case in range(12):
        folder = tmp_path / str(case)
        checkpoints = Checkpoints(folder, keep=keep, keep_best=keep_best)
        history = [
            (10 * step, None if draw.random() < 0.3 else draw.choices(values, k=2))
            for step in range(1, 8)
        ]
        for index, (step, rank) in enumerate(history):
            checkpoints.save(step, {"model/a": torch.tensor(step)}, {}, rank=rank)
            assert steps(folder) == expected(history[: index + 1], keep, keep_best)
        assert found(checkpoints).step == 70


def test_of_two_alike_the_later_is_the_best(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for step, rank in ((1, (0.5, 1.0)), (2, (0.5, 1.0)), (3, (0.5, 0.9)), (4, None)):
        checkpoints.save(step, {"model/a": torch.zeros(1)}, {}, rank=rank)
    assert steps(tmp_path) == [2, 4]


def test_a_step_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save(1, tensors(1), {"epoch": 1})
    before = {
        file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in path.iterdir()
    }
    assert checkpoints.save(1, tensors(2), {"epoch": 2}) == path
    after = {
        file.name: (file.stat().st_ino, file.stat().st_mtime_ns) for file in path.iterdir()
    }
    assert after == before
    assert found(checkpoints).facts == {"epoch": 1}


def test_a_step_that_is_there_damaged_is_written_anew(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save(1, tensors(1), {"epoch": 1})
    (path / "model.safetensors").unlink()
    assert checkpoints.save(1, tensors(2), {"epoch": 2}) == path
    assert found(checkpoints).facts == {"epoch": 2}
    assert steps(tmp_path) == [1]


def test_what_could_not_be_read_makes_way_when_the_run_went_back(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(10, tensors(1), {})
    shutil.copytree(tmp_path / "step-0000000010", tmp_path / "copy")
    checkpoints.save(30, tensors(3), {}, rank=(9.0,))
    (tmp_path / "copy").rename(tmp_path / "step-0000000010")
    (tmp_path / "step-0000000030" / "model.safetensors").write_bytes(b"")
    assert found(checkpoints).step == 10
    checkpoints.save(20, tensors(2), {})
    assert steps(tmp_path) == [20]
    assert found(checkpoints).step == 20


def test_an_old_one_that_cannot_be_removed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    checkpoints.save(1, tensors(1), {})

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", refuse)
        checkpoints.save(2, tensors(2), {})
    assert capsys.readouterr().err == (
        f"{tmp_path}/step-0000000001: old checkpoints cannot be removed (Permission denied)\n"
    )
    assert found(checkpoints).step == 2
    checkpoints.sweep()
    assert steps(tmp_path) == [2]


def test_the_best_is_not_removed_because_it_could_not_be_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    best = checkpoints.save(1, tensors(1), {}, rank=(0.9,)) / "state.json"
    checkpoints.save(2, tensors(2), {}, rank=(0.1,))
    opened = Path.open

    def failing(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self == best:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return opened(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", failing)
        checkpoints.save(3, tensors(3), {}, rank=(0.2,))
    told = f"{tmp_path}: old checkpoints cannot be removed (Input/output error)\n"
    assert capsys.readouterr().err == told
    assert steps(tmp_path) == [1, 2, 3]
    checkpoints.save(4, tensors(4), {}, rank=(0.3,))
    assert steps(tmp_path) == [1, 4]


# -- what is on the disk when --------------------------------------------------------


def test_everything_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path / "new", keep=1)
    events: list[str] = []
    fsync, rename, rmtree = os.fsync, Path.rename, shutil.rmtree

    def noted_fsync(handle: int) -> None:
        path = Path(f"/proc/self/fd/{handle}").readlink()
        events.append(f"flush {path.relative_to(tmp_path)}")
        fsync(handle)

    def noted_rename(self: Path, target: Path) -> Path:
        assert self.parent == target.parent
        events.append(f"rename {self.name} {target.name}")
        return rename(self, target)

    def noted_rmtree(path: Path) -> None:
        events.append(f"remove {path.name}")
        rmtree(path)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "rename", noted_rename)
    monkeypatch.setattr(shutil, "rmtree", noted_rmtree)
    monkeypatch.setenv("TMPDIR", "/nowhere")
    checkpoints.save(1, tensors(), {})
    written = [
        "flush new/step-0000000001.partial/ema.safetensors",
        "flush new/step-0000000001.partial/model.safetensors",
        "flush new/step-0000000001.partial/optimizer.safetensors",
        "flush new/step-0000000001.partial/state.json",
        "flush new/step-0000000001.partial/manifest.json",
        "flush new/step-0000000001.partial",
        "rename step-0000000001.partial step-0000000001",
        "flush new",
    ]
    assert events == ["flush .", *written]
    events.clear()
    checkpoints.save(2, tensors(), {})
    assert events == [
        *(event.replace("0001", "0002") for event in written),
        "rename step-0000000001 step-0000000001.partial",
        "flush new",
        "remove step-0000000001.partial",
    ]


def test_of_tensors_that_must_be_copied_one_copy_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies: list[weakref.ref[Tensor]] = []
    contiguous = Tensor.contiguous

    def noted(self: Tensor) -> Tensor:
        assert [copy for copy in copies if copy() is not None] == []
        copy = contiguous(self)
        assert copy.data_ptr() != self.data_ptr()
        copies.append(weakref.ref(copy))
        return copy

    state = {f"model/{number}": torch.zeros(9, 8).T for number in range(5)}
    monkeypatch.setattr(Tensor, "contiguous", noted)
    Checkpoints(tmp_path).save(1, state, {})
    assert len(copies) == 5


def test_what_died_is_swept_and_links_are_not_followed(tmp_path: Path) -> None:
    folder, outside = tmp_path / "checkpoints", tmp_path / "outside"
    checkpoints = Checkpoints(folder)
    checkpoints.sweep()
    assert not folder.exists()
    checkpoints.save(1, tensors(), {})
    outside.mkdir()
    (outside / "thesis").write_text("mine")
    (folder / "step-0000000002.partial").mkdir()
    (folder / "step-0000000002.partial" / "model.safetensors").write_bytes(b"half")
    (folder / "step-0000000002.partial" / "link").symlink_to(outside)
    (folder / "file.partial").write_bytes(b"half")
    (folder / "link.partial").symlink_to(outside)
    (folder / "dangling.partial").symlink_to(tmp_path / "nowhere")
    checkpoints.sweep()
    assert steps(folder) == [1]
    assert (outside / "thesis").read_text() == "mine"


def test_what_is_left_of_a_dead_write_does_not_hinder_the_next(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1)
    for name in ("step-0000000001.partial", "step-0000000002.partial"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(b"half")
        (tmp_path / name / "stranger").write_bytes(b"half")
    checkpoints.save(1, tensors(1), {})
    checkpoints.save(2, tensors(2), {})
    checkpoints.save(3, tensors(3), {})
    assert steps(tmp_path) == [3]
    assert not (tmp_path / "step-0000000003" / "stranger").exists()


# -- finding -------------------------------------------------------------------------


def test_before_the_first_there_is_none(tmp_path: Path) -> None:
    assert Checkpoints(tmp_path / "none").newest() is None
    assert Checkpoints(tmp_path).newest() is None


def test_only_step_folders_are_looked_at(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    path = checkpoints.save(5, tensors(), {})
    for name in ("step-0000000009.partial", "step-9", "last", "step-00000000xx"):
        shutil.copytree(path, tmp_path / name)
    (tmp_path / "step-0000000010").symlink_to(path)
    (tmp_path / "step-0000000011").write_text("")
    assert found(checkpoints).step == 5


def test_steps_are_ordered_by_number_beyond_ten_digits(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=3)
    for step in (9, 10**10, 99):
        checkpoints.save(step, tensors(), {})
    # 99 stands for a run that went back: what was beyond it makes way.
    assert steps(tmp_path) == [9, 99]
    checkpoints.save(10**10, tensors(), {})
    assert found(checkpoints).step == 10**10


def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        Checkpoints(tmp_path / "file").newest()
    assert str(caught.value) == (
        f"{tmp_path}/file: cannot be read (Not a directory); check its permissions"
    )


# -- space ---------------------------------------------------------------------------

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("keep", "keep_best", "free", "enough"),
    [
        (2, True, 1600, True),
        (2, True, 1599, False),
        (1, False, 800, True),
        (1, False, 799, False),
    ],
)
def test_there_must_be_room_for_all_that_are_kept_and_one_more(
    keep: int,
    keep_best: bool,
    free: int,
    enough: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, free))
    folder = tmp_path / "not" / "yet"
    checkpoints = Checkpoints(folder, keep=keep, keep_best=keep_best)
    state = {"model/a": torch.zeros(50), "optimizer/a": torch.zeros(25, dtype=torch.float64)}
    if enough:
        checkpoints.check_space(state)
    else:
        with pytest.raises(InputError) as caught:
            checkpoints.check_space(state)
        assert str(caught.value) == (
            f"{folder}: checkpoints need {400 * (keep + keep_best + 1)} bytes, {free} are "
            "free; free space, choose another --out, or keep fewer"
        )
    assert not folder.parent.exists()


def test_a_run_that_is_continued_needs_only_what_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, keep=1, keep_best=False)
    state = {"model/a": torch.zeros(1000)}
    path = checkpoints.save(1, state, {})
    there = (path / "model.safetensors").stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 8000 - there))
    checkpoints.check_space(state)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**9, 0, 7999 - there))
    with pytest.raises(InputError, match=f"need {8000 - there} bytes, {7999 - there} are free"):
        checkpoints.check_space(state)


def test_the_real_disk_has_room_for_little(tmp_path: Path) -> None:
    Checkpoints(tmp_path).check_space({"model/a": torch.zeros(1)})


# -- one file ------------------------------------------------------------------------


def test_a_model_is_written_to_one_file(tmp_path: Path) -> None:
    Checkpoints(tmp_path / "run").save(1, tensors(), {"epoch": 4})
    step = found(Checkpoints(tmp_path / "run"))
    consolidate(step, tmp_path / "model.safetensors")
    model = read_tensor_file(tmp_path / "model.safetensors", CPU)
    assert (
        set(model.group("model"))
        == {"block.0/weight", "bias"}
        == {name.removeprefix("model/") for name in model.tensors}
    )
    assert model.facts == {"glcm_mae": __version__, "epoch": 4}
    consolidate(step, tmp_path / "all.safetensors", groups=None)
    whole = read_tensor_file(tmp_path / "all.safetensors", CPU)
    assert whole.tensors.keys() == tensors().keys()
    assert all(torch.equal(whole.tensors[name], value) for name, value in tensors().items())
    with pytest.raises(InputError, match="holds no tensors of 'best'"):
        consolidate(step, tmp_path / "best.safetensors", groups=["best"])
    assert not (tmp_path / "best.safetensors").exists()
