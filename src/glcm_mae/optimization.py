"""AdamW, its parameter groups, and the learning rate over the epochs."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import cos, pi

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from glcm_mae.model.batch_norm import running_statistics
from glcm_mae.model.classifier import parameter_groups


def learning_rate_at(
    epoch: float, *, epochs: int, peak: float, floor: float, warmup_epochs: float
) -> float:
    """Return the learning rate at a moment: linear warm-up, then half a cosine.

    Args:
        epoch: Moment in epochs since the start; fractions are moments within one.
        epochs: Length of the training.
        peak: Learning rate at the end of the warm-up.
        floor: Learning rate at the end of the training.
        warmup_epochs: Length of the warm-up; cut to half of the training if longer.

    Example:
        >>> settings = dict(epochs=10, peak=1.0, floor=0.0, warmup_epochs=2)
        >>> [round(learning_rate_at(epoch, **settings), 3) for epoch in (0, 1, 2, 6, 10)]
        [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    warmup = min(warmup_epochs, epochs / 2)
    if epoch < warmup:
        return peak * epoch / warmup
    progress = min((epoch - warmup) / (epochs - warmup), 1.0)
    return floor + (peak - floor) * (1 + cos(pi * progress)) / 2


def build_optimizer(
    model: nn.Module,
    *,
    weight_decay: float,
    betas: tuple[float, float],
    layer_decay: float = 1.0,
) -> AdamW:
    """Build a fused AdamW over the parameter groups of a model; the rate is set per step."""
    groups = parameter_groups(model, weight_decay=weight_decay, layer_decay=layer_decay)
    return AdamW([dict(group) for group in groups], lr=0.0, betas=betas, fused=True)


def set_learning_rate(optimizer: AdamW, rate: float) -> None:
    """Set the rate of every group: the schedule's times the group's scale."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]


def training_state(model: nn.Module, optimizer: AdamW) -> dict[str, Tensor]:
    """Return weights, moments and step counts by name, as a checkpoint holds them."""
    names: dict[Tensor, str] = {value: name for name, value in model.named_parameters()}
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    for parameter, state in optimizer.state.items():
        for part, value in state.items():
            tensors[f"optimizer/{part}/{names[parameter]}"] = value
    return tensors


def allocate_moments(optimizer: AdamW) -> None:
    """Give every parameter the state that its first step would give it: zeros.

    A checkpoint is read into tensors that are there, sharded as the parameters are.
    """
    for parameter in (p for group in optimizer.param_groups for p in group["params"]):
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state["exp_avg"] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
            state["exp_avg_sq"] = torch.zeros_like(
                parameter, memory_format=torch.preserve_format
            )


class RunningStatistics:
    """The running statistics of batch norms, kept while a step is tried.

    A step that is not finite is skipped; but its forward pass has changed them already.

    Args:
        model: What holds the batch norms; most models have none.
    """

    def __init__(self, model: nn.Module) -> None:
        self._values = running_statistics(model)
        self._kept: dict[str, Tensor] = {}

    @torch.no_grad()
    def keep(self) -> None:
        """Remember them as they are."""
        self._kept = {name: value.clone() for name, value in self._values.items()}

    @torch.no_grad()
    def put_back(self) -> None:
        """Make them what they were when they were last kept."""
        for name, value in self._kept.items():
            self._values[name].copy_(value)


class WeightAverage:
    """An exponential average of the weights over the steps, if its decay is above 0.

    The running statistics of batch norms are averaged too, as the weights that they go with.
    Early on, when the average would still hold the random start, the decay is less:
    ``min(decay, (1 + steps) / (10 + steps))``.

    Args:
        model: Its trainable parameters are averaged, and its running statistics.
        decay: Share of the average that a step keeps; 0 keeps no average.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self._parameters: dict[str, Tensor] = {
            **{n: p for n, p in model.named_parameters() if p.requires_grad},
            **running_statistics(model),
        }
        self._values: dict[str, Tensor] = {}
        if decay > 0:
            self._values = {n: p.detach().clone() for n, p in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take the weights of one more step into the average."""
        self.steps += 1
        if self._values:
            decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(
                list(self._values.values()), list(self._parameters.values()), 1.0 - decay
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return the averages as a checkpoint names them; none without a decay."""
        return {f"ema/{name}": value for name, value in self._values.items()}

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the model have the averaged weights for a while."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    @torch.no_grad()
    def _exchange(self) -> None:
        for name, value in self._values.items():
            kept = value.clone()
            value.copy_(self._parameters[name])
            self._parameters[name].copy_(kept)
