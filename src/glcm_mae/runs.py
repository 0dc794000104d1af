"""The run folder: settings, environment, metrics, checkpoints; nothing half-written.

A run folder holds::

    config.yaml         every setting, written before step 1; reruns the run
    environment.json    versions, device, seed
    metrics.jsonl       one line per event, also as TensorBoard events
    checkpoints/        last.safetensors: weights, moments, where the run stands
"""

import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from math import isfinite
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from glcm_mae.errors import InputError
from glcm_mae.event_file import EventFile
from glcm_mae.files import TEMPORARY
from glcm_mae.files import write_atomically as write_atomically  # its users find it here
from glcm_mae.progress import say
from glcm_mae.version import __version__


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file atomically, indented; NaN, which JSON lacks, becomes null."""
    text = json.dumps(_without_nan(content), indent=2, allow_nan=False)
    write_atomically(path, (text + "\n").encode())


def _without_nan(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _without_nan(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not isfinite(content) else content


@dataclass(frozen=True)
class Checkpoint:
    """Tensors and the facts that go with them.

    Attributes:
        tensors: By name; groups are told apart by a prefix such as ``model/``.
        facts: Plain values: epoch, step, classes, ....
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]

    def group(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors of a group, without the prefix."""
        start = prefix + "/"
        return {
            name.removeprefix(start): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(start)
        }


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically as one safetensors file (no pickle).

    Raises:
        InputError: If it cannot be written; an older file of that name stays whole.
    """
    tensors = {name: value.detach().contiguous() for name, value in checkpoint.tensors.items()}
    facts = {"glcm_mae": __version__, **checkpoint.facts}
    write_atomically(path, save(tensors, metadata={"facts": json.dumps(facts), "format": "pt"}))


def load_checkpoint(path: Path, device: torch.device) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        InputError: If the file is missing, damaged, or not one of ours.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; has the run saved one yet?")
    try:
        with safe_open(path, framework="pt", device=str(device)) as file:
            facts = (file.metadata() or {}).get("facts")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a whole safetensors file ({error}); give another"
        ) from error
    try:
        return Checkpoint(tensors, json.loads(facts or ""))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: not written by glcm-mae (no facts in its header)") from error


class Run:
    """A run folder that is being written; made by :meth:`open`."""

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
        check_run_folder(config, folder, resume=resume)
        run = cls(folder)
        run._sweep()
        settings, environment = folder / "config.yaml", folder / "environment.json"
        if not settings.is_file():
            write_atomically(settings, dump_config(config).encode())
        if not environment.is_file():
            write_json(environment, describe_environment(config))
        return run

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.folder / "checkpoints" / "last.safetensors"

    def restore(self, device: torch.device) -> Checkpoint | None:
        """Read the newest checkpoint, if there is one, and say where the run continues."""
        if not self.last.is_file():
            return None
        checkpoint = load_checkpoint(self.last, device)
        say(f"continuing {self.folder} after {checkpoint.facts['epochs_done']} epochs")
        return checkpoint

    def _sweep(self) -> None:
        for leftover in self.folder.rglob("*" + TEMPORARY):
            leftover.unlink()

    def log(self, **values: Any) -> None:
        """Append one event to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(_without_nan(values), allow_nan=False) + "\n")

    def log_scalars(self, values: Mapping[str, float], *, epoch: int, **facts: Any) -> None:
        """Log the numbers of an epoch to metrics.jsonl and to TensorBoard."""
        self.log(epoch=epoch, **facts, **values)
        if self._board is None:
            self._board = EventFile(self.folder / "tensorboard", first_step=epoch)
        self._board.add(values, step=epoch)

    def forget_from(self, epoch: int) -> None:
        """Drop the metrics of epochs that will be repeated, and a last torn line."""
        path = self.folder / "metrics.jsonl"
        if not path.is_file():
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                event = json.loads(line)
            except json.JSONDecodeError:
                continue
            if event.get("epoch", -1) < epoch:
                kept.append(line + "\n")
        write_atomically(path, "".join(kept).encode())


def check_run_folder(config: BaseModel, folder: Path, *, resume: bool) -> None:
    """Refuse a folder that a run must not be written to, before any work is done.

    Raises:
        InputError: If it exists and is not to be resumed, or holds other settings.
    """
    settings = folder / "config.yaml"
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


def _refuse_other_settings(existing: Path, text: str) -> None:
    try:
        old, new = (_flatten(yaml.safe_load(t)) for t in (existing.read_text("utf-8"), text))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{existing}: is damaged; start anew with another --out") from error
    # A run folder that was moved is still the same run, wherever images are cached.
    keys = (old.keys() | new.keys()) - {"out", "data.cache"}
    differing = sorted(key for key in keys if old.get(key) != new.get(key))
    if differing:
        raise InputError(
            f"{existing.parent}: cannot be resumed with other settings; differing: "
            f"{', '.join(differing)}"
        )


def _flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(settings, dict):
        return {prefix: settings}
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        flat |= _flatten(value, f"{prefix}.{key}" if prefix else str(key))
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


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of tensors by name, for comparing two runs bit for bit."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
