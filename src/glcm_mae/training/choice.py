"""Which epoch's weights are kept, and when no better one is waited for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class EpochChoice:
    """Keeps the best epoch by a rank, or the last one.

    All that it knows is in :attr:`facts`, which a checkpoint holds: so a continued run
    keeps the same epoch, and ends with the same one.

    Args:
        last: Keep the last epoch, whatever its rank.
        patience: Epochs without a better rank after which to stop; 0: never.

    Example:
        >>> choice = EpochChoice(patience=2)
        >>> [choice.keeps(epoch, [rank]) for epoch, rank in enumerate([0.5, 0.7, 0.6, 0.7])]
        [True, True, False, False]
        >>> choice.epoch, choice.gives_up(2), choice.gives_up(3)
        (1, False, True)
    """

    last: bool = False
    patience: int = 0
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def epoch(self) -> int:
        """The epoch that is kept."""
        return int(self.facts["epoch"])

    def keeps(self, epoch: int, rank: Sequence[float]) -> bool:
        """Say whether the weights of an epoch are to be kept in place of the earlier ones.

        Args:
            epoch: Epoch, counted from 0.
            rank: How good it is; the first number that differs decides, higher is better.
        """
        better = not self.facts or list(rank) > self.facts["rank"]
        if better:
            self.facts = {"rank": list(rank), "epoch": epoch, "best": epoch}
        elif self.last:
            self.facts = {**self.facts, "epoch": epoch}
        return better or self.last

    def gives_up(self, epoch: int) -> bool:
        """Say whether the best epoch is too long ago to wait for a better one."""
        best: int = self.facts.get("best", self.facts["epoch"])
        return 0 < self.patience <= epoch - best

    def restore(self, facts: Mapping[str, Any]) -> None:
        """Take back the facts of a checkpoint."""
        self.facts = dict(facts)
