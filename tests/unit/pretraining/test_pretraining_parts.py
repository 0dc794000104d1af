"""Which images a pre-training holds out: whole groups, by the seed, never a test image."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from glcm_mae.config import PretrainConfig
from glcm_mae.data import ImageTable, LoadedImages, make_phantom
from glcm_mae.errors import InputError
from glcm_mae.pretraining.parts import divide, read_images

GROUPS = st.lists(st.integers(0, 12), min_size=2, max_size=60)


def settings(share: float, *, seed: int = 0, **data: Any) -> PretrainConfig:
    return PretrainConfig(
        data={"table": "images", **data},
        pretraining={"held_out_share": share},
        out="run",
        seed=seed,
    )


def images_of(groups: list[str], splits: tuple[str, ...] = ()) -> LoadedImages:
    count = len(groups)
    paths = tuple(f"{number}.png" for number in range(count))
    table = ImageTable(Path("images"), paths, (), (), tuple(groups), splits)
    return LoadedImages(np.zeros((count, 1, 4, 4), np.uint8), table, ())


def held_out(groups: list[str], share: float, **changes: Any) -> np.ndarray:
    config = settings(share, groups="groups.csv", **changes)
    return divide(images_of(groups), config).held_out


@given(groups=GROUPS, share=st.floats(0.01, 0.5), seed=st.integers(0, 9))
def test_groups_are_never_torn(groups: list[int], share: float, seed: int) -> None:
    names = [f"p{number}" for number in groups]
    if len(set(names)) == 1:
        return
    config = settings(share, seed=seed, groups="groups.csv")
    try:
        parts = divide(images_of(names), config)
    except InputError:
        return  # two groups may be too unequal for the share
    of_train = {names[row] for row in parts.train}
    of_held_out = {names[row] for row in parts.held_out}
    assert of_train
    assert of_held_out
    assert not of_train & of_held_out
    assert sorted([*parts.train, *parts.held_out]) == list(range(len(names)))


def test_what_is_held_out_follows_from_the_seed_not_from_names() -> None:
    groups = [f"p{number // 2}" for number in range(60)]
    renamed = [f"{97 - number // 2}-x" for number in range(60)]
    chosen = held_out(groups, 0.2)
    assert len(chosen) == 12
    assert np.array_equal(chosen, held_out(renamed, 0.2))
    assert not np.array_equal(chosen, held_out(groups, 0.2, seed=1))


def test_test_images_are_in_neither_part() -> None:
    groups = [f"p{number}" for number in range(20)]
    splits = ("test",) * 8 + ("train",) * 10 + ("unused",) * 2
    images = images_of(groups, splits)
    parts = divide(images, settings(0.25, groups="groups.csv"))
    assert len(parts.held_out) == 3
    assert min(*parts.train, *parts.held_out) == 8
    told = [row["split"] for row in csv.DictReader(io.StringIO(parts.format(images.table)))]
    assert told.count("test") == 8
    assert [row for row, part in enumerate(told) if part == "validation"] == list(
        parts.held_out
    )


def test_without_a_share_none_is_held_out() -> None:
    parts = divide(images_of(["a", "a", "b"]), settings(0.0))
    assert list(parts.train) == [0, 1, 2]
    assert len(parts.held_out) == 0


def test_one_patient_cannot_be_divided() -> None:
    with pytest.raises(InputError, match="held_out_share: all 3 images are of one group"):
        held_out(["ann"] * 3, 0.3)


def test_near_duplicates_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        values = make_phantom("coarse", size=96, seed=(number // 4, 1)).image
        pixels = np.uint8(255 * values)
        pixels[0, 0] = 20 * number  # so that no two files are the same
        Image.fromarray(pixels).save(tmp_path / f"{number:02d}.png")
    config = settings(0.34, table=tmp_path, cache=None)
    parts = divide(read_images(config), config)
    assert len({row // 4 for row in parts.held_out}) == 1
    assert len(parts.held_out) == 4
    assert "IMAGE-LEVEL" in capsys.readouterr().err
