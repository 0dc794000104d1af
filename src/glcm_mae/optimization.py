"""AdamW, its parameter groups, and the learning rate over the epochs."""

from collections.abc import Mapping
from math import cos, pi

from torch import Tensor, nn
from torch.optim import AdamW

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


def load_training_state(
    model: nn.Module, optimizer: AdamW, tensors: Mapping[str, Tensor]
) -> None:
    """Put back what :func:`training_state` returned; other tensors are passed over."""
    parameters = dict(model.named_parameters())
    weights = {}
    for key, value in tensors.items():
        group, _, name = key.partition("/")
        if group == "model":
            weights[name] = value
        elif group == "optimizer":
            part, _, name = name.partition("/")
            parameter = parameters[name]
            optimizer.state[parameter][part] = value.to(parameter.device)
    model.load_state_dict(weights)
