"""The run folder: settings, environment, metrics, checkpoints; nothing half-written.

A run folder holds::

    config.yaml         every setting, written before step 1; reruns the run
    environment.json    versions, device, seed
    metrics.jsonl       one line per epoch, also as TensorBoard events
    speed.jsonl         images per second, utilisation, memory: measured, so never twice alike
    checkpoints/        step-0000000123/: weights, moments, where the run stands, hashes
"""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel

from glcm_mae.checkpoints import Checkpoints
from glcm_mae.distributed import on_main, ranks
from glcm_mae.errors import InputError
from glcm_mae.event_file import EventFile
from glcm_mae.files import TEMPORARY, append_line
from glcm_mae.files import write_atomically as write_atomically  # its users find it here
from glcm_mae.progress import say
from glcm_mae.settings import read_yaml
from glcm_mae.version import __version__

CONFIG_FILE = "config.yaml"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, indented; NaN, which JSON lacks, becomes null."""
    text = json.dumps(without_nan(content), indent=2, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def without_nan(content: Any) -> Any:
    """Return the content with None for every NaN, as JSON files have it."""
    if isinstance(content, Mapping):
        return {key: without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [without_nan(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content


def named_folders(runs: Sequence[str]) -> dict[str, Path]:
    """Return the folders of runs given as ``FOLDER`` or ``NAME=FOLDER``, by name.

    Raises:
        InputError: If two have the same name.

    Example:
        >>> named_folders(["ours=runs/a", "runs/b"])
        {'ours': PosixPath('runs/a'), 'b': PosixPath('runs/b')}
    """
    found: dict[str, Path] = {}
    for run in runs:
        name, equals, given = run.partition("=")
        named = equals and name and given and not Path(run).exists()
        name, folder = (name, Path(given)) if named else (Path(run).resolve().name, Path(run))
        if name in found:
            raise InputError(
                f"two runs are called {name}: give them names, such as first={found[name]}"
            )
        found[name] = folder
    return found


class Run:
    """A run folder that is being written; made by :meth:`open`.

    Where several processes train together, the first alone writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._board: EventFile | None = None

    @classmethod
    def open(cls, config: BaseModel, *, folder: Path, resume: bool = False) -> "Run":
        """Create a run folder, or continue one.

        Args:
            config: Settings of the run.
            folder: Where; it must not exist unless resumed.
            resume: Continue an existing run with the very same settings (a folder
                that does not exist yet is created, so the same command line serves
                the first start and every restart).

        Raises:
            InputError: If the folder exists, or the settings differ from the run's.
        """
        run = cls(folder)
        on_main(lambda: run._begin(config, resume))
        return run

    def _begin(self, config: BaseModel, resume: bool) -> None:
        _refuse_run_folder(config, self.folder, resume=resume)
        for pattern in ("*", "nonfinite/*"):
            for leftover in self.folder.glob(pattern + TEMPORARY):
                leftover.unlink()
        settings, environment = self.folder / CONFIG_FILE, self.folder / "environment.json"
        if not settings.is_file():
            write_atomically(settings, dump_config(config).encode())
        if not environment.is_file():
            write_json(environment, describe_environment(config))

    def checkpoints(self, *, keep: int, keep_best: bool) -> Checkpoints:
        """Return the run's checkpoints; what writes left that died is removed."""
        found = Checkpoints(self.folder / "checkpoints", keep=keep, keep_best=keep_best)
        on_main(found.sweep)
        return found

    def keep(self, name: str, content: bytes) -> None:
        """Write a file that stays what it was when the run began.

        Raises:
            InputError: If the run was begun with another content.
        """
        on_main(lambda: keep_file(self.folder / name, content))

    def log(self, **values: Any) -> None:
        """Append one event to metrics.jsonl."""
        if ranks().main:
            append_line(self._metrics, json.dumps(without_nan(values), allow_nan=False))

    def log_scalars(self, values: Mapping[str, float], *, epoch: int, **facts: Any) -> None:
        """Log the numbers of an epoch to metrics.jsonl and to TensorBoard."""
        self.log(epoch=epoch, **facts, **values)
        self._show(values, epoch)

    def log_speed(self, values: Mapping[str, float], *, epoch: int) -> None:
        """Log what was measured of the machine to speed.jsonl and to TensorBoard.

        It is apart from the metrics, which are the same in every run of the same settings.
        """
        if ranks().main:
            append_line(self.folder / "speed.jsonl", json.dumps({"epoch": epoch, **values}))
        self._show({f"speed/{name}": value for name, value in values.items()}, epoch)

    def _show(self, values: Mapping[str, float], epoch: int) -> None:
        if not ranks().main:
            return
        if self._board is None:
            self._board = EventFile(self.folder / "tensorboard", first_step=epoch)
        self._board.add(values, step=epoch)

    @property
    def _metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    @property
    def metrics_bytes(self) -> int:
        """Length of metrics.jsonl, as a checkpoint remembers it."""
        return self._metrics.stat().st_size if self._metrics.is_file() else 0

    def truncate_metrics(self, length: int) -> None:
        """Cut metrics.jsonl back to a checkpoint: what came later will come again."""
        if not ranks().main or self.metrics_bytes == length:
            return
        if self.metrics_bytes < length:
            say(f"{self._metrics}: has lost lines since the checkpoint was written")
            return
        os.truncate(self._metrics, length)


def keep_file(path: Path, content: bytes) -> None:
    """Write a file once; refuse to go on when it would become another.

    Raises:
        InputError: If it is there with another content.
    """
    if path.is_file() and path.read_bytes() != content:
        raise InputError(
            f"{path}: the images have changed since the run began, or their division; bring "
            "them back, or start anew with another --out"
        )
    write_atomically(path, content)


def check_run_folder(config: BaseModel, folder: Path, *, resume: bool) -> None:
    """Refuse a folder that a run must not be written to, before any work is done.

    Raises:
        InputError: If it exists and is not to be resumed, or holds other settings.
    """
    on_main(lambda: _refuse_run_folder(config, folder, resume=resume))


def _refuse_run_folder(config: BaseModel, folder: Path, *, resume: bool) -> None:
    settings = folder / CONFIG_FILE
    if settings.is_file() and resume:
        _refuse_other_settings(settings, dump_config(config))
    elif folder.exists() and (not folder.is_dir() or _holds_files(folder)):
        remedy = ", or continue it with --resume" if settings.is_file() else ""
        raise InputError(f"{folder}: run folder exists; choose another --out{remedy}")


def _holds_files(folder: Path) -> bool:
    """Say whether a folder holds more than what a write that died left behind."""
    return any(path.suffix != TEMPORARY for path in folder.iterdir())


def dump_config(config: BaseModel) -> str:
    """Return the settings as YAML, every value spelled out."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def read_config(folder: Path) -> dict[str, Any]:
    """Return the settings that a run was begun with, as :func:`dump_config` wrote them.

    Args:
        folder: Run folder.

    Raises:
        InputError: If they are missing or damaged.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise InputError(f"{path}: is missing, so that this is no run folder; give one")
    return read_yaml(path)


def _refuse_other_settings(existing: Path, text: str) -> None:
    try:
        old, new = (flatten(yaml.safe_load(t)) for t in (existing.read_text("utf-8"), text))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{existing}: is damaged; start anew with another --out") from error
    keys = [key for key in old.keys() | new.keys() if not _FREE.search(key)]
    differing = sorted(key for key in keys if _place(old, key) != _place(new, key))
    if differing:
        raise InputError(
            f"{existing.parent}: cannot be resumed with other settings; differing: "
            f"{', '.join(differing)}"
        )


def _place(settings: Mapping[str, Any], key: str) -> Any:
    """Return a setting; a path of what an earlier stage wrote as seen from the run folder.

    So a run may be moved with all its stages, or named by another path, and continued.
    """
    value = settings.get(key)
    if key not in _OF_EARLIER_STAGES or value is None or not settings.get("out"):
        return value
    return os.path.relpath(value, settings["out"])


_OF_EARLIER_STAGES = ("data.split", "data.groups", "weights")
_FREE = re.compile(
    r"^(out|data\.cache|device|devices|nodes|strategy|compile|launch\..*|checkpoints\..*"
    r"|fanout\..*|budget\.hours"
    r"|(pretraining|finetuning)\.(workers|accumulate))$"
)
"""Settings that may change when a run is continued: where it lies, and what computes it."""


def fixed_settings(config: BaseModel) -> dict[str, Any]:
    """Return the settings that decide a result: no folder, and nothing that may change.

    Returns:
        Value by dotted name, as JSON has it; what is not set is left out.
    """
    values = flatten(config.model_dump())
    places = {k for k, v in values.items() if isinstance(v, Path) or v is None}
    flat = flatten(config.model_dump(mode="json"))
    return {k: v for k, v in flat.items() if k not in places and not _FREE.search(k)}


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one table, by dotted names.

    Example:
        >>> flatten({"model": {"channels": 1}, "seed": 0})
        {'model.channels': 1, 'seed': 0}
    """
    if not isinstance(settings, dict):
        return {prefix: settings}
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= flatten(value, f"{prefix}.{key}" if prefix else str(key))
    return flat


def describe_environment(config: BaseModel) -> dict[str, Any]:
    """Return what a reader needs to repeat the run: versions, device, commit, seed."""
    packages = ("torch", "timm", "numpy", "scikit-learn", "pillow", "safetensors")
    return {
        "glcm_mae": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: metadata.version(name) for name in packages},
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "seed": getattr(config, "seed", None),
        "command": Path(sys.argv[0]).name,
    }


def _commit() -> str | None:
    here = Path(__file__).resolve().parent
    if "site-packages" in here.parts:
        return None  # an installed copy: the repository around it is not ours
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],  # noqa: S607
            cwd=here,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
