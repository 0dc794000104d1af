"""The run folder: whole files or none, metrics, runs continued."""

import errno
import json
import os
from pathlib import Path

import pytest
import torch
import yaml

from glcm_mae import __version__
from glcm_mae.config import PretrainConfig
from glcm_mae.errors import InputError
from glcm_mae.runs import Run, dump_config, write_atomically, write_json


def settings(out: Path, **changes: object) -> PretrainConfig:
    return PretrainConfig(data={"table": "images"}, out=out, **changes)


def full_disk(*args: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def files(folder: Path) -> list[str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return sorted(path.relative_to(folder).as_posix() for path in found)


def events(run: Run) -> list[dict[str, object]]:
    lines = (run.folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a" / "b" / "file", b"new")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"new"
    write_atomically(tmp_path / "a" / "b" / "file", b"newer")
    assert (tmp_path / "a" / "b" / "file").read_bytes() == b"newer"
    assert files(tmp_path) == ["a/b/file"]


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_and_no_partial_one(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"old")
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", full_disk)
    else:
        monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(InputError) as caught:
        write_atomically(path, b"new")
    assert str(caught.value) == (
        f"{path}: cannot be written (No space left on device); free space or choose another "
        "--out"
    )
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["file"]


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_atomically(tmp_path / "file" / "below", b"new")


def test_the_content_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        order.append("fsync")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        order.append("replace")
        assert self.parent == target.parent
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    write_atomically(tmp_path / "file", b"new")
    assert order == ["fsync", "replace", "fsync"]  # the content, the name, the folder


def test_json_has_no_nan(tmp_path: Path) -> None:
    content = {"a": float("nan"), "b": [1.5, float("inf")], "c": {"d": (True, None, "x")}}
    write_json(tmp_path / "file.json", content)
    text = (tmp_path / "file.json").read_text("utf-8")
    assert json.loads(text) == {"a": None, "b": [1.5, None], "c": {"d": [True, None, "x"]}}
    assert text.endswith("}\n")


def test_a_new_run_has_its_settings_and_its_environment(tmp_path: Path) -> None:
    config = settings(tmp_path / "run", seed=7, model={"mask_ratio": 0.6})
    run = Run.open(config, folder=tmp_path / "run")
    assert files(run.folder) == ["config.yaml", "environment.json"]
    text = (run.folder / "config.yaml").read_text("utf-8")
    assert PretrainConfig(**yaml.safe_load(text)) == config
    environment = json.loads((run.folder / "environment.json").read_text("utf-8"))
    assert environment["seed"] == 7
    assert environment["glcm_mae"] == __version__
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0] or (
        environment["packages"]["torch"] == torch.__version__
    )
    assert set(environment) == {
        "glcm_mae",
        "commit",
        "python",
        "system",
        "packages",
        "threads",
        "gpu",
        "seed",
        "command",
    }


def test_an_empty_folder_may_become_a_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    assert (run.folder / "config.yaml").is_file()


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_with_something_else_in_it_is_refused(resume: bool, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError) as caught:
        Run.open(settings(tmp_path), folder=tmp_path, resume=resume)
    assert str(caught.value) == f"{tmp_path}: run folder exists; choose another --out"
    assert files(tmp_path) == ["thesis.tex"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(InputError, match="run folder exists; choose another --out"):
        Run.open(settings(tmp_path / "run"), folder=tmp_path / "run", resume=True)


def test_a_run_is_not_overwritten(tmp_path: Path) -> None:
    config = settings(tmp_path / "run")
    Run.open(config, folder=config.out)
    with pytest.raises(InputError) as caught:
        Run.open(config, folder=config.out)
    assert str(caught.value) == (
        f"{config.out}: run folder exists; choose another --out, or continue it with --resume"
    )


def test_resume_starts_a_run_that_is_not_there(tmp_path: Path) -> None:
    config = settings(tmp_path / "run")
    run = Run.open(config, folder=config.out, resume=True)
    assert files(run.folder) == ["config.yaml", "environment.json"]


def test_a_resumed_run_is_swept_and_else_left_alone(tmp_path: Path) -> None:
    config = settings(tmp_path / "run")
    run = Run.open(config, folder=config.out)
    run.checkpoints(keep=2, keep_best=True).save(3, {"model/a": torch.ones(2)}, {})
    half = run.folder / "checkpoints" / "step-0000000004.partial"
    half.mkdir()
    (half / "model.safetensors").write_bytes(b"half")
    (run.folder / "encoder.safetensors.partial").write_bytes(b"half")
    before = (run.folder / "environment.json").read_bytes()
    again = Run.open(config, folder=config.out, resume=True)
    again.checkpoints(keep=2, keep_best=True)
    assert files(run.folder) == [
        "checkpoints/step-0000000003/manifest.json",
        "checkpoints/step-0000000003/model.safetensors",
        "checkpoints/step-0000000003/state.json",
        "config.yaml",
        "environment.json",
    ]
    assert not half.exists()
    assert (run.folder / "environment.json").read_bytes() == before


@pytest.mark.parametrize(
    "changes",
    [
        {"devices": 2, "nodes": 3, "strategy": "fsdp"},
        {"launch": {"restarts": 9, "address": "a:1"}},
        {"checkpoints": {"keep": 7, "every_minutes": 1.0}},
        {"pretraining": {"workers": 5, "accumulate": 4}},
        {"device": "cpu", "compile": "never"},
    ],
    ids=["machines", "launch", "checkpoints", "parts", "computer"],
)
def test_what_only_computes_a_run_may_change(
    changes: dict[str, object], tmp_path: Path
) -> None:
    Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    Run.open(settings(tmp_path / "run", **changes), folder=tmp_path / "run", resume=True)


def test_resume_with_other_settings_lists_their_keys(tmp_path: Path) -> None:
    out = tmp_path / "run"
    Run.open(settings(out), folder=out)
    other = settings(
        out,
        seed=1,
        model={"encoder_options": {"depth": 2}},
        pretraining={"augmentation": {"shift": 0.1}},
        losses={"phases": [{"mse": 1.0}]},
    )
    with pytest.raises(InputError) as caught:
        Run.open(other, folder=out, resume=True)
    assert str(caught.value) == (
        f"{out}: cannot be resumed with other settings; differing: losses.phases, "
        "model.encoder_options.depth, pretraining.augmentation.shift, seed"
    )


def test_a_job_goes_on_where_its_run_was_moved_to(tmp_path: Path) -> None:
    """What earlier stages wrote lies elsewhere too, as seen from the same folder."""

    def job(root: Path, split: str = "split.csv") -> PretrainConfig:
        data = {"table": "t", "split": root / "fold-0" / split, "groups": root / "groups.csv"}
        return PretrainConfig(data=data, out=root / "fold-0" / "pretraining")

    before, after = tmp_path / "before", tmp_path / "after"
    Run.open(job(before), folder=job(before).out)
    before.rename(after)
    Run.open(job(after), folder=job(after).out, resume=True)
    with pytest.raises(InputError, match=r"differing: data\.split$"):
        Run.open(job(after, "other.csv"), folder=job(after).out, resume=True)
    named = Path(os.path.relpath(after))
    Run.open(job(named), folder=job(named).out, resume=True)


def test_numbers_are_logged_as_lines_and_for_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    for epoch in range(3):
        run.log_scalars({"loss": 1 / (epoch + 1)}, epoch=epoch)
    assert events(run) == [{"epoch": e, "loss": 1 / (e + 1)} for e in range(3)]
    (board,) = (run.folder / "tensorboard").iterdir()
    assert board.name.startswith("events.out.tfevents")
    read = EventAccumulator(str(board))
    read.Reload()
    scalars = [(event.step, event.value) for event in read.Scalars("loss")]
    assert scalars == [(e, pytest.approx(1 / (e + 1))) for e in range(3)]


def test_a_line_of_metrics_is_json_even_when_a_score_is_nan(tmp_path: Path) -> None:
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    run.log(epoch=0, auroc=float("nan"))
    text = (run.folder / "metrics.jsonl").read_text("utf-8")
    assert text == '{"epoch": 0, "auroc": null}\n'


def test_metrics_are_cut_back_to_a_checkpoint(tmp_path: Path) -> None:
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    assert run.metrics_bytes == 0
    run.log(epoch=0, loss=1.0)
    length = run.metrics_bytes
    run.log(epoch=1, loss=1.0)
    with (run.folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "lo')
    run.truncate_metrics(length)
    assert events(run) == [{"epoch": 0, "loss": 1.0}]
    run.log(epoch=1, loss=2.0)
    assert events(run)[1:] == [{"epoch": 1, "loss": 2.0}]


def test_metrics_that_were_lost_are_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    run.truncate_metrics(0)
    run.truncate_metrics(50)
    assert "metrics.jsonl: has lost lines since the checkpoint was written" in (
        capfd.readouterr().err
    )


def test_speed_is_apart_from_what_every_run_repeats(tmp_path: Path) -> None:
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    run.log_speed({"images_per_second": 3.5}, epoch=0)
    text = (run.folder / "speed.jsonl").read_text("utf-8")
    assert json.loads(text) == {"epoch": 0, "images_per_second": 3.5}
    assert not (run.folder / "metrics.jsonl").exists()


def test_a_file_that_must_stay_is_not_replaced_by_another(tmp_path: Path) -> None:
    run = Run.open(settings(tmp_path / "run"), folder=tmp_path / "run")
    run.keep("split.csv", b"one")
    run.keep("split.csv", b"one")
    with pytest.raises(InputError, match=r"split\.csv: the images have changed since the run"):
        run.keep("split.csv", b"two")
    assert (run.folder / "split.csv").read_bytes() == b"one"


def test_every_setting_is_spelled_out(tmp_path: Path) -> None:
    read = yaml.safe_load(dump_config(settings(tmp_path)))
    assert read["pretraining"]["betas"] == [0.9, 0.95]
    assert read["losses"]["phases"][1] == {"share": 0.5, "mse": 1.0, "glcm": 1.0, "ssim": 0.1}
    assert list(read) == list(PretrainConfig.model_fields)
