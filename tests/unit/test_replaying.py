"""A step that was not finite is computed again to the bit, and the image found."""

import csv
import math
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import nn

from glcm_mae.config import FinetuneConfig, PretrainConfig, ReplayConfig
from glcm_mae.data import write_phantoms
from glcm_mae.data.batching.batches import Batch
from glcm_mae.errors import DivergenceError, InputError
from glcm_mae.losses.objective import ObjectiveValue
from glcm_mae.pretraining import Pretraining, pretrain
from glcm_mae.replaying import replay
from glcm_mae.runs import Run
from glcm_mae.training import Training

CULPRIT = 5
"""Row of an image that the tests make a term infinite for."""

MODEL = {
    "encoder": "vit_tiny_patch16_224",
    "encoder_options": {"depth": 1, "embed_dim": 32, "num_heads": 2},
    "image_size": 32,
    "patch_size": 8,
    "decoder_depth": 1,
    "decoder_width": 32,
    "decoder_heads": 2,
}
PHASES = [{"share": 1.0, "mse": 1.0, "glcm": 1.0, "ssim": 0.1}]
Judge = Callable[[Pretraining, nn.Module, Batch, int], ObjectiveValue]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replay") / "images"
    return write_phantoms(folder, count=12, size=32, seed=0, labelled=False)


def settings(images: Path, out: Path, *, balance: str = "fixed", **changes: Any) -> Any:
    training = {"epochs": 2, "batch_size": 5, "warmup_epochs": 1, "workers": 0}
    return PretrainConfig(
        data={"table": images},
        model=MODEL,
        losses={"ssim": {"window": 7}, "balance": balance, "phases": PHASES},
        pretraining={**training, "skip_non_finite": 1, "shares_every": 1, **changes},
        out=out,
    )


def adding(
    monkeypatch: pytest.MonkeyPatch, term: str, when: Callable[[Batch, int], bool]
) -> None:
    """Add infinity to a term, and so to the loss; gradients stay what they are."""
    honest: Judge = Pretraining.judge

    def judge(self: Pretraining, network: nn.Module, batch: Batch, epoch: int) -> Any:
        value = honest(self, network, batch, epoch)
        if not when(batch, epoch):
            return value
        terms = {**value.terms, term: value.terms[term] + math.inf}
        return ObjectiveValue(value.total + math.inf, terms)

    monkeypatch.setattr(Pretraining, "judge", judge)


def diverge(config: PretrainConfig, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """Train until it ends by itself; return the numbers of the last step."""
    steps: list[dict[str, float]] = []
    honest = Training._agree

    def listen(self: Training, numbers: Mapping[str, float], norm: float, stop: Any) -> Any:
        agreed, asked = honest(self, numbers, norm, stop)
        steps.append(dict(agreed))
        return agreed, asked

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_agree", listen)
        with pytest.raises(DivergenceError):
            pretrain(config)
    return steps[-1]


def assert_same_numbers(found: Mapping[str, float], logged: Mapping[str, float]) -> None:
    wanted = {k: v for k, v in logged.items() if not k.startswith("share/")}
    assert found.keys() == wanted.keys()
    for name, number in wanted.items():
        same = number == found[name] or (math.isnan(number) and math.isnan(found[name]))
        assert same, f"{name}: {found[name]!r} is not {number!r}"


@pytest.mark.parametrize(
    ("balance", "accumulate"), [("fixed", 1), ("fixed", 4), ("gradnorm", 3)]
)
def test_the_step_comes_out_alike_and_the_image_is_named(
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    balance: str,
    accumulate: int,
) -> None:
    adding(monkeypatch, "mse", lambda batch, epoch: epoch == 1 and CULPRIT in batch.rows)
    config = settings(
        images, tmp_path / "run", balance=balance, accumulate=accumulate, skip_non_finite=0
    )
    logged = diverge(config, monkeypatch)
    assert math.isinf(logged["term/mse"])
    assert math.isfinite(logged["gradient_norm"])
    assert math.isfinite(logged["term/glcm"])
    torch.manual_seed(99)
    found = replay(ReplayConfig(run=tmp_path / "run"))
    assert_same_numbers(found.numbers, logged)
    assert found.epoch == 1
    (name,) = found.culprits
    table = list(csv.DictReader(found.table.read_text().splitlines()))
    assert [line["path"] for line in table] == list(found.images)
    assert [line["path"] for line in table if line["mse"] == "inf"] == [name]
    assert name == sorted(path.name for path in images.glob("*.png"))[CULPRIT]
    again = replay(ReplayConfig(run=tmp_path / "run"))
    assert again == found


def test_what_no_image_does_alone(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adding(monkeypatch, "glcm", lambda batch, _: len(batch.rows) > 1)
    logged = diverge(settings(images, tmp_path / "run", skip_non_finite=2), monkeypatch)
    found = replay(ReplayConfig(run=tmp_path / "run"))
    assert found.culprits == []
    assert (found.epoch, found.step) == (0, 2)
    assert_same_numbers(found.numbers, logged)
    assert len(found.images) == 2, "the last batch of 12 by 5"
    # All images hide as many patches: so their mean is that of the step.
    alone = [values["mse"] for values in found.images.values()]
    assert found.numbers["term/mse"] == pytest.approx(np.mean(alone), rel=1e-5)


def test_weights_that_overflowed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No fault is made up here: the rate carries the weights out of float32."""
    config = settings(
        images,
        tmp_path / "run",
        learning_rate=1e30,
        weight_decay=0.0,
        warmup_epochs=0,
        epochs=4,
        accumulate=2,
    )
    logged = diverge(config, monkeypatch)
    found = replay(ReplayConfig(run=tmp_path / "run"))
    assert_same_numbers(found.numbers, logged)
    assert not math.isfinite(found.numbers["loss"])
    assert found.culprits == list(found.images)


# -- what the dump tells, and what is refused ------------------------------------------


@pytest.fixture(scope="module")
def diverged(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("diverged") / "run"
    with pytest.MonkeyPatch.context() as patch:
        adding(patch, "mse", lambda batch, _: CULPRIT in batch.rows)
        diverge(settings(images, run, skip_non_finite=0), patch)
    return run


def test_the_dump_holds_weights_but_no_images_and_no_paths(
    diverged: Path, images: Path
) -> None:
    (dump,) = (diverged / "nonfinite").iterdir()
    content = dump.read_bytes()
    for word in (str(images), str(diverged.parent), "/tmp", ".png", images.name):
        assert word.encode() not in content, word
    with safe_open(dump, framework="pt") as file:
        names = set(file.keys())
        sizes = {name: tuple(file.get_tensor(name).shape) for name in names}
    newest = max((diverged / "checkpoints").glob("step-*/model.safetensors"), default=None)
    assert newest is None, "the first epoch was not done"
    task = Pretraining.build(
        settings(images, diverged), loaded(images, diverged), torch.device("cpu")
    )
    assert sizes == {k: tuple(v.shape) for k, v in task.model.state_dict().items()}


def loaded(images: Path, run: Path) -> Any:
    from glcm_mae.intake import load_table

    config = settings(images, run)
    return load_table(config.data, config.model, labelled=False)


def copied(images: Path, folder: Path) -> Path:
    shutil.copytree(images, folder)
    return folder


def refused(run: Path, table: Path | None = None) -> str:
    with pytest.raises(InputError) as caught:
        replay(ReplayConfig(run=run, table=table))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_images_that_have_moved(diverged: Path, images: Path, tmp_path: Path) -> None:
    found = replay(ReplayConfig(run=diverged, table=copied(images, tmp_path / "moved")))
    assert len(found.images) == 5
    assert found == replay(ReplayConfig(run=diverged))


def test_images_that_have_changed(diverged: Path, images: Path, tmp_path: Path) -> None:
    changed = copied(images, tmp_path / "changed")
    path = min(changed.glob("*.png"))
    pixels = np.array(Image.open(path))
    pixels[3, 4] ^= 1
    Image.fromarray(pixels).save(path)
    assert "not those that the run was begun with" in refused(diverged, changed)


def test_images_that_are_more_or_fewer(diverged: Path, images: Path, tmp_path: Path) -> None:
    more = copied(images, tmp_path / "more")
    shutil.copy(min(more.glob("*.png")), more / "zzz.png")
    assert "(12 then, 13 now); pass --table" in refused(diverged, more)
    fewer = copied(images, tmp_path / "fewer")
    max(fewer.glob("*.png")).unlink()
    assert "(12 then, 11 now); pass --table" in refused(diverged, fewer)


def test_runs_that_hold_no_such_step(images: Path, tmp_path: Path) -> None:
    assert "config.yaml: is missing, so that" in refused(tmp_path / "none")
    config = settings(images, tmp_path / "run")
    Run.open(config, folder=tmp_path / "run")
    assert "holds no step that was not finite" in refused(tmp_path / "run")
    tuned = FinetuneConfig(data={"table": images}, start="scratch", out=tmp_path / "tuned")
    Run.open(tuned, folder=tmp_path / "tuned")
    assert "not the run of a pre-training" in refused(tmp_path / "tuned")


@pytest.mark.parametrize("name", ["images.csv", "config.yaml", "nonfinite"])
def test_runs_that_are_damaged(diverged: Path, tmp_path: Path, name: str) -> None:
    run = tmp_path / "run"
    shutil.copytree(diverged, run)
    path = next((run / name).glob("*.safetensors")) if name == "nonfinite" else run / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert str(run) in refused(run)
    if name != "nonfinite":
        path.unlink()
        assert str(path) in refused(run)


def test_the_newest_step_is_taken(diverged: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(diverged, run)
    (dump,) = (run / "nonfinite").glob("*.safetensors")
    older = dump.with_name("epoch-9-step-9.safetensors")
    older.write_bytes(b"an older one, damaged")
    os.utime(older, (1.0, 1.0))
    found = replay(ReplayConfig(run=run))
    assert (found.epoch, found.table) == (0, dump.with_suffix(".csv"))
