"""Restore images with several runs, and tell how well each keeps their texture: the stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from glcm_mae.analysis.curves import draw_bars, draw_histogram, draw_radar, draw_spectrum
from glcm_mae.analysis.gallery import Exhibit, draw_gallery
from glcm_mae.analysis.images import Subjects, choose_images, with_reading, with_table
from glcm_mae.analysis.intervals import Resampling
from glcm_mae.analysis.measuring import (
    Portrait,
    Restoration,
    measure_restoration,
    portray,
)
from glcm_mae.analysis.result import (
    CASES,
    Reconstructions,
    choose_cases,
    compare_systems,
    summarise,
)
from glcm_mae.analysis.systems import BATCH, System, read_systems
from glcm_mae.analysis.tables import format_features, format_images, format_markdown
from glcm_mae.config import ReconstructConfig
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.devices import choose_device
from glcm_mae.fidelity import FIGURE_FEATURES, HIGH_FREQUENCY, count_scales, radial_frequencies
from glcm_mae.files import write_atomically
from glcm_mae.progress import Meter
from glcm_mae.runs import CONFIG_FILE, check_run_folder, dump_config, write_json

RESULT_FILE = "reconstruction.json"


def reconstruct(config: ReconstructConfig) -> Reconstructions:
    """Restore images with the autoencoders of some runs, and measure what was kept.

    Every pixel is predicted while it is hidden, under the same masks for all runs. Of a
    cross-validation, each fold restores the images that it tests. The folder gets
    ``config.yaml``, ``reconstruction.json``, ``reconstructions.csv``, ``haralick.csv``,
    ``haralick.md``, the figures ``haralick_radar``, ``haralick_bars``, ``histogram`` and
    ``spectrum`` (each as ``.png``, ``.svg`` and ``.pdf``), and ``gallery.png``.

    Args:
        config: Settings of the stage.

    Returns:
        Measures of every image and run, their means with intervals, and differences.

    Raises:
        InputError: If a run holds no autoencoder, runs read images otherwise, an image is
            bad, or the folder exists.
    """
    check_run_folder(config, config.out, resume=False)
    systems = read_systems(config.runs)
    config = with_reading(with_table(config, systems[0].folder), systems[0])
    study = _Study(
        config, systems, choose_images(config, systems), choose_device(config.device)
    )
    found = study.measure()
    write_atomically(config.out / CONFIG_FILE, dump_config(config).encode())
    _write(config.out, found)
    draw_radar(config.out, found)
    draw_bars(config.out, found)
    draw_histogram(config.out, found)
    side = study.patch_size
    draw_spectrum(config.out, found, patch_size=side, high=HIGH_FREQUENCY)
    draw_gallery(config.out / "gallery.png", study.exhibits(found))
    return found


def _write(out: Path, found: Reconstructions) -> None:
    write_json(out / RESULT_FILE, found.facts())
    write_atomically(out / "reconstructions.csv", format_images(found).encode())
    write_atomically(out / "haralick.csv", format_features(found).encode())
    write_atomically(out / "haralick.md", format_markdown(found).encode())


@dataclass(frozen=True)
class _Study:
    """The systems, and the images that they restore."""

    config: ReconstructConfig
    systems: Sequence[System]
    subjects: Subjects
    device: torch.device

    @property
    def patch_size(self) -> int:
        """Side of the patches whose textures are compared: those of the first system."""
        return self.systems[0].model.patch_size

    @property
    def frequencies(self) -> Tensor:
        """Middles of the rings of the spectra, in cycles per pixel."""
        return radial_frequencies(*self.subjects.pixels.shape[2:])

    def measure(self) -> Reconstructions:
        """Restore all images with every system."""
        subjects, config = self.subjects, self.config
        with Meter("restoring", total=len(subjects.rows) * (1 + len(self.systems))) as meter:
            originals = self._portray_originals(meter)
            found = {one.name: self._restore(one, originals, meter) for one in self.systems}
        resampling = Resampling(
            subjects.groups, config.resamples, config.confidence, config.seed
        )
        return Reconstructions(
            names=[subjects.table.name(row) for row in subjects.rows.tolist()],
            originals=originals,
            systems=found,
            summaries={n: summarise(one, resampling, config.cases) for n, one in found.items()},
            differences=compare_systems(found, resampling),
            notes=self._notes(found),
            frequencies=self.frequencies.numpy(),
        )

    def _portray_originals(self, meter: Meter) -> Portrait:
        rows = self.subjects.rows
        batches = plain_batches(
            self.subjects.pixels, rows, batch_size=BATCH, device=self.device
        )
        places = range(0, len(rows), BATCH)
        return portray(
            (
                (np.arange(start, start + len(batch.rows)), batch.images)
                for start, batch in zip(places, batches, strict=True)
            ),
            len(rows),
            meter.advance,
        )

    def _restore(self, system: System, originals: Portrait, meter: Meter) -> Restoration:
        subjects = self.subjects
        batches = system.restorations(
            subjects.table,
            subjects.pixels,
            subjects.rows,
            seed=self.config.seed,
            device=self.device,
        )
        return measure_restoration(
            batches,
            originals,
            frequencies=self.frequencies,
            patch_size=self.patch_size,
            progress=meter.advance,
        )

    def exhibits(self, found: Reconstructions) -> list[Exhibit]:
        """Return the gallery: cases by the mean error of all systems, restored once more."""
        errors = {name: one.mean_error for name, one in found.systems.items()}
        cases = choose_cases(np.mean(list(errors.values()), axis=0), self.config.cases)
        places = [place for kind in CASES for place in cases[kind]]
        rows, subjects = self.subjects.rows[places], self.subjects
        images: dict[int, Tensor] = {}
        restored: dict[tuple[str, int], Tensor] = {}
        for system in self.systems:
            parts = system.restorations(
                subjects.table, subjects.pixels, rows, seed=self.config.seed, device=self.device
            )
            for some, originals, made in parts:
                images.update(zip(some.tolist(), originals.cpu(), strict=True))
                of_system = zip(some.tolist(), made.cpu(), strict=True)
                restored.update({(system.name, place): one for place, one in of_system})
        kinds = [kind for kind in CASES for _ in cases[kind]]
        return [
            Exhibit(
                kind,
                images[number],
                {system.name: restored[system.name, number] for system in self.systems},
                {name: float(values[place]) for name, values in errors.items()},
            )
            for number, (kind, place) in enumerate(zip(kinds, places, strict=True))
        ]

    def _notes(self, found: Mapping[str, Restoration]) -> list[str]:
        """Say how the numbers came about."""
        config, models = self.config, [system.model for system in self.systems]
        percent = f"{100 * config.confidence:g} %"
        same = len({(model.patch_size, model.mask_ratio) for model in models}) == 1
        masks = "the same masks for all runs" if len(models) > 1 else "masks by seed and image"
        if not same:
            kinds = ", ".join(
                f"{one.name}: {one.model.mask_ratio:g} of {one.model.patch_size} px patches"
                for one in self.systems
            )
            masks = f"MASKS DIFFER ({kinds})"
        scales = count_scales(*self.subjects.pixels.shape[2:])
        exact = {n: int(np.isinf(one.measures["psnr"]).sum()) for n, one in found.items()}
        return [
            f"every pixel was predicted while it was hidden; {masks}",
            *self.subjects.notes,
            f"{percent} intervals of means; the mean Haralick error is that of "
            f"{len(FIGURE_FEATURES)} features, 32 gray levels",
            f"MS-SSIM at {scales} scale{'s' if scales > 1 else ''}; GLCM distance of patches "
            f"of {self.patch_size} px; high frequencies: above {HIGH_FREQUENCY:g} cycles/pixel",
            *(
                f"{name}: {count} images came out exactly; their PSNR is infinite, left out"
                for name, count in exact.items()
                if count
            ),
            *(
                ["intervals of differences are not corrected for the number of pairs"]
                if len(models) > 2
                else []
            ),
        ]
