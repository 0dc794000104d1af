"""The training loop with a toy model: parts, averages, faults, signals, checkpoints."""

import json
import random
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from glcm_mae.checkpoints import Checkpoints
from glcm_mae.config import PretrainConfig
from glcm_mae.data.batching.batches import Batch
from glcm_mae.data.batching.mixing import Mixing
from glcm_mae.errors import DivergenceError, StoppedError
from glcm_mae.runs import Run
from glcm_mae.signals import STOPPING
from glcm_mae.training import LossValue, Moment, Training, Verdict

IMAGES, BATCH = 28, 8
STEPS = 4
"""Of an epoch; the last one has half as many images."""

Spoil = Callable[["Toy", Batch, Moment, Tensor], Tensor]


class Toy:
    """A regression that takes milliseconds; ``spoil`` may change what a part comes to."""

    section, title, layer_decay, draws = "pretraining", "toy", 1.0, 0
    mixing = Mixing()
    blocks: Sequence[nn.Module] = ()

    def __init__(self, *, dropout: float = 0.0, spoil: Spoil | None = None) -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 6), nn.Dropout(dropout), nn.Tanh(), nn.Linear(6, 2)
        )
        rng = np.random.default_rng(1)
        self.pixels = rng.integers(0, 65536, (IMAGES + 4, 1, 4, 4), dtype=np.uint16)
        self.spoil = spoil
        self.judged: list[dict[str, Tensor]] = []
        self.ranks: list[Sequence[float]] = []

    def rows(self, epoch: int) -> np.ndarray:
        return np.arange(4, IMAGES + 4)

    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
        image = batch.images
        wanted = torch.stack([image.mean((1, 2, 3)), image.std((1, 2, 3))], dim=1)
        total = (network(image) - wanted).square().mean()
        if self.spoil:
            total = self.spoil(self, batch, moment, total)
        return LossValue(total, {"term/toy": total})

    def end_epoch(self, epoch: int, means: Mapping[str, float]) -> Verdict:
        self.judged.append(copied(self.model.state_dict()))
        rank = self.ranks[epoch] if self.ranks else (-means.get("loss", float("inf")),)
        return Verdict({"validation/loss": 1.5}, rank)

    def sample_input(self, image: Tensor) -> tuple[Tensor, ...]:
        return (image,)

    def name(self, row: int) -> str:
        return f"image-{row}.png"

    def describe(self) -> dict[str, Any]:
        return {"model": "toy"}

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def facts(self) -> dict[str, Any]:
        return {}

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        assert facts == {}
        assert tensors == {}


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in tensors.items()}


def assert_same(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def training(
    out: Path,
    task: Toy,
    *,
    resume: bool = False,
    saving: Mapping[str, Any] = {},
    **changes: Any,
) -> Training:
    settings = {"epochs": 3, "batch_size": BATCH, "warmup_epochs": 1, "workers": 0} | changes
    config = PretrainConfig(
        data={"table": out.parent / "none"},
        out=out,
        precision="float32",
        pretraining={"learning_rate": 0.01, "min_learning_rate": 0.001} | settings,
        checkpoints=saving,
    )
    run = Run.open(config, folder=out, resume=resume)
    return Training(task, config, config.pretraining, run)  # type: ignore[arg-type]


def train(out: Path, task: Toy | None = None, *, resume: bool = False, **more: Any) -> Training:
    made = training(out, task or Toy(), resume=resume, **more)
    made.train(resume=resume)
    return made


def metrics(out: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def steps_left(out: Path) -> list[int]:
    return sorted(int(path.name[5:]) for path in (out / "checkpoints").iterdir())


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def ending(out: Path) -> dict[str, bytes]:
    """What a run came to: its last checkpoint and its metrics, byte for byte."""
    last = max(path for path in (out / "checkpoints").iterdir())
    return {
        last.name: b"",
        **content(last),
        "metrics": (out / "metrics.jsonl").read_bytes(),
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """How a run with dropout, averaged weights and parts ends when nothing happens."""
    out = tmp_path_factory.mktemp("whole") / "run"
    train(out, Toy(dropout=0.3), **RICH)
    return ending(out)


RICH = {"accumulate": 3, "ema": 0.9}


# -- parts, rates, averages ------------------------------------------------------------


@pytest.mark.parametrize("accumulate", [2, 3, 5, 8])
def test_parts_add_up_to_the_step(tmp_path: Path, accumulate: int) -> None:
    one, parts = Toy(), Toy()
    train(tmp_path / "one", one)
    train(tmp_path / "parts", parts, accumulate=accumulate)
    for name, value in one.model.state_dict().items():
        torch.testing.assert_close(parts.model.state_dict()[name], value, rtol=0, atol=1e-6)
    for first, second in zip(
        metrics(tmp_path / "one"), metrics(tmp_path / "parts"), strict=True
    ):
        assert first.keys() == second.keys()
        assert second == pytest.approx(first, rel=1e-5)


def test_an_epoch_logs_the_mean_over_its_steps(tmp_path: Path) -> None:
    seen: list[float] = []

    def listen(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        seen.append(float(total.detach()))
        return total

    train(tmp_path / "run", Toy(spoil=listen), epochs=2)
    for epoch, line in enumerate(metrics(tmp_path / "run")):
        mine = seen[epoch * STEPS : (epoch + 1) * STEPS]
        assert line["loss"] == line["term/toy"] == pytest.approx(sum(mine) / STEPS, rel=1e-12)
        assert line["validation/loss"] == 1.5
        assert line["epoch"] == epoch
        assert "skipped_steps" not in line


def test_the_rate_follows_the_batch_unless_it_is_given(tmp_path: Path) -> None:
    def peak(name: str, **changes: Any) -> float:
        train(tmp_path / name, epochs=2, min_learning_rate=0.0, **changes)
        return metrics(tmp_path / name)[0]["learning_rate"]  # after one epoch of warm-up

    small = peak("a", learning_rate=None, base_learning_rate=0.08, batch_size=4)
    large = peak("b", learning_rate=None, base_learning_rate=0.08, batch_size=8)
    parts = peak("c", learning_rate=None, base_learning_rate=0.08, batch_size=8, accumulate=4)
    given = peak("d", learning_rate=0.003, base_learning_rate=0.08, batch_size=4)
    assert (small, large, parts) == pytest.approx((0.08 / 64, 0.08 / 32, 0.08 / 32))
    assert given == 0.003


def test_what_is_judged_is_the_average(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task, trail = Toy(), []
    monkeypatch.setattr(
        "glcm_mae.training.loop.beat", lambda: trail.append(copied(task.model.state_dict()))
    )
    made = training(tmp_path / "run", task, ema=0.8)
    average = {k: v.double() for k, v in task.model.state_dict().items()}
    made.train(resume=False)
    expected = []
    for step, weights in enumerate(trail, start=1):
        decay = min(0.8, (1 + step) / (10 + step))
        average = {k: decay * average[k] + (1 - decay) * weights[k] for k in average}
        if step % STEPS == 0:
            expected.append(average)
    assert len(trail) == 3 * STEPS
    saved = Checkpoints(tmp_path / "run" / "checkpoints").newest()
    assert saved is not None
    for name, value in saved.read("ema", torch.device("cpu")).items():
        torch.testing.assert_close(value.double(), expected[-1][name], rtol=1e-5, atol=1e-7)
    for judged, average in zip(task.judged, expected, strict=True):
        for name, value in judged.items():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-7)
    # Training itself goes on with the weights as they are, and those are saved too.
    assert_same(saved.read("model", torch.device("cpu")), trail[-1])
    assert_same(task.model.state_dict(), trail[-1])


# -- what is not finite ----------------------------------------------------------------


def at(*numbers: int, by: float = float("nan")) -> Spoil:
    """Spoil the loss of some steps, in all parts."""

    def spoil(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        return total * by if moment.number in numbers else total

    return spoil


def gradient_at(number: int, value: float) -> Spoil:
    """Spoil one entry of one gradient; the loss stays what it is."""

    def spoil(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        if moment.number == number and batch.part == 0:
            weight = toy.model[1].weight

            def one_entry(gradient: Tensor) -> Tensor:
                handle.remove()
                gradient = gradient.clone()
                gradient[2, 3] = value
                return gradient

            handle = weight.register_hook(one_entry)
        return total

    return spoil


def in_one_part(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
    return total * float("inf") if (moment.number, batch.part) == (5, 1) else total


@pytest.mark.parametrize(
    ("spoil", "bad"),
    [
        pytest.param(at(5), "loss, term/toy, gradient_norm", id="nan"),
        pytest.param(at(5, by=float("-inf")), "loss, term/toy, gradient_norm", id="inf"),
        pytest.param(in_one_part, "loss, term/toy, gradient_norm", id="one part"),
        pytest.param(gradient_at(5, float("nan")), "gradient_norm", id="gradient nan"),
        pytest.param(gradient_at(5, float("inf")), "gradient_norm", id="gradient inf"),
    ],
)
def test_a_step_that_is_not_finite_leaves_no_trace(
    tmp_path: Path,
    spoil: Spoil,
    bad: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    task = Toy(spoil=spoil)
    made = training(tmp_path / "run", task, **RICH)
    states: list[dict[str, Tensor]] = []
    monkeypatch.setattr(
        "glcm_mae.training.loop.beat", lambda: states.append(copied(made._tensors()))
    )
    made.train(resume=False)
    assert {"model", "optimizer", "ema"} == {name.partition("/")[0] for name in states[0]}
    assert_same(states[4], states[5])
    for before in (3, 5):
        for name in ("model/1.weight", "optimizer/exp_avg/1.weight", "ema/1.weight"):
            assert not torch.equal(states[before][name], states[before + 1][name])
    assert [line.get("skipped_steps") for line in metrics(tmp_path / "run")] == [
        None,
        1.0,
        None,
    ]
    told = [line for line in capfd.readouterr().err.splitlines() if "skipped" in line]
    assert len(told) == 1
    assert told[0].startswith(f"{bad} not finite at epoch 1, step 1: the step is skipped")
    assert told[0].count("image-") == BATCH
    assert made.average.steps == 3 * STEPS - 1


def test_a_number_that_is_only_logged_counts_too(tmp_path: Path) -> None:
    class Watched(Toy):
        def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
            value = super().loss(network, batch, moment)
            unused = float("nan") if moment.number == 2 else 1.0
            return LossValue(value.total, {**value.numbers, "term/unused": unused})

    train(tmp_path / "run", Watched())
    first, second, _ = metrics(tmp_path / "run")
    assert (first["skipped_steps"], first["term/unused"]) == (1.0, 1.0)
    assert "skipped_steps" not in second


def test_skipped_steps_are_counted_and_a_good_one_begins_anew(tmp_path: Path) -> None:
    # Of steps 0 ... 11 three in a row, then after one good step again three, then one.
    task = Toy(spoil=at(1, 2, 3, 5, 6, 7, 9))
    made = train(tmp_path / "run", task, skip_non_finite=3)
    assert [line["skipped_steps"] for line in metrics(tmp_path / "run")] == [3.0, 3.0, 1.0]
    assert made.progress.skipped == 0
    assert not (tmp_path / "run" / "nonfinite").exists()


def test_an_epoch_of_nothing_but_skipped_steps(tmp_path: Path) -> None:
    train(tmp_path / "run", Toy(spoil=at(*range(STEPS))), skip_non_finite=4)
    first, second, _ = metrics(tmp_path / "run")
    assert first["skipped_steps"] == 4.0
    assert "loss" not in first
    assert np.isfinite(second["loss"])


@pytest.mark.parametrize("allowed", [0, 1, 3])
def test_too_many_in_a_row_end_the_run(tmp_path: Path, allowed: int) -> None:
    out, task = tmp_path / "run", Toy(spoil=at(*range(6, 12)))
    made = training(out, task, skip_non_finite=allowed, epochs=4)
    kept: dict[str, bytes] = {}

    def remember(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        if moment.number == 6:
            kept.update(content(out / "checkpoints"))
        return at(*range(6, 12))(toy, batch, moment, total)

    task.spoil = remember
    with pytest.raises(DivergenceError) as caught:
        made.train(resume=False)
    number = 6 + allowed
    message = str(caught.value)
    epoch, step = divmod(number, STEPS)
    assert message.startswith(
        f"loss, term/toy, gradient_norm not finite at epoch {epoch}, step {step}, "
        f"after {allowed} skipped steps"
    )
    names = message.rpartition("images of the step: ")[2].split(", ")
    assert len(names) == (4 if step == 3 else 8)
    assert all(name.startswith("image-") for name in names)
    assert "pretraining.learning_rate" in message
    for name, data in kept.items():
        assert (out / "checkpoints" / name).read_bytes() == data
    path = out / "nonfinite" / f"epoch-{epoch}-step-{step}.safetensors"
    assert str(path) in message
    with safe_open(path, framework="pt") as file:
        facts = json.loads(file.metadata()["facts"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert_same(weights, task.model.state_dict())
    assert (facts["epoch"], facts["step"], facts["steps"]) == (epoch, step, STEPS)
    assert [f"image-{row}.png" for row in facts["rows"]] == names
    assert "/" not in json.dumps(facts | {"bad": []})


def test_the_count_of_skipped_steps_outlives_a_restart(tmp_path: Path) -> None:
    out, often = tmp_path / "run", {"every_minutes": 1e-9, "keep": 9}
    with pytest.raises(DivergenceError, match="epoch 1, step 1, after 2 skipped"):
        train(out, Toy(spoil=at(3, 4, 5)), skip_non_finite=2, saving=often)
    assert steps_left(out) == [1, 2, 3, 4, 5]
    with pytest.raises(DivergenceError, match="epoch 1, step 1, after 2 skipped"):
        train(out, Toy(spoil=at(5)), skip_non_finite=2, saving=often, resume=True)
    train(out, Toy(), skip_non_finite=2, saving=often, resume=True)
    assert [line.get("skipped_steps") for line in metrics(out)] == [1.0, 1.0, None]


def test_a_scale_that_is_too_high_is_no_fault(tmp_path: Path) -> None:
    """Float16's scaled gradients overflow until the scale has come down."""
    task = Toy()
    made = training(tmp_path / "run", task, skip_non_finite=0)
    made.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**14)

    def overflow(gradient: Tensor) -> Tensor:
        return gradient * (float("inf") if made._scale() > 2.0**10 else 1.0)

    task.model[1].weight.register_hook(overflow)
    made.train(resume=False)
    assert made._scale() == 2.0**10
    assert made.average.steps == 3 * STEPS - 4
    assert all("skipped_steps" not in line for line in metrics(tmp_path / "run"))


def test_a_gradient_that_overflows_at_scale_one_is_a_fault(tmp_path: Path) -> None:
    task = Toy()
    made = training(tmp_path / "run", task, skip_non_finite=0)
    made.scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    task.model[1].weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(DivergenceError, match=r"^gradient_norm not finite at epoch 0, step 2"):
        made.train(resume=False)


# -- signals ---------------------------------------------------------------------------


def signalling(sign: signal.Signals, number: int, part: int = 0) -> Spoil:
    def spoil(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        if (moment.number, batch.part) == (number, part):
            signal.raise_signal(sign)
        return total

    return spoil


def resumed(out: Path) -> dict[str, bytes]:
    train(out, Toy(dropout=0.3), resume=True, **RICH)
    return ending(out)


@pytest.mark.parametrize("sign", STOPPING, ids=lambda sign: sign.name)
@pytest.mark.parametrize(
    ("number", "part"), [(0, 0), (5, 1), (6, 2), (7, 0)], ids=lambda value: str(value)
)
def test_a_signal_stops_after_the_step(
    tmp_path: Path, whole: dict[str, bytes], sign: signal.Signals, number: int, part: int
) -> None:
    out = tmp_path / "run"
    with pytest.raises(StoppedError, match=rf"stopped by {sign.name}; .*--resume") as caught:
        train(out, Toy(dropout=0.3, spoil=signalling(sign, number, part)), **RICH)
    assert caught.value.signal == sign
    assert steps_left(out)[-1] == number + 1
    assert resumed(out) == whole


def test_a_signal_at_the_end_of_an_epoch(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, honest = tmp_path / "run", Toy.end_epoch

    def signalled(self: Toy, epoch: int, means: Mapping[str, float]) -> Verdict:
        if epoch == 1:
            signal.raise_signal(signal.SIGTERM)
        return honest(self, epoch, means)

    monkeypatch.setattr(Toy, "end_epoch", signalled)
    with pytest.raises(StoppedError):
        train(out, Toy(dropout=0.3), saving={"every_epochs": 3}, **RICH)
    assert steps_left(out) == [2 * STEPS], "saved though it was not due"
    monkeypatch.setattr(Toy, "end_epoch", honest)
    assert resumed(out) == whole


def test_a_signal_within_a_save(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    from glcm_mae.checkpoints import folders

    out, honest = tmp_path / "run", folders.write_manifest

    def signalled(folder: Path) -> None:
        if folder.name.startswith("step-0000000004"):
            signal.raise_signal(signal.SIGUSR1)
        honest(folder)

    monkeypatch.setattr(folders, "write_manifest", signalled)
    with pytest.raises(StoppedError, match="SIGUSR1"):
        train(out, Toy(dropout=0.3), **RICH)
    assert steps_left(out) == [4, 5], "the save was finished, and one step more"
    assert not list(out.rglob("*.partial"))
    assert resumed(out) == whole


def test_a_signal_in_the_last_step_lets_the_run_finish(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    last = signalling(signal.SIGTERM, 3 * STEPS - 1)
    train(tmp_path / "run", Toy(dropout=0.3, spoil=last), **RICH)
    assert ending(tmp_path / "run") == whole


# -- checkpoints -----------------------------------------------------------------------


def test_going_on_from_any_step_ends_alike(tmp_path: Path, whole: dict[str, bytes]) -> None:
    often = {"every_minutes": 1e-9, "keep": 99}
    out = tmp_path / "run"
    train(out, Toy(dropout=0.3), saving=often, **RICH)
    assert steps_left(out) == list(range(1, 3 * STEPS + 1))
    assert ending(out) == whole
    for step in range(1, 3 * STEPS + 1):
        again = tmp_path / f"from-{step}"
        shutil.copytree(out, again)
        for later in range(step + 1, 3 * STEPS + 1):
            shutil.rmtree(again / f"checkpoints/step-{later:010d}")
        assert resumed(again) == whole, step


def test_going_on_without_a_checkpoint_begins_anew(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    out = tmp_path / "run"
    with pytest.raises(RuntimeError, match="power"):
        train(out, Toy(dropout=0.3, spoil=fails_at(6)), saving={"every_epochs": 9}, **RICH)
    assert len(metrics(out)) == 1
    assert not (out / "checkpoints").exists()
    assert resumed(out) == whole


def fails_at(number: int) -> Spoil:
    def spoil(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        if moment.number == number:
            raise RuntimeError("power")
        return total

    return spoil


@pytest.mark.parametrize(
    ("saving", "left"),
    [
        ({"every_epochs": 3, "keep": 9}, [3, 6, 7]),
        ({"every_epochs": 1, "keep": 2}, [2, 6, 7]),
        ({"every_epochs": 1, "keep": 2, "keep_best": False}, [6, 7]),
        ({"every_epochs": 3, "keep": 1}, [6, 7]),
        ({"every_epochs": 99, "keep": 1}, [7]),
    ],
    ids=["every third", "two and the best", "two", "best of the saved", "the last"],
)
def test_what_is_saved_and_kept(
    tmp_path: Path, saving: Mapping[str, Any], left: list[int]
) -> None:
    task = Toy()
    task.ranks = [(1.0,), (8.0,), (2.0,), (1.0,), (7.0,), (5.0,), (4.0,)]
    train(tmp_path / "run", task, epochs=7, saving=saving)
    assert steps_left(tmp_path / "run") == [STEPS * epoch for epoch in left]


def test_steps_within_an_epoch_have_no_rank(tmp_path: Path) -> None:
    often = {"every_minutes": 1e-9, "keep": 99}
    out = tmp_path / "run"
    train(out, Toy(), saving=often)
    for path in (out / "checkpoints").iterdir():
        state = json.loads((path / "state.json").read_text())
        assert (state["rank"] is None) == (state["step"] % STEPS != 0)


# -- what is measured, what is random --------------------------------------------------


def test_nothing_global_that_is_random_plays_a_part(
    tmp_path: Path, whole: dict[str, bytes]
) -> None:
    chaos = random.Random()  # another one every time: none must do

    def disturb(toy: Toy, batch: Batch, moment: Moment, total: Tensor) -> Tensor:
        random.seed(chaos.random())
        np.random.seed(chaos.randrange(2**32))  # noqa: NPY002
        torch.manual_seed(chaos.randrange(2**32))
        torch.rand(chaos.randrange(1, 9))
        return total

    train(tmp_path / "run", Toy(dropout=0.3, spoil=disturb), **RICH)
    assert ending(tmp_path / "run") == whole


def test_speed_stands_apart_from_the_metrics(tmp_path: Path, whole: dict[str, bytes]) -> None:
    train(tmp_path / "run", Toy(dropout=0.3), workers=3, **RICH)
    assert ending(tmp_path / "run") == whole
    lines = (tmp_path / "run" / "speed.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [0, 1, 2]
    for line in map(json.loads, lines):
        assert line.keys() == {"epoch", "images_per_second", "utilisation", "peak_memory_gb"}
        assert line["images_per_second"] > 0
        assert 0 < line["utilisation"] < 1
        assert line["peak_memory_gb"] > 0
    assert not {key for line in metrics(tmp_path / "run") for key in line} & {
        "images_per_second",
        "utilisation",
        "peak_memory_gb",
    }
