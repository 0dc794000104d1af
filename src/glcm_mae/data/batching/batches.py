"""Batches of images, in counted order."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.data.batching.mixing import UNMIXED, Mixing, Mixture, draw_mixture, mix
from glcm_mae.data.batching.randomness import (
    Stream,
    counted_permutation,
    counted_uniforms,
)
from glcm_mae.data.batching.transforms import DRAWS, augment, augment_stored
from glcm_mae.data.store.pixels import Pixels, white_of


class Batch(NamedTuple):
    """Some images, and where in the table they stand.

    Attributes:
        rows: Row of each image in the table.
        images: Images in [0, 1].
        share: Part of the step's images that these are; 0 for one that only keeps a
            process busy whose part is empty.
        together: Rows of all images of the step, on all processes.
        noise: Counted uniform numbers of each image, for its mask.
        part: Number of the part of the step, on this process.
        begin: Position of the first of these images among those of the step.
        mixture: How all images of the step were mixed with each other; empty if not.
    """

    rows: NDArray[np.int64]
    images: Float[Tensor, "batch channel height width"]
    share: float = 1.0
    together: NDArray[np.int64] = np.empty(0, dtype=np.int64)
    noise: Float[Tensor, "batch draws"] = torch.empty(0, 0)
    part: int = 0
    begin: int = 0
    mixture: Mixture = UNMIXED


class Division(NamedTuple):
    """How the images of a step are divided: over processes, and there into parts.

    Attributes:
        rank: Number of this process.
        ranks: Number of processes.
        parts: Parts that a process computes one after the other.
    """

    rank: int = 0
    ranks: int = 1
    parts: int = 1

    def positions(self, part: int, count: int) -> tuple[int, int]:
        """Return begin and end, among ``count`` images, of one part of this process.

        Example:
            >>> [Division(rank, 2, 2).positions(part, 5) for rank in (0, 1) for part in (0, 1)]
            [(0, 2), (2, 3), (3, 4), (4, 5)]
        """
        pieces, piece = self.ranks * self.parts, self.rank * self.parts + part
        # Rounded up, so that it is the last parts that are empty where images are few.
        return -(-piece * count // pieces), -(-(piece + 1) * count // pieces)


WHOLE = Division()
"""One process, one part a step."""

STILL = Mixing()
"""Every image stays as it is."""


def to_images(
    pixels: NDArray[Any], device: torch.device
) -> Float[Tensor, "batch channel height width"]:
    """Turn stored pixels, uint8 or uint16, into float32 images in [0, 1] on a device."""
    levels = torch.from_numpy(pixels.astype(np.float32))
    if device.type == "cuda":  # from pinned memory the copy waits for nothing
        levels = levels.pin_memory()
    return levels.to(device, non_blocking=True).div_(white_of(pixels.dtype))


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
    first_step: int = 0,
    division: Division = WHOLE,
    draws: int = 0,
    mixing: Mixing = STILL,
) -> Iterator[Batch]:
    """Yield the rows once, shuffled and augmented as seed and epoch determine.

    Args:
        pixels: All images of the table.
        rows: Rows to visit; a row named twice is visited twice.
        batch_size: Images per step, over all processes and parts.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        device: Where the images shall be.
        augmentation: Keyword arguments of :func:`glcm_mae.data.batching.transforms.augment`.
        shuffle: Visit the rows in random order.
        workers: Threads that make batches ahead of their use; without any, each is made
            when it is asked for. Their number changes no batch.
        first_step: Steps of the epoch that are passed over, because they are done.
        division: What of each step is this process's, and in how many parts.
        draws: Counted uniform numbers an image that come along as ``noise``.
        mixing: How the images of a step are mixed with each other.

    Yields:
        Batches, ``division.parts`` a step; over all processes, every row of ``rows``
        occurs exactly as often as it is named.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    samples = _sample_numbers(chosen, len(pixels))
    if shuffle:
        order = counted_permutation(seed, epoch, len(chosen))
        chosen, samples = chosen[order], samples[order]

    def augmented(rows: NDArray[np.int64], samples: NDArray[np.int64]) -> Tensor:
        return _augmented(pixels, rows, samples, seed, epoch, device, augmentation)

    def assemble(number: int) -> Batch:
        step, part = divmod(number, division.parts)
        together = slice((first_step + step) * batch_size, (first_step + step + 1) * batch_size)
        rows_now, samples_now = chosen[together], samples[together]
        begin, end = division.positions(part, len(rows_now))
        share = (end - begin) / len(rows_now)
        some = slice(begin, end) if end > begin else slice(0, 1)
        mixture = UNMIXED
        if mixing.active:
            size = (pixels.shape[2], pixels.shape[3])
            mixture = draw_mixture(samples_now, size, mixing, seed=seed, epoch=epoch)
        images = _mixed(augmented, rows_now, samples_now, some, mixture)
        noise = counted_uniforms(
            seed, epoch, samples_now[some].tolist(), draws, stream=Stream.MASK
        )
        return Batch(
            *(rows_now[some], images, share, rows_now, torch.from_numpy(noise), part),
            *(some.start, mixture),
        )

    steps = count_batches(len(chosen), batch_size) - first_step
    yield from _ahead(assemble, steps * division.parts, workers)


def _mixed(
    augmented: Callable[[NDArray[np.int64], NDArray[np.int64]], Tensor],
    rows: NDArray[np.int64],
    samples: NDArray[np.int64],
    some: slice,
    mixture: Mixture,
) -> Tensor:
    """Make some images of a step; partners are made anew, for another part may hold them."""
    images = augmented(rows[some], samples[some])
    if not len(mixture.shares):
        return images
    mine = mixture.part(some.start, len(images))
    changed = np.flatnonzero(mine.shares < 1.0)
    if len(changed):
        chosen = mine.rows(changed)
        others = augmented(rows[chosen.partners], samples[chosen.partners])
        images[changed] = mix(images[changed], others, chosen)
    return images


def _augmented(
    pixels: Pixels,
    rows: NDArray[np.int64],
    samples: NDArray[np.int64],
    seed: int,
    epoch: int,
    device: torch.device,
    augmentation: Mapping[str, float],
) -> Tensor:
    numbers = counted_uniforms(seed, epoch, samples.tolist(), DRAWS)
    uniforms = torch.from_numpy(numbers)
    if device.type == "cpu":
        return augment_stored(pixels[rows], uniforms, **augmentation)
    return augment(to_images(pixels[rows], device), uniforms, **augmentation)


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
    pixels: Pixels,
    rows: Sequence[int] | NDArray[np.int64],
    *,
    reduce: Callable[[Sequence[int]], Sequence[int]] = tuple,
) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation of each channel in [0, 1] over some rows.

    Sums are taken in whole numbers, so that they do not depend on the order, nor on how
    the rows are divided.

    Args:
        pixels: All images of the table.
        rows: Rows to look at.
        reduce: Adds up whole numbers over processes, when each has some of the rows.
    """
    chosen, channels = np.asarray(rows, dtype=np.int64), pixels.shape[1]
    sums = [0] * (2 * channels + 1)
    for row in chosen.tolist():
        image = pixels[row].astype(np.uint64)
        for channel in range(channels):
            sums[channel] += int(image[channel].sum())
            sums[channels + channel] += int((image[channel] ** 2).sum())
    sums[-1] = len(chosen) * pixels.shape[2] * pixels.shape[3]
    *totals, count = reduce(sums)
    white = white_of(pixels.dtype)
    mean = [total / count / white for total in totals[:channels]]
    # The difference of whole numbers is exact, where that of floats would cancel.
    spread = [
        (square * count - total**2) / count**2 / white**2
        for total, square in zip(totals[:channels], totals[channels:], strict=True)
    ]
    return mean, [sqrt(value) for value in spread]
