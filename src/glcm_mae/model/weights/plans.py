"""What will be copied where, before anything is."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from glcm_mae.model.weights.foreign import ForeignWeights
from glcm_mae.model.weights.report import LoadReport, Resized, grouped


@dataclass
class Plan:
    """What will be copied where; carried out only when everything fits."""

    copies: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)
    resized: list[Resized] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def copy(self, name: str, target: Tensor, value: Tensor) -> None:
        """Plan to fill one tensor of ours."""
        if value.shape != target.shape:
            raise ValueError(
                f"{name} has the shape {tuple(value.shape)}, here {tuple(target.shape)}; build "
                "the model as the weights are"
            )
        if not value.is_floating_point() or not bool(torch.isfinite(value).all()):
            raise ValueError(
                f"{name} holds values that are no finite numbers; give whole weights"
            )
        self.copies[name] = (target, value)

    def copy_all(
        self, targets: Mapping[str, Tensor], values: Mapping[str, Tensor], prefix: str = ""
    ) -> None:
        """Plan to fill all tensors of a part; both sides must have the same names."""
        extra = [name for name in values if name not in targets]
        absent = [name for name in targets if name not in values]
        if extra:
            raise ValueError(f"holds what the model has no place for: {grouped(extra)}")
        if absent:
            raise ValueError(f"lacks what the model needs: {grouped(absent)}")
        for name, value in values.items():
            self.copy(prefix + name, targets[name], value)

    def carry_out(self, weights: ForeignWeights) -> LoadReport:
        """Copy everything, and tell."""
        rounded = {value.dtype for _, value in self.copies.values()} - {torch.float32}
        if rounded:
            names = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in rounded))
            self.notes.append(f"the source's tensors are {names}; they are used as float32")
        with torch.no_grad():
            for target, value in self.copies.values():
                target.copy_(value)
        return LoadReport(
            weights.source,
            weights.layout,
            tuple(self.copies),
            tuple(self.resized),
            tuple(self.missing),
            (*weights.unused, *self.unused),
            (*weights.notes, *self.notes),
        )


def refuse_differing(pairs: Mapping[str, tuple[object, object]]) -> None:
    """Refuse properties, by name, that the weights and the model do not share.

    Raises:
        ValueError: Naming each with both values.
    """
    differing = [
        f"{name} {old}, here {new}" for name, (old, new) in pairs.items() if old != new
    ]
    if differing:
        raise ValueError(
            f"the weights have another {'; another '.join(differing)}: set the model like them"
        )
