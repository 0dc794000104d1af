"""What tells classes apart without looking at the picture: sizes, gray levels, counts."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.tables.table import ImageTable

FAIR = 0.5
"""Area under the curve of a number that tells nothing of the class."""

GIVEAWAY = 0.15
"""Distance of the area from one half beyond which a number is called a giveaway."""

BINS = 32
"""Bars of a histogram of gray levels."""

_BLOCK = 512  # thumbnails looked at together


def area_under_curve(
    values: npt.NDArray[np.floating], positive: npt.NDArray[np.bool_]
) -> float | None:
    """Return the probability that a positive has the greater value; ties count half.

    Args:
        values: A number per image.
        positive: Which images are of the class.

    Returns:
        The area under the ROC curve in ``[0, 1]``; None if a side is empty.

    Example:
        >>> area_under_curve(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0, 0, 1, 1], bool))
        0.875
    """
    count = int(positive.sum())
    others = len(values) - count
    if not count or not others:
        return None
    _, place, repeats = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (repeats.cumsum() - (repeats - 1) / 2)[place]
    return float((ranks[positive].sum() - count * (count + 1) / 2) / (count * others))


def class_areas(
    values: npt.NDArray[np.floating], labels: Sequence[int], classes: Sequence[str]
) -> dict[str, float | None]:
    """Return the area under the curve of a number for each class against the rest.

    Args:
        values: A number per image.
        labels: Index of the class of each image.
        classes: Their names.

    Example:
        >>> class_areas(np.array([1.0, 2.0]), (0, 1), ("ill", "well"))
        {'ill': 0.0, 'well': 1.0}
    """
    numbers = np.asarray(labels)
    areas = (area_under_curve(values, numbers == index) for index in range(len(classes)))
    return {
        name: None if area is None else round(area, 3)
        for name, area in zip(classes, areas, strict=True)
    }


def count_classes(table: ImageTable) -> dict[str, dict[str, int]]:
    """Count the images of each class, in all and in each part.

    Args:
        table: The images.

    Returns:
        Class to counts: ``all``, and each part by its name; empty if there are no classes.
        Images without a part count under ``(none)``.

    Example:
        >>> from pathlib import Path
        >>> names = ("a", "b")
        >>> table = ImageTable(Path(), names, (0, 0), ("ill",), names, ("train", "test"))
        >>> count_classes(table)
        {'ill': {'all': 2, 'test': 1, 'train': 1}}
    """
    splits = [split or "(none)" for split in table.splits]
    parts = sorted(set(splits))
    counted: dict[str, dict[str, int]] = {}
    for number, name in enumerate(table.classes):
        rows = [row for row, label in enumerate(table.labels) if label == number]
        inside = Counter(splits[row] for row in rows) if splits else Counter()
        counted[name] = {"all": len(rows), **{part: inside[part] for part in parts}}
    return counted


def describe_sizes(
    sizes: npt.NDArray[np.int64], labels: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    """Describe the sizes of images, and how far they give the class away.

    Args:
        sizes: Height and width per image, shape (images, 2).
        labels: Index of the class of each image; empty if there is none.
        classes: Their names.

    Returns:
        ``height`` and ``width`` (minimum, median, maximum), ``distinct`` sizes, and
        ``areas``: of the shorter side and of width over height, for each class.

    Example:
        >>> sizes = np.array([(10, 20), (30, 20)])
        >>> describe_sizes(sizes, (0, 1), ("ill", "well"))["areas"]["shorter_side"]
        {'ill': 0.0, 'well': 1.0}
    """
    height, width = sizes.T
    numbers = {"shorter_side": sizes.min(axis=1), "aspect_ratio": width / height}
    return {
        "height": _spread(height),
        "width": _spread(width),
        "distinct": len(np.unique(sizes, axis=0)),
        "areas": {name: class_areas(each, labels, classes) for name, each in numbers.items()},
    }


def describe_grays(
    thumbnails: Any, labels: Sequence[int], classes: Sequence[str]
) -> dict[str, Any]:
    """Describe the gray levels of images, and how far they give the class away.

    Args:
        thumbnails: 8-bit pixels, shape (images, 1, height, width); anything that gives
            those of an array of rows.
        labels: Index of the class of each image; empty if there is none.
        classes: Their names.

    Returns:
        Spread over the images of ``mean``, ``sd`` and the shares of pixels that are
        wholly ``black`` or ``white``; ``areas`` of mean and SD for each class; and
        ``histograms``: share of pixels in each of `BINS` bars, of each class (or of
        ``all``).

    Example:
        >>> pixels = np.full((2, 1, 4, 4), 51, np.uint8)
        >>> described = describe_grays(pixels, (), ())
        >>> described["mean"], described["sd"]["median"], described["histograms"]["all"][6]
        ({'min': 0.2, 'median': 0.2, 'max': 0.2}, 0.0, 1.0)
    """
    count = len(thumbnails)
    levels = np.zeros((count, 256))
    for start in range(0, count, _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, count))
        for row, image in zip(rows, np.asarray(thumbnails[rows]), strict=True):
            levels[row] = np.bincount(image.ravel(), minlength=256) / image.size
    gray = np.arange(256) / 255
    mean = levels @ gray
    sd = np.sqrt(np.maximum(levels @ gray**2 - mean**2, 0)).round(6)
    bars = levels.reshape(count, BINS, -1).sum(axis=2)
    numbers = np.asarray(labels)
    shown = {name: bars[numbers == n] for n, name in enumerate(classes)} or {"all": bars}
    return {
        "mean": _spread(mean),
        "sd": _spread(sd),
        "black": _spread(levels[:, 0]),
        "white": _spread(levels[:, 255]),
        "areas": {
            "mean": class_areas(mean, labels, classes),
            "sd": class_areas(sd, labels, classes),
        },
        "histograms": {
            name: each.mean(axis=0).round(5).tolist()
            for name, each in shown.items()
            if len(each)
        },
    }


def giveaways(areas: dict[str, dict[str, float | None]]) -> list[tuple[str, str, float]]:
    """Return the numbers that tell a class by themselves, the plainest first.

    Args:
        areas: By number and class, as in ``areas`` of the descriptions.

    Returns:
        Number, class and area, one entry per number.

    Example:
        >>> giveaways({"mean": {"ill": 0.3, "well": 0.7}, "sd": {"ill": 0.5, "well": 0.5}})
        [('mean', 'ill', 0.3)]
    """
    found = []
    for number, by_class in areas.items():
        told = [(name, area) for name, area in by_class.items() if area is not None]
        if not told:
            continue
        name, area = max(told, key=lambda each: round(abs(each[1] - FAIR), 6))
        if abs(area - FAIR) >= GIVEAWAY:
            found.append((number, name, area))
    return sorted(found, key=lambda each: -abs(each[2] - FAIR))


def _spread(values: npt.NDArray[Any]) -> dict[str, float]:
    three = {"min": values.min(), "median": np.median(values), "max": values.max()}
    return {name: round(float(value), 4) for name, value in three.items()}
