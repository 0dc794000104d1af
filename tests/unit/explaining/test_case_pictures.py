"""What pictures show: scales, names, and that any name can be drawn."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from glcm_mae.explaining.picture import (
    Overlay,
    Plane,
    draw_case,
    draw_planes,
    printable,
    summed,
)


def test_scales_hold_zero_in_the_middle_where_there_are_signs() -> None:
    assert Overlay("a", torch.tensor([[-1.0, 3.0]]), "", signed=True).limits == (-3.0, 3.0)
    assert Overlay("a", torch.tensor([[1.0, 3.0]]), "").limits == (1.0, 3.0)
    even = Overlay("a", torch.zeros(2, 2), "").limits
    assert even[0] < even[1]


def test_the_largest_hundredth_of_a_fine_map_sets_no_scale() -> None:
    values = torch.ones(20, 20)
    values[0, 0] = 100.0
    fine = Overlay("a", values, "", signed=True)
    assert fine.clipped
    assert fine.limits == (-1.0, 1.0)
    assert not Overlay("a", values[:3], "").clipped


def test_blocks_keep_the_sum() -> None:
    values = torch.randn(6, 8)
    torch.testing.assert_close(summed(values, 2).sum(), values.sum())


@pytest.mark.parametrize("name", ["病人/$x$_1.png", "a\nb.png", "x" * 200, "$\\frac{"])
def test_any_name_can_be_drawn(name: str, tmp_path: Path) -> None:
    shown = printable(name)
    assert len(shown) <= 60
    assert shown.isprintable()
    image = torch.rand(1, 16, 16)
    draw_case(
        tmp_path / "case.png",
        image,
        [Overlay("map", torch.rand(2, 2), "unit")],
        [(torch.rand(3, 16, 16), f"{shown}\ncosine")],
        caption=shown,
    )
    with Image.open(tmp_path / "case.png") as drawn:
        assert drawn.width > 300


def test_the_same_planes_give_the_same_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    planes = [
        Plane(
            f"fold {n}",
            rng.normal(size=(9, 2)),
            np.arange(9) % 2,
            ("$a", "b"),
            np.arange(9) < 2,
        )
        for n in range(4)
    ]
    for folder in ("one", "two"):
        draw_planes(
            [tmp_path / folder / f"map.{kind}" for kind in ("png", "svg", "pdf")], planes
        )
    for kind in ("png", "svg", "pdf"):
        one, two = (
            (tmp_path / folder / f"map.{kind}").read_bytes() for folder in ("one", "two")
        )
        assert one == two
    assert "called wrong" in (tmp_path / "one" / "map.svg").read_text()
