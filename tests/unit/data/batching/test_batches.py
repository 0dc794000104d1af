"""Batches: every row as often as it is named, and the same image in any batch."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from glcm_mae.data.batching.batches import (
    Batch,
    count_batches,
    gray_statistics,
    plain_batches,
    to_images,
    training_batches,
)
from glcm_mae.data.batching.randomness import counted_uniforms
from glcm_mae.data.batching.transforms import DRAWS, augment

CPU = torch.device("cpu")
MILD = {"flip_horizontal": 0.5, "shift": 0.25, "brightness": 0.2, "contrast": 0.2}
STRONG = {"flip_horizontal": 0.5, "shift": 0.25, "rotation": 20.0, "brightness": 0.2}


def pixels(count: int = 12, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 65536, (count, channels, 8, 6), dtype=np.uint16)


def batches(
    rows: list[int],
    *,
    batch_size: int = 4,
    epoch: int = 0,
    seed: int = 0,
    shuffle: bool = True,
    augmentation: dict[str, float] = STRONG,
    workers: int = 0,
) -> list[Batch]:
    return list(
        training_batches(
            pixels(),
            rows,
            batch_size=batch_size,
            seed=seed,
            epoch=epoch,
            device=CPU,
            augmentation=augmentation,
            shuffle=shuffle,
            workers=workers,
        )
    )


def rows_of(made: list[Batch]) -> list[int]:
    return [row for batch in made for row in batch.rows.tolist()]


def test_pixels_become_images_from_black_to_white() -> None:
    stored = np.array([[[[0, 65535, 13107]]]], dtype=np.uint16)
    images = to_images(stored, CPU)
    assert images.dtype == torch.float32
    assert images.flatten().tolist() == pytest.approx([0.0, 1.0, 0.2])


def test_eight_bits_have_their_own_white() -> None:
    stored = np.array([[[[0, 255, 51]]]], dtype=np.uint8)
    assert to_images(stored, CPU).flatten().tolist() == pytest.approx([0.0, 1.0, 0.2])


@pytest.mark.parametrize(
    ("images", "batch_size", "count"), [(12, 4, 3), (13, 4, 4), (3, 4, 1), (1, 1, 1)]
)
def test_batches_are_counted(images: int, batch_size: int, count: int) -> None:
    assert count_batches(images, batch_size) == count
    made = plain_batches(pixels(13), list(range(images)), batch_size=batch_size, device=CPU)
    assert len(list(made)) == count


def test_every_row_is_visited_once_in_an_order_of_its_epoch() -> None:
    rows = [0, 2, 3, 5, 7, 8, 9, 11, 1, 4]
    first, second = (rows_of(batches(rows, epoch=epoch)) for epoch in (0, 1))
    assert sorted(first) == sorted(second) == sorted(rows)
    assert first != second
    assert rows_of(batches(rows)) == first
    assert rows_of(batches(rows, shuffle=False)) == rows


def test_the_last_batch_may_be_smaller() -> None:
    assert [len(batch.rows) for batch in batches(list(range(10)))] == [4, 4, 2]


def test_the_batch_that_an_image_is_in_does_not_change_it() -> None:
    seen: dict[int, torch.Tensor] = {}
    for batch in batches(list(range(12)), batch_size=5):
        seen |= {int(row): image for row, image in zip(batch.rows, batch.images, strict=True)}
    for rows, size in (([3, 7, 1], 2), ([7], 1), (list(range(11, -1, -1)), 12)):
        for batch in batches(rows, batch_size=size):
            for row, image in zip(batch.rows, batch.images, strict=True):
                torch.testing.assert_close(image, seen[int(row)], rtol=0, atol=1e-6)


@pytest.mark.parametrize("augmentation", [MILD, STRONG])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_the_number_of_workers_changes_nothing(
    augmentation: dict[str, float], batch_size: int
) -> None:
    rows = [*range(12), 5, 5]
    alone, one, three = (
        batches(
            rows,
            augmentation=augmentation,
            batch_size=batch_size,
            workers=workers,
        )
        for workers in (0, 1, 3)
    )
    assert len(alone) == len(one) == len(three) == -(-14 // batch_size)
    for first, *others in zip(alone, one, three, strict=True):
        for other in others:
            assert np.array_equal(first.rows, other.rows)
            assert torch.equal(first.images, other.images)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stored_pixels_are_augmented_as_images_are(dtype: type) -> None:
    stored = pixels(channels=3).astype(dtype)
    settings = {"batch_size": 5, "seed": 3, "epoch": 2, "augmentation": MILD}
    for batch in training_batches(stored, range(12), device=CPU, **settings):
        order = counted_uniforms(3, 2, batch.rows.tolist(), DRAWS)
        plain = to_images(stored[batch.rows], CPU)
        expected = augment(plain, torch.from_numpy(order), **MILD)
        torch.testing.assert_close(batch.images, expected, rtol=0, atol=1e-6)


def test_batches_that_nobody_wants_end_their_workers() -> None:
    before = threading.active_count()
    made = training_batches(
        pixels(),
        range(12),
        batch_size=1,
        seed=0,
        epoch=0,
        device=CPU,
        augmentation=MILD,
        workers=2,
    )
    next(made)
    assert threading.active_count() > before
    made.close()
    assert threading.active_count() == before


def test_an_error_of_a_worker_comes_through() -> None:
    class Broken(np.ndarray):
        def __getitem__(self, rows: object) -> np.ndarray:
            raise OSError("gone")

    made = training_batches(
        pixels().view(Broken),
        range(12),
        batch_size=4,
        seed=0,
        epoch=0,
        device=CPU,
        augmentation=MILD,
        workers=2,
    )
    with pytest.raises(OSError, match="gone"):
        list(made)


def test_another_epoch_changes_an_image_otherwise() -> None:
    one, other, again = (batches([3], epoch=epoch)[0].images for epoch in (0, 1, 0))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)
    assert not torch.allclose(batches([3], seed=1)[0].images, one)


def test_a_row_that_is_named_twice_is_changed_in_two_ways() -> None:
    (batch,) = batches([3, 3, 5], shuffle=False)
    assert batch.rows.tolist() == [3, 3, 5]
    assert not torch.allclose(batch.images[0], batch.images[1])
    assert torch.allclose(batch.images[0], batches([3])[0].images, atol=1e-6)


def test_plain_batches_keep_order_and_pixels() -> None:
    made = list(plain_batches(pixels(), [4, 0, 9], batch_size=2, device=CPU))
    assert [batch.rows.tolist() for batch in made] == [[4, 0], [9]]
    together = torch.cat([batch.images for batch in made])
    assert np.array_equal(np.rint(together.numpy() * 65535), pixels()[[4, 0, 9]])


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_statistics_equal_numpys_over_the_rows(channels: int) -> None:
    stored, rows = pixels(channels=channels), [1, 4, 7]
    mean, deviation = gray_statistics(stored, rows)
    chosen = stored[rows] / 65535
    assert mean == pytest.approx(chosen.mean(axis=(0, 2, 3)))
    assert deviation == pytest.approx(chosen.std(axis=(0, 2, 3)))


def test_gray_statistics_of_eight_bits_in_a_mapped_file(tmp_path: Path) -> None:
    stored = (pixels() >> 8).astype(np.uint8)
    stored.tofile(tmp_path / "pixels.bin")
    mapped = np.memmap(tmp_path / "pixels.bin", np.uint8, "r", shape=stored.shape)
    mean, deviation = gray_statistics(mapped, range(12))
    assert mean == pytest.approx([(stored / 255).mean()])
    assert deviation == pytest.approx([(stored / 255).std()])


def test_black_images_have_no_deviation() -> None:
    black = np.zeros((2, 1, 4, 4), dtype=np.uint16)
    assert gray_statistics(black, [0, 1]) == ([0.0], [0.0])
