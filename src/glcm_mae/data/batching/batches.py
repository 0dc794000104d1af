"""Batches of images, in counted order."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.data.batching.randomness import counted_permutation, counted_uniforms
from glcm_mae.data.batching.transforms import DRAWS, augment, augment_stored
from glcm_mae.data.store.pixels import Pixels, white_of


class Batch(NamedTuple):
    """Some images, and where in the table they stand.

    Attributes:
        rows: Row of each image in the table.
        images: Images in [0, 1].
    """

    rows: NDArray[np.int64]
    images: Float[Tensor, "batch channel height width"]


def to_images(
    pixels: NDArray[Any], device: torch.device
) -> Float[Tensor, "batch channel height width"]:
    """Turn stored pixels, uint8 or uint16, into float32 images in [0, 1] on a device."""
    levels = torch.from_numpy(pixels.astype(np.float32))
    return levels.to(device).div_(white_of(pixels.dtype))


def count_batches(images: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; the last one may be smaller."""
    return -(-images // batch_size)


def training_batches(
    pixels: Pixels,
    rows: Sequence[int] | NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
    augmentation: Mapping[str, float],
    shuffle: bool = True,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yield the rows once, shuffled and augmented as seed and epoch determine.

    Args:
        pixels: All images of the table.
        rows: Rows to visit; a row named twice is visited twice.
        batch_size: Images per batch.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        device: Where the images shall be.
        augmentation: Keyword arguments of :func:`glcm_mae.data.batching.transforms.augment`.
        shuffle: Visit the rows in random order.
        workers: Threads that make batches ahead of their use; without any, each is made
            when it is asked for. Their number changes no batch.

    Yields:
        Batches; every row of ``rows`` occurs exactly as often as it is named.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    samples = _sample_numbers(chosen, len(pixels))
    if shuffle:
        order = counted_permutation(seed, epoch, len(chosen))
        chosen, samples = chosen[order], samples[order]

    def assemble(number: int) -> Batch:
        some = slice(number * batch_size, (number + 1) * batch_size)
        part = chosen[some]
        numbers = samples[some].tolist()
        uniforms = torch.from_numpy(counted_uniforms(seed, epoch, numbers, DRAWS))
        if device.type == "cpu":
            return Batch(part, augment_stored(pixels[part], uniforms, **augmentation))
        return Batch(part, augment(to_images(pixels[part], device), uniforms, **augmentation))

    yield from _ahead(assemble, count_batches(len(chosen), batch_size), workers)


def _ahead(assemble: Callable[[int], Batch], count: int, workers: int) -> Iterator[Batch]:
    """Yield numbered batches in order, with up to two per worker ready or under way."""
    if workers == 0:
        yield from map(assemble, range(count))
        return
    waiting: deque[Future[Batch]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for number in range(count):
            waiting.append(pool.submit(assemble, number))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _sample_numbers(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Number the visits: a row's own number, plus ``count`` each time it comes again."""
    order = np.argsort(rows, kind="stable")
    places = np.arange(len(rows))
    begins = np.r_[True, np.diff(rows[order]) != 0][: len(rows)]
    visits = np.empty_like(rows)  # 0 for the first visit, 1 for the second, ...
    visits[order] = places - np.maximum.accumulate(np.where(begins, places, 0))
    return rows + count * visits


def plain_batches(
    pixels: Pixels,
    rows: Sequence[int] | NDArray[np.int64],
    *,
    batch_size: int,
    device: torch.device,
) -> Iterator[Batch]:
    """Yield the rows in order, as they are."""
    chosen = np.asarray(rows, dtype=np.int64)
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        yield Batch(part, to_images(pixels[part], device))


def gray_statistics(
    pixels: Pixels, rows: Sequence[int] | NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation of each channel in [0, 1] over some rows."""
    chosen, white = np.asarray(rows, dtype=np.int64), white_of(pixels.dtype)
    sums = np.zeros(pixels.shape[1])
    squares = np.zeros(pixels.shape[1])
    for row in chosen.tolist():
        image = pixels[row].astype(np.float64) / white
        sums += image.mean(axis=(1, 2))
        squares += (image**2).mean(axis=(1, 2))
    mean = sums / len(chosen)
    deviation = np.sqrt(np.maximum(squares / len(chosen) - mean**2, 0.0))
    return mean.tolist(), deviation.tolist()
