"""Figures as files, for papers and run folders."""

import io
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from jaxtyping import Float
from torch import Tensor

from glcm_mae.files import write_atomically

_STYLE = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "grid.alpha": 0.3,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.0,
    "image.cmap": "gray",
    "svg.fonttype": "none",  # letters stay letters, so that a journal can set its own type
    "svg.hashsalt": "glcm-mae",  # the same bytes for the same numbers
    "pdf.fonttype": 42,  # as journals ask: TrueType, not Type 3
}
_WITHOUT_DATE = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None},
}
DOTS = 150
"""Dots an inch of pictures made of pixels."""
COARSE = 80
"""The same where small images fill the picture, and more would show no more of them."""


Arguments = ParamSpec("Arguments")
Drawn = TypeVar("Drawn")


def styled(draw: Callable[Arguments, Drawn]) -> Callable[Arguments, Drawn]:
    """Give a function that draws the house's style, for its titles and legends too.

    Args:
        draw: Calls :func:`new_figure`, draws, and may save. Nothing that others draw before
            or after changes.
    """

    @wraps(draw)
    def drawn(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Drawn:
        import matplotlib as mpl  # slow to import

        with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
            return draw(*args, **kwargs)

    return drawn


def new_figure(
    width: float,
    height: float,
    *,
    rows: int = 1,
    columns: int = 1,
    **axes: Any,
) -> tuple[Any, Any]:
    """Return an empty figure in the house's style, and its axes; see :func:`styled`.

    Args:
        width: Width in inches; a column of a paper has 3.4, a page 7.
        height: Height in inches.
        rows: Rows of axes.
        columns: Columns of axes.
        axes: More for matplotlib's ``subplots``, such as ``sharex``.

    Returns:
        Figure, and an array of axes of shape (rows, columns).
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure  # slow to import

    with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **axes)


def save_figure(figure: Any, *paths: Path, dots: int = DOTS) -> None:
    """Write a figure, atomically, once for each path; the ending tells the format.

    The same figure gives the same bytes: no file holds a date.

    Args:
        figure: A figure of :func:`new_figure`.
        paths: Files ending in ``.png``, ``.svg`` or ``.pdf``.
        dots: Dots an inch of what is made of pixels.
    """
    import matplotlib as mpl

    for path in paths:
        kind = path.suffix[1:]
        stream = io.BytesIO()
        with mpl.rc_context(_STYLE):  # type: ignore[arg-type]
            figure.savefig(stream, format=kind, dpi=dots, metadata=_WITHOUT_DATE[kind])
        write_atomically(path, stream.getvalue())


def show_gray(axes: Any, image: Float[Tensor, "channel height width"]) -> None:
    """Show an image with black at 0 and white at 1; pixels that are not a number stay gray.

    Args:
        axes: Where to.
        image: Gray or colour, in [0, 1].
    """
    axes.set_facecolor("#d9d9d9")
    if image.shape[0] == 3:
        axes.imshow(image.permute(1, 2, 0).nan_to_num(0.85).clamp(0, 1).numpy())
    else:
        axes.imshow(image.mean(dim=0).numpy(), cmap="gray", vmin=0, vmax=1)


def without_ticks(axes: Any) -> None:
    """Take the ticks of axes that show pictures."""
    for one in axes.flat:
        one.set_xticks([])
        one.set_yticks([])
