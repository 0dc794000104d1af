"""How well reconstructions keep texture, from what ``reconstruct`` measured."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from glcm_mae.report.blocks import (
    Block,
    Details,
    Figure,
    Section,
    Table,
    Words,
    missing,
)
from glcm_mae.report.charts import Axis, Chart, Dots, Drawn, Line, Panel, Role
from glcm_mae.report.citing import found, limits_of, number_of
from glcm_mae.report.facts import Facts
from glcm_mae.report.studies import folded_notes, strangers

_FILE = "reconstruction.json"
_MEASURES = {
    "mse": "Squared error",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "glcm": "GLCM distance",
    "wasserstein": "Wasserstein distance of gray levels",
    "kl": "KL divergence of gray levels",
    "high_frequency_power": "Power at high frequencies",
}


def section(facts: Facts) -> Section:
    """Return features, gray levels and spectrum of reconstructions beside the originals."""
    question = "Does what the model paints have the texture of the original?"
    told = facts.reconstruction
    if told is None:
        command = "glcm-mae reconstruct RUN --out DIR"
        blocks: list[Block] = [missing("Reconstructions were not measured", command)]
        return Section("texture", "Texture of reconstructions", question, blocks)
    names = list(told["systems"])
    roles = _roles(facts, names)
    blocks = [
        *strangers(facts, [str(name) for name in told.get("runs", names)]),
        *[Figure(chart) for chart in _charts(told, roles)],
        _measures(told),
        Details("Every texture feature", [_features(told)]),
        *folded_notes(told),
    ]
    return Section("texture", "Texture of reconstructions", question, blocks)


def _roles(facts: Facts, names: Sequence[str]) -> dict[str, int]:
    """Give a system the place of the run of its name, and others places after these."""
    runs = [run.name for run in facts.runs]
    free = iter(range(len(runs), len(runs) + len(names)))
    return {name: runs.index(name) if name in runs else next(free) for name in names}


def _charts(told: Mapping[str, Any], roles: Mapping[str, int]) -> Iterator[Chart]:
    features = list(told.get("figure_features") or told["features"])
    yield Chart(
        "haralick",
        "Left: features of the reconstructions, each divided by that of the originals, so that "
        "the ring at 1 is right. Right: relative error of each feature with its interval; 0 "
        "is right.",
        "; ".join(_said(told, name) for name in roles),
        [_radar(told, features, roles), _errors(told, features, roles)],
        columns=2,
    )
    panels = [panel for panel in (_histogram(told, roles), _spectrum(told, roles)) if panel]
    if panels:
        yield Chart(
            "gray_levels",
            "Gray levels and power over spatial frequencies of originals (gray) and "
            "reconstructions. A model that blurs falls below the original at high frequencies.",
            "Gray levels and spectrum of originals and reconstructions",
            panels,
        )


def _said(told: Mapping[str, Any], name: str) -> str:
    error = found(told, "systems", name, "mean_error", "estimate")
    return f"{name}: mean relative error {error:.3f}" if error is not None else name


def _radar(told: Mapping[str, Any], names: Sequence[str], roles: Mapping[str, int]) -> Panel:
    spokes = [float(place) for place in range(len(names))]
    drawn: list[Drawn] = [Line(spokes, [1.0] * len(names), "original", "original")]
    for system, role in roles.items():
        values = []
        for name in names:
            original = found(told, "original", name) or float("nan")
            values.append((found(told, "systems", system, "features", name) or 0.0) / original)
        drawn.append(Line(spokes, values, system, role, role))
    labels = [name.replace("_", " ") for name in names]
    axis = Axis("", None, spokes, labels)
    return Panel("Feature, over that of the original", drawn, axis, Axis(), "radar", 1.3)


def _errors(told: Mapping[str, Any], names: Sequence[str], roles: Mapping[str, int]) -> Panel:
    width = 0.6 / len(roles)
    drawn: list[Drawn] = []
    for place, (system, role) in enumerate(roles.items()):
        own = [found(told, "systems", system, "errors", name) or {} for name in names]
        middle = [each.get("estimate") or 0.0 for each in own]
        low, high = (
            [
                value if each.get(key) is None else each[key]
                for each, value in zip(own, middle, strict=True)
            ]
            for key in ("low", "high")
        )
        beside = ((len(roles) - 1) / 2 - place) * width
        y = [len(names) - 1 - number + beside for number in range(len(names))]
        said = [
            f"{name.replace('_', ' ')}, {system}: {value:.3f}"
            for name, value in zip(names, middle, strict=True)
        ]
        drawn.append(Dots(middle, y, system, role, low, high, "x", said))
    ticks = [float(len(names) - 1 - number) for number in range(len(names))]
    labels = [name.replace("_", " ") for name in names]
    edge = (-0.6, len(names) - 0.4)
    x = Axis("relative error; 0 is right")
    return Panel("Relative error", drawn, x, Axis("", edge, ticks, labels), height=1.3)


def _histogram(told: Mapping[str, Any], roles: Mapping[str, int]) -> Panel | None:
    histogram = told.get("histogram")
    if not histogram:
        return None
    edges = histogram["edges"]
    middles = [(low + high) / 2 for low, high in pairwise(edges)]
    drawn: list[Drawn] = [Line(middles, histogram["original"], "original", "original")]
    drawn += [Line(middles, histogram["systems"][s], s, r, r) for s, r in roles.items()]
    return Panel("Gray levels", drawn, Axis("gray level, 0 to 1"), Axis("share of pixels"))


def _spectrum(told: Mapping[str, Any], roles: Mapping[str, int]) -> Panel | None:
    spectrum = told.get("spectrum")
    if not spectrum:
        return None
    x = spectrum["frequency"]
    kept = [place for place, value in enumerate(x) if value > 0]

    def line(values: Sequence[float], name: str, role: Role, stroke: int) -> Line:
        return Line([x[k] for k in kept], [values[k] for k in kept], name, role, stroke)

    drawn: list[Drawn] = [line(spectrum["original"], "original", "original", 0)]
    drawn += [line(spectrum["systems"][s], s, r, r) for s, r in roles.items()]
    return Panel(
        "Power spectrum",
        drawn,
        Axis("cycles per pixel", log=True),
        Axis("power", log=True),
    )


def _measures(told: Mapping[str, Any]) -> Table:
    names = list(told["systems"])
    known = [
        m for m in _MEASURES if any(found(told, "systems", s, "measures", m) for s in names)
    ]
    rows: list[list[Words]] = []
    for name in names:
        keys = ("systems", name)
        cells = [
            limits_of(_FILE, told, *keys, "measures", measure, digits=4) for measure in known
        ]
        rows.append([name, limits_of(_FILE, told, *keys, "mean_error"), *cells])
    heads = ["", "Mean error of features", *(_MEASURES[measure] for measure in known)]
    return Table(
        f"Reconstructions of {told.get('images', '–')} images, with intervals", heads, rows
    )


def _features(told: Mapping[str, Any]) -> Table:
    systems = list(told["systems"])
    rows: list[list[Words]] = []
    for name in told["features"]:
        cells: list[Words] = [number_of(_FILE, told, "original", name, digits=4)]
        for system in systems:
            cells.append(number_of(_FILE, told, "systems", system, "features", name, digits=4))
            cells.append(limits_of(_FILE, told, "systems", system, "errors", name))
        rows.append([name.replace("_", " "), *cells])
    heads = ["Feature", "Original"]
    for system in systems:
        heads += [system, f"{system}: relative error"]
    return Table("Mean feature, and mean relative error with its interval", heads, rows)
