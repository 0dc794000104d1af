"""The training loop of all stages, top to bottom; the stages bring model and loss.

A step looks at ``batch_size`` images, divided over processes and, on each, over parts
whose gradients are added up. Every random number follows from seed, epoch and sample
(or step), and a checkpoint stands between two steps: so a run that is stopped anywhere
and continued ends with the very bits of one that was not.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.checkpoints import Checkpoints
from glcm_mae.config import OptimizationConfig, StageConfig
from glcm_mae.data.batching.batches import Batch, Division, count_batches, training_batches
from glcm_mae.data.batching.randomness import Stream, counted_seed
from glcm_mae.devices import choose_device, loss_scaler, precision_on, should_compile
from glcm_mae.distributed import (
    exchanging,
    full_tensors,
    on_main,
    ranks,
    release,
    sum_over_ranks,
    wrap,
)
from glcm_mae.errors import DivergenceError, StoppedError
from glcm_mae.launching import beat
from glcm_mae.model.encoder import use_fused_attention
from glcm_mae.optimization import (
    RunningStatistics,
    WeightAverage,
    allocate_moments,
    build_optimizer,
    learning_rate_at,
    set_learning_rate,
    training_state,
)
from glcm_mae.performance import flops_per_image, matrix_peak, peak_memory
from glcm_mae.progress import Meter, say
from glcm_mae.runs import Run
from glcm_mae.signals import STOPPING, StopSignals
from glcm_mae.tensor_file import write_tensor_file
from glcm_mae.training.task import Moment, Task

SKIPPED = "skipped_steps"
"""Among the numbers of an epoch: the steps that were not finite."""


@dataclass
class _Progress:
    """Where a training stands: what a checkpoint holds beside tensors."""

    epoch: int = 0
    step: int = 0
    skipped: int = 0
    ended: bool = False  # before the last epoch, because the task said so

    def __post_init__(self) -> None:
        self.sums: dict[str, list[float]] = {}

    def add(self, numbers: Mapping[str, float]) -> None:
        """Add the numbers of a step to the sums of the epoch."""
        for name, number in numbers.items():
            total = self.sums.setdefault(name, [0.0, 0.0])
            total[0] += number
            total[1] += 1

    def means(self) -> dict[str, float]:
        """Return the means over the epoch so far; of skipped steps, their number."""
        return {
            name: total if name == SKIPPED else total / count
            for name, (total, count) in self.sums.items()
        }


class Training:
    """A training under way: the loop and all that it holds.

    Args:
        task: The stage's model and loss.
        config: Settings of the stage.
        settings: Settings of the optimiser.
        run: Where it is written.
        strategy: How the model is spread over processes.
    """

    def __init__(
        self,
        task: Task,
        config: StageConfig,
        settings: OptimizationConfig,
        run: Run,
        *,
        strategy: Literal["ddp", "fsdp"] = "ddp",
    ) -> None:
        self.task, self.config, self.settings, self.run = task, config, settings, run
        self.device = choose_device(config.device)
        if (
            self.device.type == "cpu"
            and precision_on(self.device, config.precision) == "bfloat16"
        ):
            use_fused_attention(task.model, False)  # whose gradient is slow there
        self.flops = flops_per_image(task.model, *task.sample_input(self._one_image()))
        if should_compile(self.device, config.compile):
            task.model.compile()
        self.network = wrap(task.model, task.blocks, strategy, self.device)
        self.optimizer = build_optimizer(
            task.model,
            weight_decay=settings.weight_decay,
            betas=settings.betas,
            layer_decay=task.layer_decay,
        )
        self.average = WeightAverage(task.model, settings.ema)
        self.statistics = RunningStatistics(task.model)
        self.scaler = loss_scaler(self.device, config.precision)
        self.checkpoints: Checkpoints = run.checkpoints(
            keep=config.checkpoints.keep, keep_best=config.checkpoints.keep_best
        )
        self.progress = _Progress()
        self.division = Division(ranks().rank, ranks().size, settings.accumulate)
        self._saved_at = time.monotonic()

    def _one_image(self) -> Tensor:
        return torch.zeros((1, *self.task.pixels.shape[1:]), device=self.device)

    # -- the loop ---------------------------------------------------------------------

    def train(self, *, resume: bool) -> None:
        """Train to the last epoch, from the newest checkpoint if there is one.

        Raises:
            DivergenceError: If too many steps in a row were not finite.
            StoppedError: If a signal asked to stop; the state is saved.
            InputError: If a checkpoint cannot be written or read.
        """
        if resume:
            self._restore()
        tensors = self._tensors()
        on_main(lambda: self.checkpoints.check_space(tensors))
        epochs, images = self.settings.epochs, len(self.task.rows(0))
        done = self.progress.epoch * images + self.progress.step * self.settings.batch_size
        with (
            StopSignals() as stop,
            Meter(self.task.title, total=epochs * images, done=done) as meter,
        ):
            while self.progress.epoch < epochs and not self.progress.ended:
                self._train_epoch(meter, stop)
                self._end_epoch(meter, stop)

    def _train_epoch(self, meter: Meter, stop: StopSignals) -> None:
        self.task.model.train()
        rows = self.task.rows(self.progress.epoch)
        steps = count_batches(len(rows), self.settings.batch_size)
        batches = self._batches(rows)
        while self.progress.step < steps:
            moment = Moment(self.progress.epoch, self.progress.step, steps)
            asked = self._take_step(moment, islice(batches, self.settings.accumulate), stop)
            self.progress.step += 1
            images = min(
                self.settings.batch_size, len(rows) - moment.step * self.settings.batch_size
            )
            meter.advance(images, self._note(moment, meter))
            beat()
            if self.progress.step < steps and (asked.stop or asked.save):
                self._save()
                self._leave_if(asked.stop)

    def _batches(self, rows: NDArray[np.int64]) -> Iterator[Batch]:
        return training_batches(
            self.task.pixels,
            rows,
            batch_size=self.settings.batch_size,
            seed=self.config.seed,
            epoch=self.progress.epoch,
            device=self.device,
            augmentation=self.settings.augmentation.model_dump(),
            workers=self.settings.workers,
            first_step=self.progress.step,
            division=self.division,
            draws=self.task.draws,
            mixing=self.task.mixing,
        )

    def _take_step(self, moment: Moment, parts: Iterator[Batch], stop: StopSignals) -> "_Asked":
        """Take one step, or skip it if it is not finite."""
        set_learning_rate(
            self.optimizer, self._rate(moment.epoch + (moment.step + 1) / moment.steps)
        )
        self.optimizer.zero_grad()
        numbers: dict[str, float] = {}
        self.statistics.keep()
        for part, batch in enumerate(parts):
            self._add_gradient(batch, part, moment, numbers)
        self.scaler.unscale_(self.optimizer)
        norm = clip_gradients(self.task.model, self.settings.clip_norm)
        numbers, asked = self._agree(numbers, norm, stop)
        bad = [name for name, number in numbers.items() if not isfinite(number)]
        if not bad:
            self.scaler.step(self.optimizer)
            self.average.update()
            self.progress.skipped = 0
            self.progress.add(numbers)
        else:
            self.statistics.put_back()
            if not self._only_scaled_too_far(bad):
                self._skip(bad, batch.together, moment)
        self.scaler.update()
        return asked

    def _rate(self, epochs: float) -> float:
        return learning_rate_at(
            epochs,
            epochs=self.settings.epochs,
            peak=self.settings.peak_learning_rate,
            floor=self.settings.min_learning_rate,
            warmup_epochs=self.settings.warmup_epochs,
        )

    def _add_gradient(
        self, batch: Batch, part: int, moment: Moment, numbers: dict[str, float]
    ) -> None:
        """Add the gradient of one part; ``numbers`` gets its share of the step's means."""
        seed_dropout(self.config.seed, moment, self.division, part)
        with exchanging(self.network, part + 1 == self.division.parts):
            value = self.task.loss(self.network, batch, moment)
            # Gradients are averaged over processes, but their shares add up.
            scaled = value.total * (batch.share * self.division.ranks)
            torch.autograd.backward(self.scaler.scale(scaled))
        found = {"loss": value.total, **value.numbers}
        tensors = [torch.as_tensor(number).detach().double().cpu() for number in found.values()]
        for name, number in zip(found, torch.stack(tensors).tolist(), strict=True):
            share = number * batch.share if batch.share else 0.0
            numbers[name] = numbers.get(name, 0.0) + share

    def _agree(
        self, numbers: Mapping[str, float], norm: float, stop: StopSignals
    ) -> tuple[dict[str, float], "_Asked"]:
        """Add up over processes what each found of the step, and whether one must stop."""
        due = time.monotonic() - self._saved_at > 60 * self.config.checkpoints.every_minutes
        flags = [
            *(float(stop.arrived is sign) for sign in STOPPING),
            float(due and ranks().main),
        ]
        *totals, term, interrupt, user, save = sum_over_ranks([*numbers.values(), *flags])
        agreed = dict(zip(numbers, totals, strict=True))
        arrived = [
            sign
            for sign, flag in zip(STOPPING, (term, interrupt, user), strict=True)
            if flag > 0
        ]
        asked = _Asked(int(arrived[0]) if arrived else 0, save > 0)
        return {**agreed, "gradient_norm": norm}, asked

    def _note(self, moment: Moment, meter: Meter) -> str:
        means = self.progress.means()
        shown = [
            f"{name.removeprefix('term/')} {value:.4f}"
            for name, value in means.items()
            if name.startswith("term/")
        ] or [f"loss {means.get('loss', float('nan')):.4f}"]
        speed = self._speed(meter)
        shown += [f"{speed['utilisation']:.0%} of peak", f"{speed['peak_memory_gb']:.1f} GB"]
        return f"epoch {moment.epoch + 1}  {'  '.join(shown)}"

    def _speed(self, meter: Meter) -> dict[str, float]:
        dtype = torch.float32
        if self.device.type == "cuda" and self.config.precision != "float32":
            dtype = getattr(torch, self.config.precision)
        peak = matrix_peak(self.device, dtype) * ranks().size
        if self.device.type == "cpu":
            peak /= ranks().size  # processes on a CPU share its cores
        return {
            "images_per_second": meter.rate,
            "utilisation": meter.rate * self.flops / peak,
            "peak_memory_gb": peak_memory(self.device) / 1e9,
        }

    def _end_epoch(self, meter: Meter, stop: StopSignals) -> None:
        means = self.progress.means()
        with self.average.in_place():
            verdict = self.task.end_epoch(self.progress.epoch, means)
            release(self.network)
        numbers = {
            **means,
            **verdict.numbers,
            "learning_rate": self._rate(self.progress.epoch + 1),
        }
        self.run.log_scalars(numbers, epoch=self.progress.epoch)
        self.run.log_speed(self._speed(meter), epoch=self.progress.epoch)
        self.progress = _Progress(
            self.progress.epoch + 1, skipped=self.progress.skipped, ended=verdict.stop
        )
        _, asked = self._agree({}, 0.0, stop)
        finished = verdict.stop or self.progress.epoch == self.settings.epochs
        due = self.progress.epoch % self.config.checkpoints.every_epochs == 0
        if finished or due or asked.save or asked.stop:
            self._save(rank=verdict.rank)
        if not finished:
            self._leave_if(asked.stop)

    def _leave_if(self, number: int) -> None:
        if number:
            raise StoppedError(
                number,
                f"stopped by {STOPPING_NAMES[number]}; {self.run.folder} is saved, the same "
                "command with --resume continues",
            )

    # -- what is not finite -----------------------------------------------------------

    def _only_scaled_too_far(self, bad: Sequence[str]) -> bool:
        """Say whether float16 overflowed only because the loss was scaled up too much."""
        return bad == ["gradient_norm"] and self.scaler.is_enabled() and self._scale() > 1.0

    def _scale(self) -> float:
        return float(self.scaler.get_scale())

    def _skip(self, bad: Sequence[str], rows: NDArray[np.int64], moment: Moment) -> None:
        self.progress.skipped += 1
        self.progress.add({SKIPPED: 1.0})
        names = ", ".join(self.task.name(row) for row in rows)
        where = f"{', '.join(bad)} not finite at epoch {moment.epoch}, step {moment.step}"
        if self.progress.skipped <= self.settings.skip_non_finite:
            say(f"{where}: the step is skipped; images: {names}")
            return
        path = self._dump(bad, rows, moment)
        again = " (glcm-mae replay)" if self.task.section == "pretraining" else ""
        raise DivergenceError(
            f"{where}, after {self.settings.skip_non_finite} skipped steps; the last "
            f"checkpoint ({self.run.folder / 'checkpoints'}) is kept, and the step in "
            f"{path}{again}; try a lower {self.task.section}.learning_rate; images of the "
            f"step: {names}"
        )

    def _dump(self, bad: Sequence[str], rows: NDArray[np.int64], moment: Moment) -> Path:
        """Keep what is needed to compute the step again: weights and rows, no images.

        Rows, for a path may name a patient; images.csv tells which images they are.
        """
        path = (
            self.run.folder / f"nonfinite/epoch-{moment.epoch}-step-{moment.step}.safetensors"
        )
        weights = full_tensors(self.task.model.state_dict())
        if ranks().main:
            facts = {
                "epoch": moment.epoch,
                "step": moment.step,
                "steps": moment.steps,
                "bad": list(bad),
                "ranks": self.division.ranks,
                "parts": self.division.parts,
                "rows": [int(row) for row in rows],
                "task": self.task.facts(),
                **self.task.describe(),
            }
            write_tensor_file(path, weights, facts)
        return path

    # -- checkpoints ------------------------------------------------------------------

    def _own_tensors(self) -> dict[str, Tensor]:
        allocate_moments(self.optimizer)
        return {
            **training_state(self.task.model, self.optimizer),
            **self.average.tensors(),
        }

    def _tensors(self) -> dict[str, Tensor]:
        return {**self._own_tensors(), **self.task.tensors()}

    def _save(self, rank: Sequence[float] | None = None) -> None:
        facts = {
            "epoch": self.progress.epoch,
            "step": self.progress.step,
            "skipped": self.progress.skipped,
            "ended": self.progress.ended,
            "sums": self.progress.sums,
            "averaged_steps": self.average.steps,
            "metrics_bytes": self.run.metrics_bytes,
            "scaler": self.scaler.state_dict(),
            "task": self.task.facts(),
            **self.task.describe(),
        }
        self.checkpoints.save(self._number(), self._tensors(), facts, rank=rank)
        self._saved_at = time.monotonic()

    def _number(self) -> int:
        steps = count_batches(len(self.task.rows(0)), self.settings.batch_size)
        return self.progress.epoch * steps + self.progress.step

    def _restore(self) -> None:
        found = self.checkpoints.newest()
        if found is None:
            self.run.truncate_metrics(0)
            return
        facts = found.facts
        own = self._own_tensors()
        found.load_into(own)
        self.average.steps = facts["averaged_steps"]
        self.scaler.load_state_dict(facts["scaler"])
        ended = facts.get("ended", False)  # which older checkpoints do not tell
        self.progress = _Progress(facts["epoch"], facts["step"], facts["skipped"], ended)
        self.progress.sums = {name: list(pair) for name, pair in facts["sums"].items()}
        groups = {name.partition("/")[0] for name in found.names}
        further = groups - {name.partition("/")[0] for name in own}
        brought = {
            f"{group}/{name}": tensor
            for group in sorted(further)
            for name, tensor in found.read(group, self.device).items()
        }
        self.task.restore(facts["task"], brought)
        self.run.truncate_metrics(facts["metrics_bytes"])
        within = f" and {self.progress.step} steps" if self.progress.step else ""
        say(f"continuing {self.run.folder} after {self.progress.epoch} epochs{within}")


class _Asked(NamedTuple):
    """What some process asks of all: to stop (number of the signal), to save."""

    stop: int
    save: bool


STOPPING_NAMES = {int(sign): sign.name for sign in STOPPING}


def seed_dropout(seed: int, moment: Moment, division: Division, part: int) -> None:
    """Make what a model drops at random follow from the seed, the step and its part."""
    pieces = division.ranks * division.parts
    piece = division.rank * division.parts + part
    step = moment.step * pieces + piece
    torch.manual_seed(counted_seed(seed, Stream.DROPOUT, moment.epoch, step))


def clip_gradients(model: nn.Module, limit: float) -> float:
    """Scale the gradient down to a norm; return the norm that it had, over all processes."""
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
    whole = norm.full_tensor() if hasattr(norm, "full_tensor") else norm
    return float(whole)
