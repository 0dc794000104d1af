"""Synthetic ultrasound: lesions that differ in their speckle and in nothing else.

The classes are told apart by texture alone: every lesion has the same gray-level
histogram, so that a model that looks at brightness stays at chance.
"""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from glcm_mae.errors import InputError

_MIN_SIZE = 32  # pixels; below, a lesion holds too few speckles to show their size
_TOP_DB, _RANGE_DB = 20.0, 50.0  # display window; 0 dB is the mean power of the background
_LESION_DB = -12.0  # darker than its surroundings, as most solid breast lesions are
_RUGGEDNESS = 0.03  # of the radius, the largest amplitude of each ripple of the outline
_RIPPLES = np.arange(2, 6)  # ripples around the outline


@dataclass(frozen=True)
class _Tissue:
    """Point spread (standard deviations in pixels) and scatterers per pixel."""

    axial: float
    lateral: float
    density: float = 1.0


# A resolution cell covers 4π × axial × lateral pixels: 20 of them for the background. More
# than about ten scatterers in it make Rayleigh speckle, "sparse" has less than one.
_BACKGROUND = _Tissue(axial=1.0, lateral=1.6)
_LESIONS = {
    "fine": _Tissue(axial=0.65, lateral=1.0),
    "coarse": _Tissue(axial=1.7, lateral=2.7),
    "sparse": _Tissue(axial=1.0, lateral=1.6, density=0.03),
}
PHANTOM_CLASSES = tuple(_LESIONS)
"""Kinds of lesion: short speckle, long speckle, few scatterers."""


@dataclass(frozen=True, eq=False)
class Phantom:
    """One synthetic image.

    Attributes:
        image: Log-compressed echo in ``[0, 1]``, shape (height, width).
        lesion: True inside the lesion, shape (height, width).
    """

    image: npt.NDArray[np.float32]
    lesion: npt.NDArray[np.bool_]


def speckle(
    shape: tuple[int, int],
    *,
    axial: float,
    lateral: float,
    density: float,
    generator: np.random.Generator,
) -> npt.NDArray[np.float64]:
    """Draw the echo amplitude of tissue that consists of random scatterers.

    Scatterers of random strength and phase, seen through a Gaussian point spread
    after demodulation, add up to a complex field; its modulus is the amplitude
    [1]_. Many scatterers per resolution cell make it Rayleigh distributed, mean
    over standard deviation 1.91, few make it spikier.

    Args:
        shape: Height (depth) and width of the field, in pixels; it wraps around.
        axial: Standard deviation of the point spread along the depth, in pixels.
        lateral: The same across.
        density: Share of pixels that hold a scatterer, above 0 and up to 1.
        generator: Source of randomness.

    Returns:
        Amplitudes with mean square one, shape (height, width).

    Raises:
        InputError: If ``density`` is out of its range.

    Example:
        >>> field = speckle(
        ...     (256, 256), axial=1.0, lateral=1.6, density=1.0,
        ...     generator=np.random.default_rng(0),
        ... )
        >>> print(f"{field.mean() / field.std():.1f}")
        1.9

    References:
        .. [1] Wagner et al., Statistics of speckle in ultrasound B-scans, 1983,
           doi:10.1109/T-SU.1983.31404
    """
    if not 0 < density <= 1:
        raise InputError(f"density: must be above 0 and at most 1, got {density}")
    from scipy.ndimage import gaussian_filter  # slow to import

    strength = generator.standard_normal((2, *shape))  # real and imaginary part
    strength *= generator.random(shape) < density
    blur = (0, axial, lateral)
    field = gaussian_filter(strength, blur, mode="wrap")
    power = np.square(field).sum(axis=0)
    return np.asarray(np.sqrt(power / power.mean()))


def make_phantom(kind: str, *, size: int, seed: int | tuple[int, ...]) -> Phantom:
    """Draw one image: Rayleigh speckle with a darker lesion of another texture.

    The lesion's pixels keep the order of their echo amplitudes but take the values
    of one fixed distribution, the log-compressed Rayleigh one. Phantoms of equal
    seed and size share outline and background whatever their kind.

    Args:
        kind: One of `PHANTOM_CLASSES`.
        size: Height and width, in pixels.
        seed: The same seed draws the same image; a tuple such as (seed, index) makes
            a series.

    Returns:
        The image and its lesion, which covers 25 to 45 % of it.

    Raises:
        InputError: If ``kind`` is unknown or ``size`` is below 32.

    Example:
        >>> fine, coarse = (make_phantom(kind, size=64, seed=1) for kind in ("fine", "coarse"))
        >>> fine.image.shape, bool((fine.lesion == coarse.lesion).all())
        ((64, 64), True)
        >>> print(f"{fine.image.mean():.6f} {coarse.image.mean():.6f}")
        0.463366 0.463366
    """
    if kind not in _LESIONS:
        raise InputError(f"kind: must be one of {', '.join(PHANTOM_CLASSES)}, got {kind!r}")
    _check_size(size)
    generator = np.random.default_rng(seed)
    lesion = _outline(size, generator)
    image = _display(_draw(_BACKGROUND, size, generator))
    amplitude = _draw(_LESIONS[kind], size, generator)[lesion]
    ranks = amplitude.argsort().argsort()
    image[lesion] = _display(_rayleigh_quantiles(len(ranks)), _LESION_DB)[ranks]
    return Phantom(image, lesion)


def _check_size(size: int) -> None:
    if size < _MIN_SIZE:
        raise InputError(f"size: must be at least {_MIN_SIZE} pixels, got {size}")


def _draw(
    tissue: _Tissue, size: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    return speckle(
        (size, size),
        axial=tissue.axial,
        lateral=tissue.lateral,
        density=tissue.density,
        generator=generator,
    )


def _rayleigh_quantiles(count: int) -> npt.NDArray[np.float64]:
    """Take the middles of ``count`` equal shares of the Rayleigh law of mean square one."""
    levels = (np.arange(count) + 0.5) / count
    return np.sqrt(-np.log1p(-levels))


def _display(
    amplitude: npt.NDArray[np.float64], gain_db: float = 0.0
) -> npt.NDArray[np.float32]:
    decibels = 20 * np.log10(np.maximum(amplitude, 1e-9)) + gain_db
    return (1 + (decibels - _TOP_DB) / _RANGE_DB).clip(0, 1).astype(np.float32)


def _outline(size: int, generator: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw an ellipse with a rippled border, wholly inside the image."""
    share, elongation = generator.uniform(0.28, 0.42), generator.uniform(1, 1.4)
    long = np.sqrt(share * elongation / np.pi)  # half axis in image widths
    heights = generator.uniform(0, _RUGGEDNESS, len(_RIPPLES))
    starts = generator.uniform(0, 2 * np.pi, len(_RIPPLES))
    margin = min(0.5, long * (1 + heights.sum()))
    row, col = generator.uniform(margin, 1 - margin, 2)
    turn = generator.uniform(0, np.pi)
    places = (np.arange(size) + 0.5) / size
    down, right = np.meshgrid(places - row, places - col, indexing="ij")
    along = (right * np.cos(turn) + down * np.sin(turn)) / long
    across = (down * np.cos(turn) - right * np.sin(turn)) / long * elongation
    angles = np.arctan2(across, along)[..., None]  # (height, width, 1)
    border = 1 + (heights * np.cos(_RIPPLES * angles + starts)).sum(axis=-1)
    return np.asarray(np.hypot(along, across) <= border)


def write_phantoms(
    folder: str | Path, *, count: int, size: int, seed: int, labelled: bool = True
) -> Path:
    """Write a small data set of phantoms: PNG files and a manifest.

    Classes take turns, so that they are of equal size give or take one. Labelled,
    each class has its folder; else all files lie side by side and the manifest's
    column ``label`` stays empty. Each file appears whole or not at all, the manifest
    last.

    Args:
        folder: Where to write; new or empty.
        count: Number of images.
        size: Height and width, in pixels.
        seed: The same seed writes the same images.
        labelled: Whether to tell the classes.

    Returns:
        The folder; its ``manifest.csv`` has the columns path, label, group (one per
        image) and split (empty).

    Raises:
        InputError: If the folder holds something or cannot be written, or ``count`` or
            ``size`` is too small.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     new = write_phantoms(f"{folder}/new", count=3, size=32, seed=0)
        ...     print((new / "manifest.csv").read_text())
        path,label,group,split
        fine/phantom_0001.png,fine,phantom_0001,
        coarse/phantom_0002.png,coarse,phantom_0002,
        sparse/phantom_0003.png,sparse,phantom_0003,
    """
    folder = Path(folder)
    _check_size(size)
    fewest = len(PHANTOM_CLASSES) if labelled else 1
    if count < fewest:
        raise InputError(f"count: must be at least {fewest}, got {count}")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise InputError(
            f"{folder}: exists and is not an empty folder; choose a new one or remove it"
        )
    try:
        _write_series(folder, count, size, seed, labelled)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written ({error.strerror or error}); choose another folder"
        ) from error
    return folder


def _write_series(folder: Path, count: int, size: int, seed: int, labelled: bool) -> None:
    digits = max(4, len(str(count)))
    rows = [("path", "label", "group", "split")]
    for index in range(count):
        kind = PHANTOM_CLASSES[index % len(PHANTOM_CLASSES)]
        label, name = kind if labelled else "", f"phantom_{index + 1:0{digits}}"
        path = folder / label / f"{name}.png"
        pixels = np.rint(make_phantom(kind, size=size, seed=(seed, index)).image * 255)
        image = Image.fromarray(pixels.astype(np.uint8))
        _write_whole(path, partial(image.save, format="PNG"))
        rows.append((path.relative_to(folder).as_posix(), label, name, ""))

    def write_rows(part: Path) -> None:
        with part.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)

    _write_whole(folder / "manifest.csv", write_rows)


def _write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Write beside the place and rename, so that no half-written file is ever seen."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    write(part)
    part.replace(path)
