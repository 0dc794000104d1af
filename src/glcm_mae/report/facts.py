"""What a report is made of: the files of finished runs, and of the studies of them.

Nothing here computes a score. A path of the machine is cut to its last parts as soon as it
is read, so that no section can show where a run lies.
"""

import csv
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from glcm_mae.errors import InputError
from glcm_mae.evaluation import Predictions, read_predictions
from glcm_mae.runs import CONFIG_FILE, read_config

ATTACHMENTS: Mapping[str, str] = {
    "reconstruction": "reconstruct",
    "comparison": "compare",
    "explanations": "explain",
    "controls": "controls",
    "robustness": "robustness",
    "audit": "data audit",
}
"""Studies that a report shows beside the runs: ``NAME.json``, and the command that makes it."""

HASHED_FILES = (CONFIG_FILE, "plan.json", "folds.csv", "predictions.csv", "scores.json")
"""Files whose hashes say that two people speak of the same run."""

_PATH = re.compile(r"(?<![\w./:])/[^\s/:;,]+(?:/[^\s/:;,]+)+")
_STAGES = ("pretraining", "finetuning")


@dataclass(frozen=True)
class ModelCurves:
    """How one model of a cross-validation was trained.

    Attributes:
        fold: Number of its fold, from 0.
        seed: Number of the model in its fold, from 0.
        stages: By ``pretraining`` and ``finetuning``: the lines of ``metrics.jsonl``, one an
            epoch; a stage that was not run is missing.
    """

    fold: int
    seed: int
    stages: Mapping[str, Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class RunFacts:
    """One finished cross-validation.

    Attributes:
        name: What the report calls it.
        folder: Its run folder; never shown but by its name.
        settings: ``config.yaml``, with paths cut to their last two parts.
        environment: ``environment.json``.
        scores: ``scores.json``.
        predictions: ``predictions.csv``.
        parts: Part of each image (train, validation, test), by its name, in each fold.
        models: How each model was trained.
        hashes: SHA-256 of the files of :data:`HASHED_FILES` that there are.
    """

    name: str
    folder: Path
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    scores: Mapping[str, Any]
    predictions: Predictions
    parts: Sequence[Mapping[str, str]]
    models: Sequence[ModelCurves]
    hashes: Mapping[str, str]

    @property
    def system(self) -> str:
        """Name of the system that was tested, as ``scores.json`` has it."""
        return str(self.scores["system"])

    @property
    def judged(self) -> Mapping[str, Any]:
        """What was said of that system: ``summary``, ``folds``, ``pooled``, ..."""
        return dict(self.scores["systems"][self.system])

    @property
    def positive(self) -> str:
        """The positive class, or empty."""
        return str(self.scores.get("positive") or "")

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return [str(name) for name in self.scores["classes"]]


@dataclass(frozen=True)
class Attachment:
    """A study of runs that stands beside them.

    Attributes:
        folder: Where it was found; never shown but by its name.
        content: Its JSON file, with absolute paths cut to their last two parts.
        of: Name of the run that it is of, where it is of one that is shown.
    """

    folder: Path
    content: Mapping[str, Any]
    of: str = ""

    def is_of(self, run: RunFacts) -> bool:
        """Say whether it is of a run: as it was found, else by the name that it tells."""
        if self.of:
            return self.of == run.name
        return self.content.get("run", run.name) in (run.name, run.folder.name)


@dataclass(frozen=True)
class Facts:
    """All that a report may show.

    Attributes:
        runs: The finished runs, in the order in which they were named.
        attached: Studies of them by the names of :data:`ATTACHMENTS`; several of a kind
            where each is of another run.
    """

    runs: Sequence[RunFacts]
    attached: Mapping[str, Sequence[Attachment]] = field(default_factory=dict)

    def _first(self, kind: str) -> Mapping[str, Any] | None:
        found = self.attached.get(kind, ())
        return found[0].content if found else None

    @property
    def reconstruction(self) -> Mapping[str, Any] | None:
        """``reconstruction.json``: how well texture survives, or None."""
        return self._first("reconstruction")

    @property
    def comparison(self) -> Mapping[str, Any] | None:
        """``comparison.json``: the runs against each other, or None."""
        return self._first("comparison")

    @property
    def explanations(self) -> Mapping[str, Any] | None:
        """``explanations.json``: where a classifier looked, or None."""
        return self._first("explanations")

    @property
    def controls(self) -> Mapping[str, Any] | None:
        """``controls.json``: what is reached where nothing should be, or None."""
        return self._first("controls")

    @property
    def robustness(self) -> Mapping[str, Any] | None:
        """``robustness.json``: what changed images cost, or None."""
        return self._first("robustness")

    @property
    def audit(self) -> Mapping[str, Any] | None:
        """``audit.json``: what is wrong with the images, or None."""
        return self._first("audit")


def read_run_facts(name: str, folder: Path) -> RunFacts:
    """Read a finished cross-validation.

    Args:
        name: What the report calls it.
        folder: Its run folder.

    Raises:
        InputError: If the folder holds none, or a file of it is damaged.
    """
    for file in (CONFIG_FILE, "scores.json", "predictions.csv", "folds.csv"):
        if not (folder / file).is_file():
            raise InputError(
                f"{folder}: is not a finished cross-validation, {file} is missing; report "
                "takes the run folders of crossval (--resume finishes a run)"
            )
    scores = read_object(folder / "scores.json")
    if "systems" not in scores or scores.get("system") not in scores["systems"]:
        raise InputError(
            f"{folder / 'scores.json'}: is not that of a cross-validation; report takes the "
            "run folders of crossval"
        )
    environment = folder / "environment.json"
    return RunFacts(
        name=name,
        folder=folder.resolve(),
        settings=dict(without_places(read_config(folder))),
        environment=read_object(environment) if environment.is_file() else {},
        scores=scores,
        predictions=read_predictions(folder / "predictions.csv"),
        parts=_read_parts(folder / "folds.csv"),
        models=tuple(_read_models(folder)),
        hashes={
            file: hashlib.sha256((folder / file).read_bytes()).hexdigest()
            for file in HASHED_FILES
            if (folder / file).is_file()
        },
    )


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object, with absolute paths cut to two parts.

    Raises:
        InputError: If it cannot be read or is something else.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no JSON object")
    return dict(without_places(found))


def without_places(content: Any) -> Any:
    """Cut every absolute path, and every one of the home folder, to its last two parts.

    Example:
        >>> without_places({"table": "/home/ann/scans/busi/manifest.csv", "share": 0.5})
        {'table': 'busi/manifest.csv', 'share': 0.5}
        >>> without_places("read /home/ann/scans/a.png and/or more")
        'read scans/a.png and/or more'
    """
    if isinstance(content, Mapping):
        return {key: without_places(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_places(value) for value in content]
    if not isinstance(content, str):
        return content
    name, equals, place = content.partition("=")
    if equals and "/" not in name and place.startswith(("/", "~")):
        return f"{name}={without_places(place)}"
    if content.startswith(("/", "~", "\\\\")) and ": " not in content:
        return "/".join(Path(content).parts[1:][-2:])
    return _PATH.sub(lambda path: "/".join(Path(path[0]).parts[-2:]), content)


def _read_parts(path: Path) -> tuple[dict[str, str], ...]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in (rows[0] if rows else {}) if name != "path"]
    if not columns or "path" not in rows[0]:
        raise InputError(f"{path}: is no table of folds (columns path, fold-0, ...)")
    return tuple({row["path"]: row[column] for row in rows} for column in columns)


def _read_models(folder: Path) -> Iterator[ModelCurves]:
    """Yield the models in the order of their folds; some runs have several a fold."""
    for fold in sorted(folder.glob("fold-*"), key=_number):
        seeds = sorted(fold.glob("seed-*"), key=_number)
        for place in seeds or [fold]:
            lines = {stage: _read_lines(place / stage / "metrics.jsonl") for stage in _STAGES}
            stages = {stage: found for stage, found in lines.items() if found}
            yield ModelCurves(_number(fold), _number(place) if seeds else 0, stages)


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("-")[2])


def _read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the epochs; what else is logged, such as the opening of the test part, is not."""
    if not path.is_file():
        return []
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError as error:
            raise InputError(f"{path}: holds a damaged line ({error})") from error
        if "loss" in values and "epoch" in values:
            found.append(values)
    return found
