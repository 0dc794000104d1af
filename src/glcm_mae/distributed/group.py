"""Who takes part in a run, and what they tell each other."""

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from glcm_mae.errors import InputError
from glcm_mae.progress import console

T = TypeVar("T")

TIMEOUT = 600.0
"""Seconds after which a process gives up waiting for the others."""
PATIENCE = 86400.0
"""Seconds that the others wait for what rank 0 does alone, such as reading all images."""

_LIMB = 32
"""Bits of an integer that travel in one int64; the rest holds the sum of 2**31 processes."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those of a run.

    Attributes:
        rank: Its number among all, from 0.
        size: How many there are.
        local: Its number on this machine, which is also that of its GPU.
    """

    rank: int
    size: int
    local: int

    @property
    def main(self) -> bool:
        """Whether this is the one that writes and tells: rank 0."""
        return self.rank == 0


ALONE = Ranks(0, 1, 0)


@dataclass
class _Connection:
    ranks: Ranks = ALONE
    patient: dist.ProcessGroup | None = None


_connection = _Connection()


def ranks() -> Ranks:
    """Return the place of this process; alone before :func:`connect`.

    Example:
        >>> ranks()
        Ranks(rank=0, size=1, local=0)
    """
    return _connection.ranks


def connect(device_type: str, *, timeout: float = TIMEOUT) -> Ranks:
    """Join the other processes of the run, if there are any; joined already, do nothing.

    Who they are follows from ``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``MASTER_ADDR`` and
    ``MASTER_PORT``, which torchrun and :mod:`glcm_mae.launching` set. Without them, or with
    one process, there is no group. Ranks other than 0 fall silent.

    Args:
        device_type: "cpu", or "cuda" to give each process the GPU of its local rank.
        timeout: Seconds after which waiting for another process is an error.

    Raises:
        InputError: If a variable is missing or no possible number, or a GPU is missing.
    """
    if _connection.ranks.size > 1:
        return _connection.ranks
    place = _place()
    if device_type == "cuda":
        _take_gpu(place)
    if place.size == 1:
        return place
    backend = "cpu:gloo,cuda:nccl" if device_type == "cuda" else "gloo"
    limit = timedelta(seconds=timeout)
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        dist.init_process_group(backend, timeout=limit)
    else:
        store = _fresh_store(place, timeout)
        dist.init_process_group(
            backend, store=store, rank=place.rank, world_size=place.size, timeout=limit
        )
    patient = dist.new_group(backend="gloo", timeout=timedelta(seconds=PATIENCE))
    assert isinstance(patient, dist.ProcessGroup)
    _connection.patient = patient
    _connection.ranks = place
    console.quiet = not place.main
    return place


def _place() -> Ranks:
    if "RANK" not in os.environ:
        return ALONE
    place = Ranks(_number("RANK"), _number("WORLD_SIZE"), _number("LOCAL_RANK"))
    if place.rank >= place.size:
        raise InputError(
            f"RANK: must be less than WORLD_SIZE={place.size}, got {place.rank}; "
            "start with --devices or torchrun"
        )
    return place


def _number(name: str) -> int:
    text = os.environ.get(name, "")
    if not text.isdecimal():
        raise InputError(
            f"{name}: must be a whole number where RANK is set, got {text!r}; start with "
            "--devices or torchrun, or unset RANK"
        )
    return int(text)


def _take_gpu(place: Ranks) -> None:
    there = torch.cuda.device_count()
    if place.local >= there:
        raise InputError(
            f"devices: {place.local + 1} GPUs are asked for on this machine, torch sees "
            f"{there}; pass fewer --devices"
        )
    torch.cuda.set_device(place.local)


def _fresh_store(place: Ranks, timeout: float) -> Any:
    """Meet at the store that rank 0 hosts; not at the one of a group that is being ended.

    On several machines a restarted process can find the store of the old group still alive,
    with addresses of processes that are gone; its own rank is counted there already.
    """
    host, port = os.environ.get("MASTER_ADDR", ""), _number("MASTER_PORT")
    if not host:
        raise InputError("MASTER_ADDR: must name the machine of rank 0 where RANK is set")
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            store = dist.TCPStore(  # type: ignore[attr-defined]
                host,
                port,
                is_master=place.main,
                timeout=timedelta(seconds=timeout),
                wait_for_workers=False,
            )
            if store.add(f"joined/{place.rank}", 1) == 1:
                return store
            del store
        except dist.DistNetworkError:
            if place.main:
                raise
        time.sleep(0.5)
    raise TimeoutError(f"{host}:{port}: rank 0 did not open a fresh store in {timeout:g} s")


def disconnect() -> None:
    """Leave the other processes; alone, do nothing."""
    if dist.is_initialized():
        dist.destroy_process_group()
    _connection.ranks, _connection.patient = ALONE, None
    console.quiet = False


def sum_over_ranks(values: Sequence[float]) -> list[float]:
    """Add up numbers over all processes, each sum rounded once, whatever the order.

    Args:
        values: As many on every process.

    Example:
        >>> sum_over_ranks([0.5, 2.0])
        [0.5, 2.0]
    """
    if ranks().size == 1 or not values:
        return [float(value) for value in values]
    own = torch.tensor(values, dtype=torch.float64)
    parts = [torch.empty_like(own) for _ in range(ranks().size)]
    dist.all_gather(parts, own)
    return [_sum(column) for column in zip(*(part.tolist() for part in parts), strict=True)]


def _sum(numbers: Sequence[float]) -> float:
    try:
        return math.fsum(numbers)
    except (OverflowError, ValueError):  # fsum refuses sums that leave the finite numbers
        return sum(numbers)


def sum_exactly(values: Sequence[int]) -> list[int]:
    """Add up integers of any size over all processes, exactly.

    Args:
        values: As many on every process.

    Example:
        >>> sum_exactly([2**100, -1])
        [1267650600228229401496703205376, -1]
    """
    if ranks().size == 1 or not values:
        return [int(value) for value in values]
    count = torch.tensor(max(_limb_count(value) for value in values))
    dist.all_reduce(count, op=dist.ReduceOp.MAX)
    limbs = torch.tensor([_limbs(value, int(count)) for value in values], dtype=torch.int64)
    dist.all_reduce(limbs)
    return [sum(limb << (_LIMB * i) for i, limb in enumerate(row)) for row in limbs.tolist()]


def _limb_count(value: int) -> int:
    return -(-int(value).bit_length() // _LIMB) or 1


def _limbs(value: int, count: int) -> list[int]:
    """Cut the magnitude into limbs, each with the sign of the whole."""
    sign, magnitude = (-1, -int(value)) if value < 0 else (1, int(value))
    return [sign * ((magnitude >> (_LIMB * i)) & ((1 << _LIMB) - 1)) for i in range(count)]


def agree(values: Sequence[float]) -> list[float]:
    """Return the numbers of rank 0 on every process, for decisions by the clock.

    Example:
        >>> agree([3.5])
        [3.5]
    """
    numbers = torch.tensor(values, dtype=torch.float64)
    if ranks().size > 1 and len(values):
        dist.broadcast(numbers, src=0)
    return [float(number) for number in numbers.tolist()]


def barrier() -> None:
    """Wait until every process is here."""
    if ranks().size > 1:
        # dist.barrier would choose NCCL where there are GPUs, and wait for them.
        dist.all_reduce(torch.zeros(1))


def on_main(action: Callable[[], T]) -> T | None:
    """Let rank 0 do something while the others wait, for as long as a day.

    Returns:
        What the action returned on rank 0, None on the others.

    Raises:
        InputError: On every process, if the action raised one on rank 0, or if a file
            could not be read or written there.
        RuntimeError: On the others, if anything else was raised on rank 0, where it is
            raised as it was.

    Example:
        >>> on_main(lambda: "written")
        'written'
    """
    if not ranks().main:
        _hear()
        return None
    try:
        result = action()
    except (InputError, OSError) as error:
        message = _explain(error)
        _tell(_BAD_INPUT, message)
        raise InputError(message) from error
    except Exception as error:
        _tell(_FAILED, f"rank 0 failed: {type(error).__name__}: {error}")
        raise
    _tell(_DONE, "")
    return result


_DONE, _BAD_INPUT, _FAILED = range(3)


def _explain(error: InputError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{os.fsdecode(error.filename)}: {error.strerror}; check space and permissions"
    return str(error) or type(error).__name__


def _tell(kind: int, message: str) -> None:
    if ranks().size > 1:
        content = message.encode()
        dist.broadcast(torch.tensor([kind, len(content)]), src=0, group=_connection.patient)
        if content:
            dist.broadcast(torch.tensor(list(content), dtype=torch.uint8), src=0)


def _hear() -> None:
    header = torch.zeros(2, dtype=torch.int64)
    dist.broadcast(header, src=0, group=_connection.patient)
    kind, length = header.tolist()
    if kind == _DONE:
        return
    content = torch.zeros(length, dtype=torch.uint8)
    if length:
        dist.broadcast(content, src=0)
    message = bytes(content.tolist()).decode()
    raise InputError(message) if kind == _BAD_INPUT else RuntimeError(message)
