"""A plan: the jobs of a run, what each needs, and a name that its content decides."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from glcm_mae.config import StageConfig
from glcm_mae.errors import InputError
from glcm_mae.runs import fixed_settings, write_json

PLAN_FILE = "plan.json"
_FORMAT = 1
_DIGITS = 16

Kind = Literal["pretrain", "finetune", "probe"]


@dataclass(frozen=True, eq=False)
class Job:
    """One stage of a run: it reads what it needs, and writes one folder.

    Attributes:
        kind: Which stage it is.
        folder: Its folder, relative to the run's.
        config: Settings of the stage; their ``out`` is that folder.
        title: What progress calls it.
        needs: Identifiers of the jobs whose results it reads.
        parts: Digest of which image is in which part, and of what stays together.
        number: Number of the model that is trained, for its predictions.
        repeat: Number of the pass over the images, for its predictions.
        epochs: Epochs that its metrics will tell of, if it has any.
        cost: How long it takes, in any unit that all jobs share.
        given: Weights that it starts from and no job of the plan makes, as they were named.
        turn: Jobs of an earlier turn are begun first; it is no part of what a job is.
    """

    kind: Kind
    folder: str
    config: StageConfig
    title: str
    needs: tuple[str, ...] = ()
    parts: str = ""
    number: int = 0
    repeat: int = 0
    epochs: int = 0
    cost: float = 1.0
    given: str = ""
    turn: int = 0

    @cached_property
    def settings(self) -> str:
        """Digest of the settings, without folders and without what may change on resuming."""
        return digest(json.dumps(fixed_settings(self.config), sort_keys=True))

    @cached_property
    def id(self) -> str:
        """Identifier: the same settings, parts, seed and needs have the same one."""
        whole = [self.kind, self.settings, self.parts, self.config.seed, sorted(self.needs)]
        return digest(json.dumps([*whole, self.given] if self.given else whole))

    def entry(self) -> dict[str, Any]:
        """Return what the plan tells of it."""
        return {
            "id": self.id,
            "kind": self.kind,
            "folder": self.folder,
            "needs": list(self.needs),
            "number": self.number,
            "repeat": self.repeat,
            "seed": self.config.seed,
            "settings": self.settings,
            "parts": self.parts,
            **({"given": self.given} if self.given else {}),
        }


class Plan(Sequence[Job]):
    """The jobs of a run, each after those that it needs.

    Args:
        jobs: The jobs.

    Raises:
        ValueError: If two jobs are the same or share a folder, or one needs what does not
            stand before it.
    """

    def __init__(self, jobs: Iterable[Job]) -> None:
        self.jobs = tuple(jobs)
        known: set[str] = set()
        for job in self.jobs:
            if job.id in known:
                raise ValueError(f"jobs: {job.folder} is the same as a job before it")
            if missing := set(job.needs) - known:
                raise ValueError(f"jobs: {job.folder} needs {missing}, not planned before it")
            known.add(job.id)
        if len({job.folder for job in self.jobs}) < len(self.jobs):
            raise ValueError("jobs: each needs a folder of its own")

    def __getitem__(self, index: Any) -> Any:
        return self.jobs[index]

    def __len__(self) -> int:
        return len(self.jobs)

    def dependents(self, job: Job) -> list[Job]:
        """Return the jobs that read what a job wrote."""
        return [other for other in self.jobs if job.id in other.needs]

    def keep(self, run: Path) -> None:
        """Write the plan to a run folder, once; it never changes.

        Raises:
            InputError: If the folder holds another plan; the message says how they differ.
        """
        path = run / PLAN_FILE
        content = {"format": _FORMAT, "jobs": [job.entry() for job in self.jobs]}
        if not path.is_file():
            write_json(path, content)
            return
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            differing = differences(kept["jobs"], content["jobs"])  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{path}: is damaged ({error}); start anew with another --out"
            ) from error
        if differing:
            raise InputError(
                f"{path}: the plan is another now than when the run began: "
                f"{'; '.join(differing)}. Bring the images and settings back (or the version "
                "of glcm-mae), or start anew with another --out"
            )


def differences(
    old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]], most: int = 4
) -> list[str]:
    """Say how two plans differ, job by job.

    Args:
        old: Jobs as a plan tells of them.
        new: Jobs of the other plan.
        most: Differences told one by one; the others are counted.

    Example:
        >>> job = {"folder": "fold-0/finetuning", "id": "a", "seed": 0}
        >>> differences([job], [{**job, "id": "b", "seed": 1}])
        ['fold-0/finetuning has another seed']
    """
    before, after = ({job["folder"]: job for job in jobs} for jobs in (old, new))
    told = [f"{folder} is gone" for folder in before if folder not in after]
    told += [f"{folder} is new" for folder in after if folder not in before]
    for folder in before.keys() & after.keys():
        keys = [key for key in after[folder] if after[folder][key] != before[folder].get(key)]
        facts = [key for key in keys if key != "id"] or keys
        if facts:
            told.append(f"{folder} has another {', '.join(facts)}")
    told.sort()
    return told if len(told) <= most else [*told[:most], f"and {len(told) - most} more"]


def digest(text: str) -> str:
    """Return the first 64 bits of the SHA-256 of a text, in hexadecimal digits.

    Example:
        >>> digest("a")
        'ca978112ca1bbdca'
    """
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
