"""Features of frozen models: computed once for every image, and kept in the cache."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.data import ImageTable, LoadedImages, file_hashes
from glcm_mae.data.batching.batches import plain_batches
from glcm_mae.devices import autocast
from glcm_mae.errors import InputError
from glcm_mae.model import Encoder
from glcm_mae.model.baseline import Baseline
from glcm_mae.model.pooling import pool_tokens
from glcm_mae.progress import Meter
from glcm_mae.tensor_file import read_tensor_file, write_tensor_file

FORMAT = 1
FOLDER = "features"


@dataclass(frozen=True)
class Embedder:
    """A frozen model, and where its features are kept.

    Features of an image follow from the model, the reading of images, the precision, and
    nothing else: all batches have one size, the last one padded. So they are kept by the
    image's content in a folder that is named by the rest, and every run that needs them
    finds them, whatever its division.

    Args:
        model: An encoder, or a timm model with its own pooling.
        pooling: How an encoder's tokens are pooled.
        reading: Facts of how images are read.
        device: Where to compute.
        precision: That of autocast.
        batch_size: Images computed at once.
        cache: Folder for decoded images, in which features are kept too; None: nowhere.
        title: What the progress bar calls it.
    """

    model: Encoder | Baseline
    pooling: str
    reading: Mapping[str, object]
    device: torch.device
    precision: Literal["bfloat16", "float16", "float32"]
    batch_size: int = 32
    cache: Path | None = None
    title: str = "features"

    def features(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch embedding"]:
        """Return the features of images in [0, 1]."""
        if isinstance(self.model, Baseline):
            return self.model.features(images)
        return pool_tokens(self.model(images), "cls" if self.pooling == "cls" else "mean")

    def embed(self, images: LoadedImages, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the features of some rows; those of the cache are not computed again.

        Args:
            images: All images of the table.
            rows: Rows wanted; no other is read.

        Returns:
            One row an image.

        Raises:
            InputError: If the cache cannot be written.
        """
        if self.cache is None:
            return self._compute(images, rows)
        names = identities(images.table.subset(rows.tolist()), self.cache)
        folder = self.cache / FOLDER / self._space()
        known = _read_all(folder)
        positions = {name: place for place, name in reversed(list(enumerate(names)))}
        new = [name for name in positions if name not in known]
        if new:
            found = self._compute(images, rows[[positions[name] for name in new]])
            _keep(folder, new, found)
            known |= dict(zip(new, found, strict=True))
        return np.stack([known[name] for name in names])

    def _space(self) -> str:
        """Name what decides about features beside the image itself."""
        facts = {
            "format": FORMAT,
            "pooling": "own" if isinstance(self.model, Baseline) else self.pooling,
            "reading": self.reading,
            "precision": self.precision,
            "device": self.device.type,
            "batch_size": self.batch_size,
            "model": repr(self.model),  # layers that hold no weights decide too
            "weights": weights_hash(self.model),
        }
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @torch.no_grad()
    def _compute(self, images: LoadedImages, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        self.model.to(self.device).eval()
        parts = []
        batches = plain_batches(
            images.pixels, rows, batch_size=self.batch_size, device=self.device
        )
        with Meter(self.title, total=len(rows)) as meter:
            for batch in batches:
                count = len(batch.rows)
                # In batches of another size a matrix product may round otherwise.
                missing = self.batch_size - count
                full = torch.cat([batch.images, batch.images[:1].repeat(missing, 1, 1, 1)])
                with autocast(self.device, self.precision):
                    parts.append(self.features(full)[:count].float().cpu().numpy())
                meter.advance(count)
        return np.concatenate(parts)


def identities(table: ImageTable, cache: Path) -> list[bytes]:
    """Return what tells every image from others of another content: a SHA-256."""
    frames = table.frames or (-1,) * len(table)
    hashes = file_hashes(table, cache)
    return [
        hashlib.sha256(f"{content} {frame}".encode()).digest()
        for content, frame in zip(hashes, frames, strict=True)
    ]


def weights_hash(model: nn.Module) -> str:
    """Return a SHA-256 over the names and the numbers of a model.

    Example:
        >>> weights_hash(nn.Identity())[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _read_all(folder: Path) -> dict[bytes, NDArray[np.float32]]:
    """Return all features of a folder by image; a file that is not whole counts as absent."""
    known: dict[bytes, NDArray[np.float32]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        with suppress(InputError, KeyError, ValueError):
            tensors = read_tensor_file(path, torch.device("cpu")).tensors
            names, features = tensors["images"].numpy(), tensors["features"].numpy()
            known |= {name.tobytes(): row for name, row in zip(names, features, strict=True)}
    return known


def _keep(folder: Path, names: Sequence[bytes], features: NDArray[np.float32]) -> None:
    folder.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = hashlib.sha256(b"".join(names)).hexdigest()
    images = np.frombuffer(b"".join(names), dtype=np.uint8).reshape(len(names), -1)
    tensors = {
        "features": torch.from_numpy(features),
        "images": torch.from_numpy(images.copy()),
    }
    write_tensor_file(folder / f"{file}.safetensors", tensors, {})
