"""One training on several processes: who is there, sums over all, models on all of them.

Everything that steers a run (sums, decisions, errors) travels as CPU tensors over gloo, so
that no GPU has to be waited for; only gradients and parameters travel over NCCL.
"""

from glcm_mae.distributed.group import (
    Ranks,
    agree,
    barrier,
    connect,
    disconnect,
    on_main,
    ranks,
    sum_exactly,
    sum_over_ranks,
)
from glcm_mae.distributed.models import (
    exchanging,
    full_tensors,
    plain,
    release,
    set_weights,
    wrap,
)

__all__ = [
    "Ranks",
    "agree",
    "barrier",
    "connect",
    "disconnect",
    "exchanging",
    "full_tensors",
    "on_main",
    "plain",
    "ranks",
    "release",
    "set_weights",
    "sum_exactly",
    "sum_over_ranks",
    "wrap",
]
