"""The fused GLCM distance on the processor: patches shared out over threads.

Neither the shares of all pixels nor the tables of all patches are ever held: a thread
has one table and the shares of one patch at a time. Every patch is computed by one
thread in one order, so the number of threads changes nothing.
"""

import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from glcm_mae.texture.glcm import Scale
from glcm_mae.texture.kernels.lanes import Lanes
from glcm_mae.texture.kernels.loops import add_distances, add_excess

_PATCHES_AT_A_TIME = 16  # enough to make light of a call, few enough to share out evenly

# Beyond so many bandwidths a sigmoid is at its end: e^-15 = 3e-7, e^-35 = 6e-16.
_TAIL = {torch.float32: 15.0, torch.float64: 35.0}
_LANES = {torch.float32: (2, 8, 16, 32), torch.float64: (2, 8, 16)}


def glcm_distance_cpu(
    prediction: Tensor,
    target: Tensor,
    scales: Sequence[Scale],
    symmetric: bool,
    with_gradient: bool,
) -> tuple[Tensor, Tensor]:
    """Return the distance of patches, and its gradient by the prediction.

    Args:
        prediction: Patches (patches, height, width) in float32 or float64; a pixel
            outside ``[0, 1]`` counts as the nearest edge, and the mean squared excess
            is added.
        target: True patches, alike.
        scales: What to compare; the distances are summed.
        symmetric: Count every pair in both directions.
        with_gradient: Whether to compute the gradient; without, it comes back empty.

    Returns:
        The distance, a scalar, and the gradient, of the shape of the prediction. NaN
        in a patch makes the distance NaN, and the gradient of that patch.
    """
    count, height, width = prediction.shape
    predicted, true = (
        patches.detach().contiguous().numpy().reshape(count, -1)
        for patches in (prediction, target)
    )
    gradient = np.empty_like(predicted)
    distances = np.zeros(count)
    plans = [(scale, _plan(scale, prediction.dtype)) for scale in scales]

    def measure(first: int, last: int) -> None:
        part = slice(first, last)
        patches = predicted[part], true[part]
        results = distances[part], gradient[part]
        add_excess(*patches, 1 / predicted.size, *results)
        for scale, plan in plans:
            add_distances(
                *patches,
                (height, width),
                plan.offsets,
                (scale.levels, plan.virtual, plan.window),
                1 / scale.bandwidth,
                plan.constants,
                symmetric,
                1 / (len(plan.offsets) * count),
                with_gradient,
                *results,
                plan.lanes,
            )

    _share_out(measure, count)
    distance = torch.tensor(distances.sum(), dtype=prediction.dtype)
    if not with_gradient:
        return distance, prediction.new_empty(0)
    return distance, torch.from_numpy(gradient).reshape(prediction.shape)


class _Plan(NamedTuple):
    """What the loops need to know of a scale, made once."""

    virtual: int  # bins that a pixel touches on a scale without ends
    window: int  # bins that it touches on [0, 1], where the ends mirror
    constants: Any  # of the edges, see add_distances
    offsets: Any  # (offsets, 2)
    lanes: Lanes


@cache
def _plan(scale: Scale, dtype: torch.dtype) -> _Plan:
    levels, bandwidth, offsets = scale
    half = math.ceil(_TAIL[dtype] * bandwidth + 0.5 - 1e-9)  # 2.0000000001 is 2
    virtual, window = 2 * half, min(2 * half, levels)
    lanes = next((n for n in _LANES[dtype] if n >= window), _LANES[dtype][-1])
    return _Plan(
        virtual,
        window,
        _constants(virtual, -(-virtual // lanes) * lanes, bandwidth, dtype),
        np.array(offsets, dtype=np.int64).reshape(-1, 2),
        Lanes(lanes),
    )


def _constants(virtual: int, width: int, bandwidth: float, dtype: torch.dtype) -> Any:
    edges = np.arange(virtual + 1)
    growth, touched, rising, falling = np.zeros((4, 3 * width))
    growth[width + 1 : width + virtual] = np.exp((edges[1:-1] - virtual // 2) / bandwidth)
    touched[: width + virtual] = 1
    rising[: virtual + 1] = np.exp(-edges / bandwidth)
    falling[: virtual + 1] = np.exp((edges - virtual) / bandwidth)
    parts = (growth, touched, rising[:width], falling[:width])
    return np.concatenate(parts).astype(np.float32 if dtype == torch.float32 else np.float64)


def _share_out(measure: Callable[[int, int], None], count: int) -> None:
    """Measure a few patches at a time, on as many threads as PyTorch takes."""
    starts = itertools.count(0, _PATCHES_AT_A_TIME)

    def work() -> None:
        for first in starts:  # one counter for all threads, and each step of it is whole
            if first >= count:
                return
            measure(first, min(first + _PATCHES_AT_A_TIME, count))

    threads = min(torch.get_num_threads(), -(-count // _PATCHES_AT_A_TIME))
    others = [_threads(os.getpid()).submit(work) for _ in range(threads - 1)]
    work()
    for other in others:
        other.result()


@cache
def _threads(process: int) -> ThreadPoolExecutor:
    """Return the threads of this process; after a fork the child starts its own."""
    return ThreadPoolExecutor(os.cpu_count(), thread_name_prefix=f"glcm-distance-{process}")
