"""One shard: an uncompressed tar that ``webdataset`` and ``tar`` read."""

import hashlib
import json
import os
from io import BytesIO
from pathlib import Path
from tarfile import USTAR_FORMAT, TarInfo
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from glcm_mae.data.tables.table import ImageTable

_BLOCK, _END = 512, 10240  # bytes; what tar rounds members and archives up to

OVERHEAD = 8 * _BLOCK
"""Bytes per image beside its pixels, at most for names of usual length."""


class ShardFile:
    """A tar file that is being written, hashed on the way."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._digest, self._size, self._images = hashlib.sha256(), 0, 0

    def __enter__(self) -> "ShardFile":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        try:
            if kind is None:
                self._write(bytes(2 * _BLOCK))
                self._write(bytes(-self._size % _END))
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def add(self, table: ImageTable, row: int, image: npt.NDArray[Any]) -> int:
        """Append an image and its facts; return the byte where its pixels start."""
        key, facts = f"{row:09d}", {"name": table.name(row)}
        if table.labels:
            self._member(f"{key}.cls", str(table.labels[row]).encode())
            facts["label"] = table.classes[table.labels[row]]
        facts["group"] = table.groups[row]
        if table.splits:
            facts["split"] = table.splits[row]
        self._member(f"{key}.json", json.dumps(facts).encode())
        values = np.ascontiguousarray(image)
        content = _npy_header(values) + values.tobytes()
        end = self._member(f"{key}.npy", content)
        self._images += 1
        return end - values.nbytes

    def _member(self, name: str, content: bytes) -> int:
        """Append a file to the tar; return the byte where its content ends."""
        info = TarInfo(name)
        info.size = len(content)
        self._write(info.tobuf(USTAR_FORMAT))
        self._write(content)
        end = self._size
        self._write(bytes(-end % _BLOCK))
        return end

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self._size += len(data)

    def facts(self) -> dict[str, Any]:
        """Return the number of images, and the size and SHA-256 of the file."""
        return {
            "images": self._images,
            "bytes": self._size,
            "sha256": self._digest.hexdigest(),
        }


def _npy_header(values: npt.NDArray[Any]) -> bytes:
    header = BytesIO()
    facts = np.lib.format.header_data_from_array_1_0(values)
    np.lib.format.write_array_header_1_0(header, facts)
    return header.getvalue()
