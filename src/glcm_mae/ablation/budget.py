"""What an ablation may cost: fewer epochs, and an end of the time."""

import time
from dataclasses import dataclass, field

from glcm_mae.config import CrossValConfig

_TRAININGS = {"pretraining": "pre-training", "finetuning": "fine-tuning"}


def cap_epochs(config: CrossValConfig, most: int) -> CrossValConfig:
    """Return settings with at most so many epochs, warm-ups shrunk in proportion.

    Args:
        config: Settings of a cross-validation.
        most: Most epochs of pre-training and of fine-tuning.

    Example:
        >>> config = CrossValConfig(data={"table": "scans"}, out="runs/scans")
        >>> short = cap_epochs(config, 40)
        >>> short.pretraining.epochs, short.pretraining.warmup_epochs
        (40, 2.0)
    """
    update = {}
    for name in _TRAININGS:
        section = getattr(config, name)
        if section.epochs > most:
            warmup = section.warmup_epochs * most / section.epochs
            changed = {"epochs": most, "warmup_epochs": warmup}
            update[name] = section.model_copy(update=changed)
    return config.model_copy(update=update)


def epochs_note(recipe: CrossValConfig, most: int | None) -> str:
    """Say which trainings of the recipe were shortened; nothing if none was.

    Args:
        recipe: The recipe, before.
        most: Most epochs, if there is such a limit.
    """
    if most is None:
        return ""
    told = [
        f"{called} {most} epochs in place of {getattr(recipe, name).epochs}"
        for name, called in _TRAININGS.items()
        if getattr(recipe, name).epochs > most
    ]
    if not told:
        return ""
    return f"SHORTENED by budget.epochs: {', '.join(told)}; warm-up in proportion"


@dataclass
class Clock:
    """Tells whether there is time for another job.

    Attributes:
        hours: Hours from the making of the clock; None: for ever.
        spent: Whether it ever said no.
    """

    hours: float | None
    spent: bool = False
    _start: float = field(default_factory=time.monotonic)

    def __call__(self) -> bool:
        """Say whether another job may be begun."""
        if self.hours is not None and time.monotonic() - self._start >= 3600 * self.hours:
            self.spent = True
        return not self.spent
