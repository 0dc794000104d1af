"""The weights that restore texture best are kept, on images that are never trained on."""

import csv
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tiny import PRETRAIN, Command

from glcm_mae.data.batching.batches import Batch
from glcm_mae.pretraining import Pretraining
from glcm_mae.pretraining.fidelity import BestWeights
from glcm_mae.training import LossValue, Moment

EPOCHS = 6
SELECT = [
    *("--pretraining.epochs", str(EPOCHS)),
    *("--pretraining.held_out_share", "0.25"),
    *("--pretraining.fidelity_every", "2"),
    *("--pretraining.fidelity_images", "4"),
    *("--pretraining.select_by", "texture"),
]


def command(phantoms: Path, out: Path, *further: str) -> list[str]:
    arguments = ["pretrain", "--data.table", str(phantoms), *PRETRAIN, *further]
    return [*arguments, "--out", str(out), "--resume"]


def metrics(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def facts(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        return dict(json.loads(file.metadata()["facts"]))


def parts(out: Path) -> dict[str, str]:
    with (out / "split.csv").open(newline="") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def assert_same(one: Path, other: Path) -> None:
    first, second = load_file(one), load_file(other)
    assert first.keys() == second.keys()
    assert all(torch.equal(value, second[name]) for name, value in first.items())


def test_the_epoch_of_the_least_logged_error_is_exported(
    phantoms: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained, loss = set(), Pretraining.loss

    def watched(self: Any, network: Any, batch: Batch, moment: Moment) -> LossValue:
        trained.update(batch.together.tolist())
        return loss(self, network, batch, moment)

    monkeypatch.setattr(Pretraining, "loss", watched)
    out = tmp_path / "run"
    code, _, err = glcm_mae(*command(phantoms, out, *SELECT))
    assert code == 0, err
    logged = {line["epoch"]: line.get("fidelity/haralick_error") for line in metrics(out)}
    measured = {epoch: error for epoch, error in logged.items() if error is not None}
    assert sorted(measured) == [1, 3, 5]
    best = min(measured, key=lambda epoch: measured[epoch])
    assert facts(out / "autoencoder.safetensors")["epoch"] == best
    assert f"weights of epoch {best + 1}, which restores the held-out texture best" in err
    # Held out means: not among the images that a loss was computed of, nor in their list.
    held_out = [row for row, part in enumerate(parts(out).values()) if part == "validation"]
    assert len(held_out) == 6
    assert trained == set(range(24)) - set(held_out)
    listed = (out / "images.csv").read_text()
    names = list(parts(out))
    assert not any(names[row] in listed for row in held_out)
    events = b"".join(path.read_bytes() for path in (out / "tensorboard").iterdir())
    assert b"fidelity/haralick_error" in events
    assert b"fidelity/psnr" in events


@pytest.mark.slow
def test_a_stopped_run_ends_with_the_same_epoch(
    phantoms: Path, tmp_path: Path, glcm_mae: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors, kept = [0.9, 0.2, 0.9, 0.5, 0.9, 0.4], {}
    offer, loss = BestWeights.offer, Pretraining.loss

    def scripted(self: BestWeights, epoch: int, error: float, model: Any) -> None:
        kept[epoch] = {n: value.clone() for n, value in model.state_dict().items()}
        offer(self, epoch, errors[epoch], model)

    monkeypatch.setattr(BestWeights, "offer", scripted)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert glcm_mae(*command(phantoms, whole, *SELECT))[0] == 0

    def stops(self: Any, network: Any, batch: Batch, moment: Moment) -> LossValue:
        if moment.epoch == 4 and moment.step == 0:
            os.kill(os.getpid(), signal.SIGTERM)
        return loss(self, network, batch, moment)

    monkeypatch.setattr(Pretraining, "loss", stops)
    assert glcm_mae(*command(phantoms, cut, *SELECT))[0] == 128 + signal.SIGTERM
    monkeypatch.setattr(Pretraining, "loss", loss)
    code, _, err = glcm_mae(*command(phantoms, cut, *SELECT))
    assert code == 0, err
    assert "continuing" in err
    for name in ("autoencoder.safetensors", "encoder.safetensors"):
        assert_same(whole / name, cut / name)
        assert facts(cut / name)["epoch"] == 1
    for name in ("metrics.jsonl", "split.csv", "images.csv"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    exported = load_file(cut / "autoencoder.safetensors")
    assert all(torch.equal(value, kept[1][name]) for name, value in exported.items())
    assert not all(torch.equal(value, kept[5][name]) for name, value in exported.items())
    newest = sorted((cut / "checkpoints").glob("step-*/best.safetensors"))[-1]
    best = {name.removeprefix("best/"): value for name, value in load_file(newest).items()}
    assert all(torch.equal(value, best[name]) for name, value in exported.items())


def test_without_a_held_out_part_training_images_are_measured(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    assert glcm_mae(*command(phantoms, out))[0] == 0
    first, last = metrics(out)
    assert not [name for name in first if "fidelity" in name]
    assert sorted(name for name in last if "fidelity" in name) == [
        "training_fidelity/haralick_error",
        "training_fidelity/psnr",
    ]
    assert not (out / "split.csv").exists()
    assert "epoch" not in facts(out / "autoencoder.safetensors")
    never = tmp_path / "never"
    assert glcm_mae(*command(phantoms, never, "--pretraining.fidelity_every", "0"))[0] == 0
    assert not [name for line in metrics(never) for name in line if "fidelity" in name]
    # To measure changes no weight.
    assert_same(out / "autoencoder.safetensors", never / "autoencoder.safetensors")


@pytest.mark.parametrize(
    "settings",
    [
        ["--pretraining.select_by", "texture"],
        [*SELECT, "--pretraining.held_out_share", "0"],
        [*SELECT, "--pretraining.fidelity_every", "0"],
    ],
)
def test_texture_needs_something_to_select_by(
    settings: list[str], phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    code, _, err = glcm_mae(*command(phantoms, tmp_path / "run", *settings))
    assert code == 2
    assert "select_by texture needs held-out images, and measurements on them" in err
    assert not (tmp_path / "run").exists()
