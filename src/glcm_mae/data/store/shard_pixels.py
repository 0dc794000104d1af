"""Images in shards, read by their place."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.errors import InputError

ANEW = "copy it again, or write the shards anew with glcm-mae data shard"
"""What to do about damaged shards."""

_OPEN = 128  # shards kept open; of the others each read opens its own


def shard_name(number: int) -> str:
    """Return the file name of a shard.

    Example:
        >>> shard_name(3)
        'shard-000003.tar'
    """
    return f"shard-{number:06d}.tar"


class ShardPixels:
    """Images in shards, read by their place when they are asked for.

    Any number of threads and forked processes may read at once: no reader moves a
    position that another one uses.

    Args:
        folder: The shards.
        index: Shard and first byte of each image in them.
        rows: Which images, in which order.
        policy: Tells shape and depth.
    """

    def __init__(
        self,
        folder: Path,
        index: npt.NDArray[Any],
        rows: npt.NDArray[np.int64],
        policy: ReadingPolicy,
    ) -> None:
        self._folder, self._index, self._rows = folder, index, rows
        self.shape = (len(rows), policy.channels, *(policy.size or ()))
        self.dtype = np.dtype(f"uint{policy.depth}")
        self._handles: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, rows: int | npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Read one image (channels, height, width) or several in an array of them."""
        chosen = np.atleast_1d(self._rows[rows])
        images = np.empty((len(chosen), *self.shape[1:]), self.dtype)
        records = self._index[chosen]
        shards, starts = records["shard"], records["start"]
        for place in np.lexsort((starts, shards)).tolist():  # in the order of the disk
            self._read(int(shards[place]), int(starts[place]), images[place].data)
        return images[0] if np.ndim(rows) == 0 and not isinstance(rows, slice) else images

    def _read(self, shard: int, start: int, target: memoryview) -> None:
        path = self._folder / shard_name(shard)
        view = target.cast("B")
        try:
            handle = self._handles.get(shard)
            if handle is not None or len(self._handles) < _OPEN:
                _fill(self._keep(shard, path) if handle is None else handle, start, view)
                return
            handle = os.open(path, os.O_RDONLY)
            try:
                _fill(handle, start, view)
            finally:
                os.close(handle)
        except (OSError, EOFError) as error:
            reason = getattr(error, "strerror", None) or "it ends before its images do"
            raise InputError(f"{path}: cannot be read ({reason}); {ANEW}") from error

    def _keep(self, shard: int, path: Path) -> int:
        """Open a shard for good; of two threads that do so at once, the first one wins."""
        opened = os.open(path, os.O_RDONLY)
        kept = self._handles.setdefault(shard, opened)
        if kept != opened:
            os.close(opened)
        return kept

    def __del__(self) -> None:
        for handle in getattr(self, "_handles", {}).values():
            os.close(handle)


def _fill(handle: int, start: int, view: memoryview) -> None:
    while view:
        count = os.preadv(handle, [view], start)
        if count == 0:
            raise EOFError
        view, start = view[count:], start + count
