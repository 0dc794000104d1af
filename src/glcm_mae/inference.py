"""What a finished run's classifiers say of new images, which nobody need have labelled."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.assembly import policy_of, which_seen
from glcm_mae.config import PredictConfig
from glcm_mae.data import LoadedImages, file_hashes
from glcm_mae.devices import choose_device
from glcm_mae.errors import InputError
from glcm_mae.evaluation import choose_threshold
from glcm_mae.files import write_atomically
from glcm_mae.intake import cache_folder, load_as
from glcm_mae.prediction import (
    FinishedFold,
    images_behind,
    inner_of,
    load_folds,
    predict_rows,
    reading_elsewhere,
)
from glcm_mae.runs import write_json
from glcm_mae.version import __version__


@dataclass(frozen=True)
class Answers:
    """What was said of new images.

    Attributes:
        images: What they are called.
        classes: Names of the classes.
        probabilities: Mean over the classifiers; one row an image, one column a class.
        spread: Standard deviation over the classifiers of the likeliest class's probability;
            NaN where there is one classifier.
        positive: The positive class, or empty.
        threshold: Probability from which an image is called positive; None if there is none.
        seen: Whether each image is one that the run pre-trained on; None where nothing tells.
        notes: How the answers came about, and what they are not.
    """

    images: Sequence[str]
    classes: Sequence[str]
    probabilities: NDArray[np.float64]
    spread: NDArray[np.float64]
    positive: str
    threshold: float | None
    seen: Sequence[bool] | None
    notes: Sequence[str]

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the table of counts."""
        return ("Called", "Images")

    @property
    def rows(self) -> list[list[str]]:
        """How often each class was the likeliest, and the positive one was called."""
        counts = Counter(self.probabilities.argmax(axis=1).tolist())
        rows = [[name, str(counts[place])] for place, name in enumerate(self.classes)]
        if self.threshold is not None:
            called = int(self.calls().sum())
            rows.append([f"{self.positive}, at the operating point", str(called)])
        return rows

    def calls(self) -> NDArray[np.bool_]:
        """Return which images are called positive at the operating point."""
        column = list(self.classes).index(self.positive)
        return self.probabilities[:, column] >= (self.threshold or 0.0)


def predict_images(config: PredictConfig) -> Answers:
    """Have the classifiers of a finished run judge new images.

    Images are read as the run read its own, and judged by every classifier of the run; the
    probabilities are averaged. The threshold is chosen on the run's own inner validation
    parts. The CSV file has a line an image: ``path,predicted,p_CLASS,...,spread``, with
    ``POSITIVE_called`` where the run has a positive class, and ``pretrained_on`` where it can
    be told; beside it a JSON file says what made it.

    Args:
        config: Settings of the stage.

    Returns:
        Probabilities of every image.

    Raises:
        InputError: If the run is not finished or has no classifiers, an image cannot be read,
            or a file is there already.
    """
    beside = config.out.with_suffix(".json")
    for path in (config.out, beside):
        if path.exists():
            raise InputError(f"{path}: exists; choose another --out, or remove it")
    folds = load_folds(config.run, choose_device(config.device))
    given = ("table", "frames", "names", "key", "on_error")
    data = reading_elsewhere(
        folds[0].config.data, **{name: getattr(config, name) for name in given}
    )
    images = load_as(data, policy_of(folds[0].facts), labelled=False)
    hashes = file_hashes(images.table, cache_folder(data.cache))
    seen = which_seen(images_behind(config.run, folds), hashes)
    answers = _answer(folds, images, seen, config)
    write_json(beside, _facts(answers, folds, config))
    write_atomically(config.out, _format(answers).encode())
    return answers


def _answer(
    folds: Sequence[FinishedFold],
    images: LoadedImages,
    seen: Sequence[bool] | None,
    config: PredictConfig,
) -> Answers:
    each = np.stack([predict_rows(fold, images) for fold in folds])
    mean = each.mean(axis=0)
    likeliest = mean.argmax(axis=1)
    spread = (
        each[:, np.arange(len(mean)), likeliest].std(axis=0, ddof=1)
        if len(folds) > 1
        else np.full(len(mean), np.nan)
    )
    positive, threshold = str(folds[0].facts["positive"]), _threshold(folds, config)
    return Answers(
        images.table.names,
        folds[0].facts["classes"],
        mean,
        spread,
        positive,
        threshold,
        seen,
        _notes(folds, images, threshold, seen),
    )


def _threshold(folds: Sequence[FinishedFold], config: PredictConfig) -> float | None:
    """Choose it where the classifiers did not learn, all of them taken for one."""
    inner, positive = inner_of(folds), folds[0].facts["positive"]
    if inner is None or not positive:
        return None
    column = inner.classes.index(positive)
    truth, scores = inner.labels == column, inner.probabilities[:, column]
    return choose_threshold(truth, scores, config.operating_point)


def _notes(
    folds: Sequence[FinishedFold],
    images: LoadedImages,
    threshold: float | None,
    seen: Sequence[bool] | None,
) -> list[str]:
    count = len(folds)
    told = (
        "whether the run has seen these images before is not known"
        if seen is None
        else f"WARNING: the run pre-trained on {sum(seen)} of these images, which flatters it"
        if any(seen)
        else "the run pre-trained on none of these images (compared by content)"
    )
    mean = ", by single classifiers, while here their mean is asked" if count > 1 else ""
    left = len(images.skipped)
    skipped = f", {left} file{'s' if left > 1 else ''} left out" if left else ""
    point = (
        "no operating point: the run has no positive class, or kept no inner predictions"
        if threshold is None
        else f"operating point: a probability of {threshold:.3f} of "
        f"{folds[0].facts['positive']}, chosen on the run's inner validation parts{mean}"
    )
    return [
        f"{len(images.table)} images{skipped}, read as the run read its own",
        f"mean probabilities of {count} classifiers; spread: their standard deviation"
        if count > 1
        else "probabilities of one classifier",
        point,
        told,
        "probabilities are not calibrated for other scanners and patients than the run's; "
        "research software, no diagnosis may rest on it",
    ]


def _facts(
    answers: Answers, folds: Sequence[FinishedFold], config: PredictConfig
) -> dict[str, Any]:
    return {
        "glcm_mae": __version__,
        "run": config.run.resolve().name,
        "classifiers": [str(fold.folder.relative_to(config.run)) for fold in folds],
        "classes": list(answers.classes),
        "positive": answers.positive,
        "operating_point": {"rule": config.operating_point, "threshold": answers.threshold},
        "reading": folds[0].facts.get("reading"),
        "images": len(answers.images),
        "called": {name: int(count) for name, count in answers.rows},
        "notes": list(answers.notes),
    }


def _format(answers: Answers) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    called = answers.calls() if answers.threshold is not None else None
    heading = ["path", "predicted", *(f"p_{name}" for name in answers.classes), "spread"]
    heading += [f"{answers.positive}_called"] if called is not None else []
    heading += ["pretrained_on"] if answers.seen is not None else []
    writer.writerow(heading)
    for number, name in enumerate(answers.images):
        shares, spread = answers.probabilities[number], float(answers.spread[number])
        line: list[object] = [name, answers.classes[int(shares.argmax())]]
        line += [repr(float(share)) for share in shares]
        line.append("" if np.isnan(spread) else repr(spread))
        if called is not None:
            line.append("yes" if called[number] else "no")
        if answers.seen is not None:
            line.append("yes" if answers.seen[number] else "no")
        writer.writerow(line)
    return text.getvalue()
