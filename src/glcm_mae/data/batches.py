"""Batches of images from memory, in counted order."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae.data.loading import WHITE
from glcm_mae.data.randomness import counted_permutation, counted_uniforms
from glcm_mae.data.transforms import DRAWS, augment


class Batch(NamedTuple):
    """Some images, and where in the table they stand.

    Attributes:
        rows: Row of each image in the table.
        images: Images in [0, 1].
    """

    rows: NDArray[np.int64]
    images: Float[Tensor, "batch channel height width"]


def to_images(
    pixels: NDArray[np.uint16], device: torch.device
) -> Float[Tensor, "batch channel height width"]:
    """Turn stored pixels into float32 images in [0, 1] on a device."""
    return torch.from_numpy(pixels.astype(np.float32)).to(device) / WHITE


def count_batches(images: int, batch_size: int) -> int:
    """Return the number of batches of an epoch; the last one may be smaller."""
    return -(-images // batch_size)


def training_batches(
    pixels: NDArray[np.uint16],
    rows: Sequence[int] | NDArray[np.int64],
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    device: torch.device,
    augmentation: Mapping[str, float],
    shuffle: bool = True,
) -> Iterator[Batch]:
    """Yield the rows once, shuffled and augmented as seed and epoch determine.

    Args:
        pixels: All images of the table, 16-bit.
        rows: Rows to visit; a row named twice is visited twice.
        batch_size: Images per batch.
        seed: Seed of the run.
        epoch: Epoch, counted from 0.
        device: Where the images shall be.
        augmentation: Keyword arguments of :func:`glcm_mae.data.transforms.augment`.
        shuffle: Visit the rows in random order.

    Yields:
        Batches; every row of ``rows`` occurs exactly as often as it is named.
    """
    chosen = np.asarray(rows, dtype=np.int64)
    samples = _sample_numbers(chosen, len(pixels))
    if shuffle:
        order = counted_permutation(seed, epoch, len(chosen))
        chosen, samples = chosen[order], samples[order]
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        numbers = samples[start : start + batch_size].tolist()
        uniforms = torch.from_numpy(counted_uniforms(seed, epoch, numbers, DRAWS))
        yield Batch(part, augment(to_images(pixels[part], device), uniforms, **augmentation))


def _sample_numbers(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Number the visits: a row's own number, plus ``count`` each time it comes again."""
    seen: Counter[int] = Counter()
    numbers = rows.copy()
    for position, row in enumerate(rows.tolist()):
        numbers[position] += count * seen[row]
        seen[row] += 1
    return numbers


def plain_batches(
    pixels: NDArray[np.uint16],
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
    pixels: NDArray[np.uint16], rows: Sequence[int] | NDArray[np.int64]
) -> tuple[list[float], list[float]]:
    """Return the mean and standard deviation of each channel in [0, 1] over some rows."""
    chosen = np.asarray(rows, dtype=np.int64)
    sums = np.zeros(pixels.shape[1])
    squares = np.zeros(pixels.shape[1])
    for row in chosen:
        image = pixels[row].astype(np.float64) / WHITE
        sums += image.mean(axis=(1, 2))
        squares += (image**2).mean(axis=(1, 2))
    mean = sums / len(chosen)
    deviation = np.sqrt(np.maximum(squares / len(chosen) - mean**2, 0.0))
    return mean.tolist(), deviation.tolist()
