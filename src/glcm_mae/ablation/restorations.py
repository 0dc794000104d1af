"""How well the autoencoder of a pre-training restores test images, measured once and kept."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from glcm_mae.assembly import build_autoencoder, load_autoencoder
from glcm_mae.config import ModelConfig
from glcm_mae.data import LoadedImages
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.data.batching.randomness import Stream, counted_uniforms
from glcm_mae.devices import choose_device
from glcm_mae.fidelity import mean_haralick_error, mean_squared_error, psnr
from glcm_mae.model import MaskedAutoencoder
from glcm_mae.model.patches import complementary_from_noise
from glcm_mae.model.restoration import restore
from glcm_mae.progress import Meter
from glcm_mae.runs import write_json

FILE = "test_fidelity.json"
"""What a folder of a pre-training keeps of it."""

ERROR = "haralick_error"
MEASURES = {ERROR: mean_haralick_error, "mse": mean_squared_error, "psnr": psnr}

Device = Literal["best", "cpu", "cuda"]

_BATCH = 16
_FORMAT = 1


@dataclass(frozen=True)
class Restorations:
    """How well test images were restored, every pixel predicted while it was hidden.

    Attributes:
        rows: Rows of the table.
        values: One number an image under each name of :data:`MEASURES`.
        weights: Number of weights of the encoder and of the decoder.
        mask_ratio: Share of the patches that is hidden.
    """

    rows: NDArray[np.int64]
    values: dict[str, NDArray[np.float64]]
    weights: dict[str, int]
    mask_ratio: float


def measure_restorations(
    folder: Path,
    images: LoadedImages,
    rows: NDArray[np.int64],
    *,
    seed: int,
    device: Device = "cpu",
    title: str = "restoring",
) -> Restorations:
    """Restore images by the autoencoder of a pre-training, unless its folder tells already.

    The masks of an image follow from its row and the seed alone, so that autoencoders with
    the same share of hidden patches meet the same masks.

    Args:
        folder: Run folder of the pre-training; gets :data:`FILE`, whole or not at all.
        images: The images, as the pre-training read them.
        rows: Those to restore: images that it was not trained on.
        seed: Seed of the masks.
        device: ``best``, ``cpu`` or ``cuda``.
        title: What the progress bar calls it.

    Raises:
        InputError: If the folder holds no autoencoder.
    """
    names = [images.table.name(row) for row in rows.tolist()]
    asked = {"format": _FORMAT, "seed": seed, "images": names}
    kept = _read(folder / FILE, asked)
    if kept is None:
        kept = {**asked, **_measure(folder, images, rows, seed, device, title)}
        write_json(folder / FILE, kept)
    values = {
        name: np.array([np.nan if x is None else x for x in kept["values"][name]])
        for name in MEASURES
    }
    return Restorations(rows, values, kept["weights"], kept["mask_ratio"])


def _read(path: Path, asked: dict[str, Any]) -> dict[str, Any] | None:
    """Return what was measured, if it is of these very images and masks."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same = all(found[key] == value for key, value in asked.items())
        whole = set(MEASURES) <= set(found["values"]) and "weights" in found
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(found) if same and whole else None


def _measure(
    folder: Path,
    images: LoadedImages,
    rows: NDArray[np.int64],
    seed: int,
    device: Device,
    title: str,
) -> dict[str, Any]:
    place = choose_device(device)
    model, settings = _load(folder)
    model = model.to(place).eval()
    patches = model.encoder.grid[0] * model.encoder.grid[1]
    found: dict[str, list[float]] = {name: [] for name in MEASURES}
    with Meter(title, total=len(rows)) as meter:
        for batch in plain_batches(images.pixels, rows, batch_size=_BATCH, device=place):
            noise = counted_uniforms(
                seed, 0, batch.rows.tolist(), patches, stream=Stream.FIDELITY
            )
            masks = complementary_from_noise(torch.from_numpy(noise), settings.mask_ratio)
            restored = restore(model, batch.images, masks, patch_size=settings.patch_size)
            for name, measure in MEASURES.items():
                found[name] += measure(restored, batch.images).double().cpu().tolist()
            meter.advance(len(batch.rows))
    return {
        "mask_ratio": settings.mask_ratio,
        "weights": {
            "encoder": _count(model.encoder),
            "decoder": _count(model) - _count(model.encoder),
        },
        "values": found,
    }


def _load(folder: Path) -> tuple[MaskedAutoencoder, ModelConfig]:
    kept = load_autoencoder(folder)
    settings = ModelConfig(**kept.facts["model"])
    model = build_autoencoder(settings, seed=0)
    model.load_state_dict(kept.tensors)
    return model, settings


def _count(module: torch.nn.Module) -> int:
    return sum(weights.numel() for weights in module.parameters())
