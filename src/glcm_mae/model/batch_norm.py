"""Batch norms of a model, and what they remember of the images they have seen."""

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def has_batch_norm(model: nn.Module) -> bool:
    """Say whether a layer normalises by all images of a batch.

    Example:
        >>> has_batch_norm(nn.Sequential(nn.BatchNorm1d(2))), has_batch_norm(nn.LayerNorm(2))
        (True, False)
    """
    return any(isinstance(module, _BatchNorm) for module in model.modules())


def running_statistics(model: nn.Module) -> dict[str, Tensor]:
    """Return the running statistics of all batch norms of a model, by name; not copies.

    Example:
        >>> sorted(running_statistics(nn.Sequential(nn.BatchNorm1d(2))))
        ['0.running_mean', '0.running_var']
    """
    return {
        f"{path}.{name}": value
        for path, module in model.named_modules()
        if isinstance(module, _BatchNorm)
        for name, value in module.named_buffers(recurse=False)
        if name in ("running_mean", "running_var")
    }
