"""What a reader sees of restorations in rows: the terminal, CSV and Markdown."""

import csv
import io
from collections.abc import Sequence
from math import isfinite, isnan

from glcm_mae.analysis.measuring import MEASURES
from glcm_mae.analysis.result import Reconstructions
from glcm_mae.plain_table import markdown_rows
from glcm_mae.statistics import Interval
from glcm_mae.texture import HARALICK_FEATURES

HEADINGS = (
    "Run",
    "Haralick error (%)",
    "PSNR (dB)",
    "SSIM",
    "MS-SSIM",
    "GLCM distance",
    "Wasserstein",
    "high freq. kept (%)",
)
_COLUMNS = ("psnr", "ssim", "ms_ssim", "glcm", "wasserstein", "high_frequency_power")

MEASURE_NAMES = {
    "mse": "squared error",
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "glcm": "GLCM distance",
    "wasserstein": "Wasserstein distance of gray levels",
    "kl": "Kullback-Leibler divergence of gray levels (bits)",
    "high_frequency_power": "high-frequency power kept",
}


def rows_of(found: Reconstructions) -> list[list[str]]:
    """Return the cells of the table of the terminal, one row a system."""
    rows = []
    for name, summary in found.summaries.items():
        measures = summary.measures
        cells = [_cell(measures[column].estimate, column) for column in _COLUMNS]
        rows.append([name, _percent(summary.mean_error), *cells])
    return rows


def _cell(value: float, measure: str) -> str:
    if isnan(value):
        return "–"
    if measure == "high_frequency_power":
        return f"{100 * value:.0f}"
    return f"{value:.1f}" if measure == "psnr" else f"{value:.3g}"


def _percent(found: Interval) -> str:
    return f"{_of(found.estimate)} [{_of(found.low)}, {_of(found.high)}]"


def _of(value: float) -> str:
    return f"{100 * value:.1f}" if isfinite(value) else "–"


def format_images(found: Reconstructions) -> str:
    """Return ``reconstructions.csv``: one row an image and system, all numbers.

    The features of the originals are the columns ``original_...``, those of what was
    restored ``restored_...``; ``error_...`` are relative errors.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    kinds = [f"{kind}_{name}" for kind in _KINDS for name in HARALICK_FEATURES]
    writer.writerow(["path", "run", "mean_haralick_error", *MEASURES, *kinds])
    for name, system in found.systems.items():
        parts = (found.originals.features, system.portrait.features, system.errors)
        for place, path in enumerate(found.names):
            numbers = [
                system.mean_error[place],
                *(system.measures[measure][place] for measure in MEASURES),
                *(part[feature][place] for part in parts for feature in HARALICK_FEATURES),
            ]
            writer.writerow([path, name, *map(_number, numbers)])
    return text.getvalue()


_KINDS = ("original", "restored", "error")


def format_features(found: Reconstructions) -> str:
    """Return ``haralick.csv``: one row a feature and system."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["feature", "run", "original", "restored", "error", "low", "high"])
    for feature in HARALICK_FEATURES:
        original = found.original_means[feature]
        for name, summary in found.summaries.items():
            numbers = (original, summary.features[feature], *summary.errors[feature])
            writer.writerow([feature, name, *map(_number, numbers)])
    return text.getvalue()


def _number(value: float) -> str:
    return "" if isnan(value) else repr(float(value))


def format_markdown(found: Reconstructions) -> str:
    """Return ``haralick.md``: features with their errors, measures, verdicts, notes."""
    systems = found.summaries
    pairs = [f"{name}{what}" for name in systems for what in ("", ", error (%)")]
    features = [
        [
            feature.replace("_", " "),
            f"{found.original_means[feature]:.4g}",
            *(
                cell
                for one in systems.values()
                for cell in (f"{one.features[feature]:.4g}", _percent(one.errors[feature]))
            ),
        ]
        for feature in HARALICK_FEATURES
    ]
    features.append(
        [
            "mean of the twelve of the figures",
            "",
            *(c for one in systems.values() for c in ("", _percent(one.mean_error))),
        ]
    )
    measures = [
        [title, *(_plain(one.measures[measure]) for one in systems.values())]
        for measure, title in MEASURE_NAMES.items()
    ]
    parts = [
        f"# {found.title}\n",
        markdown_rows(["Haralick feature, mean", "original", *pairs], features),
        markdown_rows(["Measure, mean", *systems], measures),
        _bullets([*found.verdicts, *found.notes]),
    ]
    return "\n".join(parts)


def _plain(found: Interval) -> str:
    low, high = (f"{limit:.4g}" if isfinite(limit) else "–" for limit in found[1:])
    return f"{found.estimate:.4g} [{low}, {high}]" if isfinite(found.estimate) else "–"


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)
