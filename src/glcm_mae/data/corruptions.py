"""What happens to images between patient and model: blur, noise, tone, compression.

Every corruption takes images in [0, 1] as a model sees them and returns such images, in
float32; only JPEG goes through 8 bits. Five levels each, from hardly seen to severe, are
those of MedMNIST-C [1]_ (which follows ImageNet-C [2]_), and noise is counted: it
follows from the seed, the corruption, the level and the number of the image.

References:
    .. [1] Di Salvo et al., 2024, arXiv:2406.17536 (levels: its ``registry.py``)
    .. [2] Hendrycks & Dietterich, 2019, arXiv:1903.12261
"""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from glcm_mae.data.batching.randomness import Stream, counted_seed

SEVERITIES = (1, 2, 3, 4, 5)
"""Levels of every corruption, from hardly seen to severe."""

_REFERENCE_SIDE = 224  # pixels; the side of the images that the blur of the source is for
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601

Stack = npt.NDArray[np.float32]
"""Images, shape (channels, height, width), or a batch of them."""


@dataclass(frozen=True)
class Corruption:
    """One kind of corruption with its five levels.

    Attributes:
        parameter: What the levels are.
        levels: Its value at each severity.
        source: Set of MedMNIST-C whose levels these are.
        apply: Corrupts one image, given the level and a generator for noise.
    """

    parameter: str
    levels: tuple[float, ...]
    source: str
    apply: Callable[[Stack, float, np.random.Generator], Stack]


def _blur(image: Stack, sigma: float, _: np.random.Generator) -> Stack:
    from scipy.ndimage import gaussian_filter  # slow to import

    width = sigma * min(image.shape[1:]) / _REFERENCE_SIDE
    return np.asarray(gaussian_filter(image, (0.0, width, width), mode="reflect"))


def _gaussian_noise(image: Stack, sd: float, generator: np.random.Generator) -> Stack:
    return image + np.float32(sd) * generator.standard_normal(image.shape, dtype=np.float32)


def _speckle_noise(image: Stack, sd: float, generator: np.random.Generator) -> Stack:
    noise = generator.standard_normal(image.shape, dtype=np.float32)
    return image * (1 + np.float32(sd) * noise)


def _contrast(image: Stack, factor: float, _: np.random.Generator) -> Stack:
    gray = image[0] if len(image) == 1 else np.tensordot(_LUMA, image, axes=1)
    mean = np.float32(gray.mean(dtype=np.float64))
    return mean + np.float32(factor) * (image - mean)


def _brightness(image: Stack, factor: float, _: np.random.Generator) -> Stack:
    return image * np.float32(factor)


def _gamma(image: Stack, gamma: float, _: np.random.Generator) -> Stack:
    return np.power(image, np.float32(gamma))


def _jpeg(image: Stack, quality: float, _: np.random.Generator) -> Stack:
    pixels = np.rint(image * 255).astype(np.uint8)
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1))
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(quality))
    with Image.open(file) as decoded:
        found: Stack = np.asarray(decoded, dtype=np.float32) / np.float32(255)
    return found[None] if found.ndim == 2 else np.moveaxis(found, -1, 0)


def _resolution(image: Stack, share: float, _: np.random.Generator) -> Stack:
    height, width = image.shape[1:]
    small = max(1, int(width * share)), max(1, int(height * share))
    parts = []
    for channel in image:
        picture = Image.fromarray(np.ascontiguousarray(channel))
        reduced = picture.resize(small, Image.Resampling.BOX)
        parts.append(np.asarray(reduced.resize((width, height), Image.Resampling.BOX)))
    return np.stack(parts)


_DOWN, _UP = (0.9, 0.8, 0.7, 0.6, 0.4), (1.1, 1.2, 1.3, 1.4, 1.6)

CORRUPTIONS: Mapping[str, Corruption] = {
    "blur": Corruption(
        "standard deviation of a Gaussian, in pixels of an image of side 224",
        (0.8, 1.1, 1.4, 1.7, 2.0),
        "ChestMNIST-C, gaussian_blur",
        _blur,
    ),
    "gaussian_noise": Corruption(
        "standard deviation of the noise, in units of black to white",
        (0.04, 0.08, 0.12, 0.18, 0.26),
        "ChestMNIST-C, gaussian_noise",
        _gaussian_noise,
    ),
    "speckle_noise": Corruption(
        "standard deviation of the noise, as a share of the pixel's value",
        (0.10, 0.15, 0.20, 0.25, 0.30),
        "BreastMNIST-C, speckle_noise",
        _speckle_noise,
    ),
    "contrast_down": Corruption(
        "factor about the image's mean", _DOWN, "ChestMNIST-C, contrast_down", _contrast
    ),
    "contrast_up": Corruption(
        "factor about the image's mean", _UP, "ChestMNIST-C, contrast_up", _contrast
    ),
    "brightness_down": Corruption(
        "factor of every pixel",
        (0.9, 0.8, 0.7, 0.6, 0.5),
        "ChestMNIST-C, brightness_down",
        _brightness,
    ),
    "brightness_up": Corruption(
        "factor of every pixel",
        (1.1, 1.2, 1.3, 1.4, 1.5),
        "ChestMNIST-C, brightness_up",
        _brightness,
    ),
    "jpeg": Corruption(
        "quality of Pillow's JPEG encoder",
        (50, 30, 15, 10, 7),
        "ChestMNIST-C, jpeg_compression",
        _jpeg,
    ),
    "resolution": Corruption(
        "share of the side that is kept; down and up by boxes",
        (0.7, 0.5, 0.4, 0.3, 0.25),
        "DermaMNIST-C, pixelate",
        _resolution,
    ),
    "gamma_down": Corruption("exponent", _DOWN, "ChestMNIST-C, gamma_corr_down", _gamma),
    "gamma_up": Corruption("exponent", _UP, "ChestMNIST-C, gamma_corr_up", _gamma),
}
"""Every corruption by name, in the order of tables and pictures."""


def corrupt(
    images: Stack, name: str, severity: int, *, rows: Sequence[int], seed: int = 0
) -> Stack:
    """Corrupt some images.

    The same image number, corruption, severity and seed give the same image, whatever
    batch it is in; so two models meet the very same noise.

    Args:
        images: Shape (images, channels, height, width), 1 or 3 channels, in [0, 1].
        name: One of :data:`CORRUPTIONS`.
        severity: From 1 to 5.
        rows: Number of each image, for its noise.
        seed: Seed of all noise.

    Returns:
        As many images, in [0, 1].

    Raises:
        ValueError: If there is no such corruption or severity, or the numbers of the
            images are not as many as the images.

    Example:
        >>> images = np.full((1, 1, 2, 2), 0.5, dtype=np.float32)
        >>> corrupt(images, "brightness_down", 5, rows=[0])[0, 0]
        array([[0.25, 0.25],
               [0.25, 0.25]], dtype=float32)
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"name must be one of {', '.join(CORRUPTIONS)}, got {name!r}")
    if severity not in SEVERITIES:
        raise ValueError(f"severity must be one of {SEVERITIES}, got {severity}")
    if len(rows) != len(images):
        raise ValueError(f"rows must number all {len(images)} images, got {len(rows)}")
    kind = CORRUPTIONS[name]
    level = kind.levels[severity - 1]
    number = list(CORRUPTIONS).index(name) * len(SEVERITIES) + severity
    found = np.empty_like(images, dtype=np.float32)
    for index, row in enumerate(rows):
        generator = np.random.default_rng(
            counted_seed(seed, Stream.CORRUPTION, number, int(row))
        )
        image = np.asarray(images[index], dtype=np.float32)
        found[index] = np.clip(kind.apply(image, level, generator), 0.0, 1.0)
    return found
