"""Abnormal images, found by what a model of normal ones cannot predict."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.anomaly.normality import COMBINED, Normality
from glcm_mae.anomaly.parts import Parts, divide
from glcm_mae.anomaly.picture import draw_anomalies
from glcm_mae.anomaly.reconstruction import Examiner
from glcm_mae.anomaly.verdict import Verdicts, judge_scores
from glcm_mae.assembly import build_autoencoder, build_objective, load_autoencoder
from glcm_mae.config import AnomalyConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.data.folds.assignments import format_assignment
from glcm_mae.devices import choose_device
from glcm_mae.division import keep_together
from glcm_mae.errors import InputError
from glcm_mae.evaluation import write_predictions
from glcm_mae.intake import load_table
from glcm_mae.launching import launched
from glcm_mae.pretraining import pretrain
from glcm_mae.progress import Meter, say
from glcm_mae.runs import Run, check_run_folder, write_atomically, write_json

PREDICTIONS_FILE = "predictions.csv"
RAW_FILE = "scores.csv"
RESULT_FILE = "scores.json"
PICTURE_FILE = "anomalies.png"
PICTURE_IMAGES = 4
"""Images of the highest and as many of the lowest scores."""


def detect(
    config: AnomalyConfig, *, resume: bool = False, images: LoadedImages | None = None
) -> Verdicts:
    """Train on normal images alone, and score every test image by how badly it is predicted.

    The test part is the table's where it has one, otherwise whole groups are held out.
    Abnormal images outside the test part are not used at all. Every test image is then
    predicted with every pixel hidden; scale and operating point come of inner normal
    images, which were not trained on. The run folder gets ``pretraining/``, ``split.csv``,
    ``scores.csv`` (raw scores), ``predictions.csv``, ``anomalies.png`` and ``scores.json``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out``; a finished one is only read.
        images: The images of ``config.data.table``, if they are in memory already.

    Returns:
        The scores of each measure and of all together.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss or the gradient stays not finite.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if launched():
        raise InputError("anomaly runs in one process: start it without torchrun")
    check_run_folder(config, config.out, resume=resume)
    if resume and (config.out / RESULT_FILE).is_file():
        say(f"{config.out} is finished")
        return Verdicts.read(config.out / RESULT_FILE)
    if images is None:
        images = load_table(config.data, config.model, labelled=True)
        if config.data.split is None or config.data.groups is None:
            images = keep_together(images, config.data, config.leak_check)
    parts = divide(images.table, config)
    run = Run.open(config, folder=config.out, resume=resume)
    _train(config, run, images, parts, resume)
    search = _Search(config, images, parts, _examiner(config))
    return search.finish(run.folder)


def _train(
    config: AnomalyConfig, run: Run, images: LoadedImages, parts: Parts, resume: bool
) -> None:
    """Pre-train on normal training images: to that stage, all others are for testing."""
    table, name = images.table, "pretraining-split.csv"
    run.keep("split.csv", format_assignment(table, parts.fold).encode())
    shown = format_assignment(table, parts.only_training(len(table)))
    run.keep(name, shown.encode())
    stage = config.pretrain_config(run.folder / "pretraining", run.folder / name)
    pretrain(stage, resume=resume, images=images, title="pre-training on normal images")


def _examiner(config: AnomalyConfig) -> Examiner:
    model = build_autoencoder(config.model, seed=0)
    model.load_state_dict(load_autoencoder(config.out / "pretraining").tensors)
    device = choose_device(config.device)
    # Measured in gray levels, and by a window that patches hold, however it was trained.
    side = config.model.patch_size
    window = min(config.losses.ssim.window, side - 1 + side % 2)
    ssim = config.losses.ssim.model_copy(update={"window": window})
    mse = config.losses.mse.model_copy(update={"normalised": False})
    losses = config.losses.model_copy(update={"ssim": ssim, "mse": mse})
    return Examiner(
        model=model.to(device).eval(),
        objective=build_objective(losses, side),
        grid=model.encoder.grid,
        mask_ratio=config.model.mask_ratio,
        rounds=config.rounds,
        seed=config.seed,
        device=device,
        precision=config.precision,
    )


@dataclass(frozen=True)
class _Search:
    """Images, their parts, and who examines them."""

    config: AnomalyConfig
    images: LoadedImages
    parts: Parts
    examiner: Examiner

    def finish(self, folder: Path) -> Verdicts:
        """Score the images, judge the scores, and write what was found."""
        parts, config = self.parts, self.config
        inner_raw, test_raw = self._measure(parts.inner), self._measure(parts.test)
        normality = Normality.measure(inner_raw, config.specificity)
        inner, test = normality.scores(inner_raw), normality.scores(test_raw)
        verdicts, found = judge_scores(self.images.table, parts, test, normality, config)
        write_atomically(folder / RAW_FILE, self._format(inner, test).encode())
        write_predictions(folder / PREDICTIONS_FILE, found)
        self._draw(folder / PICTURE_FILE, test[COMBINED])
        write_json(folder / RESULT_FILE, verdicts.facts)
        return verdicts

    def _measure(self, rows: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
        with Meter("predicting what is hidden", total=len(rows)) as meter:
            return self.examiner.measure(self.images.pixels, rows, meter.advance)

    def _format(self, inner: Mapping[str, Any], test: Mapping[str, Any]) -> str:
        """Return ``path,part,label`` and every score of inner and test images."""
        text, table = io.StringIO(), self.images.table
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["path", "part", "label", *inner])
        chosen = (("validation", self.parts.inner, inner), ("test", self.parts.test, test))
        for part, rows, scores in chosen:
            for index, row in enumerate(rows.tolist()):
                facts = [table.name(row), part, table.classes[table.labels[row]]]
                values = [repr(float(scores[name][index])) for name in scores]
                writer.writerow([*facts, *values])
        return text.getvalue()

    def _draw(self, path: Path, scores: NDArray[np.float64]) -> None:
        """Draw the test images of the highest and of the lowest scores."""
        order = np.argsort(-scores, kind="stable")
        few = min(PICTURE_IMAGES, len(order) // 2)
        chosen = np.concatenate([order[:few], order[len(order) - few :]])
        rows, table = self.parts.test[chosen], self.images.table
        batch = next(
            plain_batches(
                self.images.pixels, rows, batch_size=len(rows), device=self.examiner.device
            )
        )
        restored = self.examiner.restore(batch)
        captions = [
            f"{table.classes[table.labels[row]]}\nscore {scores[index]:+.1f}"
            for row, index in zip(rows.tolist(), chosen.tolist(), strict=True)
        ]
        draw_anomalies(path, batch.images.cpu(), restored.cpu(), captions)
