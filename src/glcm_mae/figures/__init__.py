"""One visual language: the colours, sizes and files of every figure."""

from glcm_mae.figures.language import (
    BAND,
    ORIGINAL,
    PALETTE,
    QUIET,
    Mark,
    colour,
    mark,
)
from glcm_mae.figures.overlay import show_overlay
from glcm_mae.figures.printed import (
    COARSE,
    new_figure,
    save_figure,
    show_gray,
    styled,
    without_ticks,
)

__all__ = [
    "BAND",
    "COARSE",
    "ORIGINAL",
    "PALETTE",
    "QUIET",
    "Mark",
    "colour",
    "mark",
    "new_figure",
    "save_figure",
    "show_gray",
    "show_overlay",
    "styled",
    "without_ticks",
]
