"""Models that train on several processes at once."""

import inspect
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from glcm_mae.distributed.group import ranks


def wrap(
    model: nn.Module,
    blocks: Iterable[nn.Module],
    strategy: Literal["ddp", "fsdp"],
    device: torch.device,
) -> nn.Module:
    """Make a model train on all processes at once; gradients become means over them.

    Every process must hold the same weights, on ``device``. Call what is returned, not a
    part of it, or gradients stay apart; :func:`plain` gives the model itself.

    Args:
        model: On one process it is returned as it is.
        blocks: Its parts that "fsdp" gathers one after the other, such as transformer blocks.
        strategy: "ddp" copies the model to every process; "fsdp" shards its parameters in
            place (they become DTensors, so build the optimizer afterwards).
        device: Where the model is.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> wrap(model, [], "ddp", torch.device("cpu")) is model
        True

    References:
        Li et al., 2020, doi:10.14778/3415478.3415530; Zhao et al., 2023,
        doi:10.14778/3611540.3611569
    """
    if ranks().size == 1:
        return model
    if strategy == "fsdp":
        # They take a second to import, which most runs can spare.
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        mesh = init_device_mesh(device.type, (ranks().size,))
        for block in blocks:
            fully_shard(block, mesh=mesh)
        fully_shard(model, mesh=mesh)
        return model
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_hook(  # type: ignore[no-untyped-call]
                partial(_laid_out_like, parameter)
            )
    copies = DistributedDataParallel(model, **_still_buffers(), gradient_as_bucket_view=True)
    _settle_buckets(copies)
    return copies


def _laid_out_like(parameter: Tensor, gradient: Tensor) -> Tensor:
    """Return a gradient with its parameter's strides, which DDP warns without.

    The class token's gradient is a slice of its one row's when a batch is one image.
    """
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _still_buffers() -> dict[str, Any]:
    """Return the argument that leaves buffers alone, which here never change."""
    known = inspect.signature(DistributedDataParallel).parameters
    name = "forward_sync_buffers"  # the name of newer versions
    return {name if name in known else "broadcast_buffers": False}


class _EveryParameter(nn.Module):
    """Touches every parameter, in order, without input."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # A tuple, so that they are not registered again.
        self.touched = tuple(p for p in model.parameters() if p.requires_grad)

    def forward(self) -> Tensor:
        return torch.stack([parameter.float().sum() for parameter in self.touched]).sum()


def _settle_buckets(copies: DistributedDataParallel) -> None:
    """Make the buckets of gradients those of every later step, before the first one.

    DDP lays them out anew after its first backward pass, by the order in which gradients
    came. With more than two processes the order of a sum follows from the place in a
    bucket, so that the first step after a restart would differ in its last bits.
    """
    model = copies.module
    copies.module = _EveryParameter(model)
    try:
        torch.autograd.backward(copies())
    finally:
        copies.module = model
    model.zero_grad(set_to_none=True)


def plain(model: nn.Module) -> nn.Module:
    """Return the model that :func:`wrap` was given.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> plain(model) is model
        True
    """
    return model.module if isinstance(model, DistributedDataParallel) else model


def exchanging(model: nn.Module, exchange: bool) -> AbstractContextManager[object]:
    """Return the context of a forward and backward pass that does, or not, exchange gradients.

    Of several passes that accumulate gradients only the last one has to.

    Args:
        model: What :func:`wrap` returned.
        exchange: Whether the gradients become means over all processes in this pass.

    Example:
        >>> model = nn.Linear(2, 2)
        >>> with exchanging(model, False):
        ...     model(torch.ones(1, 2)).sum().backward()
    """
    if isinstance(model, DistributedDataParallel) and not exchange:
        return model.no_sync()
    if _is_sharded(model):
        model.set_requires_gradient_sync(exchange)  # type: ignore[operator]
    return nullcontext()


def _is_sharded(model: nn.Module) -> bool:
    if ranks().size == 1:
        return False
    from torch.distributed.fsdp import FSDPModule

    return isinstance(model, FSDPModule)


def release(model: nn.Module) -> None:
    """Take back to shards what a forward pass without a backward pass left gathered.

    Args:
        model: What :func:`wrap` returned; one that is not sharded is left alone.
    """
    for module in model.modules():
        if _is_sharded(module):
            module.reshard()  # type: ignore[operator]


def full_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors whole and on the CPU; sharded ones are gathered by all processes.

    A plain tensor on the CPU is not copied.

    Args:
        tensors: The same names, in the same order, on every process.

    Example:
        >>> full_tensors({"weight": torch.ones(2)})
        {'weight': tensor([1., 1.])}
    """
    return {name: _whole(tensor.detach()).cpu() for name, tensor in tensors.items()}


def _whole(tensor: Tensor) -> Tensor:
    if ranks().size == 1:
        return tensor
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def set_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Put whole tensors into a model, whether its own are sharded or not.

    Args:
        model: Wrapped or not.
        weights: What ``full_tensors(plain(model).state_dict())`` gives, on every process.

    Raises:
        RuntimeError: If names or shapes are not those of the model.

    Example:
        >>> model = nn.Linear(1, 1, bias=False)
        >>> set_weights(model, {"weight": torch.full((1, 1), 3.0)})
        >>> model.weight.item()
        3.0
    """
    if not _is_sharded(plain(model)):
        plain(model).load_state_dict(dict(weights))
        return
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    whole = StateDictOptions(full_state_dict=True)
    set_model_state_dict(plain(model), dict(weights), options=whole)
