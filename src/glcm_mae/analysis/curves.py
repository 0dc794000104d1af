"""Figures of features, gray levels and frequencies: originals against what was restored."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glcm_mae.analysis.result import Reconstructions
from glcm_mae.fidelity import FIGURE_FEATURES
from glcm_mae.figures import BAND, ORIGINAL, QUIET, mark, new_figure, save_figure, styled

SHORT_NAMES = {
    "angular_second_moment": "angular second\nmoment",
    "sum_of_squares_variance": "variance",
    "inverse_difference_moment": "inverse difference\nmoment",
    "sum_average": "sum\naverage",
    "sum_entropy": "sum\nentropy",
    "joint_entropy": "joint\nentropy",
    "difference_variance": "difference\nvariance",
    "difference_entropy": "difference\nentropy",
    "information_correlation_1": "information\ncorrelation 1",
    "information_correlation_2": "information\ncorrelation 2",
}
"""How features are called where there is little room."""

_FARTHEST = 2.0
"""Largest ratio that the radar shows; what is beyond stands at its edge."""


@styled
def draw_radar(folder: Path, found: Reconstructions) -> None:
    """Draw ``haralick_radar``: mean features of each system, those of the originals being 1."""
    figure, ((axes,),) = new_figure(5.6, 5.2, subplot_kw={"projection": "polar"})
    angles = np.linspace(0.0, 2 * np.pi, len(FIGURE_FEATURES), endpoint=False)
    around = np.append(angles, angles[0])
    axes.plot(around, np.ones(len(around)), "--", color=ORIGINAL, label="original")
    top, cut = 1.25, False
    for place, (name, summary) in enumerate(found.summaries.items()):
        ratios = _ratios(summary.features, found.original_means)
        cut = cut or bool((ratios > _FARTHEST).any() or (ratios < 0).any())
        ratios = ratios.clip(0.0, _FARTHEST)
        top = max(top, 1.05 * float(np.nanmax(ratios)))
        style = mark(place)
        closed = np.append(ratios, ratios[0])
        axes.plot(
            around,
            closed,
            style.stroke,
            marker=style.marker,
            markersize=4,
            color=style.colour,
            label=name,
        )
        axes.fill(around, closed, color=style.colour, alpha=BAND / 2)
    axes.set_theta_zero_location("N")
    axes.set_theta_direction(-1)
    axes.set_rlim(0.0, top)
    axes.set_rticks([tick for tick in (0.5, 1.0, 1.5, 2.0) if tick <= top])
    axes.set_rlabel_position(15)
    axes.tick_params(axis="y", labelsize=7, colors=ORIGINAL)
    names = [_short(name) for name in FIGURE_FEATURES]
    axes.set_xticks(angles, names, fontsize=8)
    axes.tick_params(axis="x", pad=10)
    axes.grid(color=QUIET, alpha=0.4, linewidth=0.6)
    axes.spines["polar"].set_visible(False)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    edge = f"; ratios beyond {_FARTHEST:g} stand at the edge" if cut else ""
    title = f"Haralick features of restored images, original = 1{edge}"
    figure.suptitle(title, fontsize=9, x=0.02, ha="left")
    _save(figure, folder, "haralick_radar")


def _ratios(restored: Mapping[str, float], originals: Mapping[str, float]) -> Any:
    """Return restored by original feature; one that is 0 in both counts as kept."""
    pairs = [(restored[name], originals[name]) for name in FIGURE_FEATURES]
    return np.array(
        [one / other if other else (1.0 if one == other else np.inf) for one, other in pairs]
    )


@styled
def draw_bars(folder: Path, found: Reconstructions) -> None:
    """Draw ``haralick_bars``: relative errors of the features, with their intervals."""
    names = [*FIGURE_FEATURES, "mean"]
    systems = found.summaries
    height = 0.8 / len(systems)
    rows = np.arange(len(names), dtype=float)
    rows[-1] += 0.4  # the mean stands apart
    figure, ((axes,),) = new_figure(7.0, 1.2 + 0.34 * len(names) * max(1, len(systems) / 2))
    for place, (name, summary) in enumerate(systems.items()):
        intervals = [*(summary.errors[feature] for feature in FIGURE_FEATURES)]
        values = np.array([*intervals, summary.mean_error]) * 100
        at = rows + (place - (len(systems) - 1) / 2) * height
        axes.barh(at, values[:, 0], height * 0.92, color=mark(place).colour, label=name)
        whiskers = np.nan_to_num(np.abs(values[:, 1:] - values[:, :1])).T
        axes.errorbar(
            values[:, 0],
            at,
            xerr=whiskers,
            fmt="none",
            ecolor=ORIGINAL,
            elinewidth=1,
            capsize=2,
        )
    labels = [_short(name).replace("\n", " ") for name in names[:-1]]
    axes.set_yticks(rows, [*labels, "mean of the twelve"])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("relative error (%), mean over images with its interval")
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if len(systems) > 1:
        _legend(figure)
    else:
        axes.set_title(next(iter(systems)), loc="left", fontsize=9)
    _save(figure, folder, "haralick_bars")


@styled
def draw_histogram(folder: Path, found: Reconstructions) -> None:
    """Draw ``histogram``: gray levels of the originals and of what was restored."""
    edges = np.linspace(0.0, 1.0, len(found.originals.histogram) + 1)
    figure, ((axes,),) = new_figure(7.0, 3.4)
    shares = 100 * found.originals.histogram
    axes.stairs(shares, edges, color=ORIGINAL, alpha=BAND, fill=True)
    axes.stairs(shares, edges, color=ORIGINAL, linewidth=1.4, label="original")
    middles = (edges[:-1] + edges[1:]) / 2
    top = _second_largest(shares)
    for place, (name, system) in enumerate(found.systems.items()):
        style, values = mark(place), 100 * system.portrait.histogram
        top = max(top, _second_largest(values))
        axes.plot(
            middles,
            values,
            style.stroke,
            marker=style.marker,
            markersize=4,
            markevery=(place, 6),
            color=style.colour,
            label=name,
        )
    highest = max(float(shares.max()), *(_highest(s) for s in found.systems.values()))
    if highest > 2 * top:  # as where half of the image is black
        axes.set_ylim(0, 1.25 * top)
        axes.set_title(
            f"one bin stands out of the picture, at up to {highest:.0f} %", loc="left"
        )
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(0, 1)
    axes.set_xlabel("gray level (0 black, 1 white)")
    axes.set_ylabel(f"pixels in each of {len(shares)} bins (%)")
    axes.grid(axis="y")
    _legend(figure)
    _save(figure, folder, "histogram")


def _highest(system: Any) -> float:
    return 100 * float(system.portrait.histogram.max())


def _second_largest(values: NDArray[np.float64]) -> float:
    return float(np.sort(values)[-2])


@styled
def draw_spectrum(
    folder: Path, found: Reconstructions, *, patch_size: int, high: float
) -> None:
    """Draw ``spectrum``: power at each frequency, the mean over images and directions.

    Args:
        folder: Where the files go.
        found: What was found.
        patch_size: Side of a patch in pixels; the seams of patches show at its frequency.
        high: Cycles per pixel above which a frequency counts as high.
    """
    figure, ((axes,),) = new_figure(7.0, 3.8)
    frequencies = found.frequencies
    axes.loglog(frequencies, found.originals.spectrum, color=ORIGINAL, label="original")
    for place, (name, system) in enumerate(found.systems.items()):
        style = mark(place)
        axes.loglog(
            frequencies,
            system.portrait.spectrum,
            style.stroke,
            marker=style.marker,
            markersize=4,
            markevery=0.07,
            color=style.colour,
            label=name,
        )
    axes.axvspan(high, frequencies[-1], color=QUIET, alpha=0.12, linewidth=0)
    axes.axvline(1 / patch_size, color=QUIET, linestyle=":", linewidth=1)
    axes.annotate(
        "high frequencies",
        (high * 1.02, 0.02),
        xycoords=("data", "axes fraction"),
        fontsize=7.5,
        color=ORIGINAL,
    )
    axes.annotate(
        f" one wave a patch ({patch_size} px)",
        (1 / patch_size, 0.02),
        xycoords=("data", "axes fraction"),
        fontsize=7.5,
        color=ORIGINAL,
    )
    ticks = [tick for tick in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5) if tick >= frequencies[0]]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(frequencies[0], frequencies[-1])
    axes.set_xlabel("frequency (cycles per pixel)")
    axes.set_ylabel("power, mean over images")
    axes.grid()
    _legend(figure)
    _save(figure, folder, "spectrum")


def _legend(figure: Any) -> None:
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)


def _short(name: str) -> str:
    return SHORT_NAMES.get(name, name.replace("_", " "))


def _save(figure: Any, folder: Path, name: str) -> None:
    save_figure(figure, *(folder / f"{name}.{kind}" for kind in ("png", "svg", "pdf")))
