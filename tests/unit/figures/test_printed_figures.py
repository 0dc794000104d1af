"""Figures as files: whole, without a date, in colours that can be told apart."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from glcm_mae.figures import (
    ORIGINAL,
    PALETTE,
    mark,
    new_figure,
    save_figure,
    show_gray,
    styled,
)
from glcm_mae.report.interactive import symbol, tone

# Machado et al. 2009, severity 1.0: how red-, green- and blue-blind eyes see linear RGB.
BLINDNESS = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
}


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_a_figure_has_the_same_bytes_each_time(tmp_path: Path, kind: str) -> None:
    for name in ("a", "b"):
        figure, axes = new_figure(2, 2)
        axes[0, 0].plot([0, 1], [0, 1], color=mark(0).colour)
        save_figure(figure, tmp_path / f"{name}.{kind}")
    first, second = (tmp_path / f"{name}.{kind}" for name in ("a", "b"))
    assert first.stat().st_size > 500
    assert first.read_bytes() == second.read_bytes()


def test_only_the_named_files_are_left(tmp_path: Path) -> None:
    figure, _ = new_figure(2, 2)
    save_figure(figure, tmp_path / "f.png", tmp_path / "f.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f.png", "f.svg"]


def test_missing_pixels_are_no_colour_of_the_image() -> None:
    _, axes = new_figure(2, 2)
    image = torch.full((1, 2, 2), float("nan"))
    image[0, 0, 0] = 0.5
    show_gray(axes[0, 0], image)
    shown = axes[0, 0].images[0].get_array()
    assert shown[0, 0] == 0.5
    assert np.isnan(np.ma.filled(shown, np.nan)[1, 1])


def _linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    linear = linear.clip(0, 1)
    gamma = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb2lab(gamma[None, None])[0, 0]


@pytest.mark.parametrize("eye", ["full", *BLINDNESS])
def test_the_colour_blind_tell_the_colours_apart(eye: str) -> None:
    seen = np.array(BLINDNESS.get(eye, np.eye(3)))
    places = [_lab(seen @ _linear(colour)) for colour in (*PALETTE[:6], ORIGINAL)]
    least = min(float(np.linalg.norm(a - b)) for a, b in combinations(places, 2))
    assert least > 9.0  # a difference of about 2 can just be seen


def test_colours_stand_out_from_white_and_from_black() -> None:
    for colour in PALETTE:
        light = float(_linear(colour) @ [0.2126, 0.7152, 0.0722])
        assert (1.05) / (light + 0.05) > 2.0
        assert (light + 0.05) / 0.05 > 3.0


def test_the_style_holds_while_drawing_and_not_after() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)

    @styled
    def draw() -> bool:
        _, ((axes,),) = new_figure(2, 2)
        axes.plot([0, 1], label="a line")
        return axes.legend().get_frame_on()

    assert draw() is False
    assert dict(mpl.rcParams) == before


def test_many_systems_are_told_apart_by_colour_and_marker_together() -> None:
    marks = {(mark(number).colour, mark(number).marker) for number in range(49)}
    assert len(marks) == 49
    symbols = {(tone(number), symbol(number)) for number in range(49)}
    assert len(symbols) == 49
