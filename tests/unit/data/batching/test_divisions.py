"""A step divided over processes and parts is the step that is not divided."""

from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.data.batching.batches import (
    WHOLE,
    Batch,
    Division,
    count_batches,
    training_batches,
)

MILD = {"flip_horizontal": 0.5, "shift": 0.25, "brightness": 0.2, "contrast": 0.2}
PIXELS = np.random.default_rng(3).integers(0, 65536, (40, 1, 4, 4), dtype=np.uint16)
DRAWS = 5


def batches(
    images: int,
    batch_size: int,
    *,
    division: Division = WHOLE,
    first_step: int = 0,
    workers: int = 0,
    epoch: int = 2,
) -> list[Batch]:
    return list(
        training_batches(
            PIXELS,
            np.arange(images),
            batch_size=batch_size,
            seed=7,
            epoch=epoch,
            device=torch.device("cpu"),
            augmentation=MILD,
            workers=workers,
            first_step=first_step,
            division=division,
            draws=DRAWS,
        )
    )


def assert_same(one: Batch, other: Batch) -> None:
    assert one.rows.tolist() == other.rows.tolist()
    assert torch.equal(one.images, other.images)
    assert torch.equal(one.noise, other.noise)
    assert one.together.tolist() == other.together.tolist()
    assert (one.share, one.part) == (other.share, other.part)


counts = st.integers(1, 30)
few = st.integers(1, 4)


@given(count=st.integers(0, 60), ranks=few, parts=few)
def test_pieces_lie_end_to_end(count: int, ranks: int, parts: int) -> None:
    pieces = [
        Division(rank, ranks, parts).positions(part, count)
        for rank, part in product(range(ranks), range(parts))
    ]
    assert pieces[0][0] == 0
    assert pieces[-1][1] == count
    assert all(end == begin for (_, end), (begin, _) in pairwise(pieces))
    sizes = [end - begin for begin, end in pieces]
    assert max(sizes) - min(sizes) <= 1
    assert min(sizes) >= 0


@settings(max_examples=40)
@given(images=counts, batch_size=st.integers(1, 12), ranks=few, parts=few, data=st.data())
def test_divided_batches_are_slices_of_whole_ones(
    images: int, batch_size: int, ranks: int, parts: int, data: st.DataObject
) -> None:
    steps = count_batches(images, batch_size)
    first = data.draw(st.integers(0, steps))
    whole = batches(images, batch_size)[first:]
    divided = [
        batches(images, batch_size, division=Division(rank, ranks, parts), first_step=first)
        for rank in range(ranks)
    ]
    assert [len(own) for own in divided] == [parts * (steps - first)] * ranks
    for step, batch in enumerate(whole):
        pieces = [own[step * parts + part] for own in divided for part in range(parts)]
        assert [piece.part for piece in pieces] == list(range(parts)) * ranks
        assert sum(piece.share for piece in pieces) == pytest.approx(1.0, abs=1e-12)
        for piece in pieces:
            assert piece.together.tolist() == batch.rows.tolist()
        full = [piece for piece in pieces if piece.share > 0]
        assert [len(piece.rows) / len(batch.rows) for piece in full] == pytest.approx(
            [piece.share for piece in full]
        )
        assert np.concatenate([piece.rows for piece in full]).tolist() == batch.rows.tolist()
        assert torch.equal(torch.cat([piece.images for piece in full]), batch.images)
        assert torch.equal(torch.cat([piece.noise for piece in full]), batch.noise)
        for piece in pieces:  # an empty one keeps its process busy with an image of the step
            assert len(piece.rows) >= 1
            assert set(piece.rows.tolist()) <= set(batch.rows.tolist())


@settings(max_examples=40)
@given(images=counts, batch_size=st.integers(1, 12), ranks=few, parts=few)
def test_every_row_exactly_once_an_epoch(
    images: int, batch_size: int, ranks: int, parts: int
) -> None:
    seen = [
        row
        for rank in range(ranks)
        for batch in batches(images, batch_size, division=Division(rank, ranks, parts))
        if batch.share > 0
        for row in batch.rows.tolist()
    ]
    assert sorted(seen) == list(range(images))


@settings(max_examples=40)
@given(images=counts, batch_size=st.integers(1, 12), data=st.data())
def test_going_on_at_any_step_gives_the_tail(
    images: int, batch_size: int, data: st.DataObject
) -> None:
    division = data.draw(st.sampled_from([Division(), Division(1, 2, 3), Division(0, 1, 4)]))
    first = data.draw(st.integers(0, count_batches(images, batch_size)))
    whole = batches(images, batch_size, division=division)
    tail = batches(images, batch_size, division=division, first_step=first)
    assert len(tail) == len(whole) - first * division.parts
    for one, other in zip(whole[first * division.parts :], tail, strict=True):
        assert_same(one, other)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("division", [Division(), Division(1, 2, 3)], ids=["whole", "divided"])
def test_the_number_of_workers_changes_nothing(workers: int, division: Division) -> None:
    alone = batches(29, 8, division=division, first_step=1)
    ahead = batches(29, 8, division=division, first_step=1, workers=workers)
    assert len(alone) == len(ahead) == 3 * division.parts
    for one, other in zip(alone, ahead, strict=True):
        assert_same(one, other)


def test_the_noise_of_an_image_is_its_own_and_new_every_epoch() -> None:
    def noise(batch_size: int, epoch: int) -> dict[int, tuple[float, ...]]:
        return {
            int(row): tuple(numbers.tolist())
            for batch in batches(20, batch_size, epoch=epoch)
            for row, numbers in zip(batch.rows, batch.noise, strict=True)
        }

    assert noise(4, 2) == noise(7, 2)
    assert len(set(noise(4, 2).values())) == 20
    assert not set(noise(4, 2).values()) & set(noise(4, 3).values())
