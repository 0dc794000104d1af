"""Computing a step again that was not finite: which term, and which image?"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glcm_mae.assembly import IMAGES_FILE
from glcm_mae.config import PretrainConfig, ReplayConfig
from glcm_mae.data import file_hashes
from glcm_mae.data.batching.batches import Batch, Division, training_batches
from glcm_mae.devices import choose_device
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder
from glcm_mae.pretraining import Pretraining
from glcm_mae.pretraining.parts import read_images
from glcm_mae.runs import CONFIG_FILE, read_config, write_atomically
from glcm_mae.tensor_file import TensorFile, read_tensor_file
from glcm_mae.training import Moment, seed_dropout


@dataclass(frozen=True)
class Replay:
    """What a step came to when it was computed again.

    Attributes:
        epoch: Epoch of the step, counted from 0.
        step: Step within it.
        numbers: Loss, terms and gradient norm of the whole step.
        images: Loss and terms of every image of the step alone, by name.
        table: The file that holds ``images``.
    """

    epoch: int
    step: int
    numbers: Mapping[str, float]
    images: Mapping[str, Mapping[str, float]]
    table: Path

    @property
    def culprits(self) -> list[str]:
        """Images that are not finite alone."""
        return [
            name
            for name, values in self.images.items()
            if not all(isfinite(value) for value in values.values())
        ]


def replay(config: ReplayConfig) -> Replay:
    """Compute the step again at which a pre-training left the finite numbers.

    The weights are those of the step; images, augmentation and masks follow from the
    settings, the seed and the step. Every image is then judged alone, and
    ``nonfinite/…csv`` in the run folder gets a line for each.

    Args:
        config: Settings of the stage.

    Raises:
        InputError: If the run holds no such step, or its images have changed.
    """
    settings = _settings(config)
    path, kept = _newest_step(config.run)
    device = choose_device(config.device)
    images = read_images(settings)
    task = Pretraining.build(settings, images, device)
    _refuse_other_images(task, config.run)
    task.model.load_state_dict(kept.tensors)
    task.restore(kept.facts["task"], {})
    numbers = _whole_step(task, kept.facts)
    alone = {
        task.name(int(batch.rows[0])): _terms(task, batch, kept.facts)
        for batch in _images(task, kept.facts)
    }
    table = path.with_suffix(".csv")
    shown = [images.table.name(row) for row in kept.facts["rows"]]
    write_atomically(table, _format(shown, list(alone.values())).encode())
    return Replay(kept.facts["epoch"], kept.facts["step"], numbers, alone, table)


def _newest_step(run: Path) -> tuple[Path, TensorFile]:
    found = sorted(
        (run / "nonfinite").glob("*.safetensors"), key=lambda path: path.stat().st_mtime
    )
    if not found:
        raise InputError(f"{run}: holds no step that was not finite (nonfinite/*.safetensors)")
    return found[-1], read_tensor_file(found[-1], torch.device("cpu"))


def _settings(config: ReplayConfig) -> PretrainConfig:
    content = read_config(config.run)
    if "pretraining" not in content:
        raise InputError(f"{config.run}: is not the run of a pre-training, which replay needs")
    content["pretraining"]["weights"] = None  # those of the step are put in
    if config.table is not None:
        content["data"]["table"] = str(config.table)
    try:
        return PretrainConfig(**content)
    except ValueError as error:
        path = config.run / CONFIG_FILE
        raise InputError(f"{path}: is damaged; give the run folder as it was") from error


def _refuse_other_images(task: Pretraining, run: Path) -> None:
    path = run / IMAGES_FILE
    try:
        with path.open(encoding="utf-8", newline="") as file:
            then = [(row["path"], row["sha256"]) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, KeyError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read; give the run folder as it was") from error
    table = task.images.table.subset(task.trained_on)
    hashes = file_hashes(table, cache_folder(task.config.data.cache))
    now = list(zip(table.names, hashes, strict=True))
    if now != then:
        # Others, or in another order, they would make up other steps.
        raise InputError(
            f"{run}: the images are not those that the run was begun with ({len(then)} then, "
            f"{len(now)} now); pass --table with the images as they were"
        )


def _whole_step(task: Pretraining, facts: Mapping[str, Any]) -> dict[str, float]:
    """Return loss, terms and gradient norm, divided into parts as they were."""
    sums: list[dict[str, float]] = []
    task.model.train()
    task.model.zero_grad()
    for rank in range(facts["ranks"]):
        division = Division(rank, facts["ranks"], facts["parts"])
        sums.append({})
        for batch in islice(_batches(task, facts, division), facts["parts"]):
            seed_dropout(task.config.seed, _moment(facts), division, batch.part)
            # Not its first part: the balance of the terms is what it was, not measured anew.
            value = task.loss(task.model, batch._replace(part=1), _moment(facts))
            torch.autograd.backward(value.total * batch.share)
            for name, number in {"loss": value.total, **value.numbers}.items():
                share = _plain(number) * batch.share if batch.share else 0.0
                sums[-1][name] = sums[-1].get(name, 0.0) + share
    norm = torch.nn.utils.clip_grad_norm_(task.model.parameters(), float("inf"))
    numbers = {name: sum(own[name] for own in sums) for name in sums[0]}
    return {**numbers, "gradient_norm": float(norm)}


def _moment(facts: Mapping[str, Any]) -> Moment:
    return Moment(facts["epoch"], facts["step"], facts["steps"])


def _batches(
    task: Pretraining, facts: Mapping[str, Any], division: Division
) -> Iterator[Batch]:
    settings = task.config.pretraining
    return training_batches(
        task.pixels,
        task.rows(facts["epoch"]),
        batch_size=settings.batch_size,
        seed=task.config.seed,
        epoch=facts["epoch"],
        device=task.device,
        augmentation=settings.augmentation.model_dump(),
        first_step=facts["step"],
        division=division,
        draws=task.draws,
    )


def _images(task: Pretraining, facts: Mapping[str, Any]) -> Iterator[Batch]:
    """Yield every image of the step alone."""
    batch = next(_batches(task, facts, Division()))
    for number in range(len(batch.rows)):
        one = slice(number, number + 1)
        yield Batch(
            batch.rows[one], batch.images[one], together=batch.rows[one], noise=batch.noise[one]
        )


def _terms(task: Pretraining, batch: Batch, facts: Mapping[str, Any]) -> dict[str, float]:
    with torch.no_grad():
        value = task.judge(task.model, batch, facts["epoch"])
    return {k: _plain(v) for k, v in {"loss": value.total, **value.terms}.items()}


def _plain(number: Tensor | float) -> float:
    return float(torch.as_tensor(number).detach())


def _format(names: Sequence[str], values: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", *values[0]])
    writer.writerows(
        [name, *numbers.values()] for name, numbers in zip(names, values, strict=True)
    )
    return text.getvalue()
