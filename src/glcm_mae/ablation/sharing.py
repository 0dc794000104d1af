"""One plan for all variants: what two of them would do alike is done once."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from glcm_mae.ablation.studies import Variant
from glcm_mae.planning import Job, Plan


@dataclass(frozen=True)
class SharedPlan:
    """The jobs of all variants, each once, and where every variant finds its own.

    Attributes:
        plan: The jobs, in folders relative to the ablation's.
        jobs: Of each variant, by name, the job that stands for each folder of its own.
        asked: How many jobs the variants would have had apart.
    """

    plan: Plan
    jobs: Mapping[str, Mapping[str, Job]]
    asked: int

    def saved(self) -> str:
        """Say how many pre-trainings were done for several variants; nothing if none was."""
        kinds = [job.kind for jobs in self.jobs.values() for job in jobs.values()]
        asked = kinds.count("pretrain")
        done = sum(job.kind == "pretrain" for job in self.plan)
        if asked == done:
            return ""
        return f"{asked} pre-trainings asked for, {done} planned: what is equal is done once"


def share_jobs(planned: Sequence[tuple[Variant, Plan]]) -> SharedPlan:
    """Put the plans of all variants together.

    Two jobs with the same identifier (settings, parts, seed, given weights and needs) are
    one: it is done in the folder of the variant that comes first. Variants are worked off
    one after the other, so that what is done when the time is over is whole.

    Args:
        planned: The variants, each with the plan of its own cross-validation.

    Example:
        >>> from glcm_mae.config import CrossValConfig, PretrainConfig
        >>> settings = {"data": {"table": "scans"}, "out": "runs/first/fold-0/pretraining"}
        >>> job = Job("pretrain", "fold-0/pretraining", PretrainConfig(**settings), "fold 1")
        >>> config = CrossValConfig(data={"table": "scans"}, out="runs/first")
        >>> variants = [Variant(name, name, config, {}) for name in ("first", "second")]
        >>> shared = share_jobs([(variant, Plan([job])) for variant in variants])
        >>> [job.folder for job in shared.plan], shared.asked
        (['first/fold-0/pretraining'], 2)
    """
    known: dict[str, Job] = {}
    found: dict[str, dict[str, Job]] = {}
    for turn, (variant, plan) in enumerate(planned):
        own: dict[str, Job] = {}
        for job in plan:
            if job.id not in known:
                known[job.id] = _moved(job, variant, turn, known)
            own[job.folder] = known[job.id]
        found[variant.name] = own
    return SharedPlan(Plan(known.values()), found, sum(len(plan) for _, plan in planned))


def _moved(job: Job, variant: Variant, turn: int, known: Mapping[str, Job]) -> Job:
    """Return a job as one of the common plan; it reads its encoder where that is made."""
    config = job.config
    for need in job.needs:
        config = config.model_copy(update={"weights": known[need].config.out})
    return replace(
        job,
        folder=f"{variant.folder}/{job.folder}",
        config=config,
        title=f"{variant.name}, {job.title}",
        turn=turn,
    )


def link_shared(root: Path, variant: Variant, jobs: Mapping[str, Job]) -> None:
    """Let the folder of a variant show what was done for it in another's.

    The links are relative, so that the ablation's folder may be moved.

    Args:
        root: The ablation's folder.
        variant: The variant.
        jobs: The job that stands for each folder of its own; all are done.
    """
    for folder, job in jobs.items():
        place = root / variant.folder / folder
        if job.folder == f"{variant.folder}/{folder}" or place.is_symlink():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(root / job.folder, place.parent)
        place.symlink_to(target, target_is_directory=True)
