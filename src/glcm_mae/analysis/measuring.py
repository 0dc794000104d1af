"""Numbers of images by themselves, and of restorations against them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from glcm_mae import fidelity
from glcm_mae.texture import HARALICK_FEATURES

MEASURES = (
    *("mse", "psnr", "ssim", "ms_ssim", "glcm"),
    *("wasserstein", "kl", "high_frequency_power"),
)
"""What a restoration is measured by, against its original."""

Values = NDArray[np.float64]
Places = NDArray[np.int64]


@dataclass(frozen=True)
class Portrait:
    """What a set of images is like.

    Attributes:
        features: Haralick's features by name, one number an image.
        histogram: Share of pixels in each bin of gray levels, the mean over images.
        spectra: Radial power, one row an image.
    """

    features: Mapping[str, Values]
    histogram: Values
    spectra: Values

    @property
    def spectrum(self) -> Values:
        """Radial power, the mean over images."""
        return np.asarray(self.spectra.mean(axis=0))


@dataclass(frozen=True)
class Restoration:
    """What a system made of the images.

    Attributes:
        portrait: What the restored images are like.
        measures: Each of :data:`MEASURES`, one number an image.
        errors: Relative errors of Haralick's features by name, one number an image.
        mean_error: Their mean over the features of the figure, one number an image.
    """

    portrait: Portrait
    measures: Mapping[str, Values]
    errors: Mapping[str, Values]
    mean_error: Values


class _Painter:
    """Collects the portrait of images that come batch by batch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.features = {name: np.zeros(count) for name in HARALICK_FEATURES}
        self.histogram = np.zeros(fidelity.BINS)
        self.spectra: dict[int, Values] = {}

    def add(self, places: Places, images: Tensor) -> None:
        """Look at some images."""
        for name, values in fidelity.haralick_values(images).items():
            self.features[name][places] = values.numpy()
        power = fidelity.power_spectrum(images)
        radial = fidelity.radial_power(power, images.shape[3]).cpu().numpy()
        self.spectra.update(zip(places.tolist(), radial, strict=True))
        shares = fidelity.gray_histogram(images).double().sum(dim=0).cpu().numpy()
        self.histogram += shares / self.count

    def portrait(self) -> Portrait:
        """Return what was seen."""
        spectra = np.stack([self.spectra[place] for place in range(self.count)])
        return Portrait(self.features, self.histogram, spectra)


def portray(
    batches: Iterable[tuple[Places, Tensor]],
    count: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Portrait:
    """Return what a set of images is like.

    Args:
        batches: Places of some images among all, and these images in [0, 1].
        count: Number of images.
        progress: Called with the number of images just done.
    """
    painter = _Painter(count)
    for places, images in batches:
        painter.add(places, images)
        progress(len(places))
    return painter.portrait()


def measure_restoration(
    batches: Iterable[tuple[Places, Tensor, Tensor]],
    originals: Portrait,
    *,
    frequencies: Tensor,
    patch_size: int,
    progress: Callable[[int], None] = lambda _: None,
) -> Restoration:
    """Measure restored images against their originals.

    Args:
        batches: Places of some images among all, their originals, and their restorations.
        originals: What the originals are like.
        frequencies: Middles of the rings of their spectra.
        patch_size: Side of the patches whose textures are compared.
        progress: Called with the number of images just done.
    """
    count = len(originals.spectra)
    painter = _Painter(count)
    measures = {name: np.zeros(count) for name in MEASURES}
    for places, images, made in batches:
        painter.add(places, made)
        for name, values in _compare(made, images, patch_size).items():
            measures[name][places] = values.double().cpu().numpy()
        progress(len(places))
    portrait = painter.portrait()
    after, before = (torch.from_numpy(one.spectra) for one in (portrait, originals))
    kept = fidelity.high_frequency_power(after, before, frequencies)
    measures["high_frequency_power"] = kept.numpy()
    restored, true = (
        {name: torch.from_numpy(values) for name, values in one.features.items()}
        for one in (portrait, originals)
    )
    errors = fidelity.relative_errors(restored, true)
    return Restoration(
        portrait=portrait,
        measures=measures,
        errors={name: values.numpy() for name, values in errors.items()},
        mean_error=fidelity.mean_of_figure(errors).numpy(),
    )


def _compare(restored: Tensor, images: Tensor, patch_size: int) -> dict[str, Tensor]:
    similarity, over_scales = fidelity.similarities(restored, images)
    return {
        "mse": fidelity.mean_squared_error(restored, images),
        "psnr": fidelity.psnr(restored, images),
        "ssim": similarity,
        "ms_ssim": over_scales,
        "glcm": fidelity.glcm_distances(restored, images, patch_size=patch_size),
        "wasserstein": fidelity.wasserstein_distance(restored, images),
        "kl": fidelity.histogram_divergence(restored, images),
    }
