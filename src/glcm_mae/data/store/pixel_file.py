"""The file that decoded images are written to, in any order."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy


class Plan(NamedTuple):
    """Decoded images as they are to be.

    Attributes:
        key: Their name in the cache, of :func:`glcm_mae.data.store.cache.entry_key`.
        policy: How the images are read.
        images: How many, readable or not.
    """

    key: str
    policy: ReadingPolicy
    images: int

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored value."""
        return np.dtype(f"uint{self.policy.depth}")

    @property
    def sample(self) -> tuple[int, ...]:
        """Shape of an image."""
        return (self.policy.channels, *(self.policy.size or ()))

    @property
    def stride(self) -> int:
        """Bytes of an image."""
        return int(np.prod(self.sample)) * self.dtype.itemsize


class PixelFile:
    """The pixels of an entry while it is made; written by any number of threads."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._plan = plan
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            # What is not reserved could run out later, amid the work.
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._handle, 0, plan.images * plan.stride)
        except OSError:
            os.close(self._handle)
            raise

    def __setitem__(self, row: int, image: npt.NDArray[Any]) -> None:
        values = np.ascontiguousarray(image, dtype=self._plan.dtype)
        self._write(row, values.data.cast("B"))

    def _write(self, row: int, view: memoryview) -> None:
        offset = row * self._plan.stride
        while view:
            written = os.pwrite(self._handle, view, offset)
            view, offset = view[written:], offset + written

    def close(self, kept: Sequence[int]) -> None:
        """Close the gaps between the rows to keep, and flush to disk."""
        stride = self._plan.stride
        try:
            for target, source in enumerate(kept):
                if target != source:
                    data = os.pread(self._handle, stride, source * stride)
                    self._write(target, memoryview(data))
            os.ftruncate(self._handle, len(kept) * stride)
            os.fsync(self._handle)
        finally:
            os.close(self._handle)
